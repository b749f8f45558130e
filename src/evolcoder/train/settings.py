"""A recipe and a plan in the words of TRL's trainer.

Promises: what the trainer would choose by itself and what decides a result is said here: order,
precision, accumulation, padding. Weights are float32 under bf16 autocast on a GPU, float32 alone on
a CPU.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolcoder.train.plan import Plan
from evolcoder.train.recipe import Recipe
from evolcoder.train.scale import n_devices


def arguments_of(recipe: Recipe, plan: Plan, folder: Path, *, on_gpu: bool) -> Any:
    """Return TRL's arguments; checkpoints go to `folder`."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(folder),
        max_steps=plan.n_steps,
        per_device_train_batch_size=1,  # an item of the data is a part of the plan
        gradient_accumulation_steps=plan.n_parts // n_devices(),
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        max_length=None,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused" if on_gpu else "adamw_torch",
        bf16=on_gpu,
        use_cpu=not on_gpu,
        gradient_checkpointing=recipe.checkpointing,
        use_liger_kernel=on_gpu and _has_kernels(recipe),
        full_determinism=recipe.deterministic,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide what we stop at
        save_steps=recipe.save_every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def _has_kernels(recipe: Recipe) -> bool:
    return recipe.kernels == "auto" and find_spec("liger_kernel") is not None
