"""The check before a run: server reachable, key accepted; the list of models is a hint."""

import asyncio
import json
import re

import pytest

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.openai import PROBE_TRIES, OpenAIEngine
from evolcoder.errors import EngineError, ModelError
from loopback import Loopback, raw, status

pytestmark = pytest.mark.virtual_time


def engine_for(server, *, key=None):
    return OpenAIEngine(server.base_url, api_key=key, traffic=TrafficConfig())


def ask(model):
    return Request(model, (Message("user", "hello"),), Sampling(1.0, 0.9, 50), 7)


def names(*listed):
    return raw(json.dumps({"data": [{"id": name} for name in listed]}).encode())


def now():
    return asyncio.get_running_loop().time()


async def test_probe_accepts_a_model_that_the_server_lists():
    """Without a completion request."""
    async with Loopback(models=("toy", "other")) as server:
        engine = engine_for(server)
        await engine.probe("other")
        await engine.aclose()
    assert server.n_calls == 0


@pytest.mark.parametrize(
    ("models", "wanted", "advice"),
    [
        (("qwen2.5-coder", "llama"), "qwen2.5-codr", "did you mean 'qwen2.5-coder'?"),
        (("a", "b"), "zzz", "it has a, b$"),
        (tuple("abcdefg"), "zzz", "it has a, b, c, d, e and 2 more"),
    ],
)
async def test_a_name_that_is_not_listed_is_asked_once(models, wanted, advice):
    """The chat call decides; its error names the nearest listed model, or else the first five."""
    async with Loopback(models=models) as server:
        engine = engine_for(server)
        await engine.probe(wanted)
        with pytest.raises(EngineError, match=wanted) as caught:
            await engine.complete(ask(wanted))
        await engine.aclose()
    assert re.search(advice, caught.value.advice)
    assert f"does not list {wanted!r}" in caught.value.advice
    assert server.n_calls == 1


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [
        ("models/gemini-flash", "gemini-flash"),
        ("llama3:latest", "llama3"),
        ("*", "any-name"),
        ("openai/*", "openai/gpt-4o"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini:nitro"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3:fastest"),
        ("gpt-4o-2024-08-06", "my-deployment"),
    ],
)
async def test_a_name_that_the_server_takes_is_answered_whether_it_is_listed_or_not(listed, wanted):
    """The first request to an unlisted name is sent alone, the others at once."""
    async with Loopback(models=(listed, wanted), latency_s=1, listing=names(listed)) as server:
        engine = engine_for(server)
        await engine.probe(wanted)
        await asyncio.gather(*(engine.complete(ask(wanted)) for _ in range(5)))
        await engine.aclose()
    in_first_second = sum(call.received < 1 for call in server.calls)
    assert in_first_second == (5 if listed.endswith(("*", ":latest", "flash")) else 1)


@pytest.mark.parametrize(
    "listing",
    [
        status(403, "Missing scopes: api.model.read"),
        status(404),
        status(405),
        status(429),
        raw(b"hello"),
        raw(b"{}"),
        raw(b'{"data": []}'),
    ],
    ids=["403", "404", "405", "429", "no JSON", "no list", "an empty list"],
)
async def test_probe_accepts_a_server_without_a_model_list(listing):
    """Not every server has a model list."""
    async with Loopback(listing=listing) as server:
        engine = engine_for(server)
        await engine.probe("toy")
        await engine.aclose()


async def test_probe_rejects_a_wrong_key():
    """Before anything is paid for."""
    async with Loopback(key="sk-right") as server:
        engine = engine_for(server, key="sk-wrong")
        with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
            await engine.probe("toy")
        await engine.aclose()


async def test_probe_reports_an_unreachable_server_soon():
    """A few attempts within seconds, and one line."""
    async with Loopback() as server:
        pass
    engine = engine_for(server)
    with pytest.raises(ModelError, match=r"cannot be reached \(no connection.*start the server"):
        await engine.probe("toy")
    await engine.aclose()
    assert now() < 10


async def test_probe_tries_a_failing_server_again():
    """The server may still be starting."""
    tries = []

    async def starting(request):
        tries.append(now())
        code = 503 if len(tries) < PROBE_TRIES else 404
        return await status(code)(request)

    async with Loopback(listing=starting) as server:
        engine = engine_for(server)
        await engine.probe("toy")
        await engine.aclose()
    assert len(tries) == PROBE_TRIES


async def test_probe_names_what_a_failing_server_says():
    """A persistent error is reported."""
    async with Loopback(listing=status(500, "out of memory")) as server:
        engine = engine_for(server)
        with pytest.raises(ModelError, match=r"HTTP 500: out of memory"):
            await engine.probe("toy")
        await engine.aclose()


async def test_a_server_that_moved_is_not_followed():
    """A redirect turns POST into GET, so the user has to use the new URL."""
    async with Loopback(listing=status(301, location="https://example.org")) as server:
        engine = engine_for(server)
        with pytest.raises(ModelError, match=r"has moved .*https://example.org"):
            await engine.probe("toy")
        await engine.aclose()


def sized(**sizes):
    """A list of models as llama.cpp answers it."""
    rows = [{"id": name, "meta": {"n_params": n, "n_ctx": 4096}} for name, n in sizes.items()]
    return raw(json.dumps({"object": "list", "data": rows}).encode())


@pytest.mark.parametrize(
    ("listing", "billions"),
    [
        (sized(mine=1_777_088_000), 1.777088),
        (sized(coder=7_615_616_512), 7.615616512),  # one model answers to every name
        (sized(mine=1_500_000_000, other=7_000_000_000), 1.5),
        (sized(other=7_000_000_000, another=1_500_000_000), None),
        (sized(mine=0), None),
        (sized(mine="7B"), None),
        (sized(mine=True), None),
        (sized(mine=None), None),
        (raw(b'{"data": [{"id": "mine", "meta": null}]}'), None),
        (raw(b'{"data": [{"id": "mine", "meta": [1]}]}'), None),
        (raw(b'{"data": ["mine", 3, null]}'), None),
        (raw(b'{"data": {"id": "mine"}}'), None),
        (raw(b'{"data": 3}'), None),
        (raw(b'{"data": null}'), None),
        (names("mine"), None),
        (raw(b"<html>"), None),
        (status(404), None),
    ],
)
async def test_a_size_that_the_server_states_is_known(listing, billions):
    """That of the asked model, whatever else the list holds; what is malformed is none."""
    async with Loopback(models=("mine",), listing=listing) as server:
        engine = engine_for(server)
        await engine.probe("mine")
        await engine.aclose()
    assert engine.billions.get("mine") == (billions and pytest.approx(billions))
