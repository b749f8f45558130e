"""Which rows go together: steps of the optimizer, cut into parts that one device computes at once.

Promises: every row is seen once per epoch, in an order that the seed alone decides, and which rows
share a step does not depend on the number of devices. All steps have the same number of parts, a
multiple of the devices; a part holds rows of like length within the bound of tokens, or one row
that is longer by itself, or none where a step has too few rows. Knows lengths only, and no torch.

>>> plan(steps_of(4, n_seen=4, rows_per_step=4, seed=0), [3, 9, 4, 8], max_tokens=18).n_parts
2
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from evolcoder.ids import rng_for

Part = tuple[int, ...]
"""Indices of the rows that one device computes at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole training's order, before it begins."""

    parts: tuple[Part, ...]
    """All parts, step after step."""
    n_parts: int
    """Parts of each step, over all devices."""
    n_steps: int
    """Steps of the optimizer."""
    n_tokens: int
    """Tokens of all parts, without padding."""
    n_padded: int
    """Tokens of all parts, padding included, where rows are padded."""

    @property
    def waste(self) -> float:
        """Share of the computed tokens that is padding, where rows are padded."""
        return 1 - self.n_tokens / self.n_padded


def steps_of(n_rows: int, *, n_seen: int, rows_per_step: int, seed: int) -> list[list[int]]:
    """Say which rows each step takes, until `n_seen` were seen; the last step may have fewer."""
    rows = list(islice(_stream(n_rows, seed), n_seen))
    return [rows[at : at + rows_per_step] for at in range(0, n_seen, rows_per_step)]


def plan(
    steps: Sequence[Sequence[int]], lengths: Sequence[int], *, max_tokens: int, n_devices: int = 1
) -> Plan:
    """Cut steps into parts."""
    cuts = [_parts(step, lengths, max_tokens) for step in steps]
    n_parts = math.ceil(max(map(len, cuts)) / n_devices) * n_devices
    parts = [part for cut in cuts for part in _split_to(cut, n_parts, lengths)]
    padded = sum(_size(part, lengths) for part in parts)
    tokens = sum(lengths[row] for part in parts for row in part)
    return Plan(tuple(parts), n_parts, len(steps), tokens, padded)


def _stream(n_rows: int, seed: int) -> Iterator[int]:
    """Yield rows for ever, each epoch in an order of its own."""
    epoch = 0
    while True:
        rows = list(range(n_rows))
        rng_for(seed, "epoch", epoch).shuffle(rows)
        yield from rows
        epoch += 1


def _parts(step: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[Part]:
    """Cut the rows of a step, longest first, into parts within the bound."""
    parts: list[Part] = []
    part: list[int] = []
    for row in sorted(step, key=lambda row: (-lengths[row], row)):
        longest = lengths[part[0]] if part else lengths[row]
        if part and longest * (len(part) + 1) > max_tokens:
            parts.append(tuple(part))
            part = []
        part.append(row)
    return [*parts, tuple(part)]


def _split_to(parts: list[Part], n_parts: int, lengths: Sequence[int]) -> list[Part]:
    """Halve the parts with most tokens until there are so many; add empty ones if none is left."""
    parts = list(parts)
    while len(parts) < n_parts:
        at = max(range(len(parts)), key=lambda i: (len(parts[i]) > 1, _size(parts[i], lengths)))
        half = (len(parts[at]) + 1) // 2
        parts[at : at + 1] = [parts[at][:half], parts[at][half:]]
    return sorted(parts, key=lambda part: -_size(part, lengths))


def _size(part: Part, lengths: Sequence[int]) -> int:
    """Count a part's tokens, padding included."""
    return len(part) * max((lengths[row] for row in part), default=0)
