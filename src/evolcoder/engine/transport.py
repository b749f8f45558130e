r"""HTTP/1.1 client for one server, limited to what model APIs need: whole requests and responses.

`Transport.exchange` raises for nothing that a server or network causes: faults are returned as
`RequestFault`, which never contain the request headers and thus no key. Responses are read up to
`MAX_BYTES`, or the limit of the call, with gzip and deflate decoded. No retries, redirects,
cookies, proxies or pipelining: a client that supports all of these uses twice the CPU time per
request.

Connections are reused unless they failed, were cancelled or received unsolicited data. Host names
are resolved once per `DNS_TTL_S`; connections rotate over the addresses and fall back to the next
one if an address does not answer. TLS certificates are verified. A failure to connect is raised as
`CannotConnectError` after at most `timeout_s`.

>>> transport = Transport(Endpoint.of("http://127.0.0.1:8000/v1", api_key=None), timeout_s=300)
>>> await transport.exchange("GET", transport.endpoint.models_url)    # doctest: +SKIP
HttpAnswer(status=200, body=b'{"data":[...]}', retry_after=None, location=None)
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

DNS_TTL_S = 10.0
"""How long resolved addresses are used."""
ADDRESS_DELAY_S = 0.25
"""Head start of one address before the next is tried concurrently."""

Protocol = TypeVar("Protocol", bound=asyncio.Protocol)
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]
CONNECT_S = 30.0
"""Connect timeout; a host that is down does not refuse connections."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_COMPRESSED = frozenset({b"gzip", b"x-gzip", b"deflate"})
MAX_BYTES = 8 * 1024 * 1024
"""Maximum size of a body; model answers are far smaller."""
KEEP_ALIVE_S = 4.0
"""How long idle connections are kept: less than uvicorn's 5 s."""
MAX_MESSAGE_CHARS = 300
"""Maximum characters of an error message."""
_UNTRUSTED_CERTIFICATE = (
    "presents an untrusted TLS certificate; set SSL_CERT_FILE to the certificate of its issuer, "
    "or correct the URL"
)
_NO_TLS = "does not accept our TLS connection; for a server without TLS, write http:// in its URL"
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_HEADERS = {
    "User-Agent": f"evolcoder/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
"""Sent with every request. Decompression would cost more than the bandwidth it saves."""


class CannotConnectError(Exception):
    """No connection could be opened; `why` is the error of the system, DNS or TLS."""

    def __init__(self, why: OSError) -> None:
        super().__init__(str(why))
        self.why = why


class Connector:
    """Opens connections to one server; belongs to one event loop."""

    def __init__(self, url: URL) -> None:
        self._host, self._port = url.raw_host or "", url.port or 0
        self._tls = _tls_context() if url.scheme == "https" else None
        self._lookup: asyncio.Task[list[_Address]] | None = None
        self._addresses_expire_at = float("-inf")
        self._offset = 0

    async def open(self, protocol: Callable[[], Protocol], timeout_s: float) -> Protocol:
        """Connect, including TLS, and return our protocol."""
        loop = asyncio.get_running_loop()
        host = self._host if self._tls else None
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._addresses()
                connected = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=ADDRESS_DELAY_S, interleave=1
                )
                _, connection = await loop.create_connection(
                    protocol, sock=connected, ssl=self._tls, server_hostname=host
                )
                return connection
        except OSError as error:  # includes TimeoutError
            raise CannotConnectError(error) from None

    async def _addresses(self) -> list[_Address]:
        """Return the server's addresses, rotated by one on each call."""
        loop = asyncio.get_running_loop()
        if self._lookup is None or (
            self._lookup.done() and loop.time() >= self._addresses_expire_at
        ):
            self._lookup = loop.create_task(self._resolve())
        found = await asyncio.shield(self._lookup)
        self._offset = (self._offset + 1) % len(found)
        return found[self._offset :] + found[: self._offset]

    async def _resolve(self) -> list[_Address]:
        loop = asyncio.get_running_loop()
        address, kind = (self._host, self._port), socket.SOCK_STREAM
        try:
            # A numeric address needs no DNS lookup in a thread.
            found = socket.getaddrinfo(*address, type=kind, flags=socket.AI_NUMERICHOST)
        except OSError:
            found = await loop.getaddrinfo(*address, type=kind, flags=socket.AI_ADDRCONFIG)
            self._addresses_expire_at = loop.time() + DNS_TTL_S
        else:
            self._addresses_expire_at = float("inf")
        return found  # type: ignore[return-value]


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class HttpError(Exception):
    """A connected server sent no complete response."""


class ConnectionCutError(HttpError):
    """The connection was closed before the response began."""


class PartialResponseError(HttpError):
    """The connection was closed within the response, or the body cannot be decompressed."""


class NotHttpError(HttpError):
    """The response is not HTTP."""


class TooLongError(HttpError):
    """The response exceeds the size limit."""


@dataclass(slots=True)
class HttpResponse:
    """A response, filled in as it arrives."""

    status: int = 0
    """Status code."""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    """Headers by lower-case name; the last of equal names."""
    body: bytes = b""
    """Body, decompressed."""


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, max_bytes: int, on_close: Callable[["Connection"], None]) -> None:
        self.lost = asyncio.Event()
        self.idle_since = 0.0
        self._max_bytes = self._default_max_bytes = max_bytes
        self._on_close = on_close
        self._parser = httptools.HttpResponseParser(self)
        self._reply = HttpResponse()
        self._parts: list[bytes] = []
        self._size = 0
        self._until_close = self._keep_alive = False
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

    async def request(
        self, request: bytes, timeout_s: float, max_bytes: int | None = None
    ) -> HttpResponse:
        """Send a request and return its response; raises HttpError or TimeoutError."""
        loop = asyncio.get_running_loop()
        self._max_bytes = max_bytes or self._default_max_bytes
        if self.is_lost:
            raise ConnectionCutError("closed before the request was sent")
        waiter: asyncio.Future[HttpResponse] = loop.create_future()
        self._waiter = waiter
        self._reply, self._parts, self._size, self._keep_alive = HttpResponse(), [], 0, False
        timer = loop.call_later(timeout_s, self._fail, TimeoutError())
        try:
            self._transport.write(request)
            reply = await waiter
            if self._keep_alive:
                self._waiter = None
            return reply
        finally:
            timer.cancel()
            if self._waiter is not None:
                self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport; called by the event loop, as are the next two."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; unsolicited ones close the connection."""
        if not self._is_awaited:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(NotHttpError("the server asks for another protocol"))
        except httptools.HttpParserError as error:
            self._fail(NotHttpError(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        """Complete a response that ends with its connection, or fail."""
        self.lost.set()
        self._on_close(self)
        if self._until_close and error is None:
            self._end()
        elif self._reply.status:
            self._fail(PartialResponseError(str(error or "closed by the server")))
        else:
            self._fail(ConnectionCutError(str(error or "closed by the server")))

    def on_message_begin(self) -> None:
        """Reject an unsolicited response; called by the parser, as are the next methods."""
        if not self._is_awaited:
            self._keep_alive = False
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header or trailer."""
        self._reply.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Read status and body length."""
        reply = self._reply
        reply.status = self._parser.get_status_code()
        length = reply.headers.get(b"content-length")
        if length is not None:
            if length.isdigit() and int(length) > self._max_bytes:
                self._fail(TooLongError(f"{length.decode()} bytes"))
        elif reply.headers.get(b"transfer-encoding") is None and reply.status >= 200:
            self._until_close = reply.status not in {204, 304}

    def on_body(self, part: bytes) -> None:
        """Store a part of the body."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._max_bytes:
            self._fail(TooLongError(f"{self._size} bytes and more"))

    def on_message_complete(self) -> None:
        """Return the response to the caller; skip informational ones (1xx)."""
        if not self._is_awaited:
            return
        if self._reply.status >= 200:
            self._keep_alive = self._parser.should_keep_alive()
            self._end()
        else:
            self._reply = HttpResponse()

    def _end(self) -> None:
        waiter, reply = self._waiter, self._reply
        if waiter is None or waiter.done():
            return
        self._reply = HttpResponse()  # later data does not belong to it
        reply.body = b"".join(self._parts)
        if reply.headers.get(b"content-encoding", b"").strip().lower() in _COMPRESSED:
            try:
                reply.body = _decompress(reply.body, self._max_bytes)
            except HttpError as error:
                self._fail(error)
                return
        waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class ConnectionPool:
    """Connections to one server, opened on demand and reused."""

    def __init__(self, connector: Connector, *, max_bytes: int, idle_s: float) -> None:
        self._connector = connector
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()

    async def request(
        self, request: bytes, timeout_s: float, max_bytes: int | None = None
    ) -> HttpResponse:
        """Send a request and return its response.

        Raises CannotConnectError, HttpError or TimeoutError.
        """
        connection = self._free_connection() or await self._open(timeout_s)
        reply = await connection.request(request, timeout_s, max_bytes)
        if connection.is_free:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        return reply

    async def aclose(self) -> None:
        """Close all connections."""
        self._idle.clear()
        connections = list(self._all)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.lost.wait() for connection in connections))

    def _free_connection(self) -> Connection | None:
        """Return the most recently used free connection; close those idle for too long."""
        idle = self._idle
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while idle and (idle[0].is_lost or idle[0].idle_since < oldest):
            idle.popleft().abort()
        while idle:
            connection = idle.pop()
            if connection.is_free:
                return connection
            connection.abort()
        return None

    async def _open(self, timeout_s: float) -> Connection:
        def new_connection() -> Connection:
            return Connection(self._max_bytes, self._all.discard)

        connection = await self._connector.open(new_connection, min(CONNECT_S, timeout_s))
        self._all.add(connection)
        return connection


def _decompress(body: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = decompressor.decompress(body, max_bytes)
    except zlib.error as error:
        raise PartialResponseError(str(error)) from None
    if decompressor.unconsumed_tail:
        raise TooLongError(f"{max_bytes} bytes and more, unpacked")
    if not decompressor.eof:
        raise PartialResponseError("the compressed body is truncated")
    return plain


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP response."""

    status: int
    """Status code."""
    body: bytes
    """Body, decompressed."""
    retry_after: str | None
    """The Retry-After header."""
    location: str | None
    """The Location header."""


class Transport:
    """Sends requests to one server over pooled connections."""

    def __init__(self, endpoint: Endpoint, *, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._pool: ConnectionPool | None = None
        self._heads: dict[tuple[str, URL], bytes] = {}
        self._n_responses = 0

    async def exchange(
        self,
        method: str,
        url: URL,
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
        content_type: str | None = None,
        max_bytes: int | None = None,
    ) -> HttpAnswer | RequestFault:
        """Send a request and return its response, whatever its status.

        `content_type` replaces the endpoint's, and `max_bytes` the limit of the response's size.
        """
        pool = self._pool or self._open()
        if content_type is None:
            head = self._heads.get((method, url)) or self._head(method, url)
        else:
            head = self._build_head(method, url, {"Content-Type": content_type})
        n_responses = self._n_responses
        try:
            reply = await pool.request(
                b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body),
                timeout_s or self._timeout_s,
                max_bytes,
            )
        except CannotConnectError as error:
            return _connection_fault(error.why)
        except (HttpError, OSError) as error:
            alone = n_responses == self._n_responses
            return _request_fault(error, alone=alone, max_bytes=max_bytes or MAX_BYTES)
        self._n_responses += 1
        return HttpAnswer(
            reply.status,
            reply.body,
            _header(reply.headers.get(b"retry-after")),
            _header(reply.headers.get(b"location")),
        )

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        if self._pool is not None:
            await self._pool.aclose()

    def _open(self) -> ConnectionPool:
        # The rate limiter bounds the number of connections.
        connector = Connector(self.endpoint.chat_url)
        self._pool = ConnectionPool(connector, max_bytes=MAX_BYTES, idle_s=KEEP_ALIVE_S)
        return self._pool

    def _head(self, method: str, url: URL) -> bytes:
        """Build and cache the constant part of a request."""
        head = self._heads[method, url] = self._build_head(method, url, {})
        return head

    def _build_head(self, method: str, url: URL, more: dict[str, str]) -> bytes:
        host = {"Host": url.host_port_subcomponent}
        headers = {**host, **_HEADERS, **self.endpoint.headers, **more}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return f"{method} {url.raw_path_qs} HTTP/1.1\r\n{''.join(lines)}".encode("ascii")


def _header(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace").strip()


def _connection_fault(error: OSError) -> RequestFault:
    """Classify a connection error. Interrupted TLS handshakes are transient, rejected ones not."""
    message = one_line(str(error), MAX_MESSAGE_CHARS)
    if isinstance(error, ssl.SSLCertVerificationError):
        return RequestFault(_UNTRUSTED_CERTIFICATE, message, RetryClass.FATAL)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return RequestFault(_NO_TLS, message, RetryClass.FATAL)
    if isinstance(error, TimeoutError):
        return RequestFault("no connection in time", message, RetryClass.UNAVAILABLE)
    full = error.errno in _OUT_OF_FILES
    return RequestFault("no connection", message, RetryClass.UNAVAILABLE, overload=full)


def _request_fault(
    error: HttpError | OSError, *, alone: bool, max_bytes: int = MAX_BYTES
) -> RequestFault:
    """Classify the failure of a request that was sent.

    A closed connection is a server failure if the server answered other requests meanwhile. If it
    answered none (`alone`), it is unreachable behind a tunnel or proxy that accepts connections.
    """
    match error:
        case TooLongError():
            return RequestFault(
                f"an answer of more than {max_bytes >> 20} MiB", "", RetryClass.ONCE
            )
        case TimeoutError():
            what, retry_class = "no answer in time; see traffic.timeout_s", RetryClass.SERVER_ERROR
        case NotHttpError():
            what, retry_class = "a response that is not HTTP", RetryClass.SERVER_ERROR
        case PartialResponseError():
            what, retry_class = "an incomplete response", RetryClass.SERVER_ERROR
        case ConnectionCutError() | _:
            what, retry_class = (
                "a closed connection",
                RetryClass.UNAVAILABLE if alone else RetryClass.SERVER_ERROR,
            )
    return RequestFault(what, one_line(str(error), MAX_MESSAGE_CHARS), retry_class)
