"""The folder of a training: its settings, log, checkpoints, outcome and model card.

A folder with a checkpoint or a model belongs to one training: other rows, another base or another
recipe are refused, and the error names the differing keys. Keys of the recipe that change only
speed, memory and disk may differ, so that a training that ran out of memory continues with smaller
parts. The outcome is written after the weights, so a folder with an outcome is complete. The log
has one line per step; a step is in it once, however often the training was resumed. A checkpoint
counts only when all of it was synced to disk.

The model card contains only given or measured facts; the same facts give the same bytes. The user
states the licence, since base, data and the models that wrote the data bear on it; otherwise it is
`unknown`.

>>> [step.loss for step in read_log(Path("out"))]   # doctest: +SKIP
[1.31, 1.12]
>>> finish(Path("out"), outcome, CardNotes(scores=scores))   # doctest: +SKIP
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import TypeAdapter, ValidationError

from evolcoder.bench.prompts import Template, template_named
from evolcoder.config.schema import Section
from evolcoder.errors import TrainError
from evolcoder.input_files import open_regular, read_text
from evolcoder.markdown import table_section
from evolcoder.storage import atomic
from evolcoder.storage.run_config import describe_changes
from evolcoder.text import one_line
from evolcoder.training.recipe import SPEED_KEYS, Recipe
from evolcoder.value_faults import first_fault
from evolcoder.visible import visible


class ScoreLine(Section):
    """One score of the model, with its interval."""

    bench: str
    """Name of the benchmark."""
    metric: str
    """Such as `pass@1, greedy`."""
    score: float
    """From 0 to 1."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""


class CardNotes(Section):
    """Facts that the training cannot know; may be read from a file (`--notes`)."""

    run: str = ""
    """Id or folder of the run that made the rows."""
    arms: tuple[str, ...] = ()
    """The experiment's arms with these rows, such as `merge-0..3`."""
    scores: tuple[ScoreLine, ...] = ()
    """Scores of this model, if any."""
    license: str = "unknown"
    """Licence of the weights, as the Hub writes it."""


@dataclass(frozen=True, slots=True)
class ModelCardFacts:
    """Facts that the training knows."""

    title: str
    """Name of the model."""
    base: str
    """The base model."""
    method: str
    """`full`, `lora` or `qlora`."""
    is_adapter: bool
    """Whether the folder holds only an adapter, to be loaded on top of the base."""
    template: Template
    """Its prompt template."""
    data: tuple[tuple[str, object], ...]
    """Names and values that describe the training data."""
    recipe: tuple[tuple[str, object], ...]
    """Every setting."""
    result: tuple[tuple[str, object], ...]
    """Measurements."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of packages."""


def card(facts: ModelCardFacts, notes: CardNotes) -> str:
    """Write the card: YAML for the Hub, then Markdown."""
    parts = (
        f"---\n{yaml.safe_dump(_head(facts, notes), sort_keys=False)}---",
        f"# {one_line(facts.title, 100)}",
        f"`{facts.base}`, fine-tuned ({facts.method}) on coding tasks by evolcoder. "
        + ("This folder holds an adapter; load it on top of the base." if facts.is_adapter else ""),
        _table("Scores", ("benchmark", "metric", "score", "95 %"), _scores(notes)),
        _prompt(facts.template),
        _table("Data", ("what", "value"), [*_origin(notes), *facts.data]),
        _table("Training", ("setting", "value"), facts.recipe),
        _table("Measured", ("what", "value"), facts.result),
        _table("Versions", ("what", "version"), facts.versions),
    )
    return visible("\n\n".join(part.rstrip() for part in parts if part)) + "\n"


def _head(facts: ModelCardFacts, notes: CardNotes) -> dict[str, object]:
    return {
        "license": notes.license,
        "base_model": facts.base,
        "library_name": "peft" if facts.is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["code", "evol-instruct", "evolcoder", "sft"],
    }


def _prompt(template: Template) -> str:
    """Describe the prompt that the model was trained with."""
    shown = template.wrap("{task}").replace("```", "'''")
    around = "" if template.raw else ", inside the chat template of the tokenizer"
    return (
        f"## Prompt\n\nTemplate `{template.name}`{around}; score it with "
        f"`evolcoder eval --template {template.name}`.\n\n```text\n{shown}\n```"
    )


def _origin(notes: CardNotes) -> Iterable[tuple[str, object]]:
    if notes.run:
        yield "run", notes.run
    if notes.arms:
        yield "arms", ", ".join(notes.arms)


def _scores(notes: CardNotes) -> Iterable[tuple[object, ...]]:
    for line in notes.scores:
        interval = f"{100 * line.low:.1f} to {100 * line.high:.1f}"
        yield line.bench, line.metric, f"{100 * line.score:.1f}", interval


def _table(title: str, heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    rows = [[f"{one:.4g}" if isinstance(one, float) else one for one in line] for line in lines]
    return table_section(title, heads, rows)


LOG_NAME = "train-log.jsonl"
CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints."""
COMPLETE = "complete"
"""Marker file of a complete checkpoint."""
CHECKPOINT_S = 900.0
"""Seconds after a checkpoint in which the next one is written, where `save_every` steps take longer
and the disk has the space."""


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of the optimizer."""

    step: int
    """Its number, from 1."""
    n_steps: int
    """Total number of steps."""
    loss: float
    """Mean loss of the step's answer tokens, before the update."""
    learning_rate: float
    """Learning rate of the step."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    seconds: float
    """Seconds since this session's first step began."""
    validation_loss: float | None = None
    """Mean loss of the held-out answer tokens after the step; None if it was not measured."""


MAX_LINE = 1 << 16
"""Maximum length of a log line in bytes."""
_STEP = TypeAdapter(LoggedStep)


def ignore_step(step: LoggedStep) -> None:
    """Do nothing."""


def no_loss(step: int, *, n_steps: int) -> None:
    """Measure nothing."""


class Validate(Protocol):
    """Measures the loss of held-out rows."""

    def __call__(self, step: int, *, n_steps: int) -> float | None:
        """Return the loss after a step; None if it is not measured there."""
        ...


def never() -> bool:
    """Return False."""
    return False


def log_callback(
    folder: Path,
    on_step: Callable[[LoggedStep], None],
    validate: Validate = no_loss,
    may_save: Callable[[], bool] = never,
    *,
    save_s: float = 0.0,
) -> Any:
    """Return a TrainerCallback that logs each step and marks complete checkpoints.

    Where `may_save` allows it, a checkpoint is also written `CHECKPOINT_S` after the one before.
    None is written where that takes longer, by the estimate `save_s`, than the steps that are left.
    """
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Appends a line per step."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = self.saved = time.monotonic()
            self.held: float | None = None
            self.first_step = state.global_step
            if state.is_world_process_zero:
                _truncate_after(folder / LOG_NAME, state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"]
            if not state.is_world_process_zero or "loss" not in logs:
                return
            step = LoggedStep(
                step=state.global_step,
                n_steps=state.max_steps,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                grad_norm=float(logs["grad_norm"]),
                seconds=round(time.monotonic() - self.began, 3),
                validation_loss=self.held,
            )
            with atomic.open_to_append(folder / LOG_NAME, inside=folder, error=TrainError) as file:
                file.write(f"{json.dumps(asdict(step))}\n".encode())
            on_step(step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            began = time.monotonic()
            self.held = validate(state.global_step, n_steps=state.max_steps)
            self.began += time.monotonic() - began  # no time of the training
            if began - self.saved >= CHECKPOINT_S and may_save():
                control.should_save = True
            # After the last step the model itself is saved; the optimizer's state has six times
            # its size.
            n_done, n_left = (
                state.global_step - self.first_step,
                state.max_steps - state.global_step,
            )
            left_s = seconds_left(time.monotonic() - self.began, n_done=n_done, n_left=n_left)
            control.should_save &= n_left > 0 and left_s >= save_s

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.saved = time.monotonic()
            if state.is_world_process_zero:
                path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                _sync_files(path)
                (path / COMPLETE).touch()

    return Log()


def seconds_left(seconds: float, *, n_done: int, n_left: int) -> float:
    """Estimate how long the steps that are left take, if all steps take the same time.

    >>> seconds_left(30.0, n_done=10, n_left=5)
    15.0
    """
    return n_left * seconds / max(1, n_done)


def read_log(folder: Path) -> list[LoggedStep]:
    """Return the logged steps; truncated lines are ignored."""
    steps = []
    path = folder / LOG_NAME
    if not path.exists():
        return []
    with open_regular(path, error=TrainError) as file:
        while line := file.readline(MAX_LINE):
            try:
                steps.append(_STEP.validate_python(json.loads(line)))
            except (ValueError, RecursionError):
                continue
    return steps


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint."""
    complete = {
        int(number): path.parent
        for path in folder.glob(f"checkpoint-*/{COMPLETE}")
        if (number := path.parent.name.rpartition("-")[2]).isdecimal()
    }
    return complete[max(complete)] if complete else None


def remove_incomplete(folder: Path) -> None:
    """Remove checkpoints that were not written to their end.

    Left there, one would take the place of a complete one among those that are kept.
    """
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).exists():
            shutil.rmtree(path, ignore_errors=True)


def _truncate_after(path: Path, step: int) -> None:
    """Remove lines that an earlier session logged after the checkpoint that is resumed from."""
    kept = [asdict(line) for line in read_log(path.parent) if line.step <= step]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    atomic.write_text(path, text, inside=path.parent, error=TrainError)


def _sync_files(folder: Path) -> None:
    """Sync a checkpoint to disk before it is marked complete."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


SETTINGS_NAME = "training.json"
OUTCOME_NAME = "outcome.json"
CARD_NAME = "README.md"
LOCK_NAME = "train.lock"
"""A file that exists while a process trains in the folder."""
MAX_MB = 16
"""Maximum size of a settings or outcome file."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The settings of a training; `base`, `rows` and `recipe` identify it."""

    base: str
    """The base model."""
    rows: str
    """Hash of all rows' tokens, in order."""
    recipe: Mapping[str, Any]
    """Every setting of the recipe."""
    facts: tuple[tuple[str, object], ...]
    """Names and values about the data, for the card."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of packages, for the card."""


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """The outcome of a training."""

    folder: str
    """Folder of the model."""
    n_rows: int
    """Rows that were trained on."""
    n_bad: int
    """Rows that were left out."""
    n_steps: int
    """Optimizer steps."""
    n_tokens: int
    """Tokens seen, prompts included, over all epochs."""
    first_loss: float
    """Loss of the first step."""
    last_loss: float
    """Mean loss of the last tenth of the steps."""
    tokens_per_s: float
    """Rows' tokens per second, without the first steps."""
    mfu: float | None
    """Model FLOPs utilization, 0 to 1; None if the device's peak is unknown."""
    peak_mb: int
    """Peak memory."""
    waste: float
    """Share of the computed tokens that was padding."""
    device: str
    """Name of the device."""
    validation_loss: float | None = None
    """Mean loss of the held-out answer tokens at the end; None without such rows."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; raises TrainError.

    A missing folder is created, and removed again if nothing was written.
    """
    is_new = not folder.exists()
    atomic.make_folder(folder, error=TrainError)
    lock = atomic.take_lock(folder / LOCK_NAME, inside=folder, error=TrainError)
    if lock is None:
        raise TrainError(f"--out {folder}: is in use by another training; wait for it")
    try:
        yield
    finally:
        (folder / LOCK_NAME).unlink(missing_ok=True)
        os.close(lock)
        if is_new:
            with suppress(OSError):  # it has files
                folder.rmdir()


def claim(folder: Path, settings: TrainingSettings) -> None:
    """Store the settings in a folder; refuse one with results of another training.

    Those of a training that is continued are stored too, since keys of speed may have changed.
    """
    path = folder / SETTINGS_NAME
    mine = json.loads(json.dumps(asdict(settings)))
    if path.exists() and _has_results(folder):
        theirs = _read(path)
        _refuse_other(folder, _deciding(theirs), _deciding(mine))
        if is_finished(folder) or theirs.get("recipe") == mine["recipe"]:
            return
    _write(path, mine)


def check_settings(folder: Path, base: str, recipe: Recipe) -> None:
    """Refuse a folder with a training of another base or recipe, before anything is loaded.

    A layout that the recipe leaves open is not compared, and neither are the rows.
    """
    path = folder / SETTINGS_NAME
    if not path.exists() or not _has_results(folder):
        return
    theirs, given = _deciding(_read(path)), json.loads(json.dumps(recipe.model_dump(mode="json")))
    if recipe.layout == "auto" and isinstance(theirs["recipe"], dict):
        given["layout"] = theirs["recipe"].get("layout")
    _refuse_other(folder, theirs, _deciding({**theirs, "base": base, "recipe": given}))


def _has_results(folder: Path) -> bool:
    """Whether another training there would lose something: a model, or a checkpoint."""
    return is_finished(folder) or last_checkpoint(folder / CHECKPOINTS) is not None


def _refuse_other(folder: Path, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    differing = dict(sorted(_differing(theirs, mine)))
    if differing:
        raise TrainError(
            f"{folder}: holds a training with other values of {describe_changes(differing)}; "
            f"use the same values to resume it, or another --out"
        )


def stored_layout(folder: Path) -> str | None:
    """Return the layout of the training in a folder; None for a new folder."""
    path = folder / SETTINGS_NAME
    recipe = _read(path).get("recipe") if path.exists() else None
    layout = recipe.get("layout") if isinstance(recipe, dict) else None
    return layout if isinstance(layout, str) else None


def is_finished(folder: Path) -> bool:
    """Whether the training in a folder is finished."""
    return (folder / OUTCOME_NAME).exists()


def read_outcome(folder: Path) -> TrainingOutcome:
    """Return the outcome of a finished training."""
    data = _read(folder / OUTCOME_NAME)
    try:
        return TypeAdapter(TrainingOutcome).validate_python(data)
    except ValidationError as error:
        why = first_fault(error)
        raise TrainError(f"{folder}: {OUTCOME_NAME} is damaged: {why}; train it again") from error


def finish(folder: Path, outcome: TrainingOutcome, notes: CardNotes) -> None:
    """Write outcome and card; a later call with scores adds them to the card."""
    _write(folder / OUTCOME_NAME, asdict(outcome))
    text = card(_facts(folder, outcome), notes)
    atomic.write_text(folder / CARD_NAME, text, inside=folder, error=TrainError)


def _facts(folder: Path, outcome: TrainingOutcome) -> ModelCardFacts:
    settings = _read(folder / SETTINGS_NAME)
    try:
        return _facts_of(folder, settings, outcome)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise TrainError(f"{folder}: {SETTINGS_NAME} is damaged; train it again") from error


def _facts_of(
    folder: Path, settings: Mapping[str, Any], outcome: TrainingOutcome
) -> ModelCardFacts:
    recipe = settings["recipe"]
    measured = {key: value for key, value in asdict(outcome).items() if key != "folder"}
    return ModelCardFacts(
        title=folder.resolve().name,
        base=settings["base"],
        method=recipe["method"],
        is_adapter=(folder / "adapter_config.json").exists(),
        template=template_named(recipe["template"]),
        data=tuple((name, value) for name, value in settings["facts"]),
        recipe=tuple(recipe.items()),
        result=tuple((name.replace("_", " "), value) for name, value in measured.items()),
        versions=tuple((name, value) for name, value in settings["versions"]),
    )


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a training: no keys of the recipe that change its speed alone."""
    found = {key: settings.get(key) for key in ("base", "rows", "recipe")}
    if isinstance(recipe := found["recipe"], Mapping):
        found["recipe"] = {key: recipe[key] for key in recipe if key not in SPEED_KEYS}
    return found


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterable[tuple[str, tuple[object, object] | None]]:
    """Yield the keys that differ, each with both values; a hash says nothing, so it has none."""
    for key in {*old, *new}:
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differing(a, b)
        elif a != b:
            yield key, None if key == "rows" else (a, b)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path, max_mb=MAX_MB, error=TrainError))
    except (ValueError, RecursionError) as error:
        raise TrainError(f"{path}: is no JSON: {error}; use another --out") from error
    if not isinstance(data, dict):
        raise TrainError(f"{path}: holds a {type(data).__name__}; use another --out")
    return data


def _write(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, indent=1) + "\n"
    atomic.write_text(path, text, inside=path.parent, error=TrainError)
