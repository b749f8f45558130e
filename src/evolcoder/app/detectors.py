"""Opens leakage detectors with the benchmarks, embedder, judge and sandbox that they need.

>>> options = options_from_config(config)   # doctest: +SKIP
>>> report = await find_leaks(rows, options, config)   # doctest: +SKIP
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolcoder.app import models
from evolcoder.app.progress import print_note
from evolcoder.bench.base import Bench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import CONFIGURATIONS
from evolcoder.bench.registry import BENCHES, bench_named
from evolcoder.config.load import CleanConfig, ClusterConfig, Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.detect import (
    DetectedHits,
    DetectorSettings,
    Execution,
    build_report,
    detect_leaks,
)
from evolcoder.decontamination.execution.search import ExecutionSearch
from evolcoder.decontamination.hits import Detector, DropRule, Hit, benchmark_texts, execution_hits
from evolcoder.decontamination.report import Report, search_record
from evolcoder.deduplication.embedders import CachedEmbedder, Embedder, open_embedder
from evolcoder.deduplication.summary import LeakCounts, LeakDetector
from evolcoder.engine.base import Role
from evolcoder.engine.budget import Budget, Spending
from evolcoder.engine.registry import cache_file, cache_folder
from evolcoder.errors import BenchError
from evolcoder.grading.problem_checks import ReferenceChecks
from evolcoder.records import Row
from evolcoder.sandbox.pool import PoolSandbox

if TYPE_CHECKING:
    from evolcoder.cluster.sandbox import ClusterSandbox


def embedder_for(config: CleanConfig) -> Embedder | None:
    """Open the config's embedder; None if `meaning` is off."""
    return open_cached_embedder(config.embedder) if config.meaning is not None else None


def open_cached_embedder(spec: str, *, may_round: bool = False) -> Embedder:
    """Open an embedder that stores its vectors in the cache folder."""
    embedder = open_embedder(spec, cache_folder() / "models", may_round=may_round)
    return CachedEmbedder(embedder, cache_file("embeddings.db"))


MULTIPL_E = "multipl-e"
"""Name that selects all MultiPL-E benchmarks."""
ALL = "all"
"""Name that selects every benchmark of the registry whose files can be had."""
EXECUTABLE = ("humaneval", "humaneval+", "mbpp", "mbpp+", "mbpp-dev")
"""Benchmarks with Python tests, which execution-based detection runs answers against."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """Benchmarks and detectors of a leak search."""

    against: tuple[str, ...]
    """Names of the benchmarks."""
    data_dir: Path | None
    """Folder of their files; None downloads them."""
    detectors: frozenset[Detector]
    """Detectors to run."""
    drop_rules: tuple[DropRule, ...]
    """Detectors whose hits drop a row."""
    level: str
    """Minimum sandbox isolation for running answers."""
    workers: int | None = None
    """Programs run concurrently here or on each node; None: number of processors plus one."""
    judge: str | None = None
    """Model spec of the LLM judge of nearest neighbours; None: no judge."""

    @property
    def embeds(self) -> bool:
        """Whether a detector compares texts by their vectors."""
        return bool(self.against) and bool(self.detectors & {Detector.NEIGHBOURS, Detector.JUDGE})


def options_from_config(config: Config) -> DetectorOptions:
    """Return the options that the config's `clean` section sets for a run."""
    clean = config.clean
    return DetectorOptions(
        clean.against, Path(clean.data_dir) if clean.data_dir else None,
        frozenset(map(Detector, clean.detectors)), tuple(map(DropRule, clean.drop)),
        config.verify.sandbox,
    )  # fmt: skip


async def find_leaks(
    rows: Iterable[Row],
    options: DetectorOptions,
    config: Config,
    before: DetectedHits | None = None,
) -> Report:
    """Search rows for benchmark problems; opens the detectors and closes them afterwards.

    The report is on these rows and on those of `before`, to which what is found is added.
    Raises BenchError, ModelError or SandboxRefusedError if a benchmark, model or sandbox is
    unavailable.
    """
    async with AsyncExitStack() as stack:
        settings = await open_detectors(options, config, stack)
        found = DetectedHits() if before is None else before
        found.add(await detect_leaks(rows, settings, seed=config.seed))
        return build_report(found, settings, options.drop_rules)


async def open_leak_detector(config: Config, stack: AsyncExitStack) -> LeakDetector | None:
    """Open the detectors of a run's cleaning; None if the config names no benchmarks."""
    options = options_from_config(config)
    if not options.against:
        return None
    settings = await open_detectors(options, config, stack)
    found = DetectedHits()

    async def detect(rows: Iterable[Row]) -> LeakCounts:
        found.add(await detect_leaks(rows, settings, seed=config.seed))
        report = build_report(found, settings, options.drop_rules)
        if report.unjudged:
            print_note(reports.unjudged_note(report))
        return leak_counts(report)

    return detect


def leak_counts(report: Report) -> LeakCounts:
    """Return the rows to drop, each with all its hits."""
    evidence: dict[str, list[Mapping[str, object]]] = {id: [] for id in report.dropped}
    for hit in report.hits:
        if hit.row in evidence:
            evidence[hit.row].append(asdict(hit))
    return LeakCounts(evidence, report.layers, search_record(report, BENCHES))


async def open_detectors(
    options: DetectorOptions, config: Config, stack: AsyncExitStack
) -> DetectorSettings:
    """Open benchmarks and detectors, and register their closing on the stack."""
    judge = await open_judge(options.judge, config, stack) if options.judge else None
    benches, detectors = read_benches(options.against, options.data_dir), options.detectors
    items = [item for bench in benches for item in benchmark_texts(bench.name, bench.problems())]
    runs = Detector.EXECUTION in detectors
    execution, layers = (
        await _execution(benches, options, config.cluster, stack) if runs else (None, ())
    )
    return DetectorSettings(
        items,
        detectors & {Detector.NGRAMS, Detector.SUBSTRING},
        open_cached_embedder(config.clean.embedder) if options.embeds else None,
        judge,
        execution,
        layers,
        frozenset(bench.name for bench in benches if runs and bench.name in EXECUTABLE),
    )


def read_benches(against: Sequence[str], data_dir: Path | None) -> list[Bench]:
    """Read benchmarks; those that only `all` names are left out with a note if not there."""
    data = DataFolder(data_dir, cache_folder() / "benchmarks")
    groups = {MULTIPL_E: CONFIGURATIONS, ALL: BENCHES}
    names = [one for name in against for one in groups.get(name, (name,))]
    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(bench_named(name, data))
        except BenchError as error:
            if name in against or MULTIPL_E in against:
                raise
            print_note(f"{name} is not compared: {error}")
    if not found:
        raise BenchError("no benchmark could be read; name a folder with --data-dir")
    return found


async def open_judge(
    spec: str, config: Config, stack: AsyncExitStack, engines: models.Engines | None = None
) -> Role:
    """Open the model of a judge behind the cache of completions, within the config's budget.

    A model in `engines` is used as it is and stays open.
    """
    if engines and spec in engines:
        opened = models.with_extras(engines[spec], config.judge)
    else:
        opened = await models.open_model(spec, config, config.judge)
        stack.push_async_callback(opened.engine.aclose)
    prices = models.find_prices(config, [opened])
    budget = Budget(config.budget, Spending())
    factory = models.ModelFactory(config, budget, prices, stack)
    return models.bind_role(config.judge, opened, factory)


async def _execution(
    benches: Iterable[Bench],
    options: DetectorOptions,
    cluster: ClusterConfig,
    stack: AsyncExitStack,
) -> tuple[Execution | None, tuple[str, ...]]:
    """Set up execution-based detection; also return the sandbox's isolation layers.

    Returns None and no layers if no benchmark has Python tests.
    """
    problems = {bench.name: bench.problems() for bench in benches if bench.name in EXECUTABLE}
    if not problems:
        return None, ()
    sandbox = await _start_sandbox(options, cluster, stack)
    references = ReferenceChecks(cache_file("controls.db"), sandbox, "[]")
    stack.callback(references.close)
    search = await ExecutionSearch.create(problems, sandbox, references.measurement)

    async def execution(row: str, answer: str) -> list[Hit]:
        return execution_hits(row, await search.passes(answer))

    return execution, sandbox.layers


async def _start_sandbox(
    options: DetectorOptions, config: ClusterConfig, stack: AsyncExitStack
) -> "PoolSandbox | ClusterSandbox":
    """Start the sandbox of answers, here or on the cluster that the config names."""
    if config.address is not None:
        from evolcoder.app import cluster  # noqa: PLC0415 - rarely needed

        workers = options.workers or config.sandboxes_per_node
        started = cluster.SandboxOptions(options.level, workers)
        return await cluster.start_sandbox(config, started, stack)
    sandbox = await PoolSandbox.start(workers=options.workers, level=options.level)
    stack.push_async_callback(sandbox.aclose)
    return sandbox
