"""The input of every configuration: one base, and rows that none has to cut."""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from evolcoder.bench.prompts import WIZARDCODER
from evolcoder.seeds.rows import PlacedRow, read_placed_rows
from evolcoder.training.base import load_tokenizer
from evolcoder.training.batches import TokenizedRow, tokenize

LONGEST = 1024
UNIT = 64
"""Rows of a step that `--steps` counts; larger steps are fewer, so that all see the same rows."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one way is asked to do."""

    base: str
    lessons: tuple[PlacedRow, ...]
    examples: tuple[TokenizedRow, ...]
    steps: int
    micro_tokens: int

    def steps_of(self, rows: int) -> int:
        """Return the steps of so many rows."""
        return max(1, self.steps * UNIT // rows)


def order_of(args: argparse.Namespace) -> Order:
    base = _toy() if args.base == "toy" else args.base
    tokenizer = load_tokenizer(base)
    pairs = [
        (lesson, tokenize(lesson, WIZARDCODER, tokenizer))
        for lesson in read_placed_rows([args.data])
        if lesson.row.task.instruction.strip() and lesson.row.response.text.strip()
    ]
    fitting = islice((pair for pair in pairs if pair[1].n_tokens <= LONGEST), args.rows)
    lessons, examples = zip(*fitting, strict=True)
    return Order(base, lessons, examples, args.steps, args.micro_tokens)


def _toy() -> str:
    """Make the tests' toy model."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from toy_model import make_base  # noqa: PLC0415

    return str(make_base(Path(tempfile.mkdtemp()) / "toy"))
