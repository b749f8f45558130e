"""Anthropic's Message Batches API: requests in one call, results as JSON lines.

Requests and results are translated from and to the form of chat completions; the seed is not sent.
The API has no metadata, so a batch is found again by its age, its size and the ids of its lines,
which the results repeat once it has ended.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

from yarl import URL

from evolcoder.engine import openai_schema
from evolcoder.engine.base import Request
from evolcoder.engine.batch.ledger import Batch, BatchLedger, Result
from evolcoder.engine.batch.service import MAX_RESULT_BYTES, BatchHttp, BatchState, Lines
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.json_values import (
    count_of,
    object_of,
    objects_of,
    parse_lines,
    parse_object,
    text_of,
)
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import ModelError
from evolcoder.text import clean

VERSION = "2023-06-01"
"""Value of the header `anthropic-version`."""
PAGE = 100
"""Batches per page of the list."""
MAX_PAGES = 20
"""Pages of the list that are searched; the newest batches come first."""
CLOCK_SKEW_S = 300.0
"""Maximum time by which the server's clock may be behind ours."""
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""Stop reasons -> finish reasons of chat completions; others are passed on."""
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Types of errors -> HTTP status."""
_NO_RESPONSE = 0


def anthropic_endpoint(endpoint: Endpoint, key: str) -> Endpoint:
    """Return an endpoint with Anthropic's headers in place of our bearer token.

    Headers that the user gives take precedence.
    """
    key = key.strip()
    given = endpoint.headers.items()
    theirs = {name: value for name, value in given if not key or value != f"Bearer {key}"}
    ours = {"Anthropic-Version": VERSION, **({"X-Api-Key": key} if key else {})}
    return replace(endpoint, headers={**ours, **theirs})


class AnthropicBatches:
    """The batch API of one server."""

    max_requests = 10_000
    """Anthropic takes 100,000; fewer bound the memory for the results."""

    def __init__(self, http: BatchHttp, *, poll_s: float = 60.0) -> None:
        self._http = http
        self._poll_s = poll_s

    async def check(self) -> None:
        """Ask for one batch of the list."""
        answer = await self._http.probe(self._url(limit="1"))
        if self._http.is_missing(answer):
            raise self._http.no_batches(answer)

    def body(self, request: Request, unsent: frozenset[str]) -> bytes:
        """Serialise a request as for the Messages API."""
        if request.is_raw:
            raise ModelError(
                f"{self._http.endpoint.identity} has no text completions; use a chat template"
            )
        sampling = request.sampling
        values: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        body = {
            "model": request.model,
            "max_tokens": sampling.max_tokens,
            "messages": [
                {"role": m.role, "content": clean(m.content)}
                for m in request.messages
                if m.role != "system"
            ],
            **({"system": clean(system)} if system else {}),
            **{name: value for name, value in values.items() if name not in unsent},
            **request.extra_body,
        }
        return openai_schema.dumps(body)

    async def submit(
        self,
        batch: Batch,
        lines: Lines,
        ledger: BatchLedger,
        *,
        is_raw: bool,  # noqa: ARG002 - `body` refuses raw requests
    ) -> str:
        """Create the batch; see `BatchService`."""
        rows = [
            b'{"custom_id":"%b","params":%b}' % (batch.line_id(number).encode(), body)
            for number, body in lines
        ]
        body = b'{"requests":[%b]}' % b",".join(rows)
        retries = self._http.retries()
        while True:
            outcome = await self._http.try_once("POST", self._url(), body)
            if isinstance(outcome, HttpAnswer):
                if self._http.is_missing(outcome):
                    raise self._http.no_batches(outcome)
                if id := text_of(parse_object(outcome.body).get("id")):
                    return id
                words = openai_schema.parse_error(outcome.body).message
                outcome = RequestFault("an unreadable batch", words, RetryClass.SERVER_ERROR)
            await self._http.wait(retries, outcome)
            # The server may have created it although no answer came.
            if (found := await self.find(batch, ledger)) is not None:
                return found

    async def find(self, batch: Batch, ledger: BatchLedger) -> str | None:
        """Wait for the batches that may be it, and read the ids of their lines."""
        for id in await self._candidates(batch, ledger.known_ids(batch.server)):
            state = await self._ended(id)
            if state is not None and await self._is_ours(batch, state):
                return id
        return None

    async def _ended(self, id: str) -> BatchState | None:
        """Wait until a batch has ended; None if it no longer exists."""
        while True:
            state = await self.state(id)
            if state is None or state.is_over:
                return state
            await asyncio.sleep(self._poll_s)

    async def state(self, id: str) -> BatchState | None:
        """Ask for the batch; see `BatchService`."""
        answer = await self._http.get(self._url(id))
        if self._http.is_missing(answer):
            return None
        found = parse_object(answer.body)
        counts = _counts(found)
        total = sum(counts.values())
        status = text_of(found.get("processing_status"))
        url = self._results_url(id, text_of(found.get("results_url")))
        return BatchState(
            status or "unknown",
            status == "ended",
            total - counts["processing"],
            total,
            results=(url,) if status == "ended" else (),
        )

    async def results(self, batch: Batch, state: BatchState) -> list[tuple[int, Result]]:
        """Download the results; see `BatchService`."""
        found: dict[int, Result] = {}
        for line in await self._lines(state):
            number = batch.line_of(text_of(line.get("custom_id")))
            if number is not None:
                status, body = _result(line.get("result"))
                encoded = self._http.endpoint.masked(openai_schema.dumps(body).decode())
                found.setdefault(number, (status, encoded))
        return list(found.items())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _url(self, *path: str, **query: str) -> URL:
        return self._http.url("messages", "batches", *path, **query)

    def _results_url(self, id: str, given: str) -> URL:
        """Return the server's URL of the results if it is on this server: it gets the key."""
        ours = self._url(id, "results")
        try:
            url = URL(given)
        except ValueError:
            return ours
        return url if url.is_absolute() and url.origin() == ours.origin() else ours

    async def _lines(self, state: BatchState) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for url in state.results:
            answer = await self._http.get(url, max_bytes=MAX_RESULT_BYTES)
            if not self._http.is_missing(answer):
                found += parse_lines(answer.body)
        return found

    async def _is_ours(self, batch: Batch, state: BatchState) -> bool:
        ids = (text_of(line.get("custom_id")) for line in await self._lines(state))
        return any(batch.line_of(id) is not None for id in ids)

    async def _candidates(self, batch: Batch, known: set[str]) -> list[str]:
        """List batches of the same size that are not older than ours and not known otherwise."""
        oldest = batch.planned - CLOCK_SKEW_S
        found: list[str] = []
        after: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            answer = await self._http.get(self._url(limit=str(PAGE), **after))
            page = parse_object(answer.body)
            rows = objects_of(page.get("data"))
            for row in rows:
                id = text_of(row.get("id"))
                is_new = _unix_time(text_of(row.get("created_at"))) >= oldest
                if is_new and id not in known and sum(_counts(row).values()) == batch.size:
                    found.append(id)
            last = text_of(page.get("last_id"))
            if not page.get("has_more") or not last:
                break
            after = {"after_id": last}
        return found


def _counts(found: dict[str, Any]) -> dict[str, int]:
    given = found.get("request_counts")
    given = object_of(given)
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    return {name: count_of(given.get(name)) for name in names}


def _unix_time(stamp: str) -> float:
    """Parse an RFC 3339 time; infinite if it is invalid, so that a batch is not overlooked."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return float("inf")


def _result(result: object) -> tuple[int, dict[str, Any]]:
    """Translate a result to a status and a body of chat completions."""
    found = object_of(result)
    kind = text_of(found.get("type"))
    message, error = found.get("message"), found.get("error")
    if kind == "succeeded" and isinstance(message, dict):
        return 200, _completion(message)
    if kind == "errored" and isinstance(error, dict):
        nested = error.get("error")
        inner = nested if isinstance(nested, dict) else error
        return STATUSES.get(text_of(inner.get("type")), 500), {"error": inner}
    return _NO_RESPONSE, {"error": {"message": f"the request is {kind or 'unanswered'}"}}


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    """Translate a message to a chat completion."""
    blocks = objects_of(message.get("content"))
    said = "".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")
    thought = "\n\n".join(
        text_of(block.get("thinking")) for block in blocks if block.get("type") == "thinking"
    )
    reason = text_of(message.get("stop_reason"))
    return {
        "model": message.get("model"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "reasoning_content": thought},
                "finish_reason": FINISHES.get(reason, reason),
            }
        ],
        "usage": message.get("usage"),
    }
