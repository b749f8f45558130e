"""Verdicts for programs that ended before their checks did, and how values are shown in any."""

from evolcoder.safe_repr import safe_repr
from evolcoder.sandbox.base import Execution, Kind, Separation, Status, Verdict
from evolcoder.text import one_line

SHOWN = 300
"""Longest text that a verdict shows of a value or message."""
_ENDINGS = {
    Status.TIMEOUT: Kind.TIMEOUT,
    Status.MEMORY: Kind.MEMORY,
    Status.OUTPUT: Kind.OUTPUT,
    Status.COMPILE_ERROR: Kind.COMPILE_ERROR,
}
_LOOKED_AT = 16 * SHOWN
"""Longest message of which white space is folded."""


def verdict(  # noqa: PLR0913 - a verdict's own fields
    kind: Kind,
    separation: Separation,
    execution: Execution,
    *,
    check: int | None = None,
    outcomes: tuple[bool, ...] = (),
    expected: str = "",
    got: str = "",
    detail: str = "",
) -> Verdict:
    """Make a verdict out of what there is to say."""
    said = one_line(detail[:_LOOKED_AT], SHOWN)
    return Verdict(kind, check, outcomes, expected, got, said, separation, execution)


def ending(
    execution: Execution,
    separation: Separation,
    *,
    check: int | None = None,
    outcomes: tuple[bool, ...] = (),
) -> Verdict:
    """Judge a program by the way in which it ended."""
    kind = _ENDINGS.get(execution.status, Kind.ERROR)
    last = execution.stderr[-4 * SHOWN :].decode("utf-8", "replace").strip()
    told = last.splitlines()[-1] if last else f"ended with exit code {execution.exit_code}"
    return verdict(kind, separation, execution, check=check, outcomes=outcomes, detail=told)


def shown(value: object) -> str:
    """Show a value, shortened."""
    return safe_repr(value, SHOWN)
