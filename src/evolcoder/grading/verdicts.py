"""Builds verdicts with bounded messages, and verdicts of programs that ended early."""

from evolcoder.sandbox.base import Execution, Kind, Separation, Status, Verdict
from evolcoder.text import one_line

SHOWN = 300
"""Maximum characters of a value or message in a verdict."""
_ENDINGS = {
    Status.TIMEOUT: Kind.TIMEOUT,
    Status.MEMORY: Kind.MEMORY,
    Status.OUTPUT: Kind.OUTPUT,
    Status.COMPILE_ERROR: Kind.COMPILE_ERROR,
}
_MAX_FOLDED = 16 * SHOWN
"""Characters of a message whose white space is folded; the rest is cut first."""


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
    """Build a verdict; `detail` becomes one line of bounded length."""
    detail = one_line(detail[:_MAX_FOLDED], SHOWN)
    return Verdict(kind, check, outcomes, expected, got, detail, separation, execution)


def exit_verdict(
    execution: Execution,
    separation: Separation,
    *,
    check: int | None = None,
    outcomes: tuple[bool, ...] = (),
) -> Verdict:
    """Build the verdict of a program that ended early, from its status, exit code and stderr."""
    kind = _ENDINGS.get(execution.status, Kind.ERROR)
    last = execution.stderr[-4 * SHOWN :].decode("utf-8", "replace").strip()
    detail = last.splitlines()[-1] if last else f"ended with exit code {execution.exit_code}"
    return verdict(kind, separation, execution, check=check, outcomes=outcomes, detail=detail)
