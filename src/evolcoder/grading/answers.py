"""Compares one encoded answer of a candidate with the expected answer.

Guarantees: `compare_answer` returns a result for any input line. The line is decoded as data only,
and shown in bounded length. An answer whose bytes equal the expected bytes is correct without being
decoded.
Does not bound time or memory: hash collisions can make a set quadratic in its size, and decoded
values take many times the memory of the line. Callers bound the line's length, or run this module
in a process that can be killed (`grading.calls`). It is sent to the sandbox as text, where it can
import only `bench.comparators`, `safe_codec`, `safe_repr` and the standard library.

>>> compare_answer(b'["l","value",4]', Case(b'["l","value",3]', (), Comparator.EQUAL, 0.0)).got
'4'
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from evolcoder.bench.comparators import Comparator, compare
from evolcoder.safe_codec import NotPlainError, decode
from evolcoder.safe_repr import safe_repr

OPAQUE = object()
"""Placeholder for a returned value that is not plain data."""
MAX_DETAIL = 1000
"""Maximum characters of `CaseResult.detail`."""
_NOT_A_NUMBER = b'"nan"'
"""Encoding of NaN, which does not equal itself."""


class CandidateAnswer(NamedTuple):
    """The decoded outcome of one call."""

    kind: str
    """`value`, `raise`, `odd` for a value that is not plain data, or `forged`."""
    value: Any
    """The returned value; for the other kinds, a message."""


class Case(NamedTuple):
    """The expected outcome of one call and how to compare with it."""

    expected: bytes
    """The expected answer, encoded."""
    inputs: Sequence[Any]
    """The arguments, for comparators that need them."""
    oracle: Comparator
    """How the two answers are compared."""
    atol: float
    """Absolute tolerance; 0 for the comparator's default."""


class CaseResult(NamedTuple):
    """Whether one answer is correct, and the details that a verdict reports if not."""

    is_right: bool
    """Whether the answer is accepted."""
    kind: str = "value"
    """The answer's kind, or `costly` if the comparison exceeded its limits."""
    got: str = ""
    """The answer, shortened."""
    expected: str = ""
    """The expected answer, shortened."""
    detail: str = ""
    """A message for answers that are not values."""


RIGHT = CaseResult(is_right=True)


def decode_answer(line: bytes) -> CandidateAnswer:
    """Decode a line of the answer channel; a malformed line is `forged`."""
    try:
        match decode(line):
            case ["value", value]:
                return CandidateAnswer("value", value)
            case ["raise", str(name), str(message)]:
                return CandidateAnswer("raise", f"{name}: {message}")
            case ["odd", str(message)]:
                return CandidateAnswer("odd", message)
    except NotPlainError:
        pass
    return CandidateAnswer("forged", "the answer channel has a malformed line")


def is_identical(line: bytes, expected: bytes) -> bool:
    """Whether an answer is byte-identical to the expected value, in linear time."""
    return line == expected and line.startswith(b'["l","value"') and _NOT_A_NUMBER not in line


def compare_answer(line: bytes, case: Case) -> CaseResult:
    """Compare one answer with the expected one."""
    if is_identical(line, case.expected):
        return RIGHT
    answer, expected = decode_answer(line), _value(decode_answer(case.expected))
    if _is_comparable(answer, case.oracle) and _matches(answer, expected, case):
        return RIGHT
    is_value = answer.kind == "value"
    return CaseResult(
        is_right=False,
        kind=answer.kind,
        got=safe_repr(answer.value) if is_value else "",
        expected=safe_repr(expected),
        detail="" if is_value else str(answer.value)[:MAX_DETAIL],
    )


def compare_answers(given: Sequence[tuple[bytes, bytes, Sequence[Any], str, float]]) -> list[Any]:
    """Compare lines in order up to the first wrong one.

    Returns how many are correct, and the fields of the first wrong `CaseResult` (or `[]`).
    Arguments and result are plain data.
    """
    for number, (line, expected, inputs, oracle, atol) in enumerate(given):
        result = compare_answer(line, Case(expected, inputs, Comparator(oracle), atol))
        if not result.is_right:
            return [number, list(result)]
    return [len(given), []]


def _is_comparable(answer: CandidateAnswer, oracle: Comparator) -> bool:
    """Whether the comparator applies to this kind of answer."""
    return answer.kind == "value" or (answer.kind == "odd" and oracle is Comparator.NOT_NONE)


def _matches(answer: CandidateAnswer, expected: object, case: Case) -> bool:
    output = _value(answer)
    return compare(
        case.oracle, inputs=case.inputs, output=output, expected=expected, atol=case.atol
    ).passes


def _value(answer: CandidateAnswer) -> Any:  # noqa: ANN401 - plain data
    return OPAQUE if answer.kind == "odd" else answer.value
