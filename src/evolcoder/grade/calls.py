"""Grade by calls: the sandbox sees arguments only, and this process compares the answers.

Promises: expected values never enter the sandbox, and an answer is judged as plain data, so the
only way to pass is to compute. Every check is judged by itself.

>>> checks = CallChecks.of("add", inputs=[(1, 2)], expected=[3])
>>> verdict = await grade_calls(sandbox, source, checks, Limits())   # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evolcoder.grade.compare import agrees
from evolcoder.grade.endings import ending, shown, verdict
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
from evolcoder.wire import NotPlainError, decode, encode


@dataclass(frozen=True, slots=True)
class CallChecks:
    """Calls of one function and the answers that are expected."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[Sequence[Any], ...] = field(repr=False)
    """Arguments, call by call."""
    expected: tuple[Any, ...] = field(repr=False)
    """Answers, call by call."""
    atol: float
    """Absolute tolerance; 0 for the comparison's own."""
    oracle: str
    """A key of `compare.ORACLES`."""
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
        oracle: str = "equal",
    ) -> "CallChecks":
        """Encode the arguments once for all the candidates that will get them."""
        if len(inputs) != len(expected):
            raise ValueError(f"{len(inputs)} inputs for {len(expected)} expected answers")
        return cls(
            entry_point, tuple(inputs), tuple(expected), atol, oracle, _encoded_calls(inputs)
        )


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
) -> tuple[list[Answer], Execution]:
    """Call a function in the sandbox and bring back what it answered, such as a reference does."""
    task = Calls(entry_point, _encoded_calls(inputs))
    execution = await sandbox.run(Program("python", source, task), limits)
    return _answers(execution.answers), execution


async def grade_calls(sandbox: Sandbox, source: str, checks: CallChecks, limits: Limits) -> Verdict:
    """Call the candidate and compare its answers here."""
    program = Program("python", source, Calls(checks.entry_point, checks.encoded))
    execution = await sandbox.run(program, limits)
    answers = _answers(execution.answers)
    if len(answers) > len(checks.inputs):
        answers[len(checks.inputs)] = Answer("forged", "more answers than calls")
    outcomes = tuple(
        _right(checks, n, answer) for n, answer in enumerate(answers[: len(checks.inputs) + 1])
    )
    return _judged(checks, answers, outcomes, execution)


def _judged(
    checks: CallChecks, answers: list[Answer], outcomes: tuple[bool, ...], execution: Execution
) -> Verdict:
    if not checks.inputs:
        return verdict(Kind.NO_TESTS, Separation.PARENT, execution, detail="there are no inputs")
    if execution.status in {Status.COMPILE_ERROR, Status.OUTPUT}:
        return ending(execution, Separation.PARENT)
    if False in outcomes:
        return _first_wrong(checks, answers, outcomes, execution)
    if execution.status is not Status.FINISHED or len(outcomes) < len(checks.inputs):
        return ending(execution, Separation.PARENT, check=len(outcomes), outcomes=outcomes)
    return verdict(Kind.PASSED, Separation.PARENT, execution, outcomes=outcomes)


def _first_wrong(
    checks: CallChecks, answers: list[Answer], outcomes: tuple[bool, ...], execution: Execution
) -> Verdict:
    number = outcomes.index(False)
    answer = answers[number]
    kind = {"value": Kind.FAILED, "odd": Kind.FAILED, "forged": Kind.FORGED}.get(
        answer.word, Kind.ERROR
    )
    if answer.word == "raise" and str(answer.value).startswith("MemoryError"):
        kind = Kind.MEMORY
    return verdict(
        kind,
        Separation.PARENT,
        execution,
        check=number,
        outcomes=outcomes,
        expected=shown(checks.expected[number]) if number < len(checks.expected) else "",
        got=shown(answer.value) if answer.word == "value" else "",
        detail="" if answer.word == "value" else str(answer.value),
    )


def _right(checks: CallChecks, number: int, answer: Answer) -> bool:
    return answer.word == "value" and agrees(
        checks.oracle,
        checks.inputs[number],
        expected=checks.expected[number],
        got=answer.value,
        atol=checks.atol,
    )


def _answers(data: bytes) -> list[Answer]:
    """Read lines of answers; an unfinished last line is no answer."""
    return [_answer(line) for line in data.split(b"\n")[:-1]]


def _answer(line: bytes) -> Answer:
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


def _encoded_calls(inputs: Sequence[Sequence[Any]]) -> bytes:
    return b"\n".join(encode(list(arguments)) for arguments in inputs)
