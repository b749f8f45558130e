"""Failures of servers, and how the engine handles them."""

import asyncio

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import EngineError, ModelError
from loopback import (
    Loopback,
    half,
    hang,
    huge,
    huge_in_chunks,
    not_http,
    raw,
    reset,
    status,
)

pytestmark = pytest.mark.virtual_time


def ask(prompt="hello", *, model="toy", max_tokens=50):
    return Request(model, (Message("user", prompt),), Sampling(1.0, 0.9, max_tokens), 7)


def engine_for(server, *, key=None, **traffic):
    return OpenAIEngine(server.base_url, api_key=key, traffic=TrafficConfig(**traffic))


def now():
    return asyncio.get_running_loop().time()


PASSING = {
    "408": status(408),
    "409": status(409),
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "529": status(529),
    "connection reset": reset,
    "half a body": half,
    "not HTTP": not_http,
    "not JSON": raw(b'{"choices": [{"mess'),
    "no completion": raw(b'{"choices": []}'),
    "an error with status 200": raw(b'{"error": {"message": "overloaded"}}'),
    "JSON nested too deeply": raw(b"[" * 100_000),
    "nothing": raw(b""),
    "a broken encoding": raw(b"\xff\xfe\x00"),
    "10 MB": huge,
    "10 MB of unannounced length": huge_in_chunks,
    "silence": hang,
}


@pytest.mark.parametrize("mishap", PASSING.values(), ids=PASSING)
async def test_transient_failures_are_retried(mishap):
    """After one transient failure of any kind, the second attempt succeeds."""
    async with Loopback() as server:
        server.mishaps.append(mishap)
        engine = engine_for(server)
        completion = await engine.complete(ask())
        await engine.aclose()
    assert completion.text == "You said: hello"
    assert server.n_calls == 2


FAILING = (
    "500",
    "half a body",
    "not HTTP",
    "not JSON",
    "no completion",
    "JSON nested too deeply",
    "silence",
)


@pytest.mark.parametrize("name", FAILING)
async def test_a_server_that_keeps_failing_is_given_up_after_max_tries(name):
    """The error has the response and the number of attempts, and is retryable."""
    async with Loopback(always=PASSING[name]) as server:
        engine = engine_for(server, max_tries=3, max_retry_s=10_000)
        with pytest.raises(EngineError, match="3 tries") as caught:
            await engine.complete(ask())
        await engine.aclose()
    assert caught.value.retryable
    assert server.n_calls == 3


WAITING = ["429", "502", "503", "504", "529", "connection reset"]


@pytest.mark.parametrize("name", WAITING)
async def test_an_unreachable_server_is_retried_until_max_retry_s(name):
    """While the server is unreachable or asks to wait, only max_retry_s is a limit."""
    async with Loopback(always=PASSING[name]) as server:
        engine = engine_for(server, max_tries=2, max_retry_s=300)
        with pytest.raises(EngineError) as caught:
            await engine.complete(ask())
        await engine.aclose()
        assert 200 < now() <= 301
    assert caught.value.retryable
    assert server.n_calls > 10


async def test_retries_are_bounded_in_seconds_too():
    """Slow failures end at max_retry_s, however many attempts are left."""
    async with Loopback(always=hang) as server:
        engine = engine_for(server, timeout_s=50, max_tries=1000, max_retry_s=120)
        with pytest.raises(EngineError, match="no answer in time"):
            await engine.complete(ask())
        await engine.aclose()
        assert now() < 50 + 120 + 50 + 1


async def test_a_request_that_the_server_cuts_while_it_answers_others_is_given_up():
    """A connection closed for one prompt only counts as an attempt."""

    def answer(prompt):
        return reset if prompt == "poison" else prompt

    async with Loopback(answer=answer, latency_s=0.2) as server:
        engine = engine_for(server, max_tries=3, max_retry_s=10_000)
        others = asyncio.create_task(_ask_for_ever(engine))
        with pytest.raises(EngineError, match="closed connection"):
            await engine.complete(ask("poison"))
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        await engine.aclose()
    assert server.prompts().count("poison") < 10


async def _ask_for_ever(engine):
    while True:
        await asyncio.gather(*(engine.complete(ask(f"other {i}")) for i in range(4)))


@pytest.mark.parametrize("code", [400, 413, 422, 418])
async def test_a_rejected_request_is_not_tried_again(code):
    """A request with invalid content is sent once; other requests continue."""
    async with Loopback() as server:
        server.mishaps.append(status(code, "context is too long"))
        engine = engine_for(server)
        with pytest.raises(EngineError, match="context is too long") as caught:
            await engine.complete(ask("long"))
        assert (await engine.complete(ask("short"))).text == "You said: short"
        await engine.aclose()
    assert not caught.value.retryable
    assert caught.value.asked == f"toy at {server.base_url}"
    assert server.prompts() == ["long", "short"]


@pytest.mark.parametrize("mishap", [huge, huge_in_chunks], ids=["announced", "unannounced"])
async def test_an_answer_of_10_mb_is_asked_for_twice_at_most(mishap):
    """The first may be an accident; the second failure is final."""
    async with Loopback(always=mishap) as server:
        engine = engine_for(server)
        with pytest.raises(EngineError, match="more than 8 MiB") as caught:
            await engine.complete(ask())
        await engine.aclose()
    assert not caught.value.retryable
    assert server.n_calls == 2


async def test_a_hanging_server_costs_timeout_s():
    """An attempt ends after timeout_s, and the next succeeds."""
    async with Loopback() as server:
        server.mishaps.append(hang)
        engine = engine_for(server, timeout_s=30)
        await engine.complete(ask())
        await engine.aclose()
        assert 30 <= now() < 33


async def test_a_server_that_dies_for_a_minute_and_returns_loses_nothing():
    """Requests in flight and requests made during the outage are answered within 30 s."""
    async with Loopback(latency_s=5) as server:
        engine = engine_for(server, max_tries=2)
        early = [asyncio.create_task(engine.complete(ask(f"early {i}"))) for i in range(20)]
        await asyncio.sleep(1)
        await server.stop()
        late = [asyncio.create_task(engine.complete(ask(f"late {i}"))) for i in range(20)]
        await asyncio.sleep(60)
        await server.start()
        answers = await asyncio.gather(*early, *late)
        await engine.aclose()
        assert now() < 61 + 30
    expected = [f"You said: {when} {i}" for when in ("early", "late") for i in range(20)]
    assert [answer.text for answer in answers] == expected


async def test_a_server_that_was_never_there_is_an_error_that_says_so():
    """A refused connection is retried for max_retry_s and then reported."""
    async with Loopback() as server:
        pass
    engine = engine_for(server, max_tries=1, max_retry_s=30)
    with pytest.raises(EngineError, match="no connection") as caught:
        await engine.complete(ask())
    await engine.aclose()
    assert caught.value.retryable
    assert 5 < now() <= 30


async def test_a_storm_of_429_lowers_the_requests_in_flight_and_loses_nothing():
    """A server that takes 4 at once answers 300 requests of an engine that began with 64."""
    async with Loopback(capacity=4, latency_s=1) as server:
        engine = engine_for(server, concurrency=64, max_retry_s=3000)
        answers = await asyncio.gather(*(engine.complete(ask(str(i))) for i in range(300)))
        assert engine.limit <= 8
        await engine.aclose()
    assert [answer.text for answer in answers] == [f"You said: {i}" for i in range(300)]
    refused = sum(call.status == 429 for call in server.calls)
    assert refused < 150


async def test_a_failed_request_keeps_its_place_in_the_queue():
    """Retries are admitted before requests that were not sent yet."""
    async with Loopback(latency_s=5) as server:
        server.mishaps.append(status(500))
        engine = engine_for(server, concurrency=1)
        await asyncio.gather(*(engine.complete(ask(prompt)) for prompt in "abcd"))
        await engine.aclose()
    assert server.prompts() == ["a", "b", "a", "c", "d"]


async def test_retry_after_holds_back_every_request():
    """No request is sent before the time that the server asks for."""
    async with Loopback() as server:
        server.mishaps.append(status(429, retry_after="40"))
        engine = engine_for(server)
        first = asyncio.create_task(engine.complete(ask("first")))
        await asyncio.sleep(1)
        await asyncio.gather(first, *(engine.complete(ask(str(i))) for i in range(5)))
        await engine.aclose()
    assert min(call.received for call in server.calls[1:]) >= 40


async def test_a_retry_after_of_a_day_is_cut_short():
    """Delays between attempts are at most two minutes."""
    async with Loopback() as server:
        server.mishaps.append(status(503, retry_after="86400"))
        engine = engine_for(server)
        await engine.complete(ask())
        await engine.aclose()
        assert 120 <= now() < 125


FATAL = {
    "wrong key": (status(401, "Incorrect API key"), "set OPENAI_API_KEY"),
    "no credit": (status(402, "pay"), "add credit"),
    "proxy": (status(407, "Proxy Authentication Required"), "a proxy asks for credentials"),
    "moved": (status(308, "moved", location="https://example.org/v1"), "https://example.org/v1"),
}


@pytest.mark.parametrize("name", FATAL)
async def test_setup_errors_are_reported_at_once(name):
    """ModelError with advice, after a single attempt."""
    mishap, advice = FATAL[name]
    async with Loopback(always=mishap) as server:
        engine = engine_for(server)
        with pytest.raises(ModelError, match=advice) as caught:
            await engine.complete(ask())
        await engine.aclose()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(server.base_url)
    assert server.n_calls == 1


async def test_an_account_without_credit_is_not_waited_for():
    """OpenAI sends 429 for it, but waiting does not help."""
    body = b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    async with Loopback(always=raw(body, 429)) as server:
        engine = engine_for(server)
        with pytest.raises(ModelError, match="add credit"):
            await engine.complete(ask())
        await engine.aclose()
    assert server.n_calls == 1
