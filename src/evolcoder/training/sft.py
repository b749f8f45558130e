"""Supervised fine-tuning: trains a base on rows with TRL's SFTTrainer.

The same rows, base, recipe and packages give the same losses. A killed training resumes from its
last complete checkpoint with the same result. A folder with a finished training stays unchanged;
one with another training is refused. The result is a model that transformers, peft and vLLM load.
Scores nothing.

>>> job = TrainingJob(base="model.gguf", out=Path("out"), recipe=recipe, ...)   # doctest: +SKIP
>>> train(job).last_loss   # doctest: +SKIP
0.52
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evolcoder.bench.prompts import template_named
from evolcoder.errors import TrainError
from evolcoder.ids import content_id
from evolcoder.seeds.rows import PlacedRow
from evolcoder.storage import atomic
from evolcoder.training import base as bases
from evolcoder.training import checkpoints, preflight
from evolcoder.training.attention import (
    allows_row_attention,
    keeps_rows_apart,
    use_row_attention,
)
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
from evolcoder.training.completions import CompletionLog
from evolcoder.training.folder import (
    CHECKPOINTS,
    SETTINGS_NAME,
    CardNotes,
    LoggedStep,
    TrainingOutcome,
    TrainingSettings,
    check_settings,
    claim,
    finish,
    ignore_step,
    is_finished,
    last_checkpoint,
    locked,
    log_callback,
    never,
    no_loss,
    read_log,
    read_outcome,
    remove_incomplete,
    stored_layout,
)
from evolcoder.training.launch import join_processes, losing_others, without_other_launchers
from evolcoder.training.recipe import Recipe, is_first_process, n_devices
from evolcoder.training.speed import n_values, speed_of
from evolcoder.training.trackers import TRACKERS, check_tracker, open_tracker
from evolcoder.training.trainer import (
    check_kernels,
    compile_layers,
    kernels_of,
    trainer_class,
    trl_config,
    without_cudnn_attention,
)
from evolcoder.training.validation import MAX_TOKENS, Validation

MAX_SEEN = 50_000_000
"""Maximum number of rows that all steps see together: the plan of them is kept in memory."""


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
    validation: Iterable[PlacedRow] | None = None
    """Rows that are not trained on, whose loss is measured after every tenth of the steps."""
    n_completions: int = 0
    """How many of their tasks are answered then, for a person to look at."""
    report_to: str | None = None
    """A tracker of `TRACKERS` that gets the figures of each step too."""
    on_step: Callable[[LoggedStep], None] = ignore_step
    """Called after each step, on the process that writes."""
    on_note: Callable[[str], None] = ignore_note
    """Called with one line for the user, on the process that writes."""


def train(job: TrainingJob) -> TrainingOutcome:
    """Train, resume, or return the outcome of a finished training."""
    preflight.check_folder(job.out, job.base)
    check_settings(job.out, job.base, job.recipe)
    bases.check_base(job.base)
    bases.need_packages()
    with locked(job.out) if is_first_process() else nullcontext():
        job = with_layout(job)
        rows = prepare(job, n_devices())
        with losing_others(), without_other_launchers():
            outcome = read_outcome(job.out) if is_finished(job.out) else _run_tracked(job, rows)
        if is_first_process():
            finish(job.out, outcome, job.notes)
            shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)
        return outcome


def with_layout(job: TrainingJob) -> TrainingJob:
    """Choose the layout if the recipe leaves it open: that of the folder, else the faster one."""
    import torch

    layout: str = job.recipe.layout
    if layout == "auto":
        fast = torch.cuda.is_available() and allows_row_attention(_config(job))
        layout = stored_layout(job.out) or ("packed" if fast else "padded")
    elif layout == "packed" and not keeps_rows_apart(_config(job)):
        raise TrainError(
            f"--base {job.base}: has layers that carry a state from token to token, so packed rows "
            f"would see each other; use --set layout=padded"
        )
    return replace(job, recipe=job.recipe.model_copy(update={"layout": layout}))


def _config(job: TrainingJob) -> Any:
    return bases.load_config(job.base, job.trust)


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """The tokenized rows of a training."""

    train: TokenizedData
    """Rows that are trained on."""
    validation: TokenizedData | None
    """Rows that are held out; None if there are none."""


def prepare(job: TrainingJob, n_devices: int) -> PreparedRows:
    """Check everything that can be checked before the base is loaded, and claim the folder.

    Return the tokenized rows. Raises TrainError.
    """
    bases.need_packages()
    check_tracker(job.report_to)
    check_kernels(job.recipe)
    job = with_layout(job)
    preflight.check_folder(job.out, job.base)
    bases.check_base(job.base)
    bases.check_weights(job.base, job.trust)
    tokenizer = bases.load_tokenizer(job.base, job.trust)
    rows = _tokenized(job.rows, tokenizer, job.recipe)
    validation = _held_out(job, tokenizer)
    _count_seen(job.recipe, len(rows.examples))
    if not is_finished(job.out):
        # transformers writes weights in place
        atomic.check_tree(job.out, without=TRACKERS, error=TrainError)
        n_weights = preflight.count_weights(job.base)
        if n_weights is not None and job.recipe.method == "full":
            _check_disk(job, plan_of(job.recipe, rows, n_devices), n_weights, n_weights)
    claim(job.out, _settings(job, rows))
    return PreparedRows(rows, validation)


def _tokenized(rows: Iterable[PlacedRow], tokenizer: Any, recipe: Recipe) -> TokenizedData:
    template = template_named(recipe.template)
    is_dropped = recipe.bad_rows == "drop"
    return tokenize_all(rows, template, tokenizer, max_length=recipe.max_length, drop=is_dropped)


def _held_out(job: TrainingJob, tokenizer: Any) -> TokenizedData | None:
    """Tokenize the rows that are held out; None if the job names none."""
    if job.validation is None:
        return None
    try:
        return _tokenized(job.validation, tokenizer, job.recipe)
    except TrainError as error:
        raise TrainError(f"--validation: {error}") from error


def _check_disk(job: TrainingJob, batches: BatchPlan, n_weights: int, n_trained: int) -> None:
    need = preflight.disk_need(
        job.recipe, n_weights=n_weights, n_trained=n_trained, n_steps=batches.n_steps
    )
    preflight.check_disk(job.out, need, job.recipe)


def _count_seen(recipe: Recipe, n_rows: int) -> int:
    """Return how many rows all steps see together; TrainError if a plan of them would not fit."""
    by_epochs = max(1, round(n_rows * recipe.epochs))
    n_seen = recipe.steps * recipe.batch_rows if recipe.steps else by_epochs
    if n_seen > MAX_SEEN:
        given = f"epochs={recipe.epochs:g} of {n_rows:,} rows see {n_seen:,} rows"
        if recipe.steps:
            given = (
                f"steps={recipe.steps} of batch_rows={recipe.batch_rows} see {n_seen:,} rows, "
                f"each of the {n_rows:,} rows about {n_seen // n_rows:,} times"
            )
        raise TrainError(f"{given}; a training sees at most {MAX_SEEN:,}")
    return n_seen


def _has_room(job: TrainingJob, n_weights: int, n_trained: int) -> bool:
    """Whether the disk has space for one more checkpoint, and for the model after it.

    Only asked in a training of one process: the clocks of several differ.
    """
    need = preflight.disk_need(job.recipe, n_weights=n_weights, n_trained=n_trained, n_steps=1)
    return preflight.free_bytes(job.out) >= need.model + 2 * need.checkpoint


def _save_seconds(recipe: Recipe, n_weights: int, n_trained: int) -> float:
    """Estimate how long a checkpoint takes; 0 in a training of several, whose clocks differ."""
    if n_devices() > 1:
        return 0.0
    need = preflight.disk_need(recipe, n_weights=n_weights, n_trained=n_trained, n_steps=1)
    return need.checkpoint / preflight.WRITTEN_PER_S


def plan_of(recipe: Recipe, rows: TokenizedData, n_devices: int) -> BatchPlan:
    """Plan the batches of a recipe."""
    n_rows = len(rows.examples)
    n_seen = _count_seen(recipe, n_rows)
    return plan(
        rows_by_step(n_rows, n_seen=n_seen, rows_per_step=recipe.batch_rows, seed=recipe.seed),
        [example.n_tokens for example in rows.examples],
        max_tokens=recipe.micro_tokens,
        n_devices=n_devices,
        layout=recipe.layout,
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


def _run_tracked(job: TrainingJob, prepared: PreparedRows) -> TrainingOutcome:
    """Train with the tracker open, which takes a second where loading the base takes minutes."""
    report_to = job.report_to if is_first_process() else None
    with open_tracker(report_to, job.out, job.on_note):
        return _run(job, prepared)


def _run(job: TrainingJob, prepared: PreparedRows) -> TrainingOutcome:
    """Load the base and train it."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    rows, on_gpu = prepared.train, torch.cuda.is_available()
    join_processes(job.out, on_gpu=on_gpu)  # before loading: only one process per node reads
    batches = plan_of(job.recipe, rows, n_devices())
    base = bases.load(job.base, job.recipe, on_gpu=on_gpu, trust=job.trust)
    held_out = prepared.validation.examples if prepared.validation else ()
    too_long = check_tokens(base, [*rows.examples, *held_out])
    weights = [(n_values(one), one.requires_grad) for one in base.model.parameters()]
    n_weights, n_trained = sum(n for n, _ in weights), sum(n for n, trains in weights if trains)
    _check_disk(job, batches, n_weights, n_trained)
    warmup = preflight.warmup_note(job.recipe, n_rows=len(rows.examples), n_steps=batches.n_steps)
    apart = _adapter_note(job)
    for note in filter(None, (warmup, too_long, _overlap_note(prepared), apart)):
        if is_first_process():
            job.on_note(note)
    collator = Collator(rows.examples, job.recipe.layout, base.tokenizer.pad_token_id)
    with_borders = job.recipe.layout == "packed" and use_row_attention(base.model)
    collator.with_borders = with_borders
    kernels = kernels_of(job.recipe, n_tokens=batches.n_tokens, on_gpu=on_gpu)
    if kernels == "compile":
        compile_layers(base.model)
    folder = job.out / CHECKPOINTS
    trainer = trainer_class()(
        model=base.model,
        args=trl_config(
            job.recipe, batches, folder, on_gpu=on_gpu, kernels=kernels, report_to=job.report_to
        ),
        train_dataset=Dataset.from_dict({PART: [list(part) for part in batches.parts]}),
        processing_class=base.tokenizer,
        data_collator=collator,
    )
    held = _validation(prepared.validation, trainer, job, with_borders=with_borders)
    validate = held.at if held else no_loss
    may_save = partial(_has_room, job, n_weights, n_trained) if n_devices() == 1 else never
    trainer.add_callback(
        log_callback(
            job.out, job.on_step, validate, may_save,
            save_s=_save_seconds(job.recipe, n_weights, n_trained),
        )
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.has_own_checkpoints = job.recipe.method == "full"
    trainer.examples = rows.examples
    _run_steps(trainer, job)
    with checkpoints.writing_model(job.out, last_checkpoint(job.out / CHECKPOINTS)):
        _save(trainer, base, job, rows)
    return _outcome(job, rows, batches, trainer.model)


def check_tokens(base: bases.BaseModel, rows: Sequence[TokenizedRow]) -> str:
    """Raise TrainError if a base cannot compute some rows: a token or a position is beyond it.

    Return a note about rows that are longer than it was made for, or ''.
    """
    n_known = base.model.get_input_embeddings().weight.shape[0]
    last = max(max((*row.prompt, *row.answer)) for row in rows)
    if last >= n_known:
        raise TrainError(
            f"--base {base.spec}: its tokenizer has a token {last}, and the model has embeddings "
            f"of {n_known} tokens; use the tokenizer that belongs to it"
        )
    config = base.model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    long = [row for row in rows if isinstance(limit, int) and row.n_tokens > limit]
    if not long:
        return ""
    which = f"{len(long)} of {len(rows)} rows"
    without = f"--set max_length={limit} --set bad_rows=drop leaves them out"
    if getattr(config, "rope_parameters", None) is None:  # a table of so many positions
        first = f"such as {long[0].place} with {long[0].n_tokens}"
        raise TrainError(
            f"--base {base.spec}: computes at most {limit} tokens, and {which} have more, {first}; "
            f"{without}"
        )
    return f"{which} have more than the {limit} tokens that the base was made for; {without}"


def _adapter_note(job: TrainingJob) -> str:
    """Say that an adapter will have no base that other programs load it on; empty if it has."""
    if not job.base.endswith(".gguf") or job.recipe.method == "full" or job.recipe.merge:
        return ""
    return (
        "the adapter is saved without its base, and other programs do not load one on a GGUF file; "
        "--set merge=true saves an ordinary model"
    )


def _overlap_note(prepared: PreparedRows) -> str:
    """Say that rows are held out and trained on too; empty if none is."""
    if prepared.validation is None:
        return ""
    trained = {(row.prompt, row.answer) for row in prepared.train.examples}
    held = prepared.validation.examples
    if not (n_shared := sum((row.prompt, row.answer) in trained for row in held)):
        return ""
    return (
        f"--validation: {n_shared} of {len(held)} rows are trained on too, so the held-out loss is "
        f"lower than on rows that the model has not seen"
    )


def _validation(
    rows: TokenizedData | None, trainer: Any, job: TrainingJob, *, with_borders: bool
) -> Validation | None:
    if rows is None:
        return None
    pad_id = trainer.processing_class.pad_token_id
    layout, max_tokens = job.recipe.layout, min(job.recipe.micro_tokens, MAX_TOKENS)
    collator = Collator(rows.examples, layout, pad_id)
    collator.with_borders = with_borders
    lengths = [example.n_tokens for example in rows.examples]
    every = [list(range(len(lengths)))]
    parts = plan(every, lengths, max_tokens=max_tokens, layout=layout).parts
    completions = CompletionLog(trainer, rows.examples[: job.n_completions], job.out)
    return Validation(trainer, collator, parts, completions)


def _run_steps(trainer: Any, job: TrainingJob) -> None:
    import torch

    if is_first_process():
        remove_incomplete(job.out / CHECKPOINTS)
    checkpoint = last_checkpoint(job.out / CHECKPOINTS)
    if checkpoint and is_first_process():
        job.on_note(f"continuing from {checkpoint.name} of {job.out}")
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
    dtype = job.recipe.save_dtype
    if trainer.is_fsdp_enabled:
        weights = checkpoints.whole_weights(trainer.model, dtype)
        if is_first_process():
            whole = bases.BaseModel(base.spec, trainer.model, base.tokenizer)
            bases.save_whole(whole, weights, job.out, dtype)
    else:
        trainer.model.to(getattr(torch, dtype))
        trainer.save_model(str(job.out))
    if is_first_process():
        (job.out / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # an unused pickle
        mode = (job.out / SETTINGS_NAME).stat().st_mode
        for path in job.out.glob("*.safetensors"):
            path.chmod(mode)  # safetensors lets the owner alone read them


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
        validation_loss=log[-1].validation_loss,
        **asdict(speed),
    )


def _session_seconds(seconds: list[float]) -> list[float]:
    """Return the times of the last session's steps; each session counts from 0."""
    for at in range(len(seconds) - 1, 0, -1):
        if seconds[at] < seconds[at - 1]:
            return seconds[at:]
    return seconds
