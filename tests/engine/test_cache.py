"""Completions are paid for once."""

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
    """An engine that counts, and answers or fails when told to."""

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


async def test_a_stored_completion_is_not_asked_for_again(path):
    """It comes back whole, in another process's lifetime too."""
    first = CompletionCache(path)
    given = await CachedEngine(Counting(), first).complete(ASK)
    first.close()
    second = CompletionCache(path)
    inner = Counting()
    assert await CachedEngine(inner, second).complete(ASK) == given
    assert inner.asked == []
    second.close()


async def test_a_completion_that_is_not_yet_committed_is_not_asked_for_again(cache):
    """Between its arrival and its commit it is found too."""
    inner = Counting()
    engine = CachedEngine(inner, cache)
    for _ in range(3):
        await engine.complete(ASK)
    assert len(inner.asked) == 1


async def test_completions_kept_at_hand_are_bounded(cache):
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
def test_whatever_decides_the_answer_is_in_the_key(what):
    """A request that differs in it is another request."""
    other = dataclasses.replace(ASK, **CHANGES[what])
    assert request_key("server", other) != request_key("server", ASK)


def test_the_engine_is_in_the_key():
    """Two servers may know different models by one name."""
    assert request_key("one", ASK) != request_key("two", ASK)


async def test_two_equal_requests_in_flight_become_one(cache):
    """The second joins the first."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    tasks = [asyncio.create_task(engine.complete(ASK)) for _ in range(10)]
    await asyncio.sleep(0)
    inner.go.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    assert len(inner.asked) == 1


async def test_a_failure_is_shared_and_not_stored(cache):
    """Everyone who joined hears of it, and whoever comes later asks anew."""
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


async def test_who_joined_is_answered_when_the_first_gives_up(cache):
    """Cancelling the request that asked passes the question on to one that waited."""
    inner = Counting()
    inner.go.clear()
    engine = CachedEngine(inner, cache)
    first, *others = [asyncio.create_task(engine.complete(ASK)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    inner.go.set()
    assert {answer.text for answer in await asyncio.gather(*others)} == {"answer 2"}
    assert first.cancelled()


async def test_who_gives_up_joining_leaves_the_first_alone(cache):
    """Cancelling a request that waits cancels nothing else."""
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
    """And leaves the file to whoever opened it."""
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
    """Neither waits for the other to end, and nothing is lost."""
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
    """It is named, and left as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but more than a hundred bytes of somebody's notes " * 10)
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"notes\.txt"):
        CompletionCache(path)
    assert path.read_bytes() == before


async def test_those_who_joined_hear_of_a_full_disk_too(cache, monkeypatch):
    """When a completion cannot be stored, nobody waits for it for ever."""

    def full(key, completion):
        raise RunFolderError("no room")

    monkeypatch.setattr(cache, "put", full)
    engine = CachedEngine(Counting(), cache)
    outcomes = await asyncio.gather(
        *(engine.complete(ASK) for _ in range(3)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {RunFolderError}
