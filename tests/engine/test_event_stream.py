"""Streamed answers: equal to whole ones whatever the server does, and only a display's matter."""

import asyncio
import contextlib
import io
import itertools
import json

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolcoder.app import progress
from evolcoder.app.progress import TokenSpeed
from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema, transport
from evolcoder.engine.base import RAW, Message, Request, Sampling
from evolcoder.engine.event_stream import CompletionStream
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.server_pool import ServerPool
from evolcoder.errors import EngineError

KEY = "sk-proj-Zq81vTmuH4xW90aBcDeF"
TEXT = "Sortiere die Liste: 日本語 🎈\r\nfertig"
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
WHOLE = {
    "id": "x", "object": "chat.completion", "model": "toy-2", "usage": USAGE,
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": TEXT, "reasoning_content": "Hm. So."}}],
}  # fmt: skip


def chunk(delta=None, *, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "toy-2", "usage": None,
            "choices": [choice], **more}  # fmt: skip


def pieces(text, n=3):
    return [text[at : at + n] for at in range(0, len(text), n)]


CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"reasoning_content": part}) for part in pieces("Hm. So.")),
    *(chunk({"content": part}) for part in pieces(TEXT)),
    chunk({}, finish="stop"),
    {"object": "chat.completion.chunk", "model": "toy-2", "choices": [], "usage": USAGE},
]


def events(chunks=CHUNKS, *, end="\n", done=True, ascii_only=False):
    """Write chunks as events."""
    lines = [f"data: {json.dumps(one, ensure_ascii=ascii_only)}{end}{end}" for one in chunks]
    return "".join([*lines, f"data: [DONE]{end}{end}" if done else ""]).encode()


def request(prompt="hello", **more):
    return Request("toy", (Message("user", prompt),), Sampling(0.7, 0.95, 50), 7, **more)


class Server:
    """Streams to those who ask for it; `answers` are the streams in their order, the last again.

    An answer is bytes, sent in parts of `size`; a number is a status; None is a whole answer though
    a stream was asked for; CUT ends the connection after a half.
    """

    def __init__(self, *answers, size=1_000, whole=WHOLE):
        self.answers, self.size, self.whole = list(answers), size, whole
        self.bodies = []
        self.gate = None

    @property
    def n_streams(self):
        return sum(body.get("stream") is True for body in self.bodies)

    async def handle(self, asked):
        body = await asked.json()
        self.bodies.append(body)
        if not body.get("stream"):
            return web.json_response(self.whole)
        at = min(self.n_streams, len(self.answers)) - 1
        answer = self.answers[at]
        if isinstance(answer, int):
            return web.json_response({"error": {"message": "no streams here"}}, status=answer)
        if answer is None:
            return web.json_response(self.whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(asked)
        is_cut = answer is CUT
        answer = events()[:400] if is_cut else answer
        for start in range(0, len(answer), self.size):
            await response.write(answer[start : start + self.size])
            if self.gate is not None:
                await self.gate.wait()
        if is_cut:
            asked.transport.abort()
            return response
        await response.write_eof()
        return response


CUT = object()


@contextlib.asynccontextmanager
async def engine_to(server, *, streams=True, key=None, **traffic):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    app.router.add_post("/v1/completions", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1", api_key=key,
                          traffic=TrafficConfig(**traffic), backoff_s=0.01)  # fmt: skip
    engine.streams = streams
    try:
        yield engine
    finally:
        await engine.aclose()
        await runner.cleanup()


async def answers_of(server, n=1, **more):
    async with engine_to(server, **more) as engine:
        return [await engine.complete(request(f"number {at}")) for at in range(n)]


async def whole_answer(whole=WHOLE):
    (found,) = await answers_of(Server(events(), whole=whole), streams=False)
    return found


ODD = {
    "lines end with CRLF": events(end="\r\n"),
    "lines end with CR": events(end="\r"),
    "no [DONE]": events(done=False),
    "no blank line at the end": events().rstrip(b"\n"),
    "escaped characters": events(ascii_only=True),
    "comments and pings": events().replace(b"data:", b": ping\n\nevent: ping\nid: 3\ndata:"),
    "a byte order mark": b"\xef\xbb\xbf" + events(),
    "no blank after the colon": events().replace(b"data: {", b"data:{"),
    "data in two lines": events().replace(b'"model": ', b'\ndata: "model": '),
    "the role in every delta": events(
        [one if not one["choices"] else
         {**one, "choices": [{**c, "delta": {"role": "assistant", **c["delta"]}} for c in one["choices"]]}
         for one in CHUNKS]
    ),
    "usage so far in every event": events(
        [{**one, "usage": {**USAGE, "completion_tokens": at, "total_tokens": at + 7}}
         for at, one in enumerate(CHUNKS[:-1])] + CHUNKS[-1:]
    ),
    "usage with the finish reason": events(
        [*CHUNKS[:-2], chunk({}, finish="stop", usage=USAGE)]
    ),
    "another choice": events([CHUNKS[0], chunk({"content": "other"}, index=1), *CHUNKS[1:]]),
    "events that are no objects": b"data: []\n\ndata: 3\n\ndata: null\n\n" + events(),
    "null in deltas": events([CHUNKS[0], chunk({"content": None, "tool_calls": None}), *CHUNKS[1:]]),
    "parts as content": events(
        [{**one, "choices": [{**c, "delta": {**c["delta"], "content": [{"type": "text", "text": c["delta"]["content"]}]}}
                             if c["delta"].get("content") else c for c in one["choices"]]}
         for one in CHUNKS]
    ),
    "the whole message at the end": events([*CHUNKS[:-2], {
        "model": "toy-2", "choices": [{"index": 0, "finish_reason": "stop", "delta": {},
                                       "message": WHOLE["choices"][0]["message"]}]}, CHUNKS[-1]]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_streamed_answer_equals_a_whole_one(name, size):
    """In every field, wherever the parts of the stream are cut, also within a character."""
    server = Server(ODD[name], size=size)
    wanted = await whole_answer()
    assert (wanted.text, wanted.reasoning, wanted.finish) == (TEXT, "Hm. So.", "stop")
    assert await answers_of(server, 2) == [wanted, wanted]
    assert server.n_streams == 2
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    n=st.integers(1, 5),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_in_any_parts_is_put_together(text, cuts, n):
    """Line separators of Unicode, quotes and control characters included."""
    chunks = [*(chunk({"content": part}) for part in pieces(text, n)), chunk({}, finish="length")]
    sent = events(chunks, ascii_only=False)
    stream, at = CompletionStream(), 0
    for size in itertools.cycle(cuts):
        if at >= len(sent):
            break
        stream.feed(sent[at : at + size])
        at += size
    stream.close()
    assert stream.is_complete
    body = json.loads(stream.body)
    assert body["choices"][0]["message"]["content"] == text
    assert openai_schema.parse_completion(stream.body, request()).finish == "length"


@pytest.mark.parametrize("finish", ["length", "tool_calls", "content_filter", {"type": "stop"}])
async def test_finish_reasons_are_the_same(finish):
    """Objects of SGLang included; deltas with tool calls alone are no text."""
    message = {"role": "assistant", "content": "x", "tool_calls": [{"index": 0}]}
    whole = {**WHOLE, "choices": [{"index": 0, "finish_reason": finish, "message": message}]}
    chunks = [chunk({"role": "assistant"}), chunk({"tool_calls": [{"index": 0}]}),
              chunk({"content": "x"}), chunk({}, finish=finish), CHUNKS[-1]]  # fmt: skip
    wanted = await whole_answer(whole)
    assert await answers_of(Server(events(chunks), whole=whole)) == [wanted]


async def test_a_text_that_is_continued_is_streamed_too():
    """The endpoint for raw text has `text` in its choices."""
    usage = {"choices": [], "usage": USAGE}
    chunks = [*({"choices": [{"index": 0, "text": part}]} for part in pieces(TEXT)),
              {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}, usage]  # fmt: skip
    whole = {"choices": [{"text": TEXT, "finish_reason": "stop"}], "usage": USAGE}
    asked = Request("toy", (Message(RAW, "def f"),), Sampling(0.0, 1.0, 50), 7)
    found = []
    for streams in (False, True):
        async with engine_to(Server(events(chunks), whole=whole), streams=streams) as engine:
            found.append(await engine.complete(asked))
    assert found[0] == found[1]
    assert found[0].text == TEXT


@pytest.mark.parametrize("first", [400, 404, 405, 422, 501, None])
async def test_a_server_that_does_not_stream_is_asked_for_whole_answers(first):
    """It refuses once, or answers whole though asked otherwise: nothing is said, nothing is lost."""
    server = Server(first)
    wanted = await whole_answer()
    assert await answers_of(server, 3) == [wanted] * 3
    assert server.n_streams == 1
    assert len(server.bodies) == (3 if first is None else 4)


async def test_a_server_without_counts_in_its_stream_is_asked_for_whole_answers():
    """One answer has estimated counts, and no other one."""
    server = Server(events(CHUNKS[:-1]))
    wanted = await whole_answer()
    found = await answers_of(server, 3)
    assert found[1:] == [wanted] * 2
    assert found[0].text == wanted.text
    assert found[0].completion_tokens > 0
    assert server.n_streams == 1


async def test_what_a_stream_is_refused_for_is_the_error_of_a_whole_request():
    """A request that is rejected in any form is rejected, with the server's words for it."""
    server = Server(400)
    server.handle = rejected = Server.handle.__get__(server)

    async def reject(asked):
        body = await asked.json()
        server.bodies.append(body)
        if not body.get("stream"):
            return web.json_response({"error": {"message": "the prompt is too long"}}, status=400)
        return await rejected(asked)

    server.handle = reject
    with pytest.raises(EngineError, match="the prompt is too long"):
        await answers_of(server)


async def test_the_first_request_tries_alone():
    """Others are asked for whole until a stream has been complete and counted."""
    server = Server(events(), size=200)
    server.gate = asyncio.Event()
    async with engine_to(server, concurrency=8) as engine:
        tasks = [asyncio.create_task(engine.complete(request(str(at)))) for at in range(5)]
        done, _ = await asyncio.wait(tasks[1:])
        assert len(done) == 4
        server.gate.set()
        found = [await task for task in tasks]
        assert server.n_streams == 1
        found.append(await engine.complete(request("last")))
    assert found == [await whole_answer()] * 6
    assert server.n_streams == 2


FAILING = {
    "cut connection": (CUT, "an incomplete response"),
    "end without a finish reason": (events(CHUNKS[:4], done=False), "an incomplete response"),
    "error event": (
        events(CHUNKS[:4], done=False) + b'event: error\ndata: {"message": "CUDA out of memory"}\n\n',
        "CUDA out of memory",
    ),
    "error in data": (
        events([*CHUNKS[:4], {"error": {"message": "overloaded", "code": 500}}]), "overloaded"),
    "error field": (
        events(CHUNKS[:4], done=False) + b'error: {"code": 500, "message": "slot died"}\n\n',
        "slot died",
    ),
    "old vLLM's error": (events([{"object": "error", "message": "engine died", "code": 500}]),
                         "engine died"),
    "an event that is no JSON": (events(CHUNKS[:4], done=False) + b"data: {oops\n\n", "no JSON"),
    "nothing at all": (b": ping\n\n", "an incomplete response"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("n_good", [0, 2])
async def test_a_failure_in_mid_stream_is_a_failed_request(name, n_good):
    """It is tried again, for the whole answer; half an answer is never taken."""
    broken, what = FAILING[name]
    server = Server(*[events()] * n_good, broken)
    wanted = await whole_answer()
    assert await answers_of(server, n_good + 2) == [wanted] * (n_good + 2)
    assert server.n_streams == n_good + 1
    async with engine_to(Server(broken)) as engine:
        fault = await engine.attempt(request(), is_retry=False)
    assert what in f"{fault.what}: {fault.got}"


async def test_half_an_answer_may_have_been_billed():
    """The try is booked as what may have been billed, since tokens came."""
    for broken, _ in FAILING.values():
        if broken in (FAILING["nothing at all"][0], FAILING["old vLLM's error"][0]):
            continue
        async with engine_to(Server(broken)) as engine:
            fault = await engine.attempt(request(), is_retry=False)
        assert fault.possibly_billed


async def test_a_stream_without_end_is_given_up(monkeypatch):
    """The bound on its size holds, and no text of it is kept."""
    from evolcoder.engine import http_client

    monkeypatch.setattr(http_client, "MAX_STREAM_BYTES", 5_000)
    endless = events([chunk({"content": "x" * 100})] * 200, done=False)
    with pytest.raises(EngineError, match="an answer of more than"):
        await answers_of(Server(endless))
    assert transport.MAX_STREAM_BYTES > transport.MAX_BYTES


async def test_a_key_that_comes_in_two_parts_is_masked():
    """It is looked for in the whole text."""
    chunks = [chunk({"content": f"it is {KEY[:9]}"}), chunk({"content": KEY[9:]}, finish="stop"),
              CHUNKS[-1]]  # fmt: skip
    (found,) = await answers_of(Server(events(chunks)), key=KEY)
    assert KEY not in found.text
    assert found.text.startswith("it is ")


async def test_tokens_are_counted_as_they_come():
    """Before the answer ends; afterwards the count is the server's, of whole answers too."""
    server = Server(events(), size=100)
    server.gate = asyncio.Event()
    async with engine_to(server) as engine:
        server.gate.set()
        await engine.complete(request("first"))
        assert engine.n_streamed == 9
        server.gate.clear()
        server.size = 1200
        task = asyncio.create_task(engine.complete(request("second")))
        async with asyncio.timeout(10):
            while engine.n_streamed == 9:
                await asyncio.sleep(0.01)
        assert not task.done()
        server.gate.set()
        await task
        assert engine.n_streamed == 18
        pool = ServerPool([engine], TrafficConfig(), print)
        pool.streams = False
        assert (engine.streams, pool.n_streamed) == (False, 18)
        await engine.complete(request("third"))
    assert server.bodies[-1].keys() == server.bodies[0].keys() - {"stream", "stream_options"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
async def test_servers_are_asked_to_stream_for_a_live_display_only(monkeypatch, stream):
    """Without a terminal, requests are as they were."""
    monkeypatch.setattr(progress.sys, "stderr", stream)

    class Spent:
        completion_tokens = 0

    async with engine_to(Server(events()), streams=False) as engine:
        speed = TokenSpeed(Spent(), [engine])
        assert engine.streams == stream.isatty()
        await engine.complete(request())
        assert speed.text().startswith("9 tokens, ") == stream.isatty()


async def test_a_cancelled_stream_closes_its_connection():
    """The server notices, and the next request is answered."""
    server = Server(events(), size=1_200)
    server.gate = asyncio.Event()
    async with engine_to(server) as engine:
        task = asyncio.create_task(engine.complete(request()))
        async with asyncio.timeout(10):
            while not engine.n_streamed:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.in_flight == 0
        server.gate.set()
        assert await engine.complete(request()) == await whole_answer()
