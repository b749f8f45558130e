"""Grade a program in another language than Python, by calls where its test allows it, else sealed.

Promises: where the test does nothing but compare calls with values, the candidate's process calls
and serialises, and the values that are expected never enter it; they were serialised by a program
of their own. Exit code 0 is needed and not enough; the first wrong line ends a program.
Any other test runs sealed in the candidate's process: its checks are counted under a name made up
for this run, and a random token comes on a channel of its own behind the last of them. A candidate
that takes its own process apart can find the token, so these verdicts say `Separation.TOKEN`.

>>> lines = await expected_lines(sandbox, "cpp", prompt, split, GENEROUS)   # doctest: +SKIP
>>> test = ProgramTest.of("cpp", tests, lines)                              # doctest: +SKIP
>>> verdict = await grade_program(sandbox, source, test, Limits())          # doctest: +SKIP
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from evolcoder.bench.base import Problem, ProgramChecks
from evolcoder.grading.call_harness.base import RANDOM, SplitTest
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.grading.verdicts import SHOWN, ending, verdict
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
from evolcoder.text import one_line, visible


@dataclass(frozen=True, slots=True)
class ProgramTest:
    """A test made ready for all the programs that it will judge."""

    language: str
    """Canonical name of the language."""
    source: str = field(repr=False)
    """The test, as the benchmark has it."""
    split: SplitTest | None = field(default=None, repr=False)
    """The test taken apart; None where it is sealed."""
    expected: tuple[bytes, ...] = field(default=(), repr=False)
    """The line that is expected of every comparison."""

    @classmethod
    def of(cls, language: str, source: str, lines: Sequence[bytes]) -> Self:
        """Take a test apart if there are lines to compare with; else it is sealed."""
        split = split_test(language, source) if lines else None
        if split is None or len(split.comparisons) != len(lines):
            return cls(language, source)
        return cls(language, source, split, tuple(lines))


def split_test(language: str, source: str) -> SplitTest | None:
    """Take a test apart, if its language has a harness and it does nothing but compare calls."""
    harness = HARNESSES.get(language)
    return harness.split(source) if harness else None


def harness_texts(problem: Problem, checks: ProgramChecks) -> tuple[str, ...]:
    """Return the programs that a harness makes of a problem, without their random names.

    As long as they are the same, so is what was measured with them; empty if the test is sealed.
    """
    split = split_test(checks.language, checks.tests)
    if split is None:
        return ()
    harness = HARNESSES[checks.language]
    calling = re.sub(RANDOM, "", harness.calling_program(problem.stub, split))
    return harness.expected_program(problem.prompt, split), calling


async def expected_lines(
    sandbox: Sandbox, language: str, prompt: str, split: SplitTest, limits: Limits
) -> tuple[bytes, ...]:
    """Serialise what a test expects, or raise SandboxError; empty where that cannot be done."""
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
    return _judged(test, await sandbox.run(program, limits))


def _judged(test: ProgramTest, execution: Execution) -> Verdict:
    """Compare what came back with what is expected."""
    parent, same = Separation.PARENT, HARNESSES[test.language].same
    lines, is_whole = _lines(execution, len(test.expected))
    pairs = zip(lines, test.expected, strict=False)
    outcomes = tuple(same(line, wanted) for line, wanted in pairs)
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return ending(execution, parent)
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
        return ending(execution, parent, check=at, outcomes=outcomes)
    if is_stopped or not is_whole:
        told = f"ended as if all were well, but {len(test.expected)} calls gave other lines"
        return verdict(Kind.FORGED, parent, execution, outcomes=outcomes, detail=told)
    return verdict(Kind.PASSED, parent, execution, outcomes=outcomes)


def _lines(execution: Execution, n_wanted: int) -> tuple[list[bytes], bool]:
    """Return the finished lines among the first so many, and whether there is nothing else."""
    *lines, rest = execution.answers.split(b"\n", n_wanted)
    return lines, len(lines) == n_wanted and not rest


def _shown(line: bytes) -> str:
    return one_line(visible(line[: 4 * SHOWN].decode("utf-8", "replace")), SHOWN)


async def _grade_sealed(
    sandbox: Sandbox, source: str, test: ProgramTest, limits: Limits
) -> Verdict:
    """Run candidate and test together and believe the seal only."""
    program = Program(test.language, source, Sealed(test.source))
    execution = await sandbox.run(program, limits)
    if execution.checks == 0:
        return verdict(Kind.NO_TESTS, Separation.TOKEN, execution, detail="the test checks nothing")
    if execution.failed_check is not None:
        number = execution.failed_check if execution.failed_check >= 0 else None
        told = "a check did not hold"
        return verdict(Kind.FAILED, Separation.TOKEN, execution, check=number, detail=told)
    if execution.status is not Status.FINISHED or execution.exit_code != 0:
        return ending(execution, Separation.TOKEN)
    if execution.checks is None:
        told = "ended as if all were well, but its checks did not all come to their end"
        return verdict(Kind.FORGED, Separation.TOKEN, execution, detail=told)
    return verdict(Kind.PASSED, Separation.TOKEN, execution)
