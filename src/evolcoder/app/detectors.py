"""From flags to leakage detectors: benchmarks, an embedder, a judge and a sandbox, as asked for.

Which embedder a cleaning asks, and where it remembers.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from evolcoder.app import models
from evolcoder.bench.base import Bench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import CONFIGURATIONS
from evolcoder.bench.registry import bench_named
from evolcoder.cli import output
from evolcoder.cli.cancellation import until_told
from evolcoder.config.load import CleanConfig, Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.benchmark_texts import items_of
from evolcoder.decontamination.detect import DetectorSettings, Execution, look, reported
from evolcoder.decontamination.execution.search import ExecutionSearch
from evolcoder.decontamination.hits import Detector, DropRule, Hit, hits_of
from evolcoder.decontamination.report import Report
from evolcoder.dedup.embedders import CachedEmbedder, Embedder, open_embedder
from evolcoder.dedup.rows import CleanedRow, LeakCounts, Leaked
from evolcoder.engine.base import Role
from evolcoder.engine.budget import Budget, Spending
from evolcoder.engine.registry import cache_file, cache_folder
from evolcoder.errors import ConfigError
from evolcoder.grading.reference_checks import ReferenceChecks
from evolcoder.sandbox.pool import LEVELS, PoolSandbox
from evolcoder.storage import atomic


def embedder_for(config: CleanConfig) -> Embedder | None:
    """Open the config's embedder if it looks for meanings."""
    return opened(config.embedder) if config.meaning is not None else None


def opened(spec: str) -> Embedder:
    """Open an embedder whose vectors are kept in the cache folder."""
    embedder = open_embedder(spec, cache_folder() / "models")
    return CachedEmbedder(embedder, cache_file("embeddings.db"))


MULTIPL_E = "multipl-e"
"""Stands for all of its benchmarks."""
IN_PYTHON = ("humaneval", "humaneval+", "mbpp", "mbpp+", "mbpp-dev")
"""Benchmarks whose tests answers are run against."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that are about leakage."""
    add = parser.add_argument
    add("--against", metavar="NAME,...", help=f"benchmarks, or `{MULTIPL_E}` for all of these")
    add("--data-dir", type=Path, metavar="DIR", help="where benchmark files lie; else fetched")
    add("--detectors", metavar="NAME,...", help=f"of {', '.join(Detector)}; all that can look")
    add("--judge", metavar="SPEC", help=f"who judges neighbours: {models.FORMS}")
    add(
        "--drop",
        action="append",
        choices=[name.value for name in DropRule],
        help="whose word drops a row; may be given again (any)",
    )
    add("--report", type=Path, metavar="FILE", help="evidence as a .html page or .json")
    add("--sandbox", choices=list(LEVELS), default="strict", help="least protection of execution")
    add("--workers", type=int, metavar="N", help="programs at one time")


def check(args: argparse.Namespace, config: Config) -> None:
    """Refuse flags that go with no others, before anything is read."""
    if args.report is not None and not wanted_by(args, config).against:
        raise ConfigError("--report: says what leaked; name the benchmarks with --against")
    if args.report is not None and args.report.suffix not in {".html", ".json"}:
        raise ConfigError(f"--report {args.report}: ends in neither .html nor .json")


def write(report: Report, path: Path, *, title: str) -> Path:
    """Write a report as the page or the JSON that its file's name asks for."""
    with atomic.open_text(path) as file:
        if path.suffix == ".html":
            file.write(reports.page(report, title=title))
        else:
            file.write(output.json_of(reports.plain(report), indent=2))
    return path


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
    workers: int | None
    """Programs at one time."""


def wanted_by(args: argparse.Namespace, config: Config) -> DetectorOptions:
    """Read flags; what they leave out is the config's."""
    given = of_config(config)
    names = given.against
    if args.against is not None:
        names = tuple(name.strip() for name in args.against.split(",") if name.strip())
    drops = given.drops if args.drop is None else tuple(map(DropRule, args.drop))
    return DetectorOptions(
        names, args.data_dir or given.data_dir, _detectors(args, given), drops, args.sandbox,
        args.workers,
    )  # fmt: skip


def of_config(config: Config) -> DetectorOptions:
    """Read what a run looks for after its rounds."""
    its = config.clean
    return DetectorOptions(
        its.against, Path(its.data_dir) if its.data_dir else None,
        frozenset(map(Detector, its.detectors)), tuple(map(DropRule, its.drop)),
        config.verify.sandbox, None,
    )  # fmt: skip


def search(rows: Iterable[CleanedRow], args: argparse.Namespace, config: Config) -> Report:
    """Look for benchmarks in some rows, as flags and config want it."""
    return until_told(_search(rows, args, config))


async def _search(rows: Iterable[CleanedRow], args: argparse.Namespace, config: Config) -> Report:
    async with AsyncExitStack() as stack:
        wanted = wanted_by(args, config)
        judge = await _judge(args.judge, config, stack) if args.judge else None
        looks = await opened_looks(wanted, config, stack, judge)
        return reported(await look(rows, looks, seed=config.seed), looks, wanted.drops)


async def opened_within(config: Config, stack: AsyncExitStack) -> Leaked | None:
    """Make ready what a run wants, and look from another thread, through the loop of this one."""
    wanted, loop = of_config(config), asyncio.get_running_loop()
    if not wanted.against:
        return None
    looks = await opened_looks(wanted, config, stack, None)

    def leaked(rows: Iterable[CleanedRow]) -> LeakCounts:
        seen = look(rows, looks, seed=config.seed)
        found = asyncio.run_coroutine_threadsafe(seen, loop).result()
        report = reported(found, looks, wanted.drops)
        if report.unjudged:
            print(f"evolcoder: {reports.note_of_unjudged(report)}", file=sys.stderr)
        return leaks_of(report)

    return leaked


def leaks_of(report: Report) -> LeakCounts:
    """Return the rows that go, each with all of its hits."""
    found: dict[str, list[Mapping[str, object]]] = {id: [] for id in report.dropped}
    for hit in report.hits:
        if hit.row in found:
            found[hit.row].append(asdict(hit))
    return LeakCounts(found, report.layers)


async def opened_looks(
    wanted: DetectorOptions, config: Config, stack: AsyncExitStack, judge: Role | None
) -> DetectorSettings:
    """Open benchmarks and detectors, and have the stack close them."""
    benches, detectors = _benches(wanted), wanted.detectors
    items = [item for bench in benches for item in items_of(bench.name, bench.problems())]
    embeds = bool(detectors & {Detector.NEIGHBOURS, Detector.JUDGE})
    runs = Detector.EXECUTION in detectors
    execution, layers = await _execution(benches, wanted, stack) if runs else (None, ())
    return DetectorSettings(
        items,
        detectors & {Detector.NGRAMS, Detector.SUBSTRING},
        opened(config.clean.embedder) if embeds else None,
        judge,
        execution,
        layers,
    )


def _detectors(args: argparse.Namespace, given: DetectorOptions) -> frozenset[Detector]:
    if args.detectors is None:
        return given.detectors | ({Detector.JUDGE} if args.judge else set())
    names = [name.strip() for name in args.detectors.split(",") if name.strip()]
    for name in names:
        if name not in set(Detector):
            raise ConfigError(f"--detectors {name}: not known; known are {', '.join(Detector)}")
    if (Detector.JUDGE in names) != bool(args.judge):
        raise ConfigError("--judge SPEC and the detector judge go together; give both or neither")
    return frozenset(map(Detector, names))


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
