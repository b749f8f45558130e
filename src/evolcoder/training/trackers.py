"""Trackers that show the figures of a training: TensorBoard and Weights & Biases.

transformers sends the figures. Here a tracker is opened before the base is loaded, so that what is
missing ends the command at once with one line, and closed at the end, so that the next training of
the same process has a run of its own. What a tracker writes is in a folder of its name inside the
model's folder; a training that continues keeps its run's id.

>>> with open_tracker("wandb", Path("model"), print):   # doctest: +SKIP
...     trainer.train()
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from evolcoder.errors import TrainError
from evolcoder.storage import atomic

TRACKERS = ("tensorboard", "wandb")
"""Where losses and speed can be shown, by the name that transformers has for it."""
ID_NAME = "run-id"
"""File in the tracker's folder with the id of the run at Weights & Biases."""
PROJECT = "evolcoder"
INIT_S = 30
"""Seconds in which the server must have answered."""


def check_tracker(report_to: str | None) -> None:
    """Raise TrainError if the package of a tracker is missing."""
    if report_to is not None and find_spec(report_to) is None:
        raise TrainError(f"--report-to {report_to}: needs {report_to}: pip install {report_to}")


@contextmanager
def open_tracker(
    report_to: str | None, out: Path, on_note: Callable[[str], None]
) -> Iterator[None]:
    """Open a tracker for a training into `out`, and close it afterwards.

    Only the first process of a training calls it. Raises TrainError.
    """
    check_tracker(report_to)
    if report_to == "tensorboard":
        with _tensorboard(out / report_to):
            yield
    elif report_to == "wandb":
        with _wandb(out, on_note):
            yield
    else:
        yield


@contextmanager
def _tensorboard(folder: Path) -> Iterator[None]:
    name = "TENSORBOARD_LOGGING_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _wandb(out: Path, on_note: Callable[[str], None]) -> Iterator[None]:
    """Begin a run, or go on with that of the folder; WANDB_* of the environment come first."""
    import wandb

    folder = out / "wandb"
    atomic.make_folder(folder, error=TrainError)
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", out.resolve().name),
            dir=os.environ.get("WANDB_DIR", str(out)),
            id=os.environ.get("WANDB_RUN_ID") or _run_id(folder / ID_NAME),
            resume="allow",
            settings=wandb.Settings(silent=True, init_timeout=INIT_S),
        )
    except (wandb.Error, ValueError, OSError) as error:  # ValueError: a setting of WANDB_*
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise TrainError(
            f"--report-to wandb: {' '.join(lines[:3])}; nothing was trained yet: "
            f"run `wandb login`, or set WANDB_MODE=offline to keep the figures here"
        ) from error
    folder = Path(run.dir).parent
    on_note(f"Weights & Biases: {f'wandb sync {folder}' if run.offline else run.url}")
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        run.finish(exit_code=0 if is_whole else 1)


def _run_id(path: Path) -> str:
    """Return the id in a file, which is made if it is not there."""
    if not path.is_file():
        atomic.write_text(path, secrets.token_hex(4) + "\n", error=TrainError)
    return path.read_text(encoding="utf-8").strip()
