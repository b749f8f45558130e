"""How a model is trained, as data: presets by name, and every knob with what it means.

Promises: a recipe decides a training whole, together with the base, the rows and the packages'
versions. What it does not decide is how fast the training goes on a given machine.

>>> recipe_of("wizardcoder", {"seed": 1}).batch_rows
512
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from evolcoder.config.load import checked
from evolcoder.config.schema import Section
from evolcoder.errors import TrainError

Method = Literal["full", "lora", "qlora"]
Layout = Literal["padded", "packed"]


class Recipe(Section):
    """Every knob of one training."""

    method: Method = "full"
    """All weights, a low-rank adapter, or such an adapter over a base in four bits."""
    template: str = "wizardcoder"
    """Name of the evaluation's template that stands around each task."""
    epochs: float = Field(3.0, gt=0)
    """How often each row is seen; not read where `steps` is set."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps; left out, `epochs` decides."""
    batch_rows: int = Field(64, ge=1)
    """Rows per optimizer step, over all devices."""
    learning_rate: float = Field(1e-5, gt=0)
    """Highest learning rate."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the rate falls after the warm-up."""
    warmup_steps: int = Field(10, ge=0)
    """Optimizer steps in which the rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    max_length: int = Field(2048, ge=8)
    """Longest row in tokens, prompt and answer together."""
    bad_rows: Literal["refuse", "drop"] = "refuse"
    """Whether a row without answer, or with too many tokens, ends the training or is left out."""
    layout: Layout = "padded"
    """Rows of like length side by side, or one after another in a row with masks between them."""
    micro_tokens: int = Field(16_384, ge=8)
    """Most tokens, padding included, that one device computes at once."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, a third slower."""
    kernels: Literal["auto", "none"] = "auto"
    """Use liger-kernel's layers on a GPU where it is installed."""
    deterministic: bool = False
    """Use only GPU kernels that give the same bits each time; slower."""
    lora_rank: int = Field(32, ge=1)
    """Rank of the adapter; its scale is twice the rank."""
    merge: bool = False
    """Whether an adapter is added into the base's weights when it is done."""
    save_every: int = Field(100, ge=1)
    """Optimizer steps between checkpoints."""
    save_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the weights that are written in the end."""
    seed: int = Field(0, ge=0)
    """Root of all randomness: order of rows, adapter's first weights, dropout."""

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
    # Up to about 3B parameters: a few thousand rows shall make a hundred steps and more.
    "small": {"epochs": 2.0, "batch_rows": 64, "learning_rate": 1e-5, "warmup_steps": 10},
    # Adapters take a higher rate.
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
    """Return a preset with some keys changed; the first fault becomes one line."""
    if preset not in PRESETS:
        raise TrainError(f"--preset {preset}: not known; known are {', '.join(PRESETS)}")
    return checked(Recipe, {**PRESETS[preset], **changes}, where="recipe")
