"""Plans the batches of a training, and collates them into tensors.

`plan` assigns rows to optimizer steps and cuts each step into parts (micro-batches). Every row is
seen once per epoch, in an order that only the seed decides, and the rows of a step do not depend on
the number of devices. All steps have the same number of parts, a multiple of the devices. A part
has rows of similar length within the token bound, or one longer row, or no row if a step has too
few. Planning uses lengths only, without torch.

`Collator` makes tensors. Tokens of one row never attend to another row. `padded`: padding follows a
row, where causal attention does not look, so no mask is needed and the fastest kernels apply.
`packed`: positions restart at 0 with each row, which sets the attention borders. Prompts, padding
and filler rows have no loss.

>>> steps = rows_by_step(4, n_seen=4, rows_per_step=4, seed=0)
>>> plan(steps, [3, 9, 4, 8], max_tokens=18).n_parts
2
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evolcoder.ids import rng_for
from evolcoder.training.examples import TokenizedRow
from evolcoder.training.recipe import Layout

MIN_LENGTH_RATIO = 0.8
"""A row shorter than this share of a part's longest row starts a new part, if the old one is filled
to `MIN_FILL`."""
MIN_FILL = 0.25
"""Share of the token bound; below it padding costs less than idle devices."""
Part = tuple[int, ...]
"""Indices of the rows of one micro-batch."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The batches of a whole training."""

    parts: tuple[Part, ...]
    """All parts, by step."""
    n_parts: int
    """Parts per step, over all devices."""
    n_steps: int
    """Optimizer steps."""
    n_tokens: int
    """Tokens of all parts, without padding."""
    n_padded: int
    """Tokens of all parts in the layout `padded`, with padding."""

    @property
    def waste(self) -> float:
        """Share of padding in the computed tokens, in the layout `padded`."""
        return 1 - self.n_tokens / self.n_padded


def rows_by_step(n_rows: int, *, n_seen: int, rows_per_step: int, seed: int) -> list[list[int]]:
    """Return the rows of each step, `n_seen` in all; the last step may have fewer."""
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
    """Yield rows endlessly, each epoch in another order."""
    epoch = 0
    while True:
        rows = list(range(n_rows))
        rng_for(seed, "epoch", epoch).shuffle(rows)
        yield from rows
        epoch += 1


def _parts(step: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[Part]:
    """Cut the rows of a step, longest first, into parts within the token bound."""
    parts: list[Part] = []
    part: list[int] = []
    for row in sorted(step, key=lambda row: (-lengths[row], row)):
        longest = lengths[part[0]] if part else lengths[row]
        full = longest * (len(part) + 1) > max_tokens
        shorter = lengths[row] < MIN_LENGTH_RATIO * longest
        if part and (full or (shorter and longest * len(part) >= MIN_FILL * max_tokens)):
            parts.append(tuple(part))
            part = []
        part.append(row)
    return [*parts, tuple(part)]


def _split_to(parts: list[Part], n_parts: int, lengths: Sequence[int]) -> list[Part]:
    """Halve the largest parts until there are `n_parts`; halves of a single row may be empty."""
    parts = list(parts)
    while len(parts) < n_parts:
        at = max(range(len(parts)), key=lambda i: (len(parts[i]) > 1, _size(parts[i], lengths)))
        half = (len(parts[at]) + 1) // 2
        parts[at : at + 1] = [parts[at][:half], parts[at][half:]]
    return sorted(parts, key=lambda part: -_size(part, lengths))


def _size(part: Part, lengths: Sequence[int]) -> int:
    """Return a part's tokens with padding."""
    return len(part) * max((lengths[row] for row in part), default=0)


if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

PART = "part"
"""Name of the data set's only column: the rows of a part."""
IGNORED = -100
"""PyTorch's label without loss."""


class Collator:
    """Collates one part into tensors."""

    def __init__(self, examples: Sequence[TokenizedRow], layout: Layout, pad_id: int) -> None:
        self._examples = examples
        self._layout = layout
        self._pad_id = pad_id

    def __call__(self, items: "list[dict[str, Part]]") -> "Batch":
        """Collate the single part of a loader's batch; `rows` holds the row indices."""
        part = items[0][PART]
        rows = [self._examples[index] for index in part] or [self._examples[0]]
        batch = self._packed(rows) if self._layout == "packed" else self._padded(rows)
        if not part:
            batch["labels"].fill_(IGNORED)
        return {**batch, "rows": _tensor(list(part))}

    def _padded(self, rows: Sequence[TokenizedRow]) -> "Batch":
        """Ids, positions and labels, each of shape (rows, longest row)."""
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
        """Ids, positions and labels, each of shape (1, tokens); a row's first token has no loss."""
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
