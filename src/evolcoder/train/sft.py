"""One training, whole: rows and a base become a model in a folder.

Promises: the same rows, base, recipe and packages give the same losses; a training that was killed
goes on from its last whole checkpoint as if nothing had been; a folder with a finished training is
left as it is; one with another training is refused. The folder is a model that transformers, peft
and vLLM load. Scores nothing.

    outcome = train(Job(base="model.gguf", out=Path("out"), recipe=recipe, lessons=lessons, ...))
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evolcoder.bench.prompts import template_named
from evolcoder.errors import TrainError
from evolcoder.ids import content_id
from evolcoder.storage import atomic
from evolcoder.train import base as bases
from evolcoder.train import scale
from evolcoder.train.card import Notes
from evolcoder.train.collate import PART, Collator
from evolcoder.train.examples import Lesson, Lessons, read_lessons
from evolcoder.train.folder import Outcome, Settings, claim, finish, finished, is_finished
from evolcoder.train.log import Step, last_checkpoint, log_to, read_log, silent
from evolcoder.train.measure import speed_of
from evolcoder.train.plan import Plan, plan, steps_of
from evolcoder.train.recipe import Recipe
from evolcoder.train.settings import arguments_of
from evolcoder.train.trainer import attention_of_any_shape, trainer_class

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class Job:
    """What is ordered."""

    base: str
    """A folder, a Hub id or a GGUF file."""
    out: Path
    """Folder that becomes the model."""
    recipe: Recipe
    """Every knob."""
    lessons: Iterable[Lesson]
    """The rows."""
    data: tuple[str, ...]
    """Names of the files that the rows come from, for the card."""
    notes: Notes
    """What the card says beside what the training knows."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions for the card."""
    trust: bases.Trust = bases.WARY
    """What the base may do that its maker could misuse."""
    tell: Callable[[Step], None] = silent
    """Called with each step that was taken, on the process that writes."""


def train(job: Job) -> Outcome:
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


def plan_of(recipe: Recipe, lessons: Lessons, n_devices: int) -> Plan:
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


def _settings(job: Job, lessons: Lessons) -> Settings:
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
    return Settings(job.base, rows, job.recipe.model_dump(mode="json"), facts, job.versions)


def _run(job: Job, lessons: Lessons) -> Outcome:
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


def _take_steps(trainer: Any, job: Job) -> None:
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


def _save(trainer: Any, base: bases.Base, job: Job, lessons: Lessons) -> None:
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


def _outcome(job: Job, lessons: Lessons, laid: Plan, model: Any) -> Outcome:
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
    return Outcome(
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
