"""A server that answers a few requests at a time, slowly, answers all of them in the end.

So do Ollama and llama.cpp on a laptop: what they are sent waits in their queue, and the client does
not see for how long.
"""

import asyncio
import json

import pytest
from aiohttp import web

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.http_client import MAX_WAIT
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.rate_limit import IN_TIME, RateLimiter
from evolcoder.errors import EngineError
from loopback import Loopback

pytestmark = pytest.mark.virtual_time


class Queueing(Loopback):
    """Answers `slots` requests at a time, in their order; leaves out those whose client is gone."""

    def __init__(self, *, slots, each_s):
        super().__init__()
        self.each_s = each_s
        self.n_served = 0
        self._turns = asyncio.Semaphore(slots)

    async def _handle(self, request):
        async with self._turns:
            if request.transport is None or request.transport.is_closing():
                return web.Response(status=499)
            await request.read()  # its client may be gone when it is done
            self.n_served += 1
            await asyncio.sleep(self.each_s)
            return await super()._handle(request)


def ask(at, n_tokens=50):
    return Request("toy", (Message("user", f"number {at}"),), Sampling(1.0, 0.9, n_tokens), at)


@pytest.mark.parametrize("n", [64, 150])
@pytest.mark.parametrize(
    ("slots", "each_s"), [(1, 2), (1, 7), (1, 17), (1, 26), (1, 70), (1, 190), (4, 55), (8, 240)]
)
async def test_every_request_is_answered_with_the_default_settings(slots, each_s, n):
    """None is given up for want of time, and no answer comes too late, within bounds."""
    server = Queueing(slots=slots, each_s=each_s)
    async with server:
        engine = OpenAIEngine(server.base_url, api_key=None, traffic=TrafficConfig())
        answers = await asyncio.gather(*(engine.complete(ask(at)) for at in range(n)))
        await engine.aclose()
    assert [one.text for one in answers] == [f"You said: number {at}" for at in range(n)]
    longest_s = 64 / slots * each_s
    if longest_s < MAX_WAIT * 300:
        assert server.n_served == n
    else:
        assert server.n_served <= n + 64 * 0.4


async def test_a_single_answer_that_takes_too_long_is_an_error():
    """Fewer requests at a time would not help; the setting is named."""
    async with Queueing(slots=64, each_s=400) as server:
        engine = OpenAIEngine(server.base_url, api_key=None, traffic=TrafficConfig())
        with pytest.raises(EngineError, match=r"no answer in time; see traffic\.timeout_s"):
            await engine.complete(ask(1))
        await engine.aclose()


async def test_a_fast_server_keeps_its_requests_in_flight_after_one_hangs():
    """What it answers in the meantime is far more than are in flight."""
    limiter = RateLimiter(TrafficConfig(concurrency=64))
    epoch = await limiter.acquire(1)
    for _ in range(1000):
        await limiter.acquire(1)
        await asyncio.sleep(0.3)
        limiter.record_success(1, 1)
        limiter.release()
    limiter.record_timeout(epoch, 300.0)
    assert limiter.limit == 64


async def test_the_limit_is_what_is_answered_in_time_and_does_not_grow_while_answers_are_slow():
    """The first request of those that were in flight together decides; without answers it halves."""
    limiter = RateLimiter(TrafficConfig(concurrency=64))
    epochs = [await limiter.acquire(1) for _ in range(64)]
    for _ in range(20):
        await asyncio.sleep(15)
        limiter.record_success(1, 1, is_slow=True)
        limiter.release()
    for epoch in epochs[20:]:
        limiter.record_timeout(epoch, 300.0)
        limiter.release()
    assert limiter.limit == int(IN_TIME * 20)
    limiter.record_success(1, 1, is_slow=True)
    assert limiter.limit == int(IN_TIME * 20)
    for _ in range(40):
        limiter.record_success(1, 1)
    assert limiter.limit > int(IN_TIME * 20)
    silent = RateLimiter(TrafficConfig(concurrency=64))
    epochs = [await silent.acquire(1) for _ in range(64)]
    for epoch in epochs:
        silent.record_timeout(epoch, 300.0)
    assert silent.limit == 32


class Streaming(Loopback):
    """Streams `parts` with pauses; the first request is answered at once."""

    def __init__(self, parts, pause_s):
        super().__init__()
        self.parts, self.pause_s = parts, pause_s

    async def _handle(self, request):
        if request.method != "POST":
            return await super()._handle(request)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for part in self.parts:
            await asyncio.sleep(self.pause_s)
            await response.write(part)
        await response.write_eof()
        return response


def event(text=None, **more):
    delta = {} if text is None else {"content": text}
    row = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}
    return f"data: {json.dumps(row)}\n\n".encode()


END = [
    event(usage={"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}),
    b"data: [DONE]\n\n",
]


async def streamed(parts, pause_s, **traffic):
    async with Streaming(parts, pause_s) as server:
        engine = OpenAIEngine(server.base_url, api_key=None, traffic=TrafficConfig(**traffic))
        engine.streams = True
        try:
            return await engine.complete(ask(1))
        finally:
            await engine.aclose()


async def test_an_answer_whose_tokens_keep_coming_is_not_given_up():
    """The time limit counts from the last token: 40 tokens of 60 seconds take 40 minutes."""
    found = await streamed([event(f"word{n} ") for n in range(40)] + END, 60.0)
    assert found.text.split() == [f"word{n}" for n in range(40)]


@pytest.mark.parametrize(
    "part", [b": still working\n\n", event(), b'data: {"choices": []}\n\n'],
    ids=["comments", "empty deltas", "no choices"],
)  # fmt: skip
async def test_a_stream_without_tokens_runs_into_the_time_limit(part):
    """Signs of life are none of progress."""
    with pytest.raises(EngineError, match=r"no answer in time"):
        await streamed([event("begun ")] + [part] * 100, 60.0, max_tries=2)
