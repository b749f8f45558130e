"""One HTTP request and its whole answer; what goes wrong on the way is data.

Promises: `exchange` raises nothing that a server or a network can cause. Faults are not chained to
aiohttp's errors, whose repr holds the headers that were sent, and with them the key. No retries.

>>> wire = Wire(Address.of("http://127.0.0.1:8000/v1", api_key=None), timeout_s=300)
>>> await wire.exchange("GET", wire.address.models_url)           # doctest: +SKIP
Answer(status=200, body=b'{"data":[...]}', retry_after=None, location=None)
"""

import errno
import ssl
from dataclasses import dataclass

import aiohttp
from yarl import URL

from evolcoder.engine.address import Address
from evolcoder.engine.retry import Fault, Worth
from evolcoder.text import one_line

MAX_BYTES = 8 * 1024 * 1024
"""Longest body that is read; no answer of a model comes near it."""
CONNECT_S = 30.0
"""Longest wait for a connection; a host that is switched off never refuses one."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response that arrived whole."""

    status: int
    """Its status."""
    body: bytes
    """Its body, decompressed."""
    retry_after: str | None
    """Its header Retry-After."""
    location: str | None
    """Its header Location."""


class Wire:
    """The connections to one server, opened when first needed and kept for the next request."""

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._n_answers = 0

    async def exchange(
        self, method: str, url: URL, body: bytes | None = None, *, timeout_s: float | None = None
    ) -> Answer | Fault:
        """Send one request and read its answer, of any status, to the end."""
        session = self._session or self._open()
        timeout = self._timeout(timeout_s) if timeout_s else session.timeout
        n_answers = self._n_answers
        try:
            async with session.request(
                method, url, data=body, allow_redirects=False, timeout=timeout
            ) as response:
                content = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _fault_of(error, alone=n_answers == self._n_answers)
        self._n_answers += 1
        if content is None:
            return Fault(f"an answer of more than {MAX_BYTES >> 20} MiB", "", Worth.ONCE)
        headers = response.headers
        return Answer(response.status, content, headers.get("Retry-After"), headers.get("Location"))

    async def aclose(self) -> None:
        """Close all connections; closing twice is allowed."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # The number of connections is the pace's business, and no API of this kind needs cookies.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self.address.headers,
            timeout=self._timeout(self._timeout_s),
        )
        return self._session

    @staticmethod
    def _timeout(seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_S, seconds))


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Read a body to its end, or None when it is too long; the connection is dropped then."""
    if (response.content_length or 0) > MAX_BYTES:
        return None
    parts, size = [], 0
    while part := await response.content.readany():
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            return None
    return b"".join(parts)


def _fault_of(error: BaseException, *, alone: bool) -> Fault:
    """Say what a foreign error means.

    A connection that is cut is the server's failure while it answers others. If it answered nobody
    in the meantime (`alone`) it is away, behind a tunnel or a proxy that still takes connections.
    TLS that breaks off is such a cut; TLS that is refused stays refused, whatever is asked.
    """
    full = False
    match error:
        case aiohttp.ClientConnectorCertificateError():
            what, worth = _UNTRUSTED, Worth.FATAL
        case aiohttp.ClientConnectorSSLError() if not isinstance(error.os_error, ssl.SSLEOFError):
            what, worth = _NO_TLS, Worth.FATAL
        case aiohttp.ClientConnectorError():
            full = error.errno in _OUT_OF_FILES
            what, worth = "no connection", Worth.TIME
        case aiohttp.ConnectionTimeoutError():
            what, worth = "no connection in time", Worth.TIME
        case TimeoutError():
            what, worth = "no answer in time; see traffic.timeout_s", Worth.TRIES
        case aiohttp.ClientResponseError():
            what, worth = "an answer that is no HTTP", Worth.TRIES
        case aiohttp.ServerDisconnectedError() | OSError():
            what, worth = "a connection that was cut", Worth.TIME if alone else Worth.TRIES
        case _:
            what, worth = "half an answer", Worth.TRIES
    return Fault(what, one_line(_words(error), WIDTH), worth, overload=full)


def _words(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            return str(error.os_error)
        case aiohttp.ClientResponseError():
            return error.message
    return str(error)
