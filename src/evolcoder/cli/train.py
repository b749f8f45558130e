"""`evolcoder train`: rows and a base become a model, on a CPU, a GPU or several.

What is wrong with rows, base or recipe is said before the first step. The same command goes on with
a training that was killed, and rewrites the card of one that is finished.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from evolcoder.app import provenance
from evolcoder.app.progress import Download
from evolcoder.bench.prompts import TEMPLATES
from evolcoder.cli import output
from evolcoder.config import load
from evolcoder.config import load as configs
from evolcoder.engine import registry
from evolcoder.errors import TrainError
from evolcoder.input_files import read_text
from evolcoder.serving.process import guarded, not_now, waited
from evolcoder.storage import atomic
from evolcoder.training import scale
from evolcoder.training.base import PACKAGES, TrustSettings
from evolcoder.training.card import CardNotes
from evolcoder.training.data import read_pairs
from evolcoder.training.folder import TrainingOutcome
from evolcoder.training.log import LoggedStep
from evolcoder.training.recipe import PRESETS, Recipe, recipe_of
from evolcoder.training.sft import TrainingJob, train

EVERY_STEPS = 10
MOST_NOTES_MB = 16
NOTES_HOLD = (
    "it is to hold a JSON object with any of run, arms, license and scores "
    "(bench, metric, score, low, high)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", nargs="+", metavar="DATA", help="JSONL, JSON or Parquet rows, or a Hub data set")
    add("--base", required=True, metavar="MODEL",
        help="a folder, a Hub id, FILE.gguf or a known name")  # fmt: skip
    add("--out", required=True, type=Path, metavar="DIR", help="folder that becomes the model")
    add("--preset", default="small", help=f"one of {', '.join(PRESETS)} (small)")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="change a key of the preset, such as epochs=1 or method=lora")  # fmt: skip
    add("--template", choices=list(TEMPLATES), help="prompt around each task (wizardcoder)")
    add("--seed", type=int, help="root of all randomness (0)")
    add("--gpus", type=int, default=1, metavar="N", help="train on so many GPUs together (1)")
    add("--allow-pickled-weights", action="store_true",
        help="read weights that are a pickle, as .bin and .pt files are")  # fmt: skip
    add("--allow-remote-code", action="store_true",
        help="run Python code that comes with the base or its tokenizer")  # fmt: skip
    add("--notes", type=Path, metavar="FILE", help="JSON for the card: run, arms, scores, license")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Train here, or start a process for each GPU."""
    recipe, notes = recipe_of(args.preset, _changes(args)), _notes(args.notes)
    for path in args.data:
        next(read_pairs([path]), None)  # what is not there is told of before the base is fetched
    if args.gpus > 1 and "WORLD_SIZE" not in os.environ:
        return _launch(args, recipe)
    job = TrainingJob(
        base=_base(args.base),
        out=args.out,
        recipe=recipe,
        pairs=read_pairs(args.data),
        data=tuple(args.data),
        notes=notes,
        versions=_versions(),
        trust=TrustSettings(
            pickled_weights=args.allow_pickled_weights, remote_code=args.allow_remote_code
        ),
        on_step=_tell,
    )
    outcome = train(job)
    if scale.is_first():
        if args.json:
            output.print_json(asdict(outcome), indent=1)
        else:
            print(_shown(outcome))
    return 0


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for change in args.set:
        key, equals, value = change.partition("=")
        if not equals:
            raise TrainError(f"--set {change}: write it as key=value")
        try:
            changes[key] = load.read_yaml(value)
        except (yaml.YAMLError, ValueError) as error:  # a date of no calendar is a ValueError
            raise TrainError(f"--set {change}: the value is not YAML") from error
    flags = {"template": args.template, "seed": args.seed}
    return {**changes, **{key: value for key, value in flags.items() if value is not None}}


def _base(spec: str) -> str:
    """Return what the loader takes; a known name becomes its file in the cache."""
    if spec not in registry.KNOWN:
        return spec
    return str(registry.fetch(registry.KNOWN[spec], registry.cache_folder() / "models", Download()))


def _notes(path: Path | None) -> CardNotes:
    if path is None:
        return CardNotes()
    try:
        data = json.loads(read_text(path, most_mb=MOST_NOTES_MB, error=TrainError))
    except TrainError as error:
        raise TrainError(f"--notes {error}; {NOTES_HOLD}") from error
    except (ValueError, RecursionError) as error:
        raise TrainError(f"--notes {path}: {error}; {NOTES_HOLD}") from error
    if not isinstance(data, dict):
        raise TrainError(f"--notes {path}: holds a {type(data).__name__}; {NOTES_HOLD}")
    return configs.checked(CardNotes, data, where=f"--notes {path}")


def _versions() -> tuple[tuple[str, str], ...]:
    found = {name: metadata.version(name) for name in PACKAGES if _installed(name)}
    return tuple({**provenance.versions(), **found}.items())


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _launch(args: argparse.Namespace, recipe: Recipe) -> int:
    """Start a process for each GPU, and hand its exit code on; they end with us, all of them."""
    config = args.out / scale.CONFIG_NAME
    text = scale.launcher_config(recipe, args.gpus)
    atomic.write_text(config, text, inside=args.out, error=TrainError)
    process = None
    try:
        with not_now():
            # Not in our group: Ctrl-C is ours to hear, the launcher would print a traceback.
            command = guarded(scale.launch_command(config, sys.argv[2:]))
            process = subprocess.Popen(command, process_group=0)
        return waited(process)
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def _tell(step: LoggedStep) -> None:
    if step.step % EVERY_STEPS and step.step not in {1, step.n_steps}:
        return
    print(
        f"step {step.step}/{step.n_steps}: loss {step.loss:.4f}, rate {step.learning_rate:.2e}, "
        f"{step.seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _shown(outcome: TrainingOutcome) -> str:
    mfu = "" if outcome.mfu is None else f", {100 * outcome.mfu:.1f} % of its peak (MFU)"
    left_out = f", {outcome.n_bad} left out" if outcome.n_bad else ""
    rows = f"{outcome.n_rows}{left_out}; {outcome.n_steps} steps, {outcome.n_tokens:,} tokens"
    memory = f"{outcome.peak_mb:,} MB at most, {100 * outcome.waste:.1f} % padding"
    lines = (
        f"rows   {rows}",
        f"loss   {outcome.first_loss:.4f} at first, {outcome.last_loss:.4f} at last",
        f"speed  {outcome.tokens_per_s:,.0f} tokens/s on {outcome.device}{mfu}; {memory}",
        f"model  {outcome.folder}",
    )
    return "\n".join(lines)
