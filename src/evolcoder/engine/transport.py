"""One HTTP request and its whole answer; what goes wrong on the way is data.

Promises: `exchange` raises nothing that a server or a network can cause. No fault holds the headers
that were sent, and with them the key. No retries.

>>> wire = Wire(Address.of("http://127.0.0.1:8000/v1", api_key=None), timeout_s=300)
>>> await wire.exchange("GET", wire.address.models_url)           # doctest: +SKIP
Answer(status=200, body=b'{"data":[...]}', retry_after=None, location=None)
"""

import errno
import ssl
from dataclasses import dataclass

from yarl import URL

from evolcoder import __version__
from evolcoder.engine.connection_pool import (
    CutError,
    HalfError,
    HttpError,
    Lines,
    NotHttpError,
    TooLongError,
)
from evolcoder.engine.endpoint import Address
from evolcoder.engine.http_connection import CannotConnectError, Dial
from evolcoder.engine.retry import Fault, Worth
from evolcoder.text import one_line

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
        self._lines: Lines | None = None
        self._heads: dict[tuple[str, URL], bytes] = {}
        self._n_answers = 0

    async def exchange(
        self, method: str, url: URL, body: bytes = b"", *, timeout_s: float | None = None
    ) -> Answer | Fault:
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
        return Answer(
            reply.status,
            reply.body,
            _header(reply.headers.get(b"retry-after")),
            _header(reply.headers.get(b"location")),
        )

    async def aclose(self) -> None:
        """Close all connections; closing twice is allowed."""
        if self._lines is not None:
            await self._lines.aclose()

    def _open(self) -> Lines:
        # The number of connections is the pace's business.
        dial = Dial(self.address.chat_url)
        self._lines = Lines(dial, most_bytes=MAX_BYTES, idle_s=KEEP_ALIVE_S)
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


def _unconnected(error: OSError) -> Fault:
    """Say why there is no connection. TLS that breaks off passes, TLS that is refused does not."""
    words = one_line(str(error), WIDTH)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault(_UNTRUSTED, words, Worth.FATAL)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return Fault(_NO_TLS, words, Worth.FATAL)
    if isinstance(error, TimeoutError):
        return Fault("no connection in time", words, Worth.TIME)
    full = error.errno in _OUT_OF_FILES
    return Fault("no connection", words, Worth.TIME, overload=full)


def _unanswered(error: HttpError | OSError, *, alone: bool) -> Fault:
    """Say what became of a request that was sent.

    A connection that is cut is the server's failure while it answers others. If it answered nobody
    in the meantime (`alone`) it is away, behind a tunnel or a proxy that still takes connections.
    """
    match error:
        case TooLongError():
            return Fault(f"an answer of more than {MAX_BYTES >> 20} MiB", "", Worth.ONCE)
        case TimeoutError():
            what, worth = "no answer in time; see traffic.timeout_s", Worth.TRIES
        case NotHttpError():
            what, worth = "an answer that is no HTTP", Worth.TRIES
        case HalfError():
            what, worth = "half an answer", Worth.TRIES
        case CutError() | _:
            what, worth = "a connection that was cut", Worth.TIME if alone else Worth.TRIES
    return Fault(what, one_line(str(error), WIDTH), worth)
