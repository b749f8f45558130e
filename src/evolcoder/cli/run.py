"""`evolcoder run`: evolves seeds into a harder, answered training set, or resumes a run.

Guarantees: all input is checked before the first paid request.
"""

import argparse
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from evolcoder.app import export, models
from evolcoder.app.evolve import default_folder, evolve_run
from evolcoder.app.progress import print_note
from evolcoder.app.style import asks_for_style, expected_style
from evolcoder.cli import output, show, usage
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.config import load as configs
from evolcoder.config.schema import EvolveConfig, SandboxLevel
from evolcoder.engine.prices import price_dates
from evolcoder.errors import ConfigError
from evolcoder.evolution.styles import Style, heuristics_of
from evolcoder.seeds.rows import COLUMNS_HELP, columns_from
from evolcoder.storage.run_store import RunStore
from evolcoder.verification import pipeline

if TYPE_CHECKING:
    from evolcoder.app.estimate import CostLine, TokenRates

FLAGS = {
    "preset": "preset",
    "style": "evolve.style",
    "seeds": "seeds.path",
    "model": "evolver.model",
    "rounds": "budget.rounds",
    "limit": "seeds.limit",
    "target": "budget.target",
    "max_usd": "budget.max_usd",
    "max_tokens_paid": "budget.max_tokens",
    "max_hours": "budget.max_hours",
    "seed": "seed",
    "batch": "traffic.batch",
    "cache": "cache",
    "sandbox": "verify.sandbox",
    "cluster": "cluster.address",
    "candidates": "respond.candidates",
}
"""Flag -> the config key that it sets."""
LEVELS = get_args(SandboxLevel)
STYLES = get_args(EvolveConfig.model_fields["style"].annotation)
SEED_SUFFIXES = frozenset({".jsonl", ".parquet", ".csv", ".tsv", ".txt", ".gz"})
"""Suffixes of seed files that no config has; JSON may be a config."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("config", nargs="?", type=Path, help="YAML config file (default: built-in settings)")
    add("--config", type=Path, metavar="FILE", dest="config_file", help="the same, as a flag")
    add("--seeds", metavar="PATH", help="seed tasks: a file, a Hub data set id, or `bundled`")
    add("--columns", action="append", metavar="NAME=COLUMN,...", help=COLUMNS_HELP)
    add("--model", metavar="SPEC", help=f"model that evolves and answers: {models.SPEC_FORMS}")
    add("--style", choices=STYLES, help="what the evolver writes: sentences to append, or the "
        "rewritten task (default: auto, by the model's size or measured)")  # fmt: skip
    add("--preset", choices=configs.PRESETS,
        help="settings of a published method, or `strong` verification; flags and config files "
        "override them")  # fmt: skip
    add("--candidates", type=int, metavar="N",
        help="answers to each task, of which agreement when run chooses one")  # fmt: skip
    add("--rounds", type=int, metavar="N", help="rounds of evolution")
    add("--limit", type=int, metavar="N", help="use only the first N usable seeds")
    add("--target", type=int, metavar="N", help="stop at exactly N accepted evolved rows")
    add("--out", type=Path, metavar="DIR", help="run folder; an existing run is resumed")
    add("--cache", metavar="FILE", help="completion cache, shared between runs")
    add("--batch", action="store_const", const=True,
        help="send each round through the provider's batch endpoint, at half price")  # fmt: skip
    add("--dry-run", action="store_true", help="estimate calls, tokens, price and hours, then exit")
    add("--max-usd", type=float, metavar="X", help="budget in USD, by the price table")
    usage.add_paid_tokens(add)
    add("--max-hours", type=float, metavar="H", help="time limit of this invocation in hours")
    add("--seed", type=int, metavar="N", help="random seed")
    add("--sandbox", choices=LEVELS, help="minimum sandbox isolation; fail if unavailable")
    usage.add_cluster(add)
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--retry-rejected", action="store_true",
        help="ask again for rows and checks that a model server rejected or failed at")  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Run, resume or estimate."""
    begun = time.monotonic()
    if args.config is not None and args.config_file is not None:
        raise ConfigError(f"--config {args.config_file}: {args.config} is given too; leave one out")
    args.config = args.config or args.config_file
    _check_config_file(args)
    config = configs.load(args.config, [*_from_flags(args), *args.set])
    folder = args.out or default_folder(config)
    if args.dry_run:
        from evolcoder.app import estimate  # noqa: PLC0415 - only needed here

        rates = estimate.measured_rates(folder)
        known = expected_style(config, folder)
        heuristics = heuristics_of(config.evolve, known.style if known else Style.REWRITE)
        asks = known is None and asks_for_style(config.evolve)
        lines = estimate.estimate(config, heuristics, rates, measures_style=asks, note=print_note)
        levels = {
            name: estimate.total(estimate.estimate(one, heuristics, rates, measures_style=asks))
            for name, one in estimate.levels_of_verification(config).items()
        }
        _show_estimate(lines, levels, rates, price_dates(config), as_json=args.json)
        return 0
    _reduce_garbage_collection()
    again = args.retry_rejected
    limit = run_cancellable(evolve_run(config, folder, retry_rejected=again))
    with RunStore.read(folder) as store:
        written = export.write(store, config)
        paths = [one.path for one in written]
        for note in export.notes(store, config, written):
            print_note(note)
        show.print_run(store, paths, config, begun=begun, as_json=args.json)
        for note in filter(None, (pipeline.unjudged_note(store), pipeline.unasked_note(store))):
            print_note(note)
        nothing = show.print_why_empty(store)
    if limit is not None:
        raise limit
    return 1 if nothing else 0


def _check_config_file(args: argparse.Namespace) -> None:
    """Raise ConfigError if seeds stand where the config file is wanted."""
    path: Path | None = args.config
    if path is None or path.suffix.lower() in {".yaml", ".yml"}:
        return
    names = {suffix.lower() for suffix in path.suffixes}
    is_hub_id = str(path).count("/") == 1 and not path.suffix and not path.exists()
    if names & SEED_SUFFIXES or is_hub_id:
        raise ConfigError(f"{path}: is no config file (YAML); for seeds, write --seeds {path}")


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    given = {**vars(args), "max_tokens_paid": usage.paid_tokens(args)}
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"
    if args.columns:
        yield f"seeds.columns={json.dumps(columns_from(args.columns))}"


def _reduce_garbage_collection() -> None:
    """Collect garbage less often, and exclude the objects that exist now.

    A run creates many short-lived objects and almost no cycles; at the default thresholds garbage
    collection takes a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _show_estimate(
    parts: "list[CostLine]",
    levels: "dict[str, CostLine]",
    rates: "TokenRates",
    prices_text: str,
    *,
    as_json: bool,
) -> None:
    """Print the estimated cost of a run."""
    from evolcoder.app.estimate import CHARS_PER_TOKEN, SAMPLE, total  # noqa: PLC0415 - as above

    if as_json:
        plain = {
            "parts": [asdict(p) for p in parts],
            "levels": {name: asdict(line) for name, line in levels.items()},
            "habits": asdict(rates),
            "prices": prices_text,
        }
        output.print_json(plain, indent=2)
        return
    print(
        f"{'part':<10}{'calls':>10}{'tokens sent':>14}{'received':>12}{'price':>12}"
        f"{'batch price':>13}{'hours':>8}"
    )
    for part in [*parts, total(parts)]:
        print(_estimate_line(part.role, part))
    print("the same run with the quick default of verification, and with --preset strong:")
    for name, part in levels.items():
        print(_estimate_line(name, part))
    print(f"prompts: from up to {SAMPLE} seeds, at {CHARS_PER_TOKEN} characters per token")
    print(f"answers: {rates.source}")
    print(f"prices: {prices_text}")
    print("batch price: with --batch, where a batch may take up to 24 hours")


def _estimate_line(name: str, part: "CostLine") -> str:
    prices = [
        f"${usd:,.2f}" if usd is not None else "unknown" for usd in (part.usd, part.batch_usd)
    ]
    return (
        f"{name:<10}{part.calls:>10,}{part.prompt_tokens:>14,}{part.completion_tokens:>12,}"
        f"{prices[0]:>12}{prices[1]:>13}{part.hours:>8.1f}"
    )
