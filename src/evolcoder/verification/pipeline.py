"""The stage that looks at an answered task: checks one after the other, each leaving a verdict.

A check is any `RowCheck`: it is handed a task and its response, and the verdicts that earlier
checks left on the same row. What it needs beside these (a sandbox, models, the config) was bound
into it by whoever made it, so that checks of several rooms stand in one list. A check keeps nothing
and drops nothing: which findings drop a row is `FAULTS` and the config's choice. All that is random
in it comes from `rng_for(seed, task.id, ...)`, so that a row gets the same verdicts in any order.

>>> reason = fault(verdict, config.verify.drop)   # doctest: +SKIP

What checks found in a run, counted over its rows.

>>> note_of_unjudged(store)   # doctest: +SKIP
''
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from evolcoder.errors import SandboxError, UnjudgedError
from evolcoder.records import SEEN_CHARS, Check, CheckResult, Drop, Reason, Response, Stage, Task
from evolcoder.sample_errors import UNJUDGED, judging
from evolcoder.sandbox.base import Kind
from evolcoder.storage.run_store import RunStore, verdict_from
from evolcoder.text import clean

CHECK_FAILED = "unjudged"
"""The `why` of an error that is a check's own: the row could not be judged by it."""
NOT_RUN = "not_run"
"""The finding of a check that had nothing to run, or could not run it; `why` in its detail."""
FAULTS: Mapping[tuple[Check, str], Reason] = {
    (Check.RUNS, "parse_error"): Reason.DOES_NOT_PARSE,
    (Check.RUNS, "compile_error"): Reason.DOES_NOT_COMPILE,
    (Check.RUNS, "error"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "timeout"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "memory"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "output"): Reason.DOES_NOT_RUN,
    (Check.TESTS, "failed"): Reason.TESTS_FAILED,
    (Check.TESTS, "no_tests"): Reason.NO_SOUND_TESTS,
    (Check.TESTS, "unsound"): Reason.NO_SOUND_TESTS,
    (Check.TESTS, "disputed"): Reason.NO_SOUND_TESTS,
    (Check.BAIT, "works"): Reason.BAIT_WORKS,
    (Check.BAIT, "is_answer"): Reason.BAIT_IS_ANSWER,
    (Check.BOUND, "ruled_out"): Reason.BOUND_MISSED,
}
"""Findings that can drop a row, and the reason that the drop then has."""


SANDBOX_FAILURES_IN_A_ROW = 5
"""So many mean that the machine is at fault, and not one program that no sandbox survives."""


class RowCheck(Protocol):
    """One check of a row, with all that it needs bound into it."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        ...

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, CheckResult], /
    ) -> CheckResult:
        """Look at a row; `before` holds what earlier checks found of it.

        Raises SandboxError or a retryable EngineError where nothing can be said.
        """
        ...


def fault(verdict: CheckResult, drop: Collection[str]) -> Reason | None:
    """Return the reason for which a verdict drops its row, or None.

    A row that could not be judged is not dropped for that: it says nothing of the answer.
    """
    if is_unjudged(verdict):
        return None
    reason = FAULTS.get((verdict.check, verdict.kind))
    return reason if reason in drop else None


def is_unjudged(verdict: CheckResult) -> bool:
    """Whether a check failed at a row, which then has neither passed nor failed it."""
    return verdict.kind == Kind.ERROR and verdict.detail.get("why") == CHECK_FAILED


def dropped(task: Task, response: Response, verdict: CheckResult, reason: Reason) -> Drop:
    """Make the drop of a row that failed a check."""
    said = verdict.detail.get("said")
    found = f"{verdict.check}: {verdict.kind}{f': {said}' if said else ''}"
    return Drop(
        Stage.VERIFY,
        reason,
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        response.text[:SEEN_CHARS],
        found,
        response.made,
    )


class Verifier:
    """Takes answers through the checks of a run and stores what comes of it.

    Every verdict is stored before the next check begins, and a verdict that is there already, from
    before an interruption, is not looked for again.
    """

    def __init__(self, store: RunStore, checks: Sequence[RowCheck], drop: Collection[str]) -> None:
        self._store = store
        self._checks = checks
        self._drop = drop
        self._failed_in_a_row = 0

    async def verify(self, task: Task, response: Response) -> Drop | None:
        """Make a response a row, or drop it and return the drop."""
        found: dict[Check, CheckResult] = {}
        if self._checks:
            found = {verdict.check: verdict for verdict in self._store.verdicts(task)}
        for check in self._checks:
            if check.check not in found:
                found[check.check] = await self._look(check, task, response, found)
            if reason := fault(found[check.check], self._drop):
                drop = dropped(task, response, found[check.check], reason)
                self._store.add(drop)
                return drop
        self._store.keep(response)
        return None

    async def _look(
        self, check: RowCheck, task: Task, response: Response, found: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Do one check and store its verdict, also where the check or the sandbox failed at it.

        A sandbox that fails at one program alone says nothing of it.
        """
        try:
            with judging():
                verdict = _storable(await check(task, response, found))
                self._store.add(verdict)
            self._failed_in_a_row = 0
            return verdict
        except SandboxError as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= SANDBOX_FAILURES_IN_A_ROW:
                raise
            self._store.add_event("sandbox", f"{task.id}: {error}")
            verdict = CheckResult.of(response, check.check, NOT_RUN, detail={"why": "sandbox"})
        except UnjudgedError as error:
            self._store.add_event(CHECK_FAILED, f"{task.id}: {check.check}: {error}")
            told = {"why": CHECK_FAILED, "said": str(error)}
            verdict = CheckResult.of(response, check.check, Kind.ERROR, detail=told)
        self._store.add(verdict)
        return verdict


def _storable(verdict: CheckResult) -> CheckResult:
    """Return a verdict as it will be read back, in text that any encoder takes."""
    detail = json.loads(clean(json.dumps(verdict.detail, ensure_ascii=False)))
    return replace(verdict, detail=detail)


_KIND = (
    f"""CASE WHEN kind = '{Kind.ERROR}' AND detail LIKE '%"why": "{CHECK_FAILED}"%' """
    f"THEN '{UNJUDGED}' ELSE kind END"
)
"""SQL for a finding, in which a failure of the check is told from an error of the answer."""


def counted(store: RunStore) -> dict[tuple[str, str], int]:
    """Count findings by check and kind, most first; that a row could not be judged is a kind."""
    query = f"SELECT check_name, {_KIND}, COUNT(*) FROM verdicts GROUP BY 1, 2 ORDER BY 3 DESC"
    return {(str(check), str(kind)): int(str(n)) for check, kind, n in store.db.read(query)}


def note_of_unjudged(store: RunStore) -> str:
    """Say how many findings are that a row could not be judged, and name one; empty if none."""
    n = sum(n for (_, kind), n in counted(store).items() if kind == UNJUDGED)
    query = f"SELECT * FROM verdicts WHERE {_KIND} = '{UNJUDGED}' ORDER BY round, ordinal LIMIT 1"
    for one in map(verdict_from, store.db.read(query)):
        such = f"round {one.round}, row {one.ordinal}, {one.check}: {one.detail['said']}"
        return f"{n} findings are that a row {UNJUDGED}, such as {such}"
    return ""
