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
from itertools import islice
from pathlib import Path
from typing import Any

from evolcoder.errors import SharedTrainError, TrainError
from evolcoder.training import checkpoints, preflight
from evolcoder.training.batches import BatchPlan, TokenizedRow
from evolcoder.training.recipe import Recipe, n_devices

SHOWN_ROWS = 8
SCHEDULE, WEIGHTS = "scheduler.pt", "model.safetensors"
"""Files of transformers' checkpoints."""
COMPILED_TOKENS = 4_000_000
"""Tokens of a training from which compiled layers save more time than their compilation takes."""


class OwnCheckpoints:
    """Makes the checkpoints of a trainer of all weights those of `checkpoints`.

    The trainer's own hold a whole model in a file, and continue on one number of GPUs only.
    """

    has_own_checkpoints = False
    model: Any
    optimizer: Any
    lr_scheduler: Any
    args: Any
    state: Any
    is_fsdp_enabled: bool

    def save_model(
        self,
        output_dir: str | None = None,
        _internal_call: bool = False,  # noqa: FBT001, FBT002 - as the trainer calls it
    ) -> None:
        """Write the model, but not into a checkpoint."""
        if _internal_call and output_dir and self.has_own_checkpoints:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
        else:
            super().save_model(output_dir, _internal_call)  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with checkpoints.writing(folder):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.has_own_checkpoints:
            super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
            return
        import torch

        checkpoints.save(self.model, self.optimizer.optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULE))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        if checkpoints.is_sharded(folder):
            return  # weights and optimizer are read together, once there is an optimizer
        if self.is_fsdp_enabled and (folder / WEIGHTS).is_file():
            raise SharedTrainError(
                f"{folder}: an earlier version wrote it on one GPU, and it continues on one only; "
                f"leave out --gpus"
            )
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not checkpoints.is_sharded(Path(checkpoint)):
            super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
            return
        import torch

        checkpoints.load(self.model, self.optimizer.optimizer, Path(checkpoint))
        schedule = torch.load(Path(checkpoint, SCHEDULE), weights_only=True)
        self.lr_scheduler.load_state_dict(schedule)


def trainer_class() -> type:
    """Define the trainer class; a function, so that TRL is imported late."""
    import torch
    from trl import SFTTrainer

    class FiniteTrainer(OwnCheckpoints, SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Stops at the first loss or gradient that is not finite."""

        examples: Sequence[TokenizedRow] = ()
        held_loss: float | None = None  # for a tracker, with the next step's figures
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

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs and self.held_loss is not None:
                logs["eval_loss"], self.held_loss = self.held_loss, None
            super().log(logs, start_time)

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
            rows = dict.fromkeys(row for part in parts for row in part.tolist())  # each once
            places = [self.examples[row].place for row in islice(rows, SHOWN_ROWS)]
            more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
            raise TrainError(
                f"step {self.state.global_step + 1}: {what} is not a number; the rows of that "
                f"batch: {', '.join(places)}{more}. Inspect these rows, or lower learning_rate "
                f"(now {self.args.learning_rate:g}), in another --out"
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


def trl_config(
    recipe: Recipe,
    plan: BatchPlan,
    folder: Path,
    *,
    on_gpu: bool,
    kernels: str,
    report_to: str | None = None,
) -> Any:
    """Return TRL's SFTConfig; checkpoints go to `folder`, and `kernels` is from `kernels_of`."""
    from trl import SFTConfig

    # Sharded gradients of all parts are added in float32; kept whole they would be bf16, and large.
    is_sharded = recipe.method == "full" and n_devices() > 1
    config = SFTConfig(
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
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": is_sharded}},
        report_to=report_to or "none",
        run_name=folder.resolve().parent.name,
        disable_tqdm=True,
    )
    # One process uses one GPU, whichever others there are.
    config._n_gpu = min(config.n_gpu, 1)  # noqa: SLF001 - it has no public setter
    return config


def check_kernels(recipe: Recipe) -> None:
    """Raise TrainError for kernels that this machine does not have."""
    import torch

    if recipe.kernels != "liger":
        return
    instead = "use --set kernels=auto"
    if find_spec("liger_kernel") is None:
        raise TrainError(f"kernels=liger: pip install liger-kernel, or {instead}")
    if not torch.cuda.is_available():
        raise TrainError(f"kernels=liger needs a GPU, and torch finds none here; {instead}")


def kernels_of(recipe: Recipe, *, n_tokens: int, on_gpu: bool) -> str:
    """Resolve the recipe's `kernels` to `compile`, `liger` or `none` for a training of `n_tokens`.

    Compiling is left out where it would take longer than it saves, and where a result must be the
    same bit for bit.
    """
    if recipe.kernels != "auto":
        return recipe.kernels
    if not on_gpu:
        return "none"
    if n_tokens >= COMPILED_TOKENS and not recipe.deterministic:
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
