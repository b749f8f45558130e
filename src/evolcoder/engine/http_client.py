"""The aiohttp client of one server, and what its errors mean.

Every error becomes a `RequestFault` here. A key reaches the endpoint's server and no other:
redirects are not followed, cookies are neither kept nor sent, ~/.netrc is not read (aiohttp's
`trust_env` would, and would send its credentials to servers without a key), and an https server is
asked through a tunnel. Compressed bodies are not asked for, but decompressed piece by piece up to
the limit of the call. A connection that received unsolicited data is not used again.

`proxy_for` finds the proxy: HTTPS_PROXY or HTTP_PROXY, by the scheme of the server's URL, unless
NO_PROXY lists its host (names, domains, `host:port`, addresses, networks such as 10.0.0.0/8, or *).
Lower-case names take precedence. A server on loopback is asked through a proxy only if that is on
loopback too: no other machine's proxy reaches it. SOCKS and ALL_PROXY are not supported.

>>> await HttpClient(endpoint).exchange("POST", endpoint.chat_url, body, 300)   # doctest: +SKIP
"""

import asyncio
import errno
import io
import ipaddress
import math
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from evolcoder import __version__
from evolcoder.engine.endpoint import Endpoint, is_loopback
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import MAX_BYTES, MAX_STREAM_BYTES, HttpAnswer
from evolcoder.errors import ModelError
from evolcoder.text import one_line

CONNECT_S = 30.0
"""Connect timeout; a host that is down does not refuse connections."""
MAX_WAIT = 12
"""Time limits for which a request may wait while others are answered; then it counts as lost."""
KEEP_ALIVE_S = 4.0
"""How long idle connections are kept: less than uvicorn's 5 s."""
CLOSED_AT_ONCE_S = 1.0
"""A connection that is closed without an answer before this many seconds reached no model."""
MAX_MESSAGE_CHARS = 300
"""Maximum characters of an error message."""
_MAX_PLAIN_BODY = 1 << 20
"""Larger bodies are sent from a file object: aiohttp warns of large ones in one piece."""
_UNTRUSTED_CERTIFICATE = (
    "presents an untrusted TLS certificate; set SSL_CERT_FILE to the certificate of its issuer, "
    "or correct the URL"
)
_NO_TLS = "does not accept our TLS connection; for a server without TLS, write http:// in its URL"
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_PASSING = frozenset({408, 429})
"""Statuses below 500 with which a proxy asks to try again."""
_HEADERS = {
    "User-Agent": f"evolcoder/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
"""Sent with every request. Decompression would cost more than the bandwidth it saves."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names for a server."""

    url: URL = field(repr=False)
    """Its URL, with the credentials that it has."""
    shown: str
    """Its URL without credentials, for messages."""
    variable: str
    """The environment variable that names it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the proxy {self.shown} (from {self.variable})"


class TooLongError(Exception):
    """The response exceeds a size limit, which is the argument, in bytes."""


class _Connector(aiohttp.TCPConnector):
    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection without unsolicited data, which would answer the request."""
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


class HttpClient:
    """Sends requests to one server; belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Open no connection yet; ModelError if the environment names an unusable proxy."""
        self._masked = endpoint.masked
        self._proxy = proxy_for(endpoint.chat_url)
        self._proxy_url = self._proxy.url if self._proxy else None
        self._way = f" to {self._proxy.name}" if self._proxy else _unread_proxy(endpoint.chat_url)
        """How the server is reached, for messages."""
        # Not the session's: aiohttp sends those, and the key with them, to the proxy as well.
        self._headers = {**_HEADERS, **endpoint.headers}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._n_answers = 0
        self.answered_at = -math.inf
        """When the last request was answered, by the event loop's clock."""
        connector = _Connector(
            limit=0,  # the rate limiter bounds the number of connections
            keepalive_timeout=KEEP_ALIVE_S,
            ssl=_tls_context() if endpoint.chat_url.scheme == "https" else True,
            resolver=aiohttp.ThreadedResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def exchange(  # noqa: PLR0913 - all of it decides
        self,
        method: str,
        url: URL,
        body: bytes,
        timeout_s: float,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        on_event_bytes: Callable[[bytes], bool] | None = None,
        waits_for_others: bool = False,
    ) -> HttpAnswer | RequestFault:
        """Send a request and return its response, whatever its status, or why there is none.

        `headers` replace those of the endpoint. `on_event_bytes` gets the body of server-sent
        events in place of the response, and returns whether the time limit restarts. With
        `waits_for_others` each answer to another request restarts it too, up to `MAX_WAIT` time
        limits in all: this request then waits in the server's queue.
        """
        n_answers, clock = self._n_answers, asyncio.get_running_loop().time
        started = clock()
        deadline = _Deadline(self, timeout_s, waits_for_others=waits_for_others)
        try:
            async with (
                deadline,
                self._session.request(
                    method,
                    url,
                    headers={**self._headers, **headers} if headers else self._headers,
                    data=body if len(body) <= _MAX_PLAIN_BODY else io.BytesIO(body),
                    allow_redirects=False,
                    timeout=self._timeouts.get(timeout_s) or self._new_timeout(timeout_s),
                    proxy=self._proxy_url,
                ) as response,
            ):
                status, received = response.status, response.headers
                if on_event_bytes and 200 <= status < 300 and _is_events(received):
                    content = b""
                    async for part in _parts_of(response):
                        if on_event_bytes(part):
                            deadline.restart()
                else:
                    content = await _body_of(response, max_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError, TooLongError) as error:
            alone = n_answers == self._n_answers
            is_short = clock() - started < CLOSED_AT_ONCE_S
            reached_no_model = alone and is_short and _is_no_answer(error)
            is_billable = method == "POST" and not reached_no_model
            return self._fault(error, alone=alone, billable=is_billable)
        return self._answer(HttpAnswer(status, content, _plain(received)))

    def _answer(self, answer: HttpAnswer) -> HttpAnswer | RequestFault:
        """Count an answer of the server, or return the fault if it is the proxy's or invalid."""
        if answer.status < 200:
            got = "the server asks for another protocol"
            return RequestFault(_INVALID, got, RetryClass.SERVER_ERROR)
        if answer.status == 407 and self._proxy:
            return _proxy_rejection(self._proxy, answer.status)
        self._n_answers += 1
        if answer.is_success:
            self.answered_at = asyncio.get_running_loop().time()
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _new_timeout(self, timeout_s: float) -> aiohttp.ClientTimeout:
        # Shorter than the whole, so that only requests that were sent run into that. Never rounded.
        connect_s = min(CONNECT_S, 0.9 * timeout_s)
        made = aiohttp.ClientTimeout(total=None, connect=connect_s, ceil_threshold=math.inf)
        self._timeouts[timeout_s] = made
        return made

    def _fault(self, error: Exception, *, alone: bool, billable: bool) -> RequestFault:
        # Masked before it is cut short: a part of a key would not be found.
        message = one_line(self._masked(_message_of(error)), MAX_MESSAGE_CHARS)
        if isinstance(error, UnicodeError):
            return RequestFault(
                "is not at a valid host name; correct it", message, RetryClass.FATAL
            )
        if isinstance(error, aiohttp.ClientHttpProxyError) and self._proxy:
            return _proxy_rejection(self._proxy, error.status)
        if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
            return _connection_fault(error, message, self._way)
        return _request_fault(error, message, alone=alone, billable=billable)


class _Deadline:
    """Time limit of a request, which restarts with each sign that its answer will come."""

    def __init__(self, client: HttpClient, timeout_s: float, *, waits_for_others: bool) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._waits_for_others = waits_for_others
        self._limit = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._began = self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self.restart()
        self._timer = self._loop.call_at(self._due, self._check)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def restart(self) -> None:
        """Count from now."""
        self._due = self._loop.time() + self._timeout_s

    def _check(self) -> None:
        """End the request if its time is over; otherwise check again when it would be."""
        now, due = self._loop.time(), self._due
        if self._waits_for_others:
            latest = self._began + MAX_WAIT * self._timeout_s
            due = max(due, min(self._client.answered_at + self._timeout_s, latest))
        if due > now:
            self._timer = self._loop.call_at(due, self._check)
        else:
            self._limit.reschedule(now)


def _is_no_answer(error: Exception) -> bool:
    """Whether a connection was closed without an answer, or speaks no HTTP."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message.lower().startswith("bad status line")
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _body_of(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read a body, decompressed; TooLongError above the limit, before it is all in memory."""
    if (response.content_length or 0) > max_bytes:
        raise TooLongError(max_bytes)
    content = response.content
    parts, size = [], 0
    while part := await content.readany():
        size += len(part)
        if size > max_bytes:
            raise TooLongError(max_bytes)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_events(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").lower().startswith("text/event-stream")


async def _parts_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a body as it comes; TooLongError above the limit."""
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > MAX_STREAM_BYTES:
            raise TooLongError(MAX_STREAM_BYTES)
        yield part


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): value
        if value.isascii()
        else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in headers.items()
    }


def _message_of(error: Exception) -> str:
    """Return the system's, DNS's or TLS's own words where aiohttp wraps them."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientResponseError):
        return error.message  # without the URL
    return str(error).removeprefix("400, message:")  # aiohttp's, not the server's


def _connection_fault(error: Exception, message: str, way: str) -> RequestFault:
    """Classify a connection error. Interrupted TLS handshakes are transient, rejected ones not."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return RequestFault(_UNTRUSTED_CERTIFICATE, message, RetryClass.FATAL)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return RequestFault(_NO_TLS, message, RetryClass.FATAL)
    if isinstance(cause, TimeoutError):
        what = f"no connection{way} in time"
        return RequestFault(what, message, RetryClass.UNAVAILABLE, cut=True)
    full = isinstance(cause, OSError) and cause.errno in _OUT_OF_FILES
    what = f"no connection{way}"
    return RequestFault(what, message, RetryClass.UNAVAILABLE, overload=full, cut=not full)


def _proxy_rejection(proxy: Proxy, status: int) -> RequestFault:
    if status == 407:
        what = f"is asked through {proxy.name}, which rejects its credentials (HTTP 407)"
        return RequestFault(f"{what}; correct {proxy.variable}", "", RetryClass.FATAL)
    if status >= 500 or status in _PASSING:
        what = f"no connection through {proxy.name} (HTTP {status})"
        return RequestFault(what, "", RetryClass.UNAVAILABLE)
    what = f"is asked through {proxy.name}, which refuses (HTTP {status})"
    return RequestFault(f"{what}; or list the server in NO_PROXY", "", RetryClass.FATAL)


_INVALID = "an invalid HTTP response"


def _request_fault(error: Exception, message: str, *, alone: bool, billable: bool) -> RequestFault:
    """Classify the failure of a request that was sent.

    A closed connection is a server failure if the server answered other requests meanwhile. If it
    answered none (`alone`), it is unreachable behind a tunnel or proxy that accepts connections.
    """
    match error:
        case TooLongError(args=(int(max_bytes),)):
            what = f"an answer of more than {max_bytes >> 20} MiB"
            return RequestFault(what, "", RetryClass.ONCE, possibly_billed=billable)
        case TimeoutError():
            what = "no answer in time; see traffic.timeout_s"
            return RequestFault(
                what, message, RetryClass.SERVER_ERROR, possibly_billed=billable, timed_out=True
            )
        case aiohttp.ClientResponseError():
            what, retry_class = _INVALID, RetryClass.SERVER_ERROR
        case aiohttp.ClientPayloadError():
            what, retry_class = "an incomplete response", RetryClass.SERVER_ERROR
        case _:
            what = "a closed connection"
            retry_class = RetryClass.UNAVAILABLE if alone else RetryClass.SERVER_ERROR
    if "content-encoding" in message:
        what = "a response that cannot be decompressed"
    is_cut = not isinstance(error, aiohttp.ClientResponseError)
    return RequestFault(what, message, retry_class, possibly_billed=billable, cut=is_cut)


def proxy_for(url: URL) -> Proxy | None:
    """Return the proxy for a server; ModelError if the environment names none that can be used."""
    found: Mapping[str, str] = urllib.request.getproxies_environment()
    given = found.get(url.scheme, "").strip()
    if not given or _is_exempt(url, found.get("no", "")):
        return None
    variable = f"{url.scheme.upper()}_PROXY"
    proxy = _parsed(given, variable)
    if is_loopback(url.host or "") and not is_loopback(proxy.url.host or ""):
        return None
    return proxy


def _unread_proxy(url: URL) -> str:
    """Say that ALL_PROXY, which many programs read, names no proxy for a server here."""
    found: Mapping[str, str] = urllib.request.getproxies_environment()
    if not found.get("all") or is_loopback(url.host or "") or _is_exempt(url, found.get("no", "")):
        return ""
    return f" (ALL_PROXY is not read; name an HTTP proxy in {url.scheme.upper()}_PROXY)"


def _parsed(given: str, variable: str) -> Proxy:
    text = given if "://" in given else f"http://{given}"
    scheme, _, rest = text.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")  # a password may contain slashes
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host)
        f"{url.user}{url.password}".encode("latin-1")
    except UnicodeEncodeError:
        # Not chained, nor the next: the messages contain the password.
        raise ModelError(f"{variable}: the credentials in {shown} are not Latin-1") from None
    except ValueError:
        usable = False
    if not usable:
        raise ModelError(f"{variable}: {shown} is not an HTTP proxy; write http://HOST:PORT")
    return Proxy(url, shown, variable)


def _is_exempt(url: URL, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the server."""
    host = (url.host or "").lower().rstrip(".")
    listed = (name.strip().lower() for name in no_proxy.split(","))
    return any(_matches(name, host, url.port) for name in listed if name)


def _matches(name: str, host: str, port: int | None) -> bool:
    if name == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name.strip("[]"), strict=False)
    except ValueError:
        domain = name.removeprefix("*").lstrip(".").removesuffix(f":{port}").strip("[]")
        return host == domain or host.endswith(f".{domain}")
