"""The recipe of a training: its settings, and presets by name.

Recipe, base, rows and package versions decide a training completely, except its speed on a given
machine.

>>> recipe_of("wizardcoder", {"seed": 1}).batch_rows
512
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from evolcoder.config.schema import Section
from evolcoder.config.validation import validate_as
from evolcoder.errors import TrainError

Method = Literal["full", "lora", "qlora"]
Layout = Literal["auto", "padded", "packed"]
MAX_SEED = 2**32 - 1
"""Largest seed that numpy takes."""
SPEED_KEYS = ("micro_tokens", "checkpointing", "kernels", "save_every")
"""Keys that change how fast a result comes and what memory and disk it takes, but not the result
except for rounding: a training may continue with other values of them."""


class Recipe(Section):
    """The settings of one training."""

    method: Method = "full"
    """All weights, a low-rank adapter, or such an adapter on a base in four bits."""
    template: str = "wizardcoder"
    """Name of evaluation's prompt template."""
    epochs: float = Field(3.0, gt=0, le=1000)
    """Passes over the rows; ignored if `steps` is set."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps; left out, `epochs` decides."""
    batch_rows: int = Field(64, ge=1)
    """Rows per optimizer step, over all devices."""
    learning_rate: float = Field(1e-5, gt=0, le=100)
    """Peak learning rate."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """Learning rate schedule after the warm-up."""
    warmup_steps: int = Field(10, ge=0)
    """Optimizer steps in which the learning rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0, le=1000)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0, le=1e30)
    """Gradient clipping norm."""
    max_length: int = Field(2048, ge=8)
    """Maximum tokens of a row, prompt and answer together."""
    bad_rows: Literal["refuse", "drop"] = "refuse"
    """Refuse or drop rows without task or answer, or with too many tokens."""
    layout: Layout = "auto"
    """Pad rows of similar length to a batch, or pack rows into one sequence in which no row attends
    to another; `auto` packs on a GPU, where it is faster."""
    micro_tokens: int = Field(16_384, ge=8)
    """Maximum tokens of a micro-batch, with padding."""
    checkpointing: bool = False
    """Gradient checkpointing: less memory, a third slower."""
    kernels: Literal["auto", "compile", "liger", "none"] = "auto"
    """Compiled layers, liger-kernel's layers, or the model's own. `auto` compiles on one GPU if the
    training is long enough, else uses liger-kernel there if it is installed."""
    deterministic: bool = False
    """Use only deterministic GPU kernels; slower."""
    lora_rank: int = Field(32, ge=1, le=4096)
    """Rank of the adapter; its scale is twice the rank."""
    merge: bool = False
    """Merge the adapter into the base's weights at the end."""
    save_every: int = Field(100, ge=1)
    """Optimizer steps between checkpoints."""
    save_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the saved weights."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Root of all randomness: order of rows, initial adapter weights, dropout."""

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.merge and self.method != "lora":
            raise ValueError(f"merge: needs method lora, not {self.method}")
        return self


PRESETS: dict[str, dict[str, Any]] = {
    # WizardCoder's published values. Its paper says 200 steps, its README 3 epochs; we take epochs.
    "wizardcoder": {
        "epochs": 3.0,
        "batch_rows": 512,
        "learning_rate": 2e-5,
        "warmup_steps": 30,
        "max_length": 2048,
        "checkpointing": True,
    },
    # Up to about 3B parameters: a few thousand rows should give a hundred steps or more.
    "small": {"epochs": 2.0, "batch_rows": 64, "learning_rate": 1e-5, "warmup_steps": 10},
    # Adapters need a higher learning rate.
    "small-lora": {
        "method": "lora",
        "epochs": 2.0,
        "batch_rows": 64,
        "learning_rate": 2e-4,
        "merge": True,
    },
}
"""Name -> the values that differ from the defaults."""


def recipe_of(preset: str, changes: Mapping[str, Any]) -> Recipe:
    """Return a preset with some keys changed; an invalid value is a ConfigError of one line."""
    if preset not in PRESETS:
        raise TrainError(f"--preset {preset}: unknown; known are {', '.join(PRESETS)}")
    return validate_as(Recipe, {**PRESETS[preset], **changes}, where="recipe")


def is_launched() -> bool:
    """Whether torchrun started this process, as one of a training's.

    Slurm, MPI and operators of Kubernetes set `WORLD_SIZE` or `RANK` for whatever they start.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ


def n_devices() -> int:
    """Return the number of training processes, which the launcher sets."""
    return int(os.environ["WORLD_SIZE"]) if is_launched() else 1


def is_first_process() -> bool:
    """Whether this process writes the files (rank 0)."""
    return not is_launched() or int(os.environ.get("RANK", "0")) == 0
