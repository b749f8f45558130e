"""`evolcoder run`: seeds in, a harder and answered training set out; resumes what was begun.

Everything that the user can get wrong is looked at before anything is paid for.
"""

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from evolcoder.app import export, models, provenance, verify
from evolcoder.app.clean import clean_run
from evolcoder.app.progress import shown
from evolcoder.cli import show
from evolcoder.cli.cancellation import until_told
from evolcoder.config import load as configs
from evolcoder.config.load import CleanConfig, Config
from evolcoder.config.schema import SandboxLevel
from evolcoder.errors import BudgetReached, UserError
from evolcoder.evolve.heuristics import Heuristic, resolve
from evolcoder.pipeline import Pipeline
from evolcoder.records import Response
from evolcoder.seeds.read import Seeds, read_seeds
from evolcoder.storage.run_store import DB_NAME, RunStore
from evolcoder.storage.stats import SEEDS_META
from evolcoder.verify import pipeline

if TYPE_CHECKING:
    from evolcoder.dedup.embedders import Embedder
    from evolcoder.dedup.rows import Leaked

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

        return estimate.show(config, heuristics, folder, as_json=args.json)
    _collect_less()
    limit = until_told(_run(config, heuristics, folder))
    with RunStore.read(folder) as store:
        paths = export.write(store, config)
        show.outcome(store, paths, target=config.budget.target, as_json=args.json)
        if note := pipeline.note_of_unjudged(store):
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


async def _run(
    config: Config, heuristics: tuple[Heuristic, ...], folder: Path
) -> BudgetReached | None:
    """Open everything and go through the rounds; return the limit that ended them early."""
    fresh = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    async with AsyncExitStack() as stack:
        held = await verify.hold(config.verify, stack)
        opened = await models.open_models(config, stack)
        prices = models.prices_of(config, opened.all())
        store = stack.enter_context(RunStore.create(folder, config))
        languages = verify.settle(store, config, held)
        if store.meta(SEEDS_META) is None:
            seeds = fresh or read_seeds(config.seeds)
            _import(store, config, seeds, waits=config.verify.seeds and bool(languages))
        meter = models.open_meter(config, store, prices)
        purse = models.ModelFactory(config, meter, prices, stack)
        cast = models.make_cast(config, opened, purse)
        provenance.record(store, config, heuristics, cast)
        embedder, leaked = _embedder(config.clean), await _leaked(config, stack)
        rounds = Pipeline(
            store, config, cast, heuristics=heuristics, in_flight=models.in_flight(config, opened),
            checks=verify.checks_of(config, held, languages, _askers(config, opened, purse)),
        )  # fmt: skip
        limit = None
        try:
            async with shown(rounds.tally, meter):
                await rounds.run()
        except BudgetReached as reached:
            limit = reached
            store.add_event("budget", str(limit))
        settings, seed = config.clean, config.seed
        cleaned = partial(clean_run, store, settings, seed=seed, embedder=embedder, leaked=leaked)
        if leaked is None:
            cleaned()
        else:  # it asks this loop to look, and waits for it
            await asyncio.to_thread(cleaned)
        return limit


def _embedder(wanted: CleanConfig) -> "Embedder | None":
    if wanted.meaning is None:
        return None
    from evolcoder.app.detectors import embedder_for  # noqa: PLC0415 - numpy, and few need it

    return embedder_for(wanted)


async def _leaked(config: Config, stack: AsyncExitStack) -> "Leaked | None":
    if not config.clean.against:
        return None
    from evolcoder.app import detectors  # noqa: PLC0415 - half of the house, and few need it

    return await detectors.opened_within(config, stack)


def _askers(
    config: Config, opened: models.Models, purse: models.ModelFactory
) -> verify.VerifierModels:
    role = models.role_of(config.responder, opened.responder, purse)
    writer = models.role_of(config.responder, opened.tester or opened.responder, purse)
    judge = models.role_of(config.judge, opened.judge, purse) if opened.judge else None
    return verify.VerifierModels(writer, role, judge)


def _import(store: RunStore, config: Config, seeds: Seeds, *, waits: bool) -> None:
    """Write the seeds' records into a new run; a fault in them leaves no run behind."""
    records = (
        record
        for record in seeds
        if not (config.respond.reanswer_seeds and isinstance(record, Response))
    )
    try:
        store.add_seeds(records, waits=waits)
    except UserError:
        store.discard()
        raise
    store.set_meta(SEEDS_META, asdict(seeds.report()))
    store.db.flush()
