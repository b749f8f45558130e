"""Grades Python functions by calling them and comparing the answers in another process.

Guarantees: expected values never enter the candidate's process, and answers are compared as plain
data, so a candidate can only pass by computing them. Answers are compared while the candidate
runs, and the first wrong one found stops it. An answer whose bytes equal the expected bytes is
correct without being decoded.
The time that this process spends on answers is bounded whatever they contain: it decodes short
ones, up to `INLINE_BYTES_TOTAL` per program. The rest is compared in a sandboxed process that runs
only our code; an answer that exceeds its limits there has failed.

>>> test = CallTest.of("add", inputs=[(1, 2)], expected=[3])
>>> verdict = await grade_calls(sandbox, source, test, Limits())   # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evolcoder.bench.comparators import NEED_INPUTS, Comparator
from evolcoder.errors import EvolcoderError
from evolcoder.grading.answers import (
    RIGHT,
    Case,
    CaseResult,
    compare_answer,
    decode_answer,
    is_identical,
)
from evolcoder.grading.harness import module_source
from evolcoder.grading.verdicts import exit_verdict, verdict
from evolcoder.safe_codec import SIZE, encode, encode_trusted
from evolcoder.sample_errors import judging
from evolcoder.sandbox.base import (
    Calls,
    Execution,
    Kind,
    Limits,
    Program,
    Sandbox,
    Separation,
    Status,
    Verdict,
)

INLINE_BYTES = 1 << 14
"""Most bytes of an answer plus its expected answer that this process decodes; adversarial values of
that size take a few milliseconds."""
INLINE_BYTES_TOTAL = 1 << 16
"""Most bytes of one program's answers that this process decodes."""
ISOLATED_S, ISOLATED_S_PER_MB, ISOLATED_MOST_S = 2.0, 0.5, 30.0
"""CPU seconds of a sandboxed comparison: minimum, per megabyte, maximum."""
ISOLATED_WALL_S = 60.0
"""Wall-clock seconds on top of that; the process only ever waits for a CPU."""
ISOLATED_MB = 2048
"""Memory limit of a sandboxed comparison."""
RESULT_BYTES = 1 << 16
"""Most bytes that a function called with `call_isolated` may return."""


class ParsedAssert(NamedTuple):
    """One assertion."""

    arguments: tuple[Any, ...]
    """Positional arguments of the call."""
    expected: Any
    """Expected value."""
    oracle: Comparator
    """How the returned value is compared."""
    atol: float
    """Absolute tolerance; 0 if the assertion has none."""


@dataclass(frozen=True, slots=True)
class CallTest:
    """Calls of one function and the expected answers."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[Sequence[Any], ...] = field(repr=False)
    """Arguments of each call."""
    expected: tuple[bytes, ...] = field(repr=False)
    """Expected answer of each call, encoded as the sandbox encodes answers."""
    rules: tuple[tuple[Comparator, float], ...] = field(repr=False)
    """Comparator and absolute tolerance of each call; 0 for the comparator's default."""
    encoded: bytes = field(repr=False)
    """Arguments of all calls, encoded for the sandbox."""

    @classmethod
    def of(
        cls,
        entry_point: str,
        *,
        inputs: Sequence[Sequence[Any]],
        expected: Sequence[Any],
        atol: float = 0,
        oracle: Comparator = Comparator.EQUAL,
    ) -> "CallTest":
        """Encode arguments and expected values once, for all candidates."""
        rules = [(oracle, atol)] * len(inputs)
        return cls._of(entry_point, inputs, list(map(_line, expected)), rules)

    @classmethod
    def from_asserts(cls, entry_point: str, asserts: Sequence[ParsedAssert]) -> "CallTest":
        """Encode parsed assertions, each with its own comparator."""
        return cls._of(
            entry_point,
            [one.arguments for one in asserts],
            [_line(one.expected) for one in asserts],
            [(one.oracle, one.atol) for one in asserts],
        )

    @classmethod
    def from_lines(
        cls,
        entry_point: str,
        *,
        inputs: Sequence[Sequence[Any]],
        lines: Sequence[bytes],
        atol: float,
        oracle: Comparator,
    ) -> "CallTest":
        """Use a reference's encoded answers, one per call, as the expected ones."""
        return cls._of(entry_point, inputs, lines, [(oracle, atol)] * len(inputs))

    def only(self, numbers: Sequence[int]) -> "CallTest":
        """Return a test of these calls alone, by their numbers and in this order."""
        inputs = [self.inputs[number] for number in numbers]
        lines = [self.expected[number] for number in numbers]
        return self._of(self.entry_point, inputs, lines, [self.rules[n] for n in numbers])

    @classmethod
    def _of(
        cls,
        entry_point: str,
        inputs: Sequence[Sequence[Any]],
        lines: Sequence[bytes],
        rules: Sequence[tuple[Comparator, float]],
    ) -> "CallTest":
        if len(inputs) != len(lines):
            raise ValueError(f"{len(inputs)} inputs for {len(lines)} expected answers")
        encoded = encode_calls(inputs)
        return cls(entry_point, tuple(inputs), tuple(lines), tuple(rules), encoded)


async def run_calls(
    sandbox: Sandbox,
    source: str,
    entry_point: str,
    inputs: Sequence[Sequence[Any]],
    limits: Limits,
) -> tuple[list[bytes], Execution]:
    """Call a function in the sandbox; return its encoded answers, one per call.

    Raises SandboxError.
    """
    task = Calls(entry_point, encode_calls(inputs))
    execution = await sandbox.run(Program("python", source, task), limits)
    return _lines(execution, len(inputs)), execution


async def grade_calls(sandbox: Sandbox, source: str, test: CallTest, limits: Limits) -> Verdict:
    """Call the candidate and compare its answers, or raise SandboxError."""
    checker = _AnswerChecker(test)
    program = Program(
        "python", source, Calls(test.entry_point, test.encoded, checker.should_continue)
    )
    execution = await sandbox.run(program, limits)
    if not test.inputs:
        return verdict(Kind.NO_TESTS, Separation.PARENT, execution, detail="there are no inputs")
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return exit_verdict(execution, Separation.PARENT)
    results = await checker.check_all(_lines(execution, len(test.inputs)), sandbox)
    return _verdict_of(test, results, execution)


class TooCostlyError(Exception):
    """Processing untrusted data exceeded its time or memory limit."""


async def call_isolated(
    sandbox: Sandbox, modules: Sequence[str], name: str, given: object, limits: Limits
) -> Any:  # noqa: ANN401 - plain data
    """Call the function `name` of the last of `modules` in a sandboxed process without candidate.

    For untrusted data that may take too much time or memory. Returns the function's result (at
    most RESULT_BYTES encoded), or raises TooCostlyError if a limit was exceeded.
    """
    source = f"{module_source(modules)}\nfrom {modules[-1]} import {name}\n"
    lines, execution = await run_calls(sandbox, source, name, [[given]], limits)
    kind, result = decode_answer(lines[0][:RESULT_BYTES]) if lines else ("", None)
    if kind == "value" and execution.status is Status.FINISHED:
        return result
    if execution.status is Status.TIMEOUT:
        raise TooCostlyError(f"over {limits.cpu_s:g} s")
    if execution.status is Status.MEMORY or str(result).startswith("MemoryError"):
        raise TooCostlyError(f"over {limits.memory_mb} MB")
    raise RuntimeError(f"{name}: {result or execution.status}, exit code {execution.exit_code}")


def comparison_limits(n_bytes: int) -> Limits:
    """Return limits for comparing `n_bytes`: several times what honest answers need."""
    cpu_s = min(ISOLATED_S + ISOLATED_S_PER_MB * n_bytes / (1 << 20), ISOLATED_MOST_S)
    wall_s = ISOLATED_WALL_S + 4 * cpu_s
    return Limits(cpu_s, wall_s, ISOLATED_MB, processes=8, output_kb=64, answers_mb=1, file_mb=1)


class _AnswerChecker:
    """Compares a candidate's answers.

    Short answers are compared here, up to a bound on their total size. From the first answer that
    exceeds it, the rest is compared in a sandboxed process without candidate.
    """

    def __init__(self, test: CallTest) -> None:
        self._test = test
        self._results: dict[int, tuple[bytes, CaseResult | None]] = {}
        self._bytes_left = INLINE_BYTES_TOTAL
        self._failure: EvolcoderError | None = None

    def should_continue(self, number: int, line: bytes) -> bool:
        """Whether the candidate may run on: the answer is correct, or is compared later.

        It runs in a timer callback, where an exception would be lost, so `check_all` raises it.
        """
        if self._is_identical(number, line):
            return True
        try:
            with judging():
                result = self._check(number, line)
                return result is None or result.is_right
        except EvolcoderError as error:
            self._failure = error
            return False

    async def check_all(self, lines: Sequence[bytes], sandbox: Sandbox) -> list[CaseResult]:
        """Compare answers in order, up to the first wrong one."""
        if self._failure is not None:
            raise self._failure
        results: list[CaseResult] = []
        for number, line in enumerate(lines):
            result = self._check(number, line)
            if result is None:
                return results + await self._check_isolated(lines, number, sandbox)
            results.append(result)
            if not result.is_right:
                break
        return results

    def _check(self, number: int, line: bytes) -> CaseResult | None:
        """Compare an answer; None if it is too large to compare in this process."""
        if self._is_identical(number, line):
            return RIGHT
        if number >= len(self._test.inputs):
            return _EXTRA_ANSWER
        stored = self._results.get(number)
        if stored is None or stored[0] != line:
            stored = self._results[number] = line, self._compare(number, line)
        return stored[1]

    def _is_identical(self, number: int, line: bytes) -> bool:
        test = self._test
        return number < len(test.inputs) and is_identical(line, test.expected[number])

    def _compare(self, number: int, line: bytes) -> CaseResult | None:
        size = len(line) + len(self._test.expected[number])
        if size > min(INLINE_BYTES, self._bytes_left):
            return None
        self._bytes_left -= size
        return compare_answer(line, self._case(number))

    def _case(self, number: int) -> Case:
        oracle, atol = self._test.rules[number]
        return Case(self._test.expected[number], self._test.inputs[number], oracle, atol)

    async def _check_isolated(
        self, lines: Sequence[bytes], begin: int, sandbox: Sandbox
    ) -> list[CaseResult]:
        """Compare the answers from index `begin` on, up to the first wrong one."""
        n_calls = len(self._test.inputs)
        numbers = range(begin, min(len(lines), n_calls))
        unlike = [n for n in numbers if not is_identical(lines[n], self._test.expected[n])]
        given = [_as_plain(lines[n], self._case(n)) for n in unlike]
        limits = comparison_limits(sum(len(lines[n]) + len(self._test.expected[n]) for n in unlike))
        try:
            n_right, wrong = await call_isolated(
                sandbox, _COMPARING, "compare_answers", given, limits
            )
        except TooCostlyError as error:
            detail = f"the answer is too costly to compare: {error}"
            n_right, wrong = 0, CaseResult(is_right=False, kind="costly", detail=detail)
        if wrong:
            return [RIGHT] * (unlike[n_right] - begin) + [CaseResult(*wrong)]
        extra = [_EXTRA_ANSWER] if len(lines) > n_calls else []
        return [RIGHT] * len(numbers) + extra


def _as_plain(line: bytes, case: Case) -> list[Any]:
    inputs = list(case.inputs) if case.oracle in NEED_INPUTS else []
    return [line, case.expected, inputs, case.oracle.value, case.atol]


_COMPARING = ("evolcoder.bench.comparators", "evolcoder.grading.answers")
_EXTRA_ANSWER = CaseResult(is_right=False, kind="forged", detail="more answers than calls")


def encode_calls(inputs: Sequence[Sequence[Any]]) -> bytes:
    """Encode the arguments of each call, prefixed with their size."""
    encoded = [encode_trusted(list(arguments)) for arguments in inputs]
    return b"".join(part for one in encoded for part in (SIZE.pack(len(one)), one))


def _lines(execution: Execution, n_calls: int) -> list[bytes]:
    """Split the output into at most `n_calls + 1` answers; an unfinished last line is dropped."""
    return execution.answers.split(b"\n", n_calls + 1)[:-1]


def _verdict_of(test: CallTest, results: Sequence[CaseResult], execution: Execution) -> Verdict:
    outcomes = tuple(one.is_right for one in results)
    if results and not results[-1].is_right:
        return _verdict_of_wrong(results[-1], outcomes, execution)
    if execution.status is not Status.FINISHED or len(outcomes) < len(test.inputs):
        return exit_verdict(execution, Separation.PARENT, check=len(outcomes), outcomes=outcomes)
    return verdict(Kind.PASSED, Separation.PARENT, execution, outcomes=outcomes)


def _verdict_of_wrong(
    last: CaseResult, outcomes: tuple[bool, ...], execution: Execution
) -> Verdict:
    """Build the verdict of a program from its first wrong answer."""
    is_memory = last.kind == "raise" and last.detail.startswith("MemoryError")
    return verdict(
        Kind.MEMORY if is_memory else _KINDS.get(last.kind, Kind.ERROR),
        Separation.PARENT,
        execution,
        check=len(outcomes) - 1,
        outcomes=outcomes,
        expected=last.expected,
        got=last.got,
        detail=last.detail,
    )


_KINDS = {
    "value": Kind.FAILED,
    "odd": Kind.FAILED,
    "costly": Kind.FAILED,
    "forged": Kind.FORGED,
}
"""Kind of the first wrong answer -> kind of verdict; Kind.ERROR for `raise`."""


def _line(expected: object) -> bytes:
    """Encode an expected value as the sandbox encodes answers."""
    return encode(["value", expected])
