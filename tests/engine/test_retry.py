"""How often and how long a request is retried."""

import datetime as dt
import email.utils

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.retry import (
    BACKOFF_S,
    MAX_BACKOFF_S,
    MAX_RETRY_AFTER_S,
    RequestFault,
    RetryClass,
    RetryState,
    retry_after_s,
)


def patience(**traffic):
    return RetryState(TrafficConfig(**traffic), now=0.0, backoff_s=BACKOFF_S)


def fault(worth, wait_s=0.0):
    return RequestFault("HTTP 500", "", worth, wait_s)


def tries(waits, worth, now=0.0):
    """Count the attempts allowed at one time."""
    n = 1
    while n < 100 and waits.wait_s(fault(worth), now) is not None:
        n += 1
    return n


@pytest.mark.parametrize(
    ("worth", "n"),
    [
        (RetryClass.FATAL, 1),
        (RetryClass.REJECTED, 1),
        (RetryClass.ONCE, 2),
        (RetryClass.SERVER_ERROR, 5),
    ],
)
def test_each_retry_class_has_its_number_of_attempts(worth, n):
    """Fatal and rejected: once; accidents: twice; server errors: max_tries times."""
    assert tries(patience(max_tries=5), worth) == n


def test_waiting_uses_up_no_tries():
    """After a long outage, a server may still fail max_tries times."""
    waits = patience(max_tries=3)
    for _ in range(50):
        assert waits.wait_s(fault(RetryClass.UNAVAILABLE), 0.0) is not None
    assert tries(waits, RetryClass.SERVER_ERROR) == 3


def test_no_delay_ends_after_max_retry_s():
    """A delay that would end later is not started."""
    waits = patience(max_retry_s=100)
    assert waits.wait_s(fault(RetryClass.UNAVAILABLE, wait_s=99.0), 0.0) is not None
    assert waits.wait_s(fault(RetryClass.UNAVAILABLE, wait_s=99.0), 2.0) is None


def test_waits_double_with_full_jitter_up_to_a_bound():
    """The n-th delay is between 0 and a bound that doubles with each attempt."""
    for n in range(12):
        longest = min(MAX_BACKOFF_S, BACKOFF_S * 2**n)
        drawn = []
        for _ in range(400):
            waits = patience(max_tries=50)
            for _ in range(n):
                waits.wait_s(fault(RetryClass.SERVER_ERROR), 0.0)
            drawn.append(waits.wait_s(fault(RetryClass.SERVER_ERROR), 0.0))
        assert max(drawn) <= longest
        assert max(drawn) > 0.9 * longest
        assert min(drawn) < 0.1 * longest


def test_the_wait_is_never_shorter_than_the_server_asks_for():
    """Jitter is added to Retry-After, so that clients do not return all at once."""
    drawn = {patience().wait_s(fault(RetryClass.UNAVAILABLE, wait_s=10.0), 0.0) for _ in range(50)}
    assert min(drawn) >= 10.0
    assert len(drawn) > 40


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("999999", MAX_RETRY_AFTER_S),
        ("soon", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("", 0.0),
        (None, 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 -2359", MAX_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_read(header, seconds):
    """Seconds or a date, bounded; invalid values mean no delay."""
    assert retry_after_s(header) == seconds


def test_retry_after_may_be_a_date():
    """A date is converted to seconds from now."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    assert 55 < retry_after_s(email.utils.format_datetime(moment, usegmt=True)) <= 60
