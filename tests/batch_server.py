"""Batch endpoints of four providers on loopback, as their documentation describes them.

Promises: a batch that was created is run once, whoever asks for it; every line that was answered is
in `answered`; ids, statuses, counts, pages, output and error files follow the documentation, with
the lines of a file in another order than they were sent. `at` is called at each instant that a
client may die at. OpenAI's and Anthropic's are always there; with `dialect` Mistral's or Together's
take the place of OpenAI's. Served by `loopback.in_thread`.
"""

import contextlib
import random
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from loopback import completion, say_it_back

MAX_MB = 300
ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
Verdict = int | str | tuple[int, dict[str, Any]]
"""200, `expired`, `canceled`, or (status, error)."""


@dataclass
class Job:
    """One batch."""

    id: str
    lines: list[dict[str, Any]]
    """Requests: custom_id and body."""
    given: dict[str, Any]
    """The body of the request that created it."""
    created: float
    status: str = "validating"
    n_polls: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class BatchServer:
    """The server. Fields may be changed while it runs."""

    answer: Callable[[str], str] = say_it_back
    """Last message -> the answer."""
    key: str | None = None
    """The API key to insist on."""
    polls: int = 2
    """Status requests until a batch is over."""
    verdict: Callable[[dict[str, Any], int], Verdict] = lambda body, n_batch: 200
    """(body, number of the batch) -> what happens to a line."""
    refusals: deque[dict[str, Any]] = field(default_factory=deque)
    """Errors with which the next batches fail validation."""
    fails_after: dict[int, int] = field(default_factory=dict)
    """Number of a batch -> the answers after which it fails."""
    mishaps: dict[str, deque[Callable[[], web.Response]]] = field(default_factory=dict)
    """By instant: responses in place of the next ones."""
    at: Callable[[str], Awaitable[None] | None] = lambda instant: None
    """Called with `upload`, `create`, `created`, `poll` and `download`, before the response."""
    rewrite: Callable[[bytes], bytes] = bytes
    """Changes each line of results."""
    dialect: str = "openai"
    """`openai`, `mistral` or `together`."""
    has_batches: bool = True
    keeps_metadata: bool = True
    late_files: int = 0
    """Status requests after the end of a batch until its files are named."""
    files: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    """In order of creation."""
    answered: Counter[bytes] = field(default_factory=Counter)
    """How often each body was answered, and thus paid for."""
    n_requests: Counter[str] = field(default_factory=Counter)
    """HTTP requests by method and first part of the path."""
    clock: float = 1_800_000_000.0
    port: int = 0
    page: int = 100
    """Most batches in a page of a list."""
    _runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def sizes(self) -> list[int]:
        """Number of lines of each batch."""
        return [len(job.lines) for job in self.jobs.values()]

    async def start(self) -> None:
        app = web.Application(client_max_size=MAX_MB << 20, middlewares=[self._checked])
        app.add_routes(
            [
                web.post("/v1/files", self._upload),
                web.get("/v1/files/{id}/content", self._content),
                web.post("/v1/batches", self._create),
                web.get("/v1/batches", self._list),
                web.get("/v1/batches/{id}", self._retrieve),
                web.post("/v1/files/upload", self._upload),
                web.post("/v1/batch/jobs", self._create),
                web.get("/v1/batch/jobs", self._list),
                web.get("/v1/batch/jobs/{id}", self._retrieve),
                web.post("/v1/messages/batches", self._create_messages),
                web.get("/v1/messages/batches", self._list_messages),
                web.get("/v1/messages/batches/{id}", self._retrieve_messages),
                web.get("/v1/messages/batches/{id}/results", self._results),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.n_requests[f"{request.method} {request.path.split('/')[2]}"] += 1
        is_anthropic = request.path.startswith("/v1/messages")
        if is_anthropic and request.headers.get("anthropic-version") != "2023-06-01":
            return wrong(400, "anthropic-version: header is required")
        given = request.headers.get("x-api-key" if is_anthropic else "Authorization", "")
        if self.key is not None and given.removeprefix("Bearer ") != self.key:
            return wrong(401, f"Incorrect API key provided: {given}")
        if is_anthropic and "Authorization" in request.headers:
            return wrong(401, "invalid bearer token")
        if not self.has_batches or self._is_of_another(request.path):
            return wrong(404, "Not Found")
        return await handler(request)

    def _is_of_another(self, path: str) -> bool:
        theirs = {"mistral": "/v1/batches", "together": "/v1/batch/", "openai": "/v1/batch/"}
        return path.startswith(theirs[self.dialect]) or (
            (path == "/v1/files/upload") != (self.dialect == "together")
            and path in {"/v1/files", "/v1/files/upload"}
        )

    async def _pass(self, instant: str) -> web.Response | None:
        """Announce an instant; return the response that takes the place of the usual one."""
        if (awaited := self.at(instant)) is not None:
            await awaited
        due = self.mishaps.get(instant)
        return due.popleft()() if due else None

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        purpose = "batch-api" if self.dialect == "together" else "batch"
        if form.get("purpose") != purpose or not isinstance(form.get("file"), web.FileField):
            return wrong(400, f"purpose must be {purpose}, and file a file")
        if self.dialect == "together" and not form.get("file_name"):
            return wrong(400, "file_name is required")
        id = f"file-{len(self.files)}"
        self.files[id] = form["file"].file.read()
        return await self._pass("upload") or shown({"id": id, "object": "file", "purpose": "batch"})

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        if failure := await self._pass("create"):
            return failure
        names = {"mistral": {"input_files", "model"}, "together": {"input_file_id"}}
        wanted = names.get(self.dialect, {"input_file_id", "completion_window"}) | {"endpoint"}
        optional = {"completion_window"} if self.dialect == "together" else {"metadata"}
        if not wanted <= given.keys() <= wanted | optional:
            return wrong(422, f"fields: {sorted(given)}")
        (file,) = given.get("input_files") or [given["input_file_id"]]
        if file not in self.files or given.get("completion_window", "24h") != "24h":
            return wrong(400, "invalid input file or completion_window")
        lines = [orjson.loads(line) for line in self.files[file].splitlines()]
        job = self._job("batch", lines, {**given, "input_file_id": file})
        job.errors = self._invalid(job)
        if self.refusals:
            job.errors = [self.refusals.popleft()]
        shape = {"job": self._batch(job)} if self.dialect == "together" else self._batch(job)
        return await self._pass("created") or shown(shape)

    def _invalid(self, job: Job) -> list[dict[str, Any]]:
        """Validate the lines of a job."""
        ids = {line["custom_id"] for line in job.lines}
        models = {line["body"]["model"] for line in job.lines}
        if len(ids) < len(job.lines) or len(models) > 1 or len(job.lines) > 50_000:
            return [{"code": "invalid", "message": "ids, models or size", "line": 1}]
        if self.dialect != "openai":
            is_bare = all(line.keys() == {"custom_id", "body"} for line in job.lines)
            return [] if is_bare else [{"message": "extra fields", "count": 1}]
        if any(
            line["url"] != job.given["endpoint"] or line["method"] != "POST" for line in job.lines
        ):
            return [{"code": "mismatched_url", "message": "url", "line": 1}]
        return []

    def _job(self, prefix: str, lines: list[dict[str, Any]], given: dict[str, Any]) -> Job:
        self.clock += 1
        job = Job(f"{prefix}_{len(self.jobs)}", lines, given, datetime.now(UTC).timestamp())
        self.jobs[job.id] = job
        return job

    async def _list(self, request: web.Request) -> web.Response:
        if self.dialect == "mistral":
            jobs = list(reversed(self.jobs.values()))
            size = min(self.page, int(request.query.get("page_size", 100)))
            at = int(request.query.get("page", 0)) * size
            return shown(
                {"data": [self._batch(j) for j in jobs[at : at + size]], "total": len(jobs)}
            )
        if self.dialect == "together":
            return shown([self._batch(job) for job in self.jobs.values()])
        rows, has_more = self._page(request, "after", "batch_")
        return shown(
            {"object": "list", "data": [self._batch(j) for j in rows], "has_more": has_more}
        )

    def _page(self, request: web.Request, after: str, prefix: str) -> tuple[list[Job], bool]:
        newest = [job for job in reversed(self.jobs.values()) if job.id.startswith(prefix)]
        if after in request.query:
            ids = [job.id for job in newest]
            newest = newest[ids.index(request.query[after]) + 1 :]
        limit = min(self.page, int(request.query.get("limit", 20)))
        return newest[:limit], len(newest) > limit

    async def _retrieve(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return wrong(404, "No batch found")
        self._advance(job)
        return await self._pass("poll") or shown(self._batch(job))

    def _advance(self, job: Job) -> None:
        job.n_polls += 1
        if job.errors:
            job.status = "failed"
        elif job.n_polls < self.polls:
            job.status = "in_progress"
        elif job.status not in ENDED:
            self._run(job)

    def _run(self, job: Job) -> None:
        """Answer the lines, each as `verdict` says."""
        n_batch = list(self.jobs).index(job.id)
        n_lines = self.fails_after.get(n_batch)
        job.status = "completed" if n_lines is None else "failed"
        for line in job.lines[:n_lines]:
            body = line["body"]
            found = self.verdict(body, n_batch)
            if found == 200:
                self.answered[orjson.dumps(body, option=orjson.OPT_SORT_KEYS)] += 1
                prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
                job.results.append({"line": line, "text": self.answer(prompt)})
            else:
                if isinstance(found, str):
                    job.status = {"expired": "expired", "canceled": "cancelled"}[found]
                job.failures.append({"line": line, "verdict": found})
        random.Random(7).shuffle(job.results)

    def _batch(self, job: Job) -> dict[str, Any]:
        is_over = job.status in ENDED
        named = is_over and job.n_polls >= self.polls + self.late_files
        metadata = job.given.get("metadata") if self.keeps_metadata else None
        files = [
            f"out-{job.id}" if named and job.results else None,
            f"err-{job.id}" if named and job.failures else None,
        ]
        if self.dialect == "mistral":
            return self._mistral_job(job, metadata, files)
        if self.dialect == "together":
            return self._together_job(job, files)
        return {
            "id": job.id, "object": "batch", "endpoint": job.given["endpoint"],
            "errors": {"object": "list", "data": job.errors} if job.errors else None,
            "input_file_id": job.given["input_file_id"], "completion_window": "24h",
            "status": job.status, "created_at": int(job.created), "metadata": metadata,
            "output_file_id": files[0], "error_file_id": files[1],
            "request_counts": {
                "total": len(job.lines), "completed": len(job.results),
                "failed": len(job.failures),
            },
        }  # fmt: skip

    def _mistral_job(self, job: Job, metadata: object, files: list[str | None]) -> dict[str, Any]:
        words = {
            "validating": "QUEUED", "in_progress": "RUNNING", "completed": "SUCCESS",
            "failed": "FAILED", "expired": "TIMEOUT_EXCEEDED", "cancelled": "CANCELLED",
        }  # fmt: skip
        n_done = len(job.results) + len(job.failures)
        return {
            "id": job.id, "object": "batch", "input_files": job.given["input_files"],
            "endpoint": job.given["endpoint"], "model": job.given["model"], "metadata": metadata,
            "errors": [{"message": error["message"], "count": 1} for error in job.errors],
            "status": words[job.status], "created_at": int(job.created),
            "output_file": files[0], "error_file": files[1], "total_requests": len(job.lines),
            "completed_requests": n_done, "succeeded_requests": len(job.results),
            "failed_requests": len(job.failures),
        }  # fmt: skip

    def _together_job(self, job: Job, files: list[str | None]) -> dict[str, Any]:
        n_done = len(job.results) + len(job.failures)
        found = {
            "id": job.id, "user_id": "user_1", "input_file_id": job.given["input_file_id"],
            "status": job.status.upper(), "endpoint": job.given["endpoint"],
            "created_at": datetime.fromtimestamp(job.created, UTC).isoformat(),
            "progress": 100 * n_done / len(job.lines), "model_id": job.lines[0]["body"]["model"],
        }  # fmt: skip
        named = {"output_file_id": files[0], "error_file_id": files[1]}
        named["error"] = job.errors[0]["message"] if job.errors else None
        return found | {name: value for name, value in named.items() if value is not None}

    async def _content(self, request: web.Request) -> web.Response:
        kind, _, id = request.match_info["id"].partition("-")
        if id not in self.jobs:
            return wrong(404, "No such File object")
        job = self.jobs[id]
        rows = map(_output, job.results) if kind == "out" else map(_failure, job.failures)
        body = b"".join(self.rewrite(orjson.dumps(row) + b"\n") for row in rows)
        return await self._pass("download") or web.Response(
            body=body, content_type="application/jsonl"
        )

    async def _create_messages(self, request: web.Request) -> web.Response:
        given = await request.json()
        if failure := await self._pass("create"):
            return failure
        rows = given["requests"]
        ids = {row["custom_id"] for row in rows}
        if len(ids) < len(rows) or not all(ANTHROPIC_ID.fullmatch(id) for id in ids):
            return wrong(400, "custom_id must be unique and match ^[a-zA-Z0-9_-]{1,64}$")
        for row in rows:
            unknown = row["params"].keys() - {
                "model", "max_tokens", "messages", "system", "temperature", "top_p"
            }  # fmt: skip
            if unknown or any(m["role"] == "system" for m in row["params"]["messages"]):
                return wrong(400, f"requests.0.params: {unknown}")
        lines = [{"custom_id": row["custom_id"], "body": row["params"]} for row in rows]
        job = self._job("msgbatch", lines, {})
        return await self._pass("created") or shown(self._message_batch(job))

    async def _list_messages(self, request: web.Request) -> web.Response:
        rows, has_more = self._page(request, "after_id", "msgbatch_")
        data = [self._message_batch(job) for job in rows]
        last = data[-1]["id"] if data else None
        return shown({"data": data, "has_more": has_more, "last_id": last})

    async def _retrieve_messages(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return wrong(404, "not found")
        self._advance(job)
        return await self._pass("poll") or shown(self._message_batch(job))

    def _message_batch(self, job: Job) -> dict[str, Any]:
        is_over = job.status in ENDED
        counts = Counter(_anthropic_type(row["verdict"]) for row in job.failures)
        counts["succeeded"] = len(job.results)
        counts["processing"] = 0 if is_over else len(job.lines)
        names = ("processing", "succeeded", "errored", "canceled", "expired")
        url = f"{self.base_url}/messages/batches/{job.id}/results"
        return {
            "id": job.id, "type": "message_batch",
            "processing_status": "ended" if is_over else "in_progress",
            "request_counts": {name: counts[name] for name in names},
            "created_at": datetime.fromtimestamp(job.created, UTC).isoformat(),
            "results_url": url if is_over else None,
        }  # fmt: skip

    async def _results(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["id"]]
        rows = [*map(_message_output, job.results), *map(_message_failure, job.failures)]
        body = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        return await self._pass("download") or web.Response(
            body=body, content_type="application/x-jsonl"
        )


def _output(row: dict[str, Any]) -> dict[str, Any]:
    body = row["line"]["body"]
    bounded = {"max_tokens": body.get("max_completion_tokens"), **body}
    answer = completion(bounded, row["text"])
    response = {"status_code": 200, "request_id": "r", "body": answer}
    return {"id": "x", "custom_id": row["line"]["custom_id"], "response": response, "error": None}


def _failure(row: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "x", "custom_id": row["line"]["custom_id"]}
    if isinstance(row["verdict"], str):
        error = {
            "code": f"batch_{row['verdict']}",
            "message": "This request could not be executed.",
        }
        return {**head, "response": None, "error": error}
    status, error = row["verdict"]
    response = {"status_code": status, "request_id": "r", "body": {"error": error}}
    return {**head, "response": response, "error": None}


def _message_output(row: dict[str, Any]) -> dict[str, Any]:
    words = row["text"].split(" ")
    limit = row["line"]["body"]["max_tokens"]
    message = {
        "id": "msg", "type": "message", "role": "assistant", "model": row["line"]["body"]["model"],
        "content": [{"type": "text", "text": " ".join(words[:limit])}],
        "stop_reason": "max_tokens" if len(words) > limit else "end_turn",
        "usage": {"input_tokens": 7, "output_tokens": min(limit, len(words))},
    }  # fmt: skip
    result = {"type": "succeeded", "message": message}
    return {"custom_id": row["line"]["custom_id"], "result": result}


def _message_failure(row: dict[str, Any]) -> dict[str, Any]:
    kind = _anthropic_type(row["verdict"])
    result: dict[str, Any] = {"type": kind}
    if kind == "errored":
        result["error"] = {"type": "error", "error": row["verdict"][1]}
    return {"custom_id": row["line"]["custom_id"], "result": result}


def _anthropic_type(verdict: Verdict) -> str:
    return verdict if isinstance(verdict, str) else "errored"


def shown(value: object) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def wrong(code: int, message: str, **more: object) -> web.Response:
    """Answer with an error."""
    body = orjson.dumps({"error": {"message": message, "type": "error", **more}})
    return web.Response(status=code, body=body, content_type="application/json")


@contextlib.asynccontextmanager
async def in_loop(server: BatchServer) -> Any:
    """Serve in the test's own loop."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
