"""Each completion is paid for once."""

import asyncio
import dataclasses
import subprocess
import sys

import pytest

from evolcoder.engine.base import Completion, Message, Request, Sampling, request_key
from evolcoder.engine.cache import RECENT, CachedEngine, CompletionCache
from evolcoder.errors import EngineError, RunFolderError

ASK = Request("toy", (Message("user", "hello"),), Sampling(0.7, 0.9, 50), 7)


class Counting:
    """A counting engine that answers or fails on demand."""

    def __init__(self, identity="counting"):
        self.identity = identity
        self.asked = []
        self.go = asyncio.Event()
        self.go.set()
        self.error = None

    async def complete(self, request):
        self.asked.append(request)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Completion(f"answer {len(self.asked)}", "because", "stop", 3, 4)

    async def aclose(self):
        self.asked = None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "completions.db"


@pytest.fixture
def cache(path):
    with_file = CompletionCache(path)
    yield with_file
    with_file.close()


async def test_a_stored_completion_is_cached(path):
    """It is returned complete, also by another process."""
    first = CompletionCache(path)
    given = await CachedEngine(Counting(), first).complete(ASK)
    first.close()
    second = CompletionCache(path)
    inner = Counting()
    assert await CachedEngine(inner, second).complete(ASK) == given
    assert inner.asked == []
    second.close()


async def test_an_uncommitted_completion_is_cached(cache):
    """It is found between its arrival and its commit too."""
    inner = Counting()
    engine = CachedEngine(inner, cache)
    for _ in range(3):
        await engine.complete(ASK)
    assert len(inner.asked) == 1


async def test_completions_in_memory_are_bounded(cache):
    """Memory does not grow with the number of completions, and all of them are still found."""
    inner = Counting()
    engine = CachedEngine(inner, cache)
    requests = [dataclasses.replace(ASK, seed=seed) for seed in range(RECENT + 50)]
    given = [await engine.complete(request) for request in requests]
    cache.flush()
    assert len(cache._recent) == RECENT
    assert [await engine.complete(request) for request in requests] == given
    assert len(inner.asked) == len(requests)


CHANGES = {
    "model": {"model": "other"},
    "a message": {"messages": (Message("user", "hello!"),)},
    "a system message": {"messages": (Message("system", "Be brief."), *ASK.messages)},
    "a role": {"messages": (Message("assistant", "hello"),)},
    "temperature": {"sampling": Sampling(0.8, 0.9, 50)},
    "top_p": {"sampling": Sampling(0.7, 1.0, 50)},
    "max_tokens": {"sampling": Sampling(0.7, 0.9, 51)},
    "seed": {"seed": 8},
}


@pytest.mark.parametrize("what", CHANGES)
def test_all_request_fields_are_in_the_key(what):
    """Requests that differ in it have different keys."""
    other = dataclasses.replace(ASK, **CHANGES[what])
    assert request_key("server", other) != request_key("server", ASK)


def test_the_engine_is_in_the_key():
    """Two servers may have different models under one name."""
    assert request_key("one", ASK) != request_key("two", ASK)


async def test_two_equal_requests_in_flight_become_one(cache):
    """The second waits for the first."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    tasks = [asyncio.create_task(engine.complete(ASK)) for _ in range(10)]
    await asyncio.sleep(0)
    inner.go.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    assert len(inner.asked) == 1


async def test_a_failure_is_shared_and_not_stored(cache):
    """All waiting callers get the error; a later request is sent again."""
    inner = Counting()
    inner.error = EngineError("down", asked="counting", retryable=True)
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    tasks = [asyncio.create_task(engine.complete(ASK)) for _ in range(5)]
    await asyncio.sleep(0)
    inner.go.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [inner.error] * 5
    inner.error = None
    assert (await engine.complete(ASK)).text == "answer 2"


async def test_a_waiting_request_is_answered_if_the_first_is_cancelled(cache):
    """The request in flight is finished, and not sent again."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    first, *others = [asyncio.create_task(engine.complete(ASK)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    inner.go.set()
    assert {answer.text for answer in await asyncio.gather(*others)} == {"answer 1"}
    assert first.cancelled()


async def test_what_is_in_flight_when_its_callers_are_cancelled_is_cached(cache):
    """`drain` waits for it."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    caller = asyncio.create_task(engine.complete(ASK))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    asyncio.get_running_loop().call_later(0.01, inner.go.set)
    await engine.drain(60)
    assert engine.n_in_flight == 0
    assert (await engine.complete(ASK)).text == "answer 1"


@pytest.mark.parametrize("grace_s", [0.0, 0.01])
async def test_draining_is_bounded(cache, grace_s):
    """What does not finish is cancelled, and asked again the next time."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    caller = asyncio.create_task(engine.complete(ASK))
    while not inner.asked:
        await asyncio.sleep(0)
    await engine.drain(grace_s)
    assert (engine.n_in_flight, caller.cancelling()) == (0, 0)
    with pytest.raises(asyncio.CancelledError):
        await caller
    inner.go.set()
    assert (await engine.complete(ASK)).text == "answer 2"


async def test_an_interrupted_drain_cancels_what_is_in_flight(cache):
    """Ctrl-C while a failed command waits ends it at once."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    caller = asyncio.create_task(engine.complete(ASK))
    await asyncio.sleep(0)
    draining = asyncio.create_task(engine.drain(60))
    await asyncio.sleep(0)
    draining.cancel()
    await asyncio.wait([draining, caller], timeout=5)
    assert draining.cancelled()
    assert engine.n_in_flight == 0


async def test_cancelling_a_waiting_request_does_not_cancel_the_first(cache):
    """Cancelling a waiting request does not cancel the one in flight."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    first, second = [asyncio.create_task(engine.complete(ASK)) for _ in range(2)]
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    inner.go.set()
    assert (await first).text == "answer 1"
    assert second.cancelled()


async def test_closing_closes_the_engine_underneath(cache):
    """The cache file stays open for its owner."""
    inner = Counting()
    await CachedEngine(inner, cache).aclose()
    assert inner.asked is None
    assert cache.get("nothing") is None


WRITER = """
import sys
from pathlib import Path
from evolcoder.engine.base import Completion
from evolcoder.engine.cache import CompletionCache
cache = CompletionCache(Path(sys.argv[1]))
for n in range(500):
    cache.put(f"{sys.argv[2]}{n}", Completion(sys.argv[2], "", "stop", 1, 1))
    cache.put(f"both{n}", Completion("both", "", "stop", 1, 1))
cache.close()
"""


def test_two_processes_may_write_one_file(path):
    """Neither blocks the other, and nothing is lost."""
    CompletionCache(path).close()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    cache = CompletionCache(path)
    for name in ("a", "b", "both"):
        assert all(cache.get(f"{name}{n}").text == name for n in range(500))
    cache.close()


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    """The error names the file, which is not modified."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but more than a hundred bytes of somebody's notes " * 10)
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"notes\.txt"):
        CompletionCache(path)
    assert path.read_bytes() == before


async def test_waiting_requests_get_the_error_of_a_full_disk(cache, monkeypatch):
    """If a completion cannot be stored, waiting callers get the error."""

    def full(key, completion):
        raise RunFolderError("no room")

    monkeypatch.setattr(cache, "put", full)
    engine = CachedEngine(Counting(), cache)
    outcomes = await asyncio.gather(
        *(engine.complete(ASK) for _ in range(3)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {RunFolderError}
