"""Limits of requests in flight, requests per minute and tokens per minute."""

import asyncio

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.rate_limit import RateLimiter

pytestmark = pytest.mark.virtual_time


def pace_for(**traffic):
    return RateLimiter(TrafficConfig(**traffic))


def now():
    return asyncio.get_running_loop().time()


async def turn(limiter, *, tokens=1, used=None, takes_s=0.0):
    """Make a successful request; return its start time."""
    await limiter.acquire(tokens)
    began = now()
    await asyncio.sleep(takes_s)
    limiter.record_success(tokens, tokens if used is None else used)
    limiter.release()
    return began


async def refusals(limiter, n):
    """Have n requests in flight at once that all report overload."""
    epochs = [await limiter.acquire(1) for _ in range(n)]
    for epoch in epochs:
        limiter.record_overload(epoch, 0.0)
        limiter.release()


async def test_no_more_than_the_limit_are_in_flight():
    """A hundred requests of one second pass seven at a time."""
    limiter = pace_for(concurrency=7)
    tasks = [asyncio.create_task(turn(limiter, takes_s=1)) for _ in range(100)]
    most = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.5)
        most = max(most, limiter.in_flight)
    assert most == 7
    assert limiter.in_flight == 0
    assert 15 <= now() < 17


async def test_the_limit_halves_once_per_round_trip():
    """Overload responses to requests that were in flight together count once."""
    limiter = pace_for(concurrency=64)
    await refusals(limiter, 64)
    assert limiter.limit == 32
    await refusals(limiter, 32)
    assert limiter.limit == 16


async def test_the_limit_halves_from_what_was_in_flight():
    """An unused limit says nothing about the server."""
    limiter = pace_for(concurrency=1000)
    await refusals(limiter, 10)
    assert limiter.limit == 5


async def test_the_limit_never_falls_below_one():
    """One request at a time is always allowed."""
    limiter = pace_for(concurrency=2)
    for _ in range(10):
        await refusals(limiter, 1)
    assert limiter.limit == 1
    await turn(limiter)


async def test_the_limit_grows_by_one_for_a_limits_worth_of_answers():
    """Ten successes at limit 10 raise it to 11, up to rounding."""
    limiter = pace_for(concurrency=20)
    await refusals(limiter, 20)
    for _ in range(11):
        await turn(limiter)
    assert limiter.limit == 11


async def test_the_limit_grows_back_to_where_it_began_and_no_further():
    """After an overload the limit recovers."""
    limiter = pace_for(concurrency=16)
    await refusals(limiter, 16)
    for _ in range(200):
        await turn(limiter)
    assert limiter.limit == 16


async def test_requests_are_admitted_in_fifo_order():
    """Requests are admitted in FIFO order."""
    limiter = pace_for(concurrency=1)
    order = []

    async def ask(name):
        await limiter.acquire(1)
        order.append(name)
        await asyncio.sleep(1)
        limiter.release()

    await asyncio.gather(*(ask(name) for name in range(10)))
    assert order == list(range(10))


async def test_retries_go_to_the_front():
    """Retries go to the front of the queue."""
    limiter = pace_for(concurrency=1)
    await limiter.acquire(1)
    first = asyncio.create_task(limiter.acquire(1))
    again = asyncio.create_task(limiter.acquire(1, is_retry=True))
    await asyncio.sleep(0)
    limiter.release()
    await again
    assert not first.done()
    limiter.release()
    await first


async def test_a_cancelled_request_releases_its_slot():
    """A request cancelled while waiting or just admitted releases its slot."""
    limiter = pace_for(concurrency=2)
    for _ in range(2):
        await limiter.acquire(1)
    waiting = [asyncio.create_task(limiter.acquire(1)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limiter.release()
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert limiter.in_flight == 2
    limiter.release()
    limiter.release()
    assert limiter.in_flight == 0


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 61, 600, 3000])
async def test_no_minute_holds_more_requests_than_allowed(per_minute):
    """In any 60 s, also after a pause."""
    limiter = pace_for(concurrency=4000, requests_per_minute=per_minute)
    await asyncio.sleep(1000)
    began = [await turn(limiter) for _ in range(3 * per_minute + 1)]
    for first, beyond in zip(began, began[per_minute:], strict=False):
        assert beyond - first > 59.999
    assert began[-1] - began[0] < 3 * 62


async def test_no_minute_holds_more_tokens_than_allowed():
    """Large requests are spread; one above the allowance still passes."""
    limiter = pace_for(tokens_per_minute=10_000)
    began = [await turn(limiter, tokens=2500) for _ in range(20)]
    for first, beyond in zip(began, began[4:], strict=False):
        assert beyond - first > 59.999
    await turn(limiter, tokens=30_000)
    sent = now()
    await turn(limiter)
    assert 180 <= now() - sent < 190


async def test_unused_tokens_are_refunded():
    """An answer shorter than max_tokens frees tokens at once, also for waiting requests."""
    limiter = pace_for(tokens_per_minute=1000)
    first = asyncio.create_task(turn(limiter, tokens=6000, used=100, takes_s=10))
    await asyncio.sleep(1)
    assert await turn(limiter) == pytest.approx(10, abs=0.2)
    await first


async def test_tokens_above_the_estimate_are_charged():
    """After an estimate that was too low, the next request waits longer."""
    limiter = pace_for(tokens_per_minute=1000)
    await turn(limiter, tokens=10, used=1000)
    assert await turn(limiter) > 59


async def test_a_wait_that_the_server_asks_for_holds_for_all():
    """No request starts before it is over, those already waiting included."""
    limiter = pace_for(concurrency=1)
    epoch = await limiter.acquire(1)
    waiting = asyncio.create_task(turn(limiter))
    await asyncio.sleep(0)
    limiter.record_overload(epoch, 30.0)
    limiter.release()
    assert await waiting == pytest.approx(30, abs=0.1)


async def test_no_bound_means_no_wait():
    """Without rate limits a thousand requests start at once."""
    limiter = pace_for()
    for _ in range(1000):
        await turn(limiter)
    assert now() < 0.1
