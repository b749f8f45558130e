"""Further inputs for a problem, made by mutating its examples.

A function that passes weak tests is compared with the reference on them (see `agreement`). The same
examples and seed give the same inputs; the reference later decides in the sandbox which are valid.

>>> inputs_like([ProblemExample(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([1, 3],)
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    as_text,
    find_lengths,
    is_large,
    update_lengths,
)
from evolcoder.ids import rng_for

N_MUTATED = 32
"""Maximum number of inputs."""

Arguments = tuple[Any, ...]


def inputs_like(examples: Sequence[ProblemExample], *, seed: str) -> list[Arguments]:
    """Return distinct mutations of a problem's examples, at most `N_MUTATED`."""
    rng = rng_for(0, "further", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    lengths = find_lengths(examples)
    made = {
        as_text(one): one for one in (_mutated(given, lengths, rng) for _ in range(2 * N_MUTATED))
    }
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_MUTATED]


def _mutated(
    given: Sequence[Arguments], lengths: Sequence[tuple[int, int]], rng: random.Random
) -> Arguments:
    base = list(rng.choice(given))
    other = rng.choice(given)
    for place, value in enumerate(base):
        base[place] = _mutate(other[place] if rng.random() < 0.3 else value, rng)
    return update_lengths(base, lengths)


def _mutate(value: Any, rng: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - plain data
    change = _MUTATIONS.get(type(value))
    return change(value, rng, depth) if change and depth < 4 else value


def _mutate_number(value: Any, rng: random.Random, _depth: int) -> Any:  # noqa: ANN401
    step = rng.choice((-2, -1, 0, 1, 2, 3, value))
    changed = value + step
    return abs(changed) if value >= 0 else changed


def _mutate_text(value: str, rng: random.Random, _depth: int) -> str:
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


def _mutate_sequence(value: Any, rng: random.Random, depth: int) -> Any:  # noqa: ANN401
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
            items[place] = _mutate(items[place], rng, depth + 1)
    return type(value)(items)


def _mutate_mapping(value: dict[Any, Any], rng: random.Random, depth: int) -> dict[Any, Any]:
    return {key: _mutate(one, rng, depth + 1) for key, one in value.items()}


_MUTATIONS: dict[type, Callable[[Any, random.Random, int], Any]] = {
    bool: lambda value, rng, _depth: value ^ (rng.random() < 0.5),
    int: _mutate_number,
    float: _mutate_number,
    str: _mutate_text,
    list: _mutate_sequence,
    tuple: _mutate_sequence,
    dict: _mutate_mapping,
}
