"""The verification stage: runs the checks of a row in order and stores a verdict for each.

A check is any `RowCheck`. It gets a task, its response, and the verdicts of earlier checks on the
same row; its dependencies (sandbox, models, config) are bound at construction. A check neither
keeps nor drops a row: `DROP_REASONS` lists the findings that can drop one, and the config selects
among them. Randomness comes from `rng_for(seed, task.id, ...)`, so the verdicts of a row do not
depend on the processing order.

`RowVerifier` verifies the rows of an existing data set, which come with their responses. Every row
ends kept or dropped. Rows start in order, with at most `in_flight` at a time, so memory does not
grow with the file. An interrupted run resumes with the rows that have no outcome yet. Rows and
verdicts do not depend on the concurrency.

>>> drop = await Verifier(store, checks, config.verify.drop).verify(task, response)
... # doctest: +SKIP
>>> await RowVerifier(store, verifier, in_flight=8).run()   # doctest: +SKIP
>>> unjudged_note(store)   # doctest: +SKIP
''
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from evolcoder.concurrency import run_bounded
from evolcoder.config.load import Config
from evolcoder.engine.purpose import made_for
from evolcoder.errors import EngineError, SandboxError, UnjudgedError
from evolcoder.records import (
    SEEN_CHARS,
    Check,
    CheckResult,
    Drop,
    Origin,
    Reason,
    Response,
    Stage,
    Task,
)
from evolcoder.sample_errors import UNJUDGED, judging
from evolcoder.sandbox.base import Kind
from evolcoder.storage import pending
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import verdict_from
from evolcoder.text import clean, one_line

CHECK_FAILED = "unjudged"
"""`why` of an error inside a check, which says nothing about the row."""
NOT_RUN = "not_run"
"""Finding of a check that had nothing to run, or could not run it; `why` is in its detail."""
DROP_REASONS: Mapping[tuple[Check, str], Reason] = {
    (Check.RUNS, "parse_error"): Reason.DOES_NOT_PARSE,
    (Check.RUNS, "compile_error"): Reason.DOES_NOT_COMPILE,
    (Check.RUNS, "error"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "timeout"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "memory"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "output"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "misstated"): Reason.OUTPUT_MISSTATED,
    (Check.TESTS, "failed"): Reason.TESTS_FAILED,
    (Check.TESTS, "no_tests"): Reason.NO_SOUND_TESTS,
    (Check.TESTS, "unsound"): Reason.NO_SOUND_TESTS,
    (Check.TESTS, "disputed"): Reason.NO_SOUND_TESTS,
    (Check.BAIT, "works"): Reason.BAIT_WORKS,
    (Check.BAIT, "is_answer"): Reason.BAIT_IS_ANSWER,
    (Check.BAIT, "called_right"): Reason.BAIT_IS_ANSWER,
    (Check.BOUND, "ruled_out"): Reason.BOUND_MISSED,
    (Check.AGREEMENT, "unverified"): Reason.UNVERIFIED,
}
"""Findings that can drop a row, with the reason of the drop."""


MAX_CONSECUTIVE_SANDBOX_FAILURES = 5
"""Stops the run: that many failures mean a broken machine, not one program that kills sandboxes."""


class RowCheck(Protocol):
    """One check of a row; dependencies are bound at construction."""

    @property
    def check(self) -> Check:
        """The kind of check."""
        ...

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, CheckResult], /
    ) -> CheckResult:
        """Check a row; `before` holds the verdicts of earlier checks on it.

        Raises SandboxError or EngineError where it cannot reach a verdict.
        """
        ...


def drop_reason(verdict: CheckResult, drop: Collection[str]) -> Reason | None:
    """Return the reason to drop a row for a verdict, or None.

    A check that failed internally drops no row: it says nothing about the response.
    """
    if is_unjudged(verdict):
        return None
    reason = DROP_REASONS.get((verdict.check, verdict.kind))
    return reason if reason in drop else None


def dropping(config: Config) -> tuple[str, ...]:
    """Return the reasons for which a run drops rows that it verified."""
    unverified = (Reason.UNVERIFIED.value,) if config.respond.unverified == "drop" else ()
    return (*config.verify.drop, *unverified)


def is_unjudged(verdict: CheckResult) -> bool:
    """Whether the check itself failed, so that the row neither passed nor failed it."""
    return verdict.kind == Kind.ERROR and verdict.detail.get("why") == CHECK_FAILED


def drop_row(task: Task, response: Response, verdict: CheckResult, reason: Reason) -> Drop:
    """Build the drop of a row that failed a check."""
    message = verdict.detail.get("said")
    detail = f"{verdict.check}: {verdict.kind}{f': {message}' if message else ''}"
    return Drop(
        Stage.VERIFY,
        reason,
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        response.text[:SEEN_CHARS],
        detail,
        response.made,
    )


class Verifier:
    """Runs the checks of a run on its responses and stores the outcomes.

    A row that was kept before, and fails a check that was added, is dropped. Every verdict is
    stored before the next check starts, except on the new response of a reopened row, which keeps
    its outcome until the new one is known. A verdict that is stored already is reused.
    """

    def __init__(self, store: RunStore, checks: Sequence[RowCheck], drop: Collection[str]) -> None:
        self._store = store
        self._checks = checks
        self._drop = drop
        self._consecutive_failures = 0

    @property
    def checks(self) -> tuple[str, ...]:
        """Names of the checks."""
        return tuple(check.check.value for check in self._checks)

    async def verify(
        self, task: Task, response: Response, agreement: CheckResult | None = None
    ) -> Drop | None:
        """Keep a response as a row, or store and return its drop.

        `agreement` is the finding on the answers among which the response was just chosen.
        """
        found: dict[Check, CheckResult] = {}
        if self._checks:
            stored = self._store.verdicts(task)
            found = {one.check: one for one in stored if one.response == response.id}
        agreement = agreement or found.get(Check.AGREEMENT)
        if agreement and (reason := drop_reason(agreement, self._drop)):
            drop = drop_row(task, response, agreement, reason)
            self._store.drop_kept(drop)
            return drop
        for check in self._checks:
            if check.check not in found:
                found[check.check] = await self._run_check(check, task, response, found)
            if reason := drop_reason(found[check.check], self._drop):
                drop = drop_row(task, response, found[check.check], reason)
                self._store.drop_kept(drop)
                return drop
        self._store.keep(response)
        return None

    async def _run_check(
        self, check: RowCheck, task: Task, response: Response, found: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Run one check and store its verdict.

        A failing check gives an `error` verdict; a failing sandbox, and a request that a model
        server rejects or fails at, a `not_run` verdict. None counts against the response.
        """
        try:
            with judging(), made_for(Stage.VERIFY, task.heuristic):
                verdict = _storable(await check(task, response, found))
                self._store.add(verdict)
            self._consecutive_failures = 0
            return verdict
        except SandboxError as error:
            self._consecutive_failures += 1
            if self._consecutive_failures >= MAX_CONSECUTIVE_SANDBOX_FAILURES:
                raise
            self._store.add_event("sandbox", f"{task.id}: {error}")
            verdict = CheckResult.of(response, check.check, NOT_RUN, detail={"why": "sandbox"})
        except EngineError as error:
            if error.retryable:
                raise
            why = Reason.REJECTED if error.rejected else Reason.FAILED
            detail = {"why": why.value, "said": one_line(str(error), SEEN_CHARS)}
            verdict = CheckResult.of(response, check.check, NOT_RUN, detail=detail)
        except UnjudgedError as error:
            self._store.add_event(CHECK_FAILED, f"{task.id}: {check.check}: {error}")
            detail = {"why": CHECK_FAILED, "said": str(error)}
            verdict = CheckResult.of(response, check.check, Kind.ERROR, detail=detail)
        self._store.add(verdict)
        return verdict


def _storable(verdict: CheckResult) -> CheckResult:
    """Return a verdict as it reads back from JSON, with lone surrogates replaced."""
    detail = json.loads(clean(json.dumps(verdict.detail, ensure_ascii=False)))
    return replace(verdict, detail=detail)


_KIND_SQL = (
    f"""CASE WHEN kind = '{Kind.ERROR}' AND detail LIKE '%"why": "{CHECK_FAILED}"%' """
    f"THEN '{UNJUDGED}' ELSE kind END"
)
"""SQL for the kind of a finding, with internal failures of a check as a kind of their own."""


def count_findings(store: RunStore) -> dict[tuple[str, str], int]:
    """Count findings by check and kind, most frequent first."""
    query = f"SELECT check_name, {_KIND_SQL}, COUNT(*) FROM verdicts GROUP BY 1, 2 ORDER BY 3 DESC"
    return {(str(check), str(kind)): int(str(n)) for check, kind, n in store.db.read(query)}


def count_reasons(store: RunStore) -> dict[tuple[str, str, str], int]:
    """Count findings that have a reason by check, kind and reason, most frequent first."""
    query = f"""SELECT check_name, {_KIND_SQL},
            CASE WHEN json_valid(detail) THEN json_extract(detail, '$.why') END AS why, COUNT(*)
        FROM verdicts WHERE why IS NOT NULL AND why != '' GROUP BY 1, 2, 3 ORDER BY 4 DESC, 3"""
    rows = store.db.read(query)
    return {(str(check), str(kind), str(why)): int(str(n)) for check, kind, why, n in rows}


def bound_share(store: RunStore) -> tuple[int, int] | None:
    """Return how many rows that ask for a bound have a verdict on it, and how many ask; or None.

    A verdict is that the bound holds or is ruled out.
    """
    query = """SELECT SUM(kind IN ('holds', 'ruled_out')), COUNT(*) FROM verdicts
        WHERE check_name = 'bound' AND detail NOT LIKE '%states no complexity bound%'"""
    ((n_judged, n_asked),) = store.db.read(query)
    return (int(str(n_judged)), int(str(n_asked))) if n_asked else None


def unjudged_note(store: RunStore) -> str:
    """Return a note with the number of internal check failures and the first; empty if none."""
    n = sum(n for (_, kind), n in count_findings(store).items() if kind == UNJUDGED)
    where = f"WHERE {_KIND_SQL} = '{UNJUDGED}'"
    query = f"SELECT * FROM verdicts {where} ORDER BY round, ordinal LIMIT 1"
    for one in map(verdict_from, store.db.read(query)):
        example = f"round {one.round}, row {one.ordinal}, {one.check}: {one.detail['said']}"
        return f"{n} finding(s) {UNJUDGED}; first: {example}"
    return ""


_UNASKED_SQL = f"""kind = '{NOT_RUN}' AND (detail LIKE '%"why": "{Reason.REJECTED}"%'
    OR detail LIKE '%"why": "{Reason.FAILED}"%')"""
"""SQL for the finding of a check that a model server rejected or failed at."""


def has_unasked_check(store: RunStore) -> bool:
    """Whether a model server rejected or failed at a check of every row."""
    query = f"""SELECT COUNT(*) FROM (
        SELECT 1 FROM verdicts GROUP BY check_name HAVING MIN({_UNASKED_SQL}) = 1)"""
    return store.db.number(query) > 0


def unasked_note(store: RunStore) -> str:
    """Return a note on checks that a model server rejected or failed at; empty if there are none.

    It has their number and the server's words in the first.
    """
    n = store.db.number(f"SELECT COUNT(*) FROM verdicts WHERE {_UNASKED_SQL}")
    query = f"SELECT * FROM verdicts WHERE {_UNASKED_SQL} ORDER BY round, ordinal LIMIT 1"
    for one in map(verdict_from, store.db.read(query)):
        return (
            f"{n} check(s) were not run because the model server did not answer; first: round "
            f"{one.round}, row {one.ordinal}, {one.check}: {one.detail['said']}"
        )
    return ""


@dataclass(slots=True)
class VerifyProgress:
    """Mutable progress counters of this process."""

    total: int = 0
    """Rows to verify."""
    done: int = 0
    """Rows with an outcome."""
    in_flight: int = 0
    """Rows being verified."""
    drops: Counter[Reason] = field(default_factory=Counter)
    """Drops by reason."""


class RowVerifier:
    """Verifies the pending rows of a store."""

    def __init__(self, store: RunStore, verifier: Verifier, *, in_flight: int) -> None:
        self.progress = VerifyProgress()
        self._store = store
        self._verifier = verifier
        self._in_flight = in_flight

    async def run(self) -> None:
        """Verify all rows that have no outcome yet."""
        size = pending.pool_size(self._store, 0, max_failures=None)
        self._store.open_round(0, size)
        self.progress.total = pending.n_unverified_seeds(self._store)
        rows = pending.pending_lineages(self._store, 0, max_failures=None)
        await self._verify((row.head, row.response) for row in rows if row.response is not None)

    async def run_added(self, *, seeds: bool) -> None:
        """Verify the kept rows of all rounds that lack the verdict of a check.

        Responses that came with the seeds are left out, unless `seeds`.
        """
        checks = self._verifier.checks
        n_unchecked = pending.n_unchecked(self._store, checks, seeds=seeds)
        self.progress.total += n_unchecked
        if n_unchecked:
            await self._verify(pending.unchecked(self._store, checks, seeds=seeds))

    async def _verify(self, rows: Iterator[tuple[Task, Response]]) -> None:
        await run_bounded((self._verify_row(*row) for row in rows), self._in_flight)
        self._store.db.flush()

    async def _verify_row(self, task: Task, response: Response) -> None:
        self.progress.in_flight += 1
        try:
            drop = await self._verifier.verify(task, response)
        finally:
            self.progress.in_flight -= 1
        self.progress.done += 1
        if drop is not None:
            self.progress.drops[drop.reason] += 1


def drop_unanswered(
    records: Iterable[Origin | Task | Response | Drop],
    why: Callable[[str], tuple[Reason, str]] = lambda _: (Reason.EMPTY, "the row has no response"),
) -> Iterator[Origin | Task | Response | Drop]:
    """Yield the records, with a drop after every task that no response follows.

    `why`: task id -> the reason, with its evidence.
    """
    last: Task | None = None
    for record in records:
        if last is not None and not isinstance(record, Response):
            yield _unanswered_drop(last, *why(last.id))
        last = record if isinstance(record, Task) else None
        yield record
    if last is not None:
        yield _unanswered_drop(last, *why(last.id))


def _unanswered_drop(task: Task, reason: Reason, detail: str) -> Drop:
    seen = task.instruction[:SEEN_CHARS]
    return Drop(Stage.RESPOND, reason, task.id, 0, task.ordinal, None, seen, detail, None)
