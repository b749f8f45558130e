"""Each completion is paid for once."""

import asyncio
import contextlib
import dataclasses
import sqlite3
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


class AtAddress(Counting):
    """A counting engine of a server: its address does not decide the answer."""

    key_identity = ""


async def test_the_same_model_at_another_address_costs_nothing(cache):
    """Another port, another host: the completion is found."""
    first = await CachedEngine(AtAddress("http://127.0.0.1:8000/v1"), cache).complete(ASK)
    elsewhere = AtAddress("http://10.0.0.7:9000/v1")
    assert await CachedEngine(elsewhere, cache).complete(ASK) == first
    assert elsewhere.asked == []


async def test_a_file_is_part_of_the_key_and_a_name_is(cache):
    """Two files, and two names on one server, are different models."""
    engines = [Counting("gguf:1"), Counting("gguf:2"), AtAddress("http://h/v1")]
    for inner in engines:
        await CachedEngine(inner, cache).complete(ASK)
    other = dataclasses.replace(ASK, model="other")
    await CachedEngine(engines[-1], cache).complete(other)
    assert [len(inner.asked) for inner in engines] == [1, 1, 2]


async def test_completions_stored_under_an_address_are_found_from_there(path):
    """Caches of earlier versions stay warm, and what was found then costs nothing elsewhere."""
    old, new = "http://127.0.0.1:8000/v1", "http://127.0.0.1:9000/v1"
    again = dataclasses.replace(ASK, seed=8)
    earlier = CompletionCache(path)
    for request in (ASK, again):
        earlier.put(request_key(old, request), Completion("old", "", "stop", 3, 4))
    earlier.close()
    cache = CompletionCache(path)
    inner = AtAddress(new)
    assert (await CachedEngine(inner, cache).complete(ASK)).text == "answer 1"
    for address in (old, new):
        inner = AtAddress(address)
        assert (await CachedEngine(inner, cache).complete(again)).text == "old"
        assert inner.asked == []
    cache.close()


def test_a_request_without_extras_has_the_key_of_earlier_versions():
    """The hash is over the same data as before there were extras."""
    from evolcoder.ids import content_id

    value = ("gguf:1", "toy", [("user", "hello")], (0.7, 0.9, 50, 7))
    assert request_key("gguf:1", ASK) == content_id("request", value)


EXTRAS = (
    {},
    {"extra_body": {"enable_thinking": False}},
    {"extra_body": {"enable_thinking": True}},
    {"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}},
    {"headers": {"x-variant": "a"}},
    {"headers": {"x-variant": "b"}},
    {"extra_body": {"enable_thinking": True}, "headers": {"x-variant": "b"}},
)


def test_extras_are_part_of_the_key():
    """Each field and each header that is sent makes another request."""
    keys = {request_key("", dataclasses.replace(ASK, **extras)) for extras in EXTRAS}
    assert len(keys) == len(EXTRAS)


async def test_extras_never_take_an_answer_stored_without_them(cache):
    """What an earlier version stored under the address had no extras."""
    cache.had_rows = True
    inner = AtAddress("http://h/v1")
    cache.put(request_key(inner.identity, ASK), Completion("old", "", "stop", 3, 4))
    for extras in EXTRAS[1:]:
        found = await CachedEngine(inner, cache).complete(dataclasses.replace(ASK, **extras))
        assert found.text != "old"
    assert len(inner.asked) == len(EXTRAS) - 1


OLD_TABLE = """CREATE TABLE completions (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, reasoning TEXT NOT NULL, finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
)"""


def test_a_cache_of_an_earlier_version_is_read_and_written(tmp_path):
    """Its completions have no model and no cached tokens; new ones have."""
    path = tmp_path / "c.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(OLD_TABLE)
        db.execute("INSERT INTO completions VALUES ('k', 'text', '', 'stop', 3, 4)")
        db.execute("PRAGMA user_version=1")
    new = Completion("text", "", "stop", 3, 4, 2, 1, 3, "toy-2026")
    for _ in range(2):
        cache = CompletionCache(path)
        assert cache.get("k") == Completion("text", "", "stop", 3, 4)
        cache.put("n", new)
        assert cache.get("n") == new
        cache.close()


async def test_a_completion_that_broke_off_is_asked_for_again(path):
    """Neither a new one is kept nor one of an earlier version used."""

    class BreaksOff(Counting):
        async def complete(self, request):
            found = await super().complete(request)
            return dataclasses.replace(found, finish="abort" if len(self.asked) == 1 else "stop")

    cache, inner = CompletionCache(path), BreaksOff()
    engine = CachedEngine(inner, cache)
    finishes = [(await engine.complete(ASK)).finish for _ in range(3)]
    assert (finishes, len(inner.asked)) == (["abort", "stop", "stop"], 2)
    other = dataclasses.replace(ASK, seed=8)
    cache.put(request_key(inner.identity, other), Completion("half", "", "content_filter", 1, 1))
    assert (await engine.complete(other)).finish == "stop"
    cache.close()


async def test_thinking_that_an_earlier_version_left_in_the_text_is_split(path):
    """Its caches go on: the answer is the same as if it were asked for today."""
    cache, inner = CompletionCache(path), Counting()
    old = Completion("[THINK]hm[/THINK]\n    return x", "", "eos", 1, 1)
    cache.put(request_key(inner.identity, ASK), old)
    found = await CachedEngine(inner, cache).complete(ASK)
    assert (found.reasoning, found.text, found.finish) == ("hm", "    return x", "stop")
    assert inner.asked == []
    cache.close()


async def test_an_answer_that_an_earlier_version_stored_half_is_replaced(path):
    """It is asked for once, not in every run."""
    old = "http://127.0.0.1:8000/v1"
    earlier = CompletionCache(path)
    for identity in (old, "gguf:1"):
        half = Completion("half", "", "content_filter", 1, 1)
        earlier.put(request_key(identity, ASK), half)
    earlier.close()
    for inner in (AtAddress(old), Counting("gguf:1")):
        for _ in range(2):
            cache = CompletionCache(path)
            assert (await CachedEngine(inner, cache).complete(ASK)).text == "answer 1"
            cache.close()
        assert len(inner.asked) == 1


async def test_a_fresh_answer_and_a_cached_one_are_equal(path):
    """Also of a user's engine, which leaves thinking in the text."""

    class Thinks(Counting):
        async def complete(self, request):
            found = await super().complete(request)
            return dataclasses.replace(found, text="<think>hm</think>yes", reasoning="")

    cache = CompletionCache(path)
    engine = CachedEngine(Thinks(), cache)
    answers = [await engine.complete(ASK) for _ in range(2)]
    assert [(one.text, one.reasoning) for one in answers] == [("yes", "hm")] * 2
    cache.close()
