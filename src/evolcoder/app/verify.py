"""Sets up verification: sandbox, languages, checks, and the verification of a whole data set.

The first session of a run records whether and how it verifies. A resumed run verifies in the same
way, and is refused on a machine whose sandbox or toolchains cannot.

>>> async with AsyncExitStack() as stack:   # doctest: +SKIP
...     handle = await start_sandbox(config.verify, stack)
...     languages = resolve_languages(store, config, handle)
...     checks = make_checks(config, handle, languages, None)
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from evolcoder.app import batches, models, provenance
from evolcoder.app.progress import Work, print_note, show_text
from evolcoder.config.load import ClusterConfig, Config, VerifyConfig, load
from evolcoder.engine.base import Role
from evolcoder.errors import (
    BudgetReached,
    ConfigError,
    RunFolderError,
    SandboxRefusedError,
    UserError,
)
from evolcoder.records import Check, Drop, Origin, Response, Stage, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.seeds.read import Seeds, read_seeds
from evolcoder.storage import atomic, pending
from evolcoder.storage.lineage import LineageStep, steps
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore
from evolcoder.storage.stats import (
    ASKED_META,
    IN_PLACE_META,
    SEEDS_META,
    VERIFY_META,
    VerifyFacts,
)
from evolcoder.storage.workdir import FolderFacts
from evolcoder.verification.pipeline import (
    RowCheck,
    RowVerifier,
    Verifier,
    VerifyProgress,
    drop_unanswered,
    dropping,
)

if TYPE_CHECKING:
    from evolcoder.cluster.sandbox import ClusterSandbox
    from evolcoder.sandbox.pool import PoolSandbox
    from evolcoder.verification.agreement.choose import AnswerChooser

VERDICTS = "verdicts.jsonl"
"""Name of the file with all verdicts, in the folder of a verified data set."""
MODEL_CHECKS = frozenset({Check.TESTS, Check.DIFFICULTY})
"""Checks that need a model."""


@dataclass(frozen=True, slots=True)
class VerifierModels:
    """The models that checks use."""

    writer: Role
    """Writes tests."""
    responder: Role
    """Generates further answers to a task."""
    judge: Role | None
    """Counts a task's constraints, if the config names a judge."""


@dataclass(frozen=True, slots=True)
class SandboxHandle:
    """A running sandbox, or the reason why there is none."""

    sandbox: Sandbox | None
    """The sandbox."""
    languages: tuple[str, ...]
    """Languages that it can run."""
    layers: tuple[str, ...]
    """Active isolation layers."""
    why_not: str
    """Why there is no sandbox; otherwise empty."""
    workers: int = 0
    """Programs that it runs concurrently."""


async def start_sandbox(
    run: Config, stack: AsyncExitStack, *, workers: int | None = None
) -> SandboxHandle:
    """Start the sandbox for verification, here or on a cluster, or return why there is none.

    `workers` are those of this machine, or of each node. Raises SandboxRefusedError if the
    isolation level is unavailable and `verify.when` is `always`, or if a cluster was asked for.
    """
    cluster, config = run.cluster, run.verify
    if config.when == "never" or not config.checks:
        return SandboxHandle(
            None, (), (), "verify.when is never" if config.checks else "verify.checks is empty"
        )
    if cluster.address is not None:
        return await _start_on_cluster(cluster, config.sandbox, stack, workers)
    from evolcoder.sandbox.pool import PoolSandbox, usable_languages  # noqa: PLC0415 - slow import

    languages = tuple(usable_languages(config.sandbox))
    try:
        sandbox = await PoolSandbox.start(
            workers=workers, level=config.sandbox, languages=languages
        )
    except SandboxRefusedError as error:
        if config.when == "always":
            raise
        return SandboxHandle(None, (), (), str(error))
    stack.push_async_callback(sandbox.aclose)
    return _handle(sandbox, languages)


async def _start_on_cluster(
    config: ClusterConfig, level: str, stack: AsyncExitStack, workers: int | None
) -> SandboxHandle:
    from evolcoder.app import cluster  # noqa: PLC0415 - rarely needed

    options = cluster.SandboxOptions(level, workers or config.sandboxes_per_node, languages=None)
    sandbox = await cluster.start_sandbox(config, options, stack)
    return _handle(sandbox, sandbox.languages)


def _handle(sandbox: "PoolSandbox | ClusterSandbox", languages: Sequence[str]) -> SandboxHandle:
    layers = tuple(map(str, sandbox.layers))
    return SandboxHandle(sandbox, ("python", *languages), layers, "", sandbox.workers)


def resolve_languages(store: RunStore, config: Config, handle: SandboxHandle) -> Sequence[str]:
    """Return the languages that a run verifies; empty if it does not verify.

    The first session stores them with level, checks and layers; later sessions must support them,
    or SandboxRefusedError is raised. If verification is enabled but the run does not verify, prints
    the reason on stderr.
    """
    recorded = store.meta(VERIFY_META, VerifyFacts)
    checks = [check.value for check in config.verify.checks]
    if recorded is not None and recorded["checks"] and not {*checks} <= {*recorded["checks"]}:
        recorded = {**recorded, "checks": checks}
        store.set_meta(VERIFY_META, recorded)
    if recorded is None:
        is_older = "verify" not in (store.meta("config", FolderFacts) or {})
        why_not = "an older version created it" if is_older else handle.why_not
        recorded = {
            "level": "" if why_not else config.verify.sandbox,
            "checks": [] if why_not else checks,
            "languages": [] if why_not else handle.languages,
            "layers": [] if why_not else handle.layers,
            "seeds": config.verify.seeds and not why_not,
            "why_not": why_not,
        }
        store.set_meta(VERIFY_META, recorded)
        store.db.flush()
    if not recorded["checks"]:
        if config.verify.when != "never":
            print_note(f"rows of this run are not verified: {recorded['why_not']}")
        return ()
    if handle.sandbox is None:
        raise SandboxRefusedError(f"this run verifies its rows, but: {handle.why_not}")
    missing = [name for name in recorded["languages"] if name not in handle.languages]
    if missing:
        raise SandboxRefusedError(
            f"this run verifies programs in {', '.join(missing)}, but their toolchains are not "
            f"installed; run evolcoder doctor to see what to install"
        )
    _intersect_layers(store, recorded, handle)
    return tuple(recorded["languages"])


def take_languages(store: RunStore, handle: SandboxHandle) -> None:
    """Verify rows in the languages whose tools were installed since the first session, too."""
    recorded = store.meta(VERIFY_META, VerifyFacts)
    if recorded is not None and recorded["checks"]:
        languages = list(dict.fromkeys((*recorded["languages"], *handle.languages)))
        store.set_meta(VERIFY_META, {**recorded, "languages": languages})
        store.db.flush()


def _intersect_layers(store: RunStore, recorded: dict[str, Any], handle: SandboxHandle) -> None:
    """Reduce the run's stored layers to those active in every session."""
    layers = [layer for layer in recorded.get("layers", ()) if layer in handle.layers]
    if layers != recorded.get("layers", []):
        store.set_meta(VERIFY_META, {**recorded, "layers": layers})
        store.db.flush()


def program_limits(config: VerifyConfig) -> Limits:
    """Return the resource limits of one program."""
    return Limits(
        cpu_s=config.cpu_s, wall_s=config.wall_s, memory_mb=config.memory_mb, processes=128
    )


def needs_model(config: VerifyConfig) -> bool:
    """Whether any check needs a model."""
    return not MODEL_CHECKS.isdisjoint(config.checks)


def _asked_specs(config: Config, *, has_named: bool) -> list[tuple[str, str]]:
    """Return the specs of the models that checks ask, each with the role whose section it has.

    `bound` asks a model that was named for this verification, and none otherwise.
    """
    tester, measures = config.verify.tester, Check.BOUND in config.verify.checks
    asks_tester = tester is not None and (needs_model(config.verify) or measures)
    asks_named = measures and has_named and tester is None
    specs = [(config.evolver.model, "evolver")] if needs_model(config.verify) or asks_named else []
    return [*specs, (tester, "tester")] if tester is not None and asks_tester else specs


def make_checks(
    config: Config,
    handle: SandboxHandle,
    languages: Sequence[str],
    verifier_models: VerifierModels | None,
) -> tuple[RowCheck, ...]:
    """Create the configured checks, each after those whose findings it uses.

    Without `verifier_models`, checks that need a model are left out.
    """
    if handle.sandbox is None or not languages:
        return ()
    from evolcoder.verification.distractor import DistractorCheck  # noqa: PLC0415 - as above
    from evolcoder.verification.execution.check import ExecutionCheck  # noqa: PLC0415
    from evolcoder.verification.generated_tests.check import GeneratedTestsCheck  # noqa: PLC0415
    from evolcoder.verification.metrics import ComplexityCheck, MetricsCheck, PassRateCheck  # noqa: PLC0415

    sandbox, settings, seed = handle.sandbox, config.verify, config.seed
    limits = program_limits(settings)
    checks: dict[Check, RowCheck] = {
        Check.RUNS: ExecutionCheck(
            sandbox, languages=languages, limits=limits, works=_toolchain_probe(sandbox)
        ),
        Check.BAIT: DistractorCheck(sandbox, settings),
        Check.BOUND: ComplexityCheck(
            sandbox, seed, settings.memory_mb, verifier_models.writer if verifier_models else None
        ),
        Check.SHAPE: MetricsCheck(verifier_models.judge if verifier_models else None, seed),
    }
    if verifier_models is not None:
        writer, responder = verifier_models.writer, verifier_models.responder
        checks[Check.TESTS] = GeneratedTestsCheck(writer, responder, sandbox, seed, settings)
        checks[Check.DIFFICULTY] = PassRateCheck(responder, sandbox, limits, settings.samples, seed)
    return tuple(checks[check] for check in Check if check in settings.checks and check in checks)


def make_chooser(
    config: Config,
    handle: SandboxHandle,
    languages: Sequence[str],
    verifier_models: VerifierModels | None,
) -> "AnswerChooser | None":
    """Create what chooses among several answers to a task; None where one is asked for.

    Raises ConfigError if several are, and they could not be run.
    """
    if config.respond.candidates == 1:
        return None
    if handle.sandbox is None or not languages:
        why = handle.why_not or "this run does not verify its rows"
        raise ConfigError(
            f"respond.candidates={config.respond.candidates}: answers are compared by running "
            f"them, and here they cannot be run: {why}"
        )
    from evolcoder.verification.agreement.choose import AnswerChooser  # noqa: PLC0415 - as above

    tests = Check.TESTS in config.verify.checks or config.verify.tester is not None
    writer = verifier_models.writer if verifier_models and tests else None
    return AnswerChooser(handle.sandbox, config, languages, writer)


def _toolchain_probe(sandbox: Sandbox) -> Callable[[str], Awaitable[bool]]:
    """Return a function that checks whether a language's programs run, and notes a failure once.

    A compiler without its C library would fail every program.
    """
    from evolcoder.sandbox.requirements import Requirements  # noqa: PLC0415 - as above

    requirements, reported = Requirements(sandbox), set[str]()

    async def works(language: str) -> bool:
        missing = [one for one in await requirements.missing(language) if one.stops_all]
        if missing and language not in reported:
            reported.add(language)
            print_note(f"{missing[0]}; answers in {language} are not run")
        return not missing

    return works


async def verify_rows(
    config: Config,
    folder: Path,
    *,
    workers: int | None = None,
    engines: models.Engines | None = None,
    retry_rejected: bool = False,
    has_named_model: bool = False,
) -> BudgetReached | None:
    """Verify every row of the config's data set; return the budget limit that stopped it, if any.

    `folder` is created as a run folder, or resumed if it holds one. `engines` are open models by
    their spec in the config; they stay open. If the server, the model or its parameters changed,
    rows are checked again whose checks a model server rejected or failed at; with `retry_rejected`
    also those at which the sandbox or a check failed, or that lacked the tools of a language.
    `has_named_model`: the config's model was named for this verification, so `bound` may ask it.
    """
    new_seeds = None if (folder / DB_NAME).exists() else read_seeds(config.seeds, every=True)
    if _asked_specs(config, has_named=has_named_model):
        batches.check_cache(config)
    async with AsyncExitStack() as stack:
        known = models.resume(stack, RunStore.create, folder / DB_NAME, config)
        handle = await start_sandbox(config, stack, workers=workers)
        opened = await _open_models(config, stack, engines, has_named=has_named_model)
        store = models.note_replaced(known or stack.enter_context(RunStore.create(folder, config)))
        config = with_known_checks(store, config)
        if retry_rejected:
            take_languages(store, handle)
        languages = resolve_languages(store, config, handle)
        provenance.note_changed_seeds(store, config)
        if store.meta(SEEDS_META) is None:
            seeds = new_seeds or read_seeds(config.seeds, every=True)
            _import(store, drop_unanswered(seeds, seeds.why_unanswered))
            note_read(seeds)
            store.set_meta(SEEDS_META, asdict(seeds.report()))
            provenance.record_seeds_file(store, config)
        provenance.record_verification(store, config)
        verifier_models = _verifier_models(config, store, opened, stack)
        _reopen(store, config, verifier_models, always=retry_rejected)
        _measure_with_tester(store, config, verifier_models)
        checks = make_checks(config, handle, languages, verifier_models)
        _need_all(store, config, checks)
        rows = _row_verifier(store, config, checks, handle, has_models=verifier_models is not None)
        return await _show_verifying(store, rows, opened, rows.run, _added(rows, seeds=True))


async def verify_run(
    config: Config,
    folder: Path,
    *,
    workers: int | None = None,
    engines: models.Engines | None = None,
    retry_rejected: bool = False,
    has_named_model: bool = False,
) -> BudgetReached | None:
    """Verify the rows that a run kept, in its folder; return the budget limit that stopped it.

    `config` is the run's, with further checks in `verify.checks` or other models. A row that fails
    a check is dropped, and its response stays in the folder. Rows with all verdicts are not
    checked again.
    """
    async with AsyncExitStack() as stack:
        with RunStore.read(folder) as known:
            own = load(folder / CONFIG_NAME)
            recorded = known.meta(VERIFY_META, VerifyFacts) or {"checks": []}
        level = recorded.get("level") if recorded["checks"] else config.verify.sandbox
        always = {"when": "always", "sandbox": level or config.verify.sandbox}
        always_verify = config.verify.model_copy(update=always)
        started = config.model_copy(update={"verify": always_verify})
        handle = await start_sandbox(started, stack, workers=workers)
        opened = await _open_models(config, stack, engines, has_named=has_named_model)
        checks = config.verify.checks
        own = own.model_copy(update={"verify": own.verify.model_copy(update={"checks": checks})})
        store = stack.enter_context(RunStore.create(folder, own))
        if retry_rejected:
            take_languages(store, handle)
        languages = _resolve_in_place(store, config, handle)
        if retry_rejected:
            pending.forget_unjudged(store)
        verifier_models = _verifier_models(config, store, opened, stack)
        _measure_with_tester(store, config, verifier_models)
        made = make_checks(config, handle, languages, verifier_models)
        rows = _row_verifier(store, config, made, handle, has_models=verifier_models is not None)
        store.add_event("verify", ", ".join(check.value for check in config.verify.checks))
        return await _show_verifying(store, rows, opened, _added(rows, seeds=True))


def with_known_checks(store: RunStore, config: Config) -> Config:
    """Return a config with the checks that the run has by now, and with what it drops."""
    known = (store.meta("config") or {}).get("verify", {})
    checks = tuple(map(Check, known.get("checks", config.verify.checks)))
    kept = {"checks": checks, "drop": tuple(known.get("drop", config.verify.drop))}
    return config.model_copy(update={"verify": config.verify.model_copy(update=kept)})


def _resolve_in_place(store: RunStore, config: Config, handle: SandboxHandle) -> Sequence[str]:
    """Return the languages in which a run's rows are verified; store that all of them are.

    A run that does not verify its rows continues without, so its own facts stay as they are.
    """
    recorded = store.meta(VERIFY_META, VerifyFacts)
    is_own = recorded is not None and bool(recorded["checks"])
    known = store.meta(IN_PLACE_META, VerifyFacts) or {"checks": (), "layers": handle.layers}
    named = {*config.verify.checks, *(recorded if is_own else known)["checks"]}
    checks = [check.value for check in Check if check in named]
    if is_own:
        store.set_meta(VERIFY_META, {**recorded, "checks": checks, "seeds": True})
        store.db.flush()
        return resolve_languages(store, config, handle)
    layers = [layer for layer in known.get("layers", ()) if layer in handle.layers]
    facts = {"level": config.verify.sandbox, "checks": checks, "languages": handle.languages}
    store.set_meta(IN_PLACE_META, {**facts, "layers": layers, "seeds": True})
    store.db.flush()
    return handle.languages


def _need_all(store: RunStore, config: Config, checks: Sequence[RowCheck]) -> None:
    """Raise ConfigError if rows wait for a check that needs a model, and none was named."""
    names = [check.value for check in config.verify.checks]
    missing = [name for name in names if name not in {check.check for check in checks}]
    waiting = pending.n_unverified_seeds(store) + pending.n_unchecked(store, names, seeds=True)
    if missing and waiting:
        raise ConfigError(
            f"{store.folder}: {waiting} rows wait for the checks {', '.join(missing)}; name the "
            f"model with --model"
        )


async def check_added(
    store: RunStore, config: Config, checks: Sequence[RowCheck], *, in_flight: int
) -> None:
    """Run checks that were added to a run on the rows that it kept before."""
    if not checks:
        return
    recorded = store.meta(VERIFY_META, VerifyFacts) or {}
    rows = RowVerifier(store, Verifier(store, checks, dropping(config)), in_flight=in_flight)
    await rows.run_added(seeds=bool(recorded.get("seeds", False)))


def _row_verifier(
    store: RunStore,
    config: Config,
    checks: Sequence[RowCheck],
    handle: SandboxHandle,
    *,
    has_models: bool,
) -> RowVerifier:
    verifier = Verifier(store, checks, config.verify.drop)
    in_flight = 2 * max(handle.workers, 1)
    if config.traffic.batch and has_models:
        in_flight = batches.MAX_IN_FLIGHT
    return RowVerifier(store, verifier, in_flight=in_flight)


def _added(rows: RowVerifier, *, seeds: bool) -> Callable[[], Awaitable[None]]:
    return lambda: rows.run_added(seeds=seeds)


async def _show_verifying(
    store: RunStore,
    rows: RowVerifier,
    opened: Mapping[str, models.OpenedModels],
    *steps: Callable[[], Awaitable[None]],
) -> BudgetReached | None:
    """Take the steps of a verification, and show how far it is."""
    try:
        waits = batches.progress(one.engine for one in opened.values())
        line, work = _progress_line, _work
        async with show_text(lambda: line(rows.progress, waits()), lambda: work(rows.progress)):
            for step in steps:
                await step()
    except BudgetReached as reached:
        store.add_event("budget", str(reached))
        return reached
    return None


def _import(store: RunStore, records: Iterable[Origin | Task | Response | Drop]) -> None:
    """Write the rows into a new folder; delete it if the data set cannot be read."""
    try:
        store.add_seeds(records, unverified=True)
    except UserError:
        store.discard()
        raise


def note_read(seeds: Seeds) -> None:
    """Say what was read of a data set, what was left out, and how many responses hold thinking."""
    print_note(seeds.read.text())
    if seeds.n_thoughts:
        print_note(
            f"{seeds.n_thoughts} responses hold thinking, which is kept apart: it is neither run "
            f"nor exported"
        )


async def _open_models(
    config: Config, stack: AsyncExitStack, engines: models.Engines | None, *, has_named: bool
) -> dict[str, models.OpenedModels]:
    """Open the models that checks need; returns open models by spec, `engines` included."""
    by_spec: dict[str, models.OpenedModels] = dict(engines or {})
    for spec, role in _asked_specs(config, has_named=has_named):
        if spec not in by_spec:
            section = models.section_of(config, role)
            by_spec[spec] = await models.open_model(spec, config, section)
            stack.push_async_callback(by_spec[spec].engine.aclose)
    return by_spec


def _verifier_models(
    config: Config,
    store: RunStore,
    by_spec: dict[str, models.OpenedModels],
    stack: AsyncExitStack,
) -> VerifierModels | None:
    """Bind open models to the writer and responder roles; None if there are no models."""
    if not by_spec:
        return None
    prices = models.find_prices(config, by_spec.values())
    budget = models.open_budget(config, store, prices)
    stack.callback(models.note_exceeded, budget)
    factory = models.ModelFactory(config, budget, prices, stack)
    writer = by_spec.get(config.verify.tester or config.evolver.model)
    responder = by_spec.get(config.evolver.model) or writer
    if writer is None or responder is None:
        return None
    return VerifierModels(
        models.bind_role(config.responder, writer, factory),
        models.bind_role(config.responder, responder, factory),
        None,
    )


def _reopen(store: RunStore, config: Config, roles: VerifierModels | None, *, always: bool) -> None:
    """Reopen the rows that a model server did not judge, if another one is asked now.

    `always` reopens all that were not judged, for whatever reason.
    """
    unjudged = always
    if roles is not None:
        tester = config.verify.tester or config.evolver.model
        asked = [
            models.asked_of(config.responder, tester, roles.writer),
            models.asked_of(config.responder, config.evolver.model, roles.responder),
        ]
        known = store.meta(ASKED_META)
        always = always or known is None or known.get(Stage.VERIFY.value) != asked
        store.set_meta(ASKED_META, {Stage.VERIFY.value: asked})
    n = pending.reopen_unverified(store, unjudged=unjudged) if always else 0
    if n:
        store.add_event("reopened", f"{n} rows that were not judged")
        why = "could not be judged" if unjudged else "a model server rejected or failed at"
        print_note(f"checking {n} rows again that {why}")


def _measure_with_tester(store: RunStore, config: Config, roles: VerifierModels | None) -> None:
    """Measure bounds again that could not be for want of a tester, if there is one now."""
    if roles is None or Check.BOUND not in config.verify.checks:
        return
    if n := pending.forget_unasked_bounds(store):
        print_note(f"measuring {n} rows again, for which the tester may write inputs")


def _work(progress: VerifyProgress) -> Work:
    return Work("", progress.done, progress.total - progress.done, progress.in_flight)


def _progress_line(progress: VerifyProgress, waits: str) -> str:
    if not progress.total:
        return "no row is left to check"
    checked = f"{progress.done}/{progress.total} rows checked{f' · {waits}' if waits else ''}"
    reasons = ", ".join(f"{reason} {n}" for reason, n in progress.drops.most_common(3))
    return f"{checked} · dropped {progress.drops.total()} ({reasons})" if reasons else checked


def write_verdicts(store: RunStore) -> Path:
    """Write one JSON line per row with its verdicts and drop reason; return the file."""
    path = store.folder / VERDICTS
    with atomic.open_binary(path, inside=store.folder, error=RunFolderError) as file:
        for step in steps(store):
            file.write(orjson.dumps(_verdict_line(step)) + b"\n")
    return path


def _verdict_line(step: LineageStep) -> dict[str, Any]:
    drop = step.drops[0] if step.drops else None
    return {
        "row": step.task.ordinal,
        "round": step.task.round,
        "id": step.task.id,
        "kept": drop is None and step.response is not None,
        "reason": drop.reason.value if drop else "",
        "instruction": step.task.instruction,
        "verdicts": [
            {"check": v.check.value, "kind": v.kind, "score": v.score, "detail": v.detail}
            for v in step.verdicts
        ],
    }
