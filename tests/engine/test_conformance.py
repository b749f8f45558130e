"""The laws of the Engine contract; every implementation is put through all of them.

A new engine gets one entry in `FACTORIES`. An engine that hosts a real model cannot be told what to
say: it skips the laws that need that, by name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import toy_model
from batch_server import BatchServer, in_loop
from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Completion, Engine, Message, Request, Sampling
from evolcoder.engine.batch.anthropic import AnthropicBatches, anthropic_endpoint
from evolcoder.engine.batch.engine import BatchEngine
from evolcoder.engine.batch.ledger import BatchLedger
from evolcoder.engine.batch.openai import OpenAIBatches
from evolcoder.engine.batch.service import BatchHttp
from evolcoder.engine.cache import CachedEngine, CompletionCache
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.llamacpp import LlamaCppEngine
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.registry import KNOWN
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.engine.server_pool import ServerPool
from evolcoder.engine.transformers_engine import TransformersEngine
from evolcoder.errors import EngineError
from loopback import Loopback, status

REFUSAL = "I'm sorry, but I can't help with that."
COUNTED = " ".join(str(n) for n in range(1, 31))


def obey(prompt):
    """What a model says that can be told what to say."""
    order, _, text = prompt.partition(":")
    return {
        "say": text,
        "say nothing": "",
        "refuse": REFUSAL,
        "count": COUNTED,
        "think": "<think>Two and two.</think>\n\nFour.",
    }[order]


@dataclass(frozen=True)
class Subject:
    """An engine under test."""

    engine: Engine
    """The engine."""
    rejected: str
    """A prompt that it rejects."""
    obeys: bool = True
    """Whether the test can choose its answers."""
    lasts: bool = False
    """Whether it is too expensive to create for each test."""

    async def ask(self, prompt, *, max_tokens=40, seed=7):
        sampling = Sampling(0.0, 1.0, max_tokens)
        return await self.engine.complete(
            Request("toy", (Message("user", prompt),), sampling, seed)
        )


def from_script(request):
    if (prompt := request.messages[-1].content) == "fail":
        raise EngineError("rejected", asked="scripted", got="no", retryable=False)
    return obey(prompt)


@contextlib.asynccontextmanager
async def scripted(place):
    yield Subject(ScriptedEngine(from_script), "fail")


@contextlib.asynccontextmanager
async def cached(place):
    cache = CompletionCache(place.folder / "completions.db")
    yield Subject(CachedEngine(ScriptedEngine(from_script), cache), "fail")
    cache.close()


@contextlib.asynccontextmanager
async def openai(place):
    def answer(prompt):
        return status(400, "no") if prompt == "fail" else obey(prompt)

    async with Loopback(answer=answer) as server:
        engine = OpenAIEngine(server.base_url, api_key="sk-test", traffic=TrafficConfig())
        yield Subject(engine, "fail")


@contextlib.asynccontextmanager
async def server_pool(place):
    def answer(prompt):
        return status(400, "no") if prompt == "fail" else obey(prompt)

    async with Loopback(answer=answer) as first, Loopback(answer=answer) as second:
        servers = [
            OpenAIEngine(one.base_url, api_key="sk-test", traffic=TrafficConfig())
            for one in (first, second)
        ]
        yield Subject(ServerPool(servers, TrafficConfig(), lambda _: None), "fail")


def batched(is_anthropic):
    """Make the factory of one batch API."""

    def verdict(body, n_batch):
        is_bad = body["messages"][-1]["content"] == "fail"
        return (400, {"type": "invalid_request_error", "message": "no"}) if is_bad else 200

    @contextlib.asynccontextmanager
    async def factory(place):
        async with in_loop(BatchServer(answer=obey, verdict=verdict)) as server:
            traffic = TrafficConfig(batch=True, batch_quiet_s=0.01, batch_poll_s=0.01)
            endpoint = Endpoint.of(server.base_url, api_key="sk-test")
            if is_anthropic:
                endpoint = anthropic_endpoint(endpoint, "sk-test")
            http = BatchHttp(endpoint, traffic)
            service = AnthropicBatches(http) if is_anthropic else OpenAIBatches(http)
            ledger = BatchLedger(place.folder / f"{id(server)}.db")
            yield Subject(BatchEngine(service, ledger, endpoint, "toy", traffic), "fail")

    return factory


@contextlib.asynccontextmanager
async def llamacpp(place):
    yield Subject(place.llama(), "word " * 2000, obeys=False, lasts=True)


@contextlib.asynccontextmanager
async def transformers(place: "Place") -> AsyncIterator[Subject]:
    """A folder of weights that has learnt nothing: its words are noise, its laws are those of all."""
    folder = toy_model.make_base(place.folder / "base")
    engine = TransformersEngine.load(folder)
    yield Subject(engine, "word " * 2000, obeys=False, lasts=False)


FACTORIES: dict[str, Callable[["Place"], contextlib.AbstractAsyncContextManager[Subject]]] = {
    "scripted": scripted,
    "cached": cached,
    "openai": openai,
    "server pool": server_pool,
    "openai batches": batched(is_anthropic=False),
    "anthropic batches": batched(is_anthropic=True),
    "llamacpp": llamacpp,
    "transformers": transformers,
}
"""Name -> how to make the engine: one entry for each implementation."""
SLOW = {"llamacpp": pytest.mark.e2e, "transformers": pytest.mark.train}
"""Engines of real models -> the group of their tests."""


@dataclass(frozen=True)
class Place:
    """What a factory may need."""

    folder: Path
    """An empty folder."""
    llama: Callable[[], LlamaCppEngine]
    """Provides an in-process model, loaded once and again after it was closed."""


@pytest.fixture(scope="module")
def llama(real_cache):
    loaded = []

    def load():
        pytest.importorskip("xllamacpp")
        model = KNOWN["qwen2.5-coder-0.5b"]
        path = real_cache / "models" / model.file
        if not path.exists():
            pytest.skip(f"{model.name} is not in the cache folder")
        if not loaded or loaded[-1]._closing.is_set():
            traffic = TrafficConfig(slots=2, threads=1)
            engine = LlamaCppEngine.load(path, model.sha256, n_ctx=512, traffic=traffic)
            loaded.append(engine)
        return loaded[-1]

    yield load
    for engine in loaded[-1:]:
        asyncio.run(engine.aclose())


@pytest.fixture(
    params=[pytest.param(name, marks=SLOW[name]) if name in SLOW else name for name in FACTORIES]
)
def opened(request, tmp_path, llama):
    """Open a subject and close it after the test, unless it is shared between tests."""

    @contextlib.asynccontextmanager
    async def open_subject() -> AsyncIterator[Subject]:
        async with FACTORIES[request.param](Place(tmp_path, llama)) as subject:
            try:
                yield subject
            finally:
                if not subject.lasts:
                    await subject.engine.aclose()

    return open_subject


def only_if_it_obeys(subject):
    if not subject.obeys:
        pytest.skip("a real model says what it likes")


async def test_equal_requests_get_equivalent_answers(opened):
    """A greedy request sent twice gets the same answer."""
    async with opened() as subject:
        first, second = [await subject.ask("count: 1 2 3 4 5", max_tokens=8) for _ in range(2)]
        assert first.text
        assert (first.text, first.finish) == (second.text, second.finish)


async def test_a_completion_is_counted(opened):
    """All fields have the right types; prompt and completion tokens are counted."""
    async with opened() as subject:
        completion = await subject.ask("say: two words", max_tokens=20)
        assert isinstance(completion, Completion)
        assert completion.prompt_tokens > 0
        assert 0 < completion.completion_tokens <= 20
        assert completion.finish in {"stop", "length"}
        assert completion.reasoning == ""


async def test_a_refusal_is_a_completion(opened):
    """Refusals are detected later."""
    async with opened() as subject:
        only_if_it_obeys(subject)
        assert (await subject.ask("refuse")).text == REFUSAL


async def test_an_empty_answer_is_a_completion(opened):
    """It has no text and finish `stop`."""
    async with opened() as subject:
        only_if_it_obeys(subject)
        empty = await subject.ask("say nothing")
        assert (empty.text, empty.finish) == ("", "stop")


async def test_a_rejected_request_is_an_engine_error_and_the_next_is_answered(opened):
    """The error has the request and the response, and is not retryable."""
    async with opened() as subject:
        with pytest.raises(EngineError) as caught:
            await subject.ask(subject.rejected)
        assert caught.value.asked
        assert caught.value.got
        assert not caught.value.retryable
        assert (await subject.ask("say: hello", max_tokens=4)).text


async def test_an_answer_cut_off_says_so(opened):
    """`length` at max_tokens, and at most that many tokens."""
    async with opened() as subject:
        cut = await subject.ask("count: one to a hundred, in words", max_tokens=5)
        assert cut.finish == "length"
        assert cut.text
        assert cut.completion_tokens == 5


async def test_a_whole_answer_says_so(opened):
    """`stop`, with the complete text."""
    async with opened() as subject:
        only_if_it_obeys(subject)
        whole = await subject.ask("count")
        assert (whole.text, whole.finish) == (COUNTED, "stop")


async def test_reasoning_is_kept_apart(opened):
    """Reasoning is not part of the answer."""
    async with opened() as subject:
        only_if_it_obeys(subject)
        thought = await subject.ask("think")
        assert (thought.reasoning, thought.text) == ("Two and two.", "Four.")


ODD = (
    "naïve 漢字 Ωμέγα 🙂👩‍👩‍👧 עברית",
    "tab\tline\nreturn\r\nbell\x07escape\x1b[31mred",
    "line\u2028paragraph\u2029override\u202eend\ufeff",
    '"quotes" \\backslash\\ {braces} </s> <|im_end|> ```',
)


@pytest.mark.parametrize("text", ODD, ids=["scripts", "controls", "separators", "syntax"])
async def test_every_character_survives(opened, text):
    """In requests and in answers."""
    async with opened() as subject:
        answer = await subject.ask(f"say:{text}")
        assert answer.text == text or not subject.obeys


async def test_what_no_encoder_takes_is_replaced(opened):
    """Lone surrogates and NUL become U+FFFD, so every answer can be stored and exported."""
    async with opened() as subject:
        answer = await subject.ask("say:a\ud83db\x00c")
        assert answer.text == "a\ufffdb\ufffdc" or not subject.obeys
        assert answer.text.encode()


async def test_many_requests_at_once_each_get_their_own_answer(opened):
    """From coroutines of one loop, in any order of completion."""
    async with opened() as subject:
        n = 200 if subject.obeys else 6
        answers = await asyncio.gather(
            *(subject.ask(f"say:number {i}", max_tokens=4) for i in range(n))
        )
        if subject.obeys:
            assert [answer.text for answer in answers] == [f"number {i}" for i in range(n)]
        assert all(answer.completion_tokens <= 4 for answer in answers)


async def test_a_cancelled_request_leaves_the_engine_usable(opened):
    """Also when many are cancelled at once."""
    async with opened() as subject:
        tasks = [
            asyncio.create_task(subject.ask(f"count: {i}" if i else "count", max_tokens=300))
            for i in range(6)
        ]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await subject.ask("say: hello", max_tokens=4)).text


async def test_closing_twice_is_allowed(opened):
    """Whether it was used or not; the fixture closes it once more."""
    async with opened() as subject:
        await subject.ask("say: hello", max_tokens=4)
        await subject.engine.aclose()
        await subject.engine.aclose()


async def test_an_engine_that_was_never_used_can_be_closed(opened):
    """Closing returns at once: a run may end before its first request."""
    for _ in range(2):
        async with opened() as subject:
            await subject.engine.aclose()


async def test_an_engine_has_an_identity(opened):
    """One line without blanks, stored with every record and part of the cache key."""
    async with opened() as subject:
        assert subject.engine.identity
        assert len(subject.engine.identity.split()) == 1
