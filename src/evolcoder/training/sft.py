"""Supervised fine-tuning: trains a base on rows with TRL's SFTTrainer, and measures its speed.

The same rows, base, recipe and packages give the same losses. A killed training resumes from its
last complete checkpoint with the same result. A folder with a finished training stays unchanged;
one with another training is refused. The result is a model that transformers, peft and vLLM load.
Scores nothing.

The batches come from `train.plan`. Every setting that decides a result and that TRL would choose by
itself (order, precision, accumulation, padding) is set explicitly. Weights are float32, under bf16
autocast on a GPU. The loss is the mean over all answer tokens of an optimizer step, however it is
cut into parts; TRL computes it in chunks, so the logits of a large vocabulary never exist at once.
A loss or gradient that is not finite ends the training before the weights are updated, and the
error names step and rows.

Speed counts tokens of rows without padding, after the first steps, in which kernels are selected
and memory is allocated. MFU is the arithmetic that the model needs (body for every token, output
layer for answer tokens, causal attention; recomputation does not count) divided by the vendor's
dense bf16 peak; None for a device that is not in the table.

>>> job = TrainingJob(base="model.gguf", out=Path("out"), recipe=recipe, ...)   # doctest: +SKIP
>>> train(job).last_loss   # doctest: +SKIP
0.52
>>> needed_flops(body=10, head=4, n_tokens=3, n_answer_tokens=1, attention=0, factor=6)
204
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolcoder.bench.prompts import template_named
from evolcoder.errors import TrainError
from evolcoder.ids import content_id
from evolcoder.seeds.rows import PlacedRow
from evolcoder.storage import atomic
from evolcoder.training import base as bases
from evolcoder.training import preflight
from evolcoder.training.batches import (
    PART,
    BatchPlan,
    Collator,
    TokenizedData,
    TokenizedRow,
    plan,
    rows_by_step,
    tokenize_all,
)
from evolcoder.training.folder import (
    CardNotes,
    LoggedStep,
    TrainingOutcome,
    TrainingSettings,
    claim,
    finish,
    ignore_step,
    is_finished,
    last_checkpoint,
    log_callback,
    read_log,
    read_outcome,
)
from evolcoder.training.recipe import Recipe, is_first_process, n_devices

SHOWN_ROWS = 8


def trainer_class() -> type:
    """Define the trainer class; a function, so that TRL is imported late."""
    from trl import SFTTrainer

    class FiniteTrainer(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Stops at the first loss or gradient that is not finite."""

        examples: Sequence[TokenizedRow] = ()
        _rows: list[Any] = []  # noqa: RUF012 - replaced in each step

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._rows = [*self._rows, inputs.pop("rows")]
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            if not math.isfinite(loss.detach().item()):
                self._stop("the loss", self._rows[-1:])
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            norm = super()._get_grad_norm(*args, **kwargs)
            if norm is not None and not math.isfinite(float(norm)):
                self._stop("the gradient", self._rows)
            self._rows = []
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


def trl_config(recipe: Recipe, plan: BatchPlan, folder: Path, *, on_gpu: bool) -> Any:
    """Return TRL's SFTConfig; checkpoints go to `folder`."""
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
        use_liger_kernel=on_gpu and _has_kernels(recipe),
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


def _has_kernels(recipe: Recipe) -> bool:
    return recipe.kernels == "auto" and find_spec("liger_kernel") is not None


PEAK_TFLOPS = {
    "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "L40S": 362,
    "L4": 121, "RTX 4090": 165, "RTX 3090": 71, "V100": 125,
}  # fmt: skip
"""Dense 16-bit peak by a part of the device's name; the first match counts."""
WARMUP_STEPS = 3
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """Measured speed and memory of a training."""

    device: str
    """Name of the device."""
    tokens_per_s: float
    """Rows' tokens, prompts included, per second over all devices."""
    mfu: float | None
    """Model FLOPs utilization, 0 to 1; None if the device's peak is unknown."""
    peak_mb: int
    """Peak memory of the first device; on a CPU, of the process."""
    waste: float
    """Share of padding in the computed tokens."""


def speed_of(
    model: Any,
    plan: BatchPlan,
    examples: Sequence[TokenizedRow],
    seconds: Sequence[float],
    *,
    n_devices: int,
    packed: bool,
) -> TrainingSpeed:
    """Measure a training; `seconds` is the end of each step, counted from the start."""
    first = min(WARMUP_STEPS, len(seconds) // 2)
    begin = seconds[first - 1] if first else 0.0
    done = plan.n_steps - len(seconds) + first
    rows = [row for part in plan.parts[done * plan.n_parts :] for row in part]
    n_tokens = sum(examples[row].n_tokens for row in rows)
    took = max(seconds[-1] - begin, 1e-9) if seconds else 1.0
    flops = flops_of(model, [examples[row] for row in rows])
    device, peak = device_and_peak()
    return TrainingSpeed(
        device=device,
        tokens_per_s=n_tokens / took,
        mfu=flops / took / (peak * n_devices) if peak else None,
        peak_mb=peak_memory_mb(),
        waste=0.0 if packed else plan.waste,
    )


def needed_flops(
    *, body: int, head: int, n_tokens: int, n_answer_tokens: int, attention: int, factor: int
) -> int:
    """Return a training's FLOPs; factor 6 trains all weights, 4 keeps the base frozen."""
    return factor * (body * n_tokens + head * n_answer_tokens) + 6 * attention


def flops_of(model: Any, rows: Sequence[TokenizedRow]) -> int:
    """Return the FLOPs of one pass over these rows: forward, and backward for trained weights."""
    config = model.config.get_text_config()
    head = config.vocab_size * config.hidden_size
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    apart = {id(table.weight) for table in tables}
    weights = [weight for weight in model.parameters() if id(weight) not in apart]
    frozen = any(not weight.requires_grad for weight in weights)
    # causal: a token at position p attends to p others, so a row of n tokens has n * n / 2 pairs
    pairs = sum(row.n_tokens**2 for row in rows) // 2
    return needed_flops(
        body=sum(weight.numel() for weight in weights),
        head=head,
        n_tokens=sum(row.n_tokens for row in rows),
        n_answer_tokens=sum(len(row.answer) for row in rows),
        attention=2 * config.num_hidden_layers * config.hidden_size * pairs,
        factor=4 if frozen else 6,
    )


def device_and_peak() -> tuple[str, float | None]:
    """Return the first device's name and its peak in FLOP/s."""
    import torch

    if not torch.cuda.is_available():
        return "cpu", None
    name = torch.cuda.get_device_name()
    return name, next((peak * 1e12 for part, peak in PEAK_TFLOPS.items() if part in name), None)


def peak_memory_mb() -> int:
    """Return the peak memory so far."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // MB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


CHECKPOINTS = "checkpoints"


def ignore_note(note: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """The inputs of a training."""

    base: str
    """A folder, a Hub id or a GGUF file."""
    out: Path
    """Folder of the model."""
    recipe: Recipe
    """The settings."""
    rows: Iterable[PlacedRow]
    """The rows, with their locations."""
    data: tuple[str, ...]
    """Names of the rows' files, for the card."""
    notes: CardNotes
    """Further facts for the card."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of packages, for the card."""
    trust: bases.TrustSettings = bases.NO_TRUST
    """Whether the base may use pickles or its own code."""
    on_step: Callable[[LoggedStep], None] = ignore_step
    """Called after each step, on the process that writes."""
    on_note: Callable[[str], None] = ignore_note
    """Called with one line for the user, on the process that writes."""


def train(job: TrainingJob) -> TrainingOutcome:
    """Train, resume, or return the outcome of a finished training."""
    rows = prepare(job, n_devices())
    outcome = read_outcome(job.out) if is_finished(job.out) else _run(job, rows)
    if is_first_process():
        finish(job.out, outcome, job.notes)
        shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)
    return outcome


def prepare(job: TrainingJob, n_devices: int) -> TokenizedData:
    """Check everything that can be checked before the base is loaded, and claim the folder.

    Return the tokenized rows. Raises TrainError.
    """
    bases.need_packages()
    preflight.check_folder(job.out)
    bases.check_weights(job.base, job.trust)
    tokenizer = bases.load_tokenizer(job.base, job.trust)
    template = template_named(job.recipe.template)
    rows = tokenize_all(
        job.rows,
        template,
        tokenizer,
        max_length=job.recipe.max_length,
        drop=job.recipe.bad_rows == "drop",
    )
    if not is_finished(job.out):
        atomic.check_tree(job.out, error=TrainError)  # transformers writes weights in place
        n_weights = preflight.count_weights(job.base)
        if n_weights is not None and job.recipe.method == "full":
            _check_disk(job, plan_of(job.recipe, rows, n_devices), n_weights, n_weights)
    claim(job.out, _settings(job, rows))
    return rows


def _check_disk(job: TrainingJob, batches: BatchPlan, n_weights: int, n_trained: int) -> None:
    need = preflight.disk_need(
        job.recipe, n_weights=n_weights, n_trained=n_trained, n_steps=batches.n_steps
    )
    preflight.check_disk(job.out, need, job.recipe)


def plan_of(recipe: Recipe, rows: TokenizedData, n_devices: int) -> BatchPlan:
    """Plan the batches of a recipe."""
    n_rows = len(rows.examples)
    by_epochs = max(1, round(n_rows * recipe.epochs))
    n_seen = recipe.steps * recipe.batch_rows if recipe.steps else by_epochs
    return plan(
        rows_by_step(n_rows, n_seen=n_seen, rows_per_step=recipe.batch_rows, seed=recipe.seed),
        [example.n_tokens for example in rows.examples],
        max_tokens=recipe.micro_tokens,
        n_devices=n_devices,
    )


def _settings(job: TrainingJob, rows: TokenizedData) -> TrainingSettings:
    """Return the settings for the folder and the card."""
    tokens = [(example.prompt, example.answer) for example in rows.examples]
    facts = (
        ("files", ", ".join(job.data)),
        ("rows", len(rows.examples)),
        ("rows left out", len(rows.bad)),
        *([("answers without their thinking", rows.n_thoughts)] if rows.n_thoughts else []),
        ("tokens of one epoch", rows.n_tokens),
        ("of these learnt", rows.n_answer_tokens),
    )
    digest = content_id("lessons", tokens)  # stored: renaming the label would change every hash
    recipe = job.recipe.model_dump(mode="json")
    return TrainingSettings(job.base, digest, recipe, facts, job.versions)


def _run(job: TrainingJob, rows: TokenizedData) -> TrainingOutcome:
    """Load the base and train it."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    on_gpu = torch.cuda.is_available()
    batches = plan_of(job.recipe, rows, n_devices())
    base = bases.load(job.base, job.recipe, on_gpu=on_gpu, trust=job.trust)
    weights = [(one.numel(), one.requires_grad) for one in base.model.parameters()]
    n_trained = sum(n for n, is_trained in weights if is_trained)
    _check_disk(job, batches, sum(n for n, _ in weights), n_trained)
    note = preflight.warmup_note(job.recipe, n_rows=len(rows.examples), n_steps=batches.n_steps)
    if note and is_first_process():
        job.on_note(note)
    trainer = trainer_class()(
        model=base.model,
        args=trl_config(job.recipe, batches, job.out / CHECKPOINTS, on_gpu=on_gpu),
        train_dataset=Dataset.from_dict({PART: [list(part) for part in batches.parts]}),
        processing_class=base.tokenizer,
        data_collator=Collator(rows.examples, job.recipe.layout, base.tokenizer.pad_token_id),
        callbacks=[log_callback(job.out, job.on_step)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.examples = rows.examples
    _run_steps(trainer, job)
    _save(trainer, base, job, rows)
    return _outcome(job, rows, batches, trainer.model)


def _run_steps(trainer: Any, job: TrainingJob) -> None:
    import torch

    checkpoint = last_checkpoint(job.out / CHECKPOINTS)
    try:
        with without_cudnn_attention():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        recipe = job.recipe
        raise TrainError(
            f"out of memory with micro_tokens={recipe.micro_tokens}, "
            f"checkpointing={recipe.checkpointing}, method={recipe.method}: halve micro_tokens, "
            f"then use --set checkpointing=true, then --set method=lora; the first two do not "
            f"change the result ({str(error).splitlines()[0]})"
        ) from error


def _save(trainer: Any, base: bases.BaseModel, job: TrainingJob, rows: TokenizedData) -> None:
    """Write weights, tokenizer and the end tokens of answers."""
    import torch
    from transformers.trainer import TRAINING_ARGS_NAME

    ends = {example.answer[-1] for example in rows.examples}
    known = base.model.generation_config.eos_token_id
    ends |= set(known if isinstance(known, list) else [known]) - {None}
    base.model.generation_config.eos_token_id = sorted(ends)
    base.model.config.use_cache = True
    if job.recipe.merge:
        trainer.model = trainer.model_wrapped = bases.merge_adapter(trainer.model)
    if not trainer.is_fsdp_enabled:
        trainer.model.to(getattr(torch, job.recipe.save_dtype))
    trainer.save_model(str(job.out))
    if is_first_process():
        (job.out / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # an unused pickle
        if trainer.is_fsdp_enabled:
            bases.cast_files(job.out, job.recipe.save_dtype)


def _outcome(
    job: TrainingJob, rows: TokenizedData, batches: BatchPlan, model: Any
) -> TrainingOutcome:
    log = read_log(job.out)
    speed = speed_of(
        model,
        batches,
        rows.examples,
        _session_seconds([step.seconds for step in log]),
        n_devices=n_devices(),
        packed=job.recipe.layout == "packed",
    )
    last = [step.loss for step in log][-max(1, len(log) // 10) :]
    return TrainingOutcome(
        folder=str(job.out),
        n_rows=len(rows.examples),
        n_bad=len(rows.bad),
        n_steps=batches.n_steps,
        n_tokens=batches.n_tokens,
        first_loss=log[0].loss,
        last_loss=sum(last) / len(last),
        **asdict(speed),
    )


def _session_seconds(seconds: list[float]) -> list[float]:
    """Return the times of the last session's steps; each session counts from 0."""
    for at in range(len(seconds) - 1, 0, -1):
        if seconds[at] < seconds[at - 1]:
            return seconds[at:]
    return seconds
