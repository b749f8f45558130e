"""Grade by an assert-style test that runs in a process apart from the candidate.

Promises: the process that holds the candidate never holds the test; what the test compares is
plain data. A test that asserts nothing, or never calls the candidate, is never passed. A test that
only holds calls against literals is not even run: this process compares (see `split`).
Does not see what a candidate does to the arguments that it is given: it gets copies.

>>> test = AssertTest.of(("add",), "assert add(1, 2) == 3", check=None)
>>> verdict = await grade_asserts(sandbox, source, test, Limits())   # doctest: +SKIP
"""

from contextlib import suppress
from dataclasses import dataclass, field

from evolcoder.grading.assert_parser import read_checks
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.grading.verdicts import ending, verdict
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
from evolcoder.sandbox.result import read_finding

NO_FINDING = "the test ended without a finding"


@dataclass(frozen=True, slots=True)
class AssertTest:
    """A test and what it may call."""

    entry_points: tuple[str, ...]
    """Names of the candidate that the test may call; anything else it must bring itself."""
    test: str = field(repr=False)
    """Its source; it sees the entry points as globals."""
    check: str | None
    """A function of the test that is called with the first entry point (HumanEval's `check`), or
    None where the test does all at its top level (MBPP's asserts)."""
    calls: CallTest | None = field(repr=False)
    """The same test as calls and expected answers, where it is no more than that."""

    @classmethod
    def of(cls, entry_points: tuple[str, ...], test: str, *, check: str | None) -> "AssertTest":
        """Look through the test once for all the candidates that will get it."""
        found = read_checks(test, entry_points[0], check) if entry_points else None
        calls = None
        with suppress(NotPlainError):  # a literal that is no plain data: the test is run
            calls = CallTest.each(entry_points[0], found) if found else None
        return cls(entry_points, test, check, calls)


async def grade_asserts(sandbox: Sandbox, source: str, test: AssertTest, limits: Limits) -> Verdict:
    """Run the test against the candidate."""
    if test.calls is not None:
        return await grade_calls(sandbox, source, test.calls, limits)
    task = Asserts(test.entry_points, test.test, test.check)
    execution = await sandbox.run(Program("python", source, task), limits)
    if execution.status is not Status.FINISHED:
        return ending(execution, Separation.PROXY)
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
