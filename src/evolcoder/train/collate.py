"""Parts of a plan become tensors: rows side by side, or one after another.

Promises: a row's tokens never see another row's. Side by side (`padded`), what is added stands
behind a row, where causal attention cannot look, so no mask is needed and the fastest kernels
serve. One after another (`packed`), positions begin again at 0 with each row, and attention draws
its borders there. No loss on prompts, padding and fillers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolcoder.train.examples import Example
from evolcoder.train.plan import Part
from evolcoder.train.recipe import Layout

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

PART = "part"
"""Name of the one column that a loader reads: the rows of a part."""
IGNORED = -100
"""Label without loss, as PyTorch has it."""


class Collator:
    """Makes the tensors of one part."""

    def __init__(self, examples: Sequence[Example], layout: Layout, pad_id: int) -> None:
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

    def _padded(self, rows: Sequence[Example]) -> "Batch":
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

    def _packed(self, rows: Sequence[Example]) -> "Batch":
        """ids, positions and labels, each 1 x all tokens; the first of a row is never a target."""
        ids = [token for row in rows for token in (*row.prompt, *row.answer)]
        places = [place for row in rows for place in range(row.n_tokens)]
        labels = [label for row in rows for label in (IGNORED, *_labels(row)[1:])]
        return {
            "input_ids": _tensor([ids]),
            "position_ids": _tensor([places]),
            "labels": _tensor([labels]),
        }


def _labels(row: Example) -> list[int]:
    return [*[IGNORED] * len(row.prompt), *row.answer]


def _tensor(values: list[int] | list[list[int]]) -> "torch.Tensor":
    import torch

    return torch.tensor(values, dtype=torch.long)
