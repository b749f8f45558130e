"""`evolcoder verify`: checks every row of a data set, and writes what is left and every verdict.

The folder is a run's: the same command goes on after an interruption, `inspect` shows a row with
its verdicts, and `export` writes what was kept in any format.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from evolcoder.app import export, models, verify
from evolcoder.cli import output, show
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.config import load as configs
from evolcoder.errors import ConfigError
from evolcoder.records import Check
from evolcoder.sandbox.pool import LEVELS
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel
from evolcoder.verification import pipeline

FLAGS = {
    "sandbox": "verify.sandbox",
    "model": "evolver.model",
    "seed": "seed",
    "cache": "cache",
    "max_usd": "budget.max_usd",
    "max_tokens": "budget.max_tokens",
}
"""Flag -> the config key that it sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", help="a file in any format that `run` takes seeds in, or a Hub data set id")
    add("--out", type=Path, metavar="DIR", help="folder of the result; an existing one is resumed")
    add("--checks", metavar="NAME,...", help=f"of {', '.join(Check)} (runs)")
    add("--model", metavar="SPEC", help=f"who writes tests: {models.FORMS}")
    add("--config", type=Path, metavar="FILE", help="a YAML file with the same keys as a run's")
    add("--sandbox", choices=LEVELS, help="least protection under which programs run (strict)")
    add("--workers", type=int, metavar="N", help="programs at a time (cores and one more)")
    add("--max-usd", type=float, metavar="X", help="most money, by the price table")
    add("--max-tokens", type=int, metavar="N", help="most tokens paid for")
    add("--seed", type=int, metavar="N", help="root of all randomness")
    add("--cache", metavar="FILE", help="completion cache that runs share")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Verify a data set, or go on with it."""
    config = configs.load(args.config, [*_from_flags(args), *args.set])
    if verify.needs_model(config.verify) and not (args.model or args.config):
        asking = ", ".join(sorted(verify.ASKING & set(config.verify.checks)))
        raise ConfigError(f"--checks {asking}: a model writes these; name it with --model")
    folder = args.out or Path("runs") / f"verified-{config.fingerprint[:8]}"
    limit = run_cancellable(verify.verify_rows(config, folder, workers=args.workers))
    with RunStore.read(folder) as store:
        paths = [*export.write(store, config), verify.write_verdicts(store)]
        _show(store, paths, as_json=args.json)
    if limit is not None:
        raise limit
    return 0


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    yield f"seeds.path={json.dumps(args.data)}"
    yield from ("budget.rounds=0", "verify.when=always", "verify.seeds=true")
    if args.checks is not None:
        yield f"verify.checks={json.dumps(_known(args.checks.split(',')))}"
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in list(Check):
            raise ConfigError(f"--checks {name}: known checks are {', '.join(Check)}")
    return names


def _show(store: RunStore, paths: list[Path], *, as_json: bool) -> None:
    counts = pipeline.count_findings(store)
    if as_json:
        found: dict[str, dict[str, int]] = {}
        for (check, kind), n in counts.items():
            found.setdefault(check, {})[kind] = n
        output.print_json({**show.summary(store, paths), "verdicts": found}, indent=2)
        return
    print(show.funnel_table(funnel(store)))
    print(f"\n{'check':<12}{'finding':<20}{'rows':>8}")
    for (check, kind), n in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{check:<12}{kind:<20}{n:>8}")
    print()
    for line in show.protection_lines(store):
        print(line)
    if note := pipeline.unjudged_note(store):
        print(f"note    {note}")
    for path in paths:
        print(f"written {path}")
    print(f"look    evolcoder inspect {store.folder} ID")
