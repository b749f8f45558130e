"""Grade by calls: the sandbox sees arguments only, and this process compares the answers.

Promises: expected values never enter the sandbox, and an answer is judged as plain data, so the
only way to pass is to compute. Every check is judged by itself, while the candidate goes on to the
next; at the first wrong one that is seen it is ended. An answer that is encoded to the very bytes
of the expected one is right without being decoded.

>>> test = CallTest.of("add", inputs=[(1, 2)], expected=[3])
>>> verdict = await grade_calls(sandbox, source, test, Limits())   # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evolcoder.bench.base import Oracle
from evolcoder.bench.oracles import compare
from evolcoder.grade.endings import ending, shown, verdict
from evolcoder.grade.split import Check
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
from evolcoder.wire import SIZE, NotPlainError, decode, encode, trusted

OPAQUE = object()
"""Stands for an answer that is something, but no plain data."""
_NOT_A_NUMBER = b'"nan"'
"""Part of an encoded answer that does not equal itself."""


@dataclass(frozen=True, slots=True)
class CallTest:
    """Calls of one function and the answers that are expected."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[Sequence[Any], ...] = field(repr=False)
    """Arguments, call by call."""
    expected: tuple[bytes, ...] = field(repr=False)
    """Answers as the sandbox would encode them, call by call."""
    rules: tuple[tuple[Oracle, float], ...] = field(repr=False)
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
        oracle: Oracle = Oracle.EQUAL,
    ) -> "CallTest":
        """Encode arguments and answers once for all the candidates that will get them."""
        rules = [(oracle, atol)] * len(inputs)
        return cls._of(entry_point, inputs, list(map(_line, expected)), rules)

    @classmethod
    def each(cls, entry_point: str, checks: Sequence[Check]) -> "CallTest":
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
        oracle: Oracle,
    ) -> "CallTest":
        """Take what a reference answered, line by line, for what is expected."""
        return cls._of(entry_point, inputs, lines, [(oracle, atol)] * len(inputs))

    @classmethod
    def _of(
        cls,
        entry_point: str,
        inputs: Sequence[Sequence[Any]],
        lines: Sequence[bytes],
        rules: Sequence[tuple[Oracle, float]],
    ) -> "CallTest":
        if len(inputs) != len(lines):
            raise ValueError(f"{len(inputs)} inputs for {len(lines)} expected answers")
        encoded = encoded_calls(inputs)
        return cls(entry_point, tuple(inputs), tuple(lines), tuple(rules), encoded)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave."""

    word: str
    """`value`, `raise`, `odd` for a value that is not plain data, or `forged`."""
    value: Any
    """The value; else what there is to say."""


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
    return _lines(execution), execution


async def grade_calls(sandbox: Sandbox, source: str, test: CallTest, limits: Limits) -> Verdict:
    """Call the candidate and compare its answers here."""
    marks = _Marks(test)
    program = Program("python", source, Calls(test.entry_point, test.encoded, marks.right))
    execution = await sandbox.run(program, limits)
    lines = _lines(execution)
    return _judged(test, lines, marks.outcomes(lines), execution)


class _Marks:
    """Which answers of a candidate are right; none is compared twice."""

    def __init__(self, test: CallTest) -> None:
        self._test = test
        self._known: dict[int, tuple[bytes, bool]] = {}

    def right(self, number: int, line: bytes) -> bool:
        """Whether an answer is right; one too many is not."""
        known = self._known.get(number)
        if known is not None and known[0] == line:
            return known[1]
        is_right = number < len(self._test.inputs) and _right(self._test, number, line)
        self._known[number] = line, is_right
        return is_right

    def outcomes(self, lines: Sequence[bytes]) -> tuple[bool, ...]:
        """Mark answers in order, up to the first wrong one."""
        found = []
        for number, line in enumerate(lines):
            found.append(self.right(number, line))
            if not found[-1]:
                break
        return tuple(found)


def read_answer(line: bytes) -> Answer:
    """Decode a line of the channel of answers; what is none is forged."""
    try:
        match decode(line):
            case ["value", value]:
                return Answer("value", value)
            case ["raise", str(name), str(message)]:
                return Answer("raise", f"{name}: {message}")
            case ["odd", str(message)]:
                return Answer("odd", message)
    except NotPlainError:
        pass
    return Answer("forged", "the channel of answers holds something else")


def encoded_calls(inputs: Sequence[Sequence[Any]]) -> bytes:
    """Encode arguments, call by call."""
    encoded = [trusted(list(arguments)) for arguments in inputs]
    return b"".join(part for one in encoded for part in (SIZE.pack(len(one)), one))


def _lines(execution: Execution) -> list[bytes]:
    """Split what came back into answers; an unfinished last line is no answer."""
    return execution.answers.split(b"\n")[:-1]


def _judged(
    test: CallTest, lines: list[bytes], outcomes: tuple[bool, ...], execution: Execution
) -> Verdict:
    if not test.inputs:
        return verdict(Kind.NO_TESTS, Separation.PARENT, execution, detail="there are no inputs")
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return ending(execution, Separation.PARENT)
    if False in outcomes:
        return _first_wrong(test, lines, outcomes, execution)
    if execution.status is not Status.FINISHED or len(outcomes) < len(test.inputs):
        return ending(execution, Separation.PARENT, check=len(outcomes), outcomes=outcomes)
    return verdict(Kind.PASSED, Separation.PARENT, execution, outcomes=outcomes)


def _first_wrong(
    test: CallTest, lines: list[bytes], outcomes: tuple[bool, ...], execution: Execution
) -> Verdict:
    number = outcomes.index(False)
    if number < len(test.expected):
        answer, expected = read_answer(lines[number]), _value(read_answer(test.expected[number]))
    else:
        answer, expected = Answer("forged", "more answers than calls"), ""
    kind = {"value": Kind.FAILED, "odd": Kind.FAILED, "forged": Kind.FORGED}.get(
        answer.word, Kind.ERROR
    )
    if answer.word == "raise" and str(answer.value).startswith("MemoryError"):
        kind = Kind.MEMORY
    is_value = answer.word == "value"
    return verdict(
        kind,
        Separation.PARENT,
        execution,
        check=number,
        outcomes=outcomes,
        expected=shown(expected) if number < len(test.expected) else "",
        got=shown(answer.value) if is_value else "",
        detail="" if is_value else str(answer.value),
    )


def _right(test: CallTest, number: int, line: bytes) -> bool:
    expected = test.expected[number]
    if line == expected and line.startswith(b'["l","value"') and _NOT_A_NUMBER not in line:
        return True
    answer, (oracle, atol) = read_answer(line), test.rules[number]
    if answer.word != "value" and not (answer.word == "odd" and oracle is Oracle.NOT_NONE):
        return False
    return compare(
        oracle,
        inputs=test.inputs[number],
        output=_value(answer),
        expected=_value(read_answer(expected)),
        atol=atol,
    ).passes


def _line(expected: object) -> bytes:
    """Encode an expected value as the sandbox would encode the answer."""
    return encode(["value", expected])


def _value(answer: Answer) -> Any:  # noqa: ANN401 - plain data
    return OPAQUE if answer.word == "odd" else answer.value
