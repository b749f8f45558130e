"""A chat-completions server on loopback that counts what it is asked and misbehaves on demand.

Promises: every request that was read is in `calls`, in order of arrival, with the moment its answer
left; an answer depends on the request alone. Not promised: anything about speed or about HTTP that
no test needs. In a test's own loop it is `async with Loopback() as server`; for a client in another
process it is `with in_thread() as server`; `with in_process() as base_url` is for measuring.

>>> python tests/loopback.py --latency 0.2 --words 150     # doctest: +SKIP
http://127.0.0.1:43021/v1
"""

import argparse
import asyncio
import contextlib
import itertools
import ssl
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

Mishap = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Answer = Callable[[str], str | Mishap]

HUGE_BYTES = 10_000_000
"""The answer that no test expects."""


@dataclass(slots=True)
class Call:
    """One chat-completions request."""

    body: dict[str, Any]
    """What was sent, parsed."""
    received: float
    """When it had been read, by the server's loop: `time.monotonic()`, but on virtual time."""
    headers: dict[str, str]
    """Headers by lower-case name."""
    status: int = 0
    """Status that was sent; 0 while it is unanswered, or when a mishap sent no whole answer."""
    answered: float = 0.0
    """When the answer was ready to be sent, by the same clock; 0 while it is unanswered."""
    peer: tuple[str, int] = ("", 0)
    """The client's end of the connection that it came on."""

    @property
    def prompt(self) -> str:
        """The last message."""
        chat = self.body.get("messages")
        content: str = chat[-1]["content"] if chat else self.body["prompt"]
        return content


def say_it_back(prompt: str) -> str:
    """Answer so that a test can see whose answer it got."""
    return f"You said: {prompt}"


@dataclass
class Loopback:
    """The server. Fields may be changed while it runs."""

    answer: Answer = say_it_back
    """Last message -> the text answered, or what happens in its place."""
    models: tuple[str, ...] = ("toy",)
    """What /v1/models lists; other names get a 404."""
    listing: Mishap | None = None
    """What happens to a question for /v1/models in place of the list."""
    key: str | None = None
    """The API key to insist on."""
    latency_s: float = 0.0
    """How long an answer takes."""
    capacity: int | None = None
    """Requests served at once; one more gets a 429."""
    mishaps: deque[Mishap] = field(default_factory=deque)
    """What happens to the next requests, one each, in place of an answer."""
    always: Mishap | None = None
    """What happens to every request in place of an answer."""
    reply: Callable[[dict[str, Any], str], dict[str, Any]] | None = None
    """(request, text) -> the JSON body of a 200; left out, what OpenAI sends."""
    calls: list[Call] = field(default_factory=list)
    """Every chat-completions request so far."""
    most_in_flight: int = 0
    """Most requests that were being served at one moment."""
    remembers: bool = True
    """Whether calls are kept; a benchmark turns it off and reads only `n_calls`."""
    n_calls: int = 0
    """Chat-completions requests so far."""
    port: int = 0
    """The port; 0 picks a free one, and a server that is started again keeps its own."""
    tls: ssl.SSLContext | None = None
    """Speak HTTPS, with the certificate in here."""

    _in_flight: int = field(default=0, init=False)
    _runner: web.ServerRunner | None = field(default=None, init=False)

    @property
    def base_url(self) -> str:
        """What a user would give as the server's URL."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=4096, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Die: close the port and every connection."""
        if self._runner is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    def prompts(self) -> list[str]:
        """The last message of every request so far."""
        return [call.prompt for call in self.calls]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key: {request.headers.get('Authorization')}")
        if request.path == "/v1/models":
            return await (self.listing or self._list)(request)
        if request.path not in {"/v1/chat/completions", "/v1/completions"}:
            return _error(404, f"no such path: {request.path}")
        call = Call(
            orjson.loads(await request.read()),
            asyncio.get_running_loop().time(),
            {name.lower(): value for name, value in request.headers.items()},
            peer=request.transport.get_extra_info("peername") if request.transport else ("", 0),
        )
        self.n_calls += 1
        if self.remembers:
            self.calls.append(call)
        return await self._serve(request, call)

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        return _json({"object": "list", "data": [{"id": name} for name in self.models]})

    async def _serve(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            response = await self._respond(request, call)
            call.status, call.answered = response.status, asyncio.get_running_loop().time()
            return response
        finally:
            self._in_flight -= 1

    async def _respond(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if mishap := self.mishaps.popleft() if self.mishaps else self.always:
            return await mishap(request)
        if self.capacity is not None and self._in_flight > self.capacity:
            return _error(429, "too many requests")
        if call.body["model"] not in self.models:
            return _error(404, f"The model `{call.body['model']}` does not exist.")
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        text = self.answer(call.prompt)
        if not isinstance(text, str):
            return await text(request)
        return _json(self.reply(call.body, text) if self.reply else completion(call.body, text))


def completion(body: dict[str, Any], text: str, **message: object) -> dict[str, Any]:
    """Make the JSON that OpenAI's servers send; a word is a token, and max_tokens is kept."""
    words = text.split(" ")
    cut = len(words) > body["max_tokens"]
    content = " ".join(words[: body["max_tokens"]]) if cut else text
    if "prompt" in body:
        choice = {"index": 0, "text": content, "finish_reason": "length" if cut else "stop"}
    else:
        said = {"role": "assistant", "content": content, **message}
        choice = {"index": 0, "message": said, "finish_reason": "length" if cut else "stop"}
    sent = sum(len(turn["content"].split()) for turn in body.get("messages", ()))
    received = min(len(words), body["max_tokens"])
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": {
            "prompt_tokens": sent,
            "completion_tokens": received,
            "total_tokens": sent + received,
        },
    }


def status(code: int, message: str = "no", **headers: str) -> Mishap:
    """Answer with an error; `retry_after="1"` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def mishap(request: web.BaseRequest) -> web.StreamResponse:
        return _error(code, message, headers=named)

    return mishap


def raw(body: bytes, code: int = 200) -> Mishap:
    """Answer with these bytes, whatever they are."""

    async def mishap(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, body=body, content_type="application/json")

    return mishap


async def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def not_http(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with something that is no HTTP."""
    assert request.transport is not None
    request.transport.write(b"SSH-2.0-surprise\r\n\r\n")
    request.transport.close()
    return web.Response()


async def half(request: web.BaseRequest) -> web.StreamResponse:
    """Promise a body, send the first half of it, and cut the connection."""
    assert request.transport is not None
    body = orjson.dumps(completion({"model": "toy", "messages": [], "max_tokens": 9}, "half"))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    request.transport.write(head + body[: len(body) // 2])
    request.transport.close()
    return web.Response()


async def huge(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with 10 MB of valid JSON."""
    body = {"model": "toy", "messages": [], "max_tokens": HUGE_BYTES}
    return _json(completion(body, "x" * HUGE_BYTES))


async def huge_in_chunks(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with 10 MB whose length is not announced."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(HUGE_BYTES // 100_000):
            await response.write(b"x" * 100_000)
        await response.write_eof()
    return response


async def hang(request: web.BaseRequest) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@contextlib.contextmanager
def in_thread(server: Loopback | None = None) -> Iterator[Loopback]:
    """Serve from a thread with a loop of its own, for clients in other processes."""
    server = server or Loopback()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loopback")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def in_process(*, latency_s: float = 0.0, words: int = 150) -> Iterator[str]:
    """Serve from a process of its own, so that its work is not measured; yields the base URL."""
    options = ["--latency", str(latency_s), "--words", str(words)]
    with subprocess.Popen(
        [sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _error(code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = orjson.dumps({"error": {"message": message, "type": "error", "code": code}})
    return web.Response(status=code, body=body, content_type="application/json", headers=headers)


async def _forever(server: Loopback) -> None:
    async with server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed; the first line printed is the base URL."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--words", type=int, default=150, metavar="N", help="length of an answer")
    args = parser.parse_args()
    text = " ".join(itertools.islice(itertools.cycle(["def", "f(x):", "return", "x"]), args.words))
    server = Loopback(answer=lambda prompt: text, latency_s=args.latency, remembers=False)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_forever(server))


if __name__ == "__main__":
    main()
