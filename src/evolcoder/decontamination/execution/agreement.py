"""How often a function answers as a reference does, beyond chance.

Promises: a number from 0 to 1 for any answers at all; equal lines give equal numbers.
Does not bound what comparing values costs: whoever calls it bounds the lines' length, or runs it
where it can be ended (`leakage.likeness`). This module is sent to the sandbox as text: it needs
`bench.oracles`, `grade.answers` and what every sandboxed process has.

>>> agreement([b'["l","value",1]'], [b'["l","value",1]'], exact=True)
1.0
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from evolcoder.bench.comparators import Oracle, compare
from evolcoder.grading.answers import Answer, read_answer
from evolcoder.safe_codec import encode


def agreement(lines: Sequence[bytes], expected: Sequence[bytes], *, exact: bool) -> float:
    """Say how often answers agree beyond chance (Cohen's kappa), from 0 to 1.

    Both are encoded, and the expected ones are values. Calls that were ended for taking too long
    count neither way.
    """
    answers = [read_answer(line) for line in lines[: len(expected)]]
    given = [*answers, *[Answer("raise", "")] * (len(expected) - len(answers))]
    both = zip(given, map(read_answer, expected), strict=True)
    pairs = [two for two in both if not _is_slow(two[0])]
    if not pairs:
        return 1.0
    same = [_says_the_same(one, right, exact) for one, right in pairs]
    observed = sum(same) / len(pairs)
    mine = Counter(
        _said(right if agree else one) for (one, right), agree in zip(pairs, same, strict=True)
    )
    theirs = Counter(_said(right) for _, right in pairs)
    by_chance = sum(n * mine[said] for said, n in theirs.items()) / len(pairs) ** 2
    return 1.0 if observed == 1 else max(0.0, (observed - by_chance) / (1 - by_chance))


def agreement_apart(given: Sequence[Any]) -> float:
    """Do the same with the arguments in one, as plain data."""
    lines, expected, exact = given
    return agreement(lines, expected, exact=exact)


def _is_slow(answer: Answer) -> bool:
    return answer.word == "raise" and str(answer.value).startswith("Slow:")


def _said(answer: Answer) -> tuple[str, bytes]:
    return answer.word, encode(answer.value)


def _says_the_same(answer: Answer, expected: Answer, exact: bool) -> bool:  # noqa: FBT001
    if answer.word != "value":
        return False
    return _said(answer) == _said(expected) or _alike(answer.value, expected.value, exact)


def _alike(answer: Any, expected: Any, exact: bool) -> bool:  # noqa: ANN401, FBT001 - plain data
    """Whether two answers say the same: equal, nearly equal numbers, or the same members."""
    if isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        if len(answer) != len(expected):
            return False
        if all(_alike(a, b, exact) for a, b in zip(answer, expected, strict=True)):
            return True
        return not exact and sorted(map(encode, answer)) == sorted(map(encode, expected))
    return compare(Oracle.EQUAL, inputs=(), output=answer, expected=expected, atol=1e-6).passes
