"""Trains a model on data files: reads the rows, downloads a known base model, prints the steps.

>>> train_model(["rows.jsonl"], "Qwen/Qwen2.5-0.5B", out, recipe=recipe)   # doctest: +SKIP
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from evolcoder.app import provenance
from evolcoder.app.progress import Download, print_line
from evolcoder.engine import registry
from evolcoder.seeds.rows import read_placed_rows
from evolcoder.training.base import PACKAGES, TrustSettings
from evolcoder.training.card import CardNotes
from evolcoder.training.folder import TrainingOutcome
from evolcoder.training.log import LoggedStep
from evolcoder.training.recipe import Recipe
from evolcoder.training.sft import TrainingJob, train

LOG_EVERY_STEPS = 10
"""Number of steps per progress line."""


def train_model(
    data: Sequence[str],
    base: str,
    out: Path,
    *,
    recipe: Recipe,
    notes: CardNotes | None = None,
    trust: TrustSettings | None = None,
) -> TrainingOutcome:
    """Fine-tune a base model on the rows of data files into `out`, or resume a training there.

    Raises TrainError for invalid rows, base or recipe.
    """
    job = TrainingJob(
        base=_base_path(base),
        out=out,
        recipe=recipe,
        rows=read_placed_rows(data),
        data=tuple(data),
        notes=notes or CardNotes(),
        versions=_versions(),
        trust=trust or TrustSettings(),
        on_step=_print_step,
    )
    return train(job)


def _base_path(spec: str) -> str:
    """Return the cached file of a known name, downloaded if necessary; other specs unchanged."""
    if spec not in registry.KNOWN:
        return spec
    return str(
        registry.fetch(
            registry.KNOWN[spec], registry.cache_folder() / "models", Download(), print_line
        )
    )


def _versions() -> tuple[tuple[str, str], ...]:
    installed = {name: metadata.version(name) for name in PACKAGES if _is_installed(name)}
    return tuple({**provenance.versions(), **installed}.items())


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _print_step(step: LoggedStep) -> None:
    if step.step % LOG_EVERY_STEPS and step.step not in {1, step.n_steps}:
        return
    print_line(
        f"step {step.step}/{step.n_steps}: loss {step.loss:.4f}, rate {step.learning_rate:.2e}, "
        f"{step.seconds:.0f} s"
    )
