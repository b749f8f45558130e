"""Inputs drawn by type: what a problem's test could have asked as well, and did not think of.

Promises: as many values as its examples have arguments, of their types and shapes, the same ones
each time. Numbers reach twice as far as those that were seen, below zero only where one was; texts
hold letters or digits only where the examples do, but any of these; lists have other lengths and
never none. A test whose numbers are small and in order, or whose words have few letters,
lets through what these do not.

>>> inputs_drawn([Example(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
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
    is_large,
    lengths_in,
    with_lengths,
)
from evolcoder.ids import rng_for

N_DRAWN = 32
"""Inputs that are drawn."""
SEEN_AGAIN = 0.4
"""How often a number is one that was seen, so that members of a list are equal now and then."""
KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
"""Of these any can stand for another; a mark has a meaning of its own, and those seen are used."""
FEW = (3, 6, 20)
"""Unlike characters of a text, so that some come twice."""
HUGE = 1 << 53
"""Where a number is larger, or none at all, others are not drawn: no float is between it and the
next."""
SHAPED = 3
"""A tuple of so many members is a record and keeps its length."""

Arguments = tuple[Any, ...]


@dataclass(slots=True)
class _Seen:
    """What the examples hold at one argument."""

    numbers: list[float] = field(default_factory=list)
    """At any depth."""
    texts: list[str] = field(default_factory=list)
    """At any depth."""
    longest: int = 1
    """Members of the longest list."""

    def add(self, value: Any) -> None:  # noqa: ANN401 - plain data
        """Take down a value and all that is in it."""
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
    """Draw inputs of the types of a problem's examples; fewer where they would be the same ones."""
    rng = rng_for(0, "drawn", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    places = [_Seen() for _ in given[0]]
    for arguments in given:
        for place, value in zip(places, arguments, strict=True):
            place.add(value)
    lengths = lengths_in(examples)
    made = {}
    for _ in range(2 * N_DRAWN):
        shape = zip(rng.choice(given), places, strict=True)
        one = with_lengths([_drawn(value, seen, rng) for value, seen in shape], lengths)
        made[as_text(one)] = one
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_DRAWN]


def _drawn(value: Any, seen: _Seen, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    match value:
        case bool():
            return rng.random() < 0.5
        case int() | float():
            return _number(type(value), seen.numbers, rng)
        case str() if any(seen.texts):
            return _text(seen.texts, rng)
        case list() | tuple() | dict() if value:
            return _several(value, seen, rng)
    return value


def _several(value: Any, seen: _Seen, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return {_drawn(k, seen, rng): _drawn(v, seen, rng) for k, v in value.items()}
    if isinstance(value, tuple) and len(value) <= SHAPED:
        return tuple(_drawn(one, seen, rng) for one in value)
    size = rng.randint(1, seen.longest + 1)
    return type(value)(_drawn(rng.choice(value), seen, rng) for _ in range(size))


def _number(kind: type, seen: Sequence[float], rng: random.Random) -> Any:  # noqa: ANN401
    alike = [one for one in seen if type(one) is kind]
    if rng.random() < SEEN_AGAIN or not all(-HUGE < one < HUGE for one in seen):
        return rng.choice(alike)
    most = int(2 * max(map(abs, seen))) + 5
    least = -most if min(seen) < 0 else int(min(seen) > 0)
    whole = rng.randint(least, most)
    return whole if kind is int else whole + round(rng.random(), 2)


def _text(seen: Sequence[str], rng: random.Random) -> str:
    held = "".join(seen)
    sizes = [len(one) for one in seen]
    met = [kind for kind in KINDS if set(kind) & set(held)]
    letters = "".join(sorted({*held, *(one for kind in met for one in kind)}))
    if rng.random() < SEEN_AGAIN:
        letters = held
    size = 1 if max(sizes) == 1 else rng.randint(min(1, *sizes), max(sizes) + 3)
    some = rng.sample(letters, min(len(letters), rng.choice(FEW)))
    return "".join(rng.choices(some, k=size))
