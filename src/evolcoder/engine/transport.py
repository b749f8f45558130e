r"""One HTTP request and its whole answer; what goes wrong on the way is data.

Promises: `exchange` raises nothing that a server or a network can cause. No fault holds the headers
that were sent, and with them the key. No retries.

>>> wire = Wire(Address.of("http://127.0.0.1:8000/v1", api_key=None), timeout_s=300)
>>> await wire.exchange("GET", wire.address.models_url)           # doctest: +SKIP
Answer(status=200, body=b'{"data":[...]}', retry_after=None, location=None)

Opening connections to one server: its name is looked up now and then, TLS where the URL says so.

Promises: a name is looked up once for all who connect within `KNOWN_S`; they take its addresses in
turn, so that each address of a server gets its share of them; an address that does not answer is
passed over for the next. Certificates are checked. What goes wrong is a `CannotConnectError`, at
most `timeout_s` later.

>>> line = await Dial(URL("http://127.0.0.1:8000")).open(Line, 30.0)   # doctest: +SKIP

HTTP/1.1 with one server, and no more of it than models need: whole requests, whole answers.

Promises: a connection that can be used again is; one that broke, was given up or said more than it
was asked is not. An answer is read to its end or to `most_bytes`, gzip and deflate undone. No
retries, redirects, cookies, proxies or pipelining. Written for what it costs: a client that can do
all of those takes twice the processor time for each request.

>>> lines = Lines(Dial(URL("http://127.0.0.1:8000")), most_bytes=1 << 20, idle_s=4.0)
>>> (await lines.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 30.0)).status       # doctest: +SKIP
200
"""

import asyncio
import errno
import socket
import ssl
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import aiohappyeyeballs
import httptools
from yarl import URL

from evolcoder import __version__
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.text import one_line

KNOWN_S = 10.0
"""How long the addresses of a name are used before it is looked up again."""
NEXT_S = 0.25
"""How long one address is tried alone before the next is tried beside it."""

Protocol = TypeVar("Protocol", bound=asyncio.Protocol)
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


class CannotConnectError(Exception):
    """There is no connection; `why` is what the system, the name service or TLS says."""

    def __init__(self, why: OSError) -> None:
        super().__init__(str(why))
        self.why = why


class Connector:
    """How to reach one server; belongs to one event loop."""

    def __init__(self, url: URL) -> None:
        self._host, self._port = url.raw_host or "", url.port or 0
        self._tls = _checking() if url.scheme == "https" else None
        self._known: asyncio.Task[list[_Address]] | None = None
        self._known_until = float("-inf")
        self._turn = 0

    async def open(self, protocol: Callable[[], Protocol], timeout_s: float) -> Protocol:
        """Connect, TLS included, and return the protocol at our end."""
        loop = asyncio.get_running_loop()
        host = self._host if self._tls else None
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._addresses()
                connected = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=NEXT_S, interleave=1
                )
                _, line = await loop.create_connection(
                    protocol, sock=connected, ssl=self._tls, server_hostname=host
                )
                return line
        except OSError as error:  # TimeoutError is one
            raise CannotConnectError(error) from None

    async def _addresses(self) -> list[_Address]:
        """Return the server's addresses, each time beginning with another one."""
        loop = asyncio.get_running_loop()
        if self._known is None or (self._known.done() and loop.time() >= self._known_until):
            self._known = loop.create_task(self._look_up())
        found = await asyncio.shield(self._known)
        self._turn = (self._turn + 1) % len(found)
        return found[self._turn :] + found[: self._turn]

    async def _look_up(self) -> list[_Address]:
        loop = asyncio.get_running_loop()
        where, kind = (self._host, self._port), socket.SOCK_STREAM
        try:
            # An address in digits needs no name service, and no thread to wait for one.
            found = socket.getaddrinfo(*where, type=kind, flags=socket.AI_NUMERICHOST)
        except OSError:
            found = await loop.getaddrinfo(*where, type=kind, flags=socket.AI_ADDRCONFIG)
            self._known_until = loop.time() + KNOWN_S
        else:
            self._known_until = float("inf")
        return found  # type: ignore[return-value]


def _checking() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


CONNECT_S = 30.0
"""Longest wait for a connection; a host that is switched off never refuses one."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class HttpError(Exception):
    """The connection was there, and no whole answer came over it."""


class ConnectionCutError(HttpError):
    """It was cut before the answer began."""


class PartialResponseError(HttpError):
    """It was cut in the middle of the answer, or the answer cannot be unpacked."""


class NotHttpError(HttpError):
    """What came is no HTTP."""


class TooLongError(HttpError):
    """The answer is longer than the bound."""


@dataclass(slots=True)
class HttpResponse:
    """An answer; it grows until it is whole."""

    status: int = 0
    """Its status."""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    """Its headers by lower-case name; of equal names, the last."""
    body: bytes = b""
    """Its body, decompressed."""


class Connection(asyncio.Protocol):
    """One connection: one request at a time, and its answer."""

    def __init__(self, most_bytes: int, gone: Callable[["Connection"], None]) -> None:
        self.lost = asyncio.Event()
        self.idle_since = 0.0
        self._most_bytes = most_bytes
        self._gone = gone
        self._parser = httptools.HttpResponseParser(self)
        self._reply = HttpResponse()
        self._parts: list[bytes] = []
        self._size = 0
        self._until_end = self._goes_on = False
        self._waiter: asyncio.Future[HttpResponse] | None = None

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

    async def ask(self, request: bytes, timeout_s: float) -> HttpResponse:
        """Send a whole request and wait for its answer; HttpError or TimeoutError if none comes."""
        loop = asyncio.get_running_loop()
        if self.is_lost:
            raise ConnectionCutError("closed before the request was sent")
        waiter: asyncio.Future[HttpResponse] = loop.create_future()
        self._waiter = waiter
        self._reply, self._parts, self._size, self._goes_on = HttpResponse(), [], 0, False
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
            self._fail(PartialResponseError(str(error or "closed by the server")))
        else:
            self._fail(ConnectionCutError(str(error or "closed by the server")))

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
            self._reply = HttpResponse()

    def _end(self) -> None:
        waiter, reply = self._waiter, self._reply
        if waiter is None or waiter.done():
            return
        self._reply = HttpResponse()  # what may come behind it is no part of it
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


class ConnectionPool:
    """The connections to one server, opened when needed and kept while they are of use."""

    def __init__(self, dial: Connector, *, most_bytes: int, idle_s: float) -> None:
        self._dial = dial
        self._most_bytes = most_bytes
        self._idle_s = idle_s
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()

    async def ask(self, request: bytes, timeout_s: float) -> HttpResponse:
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

    def _free(self) -> Connection | None:
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

    async def _open(self, timeout_s: float) -> Connection:
        def line_of_ours() -> Connection:
            return Connection(self._most_bytes, self._all.discard)

        line = await self._dial.open(line_of_ours, min(CONNECT_S, timeout_s))
        self._all.add(line)
        return line


def _unpacked(body: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = unpacker.decompress(body, most_bytes)
    except zlib.error as error:
        raise PartialResponseError(str(error)) from None
    if unpacker.unconsumed_tail:
        raise TooLongError(f"{most_bytes} bytes and more, unpacked")
    if not unpacker.eof:
        raise PartialResponseError("the end of what was packed is missing")
    return plain


MAX_BYTES = 8 * 1024 * 1024
"""Longest body that is read; no answer of a model comes near it."""
KEEP_ALIVE_S = 4.0
"""How long an idle connection is kept: less than the 5 s after which uvicorn closes its end."""
WIDTH = 300
"""Characters of an error that are worth showing."""
_UNTRUSTED = (
    "shows a TLS certificate that is not trusted; set SSL_CERT_FILE to the certificate of who "
    "signed it, or mend the URL"
)
_NO_TLS = "does not speak TLS as we do; if it is a plain server, write http:// in its URL"
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_ALWAYS = {
    "User-Agent": f"evolcoder/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
"""Sent with every request. Unpacking would cost us more than the bytes cost the network."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response that arrived whole."""

    status: int
    """Its status."""
    body: bytes
    """Its body, decompressed."""
    retry_after: str | None
    """Its header Retry-After."""
    location: str | None
    """Its header Location."""


class Transport:
    """The connections to one server, opened when first needed and kept for the next request."""

    def __init__(self, address: Endpoint, *, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._lines: ConnectionPool | None = None
        self._heads: dict[tuple[str, URL], bytes] = {}
        self._n_answers = 0

    async def exchange(
        self, method: str, url: URL, body: bytes = b"", *, timeout_s: float | None = None
    ) -> HttpAnswer | RequestFault:
        """Send one request and read its answer, of any status, to the end."""
        lines = self._lines or self._open()
        head = self._heads.get((method, url)) or self._head(method, url)
        n_answers = self._n_answers
        try:
            reply = await lines.ask(
                b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body),
                timeout_s or self._timeout_s,
            )
        except CannotConnectError as error:
            return _unconnected(error.why)
        except (HttpError, OSError) as error:
            return _unanswered(error, alone=n_answers == self._n_answers)
        self._n_answers += 1
        return HttpAnswer(
            reply.status,
            reply.body,
            _header(reply.headers.get(b"retry-after")),
            _header(reply.headers.get(b"location")),
        )

    async def aclose(self) -> None:
        """Close all connections; closing twice is allowed."""
        if self._lines is not None:
            await self._lines.aclose()

    def _open(self) -> ConnectionPool:
        # The number of connections is the pace's business.
        dial = Connector(self.address.chat_url)
        self._lines = ConnectionPool(dial, most_bytes=MAX_BYTES, idle_s=KEEP_ALIVE_S)
        return self._lines

    def _head(self, method: str, url: URL) -> bytes:
        """Write the lines of a request that do not change, once."""
        headers = {"Host": url.host_port_subcomponent, **_ALWAYS, **self.address.headers}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"{method} {url.raw_path_qs} HTTP/1.1\r\n{''.join(lines)}".encode("ascii")
        self._heads[method, url] = head
        return head


def _header(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace").strip()


def _unconnected(error: OSError) -> RequestFault:
    """Say why there is no connection. TLS that breaks off passes, TLS that is refused does not."""
    words = one_line(str(error), WIDTH)
    if isinstance(error, ssl.SSLCertVerificationError):
        return RequestFault(_UNTRUSTED, words, RetryClass.FATAL)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return RequestFault(_NO_TLS, words, RetryClass.FATAL)
    if isinstance(error, TimeoutError):
        return RequestFault("no connection in time", words, RetryClass.TIME)
    full = error.errno in _OUT_OF_FILES
    return RequestFault("no connection", words, RetryClass.TIME, overload=full)


def _unanswered(error: HttpError | OSError, *, alone: bool) -> RequestFault:
    """Say what became of a request that was sent.

    A connection that is cut is the server's failure while it answers others. If it answered nobody
    in the meantime (`alone`) it is away, behind a tunnel or a proxy that still takes connections.
    """
    match error:
        case TooLongError():
            return RequestFault(
                f"an answer of more than {MAX_BYTES >> 20} MiB", "", RetryClass.ONCE
            )
        case TimeoutError():
            what, worth = "no answer in time; see traffic.timeout_s", RetryClass.TRIES
        case NotHttpError():
            what, worth = "an answer that is no HTTP", RetryClass.TRIES
        case PartialResponseError():
            what, worth = "half an answer", RetryClass.TRIES
        case ConnectionCutError() | _:
            what, worth = (
                "a connection that was cut",
                RetryClass.TIME if alone else RetryClass.TRIES,
            )
    return RequestFault(what, one_line(str(error), WIDTH), worth)
