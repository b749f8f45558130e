"""What a training leaves while it goes on: a line per step, and checkpoints known to be whole.

Promises: a step is in the log once, whatever was killed and gone on with; a checkpoint counts only
when all of it was on the disk.

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
"""A file that stands in a checkpoint that was written to its end."""


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of the optimizer."""

    step: int
    """Its number, from 1."""
    n_steps: int
    """How many there will be."""
    loss: float
    """Mean loss of the step's answer tokens, before the step."""
    learning_rate: float
    """Rate that it was taken with."""
    grad_norm: float
    """Norm of the gradient before it was scaled down."""
    seconds: float
    """Time since this session's first step began."""


MOST_LINE = 1 << 16
"""Longest line of the log."""
_STEP = TypeAdapter(LoggedStep)


def silent(step: LoggedStep) -> None:
    """Tell nobody."""


def log_to(folder: Path, tell: Callable[[LoggedStep], None]) -> Any:
    """Return a callback that writes each step's loss, and marks each checkpoint that is whole."""
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Appends a line per step."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = time.monotonic()
            if state.is_world_process_zero:
                _keep_until(folder / LOG_NAME, state.global_step)

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
            tell(step)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                _sync(path)
                (path / COMPLETE).touch()

    return Log()


def read_log(folder: Path) -> list[LoggedStep]:
    """Return what the log says of each step; a line that a kill cut off is left out."""
    steps = []
    path = folder / LOG_NAME
    if not path.exists():
        return []
    with open_regular(path, error=TrainError) as file:
        while line := file.readline(MOST_LINE):
            try:
                steps.append(_STEP.validate_python(json.loads(line)))
            except (ValueError, RecursionError):
                continue
    return steps


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end."""
    whole = {
        int(number): path.parent
        for path in folder.glob(f"checkpoint-*/{COMPLETE}")
        if (number := path.parent.name.rpartition("-")[2]).isdecimal()
    }
    return whole[max(whole)] if whole else None


def _keep_until(path: Path, step: int) -> None:
    """Take away what an earlier session logged behind the checkpoint that is gone on from."""
    kept = [asdict(line) for line in read_log(path.parent) if line.step <= step]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    atomic.write_text(path, text, inside=path.parent, error=TrainError)


def _sync(folder: Path) -> None:
    """Bring a checkpoint to the disk before it is called complete."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
