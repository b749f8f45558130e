r"""HTTP/1.1 with one server, and no more of it than models need: whole requests, whole answers.

Promises: a connection that can be used again is; one that broke, was given up or said more than it
was asked is not. An answer is read to its end or to `most_bytes`, gzip and deflate undone. No
retries, redirects, cookies, proxies or pipelining. Written for what it costs: a client that can do
all of those takes twice the processor time for each request.

>>> lines = Lines(Dial(URL("http://127.0.0.1:8000")), most_bytes=1 << 20, idle_s=4.0)
>>> (await lines.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 30.0)).status       # doctest: +SKIP
200
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from evolcoder.engine.http_connection import Dial

CONNECT_S = 30.0
"""Longest wait for a connection; a host that is switched off never refuses one."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class HttpError(Exception):
    """The connection was there, and no whole answer came over it."""


class CutError(HttpError):
    """It was cut before the answer began."""


class HalfError(HttpError):
    """It was cut in the middle of the answer, or the answer cannot be unpacked."""


class NotHttpError(HttpError):
    """What came is no HTTP."""


class TooLongError(HttpError):
    """The answer is longer than the bound."""


@dataclass(slots=True)
class Reply:
    """An answer; it grows until it is whole."""

    status: int = 0
    """Its status."""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    """Its headers by lower-case name; of equal names, the last."""
    body: bytes = b""
    """Its body, decompressed."""


class Line(asyncio.Protocol):
    """One connection: one request at a time, and its answer."""

    def __init__(self, most_bytes: int, gone: Callable[["Line"], None]) -> None:
        self.lost = asyncio.Event()
        self.idle_since = 0.0
        self._most_bytes = most_bytes
        self._gone = gone
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._parts: list[bytes] = []
        self._size = 0
        self._until_end = self._goes_on = False
        self._waiter: asyncio.Future[Reply] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection is closed."""
        return self.lost.is_set()

    @property
    def is_free(self) -> bool:
        """Whether another request may be sent."""
        return self._waiter is None and not self.is_lost

    @property
    def _is_awaited(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    async def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a whole request and wait for its answer; HttpError or TimeoutError if none comes."""
        loop = asyncio.get_running_loop()
        if self.is_lost:
            raise CutError("closed before the request was sent")
        waiter: asyncio.Future[Reply] = loop.create_future()
        self._waiter = waiter
        self._reply, self._parts, self._size, self._goes_on = Reply(), [], 0, False
        timer = loop.call_later(timeout_s, self._fail, TimeoutError())
        try:
            self._transport.write(request)
            reply = await waiter
            if self._goes_on:
                self._waiter = None
            return reply
        finally:
            timer.cancel()
            if self._waiter is not None:
                self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the loop calls this and the next two."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Have some bytes parsed."""
        if not self._is_awaited:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(NotHttpError("it wants to speak something else"))
        except httptools.HttpParserError as error:
            self._fail(NotHttpError(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        """End an answer that ends with its connection, or say how far it came."""
        self.lost.set()
        self._gone(self)
        if self._until_end and error is None:
            self._end()
        elif self._reply.status:
            self._fail(HalfError(str(error or "closed by the server")))
        else:
            self._fail(CutError(str(error or "closed by the server")))

    def on_message_begin(self) -> None:
        """Refuse an answer to nothing; the parser calls this and what follows."""
        if not self._is_awaited:
            self._goes_on = False
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, of the answer or behind its body."""
        self._reply.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Look at what the headers announce."""
        reply = self._reply
        reply.status = self._parser.get_status_code()
        length = reply.headers.get(b"content-length")
        if length is not None:
            if length.isdigit() and int(length) > self._most_bytes:
                self._fail(TooLongError(f"{length.decode()} bytes"))
        elif reply.headers.get(b"transfer-encoding") is None and reply.status >= 200:
            self._until_end = reply.status not in {204, 304}

    def on_body(self, part: bytes) -> None:
        """Take some of the body."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._most_bytes:
            self._fail(TooLongError(f"{self._size} bytes and more"))

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it only says that there will be one."""
        if not self._is_awaited:
            return
        if self._reply.status >= 200:
            self._goes_on = self._parser.should_keep_alive()
            self._end()
        else:
            self._reply = Reply()

    def _end(self) -> None:
        waiter, reply = self._waiter, self._reply
        if waiter is None or waiter.done():
            return
        self._reply = Reply()  # what may come behind it is no part of it
        reply.body = b"".join(self._parts)
        if reply.headers.get(b"content-encoding", b"").strip().lower() in _PACKED:
            try:
                reply.body = _unpacked(reply.body, self._most_bytes)
            except HttpError as error:
                self._fail(error)
                return
        waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class Lines:
    """The connections to one server, opened when needed and kept while they are of use."""

    def __init__(self, dial: Dial, *, most_bytes: int, idle_s: float) -> None:
        self._dial = dial
        self._most_bytes = most_bytes
        self._idle_s = idle_s
        self._idle: deque[Line] = deque()
        self._all: set[Line] = set()

    async def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a request, and return its answer.

        CannotConnectError, HttpError or TimeoutError if there is none.
        """
        line = self._free() or await self._open(timeout_s)
        reply = await line.ask(request, timeout_s)
        if line.is_free:
            line.idle_since = asyncio.get_running_loop().time()
            self._idle.append(line)
        return reply

    async def aclose(self) -> None:
        """Drop all connections."""
        self._idle.clear()
        lines = list(self._all)
        for line in lines:
            line.abort()
        await asyncio.gather(*(line.lost.wait() for line in lines))

    def _free(self) -> Line | None:
        """Take the connection that was used last, and drop those that have idled too long."""
        idle = self._idle
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while idle and (idle[0].is_lost or idle[0].idle_since < oldest):
            idle.popleft().abort()
        while idle:
            line = idle.pop()
            if line.is_free:
                return line
            line.abort()
        return None

    async def _open(self, timeout_s: float) -> Line:
        def line_of_ours() -> Line:
            return Line(self._most_bytes, self._all.discard)

        line = await self._dial.open(line_of_ours, min(CONNECT_S, timeout_s))
        self._all.add(line)
        return line


def _unpacked(body: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = unpacker.decompress(body, most_bytes)
    except zlib.error as error:
        raise HalfError(str(error)) from None
    if unpacker.unconsumed_tail:
        raise TooLongError(f"{most_bytes} bytes and more, unpacked")
    if not unpacker.eof:
        raise HalfError("the end of what was packed is missing")
    return plain
