"""Opening connections to one server: its name is looked up now and then, TLS where the URL says so.

Promises: a name is looked up once for all who connect within `KNOWN_S`; they take its addresses in
turn, so that each address of a server gets its share of them; an address that does not answer is
passed over for the next. Certificates are checked. What goes wrong is a `CannotConnectError`, at
most `timeout_s` later.

>>> line = await Dial(URL("http://127.0.0.1:8000")).open(Line, 30.0)   # doctest: +SKIP
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import aiohappyeyeballs
from yarl import URL

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


class Dial:
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
