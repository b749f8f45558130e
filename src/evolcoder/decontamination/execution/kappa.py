"""Agreement of two lists of encoded answers, beyond chance.

This module is sent to the sandbox as text, after `bench.comparators` and `grading.answers`, so it
imports nothing else of the package. It does not bound the cost of comparing values: callers bound
the length of the lines or run it in the sandbox.

>>> agreement([b'["l","value",1]'], [b'["l","value",1]'], exact=True)
1.0
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from evolcoder.bench.comparators import Comparator, compare
from evolcoder.grading.answers import CandidateAnswer, decode_answer
from evolcoder.safe_codec import encode


def agreement(lines: Sequence[bytes], expected: Sequence[bytes], *, exact: bool) -> float:
    """Return how often answers agree beyond chance (Cohen's kappa), from 0 to 1.

    Both are encoded; expected answers are values. Calls ended for taking too long are left out.
    """
    answers = [decode_answer(line) for line in lines[: len(expected)]]
    given = [*answers, *[CandidateAnswer("raise", "")] * (len(expected) - len(answers))]
    both = zip(given, map(decode_answer, expected), strict=True)
    pairs = [two for two in both if not _is_slow(two[0])]
    if not pairs:
        return 1.0
    same = [_is_same_answer(one, right, exact) for one, right in pairs]
    observed = sum(same) / len(pairs)
    mine = Counter(
        _comparable(right if agree else one)
        for (one, right), agree in zip(pairs, same, strict=True)
    )
    theirs = Counter(_comparable(right) for _, right in pairs)
    by_chance = sum(n * mine[answer] for answer, n in theirs.items()) / len(pairs) ** 2
    return 1.0 if observed == 1 else max(0.0, (observed - by_chance) / (1 - by_chance))


def agreement_in_sandbox(given: Sequence[Any]) -> float:
    """Compute `agreement` in the sandbox, with the arguments as plain data."""
    lines, expected, exact = given
    return agreement(lines, expected, exact=exact)


def _is_slow(answer: CandidateAnswer) -> bool:
    return answer.kind == "raise" and str(answer.value).startswith("Slow:")


def _comparable(answer: CandidateAnswer) -> tuple[str, bytes]:
    return answer.kind, encode(answer.value)


def _is_same_answer(answer: CandidateAnswer, expected: CandidateAnswer, exact: bool) -> bool:  # noqa: FBT001
    if answer.kind != "value":
        return False
    return _comparable(answer) == _comparable(expected) or _is_equivalent(
        answer.value, expected.value, exact
    )


def _is_equivalent(answer: Any, expected: Any, exact: bool) -> bool:  # noqa: ANN401, FBT001 - plain data
    """Whether two answers are equal, nearly equal numbers, or have the same members."""
    if isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        if len(answer) != len(expected):
            return False
        if all(_is_equivalent(a, b, exact) for a, b in zip(answer, expected, strict=True)):
            return True
        return not exact and sorted(map(encode, answer)) == sorted(map(encode, expected))
    return compare(Comparator.EQUAL, inputs=(), output=answer, expected=expected, atol=1e-6).passes
