"""Training with evolcoder: the trainer of `evolcoder train` with the preset `small`."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolcoder.training.folder import CardNotes, LoggedStep, ignore_step, read_log
from evolcoder.training.recipe import recipe_of
from evolcoder.training.sft import TrainingJob, train
from training.rows import LONGEST, UNIT, Order

PROFILED_STEPS = 3


def run(
    order: Order,
    *,
    rows: int = UNIT,
    on_step: Callable[[LoggedStep], None] = ignore_step,
    **changes: object,
) -> dict[str, object]:
    steps = order.steps_of(rows)
    values = {
        "steps": steps,
        "batch_rows": rows,
        "micro_tokens": order.micro_tokens,
        "max_length": LONGEST,
        "save_every": steps,
        **changes,
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        recipe = recipe_of("small", values)
        job = TrainingJob(
            order.base, out, recipe, order.lessons, ("benchmark",), CardNotes(), (), on_step=on_step
        )
        measured = {**asdict(train(job)), "weights": "float32"}
        return {**measured, "losses": [step.loss for step in read_log(out)]}


def run_packed(order: Order) -> dict[str, object]:
    return run(order, layout="packed", kernels="none")


def run_compiled(order: Order) -> dict[str, object]:
    return run(order, layout="packed", kernels="compile")


def run_compiled_128(order: Order) -> dict[str, object]:
    return run(order, layout="packed", kernels="compile", rows=128)


def run_compiled_256(order: Order) -> dict[str, object]:
    return run(order, layout="packed", kernels="compile", rows=256)


def run_plain(order: Order) -> dict[str, object]:
    return run(order, kernels="none")


def run_checkpointing(order: Order) -> dict[str, object]:
    return run(order, checkpointing=True)


def run_profiled(order: Order) -> dict[str, object]:
    """Compiled steps of 256 rows, with the share of time in which the GPU computes."""
    profile = _Profile(first=max(2, order.steps_of(256) - PROFILED_STEPS))
    measured = run(order, layout="packed", kernels="compile", rows=256, on_step=profile)
    return {**measured, "busy": profile.busy}


class _Profile:
    """Profiles the steps after the step `first`."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._profiler: Any = None
        self._began = 0.0
        self.busy: float | None = None

    def __call__(self, step: LoggedStep) -> None:
        from torch.profiler import ProfilerActivity, profile  # noqa: PLC0415

        if step.step == self._first:
            self._profiler = profile(activities=[ProfilerActivity.CUDA])
            self._profiler.__enter__()
            self._began = step.seconds
        elif step.step == self._first + PROFILED_STEPS - 1 and self._profiler is not None:
            self._profiler.__exit__(None, None, None)
            computed = sum(one.self_device_time_total for one in self._profiler.key_averages())
            self.busy = computed / 1e6 / (step.seconds - self._began)
