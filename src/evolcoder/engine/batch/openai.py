"""OpenAI's batch API and its dialects (`dialects`): files, batches, output files.

Requests are uploaded as a file of JSON lines; a batch names that file and, where the provider keeps
metadata, carries our tag. A batch is found again in the list of batches by the tag or the file.
Answered requests are in its output file and failed ones in its error file, in any order.
"""

import asyncio
import re
import secrets
from dataclasses import replace
from typing import Any

import orjson
from yarl import URL

from evolcoder.engine import openai_schema
from evolcoder.engine.base import Request
from evolcoder.engine.batch.dialects import (
    ENDED,
    FAILED,
    MISTRAL,
    OPENAI,
    TOGETHER,
    Dialect,
    counts_of,
    id_of,
    is_batch_of,
    result_files,
    why_unusable,
)
from evolcoder.engine.batch.ledger import Batch, BatchLedger, Result
from evolcoder.engine.batch.service import MAX_RESULT_BYTES, BatchHttp, BatchState, Lines
from evolcoder.engine.json_values import (
    object_of,
    objects_of,
    parse,
    parse_lines,
    parse_object,
    text_of,
)
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import ModelError

CHAT, RAW = "/v1/chat/completions", "/v1/completions"
"""Endpoints as batches name them, whatever the base URL is."""
MAX_PAGES = 20
"""Pages of the list that are searched; the newest batches come first."""
_LIMITS = ("token_limit_exceeded", "enqueued", "rate_limit")
_STATUSES = {"invalid": 400, "content": 400, "context_length": 400, "rate_limit": 429}
"""Parts of error codes -> HTTP status; other codes, such as `batch_expired`, have none."""
_NO_RESPONSE = 0
NO_REASON = "the batch failed without a reason"


class OpenAIBatches:
    """The batch API of one server."""

    max_requests = 10_000
    """Providers take 50,000; fewer bound the memory for a file of results."""

    def __init__(self, http: BatchHttp, dialect: Dialect = OPENAI) -> None:
        """`check` finds the dialect that the server speaks."""
        self._http = http
        self._dialect = dialect

    async def check(self) -> None:
        """Ask for one batch of the list; the answer shows the dialect."""
        if why := why_unusable(self._http.endpoint.identity):
            raise ModelError(f"{self._http.endpoint.identity}: {why}; leave out --batch")
        answer = await self._http.probe(self._jobs_url(OPENAI.first_page(1), OPENAI))
        if answer.status == 404:
            if not await self._has_jobs(MISTRAL):
                raise self._http.no_batches(answer)
            self._dialect = MISTRAL
        elif isinstance(_parsed(answer), list):
            self._dialect = TOGETHER

    def body(self, request: Request, unsent: frozenset[str]) -> bytes:
        """Serialise a request as for chat completions."""
        if request.is_raw and not self._dialect.has_raw:
            raise ModelError(
                f"{self._http.endpoint.identity} has no batches of text completions; use a chat "
                f"template, or leave out --batch"
            )
        name = self._dialect.seed
        if name != OPENAI.seed:
            seed = {} if OPENAI.seed in unsent else {name: request.seed}
            request = replace(request, extra_body={**seed, **request.extra_body})
            unsent |= {OPENAI.seed}
        return openai_schema.payload(request, unsent)

    async def submit(self, batch: Batch, lines: Lines, ledger: BatchLedger, *, is_raw: bool) -> str:
        """Upload the requests and create the batch; see `BatchService`."""
        endpoint = RAW if is_raw else CHAT
        file = await self._upload(batch, lines, endpoint)
        ledger.set_file(batch, file)
        body = orjson.dumps(self._dialect.job(batch, file, endpoint))
        url, retries = self._jobs_url(), self._http.retries()
        while True:
            outcome = await self._http.try_once("POST", url, body)
            if isinstance(outcome, HttpAnswer):
                if self._http.is_missing(outcome):
                    raise self._http.no_batches(outcome)
                if id := id_of(parse_object(outcome.body)):
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
        answer = await self._http.get(self._jobs_url(id=id))
        if self._http.is_missing(answer):
            return None
        found = parse_object(answer.body)
        status = text_of(found.get("status")).lower()
        refusal, is_limit = _refusal(found) if status in FAILED else ("", False)
        n_done, n_requests = counts_of(found)
        return BatchState(
            status or "unknown",
            status in ENDED,
            n_done,
            n_requests,
            self._http.endpoint.redact(self._http.endpoint.masked(refusal)),
            is_limit,
            tuple(self._http.url("files", file, "content") for file in result_files(found)),
        )

    async def results(self, batch: Batch, state: BatchState) -> list[tuple[int, Result]]:
        """Download the output and the error file; see `BatchService`."""
        found: dict[int, Result] = {}
        for url in state.results:
            answer = await self._http.get(url, max_bytes=MAX_RESULT_BYTES)
            if self._http.is_missing(answer):
                continue
            for line in parse_lines(answer.body):
                number = batch.line_of(text_of(line.get("custom_id")))
                if number is not None:
                    found.setdefault(number, self._result(line))
        return list(found.items())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _jobs_url(
        self, query: dict[str, str] | None = None, dialect: Dialect | None = None, *, id: str = ""
    ) -> URL:
        path = (dialect or self._dialect).jobs
        return self._http.url(*path, *([id] if id else []), **(query or {}))

    async def _has_jobs(self, dialect: Dialect) -> bool:
        try:
            answer = await self._http.probe(self._jobs_url(dialect.first_page(1), dialect))
        except ModelError:
            return False
        return answer.status < 300

    async def _upload(self, batch: Batch, lines: Lines, endpoint: str) -> str:
        boundary = secrets.token_hex(16)
        answer = await self._http.call(
            "POST",
            self._http.url(*self._dialect.upload),
            _multipart(self._dialect, batch, lines, endpoint, boundary),
            content_type=f"multipart/form-data; boundary={boundary}",
        )
        if self._http.is_missing(answer):
            raise self._http.no_batches(answer)
        file = id_of(parse_object(answer.body))
        if not file:
            raise ModelError(
                f"{self._http.endpoint.identity} accepts an upload but returns no file id"
            )
        return file

    async def _find(self, batch: Batch, file: str | None) -> str | None:
        """Search the newest batches for our tag, or for our file where metadata is not kept."""
        query: dict[str, str] | None = self._dialect.first_page()
        for _ in range(MAX_PAGES):
            answer = await self._http.get(self._jobs_url(query))
            if self._http.is_missing(answer):
                return None
            parsed = _parsed(answer)
            page = parsed if isinstance(parsed, dict) else {"data": parsed}
            for row in objects_of(page.get("data")):
                if is_batch_of(row, batch, file):
                    return text_of(row.get("id")) or None
            query = self._dialect.next_page(query or {}, page)
            if query is None:
                return None
        return None

    def _result(self, line: dict[str, Any]) -> Result:
        """Return the status and the body of a line, which may have an error in place of both."""
        response = line.get("response")
        response = object_of(response)
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


def _multipart(dialect: Dialect, batch: Batch, lines: Lines, endpoint: str, boundary: str) -> bytes:
    """Build the form with the purpose and the file."""
    edge = f"--{boundary}\r\nContent-Disposition: form-data; name="
    name = f"{batch.tag}.jsonl"
    fields = {"purpose": dialect.purpose, **({"file_name": name} if dialect.has_file_name else {})}
    head = "".join(f'{edge}"{field}"\r\n\r\n{value}\r\n' for field, value in fields.items())
    head += f'{edge}"file"; filename="{name}"\r\nContent-Type: application/jsonl\r\n\r\n'
    target = f'"method":"POST","url":"{endpoint}",' if dialect.has_urls else ""
    parts = [head.encode()]
    for number, body in lines:
        start = f'{{"custom_id":"{batch.line_id(number)}",{target}"body":'
        parts += [start.encode(), body, b"}\n"]
    return b"".join([*parts, f"\r\n--{boundary}--\r\n".encode()])


def _parsed(answer: HttpAnswer) -> object:
    """Parse JSON; None if the body is none."""
    try:
        return parse(answer.body)
    except ValueError:
        return None


def _refusal(found: dict[str, Any]) -> tuple[str, bool]:
    """Return the server's words about a failed batch, and whether a limit is the reason."""
    errors, error = found.get("errors"), found.get("error")
    given = errors.get("data", [errors]) if isinstance(errors, dict) else errors
    listed = given if isinstance(given, list) else [given]
    rows = objects_of(
        [{"message": one} if isinstance(one, str) else one for one in (*listed, error)]
    )
    words = [text_of(row.get("message")) or text_of(row.get("code")) for row in rows[:3]]
    said = "; ".join(filter(None, words)) or NO_REASON
    codes = " ".join(f"{row.get('code')} {row.get('message')}" for row in rows).lower()
    return said, any(limit in codes for limit in _LIMITS)


def _unreadable(what: str, answer: HttpAnswer) -> RequestFault:
    words = openai_schema.parse_error(answer.body).message
    return RequestFault(f"an unreadable {what}", words, RetryClass.SERVER_ERROR)
