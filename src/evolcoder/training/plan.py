"""Which rows go together: steps of the optimizer, cut into parts that one device computes at once.

Promises: every row is seen once per epoch, in an order that the seed alone decides, and which rows
share a step does not depend on the number of devices. All steps have the same number of parts, a
multiple of the devices; a part holds rows of like length within the bound of tokens, or one row
that is longer by itself, or none where a step has too few rows. Knows lengths only, and no torch.

>>> plan(steps_of(4, n_seen=4, rows_per_step=4, seed=0), [3, 9, 4, 8], max_tokens=18).n_parts
2

Parts of a plan become tensors: rows side by side, or one after another.

Promises: a row's tokens never see another row's. Side by side (`padded`), what is added stands
behind a row, where causal attention cannot look, so no mask is needed and the fastest kernels
serve. One after another (`packed`), positions begin again at 0 with each row, and attention draws
its borders there. No loss on prompts, padding and fillers.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evolcoder.ids import rng_for
from evolcoder.training.examples import TokenizedRow
from evolcoder.training.recipe import Layout

ALIKE = 0.8
"""A row shorter than this share of a part's longest begins a new part, if the old one is filled"""
LEAST_FILL = 0.25
"""to this share of the bound: padding costs less than devices that are not busy."""
Part = tuple[int, ...]
"""Indices of the rows that one device computes at once."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
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
) -> BatchPlan:
    """Cut steps into parts."""
    cuts = [_parts(step, lengths, max_tokens) for step in steps]
    n_parts = math.ceil(max(map(len, cuts)) / n_devices) * n_devices
    parts = [part for cut in cuts for part in _split_to(cut, n_parts, lengths)]
    padded = sum(_size(part, lengths) for part in parts)
    tokens = sum(lengths[row] for part in parts for row in part)
    return BatchPlan(tuple(parts), n_parts, len(steps), tokens, padded)


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
        full = longest * (len(part) + 1) > max_tokens
        unlike = lengths[row] < ALIKE * longest and longest * len(part) >= LEAST_FILL * max_tokens
        if part and (full or unlike):
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


if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

PART = "part"
"""Name of the one column that a loader reads: the rows of a part."""
IGNORED = -100
"""Label without loss, as PyTorch has it."""


class Collator:
    """Makes the tensors of one part."""

    def __init__(self, examples: Sequence[TokenizedRow], layout: Layout, pad_id: int) -> None:
        self._examples = examples
        self._layout = layout
        self._pad_id = pad_id

    def __call__(self, items: "list[dict[str, Part]]") -> "Batch":
        """Make tensors out of the one part that a loader hands over."""
        part = items[0][PART]
        rows = [self._examples[index] for index in part] or [self._examples[0]]
        batch = self._packed(rows) if self._layout == "packed" else self._padded(rows)
        if not part:
            batch["labels"].fill_(IGNORED)
        return {**batch, "rows": _tensor(list(part))}

    def _padded(self, rows: Sequence[TokenizedRow]) -> "Batch":
        """ids, positions and labels, each rows x longest."""
        longest = max(row.n_tokens for row in rows)
        ids, labels = [], []
        for row in rows:
            gap = longest - row.n_tokens
            ids.append([*row.prompt, *row.answer, *[self._pad_id] * gap])
            labels.append([*_labels(row), *[IGNORED] * gap])
        places = [list(range(longest))] * len(rows)
        return {
            "input_ids": _tensor(ids),
            "position_ids": _tensor(places),
            "labels": _tensor(labels),
        }

    def _packed(self, rows: Sequence[TokenizedRow]) -> "Batch":
        """ids, positions and labels, each 1 x all tokens; the first of a row is never a target."""
        ids = [token for row in rows for token in (*row.prompt, *row.answer)]
        places = [place for row in rows for place in range(row.n_tokens)]
        labels = [label for row in rows for label in (IGNORED, *_labels(row)[1:])]
        return {
            "input_ids": _tensor([ids]),
            "position_ids": _tensor([places]),
            "labels": _tensor([labels]),
        }


def _labels(row: TokenizedRow) -> list[int]:
    return [*[IGNORED] * len(row.prompt), *row.answer]


def _tensor(values: list[int] | list[list[int]]) -> "torch.Tensor":
    import torch

    return torch.tensor(values, dtype=torch.long)
