"""A verdict or a drop as one line, for the report and for `evolcoder inspect`.

>>> drop_text(drop)   # doctest: +SKIP
'dropped in round 1, respond: empty: the answer has no text'
"""

from evolcoder.records import JSON, Check, CheckResult, Drop
from evolcoder.text import one_line

PROGRAM_NAMES = frozenset({"worse", "fault"})
"""Facts of the check AGREEMENT that hold whole programs."""
EMPTY: tuple[JSON, ...] = (None, "", [], {})


def verdict_text(verdict: CheckResult, *, max_chars: int | None = None) -> str:
    """Name the check, what it found, its score and its facts, which `max_chars` shortens.

    Facts that are empty are left out.
    """
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    hidden = PROGRAM_NAMES if verdict.check is Check.AGREEMENT else frozenset()
    facts = ", ".join(
        f"{name} {value}"
        for name, value in verdict.detail.items()
        if name not in hidden and value not in EMPTY
    )
    shown = facts if max_chars is None else one_line(facts, max_chars)
    return f"{verdict.check.value}: {verdict.kind}{score}{f' ({shown})' if shown else ''}"


def drop_text(drop: Drop, *, max_chars: int | None = None) -> str:
    """Name the round, stage and reason of a drop, and its detail, which `max_chars` shortens."""
    detail = drop.detail if max_chars is None else one_line(drop.detail, max_chars)
    return f"dropped in round {drop.round}, {drop.stage.value}: {drop.reason.value}: {detail}"
