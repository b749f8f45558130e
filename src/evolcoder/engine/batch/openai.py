"""OpenAI's batch API, which Azure, Groq and others share: files, batches, output files.

Requests are uploaded as a file of JSON lines with the purpose `batch`; a batch names that file and
carries our tag as metadata. A batch is found again in the list of batches by the tag or the file.
Answered requests are in its output file and failed ones in its error file, in any order.
"""

import asyncio
import re
import secrets
from typing import Any

import orjson

from evolcoder.engine import openai_schema
from evolcoder.engine.base import Request
from evolcoder.engine.batch.ledger import Batch, BatchLedger, Result
from evolcoder.engine.batch.service import (
    MAX_RESULT_BYTES,
    BatchHttp,
    BatchState,
    Lines,
    count,
    fields,
    json_lines,
    objects,
    text,
)
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import ModelError

CHAT, RAW = "/v1/chat/completions", "/v1/completions"
"""Endpoints as batches name them, whatever the base URL is."""
WINDOW = "24h"
"""The only completion window that all providers have."""
PAGE = 100
"""Batches per page of the list."""
MAX_PAGES = 20
"""Pages of the list that are searched; the newest batches come first."""
TAG = "evolcoder_tag"
"""Key of the metadata."""
_OVER = frozenset({"completed", "failed", "expired", "cancelled", "canceled"})
_LIMITS = ("token_limit_exceeded", "enqueued", "rate_limit")
_STATUSES = {"invalid": 400, "content": 400, "context_length": 400, "rate_limit": 429}
"""Parts of error codes -> HTTP status; other codes, such as `batch_expired`, have none."""
_NO_RESPONSE = 0


class OpenAIBatches:
    """The batch API of one server."""

    max_requests = 10_000
    """Providers take 50,000; fewer bound the memory for a file of results."""

    def __init__(self, http: BatchHttp) -> None:
        self._http = http

    async def check(self) -> None:
        """Ask for one batch of the list."""
        answer = await self._http.probe(self._http.url("batches", limit="1"))
        if answer.status == 404:
            raise self._http.no_batches(answer)

    def body(self, request: Request, unsent: frozenset[str]) -> bytes:
        """Serialise a request as for chat completions."""
        return openai_schema.payload(request, unsent)

    async def submit(self, batch: Batch, lines: Lines, ledger: BatchLedger, *, is_raw: bool) -> str:
        """Upload the requests and create the batch; see `BatchService`."""
        endpoint = RAW if is_raw else CHAT
        file = await self._upload(batch, lines, endpoint)
        ledger.set_file(batch, file)
        body = orjson.dumps(
            {
                "input_file_id": file, "endpoint": endpoint, "completion_window": WINDOW,
                "metadata": {TAG: batch.tag},
            }
        )  # fmt: skip
        url, retries = self._http.url("batches"), self._http.retries()
        while True:
            outcome = await self._http.try_once("POST", url, body)
            if isinstance(outcome, HttpAnswer):
                if self._http.is_missing(outcome):
                    raise self._http.no_batches(outcome)
                if id := text(fields(outcome).get("id")):
                    return id
                outcome = _unreadable("batch", outcome)
            await self._http.wait(retries, outcome)
            # The server may have created it although no answer came, and may list it late.
            found = await self._find(batch, file)
            if found is None and not outcome.overload:
                await asyncio.sleep(self._http.settle_s)
                found = await self._find(batch, file)
            if found is not None:
                return found

    async def find(
        self,
        batch: Batch,
        ledger: BatchLedger,  # noqa: ARG002 - others need it
    ) -> str | None:
        """Search the list of batches; see `BatchService`."""
        return await self._find(batch, batch.file)

    async def state(self, id: str) -> BatchState | None:
        """Ask for the batch; see `BatchService`."""
        answer = await self._http.get(self._http.url("batches", id))
        if self._http.is_missing(answer):
            return None
        found = fields(answer)
        status = text(found.get("status")).lower()
        counts = found.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        files = (text(found.get(name)) for name in ("output_file_id", "error_file_id"))
        refusal, is_limit = _refusal(found) if status == "failed" else ("", False)
        return BatchState(
            status or "unknown",
            status in _OVER,
            count(counts.get("completed")) + count(counts.get("failed")),
            count(counts.get("total")),
            self._http.endpoint.redact(self._http.endpoint.masked(refusal)),
            is_limit,
            tuple(self._http.url("files", file, "content") for file in files if file),
        )

    async def results(self, batch: Batch, state: BatchState) -> list[tuple[int, Result]]:
        """Download the output and the error file; see `BatchService`."""
        found: dict[int, Result] = {}
        for url in state.results:
            answer = await self._http.get(url, max_bytes=MAX_RESULT_BYTES)
            if self._http.is_missing(answer):
                continue
            for line in json_lines(answer.body):
                number = batch.line_of(text(line.get("custom_id")))
                if number is not None:
                    found.setdefault(number, self._result(line))
        return list(found.items())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _upload(self, batch: Batch, lines: Lines, endpoint: str) -> str:
        boundary = secrets.token_hex(16)
        answer = await self._http.call(
            "POST",
            self._http.url("files"),
            _multipart(batch, lines, endpoint, boundary),
            content_type=f"multipart/form-data; boundary={boundary}",
        )
        if self._http.is_missing(answer):
            raise self._http.no_batches(answer)
        file = text(fields(answer).get("id"))
        if not file:
            raise ModelError(
                f"{self._http.endpoint.identity} accepts an upload but returns no file id"
            )
        return file

    async def _find(self, batch: Batch, file: str | None) -> str | None:
        """Search the newest batches for our tag, or for our file where metadata is not kept."""
        after: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            url = self._http.url("batches", limit=str(PAGE), **after)
            answer = await self._http.get(url)
            if self._http.is_missing(answer):
                return None
            page = fields(answer)
            rows = objects(page.get("data"))
            for row in rows:
                metadata = row.get("metadata")
                tag = metadata.get(TAG) if isinstance(metadata, dict) else None
                if tag == batch.tag or (file is not None and row.get("input_file_id") == file):
                    return text(row.get("id")) or None
            last = text(rows[-1].get("id")) if rows else ""
            if not page.get("has_more") or not last:
                return None
            after = {"after": last}
        return None

    def _result(self, line: dict[str, Any]) -> Result:
        """Return the status and the body of a line, which may have an error in place of both."""
        response = line.get("response")
        response = response if isinstance(response, dict) else {}
        body, status = response.get("body"), response.get("status_code")
        if not isinstance(status, int):
            error = line.get("error")
            status = 200 if body and not error else _status_of(error)
            body = body if status == 200 else {"error": error}
        encoded = body if isinstance(body, str) else openai_schema.dumps(body).decode()
        return status, self._http.endpoint.masked(encoded)


def _status_of(error: object) -> int:
    """Return the HTTP status that an error of a line without a response stands for."""
    code = str(error.get("code") if isinstance(error, dict) else error).lower()
    if re.fullmatch(r"[45]\d\d", code):
        return int(code)
    return next((status for word, status in _STATUSES.items() if word in code), _NO_RESPONSE)


def _multipart(batch: Batch, lines: Lines, endpoint: str, boundary: str) -> bytes:
    """Build the form with the purpose and the file."""
    edge = f"--{boundary}\r\nContent-Disposition: form-data; name="
    head = (
        f'{edge}"purpose"\r\n\r\nbatch\r\n'
        f'{edge}"file"; filename="{batch.tag}.jsonl"\r\n'
        f"Content-Type: application/jsonl\r\n\r\n"
    )
    parts = [head.encode()]
    for number, body in lines:
        start = (
            f'{{"custom_id":"{batch.line_id(number)}","method":"POST","url":"{endpoint}","body":'
        )
        parts += [start.encode(), body, b"}\n"]
    return b"".join([*parts, f"\r\n--{boundary}--\r\n".encode()])


def _refusal(found: dict[str, Any]) -> tuple[str, bool]:
    """Return the server's words about a failed batch, and whether a limit is the reason."""
    errors = found.get("errors")
    rows = objects(errors.get("data") if isinstance(errors, dict) else errors)
    words = [text(row.get("message")) or text(row.get("code")) for row in rows[:3]]
    said = "; ".join(filter(None, words)) or "the batch failed without a reason"
    codes = " ".join(f"{row.get('code')} {row.get('message')}" for row in rows).lower()
    return said, any(limit in codes for limit in _LIMITS)


def _unreadable(what: str, answer: HttpAnswer) -> RequestFault:
    words = openai_schema.parse_error(answer.body).message
    return RequestFault(f"an unreadable {what}", words, RetryClass.SERVER_ERROR)
