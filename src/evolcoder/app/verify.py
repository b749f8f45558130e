"""From a config to the checks of a run, with the sandbox that they use, or to why there are none.

What a run began with stays: a resumed run verifies as its first session did, or not at all, and
is refused on a machine that cannot.

>>> async with AsyncExitStack() as stack:   # doctest: +SKIP
...     held = await hold(config.verify, stack)
...     checks = checks_of(config, held, settle(store, config, held), None)
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from evolcoder.app import models, provenance
from evolcoder.app.progress import note, shown_text
from evolcoder.config.load import Config, VerifyConfig
from evolcoder.engine.base import Role
from evolcoder.errors import BudgetReached, RunFolderError, SandboxRefusedError
from evolcoder.records import Check
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.seeds.read import read_seeds
from evolcoder.storage import atomic
from evolcoder.storage.run_store import DB_NAME, LineageStep, RunStore, steps
from evolcoder.storage.stats import SEEDS_META, VERIFY_META, VerifyFacts
from evolcoder.storage.workdir import FolderFacts
from evolcoder.verification.dataset import RowVerifier, VerifyProgress, answered
from evolcoder.verification.pipeline import RowCheck, Verifier

FEWEST_MB = 1024
"""Compilers and virtual machines need so much, whatever is left to the program."""


VERDICTS = "verdicts.jsonl"
"""File of all verdicts in the folder of a verified data set."""
ASKING = frozenset({Check.TESTS, Check.DIFFICULTY})
"""Checks that ask a model."""


@dataclass(frozen=True, slots=True)
class VerifierModels:
    """The models that checks ask."""

    writer: Role
    """Writes tests."""
    responder: Role
    """Answers tasks again."""
    judge: Role | None
    """Counts what a task demands, if the config names a judge."""


@dataclass(frozen=True, slots=True)
class SandboxHandle:
    """A sandbox that is open, or why there is none."""

    sandbox: Sandbox | None
    """The sandbox."""
    languages: tuple[str, ...]
    """What it can run."""
    layers: tuple[str, ...]
    """Protections that are active."""
    why_not: str
    """Why there is none; else empty."""


async def hold(
    wanted: VerifyConfig, stack: AsyncExitStack, *, workers: int | None = None
) -> SandboxHandle:
    """Start the sandbox that verification needs; where it need not be had, say why it is not."""
    if wanted.when == "never" or not wanted.checks:
        return SandboxHandle(
            None, (), (), "verify.when is never" if wanted.checks else "no verify.checks"
        )
    from evolcoder.sandbox.pool import PoolSandbox  # noqa: PLC0415 - only who verifies waits

    languages = tuple(usable(wanted.sandbox))
    try:
        sandbox = await PoolSandbox.start(
            workers=workers, level=wanted.sandbox, languages=languages
        )
    except SandboxRefusedError as error:
        if wanted.when == "always":
            raise
        return SandboxHandle(None, (), (), str(error))
    stack.push_async_callback(sandbox.aclose)
    return SandboxHandle(sandbox, ("python", *languages), tuple(map(str, sandbox.layers)), "")


def usable(level: str) -> Sequence[str]:
    """Name the languages beside Python whose tools are here and can be held at a level."""
    from evolcoder.sandbox.pool import LEVELS  # noqa: PLC0415 - as above
    from evolcoder.sandbox.toolchains import LANGUAGES, find  # noqa: PLC0415

    found = []
    for name in LANGUAGES:
        try:
            list(LEVELS[level].holds(find(name).folders, (), ()))
        except SandboxRefusedError:
            continue
        found.append(name)
    return found


def settle(store: RunStore, config: Config, held: SandboxHandle) -> Sequence[str]:
    """Return the languages in which a run verifies, now and for ever; none where it does not.

    Says on standard error, in one line, where a run does not verify what could be.
    """
    known = store.meta(VERIFY_META, VerifyFacts)
    if known is None:
        is_older = "verify" not in (store.meta("config", FolderFacts) or {})
        why_not = "it was begun by a version that did not" if is_older else held.why_not
        known = {
            "level": "" if why_not else config.verify.sandbox,
            "checks": [] if why_not else [check.value for check in config.verify.checks],
            "languages": [] if why_not else held.languages,
            "layers": [] if why_not else held.layers,
            "seeds": config.verify.seeds and not why_not,
            "why_not": why_not,
        }
        store.set_meta(VERIFY_META, known)
        store.db.flush()
    if not known["checks"]:
        if config.verify.when != "never":
            note(f"rows of this run are not verified: {known['why_not']}")
        return ()
    if held.sandbox is None:
        raise SandboxRefusedError(f"this run verifies its rows, and here {held.why_not}")
    lost = [name for name in known["languages"] if name not in held.languages]
    if lost:
        raise SandboxRefusedError(
            f"this run verifies programs in {', '.join(lost)}, whose tools are not here; "
            f"evolcoder doctor says what to install"
        )
    _narrow(store, known, held)
    return tuple(known["languages"])


def _narrow(store: RunStore, known: dict[str, Any], held: SandboxHandle) -> None:
    """Keep of a run's protections those that this session has too: all its rows had them."""
    layers = [layer for layer in known.get("layers", ()) if layer in held.layers]
    if layers != known.get("layers", []):
        store.set_meta(VERIFY_META, {**known, "layers": layers})
        store.db.flush()


def limits_of(wanted: VerifyConfig) -> Limits:
    """Return what one program may use."""
    return Limits(
        cpu_s=wanted.cpu_s, wall_s=wanted.wall_s, memory_mb=wanted.memory_mb, processes=128
    )


def needs_model(wanted: VerifyConfig) -> bool:
    """Tell whether a model is asked."""
    return not ASKING.isdisjoint(wanted.checks)


def checks_of(
    config: Config, held: SandboxHandle, languages: Sequence[str], ask: VerifierModels | None
) -> tuple[RowCheck, ...]:
    """Make the checks that a config names, each behind those whose findings it uses."""
    if held.sandbox is None or not languages:
        return ()
    from evolcoder.verification.distractor import DistractorCheck  # noqa: PLC0415 - as above
    from evolcoder.verification.execution.check import ExecutionCheck  # noqa: PLC0415
    from evolcoder.verification.generated_tests.check import GeneratedTestsCheck  # noqa: PLC0415
    from evolcoder.verification.metrics import ComplexityCheck, MetricsCheck, PassRateCheck  # noqa: PLC0415

    sandbox, wanted, seed = held.sandbox, config.verify, config.seed
    limits = limits_of(wanted)
    made: dict[Check, RowCheck] = {
        Check.RUNS: ExecutionCheck(
            sandbox, languages=languages, limits=limits, works=_works_in(sandbox)
        ),
        Check.BAIT: DistractorCheck(sandbox, wanted),
        Check.BOUND: ComplexityCheck(sandbox, seed, wanted.memory_mb),
        Check.SHAPE: MetricsCheck(ask.judge if ask else None, seed),
    }
    if ask is not None:
        made[Check.TESTS] = GeneratedTestsCheck(ask.writer, ask.responder, sandbox, seed, wanted)
        made[Check.DIFFICULTY] = PassRateCheck(ask.responder, sandbox, limits, wanted.samples, seed)
    return tuple(made[check] for check in Check if check in wanted.checks)


def _works_in(sandbox: Sandbox) -> Callable[[str], Awaitable[bool]]:
    """Return what tells whether programs of a language run here at all, and says if they do not.

    A compiler without its C library would call every program wrong.
    """
    from evolcoder.sandbox.requirements import Requirements  # noqa: PLC0415 - as above

    requirements, told = Requirements(sandbox), set[str]()

    async def works(language: str) -> bool:
        lacks = [lack for lack in await requirements.lacks(language) if lack.stops_all]
        if lacks and language not in told:
            told.add(language)
            note(f"{lacks[0]}; answers in it are not run")
        return not lacks

    return works


async def verify_rows(
    config: Config,
    folder: Path,
    *,
    workers: int | None = None,
    engines: models.Engines | None = None,
) -> BudgetReached | None:
    """Check every row of the config's data set; return the limit that ended it early.

    `folder` is made, or resumed where it is there; its rows are those of a run.
    """
    fresh = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    async with AsyncExitStack() as stack:
        held = await hold(config.verify, stack, workers=workers)
        opened = await _opened(config, stack, engines)
        store = stack.enter_context(RunStore.create(folder, config))
        languages = settle(store, config, held)
        if store.meta(SEEDS_META) is None:
            seeds = fresh or read_seeds(config.seeds)
            store.add_seeds(answered(seeds), waits=True)
            store.set_meta(SEEDS_META, asdict(seeds.report()))
        provenance.record_verification(store, config)
        ask = _askers(config, store, opened, stack)
        checks = checks_of(config, held, languages, ask)
        verifier = Verifier(store, checks, config.verify.drop)
        in_flight = 2 * (workers or len(os.sched_getaffinity(0)) + 1)
        rows = RowVerifier(store, verifier, in_flight=in_flight)
        try:
            async with shown_text(lambda: _progress_line(rows.progress)):
                await rows.run()
        except BudgetReached as reached:
            store.add_event("budget", str(reached))
            return reached
        return None


async def _opened(
    config: Config, stack: AsyncExitStack, engines: models.Engines | None
) -> dict[str, models.OpenedModels]:
    """Open the models that checks ask, by spec; none if there are no such checks."""
    by_spec: dict[str, models.OpenedModels] = dict(engines or {})
    if not needs_model(config.verify):
        return by_spec
    for spec in (config.evolver.model, config.verify.tester):
        if spec is not None and spec not in by_spec:
            by_spec[spec] = await models.open_one(spec, config)
            stack.push_async_callback(by_spec[spec].engine.aclose)
    return by_spec


def _askers(
    config: Config,
    store: RunStore,
    by_spec: dict[str, models.OpenedModels],
    stack: AsyncExitStack,
) -> VerifierModels | None:
    """Bind the models that were opened to their parts."""
    if not by_spec:
        return None
    prices = models.prices_of(config, by_spec.values())
    purse = models.ModelFactory(config, models.open_meter(config, store, prices), prices, stack)
    answers = by_spec[config.evolver.model]
    writes = by_spec[config.verify.tester or config.evolver.model]
    return VerifierModels(
        models.role_of(config.responder, writes, purse),
        models.role_of(config.responder, answers, purse),
        None,
    )


def _progress_line(progress: VerifyProgress) -> str:
    said = f"{progress.done}/{progress.total} checked"
    why = ", ".join(f"{reason} {n}" for reason, n in progress.drops.most_common(3))
    return f"{said} · dropped {progress.drops.total()} ({why})" if why else said


def write_verdicts(store: RunStore) -> Path:
    """Write a line for every row: what was found, and what became of it."""
    path = store.folder / VERDICTS
    with atomic.open_binary(path, inside=store.folder, error=RunFolderError) as file:
        for step in steps(store):
            file.write(orjson.dumps(_told(step)) + b"\n")
    return path


def _told(step: LineageStep) -> dict[str, Any]:
    drop = step.drops[0] if step.drops else None
    return {
        "row": step.task.ordinal,
        "id": step.task.id,
        "kept": drop is None and step.response is not None,
        "reason": drop.reason.value if drop else "",
        "instruction": step.task.instruction,
        "verdicts": [
            {"check": v.check.value, "kind": v.kind, "score": v.score, "detail": v.detail}
            for v in step.verdicts
        ],
    }
