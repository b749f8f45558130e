"""Executes a run: reads seeds, opens models and sandbox, evolves in rounds, cleans the rows.

Config, seeds, models, prices and sandbox are checked before the first request. An interrupted run
resumes from its folder.

>>> await evolve_run(config, resolve(config.evolve), Path("runs/a"))   # doctest: +SKIP
"""

from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from evolcoder.app import batches, models, provenance, verify
from evolcoder.app.models import Engines
from evolcoder.app.progress import show_progress
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
    from evolcoder.deduplication.summary import LeakDetector


async def evolve_run(
    config: Config,
    heuristics: tuple[Heuristic, ...],
    folder: Path,
    engines: Engines | None = None,
) -> BudgetReached | None:
    """Run all rounds and clean the rows; return the budget limit that stopped it early, if any.

    `folder` is created, or resumed if it holds a run. `engines` are open models by their spec in
    the config; they stay open. Raises UserError for wrong config or input, EngineError and
    SandboxError for failures of models and sandbox.
    """
    new_seeds = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    async with AsyncExitStack() as stack:
        sandbox = await verify.start_sandbox(config.verify, stack)
        opened = await models.open_models(config, stack, engines)
        prices = models.find_prices(config, opened.all())
        store = stack.enter_context(RunStore.create(folder, config))
        languages = verify.resolve_languages(store, config, sandbox)
        if store.meta(SEEDS_META) is None:
            seeds = new_seeds or read_seeds(config.seeds)
            _import(store, config, seeds, unverified=config.verify.seeds and bool(languages))
        budget = models.open_budget(config, store, prices)
        factory = models.ModelFactory(config, budget, prices, stack)
        roles = models.bind_roles(config, opened, factory)
        provenance.record(store, config, heuristics, roles)
        embedder, leak_detector = _embedder(config.clean), await _leak_detector(config, stack)
        verifier_models = _verifier_models(config, opened, factory)
        pipeline = Pipeline(
            store, config, roles, heuristics=heuristics,
            in_flight=models.max_in_flight(config, opened),
            checks=verify.make_checks(config, sandbox, languages, verifier_models),
        )  # fmt: skip
        limit = None
        try:
            waits = batches.progress(one.engine for one in opened.all())
            async with show_progress(pipeline.tally, budget, waits):
                await pipeline.run()
        except BudgetReached as reached:
            limit = reached
            store.add_event("budget", str(limit))
        from evolcoder.app.clean import clean_run  # noqa: PLC0415 - imports numpy

        await clean_run(
            store, config.clean, seed=config.seed, embedder=embedder, leak_detector=leak_detector
        )
        return limit


def _embedder(config: CleanConfig) -> "Embedder | None":
    if config.meaning is None:
        return None
    from evolcoder.app.detectors import embedder_for  # noqa: PLC0415 - imports numpy

    return embedder_for(config)


async def _leak_detector(config: Config, stack: AsyncExitStack) -> "LeakDetector | None":
    if not config.clean.against:
        return None
    from evolcoder.app import detectors  # noqa: PLC0415 - slow import, rarely needed

    return await detectors.open_leak_detector(config, stack)


def _verifier_models(
    config: Config, opened: models.Models, factory: models.ModelFactory
) -> verify.VerifierModels:
    responder = models.bind_role(config.responder, opened.responder, factory)
    writer = models.bind_role(config.responder, opened.tester or opened.responder, factory)
    judge = models.bind_role(config.judge, opened.judge, factory) if opened.judge else None
    return verify.VerifierModels(writer, responder, judge)


def _import(store: RunStore, config: Config, seeds: Seeds, *, unverified: bool) -> None:
    """Write the seeds into a new run; delete the run folder if one is invalid."""
    records = (
        record
        for record in seeds
        if not (config.respond.reanswer_seeds and isinstance(record, Response))
    )
    try:
        store.add_seeds(records, unverified=unverified)
    except UserError:
        store.discard()
        raise
    store.set_meta(SEEDS_META, asdict(seeds.report()))
    store.db.flush()
