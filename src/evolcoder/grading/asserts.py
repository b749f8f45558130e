"""Grades Python programs with an assert-style test that runs in a separate process.

Guarantees: the test never enters the candidate's process, and it only compares plain data. A test
that asserts nothing, or never calls the candidate, never passes. A test that only compares calls
with literals is not run: this process compares the answers (see `assert_parser`).
Does not detect in-place changes of arguments: the candidate receives copies.

>>> test = AssertTest.of(("add",), "assert add(1, 2) == 3", check=None)
>>> verdict = await grade_asserts(sandbox, source, test, Limits())   # doctest: +SKIP
"""

from contextlib import suppress
from dataclasses import dataclass, field

from evolcoder.grading.assert_parser import parse_asserts
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.grading.verdicts import exit_verdict, verdict
from evolcoder.safe_codec import NotPlainError
from evolcoder.sandbox.base import (
    Asserts,
    Kind,
    Limits,
    Program,
    Sandbox,
    Separation,
    Status,
    Verdict,
)
from evolcoder.sandbox.job import read_finding

NO_FINDING = "the test ended without a result"


@dataclass(frozen=True, slots=True)
class AssertTest:
    """An assert-style test and the candidate's names that it calls."""

    entry_points: tuple[str, ...]
    """Names defined by the candidate that the test may call; the test defines all others."""
    test: str = field(repr=False)
    """Source of the test; the entry points are its globals."""
    check: str | None
    """A function of the test that is called with the first entry point (HumanEval's `check`), or
    None if the asserts are at the top level (MBPP)."""
    calls: CallTest | None = field(repr=False)
    """The same test as calls and expected answers, if it can be expressed that way."""

    @classmethod
    def of(cls, entry_points: tuple[str, ...], test: str, *, check: str | None) -> "AssertTest":
        """Parse the test once, for all candidates."""
        found = parse_asserts(test, entry_points[0], check) if entry_points else None
        calls = None
        with suppress(NotPlainError):  # a literal is not plain data, so the test has to be run
            calls = CallTest.from_asserts(entry_points[0], found) if found else None
        return cls(entry_points, test, check, calls)


async def grade_asserts(sandbox: Sandbox, source: str, test: AssertTest, limits: Limits) -> Verdict:
    """Run the test against the candidate, or raise SandboxError."""
    if test.calls is not None:
        return await grade_calls(sandbox, source, test.calls, limits)
    task = Asserts(test.entry_points, test.test, test.check)
    execution = await sandbox.run(Program("python", source, task), limits)
    if execution.status is not Status.FINISHED:
        return exit_verdict(execution, Separation.PROXY)
    found = read_finding(execution.answers)
    if found is None:
        return verdict(Kind.ERROR, Separation.PROXY, execution, detail=NO_FINDING)
    kind, check, expected, got, detail = found
    return verdict(
        kind,
        Separation.PROXY,
        execution,
        check=check,
        expected=expected,
        got=got,
        detail=detail,
    )
