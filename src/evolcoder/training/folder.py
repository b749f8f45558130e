"""The folder of a training: its settings, its outcome and its model card.

A folder belongs to one training: other rows, another base or another recipe are refused, and the
error names the differing keys. The outcome is written after the weights, so a folder with an
outcome is complete.

>>> finish(Path("out"), outcome, CardNotes(scores=scores))   # doctest: +SKIP
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evolcoder.bench.prompts import template_named
from evolcoder.errors import TrainError
from evolcoder.input_files import read_text
from evolcoder.storage import atomic
from evolcoder.text import changed
from evolcoder.training.card import CardNotes, ModelCardFacts, card

SETTINGS_NAME = "training.json"
OUTCOME_NAME = "outcome.json"
CARD_NAME = "README.md"
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


def claim(folder: Path, settings: TrainingSettings) -> None:
    """Store the settings in a new folder; refuse a folder with another training."""
    path = folder / SETTINGS_NAME
    if not path.exists():
        _write(path, asdict(settings))
        return
    theirs = _read(path)
    mine = json.loads(json.dumps(asdict(settings)))
    differing = dict(sorted(_differing(_deciding(theirs), _deciding(mine))))
    if differing:
        raise TrainError(
            f"{folder}: holds a training with other values of {changed(differing)}; "
            f"use the same values to resume it, or another --out"
        )


def is_finished(folder: Path) -> bool:
    """Whether the training in a folder is finished."""
    return (folder / OUTCOME_NAME).exists()


def read_outcome(folder: Path) -> TrainingOutcome:
    """Return the outcome of a finished training."""
    data = _read(folder / OUTCOME_NAME)
    try:
        return TypeAdapter(TrainingOutcome).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
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
    return {key: settings.get(key) for key in ("base", "rows", "recipe")}


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
