"""Builds verdicts with bounded messages, and verdicts of programs that ended early."""

import re

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
_MAX_READ = 1 << 16
"""Bytes of a compiler's output that are searched for the first error."""
_ERROR = re.compile(
    r"^(?:\w*(?:Error|Exception)\b.*"
    r"|[^\n\"'=]{0,300}?\b(?:fatal )?[Ee]rror(?:\[\w+\]| \w+\d+)?:.*)$",
    re.MULTILINE,
)
"""An error of Python, GCC, Rust, Java, TypeScript, C#, Swift, Scala or D."""
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


def first_error(output: bytes) -> str:
    """Return the first line of a compiler's output that is an error; '' if there is none."""
    text = output[:_MAX_READ].decode("utf-8", "replace")
    if found := _ERROR.search(text):
        return found[0].strip()
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def exit_verdict(
    execution: Execution,
    separation: Separation,
    *,
    check: int | None = None,
    outcomes: tuple[bool, ...] = (),
) -> Verdict:
    """Build the verdict of a program that ended early, from its status, exit code and stderr."""
    kind = _ENDINGS.get(execution.status, Kind.ERROR)
    if kind is Kind.COMPILE_ERROR and (first := first_error(execution.stderr)):
        return verdict(kind, separation, execution, check=check, outcomes=outcomes, detail=first)
    last = execution.stderr[-4 * SHOWN :].decode("utf-8", "replace").strip()
    detail = last.splitlines()[-1] if last else f"ended with exit code {execution.exit_code}"
    return verdict(kind, separation, execution, check=check, outcomes=outcomes, detail=detail)
