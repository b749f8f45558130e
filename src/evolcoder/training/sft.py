"""One training, whole: rows and a base become a model in a folder.

Promises: the same rows, base, recipe and packages give the same losses; a training that was killed
goes on from its last whole checkpoint as if nothing had been; a folder with a finished training is
left as it is; one with another training is refused. The folder is a model that transformers, peft
and vLLM load. Scores nothing.

    outcome = train(Job(base="model.gguf", out=Path("out"), recipe=recipe, lessons=lessons, ...))

TRL's SFTTrainer with our batches, and with eyes on every loss.

Promises: a loss or a gradient that is no number ends the training at once, before the weights take
it, and names step and rows. The loss is the mean over all answer tokens of an optimizer step,
however it was cut into parts, computed by TRL in chunks so that the logits of a large vocabulary
never exist at once. Attention costs the same for a shape that was not seen yet.

A recipe and a plan in the words of TRL's trainer.

Promises: what the trainer would choose by itself and what decides a result is said here: order,
precision, accumulation, padding. Weights are float32 under bf16 autocast on a GPU, float32 alone on
a CPU.

How fast a training went, and how much of the device it used.

Promises: only tokens of rows are counted, never padding, and the first steps, in which kernels are
chosen and memory is found, are left out. MFU is the arithmetic that the model needs (body for every
token, output layer for answer tokens, causal attention; what is computed twice counts once) over
what the device's maker names as its dense bf16 peak; None for a device that is not in the table.

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
from evolcoder.storage import atomic
from evolcoder.training import base as bases
from evolcoder.training import scale
from evolcoder.training.card import CardNotes
from evolcoder.training.examples import TokenizedRow, TrainingPair, TrainingPairs, read_lessons
from evolcoder.training.folder import (
    TrainingOutcome,
    TrainingSettings,
    claim,
    finish,
    finished,
    is_finished,
)
from evolcoder.training.log import LoggedStep, last_checkpoint, log_to, read_log, silent
from evolcoder.training.plan import PART, BatchPlan, Collator, plan, steps_of
from evolcoder.training.recipe import Recipe
from evolcoder.training.scale import n_devices

SHOWN_ROWS = 8


def trainer_class() -> type:
    """Make the class; TRL is imported here and not before."""
    from trl import SFTTrainer

    class Watching(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Stops at the first loss that is no number."""

        examples: Sequence[TokenizedRow] = ()
        _rows: list[Any] = []  # noqa: RUF012 - set anew for each step

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
                f"batch: {', '.join(places)}{more}. Look at these rows, or lower learning_rate "
                f"(now {self.args.learning_rate:g}); the last checkpoint is good"
            )

    return Watching


@contextmanager
def attention_of_any_shape() -> Iterator[None]:
    """Leave cuDNN's attention out: it makes a plan for each new shape, and each part has its own.

    PyTorch takes it first on a Hopper GPU. A plan costs near 60 ms of the processor, once forward
    and once backward (`docs/log.md`, 2026-11-27); flash attention needs none.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def arguments_of(recipe: Recipe, plan: BatchPlan, folder: Path, *, on_gpu: bool) -> Any:
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
"""Dense peak at 16 bits by a part of the device's name; the first that fits."""
WARM_STEPS = 3
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """What was measured."""

    device: str
    """Its name."""
    tokens_per_s: float
    """Rows' tokens, prompts included, per second over all devices."""
    mfu: float | None
    """Share of the peak that the needed arithmetic makes, or None where no peak is known."""
    peak_mb: int
    """Most memory in use at once on the first device; on a CPU, of the process."""
    waste: float
    """Share of the computed tokens that was padding."""


def speed_of(
    model: Any,
    plan: BatchPlan,
    examples: Sequence[TokenizedRow],
    seconds: Sequence[float],
    *,
    n_devices: int,
    packed: bool,
) -> TrainingSpeed:
    """Measure a training; `seconds` says when each step had ended, from its beginning on."""
    first = min(WARM_STEPS, len(seconds) // 2)
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
    """Add up a training's arithmetic; factor 6 trains all weights, 4 leaves the base as it is."""
    return factor * (body * n_tokens + head * n_answer_tokens) + 6 * attention


def flops_of(model: Any, rows: Sequence[TokenizedRow]) -> int:
    """Return what it takes to learn these rows once: forward, and backward for what is trained."""
    config = model.config.get_text_config()
    head = config.vocab_size * config.hidden_size
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    apart = {id(table.weight) for table in tables}
    weights = [weight for weight in model.parameters() if id(weight) not in apart]
    frozen = any(not weight.requires_grad for weight in weights)
    # causal: a token at place p looks at p others, so a row of n tokens makes n * n / 2 pairs
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
    """Return the most memory that was in use at once."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // MB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What is ordered."""

    base: str
    """A folder, a Hub id or a GGUF file."""
    out: Path
    """Folder that becomes the model."""
    recipe: Recipe
    """Every knob."""
    lessons: Iterable[TrainingPair]
    """The rows."""
    data: tuple[str, ...]
    """Names of the files that the rows come from, for the card."""
    notes: CardNotes
    """What the card says beside what the training knows."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions for the card."""
    trust: bases.TrustSettings = bases.WARY
    """What the base may do that its maker could misuse."""
    tell: Callable[[LoggedStep], None] = silent
    """Called with each step that was taken, on the process that writes."""


def train(job: TrainingJob) -> TrainingOutcome:
    """Train, resume, or return what a finished training left."""
    bases.need_packages()
    bases.check_weights(job.base, job.trust)
    tokenizer = bases.load_tokenizer(job.base, job.trust)
    template = template_named(job.recipe.template)
    lessons = read_lessons(
        job.lessons,
        template,
        tokenizer,
        max_length=job.recipe.max_length,
        drop=job.recipe.bad_rows == "drop",
    )
    if job.out.is_dir() and not is_finished(job.out):
        atomic.check_tree(job.out, error=TrainError)  # weights are written in place, not by us
    claim(job.out, _settings(job, lessons))
    outcome = finished(job.out) if is_finished(job.out) else _run(job, lessons)
    if scale.is_first():
        finish(job.out, outcome, job.notes)
        shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)
    return outcome


def plan_of(recipe: Recipe, lessons: TrainingPairs, n_devices: int) -> BatchPlan:
    """Lay out a training's order."""
    n_rows = len(lessons.examples)
    by_epochs = max(1, round(n_rows * recipe.epochs))
    n_seen = recipe.steps * recipe.batch_rows if recipe.steps else by_epochs
    return plan(
        steps_of(n_rows, n_seen=n_seen, rows_per_step=recipe.batch_rows, seed=recipe.seed),
        [example.n_tokens for example in lessons.examples],
        max_tokens=recipe.micro_tokens,
        n_devices=n_devices,
    )


def _settings(job: TrainingJob, lessons: TrainingPairs) -> TrainingSettings:
    """Say what this training is, for its folder and its card."""
    tokens = [(example.prompt, example.answer) for example in lessons.examples]
    facts = (
        ("files", ", ".join(job.data)),
        ("rows", len(lessons.examples)),
        ("rows left out", len(lessons.bad)),
        ("tokens of one epoch", lessons.n_tokens),
        ("of these learnt", lessons.n_answer_tokens),
    )
    rows = content_id("lessons", tokens)
    return TrainingSettings(job.base, rows, job.recipe.model_dump(mode="json"), facts, job.versions)


def _run(job: TrainingJob, lessons: TrainingPairs) -> TrainingOutcome:
    """Load the base and take all steps."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    on_gpu = torch.cuda.is_available()
    laid = plan_of(job.recipe, lessons, scale.n_devices())
    base = bases.load(job.base, job.recipe, on_gpu=on_gpu, trust=job.trust)
    trainer = trainer_class()(
        model=base.model,
        args=arguments_of(job.recipe, laid, job.out / CHECKPOINTS, on_gpu=on_gpu),
        train_dataset=Dataset.from_dict({PART: [list(part) for part in laid.parts]}),
        processing_class=base.tokenizer,
        data_collator=Collator(lessons.examples, job.recipe.layout, base.tokenizer.pad_token_id),
        callbacks=[log_to(job.out, job.tell)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.examples = lessons.examples
    _take_steps(trainer, job)
    _save(trainer, base, job, lessons)
    return _outcome(job, lessons, laid, trainer.model)


def _take_steps(trainer: Any, job: TrainingJob) -> None:
    import torch

    checkpoint = last_checkpoint(job.out / CHECKPOINTS)
    try:
        with attention_of_any_shape():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        recipe = job.recipe
        raise TrainError(
            f"out of memory with micro_tokens={recipe.micro_tokens}, "
            f"checkpointing={recipe.checkpointing}, method={recipe.method}: halve micro_tokens, "
            f"then take --set checkpointing=true, then --set method=lora; the result stays the "
            f"same for the first two ({str(error).splitlines()[0]})"
        ) from error


def _save(trainer: Any, base: bases.BaseModel, job: TrainingJob, lessons: TrainingPairs) -> None:
    """Write weights, tokenizer and the tokens that end an answer."""
    import torch
    from transformers.trainer import TRAINING_ARGS_NAME

    ends = {example.answer[-1] for example in lessons.examples}
    known = base.model.generation_config.eos_token_id
    ends |= set(known if isinstance(known, list) else [known]) - {None}
    base.model.generation_config.eos_token_id = sorted(ends)
    base.model.config.use_cache = True
    if job.recipe.merge:
        trainer.model = trainer.model_wrapped = bases.without_adapter(trainer.model)
    if not trainer.is_fsdp_enabled:
        trainer.model.to(getattr(torch, job.recipe.save_dtype))
    trainer.save_model(str(job.out))
    if scale.is_first():
        (job.out / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle that nothing here needs
        if trainer.is_fsdp_enabled:
            bases.cast_files(job.out, job.recipe.save_dtype)


def _outcome(
    job: TrainingJob, lessons: TrainingPairs, laid: BatchPlan, model: Any
) -> TrainingOutcome:
    log = read_log(job.out)
    speed = speed_of(
        model,
        laid,
        lessons.examples,
        _session_seconds([step.seconds for step in log]),
        n_devices=scale.n_devices(),
        packed=job.recipe.layout == "packed",
    )
    last = [step.loss for step in log][-max(1, len(log) // 10) :]
    return TrainingOutcome(
        folder=str(job.out),
        n_rows=len(lessons.examples),
        n_bad=len(lessons.bad),
        n_steps=laid.n_steps,
        n_tokens=laid.n_tokens,
        first_loss=log[0].loss,
        last_loss=sum(last) / len(last),
        **asdict(speed),
    )


def _session_seconds(seconds: list[float]) -> list[float]:
    """Return the times of the last session's steps; a session's clock begins at 0."""
    for at in range(len(seconds) - 1, 0, -1):
        if seconds[at] < seconds[at - 1]:
            return seconds[at:]
    return seconds
