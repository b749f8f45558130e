"""One answer of a candidate held against the expected one, in whichever process that is done.

Promises: `mark` gives a mark for any line at all; what the line holds is decoded as data and shown
in bounded length. An answer that is encoded to the very bytes of the expected one is right without
being decoded.
Does not bound time or memory: values can be chosen so that a set of them takes time quadratic in
its size, and decoded values take many times the memory of the line. Whoever calls it bounds the
line's length, or runs it where it can be ended (`grade.calls`). This module is sent to the sandbox
as text: it needs `bench.oracles` and what every sandboxed process has.

>>> mark(b'["l","value",4]', Case(b'["l","value",3]', (), Oracle.EQUAL, 0.0)).got
'4'
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from evolcoder.bench.comparators import Comparator, compare
from evolcoder.safe_codec import NotPlainError, decode
from evolcoder.safe_repr import safe_repr

OPAQUE = object()
"""Stands for an answer that is something, but no plain data."""
DETAIL = 1000
"""Longest message that a mark keeps."""
_NOT_A_NUMBER = b'"nan"'
"""Part of an encoded answer that does not equal itself."""


class CandidateAnswer(NamedTuple):
    """What one call gave."""

    word: str
    """`value`, `raise`, `odd` for a value that is not plain data, or `forged`."""
    value: Any
    """The value; else what there is to say."""


class Case(NamedTuple):
    """What one call should give."""

    expected: bytes
    """The expected answer, encoded."""
    inputs: Sequence[Any]
    """The arguments, for the rules that look at them."""
    oracle: Comparator
    """How the two are compared."""
    atol: float
    """Absolute tolerance; 0 for the oracle's own."""


class CaseResult(NamedTuple):
    """Whether one answer is right, with what a verdict says if it is not."""

    is_right: bool
    """Whether it counts as the expected one."""
    word: str = "value"
    """The answer's word, or `costly` where nobody could tell."""
    got: str = ""
    """The answer, shortened."""
    expected: str = ""
    """The expected one, shortened."""
    detail: str = ""
    """What the answer is, where it is no value."""


RIGHT = CaseResult(is_right=True)


def read_answer(line: bytes) -> CandidateAnswer:
    """Decode a line of the channel of answers; what is none is forged."""
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
    return CandidateAnswer("forged", "the channel of answers holds something else")


def is_same(line: bytes, expected: bytes) -> bool:
    """Whether an answer is the expected one to the byte, in time linear in their length."""
    return line == expected and line.startswith(b'["l","value"') and _NOT_A_NUMBER not in line


def mark(line: bytes, case: Case) -> CaseResult:
    """Compare one answer with the expected one."""
    if is_same(line, case.expected):
        return RIGHT
    answer, expected = read_answer(line), _value(read_answer(case.expected))
    if _counts(answer, case.oracle) and _matches(answer, expected, case):
        return RIGHT
    is_value = answer.word == "value"
    return CaseResult(
        is_right=False,
        word=answer.word,
        got=safe_repr(answer.value) if is_value else "",
        expected=safe_repr(expected),
        detail="" if is_value else str(answer.value)[:DETAIL],
    )


def marks(given: Sequence[tuple[bytes, bytes, Sequence[Any], str, float]]) -> list[Any]:
    """Mark lines in order up to the first wrong one: how many are right, and the mark of that one.

    Lines and cases come as plain data, as does what is returned.
    """
    for number, (line, expected, inputs, oracle, atol) in enumerate(given):
        one = mark(line, Case(expected, inputs, Comparator(oracle), atol))
        if not one.is_right:
            return [number, list(one)]
    return [len(given), []]


def _counts(answer: CandidateAnswer, oracle: Comparator) -> bool:
    """Whether a rule looks at such an answer at all."""
    return answer.word == "value" or (answer.word == "odd" and oracle is Comparator.NOT_NONE)


def _matches(answer: CandidateAnswer, expected: object, case: Case) -> bool:
    output = _value(answer)
    return compare(
        case.oracle, inputs=case.inputs, output=output, expected=expected, atol=case.atol
    ).passes


def _value(answer: CandidateAnswer) -> Any:  # noqa: ANN401 - plain data
    return OPAQUE if answer.word == "odd" else answer.value
