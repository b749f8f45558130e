"""Further inputs for a problem, drawn at random with the types and shapes of its examples.

Numbers reach twice as far as in the examples, and below zero only if an example does. Strings use
letters or digits only if the examples do, but then all of them. Lists vary in length and are never
empty. So they cover what tests with small ordered numbers or few letters miss. The same examples
and seed give the same inputs.

>>> inputs_drawn([ProblemExample(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([9, 3, 4],)
"""

import random
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    as_text,
    find_lengths,
    is_large,
    update_lengths,
)
from evolcoder.ids import rng_for

N_DRAWN = 32
"""Maximum number of inputs."""
REUSE_PROBABILITY = 0.4
"""Probability of reusing a number from the examples, so that equal members occur."""
CHARACTER_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
"""Classes of interchangeable characters; other characters are only taken from the examples."""
ALPHABET_SIZES = (3, 6, 20)
"""Numbers of distinct characters in a string, some small so that characters repeat."""
MAX_EXACT = 1 << 53
"""Beyond this, numbers are reused instead of drawn: floats no longer represent every integer."""
MAX_RECORD_LENGTH = 3
"""Tuples of up to this length are records and keep their length."""

Arguments = tuple[Any, ...]


@dataclass(slots=True)
class _SeenValues:
    """Values of one argument in the examples."""

    numbers: list[float] = field(default_factory=list)
    """Numbers at any depth."""
    texts: list[str] = field(default_factory=list)
    """Strings at any depth."""
    longest: int = 1
    """Length of the longest list."""

    def add(self, value: Any) -> None:  # noqa: ANN401 - plain data
        """Record a value and its members."""
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers.append(value)
        elif isinstance(value, list | tuple):
            self.longest = max(self.longest, len(value))
            self._all(value)
        elif isinstance(value, dict):
            self._all([*value.keys(), *value.values()])

    def _all(self, values: Iterable[Any]) -> None:
        for value in values:
            self.add(value)


def inputs_drawn(examples: Sequence[ProblemExample], *, seed: str) -> list[Arguments]:
    """Return distinct random inputs, at most `N_DRAWN`."""
    rng = rng_for(0, "drawn", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    places = [_SeenValues() for _ in given[0]]
    for arguments in given:
        for place, value in zip(places, arguments, strict=True):
            place.add(value)
    lengths = find_lengths(examples)
    made = {}
    for _ in range(2 * N_DRAWN):
        shape = zip(rng.choice(given), places, strict=True)
        one = update_lengths([_drawn(value, seen, rng) for value, seen in shape], lengths)
        made[as_text(one)] = one
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_DRAWN]


def _drawn(value: Any, seen: _SeenValues, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    match value:
        case bool():
            return rng.random() < 0.5
        case int() | float():
            return _drawn_number(type(value), seen.numbers, rng)
        case str() if any(seen.texts):
            return _drawn_text(seen.texts, rng)
        case list() | tuple() | dict() if value:
            return _drawn_container(value, seen, rng)
    return value


def _drawn_container(value: Any, seen: _SeenValues, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return {_drawn(k, seen, rng): _drawn(v, seen, rng) for k, v in value.items()}
    if isinstance(value, tuple) and len(value) <= MAX_RECORD_LENGTH:
        return tuple(_drawn(one, seen, rng) for one in value)
    size = rng.randint(1, seen.longest + 1)
    return type(value)(_drawn(rng.choice(value), seen, rng) for _ in range(size))


def _drawn_number(kind: type, seen: Sequence[float], rng: random.Random) -> Any:  # noqa: ANN401
    same_type = [one for one in seen if type(one) is kind]
    if rng.random() < REUSE_PROBABILITY or not all(-MAX_EXACT < one < MAX_EXACT for one in seen):
        return rng.choice(same_type)
    most = int(2 * max(map(abs, seen))) + 5
    least = -most if min(seen) < 0 else int(min(seen) > 0)
    whole = rng.randint(least, most)
    return whole if kind is int else whole + round(rng.random(), 2)


def _drawn_text(seen: Sequence[str], rng: random.Random) -> str:
    characters = "".join(seen)
    sizes = [len(one) for one in seen]
    met = [kind for kind in CHARACTER_CLASSES if set(kind) & set(characters)]
    letters = "".join(sorted({*characters, *(one for kind in met for one in kind)}))
    if rng.random() < REUSE_PROBABILITY:
        letters = characters
    size = 1 if max(sizes) == 1 else rng.randint(min(1, *sizes), max(sizes) + 3)
    some = rng.sample(letters, min(len(letters), rng.choice(ALPHABET_SIZES)))
    return "".join(rng.choices(some, k=size))
