"""Grades programs in languages other than Python, by calls if the test allows it, else sealed.

Guarantees: if the test only compares calls with values, the candidate's process makes the calls and
serialises the results; a separate program serialises the expected values, which never enter the
candidate's process. Exit code 0 is necessary but not sufficient; the first wrong line stops the
program.
Any other test runs sealed in the candidate's process: its checks are counted by a function with a
random name, and a random token follows the last check on a separate channel. A candidate that
inspects its own process can find the token, so these verdicts have `Separation.TOKEN`.

>>> lines = await expected_lines(sandbox, "cpp", prompt, split, GENEROUS)   # doctest: +SKIP
>>> test = ProgramTest.of("cpp", tests, lines)                              # doctest: +SKIP
>>> verdict = await grade_program(sandbox, source, test, Limits())          # doctest: +SKIP
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from evolcoder.bench.base import Problem, ProgramChecks
from evolcoder.grading.call_harness.base import RANDOM_SUFFIX, SplitTest
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.grading.verdicts import SHOWN, exit_verdict, verdict
from evolcoder.sandbox.base import (
    Execution,
    Kind,
    Limits,
    Program,
    Sandbox,
    Script,
    Sealed,
    Separation,
    Status,
    Verdict,
)
from evolcoder.text import one_line
from evolcoder.visible import visible


@dataclass(frozen=True, slots=True)
class ProgramTest:
    """A parsed test, shared by all candidates."""

    language: str
    """Canonical name of the language."""
    source: str = field(repr=False)
    """The benchmark's test."""
    split: SplitTest | None = field(default=None, repr=False)
    """The test split into calls and expected values; None if it runs sealed."""
    expected: tuple[bytes, ...] = field(default=(), repr=False)
    """Expected output line of each comparison."""

    @classmethod
    def of(cls, language: str, source: str, lines: Sequence[bytes], sealed: str = "") -> Self:
        """Split a test if there is one expected line per comparison; else run it sealed.

        `sealed` is the test in a form whose checks the seal counts, if `source` is in another one.
        """
        split = split_test(language, source) if lines else None
        if split is None or len(split.comparisons) != len(lines):
            return cls(language, sealed or source)
        return cls(language, source, split, tuple(lines))


def split_test(language: str, source: str) -> SplitTest | None:
    """Split a test, or return None if its language has no harness or it does more than compare."""
    harness = HARNESSES.get(language)
    return harness.split(source) if harness else None


def harness_programs(problem: Problem, checks: ProgramChecks) -> tuple[str, ...]:
    """Return the programs that a harness generates for a problem, without their random names.

    Part of the cache key of measurements made with them. Empty if the test runs sealed.
    """
    split = split_test(checks.language, checks.tests)
    if split is None:
        return ()
    harness = HARNESSES[checks.language]
    calling = re.sub(RANDOM_SUFFIX, "", harness.calling_program(problem.stub, split))
    return harness.expected_program(problem.prompt, split), calling


async def expected_lines(
    sandbox: Sandbox, language: str, prompt: str, split: SplitTest, limits: Limits
) -> tuple[bytes, ...]:
    """Serialise a test's expected values; empty if that fails. Raises SandboxError."""
    source = HARNESSES[language].expected_program(prompt, split)
    execution = await sandbox.run(Program(language, source, Script(hidden=True)), limits)
    lines, is_whole = _lines(execution, len(split.comparisons))
    is_sound = execution.status is Status.FINISHED and execution.exit_code == 0
    return tuple(lines) if is_sound and is_whole else ()


async def grade_program(
    sandbox: Sandbox, source: str, test: ProgramTest, limits: Limits
) -> Verdict:
    """Grade one program, or raise SandboxError."""
    if test.split is None:
        return await _grade_sealed(sandbox, source, test, limits)
    harness = HARNESSES[test.language]

    def should_continue(number: int, line: bytes) -> bool:
        return number < len(test.expected) and harness.same(line, test.expected[number])

    task = Script(hidden=True, should_continue=should_continue)
    program = Program(test.language, harness.calling_program(source, test.split), task)
    return _verdict_of(test, await sandbox.run(program, limits))


def _verdict_of(test: ProgramTest, execution: Execution) -> Verdict:
    """Compare the output lines with the expected ones."""
    parent, same = Separation.PARENT, HARNESSES[test.language].same
    lines, is_whole = _lines(execution, len(test.expected))
    pairs = zip(lines, test.expected, strict=False)
    outcomes = tuple(same(line, wanted) for line, wanted in pairs)
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return exit_verdict(execution, parent)
    if False in outcomes:
        number = outcomes.index(False)
        expected, got = _shown(test.expected[number]), _shown(lines[number])
        return verdict(
            Kind.FAILED, parent, execution,
            check=number, outcomes=outcomes, expected=expected, got=got,
        )  # fmt: skip
    is_stopped = execution.status is Status.STOPPED
    if not is_stopped and (execution.status, execution.exit_code) != (Status.FINISHED, 0):
        at = len(lines) if len(lines) < len(test.expected) else None
        return exit_verdict(execution, parent, check=at, outcomes=outcomes)
    if is_stopped or not is_whole:
        detail = f"exited normally, but its output is not that of {len(test.expected)} calls"
        return verdict(Kind.FORGED, parent, execution, outcomes=outcomes, detail=detail)
    return verdict(Kind.PASSED, parent, execution, outcomes=outcomes)


def _lines(execution: Execution, n_wanted: int) -> tuple[list[bytes], bool]:
    """Return up to `n_wanted` complete lines, and whether the output is exactly that many."""
    *lines, rest = execution.answers.split(b"\n", n_wanted)
    return lines, len(lines) == n_wanted and not rest


def _shown(line: bytes) -> str:
    return one_line(visible(line[: 4 * SHOWN].decode("utf-8", "replace")), SHOWN)


async def _grade_sealed(
    sandbox: Sandbox, source: str, test: ProgramTest, limits: Limits
) -> Verdict:
    """Run candidate and test in one process; only the token proves that all checks passed."""
    program = Program(test.language, source, Sealed(test.source))
    execution = await sandbox.run(program, limits)
    if execution.checks == 0:
        detail = "the test has no checks"
        return verdict(Kind.NO_TESTS, Separation.TOKEN, execution, detail=detail)
    if execution.failed_check is not None:
        number = execution.failed_check if execution.failed_check >= 0 else None
        detail = "a check failed"
        return verdict(Kind.FAILED, Separation.TOKEN, execution, check=number, detail=detail)
    if execution.status is not Status.FINISHED or execution.exit_code != 0:
        return exit_verdict(execution, Separation.TOKEN)
    if execution.checks is None:
        detail = "exited normally, but not all checks completed"
        return verdict(Kind.FORGED, Separation.TOKEN, execution, detail=detail)
    return verdict(Kind.PASSED, Separation.TOKEN, execution)
