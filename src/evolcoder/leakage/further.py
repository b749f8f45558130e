"""Whether a function that passes a benchmark's few tests really answers as the reference does.

Promises: further inputs are made out of a problem's own examples, the same ones each time; the
reference says in the sandbox which of them have an answer. How often a function agrees, beyond
chance, tells a solution from something else that three asserts let through: who always says no to a
question that is hardly ever answered by yes agrees by chance. Where the reference answers none of
them, agreement is 1: there is no doubt to be had.

>>> inputs_like([Example(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([1, 3],)
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from evolcoder.bench.base import Oracle
from evolcoder.bench.oracles import compare
from evolcoder.grade.calls import Answer
from evolcoder.ids import rng_for
from evolcoder.leakage.examples import Example, is_large, lengths_in, with_lengths

N_FURTHER = 32
"""Inputs that are made of a problem's examples."""

Arguments = tuple[Any, ...]


def inputs_like(examples: Sequence[Example], *, seed: str) -> list[Arguments]:
    """Make inputs that are like a problem's examples; fewer where they would be the same ones."""
    rng = rng_for(0, "further", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    lengths = lengths_in(examples)
    made = {repr(one): one for one in (_like(given, lengths, rng) for _ in range(2 * N_FURTHER))}
    known = {repr(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_FURTHER]


def agreement(answers: Sequence[Answer], expected: Sequence[Answer], *, exact: bool) -> float:
    """Say how often answers agree beyond chance (Cohen's kappa), from 0 to 1.

    Calls that were ended for taking too long count neither way.
    """
    given = [*answers, *[Answer("raise", "")] * (len(expected) - len(answers))]
    pairs = [two for two in zip(given, expected, strict=True) if not _is_slow(two[0])]
    if not pairs:
        return 1.0
    same = [one.word == "value" and _alike(one.value, right.value, exact) for one, right in pairs]
    observed = sum(same) / len(pairs)
    mine = Counter(
        repr(right.value if agree else one.value)
        for (one, right), agree in zip(pairs, same, strict=True)
    )
    theirs = Counter(repr(right.value) for _, right in pairs)
    by_chance = sum(n * mine[said] for said, n in theirs.items()) / len(pairs) ** 2
    return 1.0 if observed == 1 else max(0.0, (observed - by_chance) / (1 - by_chance))


def _is_slow(answer: Answer) -> bool:
    return answer.word == "raise" and str(answer.value).startswith("Slow:")


def _alike(answer: Any, expected: Any, exact: bool) -> bool:  # noqa: ANN401, FBT001 - plain data
    """Whether two answers say the same: equal, nearly equal numbers, or the same members."""
    if isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        if len(answer) != len(expected):
            return False
        if all(_alike(a, b, exact) for a, b in zip(answer, expected, strict=True)):
            return True
        return not exact and sorted(map(repr, answer)) == sorted(map(repr, expected))
    return compare(Oracle.EQUAL, inputs=(), output=answer, expected=expected, atol=1e-6).passes


def _like(
    given: Sequence[Arguments], lengths: Sequence[tuple[int, int]], rng: random.Random
) -> Arguments:
    base = list(rng.choice(given))
    other = rng.choice(given)
    for place, value in enumerate(base):
        base[place] = _changed(other[place] if rng.random() < 0.3 else value, rng)
    return with_lengths(base, lengths)


def _changed(value: Any, rng: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - plain data
    change = _CHANGES.get(type(value))
    return change(value, rng, depth) if change and depth < 4 else value


def _changed_number(value: Any, rng: random.Random, _depth: int) -> Any:  # noqa: ANN401
    step = rng.choice((-2, -1, 0, 1, 2, 3, value))
    changed = value + step
    return abs(changed) if value >= 0 else changed


def _changed_text(value: str, rng: random.Random, _depth: int) -> str:
    letters = list(value)
    match rng.randrange(4):
        case 0:
            rng.shuffle(letters)
        case 1:
            del letters[rng.randrange(len(letters) + 1) :]
        case 2:
            letters.insert(rng.randrange(len(letters) + 1), rng.choice(value or " "))
        case _:
            letters = letters[::-1]
    return "".join(letters)


def _changed_sequence(value: Any, rng: random.Random, depth: int) -> Any:  # noqa: ANN401
    items = list(value)
    match rng.randrange(5):
        case 0:
            rng.shuffle(items)
        case 1 if len(items) > 1:
            del items[rng.randrange(len(items))]
        case 2 if items:
            items.append(rng.choice(items))
        case _ if items:
            place = rng.randrange(len(items))
            items[place] = _changed(items[place], rng, depth + 1)
    return type(value)(items)


def _changed_mapping(value: dict[Any, Any], rng: random.Random, depth: int) -> dict[Any, Any]:
    return {key: _changed(one, rng, depth + 1) for key, one in value.items()}


_CHANGES: dict[type, Callable[[Any, random.Random, int], Any]] = {
    bool: lambda value, rng, _depth: value ^ (rng.random() < 0.5),
    int: _changed_number,
    float: _changed_number,
    str: _changed_text,
    list: _changed_sequence,
    tuple: _changed_sequence,
    dict: _changed_mapping,
}
