"""Checks what a training needs before its first step: GPUs, disk space, and enough steps.

A checkpoint holds float32 weights and the two moments of AdamW, so 12 bytes per trained weight; two
are kept, and a third exists while it is written. The last step gets none, since the model itself is
written then.

>>> disk_need(Recipe(), n_weights=7_000, n_trained=7_000, n_steps=250).n_checkpoints
2
>>> warmup_steps(Recipe(), n_steps=1)
0
"""

import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.errors import TrainError
from evolcoder.training.folder import LOCK_NAME, SETTINGS_NAME
from evolcoder.training.recipe import Recipe

CHECKPOINT_BYTES = 12
"""Bytes of a checkpoint per trained weight: the weight and AdamW's two moments in float32."""
DTYPE_BYTES = {"bfloat16": 2, "float32": 4}
WRITTEN_PER_S = 500e6
"""Bytes of a checkpoint written per second and synced to a local disk, roughly."""
KEPT_CHECKPOINTS = 2
"""Checkpoints that are kept."""
GB = 1e9
FEW_STEPS = 20
"""Steps that the advice for a training of few rows aims at."""
WARMUP_SHARE = 10
"""A warm-up that would fill the training is shortened to this part of it."""
MAX_HEADER = 1 << 26
"""Maximum bytes of a safetensors header."""


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """The disk space that a training needs at its most."""

    model: int
    """Bytes of the saved model."""
    checkpoint: int
    """Bytes of one checkpoint."""
    n_checkpoints: int
    """Checkpoints that exist at the same time."""

    @property
    def total(self) -> int:
        """Bytes of all."""
        return self.model + self.n_checkpoints * self.checkpoint


def disk_need(recipe: Recipe, *, n_weights: int, n_trained: int, n_steps: int) -> DiskNeed:
    """Estimate the disk space of a training of `n_trained` of `n_weights` weights."""
    is_whole = recipe.method == "full" or recipe.merge
    saved = n_weights if is_whole else n_trained
    written = (n_steps - 1) // recipe.save_every
    return DiskNeed(
        saved * DTYPE_BYTES[recipe.save_dtype],
        n_trained * CHECKPOINT_BYTES,
        min(written, KEPT_CHECKPOINTS + 1),
    )


def check_folder(folder: Path, base: str) -> None:
    """Raise TrainError if a model cannot be written to a folder, or would replace other files."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            break
        if os.path.lexists(place):
            raise TrainError(f"--out {folder}: {place} is no folder; use another path")
    if os.path.realpath(folder) == os.path.realpath(base):
        raise TrainError(f"--out {folder}: is the base, which would be lost; use another path")
    if not folder.is_dir() or (folder / SETTINGS_NAME).exists():
        return
    names = (one.name for one in folder.iterdir() if not one.name.startswith("."))
    if other := next((name for name in names if name != LOCK_NAME), None):
        raise TrainError(
            f"--out {folder}: contains files but no training, such as {other}; use another path"
        )


def check_disk(folder: Path, need: DiskNeed, recipe: Recipe, *, what: str = "the model") -> None:
    """Raise TrainError if the disk of a folder, which may not exist yet, has too little space.

    What an earlier session of the training wrote there counts as free.
    """
    free = free_bytes(folder) + _size(folder)
    if need.total <= free:
        return
    parts = [f"{gigabytes(need.model)} for {what}"]
    advice = "free space, or use another --out"
    if need.n_checkpoints:
        each = f"{need.n_checkpoints} checkpoints of {gigabytes(need.checkpoint)}"
        parts.append(f"{each} with the optimizer's state")
        advice += f"; a larger save_every (now {recipe.save_every}) writes fewer checkpoints"
        if recipe.method == "full":
            advice += ", and method=lora smaller ones"
    raise TrainError(
        f"{folder}: training needs about {gigabytes(need.total)} of disk space and "
        f"{gigabytes(free)} are free: {' and '.join(parts)}; {advice}"
    )


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is or will be on."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they are
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def count_weights(spec: str) -> int | None:
    """Return the number of weights of a local base, read from its headers; None if unknown."""
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - pathlib's may raise
    try:
        if path.is_dir():
            files = _weight_files(path)
            return sum(map(_weights_of, files)) if files else None
        return _weights_of_gguf(path) if spec.endswith(".gguf") and path.is_file() else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None  # loading says what is wrong with it


def check_gpus(n_gpus: int, n_nodes: int = 1) -> None:
    """Raise TrainError if this machine has fewer GPUs than wanted, or several are to share none."""
    if n_gpus < 1:
        raise TrainError(f"--gpus {n_gpus}: at least 1; without a GPU, 1 trains on the processor")
    if n_gpus == n_nodes == 1:
        return
    import torch

    n_found = torch.cuda.device_count()
    if n_found >= n_gpus:
        return
    found = f"torch finds {n_found} GPUs here" if n_found else "torch finds no GPU here"
    instead = f"use --gpus {n_found}" if n_found else "one processor trains without these options"
    asked = f"--gpus {n_gpus}" if n_nodes == 1 else f"--nodes {n_nodes} with --gpus {n_gpus}"
    raise TrainError(f"{asked}: {found}; {instead}")


def warmup_steps(recipe: Recipe, n_steps: int) -> int:
    """Return the steps of warm-up; fewer than the recipe's if they would fill the training.

    In a training that is all warm-up the rate never reaches its peak, and is 0 in the first step.
    """
    if n_steps > recipe.warmup_steps:
        return recipe.warmup_steps
    return n_steps // WARMUP_SHARE


def warmup_note(recipe: Recipe, *, n_rows: int, n_steps: int) -> str:
    """Say that the warm-up was shortened and what gives more steps; empty if it was not."""
    shorter = warmup_steps(recipe, n_steps)
    if shorter == recipe.warmup_steps:
        return ""
    end = f"no more than the warm-up of {recipe.warmup_steps}, which is shortened to {shorter}"
    if recipe.steps is not None:
        return f"steps={n_steps} is {end}; a larger number trains longer"
    steps = "1 step" if n_steps == 1 else f"{n_steps} steps"
    batch = max(1, math.floor(n_rows * recipe.epochs / FEW_STEPS))
    more = f"; --set batch_rows={batch} makes more steps" if batch < recipe.batch_rows else ""
    return f"{n_rows} rows make {steps} of {recipe.batch_rows} rows, {end}{more}"


def gigabytes(n_bytes: int) -> str:
    """Format a number of bytes."""
    return f"{n_bytes / GB:,.1f} GB" if n_bytes >= GB / 10 else f"{n_bytes / 1e6:,.1f} MB"


def _size(folder: Path) -> int:
    """Return the bytes of a folder's files; 0 for none."""
    found = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118 - fast
            except OSError:
                continue
    return found


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that a loader reads: some folders hold the same weights in two layouts."""
    index, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    if index.is_file():
        named = json.loads(index.read_text("utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(named))]
    return sorted(folder.glob("*.safetensors"))


def _weights_of(path: Path) -> int:
    """Count the weights of a safetensors file by its header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MAX_HEADER:
            raise ValueError(f"a header of {size} bytes")
        header: dict[str, Any] = json.loads(file.read(size))
    shapes = [one["shape"] for name, one in header.items() if name != "__metadata__"]
    return sum(math.prod(map(int, shape)) for shape in shapes)


def _weights_of_gguf(path: Path) -> int | None:
    try:
        from gguf import GGUFReader
    except ImportError:
        return None
    return sum(int(tensor.n_elements) for tensor in GGUFReader(str(path)).tensors)
