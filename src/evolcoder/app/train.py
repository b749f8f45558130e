"""Trains a model on data files: opens the rows and the base, and shows the steps."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from evolcoder.app import provenance
from evolcoder.app.progress import Download, line
from evolcoder.engine import registry
from evolcoder.seeds.rows import read_placed_rows
from evolcoder.training.base import PACKAGES, TrustSettings
from evolcoder.training.card import CardNotes
from evolcoder.training.folder import TrainingOutcome
from evolcoder.training.log import LoggedStep
from evolcoder.training.recipe import Recipe
from evolcoder.training.sft import TrainingJob, train

EVERY_STEPS = 10
"""How many steps one line of progress is for."""


def train_model(
    data: Sequence[str],
    base: str,
    out: Path,
    *,
    recipe: Recipe,
    notes: CardNotes | None = None,
    trust: TrustSettings | None = None,
) -> TrainingOutcome:
    """Fine-tune a base model on the rows of data files, or resume a training.

    Raises TrainError where rows, base or recipe are wrong.
    """
    job = TrainingJob(
        base=_base(base),
        out=out,
        recipe=recipe,
        rows=read_placed_rows(data),
        data=tuple(data),
        notes=notes or CardNotes(),
        versions=_versions(),
        trust=trust or TrustSettings(),
        on_step=_tell,
    )
    return train(job)


def _base(spec: str) -> str:
    """Return what the loader takes; a known name becomes its file in the cache."""
    if spec not in registry.KNOWN:
        return spec
    return str(registry.fetch(registry.KNOWN[spec], registry.cache_folder() / "models", Download()))


def _versions() -> tuple[tuple[str, str], ...]:
    found = {name: metadata.version(name) for name in PACKAGES if _installed(name)}
    return tuple({**provenance.versions(), **found}.items())


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tell(step: LoggedStep) -> None:
    if step.step % EVERY_STEPS and step.step not in {1, step.n_steps}:
        return
    line(
        f"step {step.step}/{step.n_steps}: loss {step.loss:.4f}, rate {step.learning_rate:.2e}, "
        f"{step.seconds:.0f} s"
    )
