"""The log and the checkpoints of a running training.

The log has one line per step; a step is in it once, however often the training was resumed. A
checkpoint counts only when all of it was synced to disk.

>>> [step.loss for step in read_log(Path("out"))]   # doctest: +SKIP
[1.31, 1.12]
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from evolcoder.errors import TrainError
from evolcoder.input_files import open_regular
from evolcoder.storage import atomic

LOG_NAME = "train-log.jsonl"
COMPLETE = "complete"
"""Marker file of a complete checkpoint."""


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of the optimizer."""

    step: int
    """Its number, from 1."""
    n_steps: int
    """Total number of steps."""
    loss: float
    """Mean loss of the step's answer tokens, before the update."""
    learning_rate: float
    """Learning rate of the step."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    seconds: float
    """Seconds since this session's first step began."""


MAX_LINE = 1 << 16
"""Maximum length of a log line in bytes."""
_STEP = TypeAdapter(LoggedStep)


def ignore_step(step: LoggedStep) -> None:
    """Do nothing."""


def log_callback(folder: Path, on_step: Callable[[LoggedStep], None]) -> Any:
    """Return a TrainerCallback that logs each step and marks complete checkpoints."""
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Appends a line per step."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = time.monotonic()
            if state.is_world_process_zero:
                _truncate_after(folder / LOG_NAME, state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"]
            if not state.is_world_process_zero or "loss" not in logs:
                return
            step = LoggedStep(
                step=state.global_step,
                n_steps=state.max_steps,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                grad_norm=float(logs["grad_norm"]),
                seconds=round(time.monotonic() - self.began, 3),
            )
            with atomic.open_to_append(folder / LOG_NAME, inside=folder, error=TrainError) as file:
                file.write(f"{json.dumps(asdict(step))}\n".encode())
            on_step(step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step >= state.max_steps:
                # The model itself is saved next; the optimizer's state has six times its size.
                control.should_save = False

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                _sync_files(path)
                (path / COMPLETE).touch()

    return Log()


def read_log(folder: Path) -> list[LoggedStep]:
    """Return the logged steps; truncated lines are ignored."""
    steps = []
    path = folder / LOG_NAME
    if not path.exists():
        return []
    with open_regular(path, error=TrainError) as file:
        while line := file.readline(MAX_LINE):
            try:
                steps.append(_STEP.validate_python(json.loads(line)))
            except (ValueError, RecursionError):
                continue
    return steps


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint."""
    complete = {
        int(number): path.parent
        for path in folder.glob(f"checkpoint-*/{COMPLETE}")
        if (number := path.parent.name.rpartition("-")[2]).isdecimal()
    }
    return complete[max(complete)] if complete else None


def _truncate_after(path: Path, step: int) -> None:
    """Remove lines that an earlier session logged after the checkpoint that is resumed from."""
    kept = [asdict(line) for line in read_log(path.parent) if line.step <= step]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    atomic.write_text(path, text, inside=path.parent, error=TrainError)


def _sync_files(folder: Path) -> None:
    """Sync a checkpoint to disk before it is marked complete."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
