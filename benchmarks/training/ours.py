"""Training with evolcoder: the trainer of `evolcoder train` with the preset `small`."""

import tempfile
from dataclasses import asdict
from pathlib import Path

from evolcoder.training.folder import CardNotes
from evolcoder.training.recipe import recipe_of
from evolcoder.training.sft import TrainingJob, train
from training.rows import LONGEST, Order

ROWS_PER_STEP = 64


def run(order: Order, **changes: object) -> dict[str, object]:
    values = {
        "steps": order.steps,
        "batch_rows": ROWS_PER_STEP,
        "micro_tokens": order.micro_tokens,
        "max_length": LONGEST,
        "save_every": order.steps,
        **changes,
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        recipe = recipe_of("small", values)
        job = TrainingJob(order.base, out, recipe, order.lessons, ("benchmark",), CardNotes(), ())
        return {**asdict(train(job)), "weights": "float32"}


def run_packed(order: Order) -> dict[str, object]:
    return run(order, layout="packed")


def run_plain(order: Order) -> dict[str, object]:
    return run(order, kernels="none")


def run_checkpointing(order: Order) -> dict[str, object]:
    return run(order, checkpointing=True)
