"""Trains a model on data files: reads the rows, downloads a known base model, prints the steps.

>>> train_model(["rows.jsonl"], "Qwen/Qwen2.5-0.5B", out, recipe=recipe)   # doctest: +SKIP
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from evolcoder.app import provenance
from evolcoder.app.progress import Download, Work, print_line, print_note, shown
from evolcoder.config.schema import ColumnName
from evolcoder.engine import registry
from evolcoder.errors import TrainError
from evolcoder.experiment.arms import Arm
from evolcoder.experiment.config import LoopConfig, merge
from evolcoder.seeds.rows import PlacedRow, ReadCounts, read_placed_rows
from evolcoder.training import preflight
from evolcoder.training.base import (
    PACKAGES,
    TrustSettings,
    check_base,
    check_weights,
    need_packages,
)
from evolcoder.training.folder import CardNotes, LoggedStep, TrainingOutcome, check_settings, locked
from evolcoder.training.launch import ONE_NODE, Nodes, check_master
from evolcoder.training.recipe import Recipe, is_first_process
from evolcoder.training.sft import TrainingJob, prepare, train
from evolcoder.training.trainer import check_kernels

MANY_STEPS = 1_000_000
"""Steps of a training whose rows are not known yet."""


def train_model(  # noqa: PLR0913 - all of it decides
    data: Sequence[str],
    base: str,
    out: Path,
    *,
    recipe: Recipe,
    notes: CardNotes | None = None,
    trust: TrustSettings | None = None,
    columns: Mapping[ColumnName, str] | None = None,
    validation: Sequence[str] = (),
    n_completions: int = 0,
    report_to: str | None = None,
) -> TrainingOutcome:
    """Fine-tune a base model on the rows of data files into `out`, or resume a training there.

    The rows of `validation` are not trained on; their loss is measured on the way, and the first
    `n_completions` of their tasks are completed. `report_to` is a tracker of `TRACKERS`. Raises
    TrainError for invalid rows, base or recipe.
    """
    progress = _TrainingProgress()
    job = replace(
        _job(data, base, out, recipe, progress.counted(_rows(data, columns))),
        notes=notes or CardNotes(),
        trust=trust or TrustSettings(),
        validation=_rows(validation, columns) if validation else None,
        n_completions=n_completions,
        report_to=report_to,
        on_step=progress.take,
        on_note=print_note,
    )
    if not is_first_process():
        return train(job)
    with shown(progress.text, progress.work):
        return train(job)


def check_resumed(base: str, out: Path, recipe: Recipe) -> None:
    """Raise TrainError if `out` holds something else, or a training of another base or recipe.

    Reads the settings there alone: no rows, and no base, which is not downloaded either.
    """
    known = registry.KNOWN.get(base)
    path = str(_models_folder() / known.file) if known else base
    preflight.check_folder(out, path)
    check_settings(out, path, recipe)


def check_training(  # noqa: PLR0913 - all of it decides
    data: Sequence[str],
    base: str,
    out: Path,
    *,
    recipe: Recipe,
    trust: TrustSettings,
    n_gpus: int,
    nodes: Nodes = ONE_NODE,
    columns: Mapping[ColumnName, str] | None = None,
    validation: Sequence[str] = (),
    report_to: str | None = None,
) -> None:
    """Raise TrainError for whatever can be found out before the processes of GPUs start.

    `n_gpus` is the number of GPUs of this machine, and of each of the others.
    """
    need_packages()
    preflight.check_gpus(n_gpus, nodes.n_nodes)
    check_master(nodes)
    progress = _TrainingProgress()
    rows = progress.counted(read_placed_rows(data, columns))
    held = read_placed_rows(validation, columns) if validation else None
    job = replace(
        _job(data, base, out, recipe, rows), trust=trust, validation=held, report_to=report_to
    )
    # Machines share the folder, and each of them checks it.
    with shown(progress.text), locked(out) if nodes.n_nodes == 1 else nullcontext():
        prepare(job, n_gpus * nodes.n_nodes)
    if nodes.n_nodes > 1:
        print_note(
            f"machine {nodes.rank} of {nodes.n_nodes}: waiting until all have joined at "
            f"{nodes.master}:{nodes.port}"
        )


def _job(
    data: Sequence[str], base: str, out: Path, recipe: Recipe, rows: Iterable[PlacedRow]
) -> TrainingJob:
    return TrainingJob(
        base=_base_path(base),
        out=out,
        recipe=recipe,
        rows=rows,
        data=tuple(data),
        notes=CardNotes(),
        versions=_versions(),
        trust=TrustSettings(),
    )


def _rows(data: Sequence[str], columns: Mapping[ColumnName, str] | None) -> Iterator[PlacedRow]:
    """Yield the rows of data files; print what was read from each."""
    counts: list[ReadCounts] = []
    for path in data:
        yield from read_placed_rows([path], columns, counts)
        if is_first_process():
            print_note(counts[-1].text())


def check_loop_training(
    config: LoopConfig,
    folder: Path,
    *,
    recipe: Recipe,
    n_gpus: int,
    trust: TrustSettings | None = None,
) -> str:
    """Raise TrainError if a loop cannot train its student here; return a note about its disk space.

    All models are counted, since none is deleted before the last one is made. How many checkpoints
    a training writes is known only when its rows are there, so they are a note here; the training
    itself refuses a disk that is too small for them.
    """
    need_packages()
    preflight.check_gpus(n_gpus)
    check_kernels(recipe)
    student = _base_path(config.student.path)
    check_base(student)
    check_weights(student, trust or TrustSettings())
    if (n_weights := preflight.count_weights(student)) is None:
        return ""
    n_trained = n_weights if recipe.method == "full" else 0  # an adapter is small
    need = preflight.disk_need(recipe, n_weights=n_weights, n_trained=n_trained, n_steps=MANY_STEPS)
    n_models = _n_models(config)
    models = preflight.DiskNeed(n_models * need.model, need.checkpoint, 0)
    preflight.check_disk(folder, models, recipe, what=f"{n_models} models")
    most = models.total + need.n_checkpoints * need.checkpoint
    if recipe.method != "full" or most <= preflight.free_bytes(folder):
        return ""
    return (
        f"{folder}: the {n_models} models need about {preflight.gigabytes(models.total)}, and a "
        f"training of more than {recipe.save_every} steps up to "
        f"{preflight.gigabytes(most - models.total)} more for checkpoints, of "
        f"{preflight.gigabytes(preflight.free_bytes(folder))} that are free"
    )


def _n_models(config: LoopConfig) -> int:
    """Return how many models a loop trains if it makes all rounds."""
    often = [merge(k) for k in range(config.run.budget.rounds + 1)]
    often += [arm for arm in map(Arm.read, config.arms) if arm.is_trained and arm not in often]
    once = {arm for arm in map(Arm.read, config.arms_once) if arm.is_trained} - set(often)
    return len(often) * len(config.train.seeds) + len(once)


class _TrainingProgress:
    """Formats the progress of a training."""

    def __init__(self) -> None:
        self._n_rows = 0
        self._is_read = False
        self._first = 0
        self._last: LoggedStep | None = None
        self._held = ""

    def counted(self, rows: Iterable[PlacedRow]) -> Iterator[PlacedRow]:
        """Count rows as they are read."""
        for row in rows:
            self._n_rows += 1
            yield row
        self._is_read = True

    def take(self, step: LoggedStep) -> None:
        """Note a step that is done."""
        self._first = self._first or step.step
        self._last = step
        if step.validation_loss is not None:
            self._held = f", held-out loss {step.validation_loss:.4f}"

    def text(self) -> str:
        """Say what is done now."""
        if (step := self._last) is None:
            if not self._n_rows:
                return "loading the tokenizer"
            doing = "loading the base" if self._is_read else "reading"
            return f"{doing}, {self._n_rows:,} rows read"
        done = f"step {step.step}/{step.n_steps}: loss {step.loss:.4f}"
        rate = f"rate {step.learning_rate:.2e}"
        saving = ", saving the model" if step.step == step.n_steps else ""
        return f"{done}{self._held}, {rate}{saving}"

    def work(self) -> Work:
        """Return the steps done in this session and those left."""
        if (step := self._last) is None:
            return Work("loading", 0, 0)
        return Work("training", step.step - self._first, step.n_steps - step.step)


def _base_path(spec: str) -> str:
    """Return the cached file of a known name, downloaded if necessary; other specs unchanged.

    Raises TrainError for a name that is nearly a known one.
    """
    if spec not in registry.KNOWN:
        near = difflib.get_close_matches(spec, registry.KNOWN, n=1)
        if near and not Path(spec).exists():
            raise TrainError(f"--base {spec}: unknown; did you mean {near[0]}?")
        return spec
    return str(registry.fetch(registry.KNOWN[spec], _models_folder(), Download(), print_line))


def _models_folder() -> Path:
    return registry.cache_folder() / "models"


def _versions() -> tuple[tuple[str, str], ...]:
    installed = {name: metadata.version(name) for name in PACKAGES if _is_installed(name)}
    return tuple({**provenance.versions(), **installed}.items())


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
