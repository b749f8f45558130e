"""`evolcoder run`: seeds in, a harder and answered training set out; resumes what was begun.

Everything that the user can get wrong is looked at before anything is paid for.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from evolcoder.app import export, models
from evolcoder.app.evolve import evolve_run
from evolcoder.cli import output, show
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.config import load as configs
from evolcoder.config.schema import SandboxLevel
from evolcoder.engine.budget import PRICES_AS_OF
from evolcoder.evolution.heuristics import resolve
from evolcoder.storage.run_store import RunStore
from evolcoder.verification import pipeline

if TYPE_CHECKING:
    from evolcoder.app.estimate import CostLine, TokenRates

FLAGS = {
    "seeds": "seeds.path",
    "model": "evolver.model",
    "rounds": "budget.rounds",
    "limit": "seeds.limit",
    "target": "budget.target",
    "max_usd": "budget.max_usd",
    "max_tokens": "budget.max_tokens",
    "max_hours": "budget.max_hours",
    "seed": "seed",
    "cache": "cache",
    "sandbox": "verify.sandbox",
}
"""Flag -> the config key that it sets."""
LEVELS = get_args(SandboxLevel)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("config", nargs="?", type=Path, help="a YAML file; left out, the defaults")
    add("--seeds", metavar="PATH", help="a file, a Hub data set id, or `bundled`")
    add("--model", metavar="SPEC", help=f"who evolves and answers: {models.FORMS}")
    add("--rounds", type=int, metavar="N", help="rounds of evolution")
    add("--limit", type=int, metavar="N", help="take the first N usable seeds")
    add("--target", type=int, metavar="N", help="stop at exactly N accepted evolved rows")
    add("--out", type=Path, metavar="DIR", help="the run folder; an existing one is resumed")
    add("--cache", metavar="FILE", help="completion cache that runs share")
    add("--dry-run", action="store_true", help="print calls, tokens, price and hours, and stop")
    add("--max-usd", type=float, metavar="X", help="most money, by the price table")
    add("--max-tokens", type=int, metavar="N", help="most tokens paid for")
    add("--max-hours", type=float, metavar="H", help="longest time of this invocation")
    add("--seed", type=int, metavar="N", help="root of all randomness")
    add(
        "--sandbox",
        choices=LEVELS,
        help="least protection under which answers are run",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Run, resume or estimate."""
    config = configs.load(args.config, [*_from_flags(args), *args.set])
    heuristics = resolve(config.evolve)
    folder = args.out or Path("runs") / config.fingerprint[:8]
    if args.dry_run:
        from evolcoder.app import estimate  # noqa: PLC0415 - a run need not wait for it

        rates = estimate.measured_rates(folder)
        _show_estimate(estimate.estimate(config, heuristics, rates), rates, as_json=args.json)
        return 0
    _collect_less()
    limit = run_cancellable(evolve_run(config, heuristics, folder))
    with RunStore.read(folder) as store:
        paths = export.write(store, config)
        show.outcome(store, paths, target=config.budget.target, as_json=args.json)
        if note := pipeline.unjudged_note(store):
            print(f"evolcoder: {note}", file=sys.stderr)
    if limit is not None:
        raise limit
    return 0


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


def _collect_less() -> None:
    """Have the collector look at new objects now and then, and never again at what is loaded.

    A run makes many short-lived objects and next to no cycles: at the default thresholds the
    collector takes a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _show_estimate(parts: "list[CostLine]", rates: "TokenRates", *, as_json: bool) -> None:
    """Print what a run will cost."""
    from evolcoder.app.estimate import CHARS_PER_TOKEN, SAMPLE, total  # noqa: PLC0415 - as above

    if as_json:
        output.print_json({"parts": [asdict(p) for p in parts], "habits": asdict(rates)}, indent=2)
        return
    print(f"{'part':<10}{'calls':>10}{'tokens sent':>14}{'received':>12}{'price':>12}{'hours':>8}")
    for part in [*parts, total(parts)]:
        price = f"${part.usd:,.2f}" if part.usd is not None else "unknown"
        print(
            f"{part.role:<10}{part.calls:>10,}{part.prompt_tokens:>14,}"
            f"{part.completion_tokens:>12,}{price:>12}{part.hours:>8.1f}"
        )
    print(f"prompts: counted on up to {SAMPLE} seeds at {CHARS_PER_TOKEN} characters per token")
    print(f"answers: {rates.source}")
    print(f"prices: table of {PRICES_AS_OF}, and `prices` of the config")
