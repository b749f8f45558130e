"""`evolcoder train`: fine-tunes a base model on rows, on a CPU or on one or more GPUs.

Guarantees: rows, base and recipe are checked before the first step. The same command resumes an
interrupted training, and rewrites the card of a finished one.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from evolcoder.app.train import check_resumed, check_training, train_model
from evolcoder.bench.prompts import TEMPLATES
from evolcoder.cli import output
from evolcoder.cli.layout import LABEL, folded, labelled
from evolcoder.cli.usage import RaisingParser
from evolcoder.config.bounded_yaml import parse_yaml
from evolcoder.config.validation import validate_as
from evolcoder.errors import LostProcessError, SharedTrainError, TrainError
from evolcoder.input_files import read_text
from evolcoder.seeds.rows import COLUMNS_HELP, columns_from, read_placed_rows
from evolcoder.serving.process import defer_signals, wait_interruptibly, with_subreaper
from evolcoder.storage import atomic
from evolcoder.training.base import TrustSettings
from evolcoder.training.folder import CardNotes, TrainingOutcome
from evolcoder.training.launch import (
    EXIT_LOST,
    ONE_NODE,
    Nodes,
    check_launched,
    launch_command,
    launcher_config,
    nodes_of,
    says_why,
)
from evolcoder.training.recipe import PRESETS, Recipe, is_first_process, is_launched, recipe_of
from evolcoder.training.trackers import TRACKERS

EXIT_WRONG_INPUT = 2
MAX_NOTES_MB = 16
NOTES_FORMAT = (
    "it must contain a JSON object with any of run, arms, license and scores "
    "(bench, metric, score, low, high)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", nargs="+", metavar="DATA",
        help="files or folders of rows in any seed format, or Hub data sets")  # fmt: skip
    add("--columns", action="append", metavar="NAME=COLUMN,...", help=COLUMNS_HELP)
    add("--validation", action="append", default=[], metavar="DATA",
        help="rows that are not trained on, whose loss is measured on the way; "
        "`export --validation` makes them (repeatable)")  # fmt: skip
    add("--base", required=True, metavar="MODEL",
        help="base model: a folder, a Hub id, FILE.gguf or a known name")  # fmt: skip
    add("--out", required=True, type=Path, metavar="DIR", help="folder to write the model to")
    add("--preset", default="small", help=f"training preset: {', '.join(PRESETS)} (default: small)")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="override a preset key, such as epochs=1 or method=lora (repeatable)")  # fmt: skip
    add("--template", choices=list(TEMPLATES), help="prompt template (default: wizardcoder)")
    add("--seed", type=int, help="random seed (default: 0)")
    add("--log-completions", type=int, default=0, metavar="N",
        help="with --validation: complete its first N tasks on the way, into "
        "completions.jsonl")  # fmt: skip
    add("--report-to", choices=TRACKERS, help="show losses and speed there too, while it trains")
    add("--gpus", type=int, default=1, metavar="N",
        help="number of GPUs, of each machine (default: 1)")  # fmt: skip
    add("--nodes", type=int, default=1, metavar="N",
        help="number of machines; the command is started on each of them (default: 1)")  # fmt: skip
    add("--node-rank", type=int, metavar="I", help="number of this machine, from 0")
    add("--master-addr", metavar="HOST[:PORT]", help="address of machine 0")
    add("--allow-pickled-weights", action="store_true",
        help="load weights stored as pickles (.bin and .pt files), which can run code")  # fmt: skip
    add("--allow-remote-code", action="store_true",
        help="run Python code that ships with the base model or its tokenizer")  # fmt: skip
    add("--notes", type=Path, metavar="FILE", help="JSON for the card: run, arms, scores, license")
    add("--json", action="store_true", help="print the result as JSON")


def parse_options(options: Sequence[str]) -> argparse.Namespace:
    """Parse the options of a loop's training; raises ConfigError."""
    parser = RaisingParser("train.options")
    add_arguments(parser)
    return parser.parse_args(options)


def recipe_from(args: argparse.Namespace) -> Recipe:
    """Return the recipe that the arguments describe; raises TrainError."""
    return recipe_of(args.preset, _overrides(args))


def main(args: argparse.Namespace) -> int:
    """Train in this process, or start one process per GPU."""
    recipe, notes = recipe_from(args), _notes(args.notes)
    nodes = nodes_of(args.nodes, args.node_rank, args.master_addr)
    n_logged = args.log_completions
    if n_logged < 0 or (n_logged and not args.validation):
        raise TrainError(f"--log-completions {n_logged}: a number of rows of --validation")
    columns = columns_from(args.columns or ())
    check_resumed(args.base, args.out, recipe)
    for path in (
        *args.data,
        *args.validation,
    ):  # report missing files before the base model is downloaded
        next(read_placed_rows([path], columns), None)
    trust = TrustSettings(
        pickled_weights=args.allow_pickled_weights, remote_code=args.allow_remote_code
    )
    if (args.gpus, nodes.n_nodes) != (1, 1) and not is_launched():
        check_training(
            args.data, args.base, args.out,
            recipe=recipe, trust=trust, n_gpus=args.gpus, nodes=nodes, columns=columns,
            validation=args.validation, report_to=args.report_to,
        )  # fmt: skip
        return _launch(args, recipe, nodes)
    try:
        check_launched(args.gpus, nodes)
        outcome = train_model(
            args.data, args.base, args.out,
            recipe=recipe, notes=notes, trust=trust, columns=columns, validation=args.validation,
            n_completions=n_logged, report_to=args.report_to,
        )  # fmt: skip
    except TrainError as error:
        return _silent_exit(error)
    if is_first_process():
        if args.json:
            output.print_json(asdict(outcome), indent=1)
        else:
            print(_outcome_text(outcome))
    return 0


def _silent_exit(error: TrainError) -> int:
    """Return the exit code if another process says why; raise the error otherwise."""
    if isinstance(error, LostProcessError):
        return EXIT_LOST
    is_shared = isinstance(error, SharedTrainError)
    if is_first_process() if is_shared else says_why():
        raise error
    return EXIT_WRONG_INPUT


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for change in args.set:
        key, equals, value = change.partition("=")
        if not equals:
            raise TrainError(f"--set {change}: write it as key=value")
        try:
            changes[key] = parse_yaml(value)
        except (yaml.YAMLError, ValueError) as error:  # an impossible date is a ValueError
            raise TrainError(f"--set {change}: the value is not YAML") from error
    flags = {"template": args.template, "seed": args.seed}
    return {**changes, **{key: value for key, value in flags.items() if value is not None}}


def _notes(path: Path | None) -> CardNotes:
    if path is None:
        return CardNotes()
    try:
        data = json.loads(read_text(path, max_mb=MAX_NOTES_MB, error=TrainError))
    except TrainError as error:
        raise TrainError(f"--notes {error}; {NOTES_FORMAT}") from error
    except (ValueError, RecursionError) as error:
        raise TrainError(f"--notes {path}: {error}; {NOTES_FORMAT}") from error
    if not isinstance(data, dict):
        raise TrainError(f"--notes {path}: contains a {type(data).__name__}; {NOTES_FORMAT}")
    return validate_as(CardNotes, data, where=f"--notes {path}")


def _launch(args: argparse.Namespace, recipe: Recipe, nodes: Nodes = ONE_NODE) -> int:
    """Start one process per GPU and return the exit code; all of them end with this process."""
    config = args.out / nodes.config_name
    text = launcher_config(recipe, args.gpus, nodes, base=args.base)
    atomic.write_text(config, text, inside=args.out, error=TrainError)
    process = None
    try:
        with defer_signals():
            # A separate process group: on Ctrl-C the launcher would print a traceback.
            command = with_subreaper(launch_command(config, sys.argv[2:]))
            process = subprocess.Popen(command, process_group=0)
        return wait_interruptibly(process)
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def _outcome_text(outcome: TrainingOutcome) -> str:
    mfu = "" if outcome.mfu is None else f", {100 * outcome.mfu:.1f} % of peak FLOPS (MFU)"
    skipped = f", {outcome.n_bad} skipped" if outcome.n_bad else ""
    steps = "1 step" if outcome.n_steps == 1 else f"{outcome.n_steps} steps"
    rows = f"{outcome.n_rows}{skipped}; {steps}, {outcome.n_tokens:,} tokens"
    memory = f"{outcome.peak_mb:,} MB peak memory, {100 * outcome.waste:.1f} % padding"
    held = outcome.validation_loss
    held_text = "" if held is None else f"; {held:.4f} on the held-out rows"
    losses = f"{outcome.first_loss:.4f} at the first step, {outcome.last_loss:.4f} at the last"
    lines = (
        labelled("rows", rows),
        labelled("loss", f"{losses}{held_text}"),
        labelled(
            "speed", f"{outcome.tokens_per_s:,.0f} tokens/s on {outcome.device}{mfu}; {memory}"
        ),
    )
    folder = labelled("model", str(outcome.folder))
    return "\n".join([*(folded(line, LABEL) for line in lines), folder])
