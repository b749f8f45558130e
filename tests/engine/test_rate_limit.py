"""How fast a server is asked."""

import asyncio

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.rate_limit import RateLimiter

pytestmark = pytest.mark.virtual_time


def pace_for(**traffic):
    return RateLimiter(TrafficConfig(**traffic))


def now():
    return asyncio.get_running_loop().time()


async def turn(pace, *, tokens=1, used=None, takes_s=0.0):
    """Take a turn that succeeds, and say when it began."""
    await pace.enter(tokens)
    began = now()
    await asyncio.sleep(takes_s)
    pace.succeeded(tokens, tokens if used is None else used)
    pace.leave()
    return began


async def refusals(pace, n):
    """Have n turns in flight at once, all of which the server refuses."""
    eras = [await pace.enter(1) for _ in range(n)]
    for era in eras:
        pace.refused(era, 0.0)
        pace.leave()


async def test_no_more_than_the_limit_are_in_flight():
    """A hundred turns of a second pass seven at a time."""
    pace = pace_for(concurrency=7)
    tasks = [asyncio.create_task(turn(pace, takes_s=1)) for _ in range(100)]
    most = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.5)
        most = max(most, pace.in_flight)
    assert most == 7
    assert pace.in_flight == 0
    assert 15 <= now() < 17


async def test_the_limit_halves_once_per_round_trip():
    """All refusals of requests that were in flight together count as one."""
    pace = pace_for(concurrency=64)
    await refusals(pace, 64)
    assert pace.limit == 32
    await refusals(pace, 32)
    assert pace.limit == 16


async def test_the_limit_halves_from_what_was_in_flight():
    """A limit that was not used says nothing about the server."""
    pace = pace_for(concurrency=1000)
    await refusals(pace, 10)
    assert pace.limit == 5


async def test_the_limit_never_falls_below_one():
    """One request at a time is always allowed."""
    pace = pace_for(concurrency=2)
    for _ in range(10):
        await refusals(pace, 1)
    assert pace.limit == 1
    await turn(pace)


async def test_the_limit_grows_by_one_for_a_limits_worth_of_answers():
    """Ten answers at limit 10 make it 11, give or take rounding."""
    pace = pace_for(concurrency=20)
    await refusals(pace, 20)
    for _ in range(11):
        await turn(pace)
    assert pace.limit == 11


async def test_the_limit_grows_back_to_where_it_began_and_no_further():
    """After a storm all is as before."""
    pace = pace_for(concurrency=16)
    await refusals(pace, 16)
    for _ in range(200):
        await turn(pace)
    assert pace.limit == 16


async def test_who_waits_longest_goes_first():
    """Turns are given in the order of asking."""
    pace = pace_for(concurrency=1)
    order = []

    async def ask(name):
        await pace.enter(1)
        order.append(name)
        await asyncio.sleep(1)
        pace.leave()

    await asyncio.gather(*(ask(name) for name in range(10)))
    assert order == list(range(10))


async def test_who_tries_again_goes_before_the_others():
    """A request that failed is not sent to the end of a long line."""
    pace = pace_for(concurrency=1)
    await pace.enter(1)
    first = asyncio.create_task(pace.enter(1))
    again = asyncio.create_task(pace.enter(1, again=True))
    await asyncio.sleep(0)
    pace.leave()
    await again
    assert not first.done()
    pace.leave()
    await first


async def test_who_gives_up_waiting_leaves_no_trace():
    """A cancelled turn, waiting or just granted, does not shrink the limit."""
    pace = pace_for(concurrency=2)
    for _ in range(2):
        await pace.enter(1)
    waiting = [asyncio.create_task(pace.enter(1)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    pace.leave()
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pace.in_flight == 2
    pace.leave()
    pace.leave()
    assert pace.in_flight == 0


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 61, 600, 3000])
async def test_no_minute_holds_more_requests_than_allowed(per_minute):
    """In any 60 s, from any turn on, also after a pause."""
    pace = pace_for(concurrency=4000, requests_per_minute=per_minute)
    await asyncio.sleep(1000)
    began = [await turn(pace) for _ in range(3 * per_minute + 1)]
    for first, beyond in zip(began, began[per_minute:], strict=False):
        assert beyond - first > 59.999
    assert began[-1] - began[0] < 3 * 62


async def test_no_minute_holds_more_tokens_than_allowed():
    """Big requests are spread, and one larger than the allowance still passes."""
    pace = pace_for(tokens_per_minute=10_000)
    began = [await turn(pace, tokens=2500) for _ in range(20)]
    for first, beyond in zip(began, began[4:], strict=False):
        assert beyond - first > 59.999
    await turn(pace, tokens=30_000)
    sent = now()
    await turn(pace)
    assert 180 <= now() - sent < 190


async def test_tokens_that_were_not_used_are_given_back():
    """An answer shorter than max_tokens makes room at once, also for who waits already."""
    pace = pace_for(tokens_per_minute=1000)
    first = asyncio.create_task(turn(pace, tokens=6000, used=100, takes_s=10))
    await asyncio.sleep(1)
    assert await turn(pace) == pytest.approx(10, abs=0.2)
    await first


async def test_tokens_that_were_used_on_top_are_paid_for():
    """An estimate that was too low makes the next one wait."""
    pace = pace_for(tokens_per_minute=1000)
    await turn(pace, tokens=10, used=1000)
    assert await turn(pace) > 59


async def test_a_wait_that_the_server_asks_for_holds_for_all():
    """Nobody begins before it is over, also those who waited already."""
    pace = pace_for(concurrency=1)
    era = await pace.enter(1)
    waiting = asyncio.create_task(turn(pace))
    await asyncio.sleep(0)
    pace.refused(era, 30.0)
    pace.leave()
    assert await waiting == pytest.approx(30, abs=0.1)


async def test_no_bound_means_no_wait():
    """Without rates a thousand turns take no time at all."""
    pace = pace_for()
    for _ in range(1000):
        await turn(pace)
    assert now() < 0.1
