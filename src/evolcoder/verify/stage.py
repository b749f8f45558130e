"""The stage that looks at an answered task: checks one after the other, each leaving a verdict.

A check is any `RowCheck`: it is handed a task and its response, and the verdicts that earlier
checks left on the same row. What it needs beside these (a sandbox, models, the config) was bound
into it by whoever made it, so that checks of several rooms stand in one list. A check keeps nothing
and drops nothing: which findings drop a row is `FAULTS` and the config's choice. All that is random
in it comes from `rng_for(seed, task.id, ...)`, so that a row gets the same verdicts in any order.

>>> reason = fault(verdict, config.verify.drop)   # doctest: +SKIP
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from evolcoder.records import (
    SEEN_CHARS,
    Check,
    Drop,
    Reason,
    Response,
    RowVerdict,
    Stage,
    Task,
)

FAULTS: Mapping[tuple[Check, str], Reason] = {
    (Check.RUNS, "parse_error"): Reason.DOES_NOT_PARSE,
    (Check.RUNS, "compile_error"): Reason.DOES_NOT_COMPILE,
    (Check.RUNS, "error"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "timeout"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "memory"): Reason.DOES_NOT_RUN,
    (Check.RUNS, "output"): Reason.DOES_NOT_RUN,
    (Check.TESTS, "failed"): Reason.TESTS_FAILED,
    (Check.TESTS, "no_tests"): Reason.NO_SOUND_TESTS,
    (Check.BAIT, "works"): Reason.BAIT_WORKS,
    (Check.BAIT, "is_answer"): Reason.BAIT_IS_ANSWER,
    (Check.BOUND, "missed"): Reason.BOUND_MISSED,
}
"""Findings that can drop a row, and the reason that the drop then has."""


class RowCheck(Protocol):
    """One check of a row, with all that it needs bound into it."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        ...

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, RowVerdict]
    ) -> RowVerdict:
        """Look at a row; `before` holds what earlier checks found of it.

        Raises SandboxError or a retryable EngineError where nothing can be said.
        """
        ...


def fault(verdict: RowVerdict, drop: Collection[str]) -> Reason | None:
    """Return the reason for which a verdict drops its row, or None."""
    reason = FAULTS.get((verdict.check, verdict.kind))
    return reason if reason in drop else None


def dropped(task: Task, response: Response, verdict: RowVerdict, reason: Reason) -> Drop:
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
