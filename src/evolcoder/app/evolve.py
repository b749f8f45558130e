"""Runs the evolution of a run folder: seeds, models, checks, rounds, cleaning.

Everything that the user can get wrong is checked before a model is asked. A run that was
interrupted resumes from its folder.

>>> await evolve_run(config, resolve(config.evolve), Path("runs/a"))   # doctest: +SKIP
"""

from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from evolcoder.app import models, provenance, verify
from evolcoder.app.models import Engines
from evolcoder.app.progress import shown
from evolcoder.config.load import CleanConfig, Config
from evolcoder.errors import BudgetReached, UserError
from evolcoder.evolution.heuristics import Heuristic
from evolcoder.pipeline import Pipeline
from evolcoder.records import Response
from evolcoder.seeds.read import Seeds, read_seeds
from evolcoder.storage.run_store import DB_NAME, RunStore
from evolcoder.storage.stats import SEEDS_META

if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder
    from evolcoder.deduplication.rows import Leaked


async def evolve_run(
    config: Config,
    heuristics: tuple[Heuristic, ...],
    folder: Path,
    engines: Engines | None = None,
) -> BudgetReached | None:
    """Go through all rounds and clean what they made; return the limit that ended them early.

    `folder` is made, or resumed where it is there. `engines` are models that are open already, by
    the spec that the config names them by; they stay open. Raises UserError for what the user can
    mend, EngineError and SandboxError for what failed.
    """
    fresh = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    async with AsyncExitStack() as stack:
        held = await verify.hold(config.verify, stack)
        opened = await models.open_models(config, stack, engines)
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
        from evolcoder.app.clean import clean_run  # noqa: PLC0415 - numpy, and not at the start

        await clean_run(store, config.clean, seed=config.seed, embedder=embedder, leaked=leaked)
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

    return await detectors.leak_finder(config, stack)


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
