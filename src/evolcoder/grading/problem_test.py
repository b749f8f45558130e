"""Grades candidates of a benchmark problem with the grader and limits that its checks need.

Guarantees: a candidate's limits scale with what the problem's reference used on this machine, so
that slow machines give the same verdicts.

>>> test = ProblemTest.of(problem, measured)   # doctest: +SKIP
>>> verdict = await test.grade(sandbox, candidate.program)   # doctest: +SKIP
"""

from dataclasses import dataclass, field, replace
from typing import Self

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    Checks,
    HarnessChecks,
    Problem,
    ProgramChecks,
)
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.grading.harness import grade_harness, library_limits
from evolcoder.grading.sealed import ProgramTest, grade_program
from evolcoder.sandbox.base import Limits, Sandbox, Verdict

FUNCTION = Limits(cpu_s=3, wall_s=60, memory_mb=1024)
"""For a Python function with an assert-style test."""
CALLED = Limits(cpu_s=20, wall_s=120, memory_mb=1024)
"""For a Python function called with many inputs, on top of its reference's usage."""
CALL_S = 0.5
"""CPU seconds of one such call, on top of its reference's usage."""
PROGRAM = Limits(cpu_s=15, wall_s=90, memory_mb=2048, processes=128, compile_s=120)
"""For a program in another language; there is no reference to measure."""
FACTOR = 5
"""Multiple of the reference's CPU time that a candidate may use on top of the base limit."""
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class ReferenceMeasurement:
    """Resource usage of a problem's reference on this machine, and the expected answers."""

    cpu_s: float = 0.0
    """CPU seconds; 0 without a reference."""
    peak_mb: float = 0.0
    """Peak memory."""
    calls_s: tuple[float, ...] = ()
    """CPU seconds of each call; empty if all calls together are fast."""
    answers: tuple[bytes, ...] = field(default=(), repr=False)
    """The reference's encoded answer to each call, or the lines expected by a test in another
    language. Empty for checks that contain their answers and for sealed tests."""

    def limits(self, checks: Checks) -> Limits:
        """Return the limits of a candidate."""
        base = _base(checks)
        answers_mb = base.answers_mb + 2 * sum(map(len, self.answers)) // MB
        return replace(
            base,
            cpu_s=base.cpu_s + FACTOR * self.cpu_s,
            wall_s=base.wall_s + 2 * FACTOR * self.cpu_s,
            memory_mb=max(base.memory_mb, int(2 * self.peak_mb)),
            answers_mb=answers_mb,
            file_mb=max(base.file_mb, answers_mb),
            call_s=self._call_limits() if base is CALLED else (),
        )

    def _call_limits(self) -> tuple[float, ...]:
        return tuple(CALL_S + FACTOR * call_s for call_s in self.calls_s or (self.cpu_s,))


@dataclass(frozen=True, slots=True)
class ProblemTest:
    """A problem's parsed test, shared by all candidates."""

    checks: Checks = field(repr=False)
    """The benchmark's checks."""
    limits: Limits
    """Limits of a candidate."""
    calls: CallTest | None = field(repr=False)
    """Calls with the reference's answers, for `CallChecks`."""
    asserts: AssertTest | None = field(repr=False)
    """Parsed assert-style test, for `AssertChecks`."""
    program: ProgramTest | None = field(default=None, repr=False)
    """Test in another language, for `ProgramChecks`."""

    @classmethod
    def of(cls, problem: Problem, measured: ReferenceMeasurement) -> Self:
        """Parse a problem's test."""
        checks, limits = problem.checks, measured.limits(problem.checks)
        calls = asserts = program = None
        if isinstance(checks, CallChecks):
            calls = CallTest.from_lines(
                checks.entry_point,
                inputs=checks.inputs,
                lines=measured.answers,
                atol=checks.atol,
                oracle=checks.oracle,
            )
        elif isinstance(checks, AssertChecks):
            asserts = AssertTest.of(checks.entry_points, checks.test_source, check=checks.check)
        elif isinstance(checks, ProgramChecks):
            program = ProgramTest.of(checks.language, checks.tests, measured.answers)
        return cls(checks, limits, calls, asserts, program)

    async def grade(self, sandbox: Sandbox, program: str) -> Verdict:
        """Grade one program, or raise SandboxError."""
        if self.calls is not None:
            return await grade_calls(sandbox, program, self.calls, self.limits)
        if self.asserts is not None:
            return await grade_asserts(sandbox, program, self.asserts, self.limits)
        if self.program is not None:
            return await grade_program(sandbox, program, self.program, self.limits)
        assert isinstance(self.checks, HarnessChecks)
        return await grade_harness(sandbox, program, self.checks, self.limits)


def _base(checks: Checks) -> Limits:
    if isinstance(checks, HarnessChecks):
        return library_limits(checks.library)
    if isinstance(checks, CallChecks):
        return CALLED
    return PROGRAM if isinstance(checks, ProgramChecks) else FUNCTION
