"""The contract of a provider's batch API, and its HTTP calls with retries and errors.

A service submits requests as one batch, finds a batch again by its tag, reports its status and
downloads its results. A call is retried while the server is unreachable or busy, within
`traffic.max_retry_s`. `ModelError` carries the server's words if only the user can help.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from yarl import URL

from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Request
from evolcoder.engine.batch.ledger import Batch, BatchLedger, Result
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.http_errors import classify_response
from evolcoder.engine.retry import BACKOFF_S, RequestFault, RetryClass, RetryState
from evolcoder.engine.transport import MAX_BYTES, HttpAnswer, Transport
from evolcoder.errors import EngineError, EvolcoderError, Fault, ModelError

MAX_RESULT_BYTES = 512 << 20
"""Maximum size of a batch's results."""
PROBE_TRIES = 3
"""Attempts of the first request."""
MIN_TRANSFER_S = 600.0
"""Minimum timeout of an upload or a download."""
NO_BATCHES = "has no batch endpoint there (HTTP {}); leave out --batch"
_NOT_THERE = frozenset({404, 405, 501})
Lines = Sequence[tuple[int, bytes]]
"""Bodies of requests by line."""
_PASS_PROBE = _NOT_THERE | {400, 422}
"""Statuses that do not stop a probe: a server may have batches and a list of another kind."""
_FINAL = frozenset({RetryClass.FATAL, RetryClass.REJECTED})


@dataclass(frozen=True, slots=True)
class BatchState:
    """The status of a batch at the provider."""

    status: str
    """The provider's word, such as `in_progress`."""
    is_over: bool
    """Whether it answers no further request."""
    n_done: int = 0
    """Requests with a result."""
    n_requests: int = 0
    """Requests in it, as far as the provider says."""
    refusal: str = ""
    """Why the provider refused the whole batch; empty otherwise."""
    is_limit: bool = False
    """Whether the refusal is a limit on what is enqueued: fewer requests at once may pass."""
    results: tuple[URL, ...] = ()
    """Where its results are."""


class BatchService(Protocol):
    """One provider's batch API."""

    max_requests: int
    """Maximum requests of a batch."""

    async def check(self) -> None:
        """Raise ModelError if the server has no batch endpoint or rejects the key."""
        ...

    def body(self, request: Request, unsent: frozenset[str]) -> bytes:
        """Serialise a request without these parameters."""
        ...

    async def submit(self, batch: Batch, lines: Lines, ledger: BatchLedger, *, is_raw: bool) -> str:
        """Submit requests; return the provider's id. Stores the id of an uploaded file."""
        ...

    async def find(self, batch: Batch, ledger: BatchLedger) -> str | None:
        """Return the id of a batch that may have been submitted; None if it was not."""
        ...

    async def state(self, id: str) -> BatchState | None:
        """Return the status of a batch; None if the provider no longer has it."""
        ...

    async def results(self, batch: Batch, state: BatchState) -> list[tuple[int, Result]]:
        """Download the results by line, in any order; bodies are those of chat completions."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class BatchHttp:
    """HTTP calls to one server, with retries; errors contain no keys."""

    def __init__(
        self, endpoint: Endpoint, traffic: TrafficConfig, *, backoff_s: float = BACKOFF_S
    ) -> None:
        self.endpoint = endpoint
        self._traffic = traffic
        self._backoff_s = backoff_s
        self._transport = Transport(endpoint, timeout_s=max(traffic.timeout_s, MIN_TRANSFER_S))

    @property
    def settle_s(self) -> float:
        """Seconds after which a server shows what it has stored."""
        return self._traffic.batch_poll_s

    def url(self, *path: str, **query: str) -> URL:
        """Return a URL below the base URL, with the query of the base URL."""
        models = self.endpoint.models_url
        url = models.parent
        for part in path:
            url = url / part
        return url.with_query({**models.query, **query})

    async def get(self, url: URL, *, max_bytes: int = MAX_BYTES) -> HttpAnswer:
        """Return the response with status 2xx, 404, 405 or 501; raises for everything else."""
        return await self.call("GET", url, max_bytes=max_bytes)

    async def probe(self, url: URL) -> HttpAnswer:
        """Get a URL with few attempts, to report mistakes early; raises ModelError."""
        n_tries = 1
        while isinstance(
            outcome := await self.try_once("GET", url, passed=_PASS_PROBE), RequestFault
        ):
            if n_tries == PROBE_TRIES:
                break
            await asyncio.sleep(self._backoff_s * n_tries)
            n_tries += 1
        else:
            return outcome
        why = f"{outcome.what}: {outcome.got}" if outcome.got else outcome.what
        what = f"cannot be reached ({why}); start the server or correct the URL"
        raise ModelError(self.endpoint.redact(f"{self.endpoint.identity} {what}"))

    async def call(
        self,
        method: str,
        url: URL,
        body: bytes = b"",
        *,
        content_type: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> HttpAnswer:
        """Send a request that may safely be repeated; see `get` for what is returned."""
        retries = self.retries()
        while True:
            outcome = await self.try_once(
                method, url, body, content_type=content_type, max_bytes=max_bytes
            )
            if isinstance(outcome, HttpAnswer):
                return outcome
            await self.wait(retries, outcome)

    def retries(self) -> RetryState:
        """Return the retry state of a new call."""
        now = asyncio.get_running_loop().time()
        return RetryState(self._traffic, now=now, backoff_s=self._backoff_s)

    async def wait(self, retries: RetryState, fault: RequestFault) -> None:
        """Wait until the next attempt; raises the error if there is none."""
        wait_s = retries.wait_s(fault, asyncio.get_running_loop().time())
        if wait_s is None:
            raise self.error(fault)
        await asyncio.sleep(wait_s)

    async def try_once(
        self,
        method: str,
        url: URL,
        body: bytes = b"",
        *,
        content_type: str | None = None,
        max_bytes: int = MAX_BYTES,
        passed: frozenset[int] = _NOT_THERE,
    ) -> HttpAnswer | RequestFault:
        """Send a request once; a transient failure is returned, other errors are raised.

        `passed` are the statuses besides 2xx that are returned.
        """
        outcome = await self._transport.exchange(
            method, url, body, content_type=content_type, max_bytes=max_bytes
        )
        if isinstance(outcome, HttpAnswer):
            if 200 <= outcome.status < 300:
                return outcome
            if outcome.status in passed:
                return self.masked(outcome)
            outcome = self._fault(self.masked(outcome))
        if outcome.retry_class in _FINAL:
            raise self.error(outcome)
        return outcome

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def no_batches(self, answer: HttpAnswer) -> ModelError:
        """Return the error for a server without a batch endpoint."""
        words = openai_schema.parse_error(self.masked(answer).body).message
        what = f"{self.endpoint.identity} {NO_BATCHES.format(answer.status)}"
        return ModelError(self.endpoint.redact(f"{what}: {words}" if words else what))

    def is_missing(self, answer: HttpAnswer) -> bool:
        """Return whether the server says that there is no such thing, or no such method."""
        return answer.status in _NOT_THERE

    def masked(self, answer: HttpAnswer) -> HttpAnswer:
        """Remove keys from a body."""
        text = self.endpoint.masked(answer.body.decode("utf-8", "replace"))
        return replace(answer, body=text.encode())

    def error(self, fault: RequestFault) -> EvolcoderError:
        """Return the error of a call: the set-up's, or one that may pass."""
        got = self.endpoint.redact(fault.got)
        if fault.retry_class in _FINAL:
            what = self.endpoint.redact(fault.what)
            return ModelError(f"{self.endpoint.identity} {what}{f': {got}' if got else ''}")
        return EngineError(
            fault.what,
            asked=f"a batch at {self.endpoint.identity}",
            got=got,
            retryable=True,
            hint=Fault.MOMENT,
        )

    def _fault(self, answer: HttpAnswer) -> RequestFault:
        fault = classify_response(answer, model="", rejected=self.endpoint.rejected)
        if fault.retry_class is RetryClass.REJECTED:
            what = f"rejects the batch (HTTP {answer.status})"
            return RequestFault(what, fault.got, RetryClass.FATAL)
        return fault
