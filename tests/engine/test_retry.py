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
    server_wait_s,
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
        ("1s", 1.0),
        ("6m0s", MAX_RETRY_AFTER_S),
        ("20ms", 0.02),
        ("1m30.5s", 90.5),
        ("7s ", 7.0),
        ("1s1", 0.0),
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


def soon(seconds):
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).timestamp()


LIMITS = {
    "milliseconds": ({"retry-after-ms": "1500"}, 1.5),
    "milliseconds come first": ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
    "Retry-After before resets": ({"retry-after": "2", "x-ratelimit-reset-requests": "9s"}, 2.0),
    "OpenAI, requests used up": (
        {
            "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "20ms",
        },
        8.64,
    ),
    "OpenAI, too few tokens left": (
        {
            "x-ratelimit-remaining-requests": "99", "x-ratelimit-reset-requests": "1m0s",
            "x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "6s",
        },
        6.0,
    ),
    "both used up": (
        {
            "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "3s",
            "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5s",
        },
        5.0,
    ),
    "IETF draft": ({"ratelimit-remaining": "0", "ratelimit-reset": "11"}, 11.0),
    "reset after": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "4"}, 4.0),
    "nothing to read": ({"x-ratelimit-reset-requests": "?", "x-ratelimit-limit": "3"}, 0.0),
    "no header": ({}, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "seconds"), LIMITS.values(), ids=LIMITS)
def test_rate_limit_headers_say_how_long_to_wait(headers, seconds):
    """The limits that are used up count; a server may name any of them."""
    assert server_wait_s(headers) == pytest.approx(seconds)


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_a_reset_may_be_a_moment(form):
    """Seconds or milliseconds of the epoch, as OpenRouter sends; a date, as Anthropic does."""
    at = soon(30)
    value = {
        "seconds": str(int(at)),
        "milliseconds": str(int(at * 1000)),
        "date": dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z"),
    }[form]
    assert 27 < server_wait_s({"x-ratelimit-remaining": "0", "x-ratelimit-reset": value}) <= 30
    named = {
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": value,
    }
    assert 27 < server_wait_s(named) <= 30


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit 3, Used 3. Please try again in 1.5s. Visit your account.", 1.5),
        ("Please try again in 20ms.", 0.02),
        ("Please retry in 34.2s", 34.2),
        ("retry after 7 seconds", 7.0),
        ("try again in a while", 0.0),
        ("try again in " + "1" * 280 + "x", 0.0),
    ],
)
def test_a_delay_in_the_message_counts_if_no_header_has_one(message, seconds):
    """As OpenAI, Groq and Gemini write it."""
    assert server_wait_s({}, message) == pytest.approx(seconds)
    assert server_wait_s({"retry-after": "3"}, message) == 3.0
