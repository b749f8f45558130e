"""Grade the candidates of a benchmark: what each kind of checks needs, and how long it may take.

Promises: the limits of a candidate follow from what the problem's reference took on this machine,
so that a slow machine gives the same verdicts.

>>> test = ProblemTest.of(problem, control)   # doctest: +SKIP
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
from evolcoder.grading.harness import grade_harness, limits_of
from evolcoder.grading.sealed import ProgramTest, grade_program
from evolcoder.sandbox.base import Limits, Sandbox, Verdict

FUNCTION = Limits(cpu_s=3, wall_s=60, memory_mb=1024)
"""For a Python function with a test of its own."""
CALLED = Limits(cpu_s=20, wall_s=120, memory_mb=1024)
"""For a Python function that is called with many inputs, on top of what its reference takes."""
CALL_S = 0.5
"""Processor seconds for one of these calls, on top of what its reference takes for it."""
PROGRAM = Limits(cpu_s=15, wall_s=90, memory_mb=2048, processes=128, compile_s=120)
"""For a whole program in another language; there is no reference to go by."""
FACTOR = 5
"""How many times the reference's processor time a candidate may use, on top of the base."""
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class TestNeeds:
    """What a problem's reference took on this machine, and what it answered."""

    cpu_s: float = 0.0
    """Processor seconds; 0 where there is no reference."""
    peak_mb: float = 0.0
    """Most memory."""
    calls_s: tuple[float, ...] = ()
    """Processor seconds of every call; empty where all of them together are quick."""
    answers: tuple[bytes, ...] = field(default=(), repr=False)
    """What it answered to every call, encoded; for a test in another language, the lines that are
    expected; empty for checks that bring their own answers, and for a test that is sealed."""

    def limits(self, checks: Checks) -> Limits:
        """Return what a candidate may use."""
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
    """A problem made ready for all the candidates that will be graded on it."""

    checks: Checks = field(repr=False)
    """As the benchmark has them."""
    limits: Limits
    """What a candidate may use."""
    calls: CallTest | None = field(repr=False)
    """Calls with the reference's answers, where that is how it is checked."""
    asserts: AssertTest | None = field(repr=False)
    """An assert-style test, where that is how it is checked."""
    program: ProgramTest | None = field(default=None, repr=False)
    """A test in another language, where that is how it is checked."""

    @classmethod
    def of(cls, problem: Problem, need: TestNeeds) -> Self:
        """Make a problem ready."""
        checks, limits = problem.checks, need.limits(problem.checks)
        calls = asserts = program = None
        if isinstance(checks, CallChecks):
            calls = CallTest.against(
                checks.entry_point,
                inputs=checks.inputs,
                lines=need.answers,
                atol=checks.atol,
                oracle=checks.oracle,
            )
        elif isinstance(checks, AssertChecks):
            asserts = AssertTest.of(checks.entry_points, checks.test_source, check=checks.check)
        elif isinstance(checks, ProgramChecks):
            program = ProgramTest.of(checks.language, checks.tests, need.answers)
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
        return limits_of(checks.library)
    if isinstance(checks, CallChecks):
        return CALLED
    return PROGRAM if isinstance(checks, ProgramChecks) else FUNCTION
