"""Grade by calls: the candidate sees arguments only, and its answers are compared elsewhere.

Promises: expected values never enter the candidate's process, and an answer is judged as plain
data, so the only way to pass is to compute. Every check is judged by itself, while the candidate
goes on to the next; at the first wrong one that is seen it is ended. An answer that is encoded to
the very bytes of the expected one is right without being decoded.
What this process spends on answers is bounded whatever they hold: short ones are decoded here, up
to `LIGHT_BYTES_IN_ALL` of one program; the others in a process of the sandbox that holds our code
alone and is ended by its limits, and an answer that goes over these has failed.

>>> test = CallTest.of("add", inputs=[(1, 2)], expected=[3])
>>> verdict = await grade_calls(sandbox, source, test, Limits())   # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evolcoder.bench.comparators import NEED_INPUTS, Comparator
from evolcoder.errors import EvolcoderError
from evolcoder.grading.answers import RIGHT, Case, CaseResult, is_same, mark, read_answer
from evolcoder.grading.assert_parser import ParsedAssert
from evolcoder.grading.harness import module_source
from evolcoder.grading.verdicts import ending, verdict
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

LIGHT_BYTES = 1 << 14
"""Longest answer with its expected one that this process decodes: adversarial values of that length
cost it a few milliseconds."""
LIGHT_BYTES_IN_ALL = 1 << 16
"""How much of one program's answers this process decodes."""
COSTLY_S, COSTLY_S_PER_MB, COSTLY_MOST_S = 2.0, 0.5, 30.0
"""Processor seconds of a comparison elsewhere: at least, more for each megabyte, and at most."""
COSTLY_WALL_S = 60.0
"""Seconds by the clock beyond that: it never waits for anything but a processor."""
COSTLY_MB = 2048
"""Memory of a comparison elsewhere."""
RESULT_BYTES = 1 << 16
"""Longest result of a function of ours that runs in the sandbox."""


@dataclass(frozen=True, slots=True)
class CallTest:
    """Calls of one function and the answers that are expected."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[Sequence[Any], ...] = field(repr=False)
    """Arguments, call by call."""
    expected: tuple[bytes, ...] = field(repr=False)
    """Answers as the sandbox would encode them, call by call."""
    rules: tuple[tuple[Comparator, float], ...] = field(repr=False)
    """How each answer is compared, and its absolute tolerance; 0 for the oracle's own."""
    encoded: bytes = field(repr=False)
    """The arguments as the sandbox gets them."""

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
        """Encode arguments and answers once for all the candidates that will get them."""
        rules = [(oracle, atol)] * len(inputs)
        return cls._of(entry_point, inputs, list(map(_line, expected)), rules)

    @classmethod
    def each(cls, entry_point: str, checks: Sequence[ParsedAssert]) -> "CallTest":
        """Encode the checks of a test, every one with a rule of its own."""
        return cls._of(
            entry_point,
            [check.arguments for check in checks],
            [_line(check.expected) for check in checks],
            [(check.oracle, check.atol) for check in checks],
        )

    @classmethod
    def against(
        cls,
        entry_point: str,
        *,
        inputs: Sequence[Sequence[Any]],
        lines: Sequence[bytes],
        atol: float,
        oracle: Comparator,
    ) -> "CallTest":
        """Take what a reference answered, line by line, for what is expected."""
        return cls._of(entry_point, inputs, lines, [(oracle, atol)] * len(inputs))

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
        encoded = encoded_calls(inputs)
        return cls(entry_point, tuple(inputs), tuple(lines), tuple(rules), encoded)


async def answers_of(
    sandbox: Sandbox,
    source: str,
    entry_point: str,
    inputs: Sequence[Sequence[Any]],
    limits: Limits,
) -> tuple[list[bytes], Execution]:
    """Call a function in the sandbox and bring back its answers, encoded, line by line."""
    task = Calls(entry_point, encoded_calls(inputs))
    execution = await sandbox.run(Program("python", source, task), limits)
    return _lines(execution, len(inputs)), execution


async def grade_calls(sandbox: Sandbox, source: str, test: CallTest, limits: Limits) -> Verdict:
    """Call the candidate and compare its answers."""
    marks = _CaseResults(test)
    program = Program(
        "python", source, Calls(test.entry_point, test.encoded, marks.should_continue)
    )
    execution = await sandbox.run(program, limits)
    if not test.inputs:
        return verdict(Kind.NO_TESTS, Separation.PARENT, execution, detail="there are no inputs")
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return ending(execution, Separation.PARENT)
    found = await marks.all(_lines(execution, len(test.inputs)), sandbox)
    return _judged(test, found, execution)


class TooCostlyError(Exception):
    """Data that nobody vouches for took more time or memory than it is worth."""


async def call_isolated(
    sandbox: Sandbox, modules: Sequence[str], name: str, given: object, limits: Limits
) -> Any:  # noqa: ANN401 - plain data
    """Call a function of ours, in the last of some modules, in a process that holds no candidate.

    For data that may take more time or memory than it should: the sandbox ends such a process as
    it ends any. Returns what the function does, which must be short, or raises TooCostlyError.
    """
    source = f"{module_source(modules)}\nfrom {modules[-1]} import {name}\n"
    lines, execution = await answers_of(sandbox, source, name, [[given]], limits)
    word, result = read_answer(lines[0][:RESULT_BYTES]) if lines else ("", None)
    if word == "value" and execution.status is Status.FINISHED:
        return result
    if execution.status is Status.TIMEOUT:
        raise TooCostlyError(f"over {limits.cpu_s:g} s")
    if execution.status is Status.MEMORY or str(result).startswith("MemoryError"):
        raise TooCostlyError(f"over {limits.memory_mb} MB")
    raise RuntimeError(f"{name}: {result or execution.status}, exit code {execution.exit_code}")


def costly_limits(n_bytes: int) -> Limits:
    """Return what a comparison of so many bytes may use: several times what honest ones need."""
    cpu_s = min(COSTLY_S + COSTLY_S_PER_MB * n_bytes / (1 << 20), COSTLY_MOST_S)
    wall_s = COSTLY_WALL_S + 4 * cpu_s
    return Limits(cpu_s, wall_s, COSTLY_MB, processes=8, output_kb=64, answers_mb=1, file_mb=1)


class _CaseResults:
    """Which answers of a candidate are right.

    This process decodes short ones, up to a bound on all of them together. From the first one on
    that goes over it, the rest is compared in the sandbox, in a process that holds no candidate.
    """

    def __init__(self, test: CallTest) -> None:
        self._test = test
        self._known: dict[int, tuple[bytes, CaseResult | None]] = {}
        self._left = LIGHT_BYTES_IN_ALL
        self._failure: EvolcoderError | None = None

    def should_continue(self, number: int, line: bytes) -> bool:
        """Whether an answer leaves the verdict open: it is right, or is to be compared later.

        Nobody awaits this, so a failure is kept for `all` to raise.
        """
        if self._is_same(number, line):
            return True
        try:
            with judging():
                one = self._mark(number, line)
                return one is None or one.is_right
        except EvolcoderError as error:
            self._failure = error
            return False

    async def all(self, lines: Sequence[bytes], sandbox: Sandbox) -> list[CaseResult]:
        """Mark answers in order, up to the first wrong one."""
        if self._failure is not None:
            raise self._failure
        found: list[CaseResult] = []
        for number, line in enumerate(lines):
            one = self._mark(number, line)
            if one is None:
                return found + await self._isolated(lines, number, sandbox)
            found.append(one)
            if not one.is_right:
                break
        return found

    def _mark(self, number: int, line: bytes) -> CaseResult | None:
        """Mark an answer; None where that is too much for this process."""
        if self._is_same(number, line):
            return RIGHT
        if number >= len(self._test.inputs):
            return _ONE_TOO_MANY
        known = self._known.get(number)
        if known is None or known[0] != line:
            known = self._known[number] = line, self._fresh(number, line)
        return known[1]

    def _is_same(self, number: int, line: bytes) -> bool:
        test = self._test
        return number < len(test.inputs) and is_same(line, test.expected[number])

    def _fresh(self, number: int, line: bytes) -> CaseResult | None:
        size = len(line) + len(self._test.expected[number])
        if size > min(LIGHT_BYTES, self._left):
            return None
        self._left -= size
        return mark(line, self._case(number))

    def _case(self, number: int) -> Case:
        oracle, atol = self._test.rules[number]
        return Case(self._test.expected[number], self._test.inputs[number], oracle, atol)

    async def _isolated(
        self, lines: Sequence[bytes], begin: int, sandbox: Sandbox
    ) -> list[CaseResult]:
        """Mark the answers from one on, up to the first wrong one."""
        n_calls = len(self._test.inputs)
        numbers = range(begin, min(len(lines), n_calls))
        unlike = [n for n in numbers if not is_same(lines[n], self._test.expected[n])]
        given = [_as_plain(lines[n], self._case(n)) for n in unlike]
        limits = costly_limits(sum(len(lines[n]) + len(self._test.expected[n]) for n in unlike))
        try:
            n_right, wrong = await call_isolated(sandbox, _MARKING, "marks", given, limits)
        except TooCostlyError as error:
            why = f"the answer is too costly to compare: {error}"
            n_right, wrong = 0, CaseResult(is_right=False, word="costly", detail=why)
        if wrong:
            return [RIGHT] * (unlike[n_right] - begin) + [CaseResult(*wrong)]
        more = [_ONE_TOO_MANY] if len(lines) > n_calls else []
        return [RIGHT] * len(numbers) + more


def _as_plain(line: bytes, case: Case) -> list[Any]:
    inputs = list(case.inputs) if case.oracle in NEED_INPUTS else []
    return [line, case.expected, inputs, case.oracle.value, case.atol]


_MARKING = ("evolcoder.bench.comparators", "evolcoder.grading.answers")
_ONE_TOO_MANY = CaseResult(is_right=False, word="forged", detail="more answers than calls")


def encoded_calls(inputs: Sequence[Sequence[Any]]) -> bytes:
    """Encode arguments, call by call."""
    encoded = [encode_trusted(list(arguments)) for arguments in inputs]
    return b"".join(part for one in encoded for part in (SIZE.pack(len(one)), one))


def _lines(execution: Execution, n_calls: int) -> list[bytes]:
    """Split what came back into answers, and one more where there are too many.

    An unfinished last line is no answer.
    """
    return execution.answers.split(b"\n", n_calls + 1)[:-1]


def _judged(test: CallTest, found: Sequence[CaseResult], execution: Execution) -> Verdict:
    outcomes = tuple(one.is_right for one in found)
    if found and not found[-1].is_right:
        return _wrong(found[-1], outcomes, execution)
    if execution.status is not Status.FINISHED or len(outcomes) < len(test.inputs):
        return ending(execution, Separation.PARENT, check=len(outcomes), outcomes=outcomes)
    return verdict(Kind.PASSED, Separation.PARENT, execution, outcomes=outcomes)


def _wrong(last: CaseResult, outcomes: tuple[bool, ...], execution: Execution) -> Verdict:
    """Make the verdict of a program by its first wrong answer."""
    is_memory = last.word == "raise" and last.detail.startswith("MemoryError")
    return verdict(
        Kind.MEMORY if is_memory else _KINDS.get(last.word, Kind.ERROR),
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
"""By the word of the first wrong answer; others raised something."""


def _line(expected: object) -> bytes:
    """Encode an expected value as the sandbox would encode the answer."""
    return encode(["value", expected])
