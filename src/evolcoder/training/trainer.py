"""The trainer: TRL's SFTTrainer with every setting set, and steps that seldom wait for the GPU.

Every setting that decides a result and that TRL would choose by itself (order, precision,
accumulation, padding) is set explicitly. Weights are float32, under bf16 autocast on a GPU. The
loss is the mean over all answer tokens of an optimizer step, however it is cut into parts; TRL
computes it in chunks, so the logits of a large vocabulary never exist at once.

TRL's own loss reads three figures back from the GPU for each part, which stops the launch of
kernels until the GPU is idle. Here the losses of a step are read once, before the weights change: a
loss or gradient that is not finite ends the training there, and the error names step and rows.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolcoder.errors import TrainError
from evolcoder.training import preflight
from evolcoder.training.batches import BatchPlan, TokenizedRow
from evolcoder.training.recipe import Recipe, n_devices

SHOWN_ROWS = 8
COMPILED_TOKENS = 4_000_000
"""Tokens of a training from which compiled layers save more time than their compilation takes."""


def trainer_class() -> type:
    """Define the trainer class; a function, so that TRL is imported late."""
    import torch
    from trl import SFTTrainer

    class FiniteTrainer(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Stops at the first loss or gradient that is not finite."""

        examples: Sequence[TokenizedRow] = ()
        _parts: list[tuple[Any, Any]] = []  # noqa: RUF012 - loss and rows; replaced in each step

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,  # noqa: FBT001, FBT002 - as the trainer calls it
            num_items_in_batch: Any = None,
        ) -> Any:
            rows = inputs.pop("rows")
            if self.aux_loss_enabled or return_outputs or num_items_in_batch is None:
                loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            else:
                log_probs = model(**inputs, use_cache=False, fused_lm_head=True).log_probs
                share = self.accelerator.num_processes  # gradients are averaged over processes
                loss = -log_probs.sum() * share / num_items_in_batch
            value = loss[0] if return_outputs else loss
            self._parts = [*self._parts, (value.detach(), rows)]
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            parts, self._parts = self._parts, []
            norm = super()._get_grad_norm(*args, **kwargs)
            finite = torch.stack([loss for loss, _ in parts]).isfinite().tolist()
            if not all(finite):
                self._stop("the loss", [parts[finite.index(False)][1]])
            if not math.isfinite(float(norm)):
                self._stop("the gradient", [rows for _, rows in parts])
            return norm

        def _stop(self, what: str, parts: Sequence[Any]) -> None:
            rows = [row for part in parts for row in part.tolist()]
            places = [self.examples[row].place for row in rows[:SHOWN_ROWS]]
            more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
            raise TrainError(
                f"step {self.state.global_step + 1}: {what} is not a number; the rows of that "
                f"batch: {', '.join(places)}{more}. Inspect these rows, or lower learning_rate "
                f"(now {self.args.learning_rate:g}); the last checkpoint is valid"
            )

    return FiniteTrainer


@contextmanager
def without_cudnn_attention() -> Iterator[None]:
    """Disable cuDNN's attention: it makes a plan for each new shape, and each part has its own.

    PyTorch prefers it on a Hopper GPU. A plan costs about 60 ms of the processor, once forward
    and once backward; flash attention needs none. Measured in
    `docs/experiments/2026-11-27-one-round-on-one-h200.md`.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def trl_config(recipe: Recipe, plan: BatchPlan, folder: Path, *, on_gpu: bool, kernels: str) -> Any:
    """Return TRL's SFTConfig; checkpoints go to `folder`, and `kernels` is from `kernels_of`."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(folder),
        max_steps=plan.n_steps,
        per_device_train_batch_size=1,  # an item of the data set is a part of the plan
        gradient_accumulation_steps=plan.n_parts // n_devices(),
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        max_length=None,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=preflight.warmup_steps(recipe, plan.n_steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused" if on_gpu else "adamw_torch",
        bf16=on_gpu,
        use_cpu=not on_gpu,
        gradient_checkpointing=recipe.checkpointing,
        use_liger_kernel=kernels == "liger",
        full_determinism=recipe.deterministic,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide a loss that is not finite
        save_steps=recipe.save_every,
        save_total_limit=preflight.KEPT_CHECKPOINTS,
        ddp_find_unused_parameters=False,
        report_to="none",
        disable_tqdm=True,
    )


def kernels_of(recipe: Recipe, *, n_tokens: int, on_gpu: bool) -> str:
    """Resolve the recipe's `kernels` to `compile`, `liger` or `none` for a training of `n_tokens`.

    Compiling is left out where it would take longer than it saves, for several devices, whose
    shards wrap the layers, and where a result must be the same bit for bit.
    """
    if recipe.kernels != "auto":
        return recipe.kernels
    if not on_gpu:
        return "none"
    if n_tokens >= COMPILED_TOKENS and n_devices() == 1 and not recipe.deterministic:
        return "compile"
    return "liger" if find_spec("liger_kernel") is not None else "none"


def compile_layers(model: Any) -> int:
    """Compile a model's decoder layers in place, and return their number.

    All layers share one compiled graph, for any number of tokens. What cannot be compiled runs as
    it is written.
    """
    import torch
    from transformers import GradientCheckpointingLayer

    torch._dynamo.config.suppress_errors = True  # noqa: SLF001 - the documented place
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)
