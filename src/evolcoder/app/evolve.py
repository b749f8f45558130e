"""Executes a run: reads seeds, opens models and sandbox, evolves in rounds, cleans the rows.

Config, seeds, models, prices and sandbox are checked before the first request. An interrupted run
resumes from its folder.

>>> await evolve_run(config, Path("runs/a"))   # doctest: +SKIP
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evolcoder.app import batches, models, provenance, style, verify
from evolcoder.app.clean import clean_run
from evolcoder.app.models import Engines
from evolcoder.app.progress import print_note, show_progress
from evolcoder.config.load import CleanConfig, Config
from evolcoder.errors import BudgetReached, EngineError, Fault, RunFolderError, UserError
from evolcoder.evolution.respond import first_answer
from evolcoder.evolution.rules import is_hopeless
from evolcoder.evolution.styles import heuristics_of
from evolcoder.pipeline import Pipeline, RoleModels
from evolcoder.records import Drop, Origin, Response, Stage, Task
from evolcoder.seeds.read import Seeds, read_seeds
from evolcoder.storage import pending
from evolcoder.storage.run_store import DB_NAME, RunStore
from evolcoder.storage.stats import ANSWERS_ASKED_META, ASKED_META, SEEDS_META, AnswersAskedFacts

if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder
    from evolcoder.deduplication.summary import LeakDetector


def default_folder(config: Config, prefix: str = "") -> Path:
    """Return the folder of a run that the user did not name.

    It is named by the fingerprint; a folder that an earlier version named is used on.
    """
    new, earlier = (Path("runs") / f"{prefix}{one[:8]}" for one in config.fingerprints)
    return earlier if (earlier / DB_NAME).exists() and not new.exists() else new


async def evolve_run(
    config: Config,
    folder: Path,
    engines: Engines | None = None,
    *,
    retry_rejected: bool = False,
) -> BudgetReached | None:
    """Run all rounds and clean the rows; return the budget limit that stopped it early, if any.

    `folder` is created, or resumed if it holds a run. A new run that the set-up stops before a
    model answered leaves no folder, so that it may be started with another model or parameter.
    `engines` are open models by their spec in the config; they stay open. With `retry_rejected`,
    rows that a server rejected or failed at are asked again; if the server, the model or its
    parameters changed, they are in any case. Raises UserError for wrong config or input,
    EngineError and SandboxError for failures of models and sandbox.
    """
    heuristics_of(config.evolve)  # raises ConfigError
    is_new = not (folder / DB_NAME).exists()
    try:
        return await _evolve_run(config, folder, engines, retry_rejected=retry_rejected)
    except (EngineError, UserError) as error:
        is_setup = not isinstance(error, EngineError) or error.fault is Fault.SETUP
        if is_new and is_setup:
            _discard_unused(config, folder)
        raise


async def _evolve_run(
    config: Config,
    folder: Path,
    engines: Engines | None,
    *,
    retry_rejected: bool,
) -> BudgetReached | None:
    new_seeds = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    batches.check_cache(config)
    async with AsyncExitStack() as stack:
        known = models.resume(stack, RunStore.create, folder / DB_NAME, config)
        sandbox = await verify.start_sandbox(config, stack)
        opened = await models.open_models(config, stack, engines)
        prices = models.find_prices(config, opened.all())
        store = models.note_replaced(known or stack.enter_context(RunStore.create(folder, config)))
        config = verify.with_known_checks(store, config)
        if retry_rejected:
            verify.take_languages(store, sandbox)
        languages = verify.resolve_languages(store, config, sandbox)
        provenance.note_changed_seeds(store, config)
        _import(store, config, new_seeds, unverified=config.verify.seeds and bool(languages))
        budget = models.open_budget(config, store, prices)
        factory = models.ModelFactory(config, budget, prices, stack)
        roles = models.bind_roles(config, opened, factory)
        chosen = style.known_style(store, config, opened.evolver)
        provenance.record(store, config, style.heuristics_before(config, chosen), roles)
        verifier_models = _verifier_models(config, opened, factory)
        _reopen(store, config, roles, verifier_models, always=retry_rejected)
        embedder, leak_detector = _embedder(config.clean), await _leak_detector(config, stack)
        given = (config, sandbox, languages, verifier_models)
        checks, chooser = verify.make_checks(*given), verify.make_chooser(*given)
        _reopen_answers(store, config, unjudged=retry_rejected)
        waits = batches.progress(asked := [one.engine for one in opened.all()])
        limit: BudgetReached | None = None
        try:
            own = await style.settle(store, config, chosen, roles.evolver, waits)
            in_flight = _max_in_flight(config, opened, sandbox)
            pipeline = Pipeline(
                store, own, roles, heuristics=heuristics_of(own.evolve), checks=checks,
                in_flight=in_flight, chooser=chooser,
            )  # fmt: skip
            async with show_progress(pipeline.tally, budget, asked, waits, workers=sandbox.workers):
                await verify.check_added(store, config, checks, in_flight=in_flight)
                await pipeline.run()
            limit = budget.exceeded()
        except BudgetReached as reached:
            limit = reached
        if limit is not None:
            store.add_event("budget", str(limit))
        await clean_run(
            store, config.clean, seed=config.seed, embedder=embedder, leak_detector=leak_detector
        )
        return limit


def _max_in_flight(config: Config, opened: models.Models, sandbox: verify.SandboxHandle) -> int:
    """Return the limit of records in flight; on a cluster, enough for all of its sandboxes too.

    A run with a target stops after it with fewer, since what is in flight then is paid for.
    """
    in_flight = models.max_in_flight(config, opened)
    is_on_cluster = config.cluster.address is not None and config.budget.target is None
    return in_flight + 2 * sandbox.workers if is_on_cluster else in_flight


def _discard_unused(config: Config, folder: Path) -> None:
    """Delete a run in which no model answered anything, unless the folder holds other files."""
    if not (folder / DB_NAME).exists():
        return
    try:
        store = RunStore.create(folder, config)
    except RunFolderError:  # of another process, or not usable, which was told
        return
    n_made = """SELECT (SELECT COUNT(*) FROM calls) + (SELECT COUNT(*) FROM possible_calls)
        + (SELECT COUNT(*) FROM tasks WHERE round > 0)
        + (SELECT COUNT(*) FROM responses WHERE model IS NOT NULL)"""
    if store.db.number(n_made) or not store.is_alone:
        store.close()
    else:
        store.discard()


def _reopen(
    store: RunStore,
    config: Config,
    roles: RoleModels,
    verifier_models: verify.VerifierModels,
    *,
    always: bool,
) -> None:
    """Reopen what servers did not answer at each stage whose models or parameters changed.

    `always` reopens it at every stage, with the checks at which the sandbox or a check failed.
    """
    evolve = [models.asked_of(config.evolver, config.evolver.model, roles.evolver)]
    if roles.judge is not None:
        evolve.append(models.asked_of(config.judge, config.judge.model, roles.judge))
    respond = [
        models.asked_of(
            config.responder, config.responder.model or config.evolver.model, roles.responder
        )
    ]
    tester = config.verify.tester or config.responder.model or config.evolver.model
    test = [*respond, models.asked_of(config.responder, tester, verifier_models.writer)]
    asked = {Stage.EVOLVE.value: evolve, Stage.RESPOND.value: respond, Stage.VERIFY.value: test}
    makers = {Stage.EVOLVE: roles.evolver.identity, Stage.RESPOND: roles.responder.identity}
    known = store.meta(ASKED_META)
    n = 0
    for stage, maker in makers.items():
        if known is None:  # a new run, or one of an earlier version
            n += pending.reopen_asked(store, stage, unless_made_by=None if always else maker)
        elif always or known.get(stage) != asked[stage]:
            n += pending.reopen_asked(store, stage, unless_made_by=None)
    if n:
        store.add_event("reopened", f"{n} drops by model servers")
        print_note(f"asking again for {n} rows that a model server rejected or failed at")
    known_tests = (known or {}).get(Stage.VERIFY.value, test)
    n = 0
    if always or known_tests != test:
        n = pending.forget_unjudged(store, unjudged=always)
    if n:
        store.add_event("reopened", f"{n} rows that were not judged")
        print_note(f"checking {n} rows again that could not be judged")
    if known is not None and known.get(Stage.RESPOND.value) != respond:
        store.set_meta(ANSWERS_ASKED_META, {"n": 0})
    store.set_meta(ASKED_META, asked)


def _reopen_answers(store: RunStore, config: Config, *, unjudged: bool) -> None:
    """Reopen the rows with fewer answers than the config now says, where answers are chosen.

    Once: what a server refused is asked again if `unjudged`, or if another model is asked.
    """
    wanted = config.respond.candidates
    if wanted == 1:
        return
    known = store.meta(ANSWERS_ASKED_META, AnswersAskedFacts)
    if unjudged or known is None or known["n"] < wanted:
        first = partial(first_answer, config=config)
        if n := pending.reopen_answers(store, wanted, first, unjudged=unjudged):
            store.add_event("reopened", f"{n} rows with fewer than {wanted} answers")
        store.set_meta(ANSWERS_ASKED_META, {"n": wanted})
    if n := pending.n_reopened(store):
        print_note(f"asking for further answers to {n} tasks, up to {wanted} each")


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


def _import(store: RunStore, config: Config, seeds: Seeds | None, *, unverified: bool) -> None:
    """Write the seeds into a run that has none; delete the run folder if one is invalid."""
    if store.meta(SEEDS_META) is not None:
        return
    seeds = seeds or read_seeds(config.seeds)
    records = (
        record
        for record in seeds
        if not (config.respond.reanswer_seeds and isinstance(record, Response))
    )
    n_hopeless = 0

    def counted() -> Iterator[Origin | Task | Response | Drop]:
        nonlocal n_hopeless
        for record in records:
            if isinstance(record, Task) and is_hopeless(record.instruction, config.eliminate):
                n_hopeless += 1
            yield record

    try:
        store.add_seeds(counted(), unverified=unverified)
    except UserError:
        store.discard()
        raise
    if n_hopeless:
        _note_hopeless(n_hopeless, config.eliminate.max_words)
    store.set_meta(SEEDS_META, asdict(seeds.report()))
    provenance.record_seeds_file(store, config)
    store.db.flush()
    verify.note_read(seeds)


def _note_hopeless(n: int, max_words: int) -> None:
    seeds_have = "1 seed has" if n == 1 else f"{n} seeds have"
    print_note(
        f"{seeds_have} {max_words} words or more (eliminate.max_words), so no evolution can pass: "
        f"such a seed is a row of the run, answered if it has no answer, and never evolved"
    )
