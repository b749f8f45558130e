"""Several servers of one model: who is asked, and what a server that dies costs."""

import asyncio
import contextlib

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.server_pool import SLACK_REQUESTS, ServerPool
from evolcoder.errors import EngineError, ModelError
from loopback import Loopback, say_it_back, status

TRAFFIC = TrafficConfig(max_retry_s=5.0)


def asked(prompt, max_tokens=100):
    return Request("toy", (Message("user", prompt),), Sampling(0.0, 1.0, max_tokens), 7)


@contextlib.asynccontextmanager
async def pool_of(*servers, traffic=TRAFFIC):
    """A pool of servers that run, and what it noted."""
    notes = []
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        engines = [
            OpenAIEngine(one.base_url, api_key=None, traffic=traffic, backoff_s=0.01)
            for one in servers
        ]
        pool = ServerPool(engines, traffic, notes.append, backoff_s=0.01)
        stack.push_async_callback(pool.aclose)
        yield pool, engines, notes


async def until(is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_requests_are_shared_out_by_tokens_and_each_is_sent_once():
    """No server has more outstanding tokens than another by more than the slack."""
    servers = [Loopback(latency_s=0.1) for _ in range(3)]
    async with pool_of(*servers) as (pool, _, _):
        tasks = [asyncio.create_task(pool.complete(asked(f"number {i}"))) for i in range(60)]
        await asyncio.sleep(0)
        counts = pool.outstanding.values()
        assert max(counts) - min(counts) <= (SLACK_REQUESTS + 1) * 110
        texts = [one.text for one in await asyncio.gather(*tasks)]
    assert texts == [say_it_back(f"number {i}") for i in range(60)]
    assert sum(len(one.calls) for one in servers) == 60
    assert set(pool.outstanding.values()) == {0}


async def test_requests_of_a_server_that_is_gone_and_those_that_wait_for_it_go_to_another():
    """Its machine closes no connection; what waited for its rate limit is never sent to it."""
    gone, other = Loopback(latency_s=1000.0), Loopback()
    async with pool_of(gone, traffic=TRAFFIC.model_copy(update={"concurrency": 2})) as (pool, *_):
        asking = [asyncio.create_task(pool.complete(asked(f"number {i}"))) for i in range(6)]
        await until(lambda: len(gone.calls) == 2)
        async with other:
            pool.add(OpenAIEngine(other.base_url, api_key=None, traffic=TRAFFIC, backoff_s=0.01))
            async with asyncio.timeout(20):
                await pool.remove(pool._servers[0].engine, 0.0)
                texts = [one.text for one in await asyncio.gather(*asking)]
            await pool.aclose()
    assert texts == [say_it_back(f"number {i}") for i in range(6)]
    assert (len(gone.calls), len(other.calls)) == (2, 6)


async def test_a_server_that_had_the_beginning_is_asked_again():
    """Prompts with one beginning go to one server while it is not much busier than the others."""
    servers = [Loopback() for _ in range(4)]
    async with pool_of(*servers) as (pool, _, _):
        for beginning in "abcdefgh":
            for i in range(4):
                await pool.complete(asked(beginning * 3000 + str(i)))
    seen = [{call.prompt[0] for call in one.calls} for one in servers]
    assert sum(map(len, seen)) == 8
    assert sum(map(bool, seen)) > 1


@pytest.mark.parametrize("after", [0, 1, 7])
async def test_requests_of_a_server_that_dies_go_to_another_and_answered_ones_do_not(after):
    """It is left out, and asked again once it answers."""
    dying, other = Loopback(latency_s=0.05), Loopback(latency_s=0.05)
    async with pool_of(dying, other) as (pool, engines, notes):
        tasks = [asyncio.create_task(pool.complete(asked(f"{i}"))) for i in range(40)]
        await until(lambda: len(dying.calls) > after)
        answered = {f"{i}" for i, task in enumerate(tasks) if task.done()} & {*dying.prompts()}
        await dying.stop()
        texts = [one.text for one in await asyncio.gather(*tasks)]
        assert texts == [say_it_back(f"{i}") for i in range(40)]
        assert answered.isdisjoint(other.prompts())
        assert len(set(other.prompts())) == len(other.prompts())
        assert notes == [f"{engines[0].identity} does not answer; 1 servers are left"]
        await pool.complete(asked("while it is away"))
        assert list(pool.outstanding) == [engines[1].identity]
        await dying.start()
        await until(lambda: len(pool.outstanding) == 2)
        assert notes[1:] == [f"{engines[0].identity} answers again"]


async def test_without_any_server_a_request_waits_until_one_answers_or_time_is_up():
    """As for a single server that is unreachable; the error names a server."""
    first, second = Loopback(), Loopback()
    async with pool_of(first, second) as (pool, _, _):
        await first.stop()
        await second.stop()
        waiting = asyncio.create_task(pool.complete(asked("wait")))
        await asyncio.sleep(0.1)
        await second.start()
        assert (await waiting).text == say_it_back("wait")
    brief = TrafficConfig(max_retry_s=0.05)
    async with pool_of(first, second, traffic=brief) as (pool, _, _):
        await first.stop()
        await second.stop()
        with pytest.raises(EngineError, match=r"no connection.*127\.0\.0\.1") as caught:
            await pool.complete(asked("never"))
        assert caught.value.retryable


async def test_a_rejection_is_not_asked_of_another_server():
    """A rejected request would be rejected everywhere, and a busy server has not died."""
    first, second = (Loopback(always=status(400, "bad")) for _ in range(2))
    async with pool_of(first, second) as (pool, _, _):
        with pytest.raises(EngineError):
            await pool.complete(asked("no"))
    assert len(first.calls) + len(second.calls) == 1
    assert len(pool.outstanding) == 2


async def test_the_first_check_needs_one_server_and_every_key():
    """A server that is not up yet is left out; one that rejects the key is an error."""
    up, down, locked = Loopback(), Loopback(), Loopback(key="other")
    async with pool_of(up, down) as (pool, engines, notes):
        await down.stop()
        await pool.probe("toy")
        assert list(pool.outstanding) == [engines[0].identity]
        assert len(notes) == 1
        await up.stop()
        with pytest.raises(ModelError, match="cannot be reached"):
            await pool.probe("toy")
    async with pool_of(up, locked) as (pool, _, _):
        with pytest.raises(ModelError, match="API key"):
            await pool.probe("toy")


async def test_a_server_that_is_removed_finishes_what_it_has():
    """No new request goes there, and those in flight are answered by it."""
    leaving, staying = Loopback(latency_s=0.1), Loopback(latency_s=0.1)
    async with pool_of(leaving, staying) as (pool, engines, _):
        tasks = [asyncio.create_task(pool.complete(asked(f"{i}"))) for i in range(20)]
        await until(lambda: len(leaving.calls) + len(staying.calls) == 20)
        n_before = len(leaving.calls)
        await asyncio.gather(pool.remove(engines[0], 5.0), pool.complete(asked("late")))
        await asyncio.gather(*tasks)
        assert len(leaving.calls) == n_before
        assert len(staying.calls) == 21 - n_before
        assert all(call.status == 200 for call in leaving.calls)
