"""Requests to one server: whole responses, and faults as values.

`Transport.exchange` raises for nothing that a server or network causes: faults are returned as
`RequestFault`, which never contain the request headers and thus no key. `http_client` does the work
with aiohttp, which is imported with the first request. No retries, redirects or cookies; proxies as
there. Responses are read up to `MAX_BYTES`, or the limit of the call, decompressed.

>>> transport = Transport(Endpoint.of("http://127.0.0.1:8000/v1", api_key=None), timeout_s=300)
>>> await transport.exchange("GET", transport.endpoint.models_url)    # doctest: +SKIP
HttpAnswer(status=200, body=b'{"data":[...]}', headers={'content-type': 'application/json'})
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.retry import RequestFault

if TYPE_CHECKING:
    from evolcoder.engine.http_client import HttpClient

MAX_BYTES = 8 * 1024 * 1024
"""Maximum size of a body; model answers are far smaller."""

MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Maximum size of a body of events: some 300 bytes for each token."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP response."""

    status: int
    """Status code."""
    body: bytes
    """Body, decompressed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers by lower-case name; the last of equal names."""

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success: some gateways answer with 201."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> str | None:
        """The Retry-After header."""
        return self.headers.get("retry-after")

    @property
    def location(self) -> str | None:
        """The Location header."""
        return self.headers.get("location")


class Transport:
    """Sends requests to one server over pooled connections; belongs to one event loop."""

    def __init__(self, endpoint: Endpoint, *, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._client: HttpClient | None = None

    async def exchange(  # noqa: PLR0913 - all of it decides
        self,
        method: str,
        url: URL,
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
        content_type: str | None = None,
        max_bytes: int = MAX_BYTES,
        on_event_bytes: Callable[[bytes], bool] | None = None,
        waits_for_others: bool = False,
    ) -> HttpAnswer | RequestFault:
        """Send a request and return its response, whatever its status.

        `content_type` replaces the endpoint's; a response has at most `max_bytes`, decompressed.
        `on_event_bytes` gets the body of server-sent events with status 200 as it comes, up to
        `MAX_STREAM_BYTES`, and returns whether the time limit restarts; the body of the response is
        then empty. With `waits_for_others` each answer to another request restarts the limit too,
        within bounds. Raises ModelError if the environment names a proxy that cannot be used.
        """
        client = self._client or self._open()
        more = {"Content-Type": content_type} if content_type else None
        timeout_s = timeout_s or self._timeout_s
        return await client.exchange(
            method,
            url,
            body,
            timeout_s,
            headers=more,
            max_bytes=max_bytes,
            on_event_bytes=on_event_bytes,
            waits_for_others=waits_for_others,
        )

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> "HttpClient":
        # Importing aiohttp takes longer than all else that a command imports.
        from evolcoder.engine.http_client import HttpClient  # noqa: PLC0415

        self._client = HttpClient(self.endpoint)
        return self._client
