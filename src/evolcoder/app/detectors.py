"""Opens the leakage detectors: benchmarks, an embedder, a judge and a sandbox, as asked for."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from evolcoder.app import models
from evolcoder.app.progress import note
from evolcoder.bench.base import Bench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import CONFIGURATIONS
from evolcoder.bench.registry import bench_named
from evolcoder.config.load import CleanConfig, Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.benchmark_texts import items_of
from evolcoder.decontamination.detect import DetectorSettings, Execution, look, reported
from evolcoder.decontamination.execution.search import ExecutionSearch
from evolcoder.decontamination.hits import Detector, DropRule, Hit, hits_of
from evolcoder.decontamination.report import Report
from evolcoder.deduplication.embedders import CachedEmbedder, Embedder, open_embedder
from evolcoder.deduplication.rows import CleanedRow, LeakCounts, Leaked
from evolcoder.engine.base import Role
from evolcoder.engine.budget import Budget, Spending
from evolcoder.engine.registry import cache_file, cache_folder
from evolcoder.grading.reference_checks import ReferenceChecks
from evolcoder.sandbox.pool import PoolSandbox


def embedder_for(config: CleanConfig) -> Embedder | None:
    """Open the config's embedder if it looks for meanings."""
    return open_cached(config.embedder) if config.meaning is not None else None


def open_cached(spec: str) -> Embedder:
    """Open an embedder whose vectors are kept in the cache folder."""
    embedder = open_embedder(spec, cache_folder() / "models")
    return CachedEmbedder(embedder, cache_file("embeddings.db"))


MULTIPL_E = "multipl-e"
"""Stands for all of its benchmarks."""
IN_PYTHON = ("humaneval", "humaneval+", "mbpp", "mbpp+", "mbpp-dev")
"""Benchmarks whose tests answers are run against."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What is looked for, and by whom."""

    against: tuple[str, ...]
    """Names of benchmarks."""
    data_dir: Path | None
    """Where their files lie; None: fetched."""
    detectors: frozenset[Detector]
    """Who looks."""
    drops: tuple[DropRule, ...]
    """Whose word drops a row."""
    level: str
    """Least protection under which answers are run."""
    workers: int | None = None
    """Programs at one time; None: one more than there are processors."""
    judge: str | None = None
    """Spec of the model that judges neighbours, if one does."""


def of_config(config: Config) -> DetectorOptions:
    """Read what a run looks for after its rounds."""
    its = config.clean
    return DetectorOptions(
        its.against, Path(its.data_dir) if its.data_dir else None,
        frozenset(map(Detector, its.detectors)), tuple(map(DropRule, its.drop)),
        config.verify.sandbox,
    )  # fmt: skip


async def find_leaks(rows: Iterable[CleanedRow], wanted: DetectorOptions, config: Config) -> Report:
    """Look for benchmarks in rows; open what detectors need, and close it again.

    Raises BenchError, ModelError or SandboxRefusedError where something wanted cannot be had.
    """
    async with AsyncExitStack() as stack:
        looks = await open_detectors(wanted, config, stack)
        return reported(await look(rows, looks, seed=config.seed), looks, wanted.drops)


async def leak_finder(config: Config, stack: AsyncExitStack) -> Leaked | None:
    """Open what a run's cleaning looks for leaks with; None where it looks for none."""
    wanted = of_config(config)
    if not wanted.against:
        return None
    looks = await open_detectors(wanted, config, stack)

    async def leaked(rows: Iterable[CleanedRow]) -> LeakCounts:
        found = await look(rows, looks, seed=config.seed)
        report = reported(found, looks, wanted.drops)
        if report.unjudged:
            note(reports.note_of_unjudged(report))
        return leaks_of(report)

    return leaked


def leaks_of(report: Report) -> LeakCounts:
    """Return the rows that go, each with all of its hits."""
    found: dict[str, list[Mapping[str, object]]] = {id: [] for id in report.dropped}
    for hit in report.hits:
        if hit.row in found:
            found[hit.row].append(asdict(hit))
    return LeakCounts(found, report.layers)


async def open_detectors(
    wanted: DetectorOptions, config: Config, stack: AsyncExitStack
) -> DetectorSettings:
    """Open benchmarks and detectors, and have the stack close them."""
    judge = await _judge(wanted.judge, config, stack) if wanted.judge else None
    benches, detectors = _benches(wanted), wanted.detectors
    items = [item for bench in benches for item in items_of(bench.name, bench.problems())]
    embeds = bool(detectors & {Detector.NEIGHBOURS, Detector.JUDGE})
    runs = Detector.EXECUTION in detectors
    execution, layers = await _execution(benches, wanted, stack) if runs else (None, ())
    return DetectorSettings(
        items,
        detectors & {Detector.NGRAMS, Detector.SUBSTRING},
        open_cached(config.clean.embedder) if embeds else None,
        judge,
        execution,
        layers,
    )


def _benches(wanted: DetectorOptions) -> list[Bench]:
    shelf = DataFolder(wanted.data_dir, cache_folder() / "benchmarks")
    names: list[str] = []
    for name in wanted.against:
        names += CONFIGURATIONS if name == MULTIPL_E else [name]
    return [bench_named(name, shelf) for name in dict.fromkeys(names)]


async def _judge(spec: str, config: Config, stack: AsyncExitStack) -> Role:
    opened = await models.open_one(spec, config)
    stack.push_async_callback(opened.engine.aclose)
    prices = models.prices_of(config, [opened])
    meter = Budget(config.budget, Spending(), lambda *_: None)
    purse = models.ModelFactory(config, meter, prices, stack)
    return models.role_of(config.judge, opened, purse)


async def _execution(
    benches: Iterable[Bench], wanted: DetectorOptions, stack: AsyncExitStack
) -> tuple[Execution | None, tuple[str, ...]]:
    """Prepare to run answers against the benchmarks that have tests in Python.

    Returns also the protections under which they run.
    """
    problems = {bench.name: bench.problems() for bench in benches if bench.name in IN_PYTHON}
    if not problems:
        return None, ()
    sandbox = await PoolSandbox.start(workers=wanted.workers, level=wanted.level)
    stack.push_async_callback(sandbox.aclose)
    controls = ReferenceChecks(cache_file("controls.db"), sandbox, "[]")
    stack.callback(controls.close)
    search = await ExecutionSearch.over(problems, sandbox, controls.need)

    async def execution(row: str, answer: str) -> list[Hit]:
        return hits_of(row, await search.passes(answer))

    return execution, sandbox.layers
