"""The viewer's pages, as an ASGI application of Starlette.

Addresses are permanent: a folder's key is a hash of its path, a row's that of its task's id. All
pages but the form for a flag and a note only read.

>>> with Viewer(sources, index_folder, benchmarks) as viewer:   # doctest: +SKIP
...     app = make_app(viewer)
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qs, quote

from evolcoder.credentials import without_logins
from evolcoder.errors import ConfigError, EvolcoderError, UserError
from evolcoder.evaluation.store import EvalStore
from evolcoder.records import Reason, Stage
from evolcoder.report.outcome_text import drop_text, verdict_text
from evolcoder.storage.annotations import MAX_NOTE, Annotation, annotate
from evolcoder.storage.lineage import LineageStep
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts
from evolcoder.view import latest
from evolcoder.view import rows as run_rows
from evolcoder.view import samples as eval_samples
from evolcoder.view.index import Filters, Slice, key_of
from evolcoder.view.pages import INSTALL, TEXT_CHARS, Pages, plain_text, static, whole_number
from evolcoder.view.reports import ReportPages, ShownReport
from evolcoder.view.rows import Run
from evolcoder.view.samples import Benchmarks, Evaluation, ProblemFilters
from evolcoder.view.sources import AnySource, Source

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MAX_FORM = 64_000
"""Most bytes of a form."""
MAX_FIELDS = 20
"""Most fields of a form."""
STATIC = {"view.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}
FILTERS = ("query", "round", "heuristic", "language", "outcome", "verdict", "marked")
"""Names of the filters of rows, in the order of the form."""
MAX_QUERY = 1_000
"""Most characters of a search."""
CHANGES = 100
"""Problems that changed, on a page."""
MARKS = ("flagged", "not flagged", "noted")
_STAGES, _REASONS = (frozenset(one.value for one in kind) for kind in (Stage, Reason))


def make_app(viewer: "Viewer") -> "Starlette":
    """Make the application; ConfigError if starlette or jinja2 is missing."""
    try:
        from starlette.applications import Starlette  # noqa: PLC0415 - optional
        from starlette.routing import Route  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the viewer needs starlette, which is not installed; {INSTALL}"
        ) from error
    routes = [
        Route("/", viewer.home),
        Route("/live", viewer.home_live),
        Route("/static/{name}", viewer.static),
        Route("/run/{key}", viewer.run),
        Route("/run/{key}/live", viewer.run_live),
        Route("/run/{key}/rows", viewer.rows),
        Route("/run/{key}/rows.jsonl", viewer.export),
        Route("/run/{key}/drops", viewer.drops),
        Route("/run/{key}/row/{id}", viewer.row),
        Route("/run/{key}/row/{id}/text/{part}", viewer.text),
        Route("/run/{key}/row/{id}/annotate", viewer.annotate, methods=["POST"]),
        Route("/evaluation/{key}", viewer.evaluation),
        Route("/evaluation/{key}/live", viewer.evaluation_live),
        Route("/evaluation/{key}/problems", viewer.problems),
        Route("/evaluation/{key}/problem", viewer.problem),
        Route("/evaluation/{key}/problem/text", viewer.problem_text),
        Route("/compare", viewer.compare),
        Route("/compare/problem", viewer.compare_problem),
        *viewer.reports.routes(),
    ]
    handlers: dict[Any, Any] = {
        EvolcoderError: viewer.failed, sqlite3.Error: viewer.failed, OSError: viewer.failed,
        404: viewer.not_found,
    }  # fmt: skip

    return Starlette(routes=routes, exception_handlers=handlers)


class Viewer:
    """Answers requests about the sources."""

    def __init__(
        self, sources: Sequence[AnySource], index_folder: Path, benchmarks: Benchmarks
    ) -> None:
        self._pages = Pages()
        self._benchmarks = benchmarks
        self.runs: dict[str, Run] = {}
        self.evaluations: dict[str, Evaluation] = {}
        for source in sources:
            if source.kind == "run":
                self.runs[source.key] = Run(cast("Source[RunStore]", source), index_folder)
            elif source.kind == "evaluation":
                self.evaluations[source.key] = Evaluation(cast("Source[EvalStore]", source))
        self.reports = ReportPages(sources, self._page, benchmarks.folder)

    def __enter__(self) -> Self:
        """Begin to index the runs."""
        for run in self.runs.values():
            run.index.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the indexing and delete copies."""
        for run in self.runs.values():
            run.index.stop()
            run.source.close()
        for evaluation in self.evaluations.values():
            evaluation.source.close()

    def _page(self, name: str, *, status: int = 200, **values: Any) -> "Response":  # noqa: ANN401
        from starlette.responses import HTMLResponse  # noqa: PLC0415 - optional

        return HTMLResponse(self._pages.render(name, **values), status_code=status)

    def failed(self, _: "Request", error: Exception) -> "Response":
        """Say what is wrong with a folder or an address."""
        status = 404 if type(error) is UserError else 503
        message = latest.unreadable(error) if isinstance(error, OSError) else str(error)
        return self._page("error.html", status=status, message=message)

    def not_found(self, _: "Request", error: Exception) -> "Response":  # noqa: ARG002
        """Say that there is no such page."""
        return self._page("error.html", status=404, message="There is no such page.")

    def static(self, request: "Request") -> "Response":
        """Return the style or the script."""
        from starlette.responses import Response  # noqa: PLC0415 - optional

        name = request.path_params["name"]
        if name not in STATIC:
            raise UserError("there is no such file")
        return Response(static(name), media_type=STATIC[name])

    def home(self, _: "Request") -> "Response":
        """List the runs and evaluations."""
        return self._page("home.html", lines=list(self._lines()))

    def home_live(self, _: "Request") -> "Response":
        """Return the list alone."""
        return self._page("home_live.html", lines=list(self._lines()))

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Describe each source; what is wrong with one does not hide the others.

        All are counted at the same time, and waited for together.
        """
        every: list[Run | Evaluation] = [*self.runs.values(), *self.evaluations.values()]
        for one in every:
            with suppress(EvolcoderError):
                one.live(wait_s=0.0)
        for report in self.reports.shown.values():
            with suppress(EvolcoderError):
                report.summary(wait_s=0.0)
        until = time.monotonic() + latest.WAIT_S
        for one in every:
            wait_s = max(0.0, until - time.monotonic())
            plain: dict[str, Any] = {
                "source": one.source,
                "counts": {},
                "changing": False,
                "wrong": "",
                "summary": "",
            }
            try:
                live = one.live(wait_s=wait_s)
                plain |= {"counts": live.counts, "changing": live.is_changing}
            except EvolcoderError as error:
                plain["wrong"] = str(error)
            yield plain
        for report in self.reports.shown.values():
            yield _report_line(report, max(0.0, until - time.monotonic()))

    # Runs

    def _run(self, request: "Request") -> Run:
        key = request.path_params["key"]
        if key not in self.runs:
            raise UserError("this viewer was not started with such a run")
        return self.runs[key]

    def run(self, request: "Request") -> "Response":
        """Show a run's counts, funnel and values to filter by."""
        run = self._run(request)
        with run.source.open() as store:
            facts = list(_facts(store))
        return self._page("run.html", source=run.source, facts=facts, **self._run_counts(run))

    def run_live(self, request: "Request") -> "Response":
        """Return the counts of a run alone."""
        run = self._run(request)
        return self._page("run_live.html", source=run.source, **self._run_counts(run))

    def _run_counts(self, run: Run) -> dict[str, Any]:
        live = run.live()
        lines = run.funnel()
        with run.index.reader() as index:
            counts = index.counts() if index else {}
            progress = index.progress() if index else (0, 0, False)
        return {
            "live": live, "lines": lines, "counts": counts, "progress": progress,
            "failure": run.index.failure, "annotations": run.annotations(),
        }  # fmt: skip

    def rows(self, request: "Request") -> "Response":
        """Show a page of rows that fit the filters."""
        run = self._run(request)
        filters = _filters(request)
        part = Slice(after=_number(request, "after"), before=_number(request, "before"),
                     limit=run_rows.PAGE)  # fmt: skip
        page = run_rows.read_page(run, filters, part)
        with run.index.reader() as index:
            counts = index.counts() if index else {}
        return self._page(
            "rows.html", source=run.source, page=page, filters=asdict(filters), counts=counts,
            marks=MARKS, max_query=MAX_QUERY, is_back=part.before is not None,
        )  # fmt: skip

    def export(self, request: "Request") -> "Response":
        """Stream the rows that fit the filters as lines of JSON.

        The first are read before the answer begins, so that what is wrong with a run is a page.
        """
        from starlette.responses import StreamingResponse  # noqa: PLC0415 - optional

        lines = run_rows.exported(self._run(request), _filters(request))
        lines = chain([next(lines, b"")], lines)
        headers = {"content-disposition": 'attachment; filename="rows.jsonl"'}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)

    def drops(self, request: "Request") -> "Response":
        """Show drops by reason, and those of one reason with their evidence."""
        run = self._run(request)
        what = _drop_kind(request)
        after = _number(request, "after")
        drops, keys, note = (
            run_rows.read_drops(run, what, Slice(after=after)) if what else ([], [], "")
        )
        with run.index.reader() as index:
            totals = index.counts().get("drop", {}) if index else {}
        ordered = sorted(totals.items(), key=lambda one: -one[1])
        last = keys[-1] if len(keys) == Slice().limit else None
        return self._page(
            "drops.html", source=run.source, totals=ordered, what=what, drops=drops, note=note,
            last=last,
        )  # fmt: skip

    def row(self, request: "Request") -> "Response":
        """Show a row's whole lineage: tasks, answers, verdicts, drops, flag and note."""
        run = self._run(request)
        with run.source.open() as store:
            steps = run_rows.read_lineage(store, request.path_params["id"])
            chosen = _chosen(steps, request.path_params["id"])
            task = chosen.task
            around = run_rows.neighbours(store, task.round, task.ordinal)
        found = run.annotations().by_id
        return self._page(
            "row.html",
            source=run.source,
            steps=steps,
            chosen=chosen,
            around=around,
            tree=_tree(steps),
            texts={one.task.id: one.task.instruction for one in steps},
            verdict_text=verdict_text,
            drop_text=drop_text,
            annotation=found.get(task.id, Annotation()),
            flagged={id for id, one in found.items() if one.is_flagged},
            limit=TEXT_CHARS,
            max_note=MAX_NOTE,
            key=key_of(task.round, task.ordinal),
            evolve=Stage.EVOLVE,
        )

    def text(self, request: "Request") -> "Response":
        """Return a whole text of a row."""
        with self._run(request).source.open() as store:
            id = request.path_params["id"]
            step = _chosen(run_rows.read_lineage(store, id), id)
        texts = {"task": step.task.instruction}
        if step.response is not None:
            texts |= {"answer": step.response.text, "reasoning": step.response.reasoning}
        texts |= {f"answer-{one.number}": one.text for one in step.answers}
        texts |= {f"drop-{at}": drop_text(drop) for at, drop in enumerate(step.drops)}
        return plain_text(request.path_params["part"], texts)

    async def annotate(self, request: "Request") -> "Response":
        """Store a flag and a note, and show the row again."""
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415 - optional
        from starlette.responses import RedirectResponse  # noqa: PLC0415

        form = await _form(request)
        run, id = self._run(request), request.path_params["id"]
        if "note" not in form:
            raise UserError("this is not the form of a row: it has no note; nothing was stored")
        note = form["note"].replace("\r\n", "\n").strip()[:MAX_NOTE]
        await run_in_threadpool(_annotate, run, id, Annotation("flag" in form, note))
        return RedirectResponse(f"/run/{run.source.key}/row/{quote(id)}", status_code=303)

    # Evaluations

    def _evaluation(self, key: str) -> Evaluation:
        if key not in self.evaluations:
            raise UserError("this viewer was not started with such an evaluation")
        return self.evaluations[key]

    def evaluation(self, request: "Request") -> "Response":
        """Show scores and findings by benchmark."""
        one = self._evaluation(request.path_params["key"])
        with one.source.open() as store:
            facts = list(_facts(store))
        others = [other.source for other in self.evaluations.values() if other is not one]
        return self._page(
            "evaluation.html", source=one.source, facts=facts, others=others,
            **_evaluation_counts(one),
        )  # fmt: skip

    def evaluation_live(self, request: "Request") -> "Response":
        """Return the counts of an evaluation alone."""
        one = self._evaluation(request.path_params["key"])
        return self._page("evaluation_live.html", source=one.source, **_evaluation_counts(one))

    def problems(self, request: "Request") -> "Response":
        """Show a page of a benchmark's problems."""
        one = self._evaluation(request.path_params["key"])
        given = request.query_params
        outcome = given.get("outcome", "")
        filters = ProblemFilters(
            _bench_name(request, one.bench_names()),
            outcome if outcome in eval_samples.OUTCOMES else "",
            *(given.get(name, "") for name in ("query", "kind")),
        )
        found, note = eval_samples.list_problems(one, filters, after=given.get("after", ""))
        counts = one.bench(filters.bench, wait_s=0.0)
        limit = eval_samples.PAGE
        return self._page(
            "problems.html",
            source=one.source,
            problems=found[:limit],
            has_after=len(found) > limit,
            filters=asdict(filters),
            kinds=[kind for kind, _ in counts.kinds] if counts else [],
            outcomes=eval_samples.OUTCOMES,
            note=note,
        )

    def problem(self, request: "Request") -> "Response":
        """Show a problem's prompt and its samples."""
        one = self._evaluation(request.path_params["key"])
        bench, id, first = _problem_address(request, one.bench_names())
        shown = eval_samples.read_samples(one, self._benchmarks, bench, id, first=first)
        if not shown:
            raise UserError(
                f"this evaluation has no samples of {bench} {id} from number {first} on"
            )
        following = eval_samples.next_problem(one, bench, id)
        return self._page(
            "problem.html", source=one.source, bench=bench, problem=id, samples=shown,
            prompt=eval_samples.prompt_of(one, self._benchmarks, bench, id), following=following,
            limit=TEXT_CHARS, per_page=eval_samples.SAMPLES,
        )  # fmt: skip

    def problem_text(self, request: "Request") -> "Response":
        """Return a whole text of a problem, or of one of its samples."""
        one = self._evaluation(request.path_params["key"])
        bench, id = _problem_of(request, one.bench_names())
        number, part = _number(request, "number"), request.query_params.get("part", "")
        if number is None:
            instruction, checks, _ = eval_samples.prompt_of(one, self._benchmarks, bench, id)
            return plain_text(part, {"prompt": instruction, "checks": checks})
        found = eval_samples.read_samples(one, self._benchmarks, bench, id, first=number)
        if not found or found[0].number != number:
            raise UserError(f"this evaluation has no sample {number} of {bench} {id}")
        return plain_text(part, found[0].texts)

    def compare(self, request: "Request") -> "Response":
        """Show the problems on which two evaluations differ."""
        first, second = self._both(request)
        shared = _shared_benches(first, second)
        bench = _bench_name(request, shared) if shared else ""
        found = eval_samples.read_changes(first, second, bench)
        changes, n_both = found or ([], 0)
        start = min(_number(request, "start") or 0, len(changes))
        n_better = sum(one.is_better for one in changes)
        return self._page(
            "compare.html", first=first.source, second=second.source, benches=shared, bench=bench,
            changes=changes[start : start + CHANGES], n_changes=len(changes), n_better=n_better,
            n_both=n_both, start=start, per_page=CHANGES, is_counted=found is not None,
        )  # fmt: skip

    def compare_problem(self, request: "Request") -> "Response":
        """Show the samples of one problem from two evaluations."""
        first, second = self._both(request)
        bench, id, start = _problem_address(request, _shared_benches(first, second))
        sides = [
            (one.source, eval_samples.read_samples(one, self._benchmarks, bench, id, first=start))
            for one in (first, second)
        ]
        if not any(samples for _, samples in sides):
            raise UserError(
                f"neither evaluation has samples of {bench} {id} from number {start} on"
            )
        return self._page(
            "compare_problem.html",
            first=first.source,
            second=second.source,
            bench=bench,
            problem=id,
            sides=sides,
            prompt=eval_samples.prompt_of(first, self._benchmarks, bench, id),
            limit=TEXT_CHARS,
        )

    def _both(self, request: "Request") -> tuple[Evaluation, Evaluation]:
        first, second = (self._evaluation(request.query_params.get(name, "")) for name in "ab")
        return first, second


def _report_line(report: ShownReport, wait_s: float) -> dict[str, Any]:
    """Describe a loop or a cleaned file."""
    plain = {"source": report.source, "counts": {}, "changing": False, "wrong": "", "summary": ""}
    try:
        plain["summary"] = report.summary(wait_s=wait_s)
    except EvolcoderError as error:
        plain["wrong"] = str(error)
    return plain


def _evaluation_counts(one: Evaluation) -> dict[str, Any]:
    return {"live": one.live(), "benches": one.benches()}


def _shared_benches(first: Evaluation, second: Evaluation) -> list[str]:
    """Return the benchmarks that both evaluations have."""
    others = second.bench_names()
    return [name for name in first.bench_names() if name in others]


def _bench_name(request: "Request", names: Sequence[str]) -> str:
    """Return the benchmark that an address names, the first if it names none."""
    if not names:
        raise UserError("there are no samples of a benchmark here")
    bench = request.query_params.get("bench", "").strip() or names[0]
    if bench not in names:
        raise UserError(f"there are no samples of {bench!r} here, but of {', '.join(names)}")
    return bench


def _problem_address(request: "Request", names: Sequence[str]) -> tuple[str, str, int]:
    """Return the benchmark, problem and first sample that an address names."""
    return *_problem_of(request, names), _number(request, "first") or 0


def _problem_of(request: "Request", names: Sequence[str]) -> tuple[str, str]:
    """Return the benchmark and problem that an address names."""
    bench, id = _bench_name(request, names), request.query_params.get("id", "").strip()
    if not id:
        raise UserError(f"this address names no problem of {bench}: it has no id=")
    return bench, id


def _drop_kind(request: "Request") -> str:
    """Return the stage and reason that an address names; empty if it names none."""
    what = request.query_params.get("what", "").strip()
    stage, _, reason = what.partition(": ")
    if what and (stage not in _STAGES or reason not in _REASONS):
        raise UserError(f"there is no reason of a drop {what!r}")
    return what


def _filters(request: "Request") -> Filters:
    given = {name: request.query_params.get(name, "") for name in FILTERS}
    if given["marked"] not in ("", *MARKS):
        given["marked"] = ""
    if not given["round"].isdecimal():
        given["round"] = ""
    if len(given["query"]) > MAX_QUERY:
        raise UserError(f"a search of more than {MAX_QUERY:,} characters")
    return replace(Filters(), **given)


def _number(request: "Request", name: str) -> int | None:
    """Return a number of the address; None if it is missing or none."""
    return whole_number(request.query_params.get(name, ""))


def _facts(store: RunStore | EvalStore) -> Iterator[tuple[str, str]]:
    """Yield what produced a folder."""
    origin = store.meta(PROVENANCE_META, FolderFacts) or {}
    yield "folder", str(store.folder)
    yield "command", without_logins(str(origin.get("command", "")))
    for model in origin.get("models", ()):
        if isinstance(model, Mapping):
            yield str(model.get("role")), str(model.get("identity"))
    settings = store.meta("settings", FolderFacts) or {}
    if settings.get("model"):
        yield "model", without_logins(str(settings["model"]))
    versions = origin.get("versions", {})
    if isinstance(versions, Mapping):
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _chosen(steps: Sequence[LineageStep], id: str) -> LineageStep:
    """Return the step that an address names, by its task or its response."""
    for step in steps:
        answer = step.response.id if step.response else ""
        if step.task.id.startswith(id) or answer.startswith(id):
            return step
    return steps[0]


def _tree(steps: Sequence[LineageStep]) -> list[tuple[LineageStep, list[Any]]]:
    """Arrange a lineage by parents: (step, branches); steps without a known parent are roots."""
    nodes: dict[str, tuple[LineageStep, list[Any]]] = {one.task.id: (one, []) for one in steps}
    roots: list[tuple[LineageStep, list[Any]]] = []
    for step in steps:
        above = nodes.get(step.task.parent or "")
        is_earlier = above is not None and above[0].task.round < step.task.round
        (above[1] if above is not None and is_earlier else roots).append(nodes[step.task.id])
    return roots


async def _form(request: "Request") -> dict[str, str]:
    """Read a form; UserError if it is too large or has too many fields."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            raise UserError(f"a form of more than {MAX_FORM:,} bytes")
    text = body.decode("utf-8", "replace")
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise UserError(f"a form of more than {MAX_FIELDS} fields") from error
    return {name: values[-1] for name, values in found.items()}


def _annotate(run: Run, id: str, annotation: Annotation) -> None:
    with run.source.open() as store:
        task = store.task(id)
    if task is None:
        raise UserError(f"this run has no task {id!r}")
    annotate(run.source.folder, task.id, annotation)
