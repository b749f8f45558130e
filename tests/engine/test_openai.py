"""The engine for OpenAI-compatible servers in normal operation."""

import asyncio
import contextlib
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import virtual_time
from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Completion, Message, Request, Role, Sampling
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import EngineError, ModelError
from loopback import Loopback, hang, in_process, raw, status

pytestmark = pytest.mark.virtual_time

SAMPLING = Sampling(0.7, 0.95, 50)


def ask(prompt="hello", *, model="toy", max_tokens=50):
    sampling = Sampling(0.7, 0.95, max_tokens)
    return Request(model, (Message("user", prompt),), sampling, 7)


def engine_for(server, *, key=None, **traffic):
    return OpenAIEngine(server.base_url, api_key=key, traffic=TrafficConfig(**traffic))


def now():
    return asyncio.get_running_loop().time()


async def test_everything_that_decides_the_answer_is_sent():
    """Model, system message, chat, temperature, top_p, max_tokens and seed."""
    async with Loopback() as server:
        engine = engine_for(server, key="sk-test")
        role = Role(engine, "toy", SAMPLING, system="Be brief.")
        await role.ask((Message("user", "hello"),), seed=42)
        await engine.aclose()
    (call,) = server.calls
    assert call.body == {
        "model": "toy",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 50,
        "seed": 42,
    }
    assert call.headers["authorization"] == "Bearer sk-test"
    assert call.headers["content-type"] == "application/json"


async def test_no_seed_is_sent_where_the_traffic_says_so():
    """Other rejected parameters are still learnt, and no seed is sent."""
    async with Loopback() as server:
        server.mishaps.append(status(400, "unsupported parameter: top_p"))
        engine = engine_for(server, seeds=False)
        await engine.complete(ask())
        await engine.complete(ask())
        await engine.aclose()
    assert all("seed" not in call.body for call in server.calls)
    assert ["top_p" in call.body for call in server.calls] == [True, False, False]


async def test_connections_are_used_again():
    """A thousand requests, ten at a time, need ten connections."""
    ports = set()

    async def note_port(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return await raw(b'{"choices": [{"message": {"content": ""}}]}')(request)

    async with Loopback(always=note_port) as server:
        engine = engine_for(server, concurrency=10)
        await asyncio.gather(*(engine.complete(ask()) for _ in range(1000)))
        await engine.aclose()
    assert len(ports) == 10


async def test_the_limit_of_requests_in_flight_is_kept_and_shown():
    """The server never sees more than traffic.concurrency; the engine reports the number."""
    async with Loopback(latency_s=1) as server:
        engine = engine_for(server, concurrency=6)
        tasks = [asyncio.create_task(engine.complete(ask())) for _ in range(30)]
        await asyncio.sleep(0.5)
        assert (engine.in_flight, engine.limit) == (6, 6)
        await asyncio.gather(*tasks)
        assert engine.in_flight == 0
        await engine.aclose()
    assert server.most_in_flight == 6


async def test_a_minutes_requests_and_tokens_are_kept():
    """traffic.requests_per_minute and tokens_per_minute hold as measured by the server."""
    async with Loopback() as server:
        engine = engine_for(server, requests_per_minute=60)
        await asyncio.gather(*(engine.complete(ask()) for _ in range(61)))
        assert now() > 59.9
        await engine.aclose()
    async with Loopback() as server:
        engine = engine_for(server, tokens_per_minute=1000)
        began = now()
        await asyncio.gather(*(engine.complete(ask(max_tokens=498)) for _ in range(3)))
        await engine.aclose()
    # Answers of three words give back most of what was set aside for 498 tokens.
    assert now() - began < 3
    assert server.n_calls == 3


async def test_a_parameter_that_a_model_refuses_is_not_sent_to_it_again():
    """After the first error the parameter is left out for this model, and sent to others."""
    newer = raw(
        b'{"error": {"message": "Unsupported parameter", "param": "max_tokens", '
        b'"code": "unsupported_parameter"}}',
        400,
    )
    fixed = raw(
        b'{"error": {"message": "\'temperature\' does not support 0.7 with this model.", '
        b'"param": "temperature", "code": "unsupported_value"}}',
        400,
    )
    async with Loopback(models=("newer", "toy")) as server:
        server.mishaps.extend([newer, fixed])
        server.reply = lambda body, text: {"choices": [{"message": {"content": text}}]}
        engine = engine_for(server)
        for model in ("newer", "newer", "toy"):
            await engine.complete(ask(model=model))
        assert engine.not_sent == {"newer": ("max_tokens", "temperature")}
        await engine.aclose()
    *_, third, fourth, other = [call.body for call in server.calls]
    for body in (third, fourth):
        assert body["max_completion_tokens"] == 50
        assert {"max_tokens", "temperature"}.isdisjoint(body)
        assert body["seed"] == 7
    assert other["max_tokens"] == 50
    assert len(server.calls) == 5


async def test_a_model_that_refuses_everything_is_an_error_in_the_end():
    """Parameters are left out one by one; then the request counts as rejected."""

    async def refuse(request):
        named = [name for name in ("seed", "temperature") if f'"{name}"' in await request.text()]
        message = f"unknown parameter: {named[0] if named else 'seed'}"
        return await status(400, message)(request)

    async with Loopback(always=refuse) as server:
        engine = engine_for(server)
        with pytest.raises(EngineError, match="unknown parameter") as caught:
            await engine.complete(ask())
        await engine.aclose()
    assert not caught.value.retryable
    assert server.n_calls == 3


async def test_many_requests_learn_of_a_refused_parameter_at_once():
    """Requests in flight when the first was rejected succeed too."""

    async def newer(request):
        if "max_completion_tokens" in await request.text():
            return await raw(b'{"choices": [{"message": {"content": "ok"}}]}')(request)
        return await status(400, "Unsupported parameter: max_tokens")(request)

    async with Loopback(always=newer) as server:
        engine = engine_for(server, concurrency=20)
        answers = await asyncio.gather(*(engine.complete(ask(str(i))) for i in range(100)))
        await engine.aclose()
    assert {answer.text for answer in answers} == {"ok"}
    assert server.n_calls <= 120


async def test_a_cancelled_request_frees_its_place():
    """The next request is sent at once."""
    async with Loopback() as server:
        server.mishaps.append(hang)
        engine = engine_for(server, concurrency=1)
        stuck = asyncio.create_task(engine.complete(ask("stuck")))
        await asyncio.sleep(1)
        stuck.cancel()
        await engine.complete(ask("next"))
        assert (engine.in_flight, now() < 2) == (0, True)
        await engine.aclose()
    assert stuck.cancelled()


async def test_the_timeout_of_a_caller_is_no_fault_of_the_server():
    """asyncio.timeout around a request ends it without a retry."""
    async with Loopback(always=hang) as server:
        engine = engine_for(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await engine.complete(ask())
        await engine.aclose()
    assert server.n_calls == 1


async def test_an_engine_that_was_never_used_is_closed_without_a_trace():
    """No connection is opened before the first request."""
    engine = OpenAIEngine("http://127.0.0.1:1/v1", api_key=None, traffic=TrafficConfig())
    await engine.aclose()
    assert repr(engine) == "OpenAIEngine('http://127.0.0.1:1/v1')"


def test_too_many_open_files_lower_the_requests_in_flight():
    """A concurrency above `ulimit -n` settles below it, and every request is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))

    async def law(base_url):
        traffic = TrafficConfig(concurrency=400)
        engine = OpenAIEngine(base_url, api_key=None, traffic=traffic, backoff_s=0.01)
        await engine.complete(ask())
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 50, hard))
        try:
            await asyncio.gather(*(engine.complete(ask(str(i))) for i in range(300)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert engine.limit < 100
        await engine.aclose()

    with in_process(latency_s=0.02) as base_url:
        asyncio.run(law(base_url))


@settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda head, body: b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body,
        st.sampled_from(
            [
                b"Content-Length: 5",
                b"Content-Length: -1",
                b"Transfer-Encoding: chunked",
                b"Content-Encoding: gzip",
                b"Content-Encoding: br\r\nContent-Length: 3",
                b"X: " + b"y" * 20_000,
                b"Connection: upgrade\r\nUpgrade: h2c",
            ]
        ),
        st.binary(max_size=50),
    )
)
def test_no_bytes_make_the_engine_raise_anything_else(response):
    """Whatever bytes arrive, the outcome is a completion, an EngineError or a ModelError."""

    async def send(request):
        request.transport.write(response)
        request.transport.close()
        return await hang(request)

    async def law():
        async with Loopback(always=send) as server:
            engine = engine_for(server, max_tries=1, max_retry_s=5)
            with contextlib.suppress(EngineError, ModelError):
                assert isinstance(await engine.complete(ask()), Completion)
            await engine.aclose()
        assert server.n_calls > 0

    virtual_time.run(law())
