"""Further inputs, to see whether a function that passes few tests answers as the reference does.

Promises: they are made out of a problem's own examples, the same ones each time; the reference says
in the sandbox which of them have an answer. How often a function agrees, beyond chance
(`leakage.agreement`), tells a solution from something else that three asserts let through: who
always says no to a question that is hardly ever answered by yes agrees by chance. Where the
reference answers none of them, agreement is 1: there is no doubt to be had.

>>> inputs_like([Example(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([1, 3],)
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    as_text,
    is_large,
    lengths_in,
    with_lengths,
)
from evolcoder.ids import rng_for

N_FURTHER = 32
"""Inputs that are made of a problem's examples."""

Arguments = tuple[Any, ...]


def inputs_like(examples: Sequence[ProblemExample], *, seed: str) -> list[Arguments]:
    """Make inputs that are like a problem's examples; fewer where they would be the same ones."""
    rng = rng_for(0, "further", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    lengths = lengths_in(examples)
    made = {as_text(one): one for one in (_like(given, lengths, rng) for _ in range(2 * N_FURTHER))}
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_FURTHER]


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
