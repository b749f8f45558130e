"""From flags to leakage detectors: benchmarks, an embedder, a judge and a sandbox, as asked for."""

import argparse
import asyncio
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from evolcoder.bench.base import Bench
from evolcoder.bench.catalogue import BENCHES, bench_named
from evolcoder.bench.fetch import Shelf
from evolcoder.clean import report as reports
from evolcoder.clean.evidence import Detector, Drop, Hit
from evolcoder.clean.items import items_of
from evolcoder.clean.report import Report
from evolcoder.cleaning.leaks import Execution, Looks, look, reported
from evolcoder.cleaning.rows import Candidate
from evolcoder.cleaning.whole import whole
from evolcoder.cli import session
from evolcoder.cli.embedding import opened as opened_embedder
from evolcoder.config import Config
from evolcoder.engine.base import Role
from evolcoder.engine.meter import Meter, Spent
from evolcoder.engine.models import cache_folder
from evolcoder.errors import ConfigError
from evolcoder.grade.controls import Controls
from evolcoder.leakage.execution import Search
from evolcoder.leakage.hits import hits_of
from evolcoder.sandbox.pool import LEVELS, PoolSandbox

MULTIPL_E = "multipl-e"
"""Stands for all of its benchmarks."""
IN_PYTHON = ("humaneval", "humaneval+", "mbpp", "mbpp+", "mbpp-dev")
"""Benchmarks whose tests answers are run against."""
WITHOUT_MODEL = (Detector.NGRAMS, Detector.SUBSTRING, Detector.NEIGHBOURS, Detector.EXECUTION)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that are about leakage."""
    add = parser.add_argument
    add("--against", metavar="NAME,...", help=f"benchmarks, or `{MULTIPL_E}` for all of these")
    add("--data-dir", type=Path, metavar="DIR", help="where benchmark files lie; else fetched")
    add("--detectors", metavar="NAME,...", help=f"of {', '.join(Detector)}; all that can look")
    add("--judge", metavar="SPEC", help=f"who judges neighbours: {session.FORMS}")
    add(
        "--drop",
        action="append",
        choices=[name.value for name in Drop],
        help="whose word drops a row; may be given again (any)",
    )
    add("--report", type=Path, metavar="FILE", help="evidence as a .html page or .json")
    add("--sandbox", choices=list(LEVELS), default="strict", help="least protection of execution")
    add("--workers", type=int, metavar="N", help="programs at one time")


def check(args: argparse.Namespace) -> None:
    """Refuse flags that go with no others, before anything is read."""
    if args.report is not None and not args.against:
        raise ConfigError("--report: says what leaked; name the benchmarks with --against")
    if args.report is not None and args.report.suffix not in {".html", ".json"}:
        raise ConfigError(f"--report {args.report}: ends in neither .html nor .json")


def write(report: Report, path: Path, *, title: str) -> Path:
    """Write a report as the page or the JSON that its file's name asks for."""
    with whole(path) as file:
        if path.suffix == ".html":
            file.write(reports.page(report, title=title))
        else:
            json.dump(reports.plain(report), file, indent=2)
    return path


def search(rows: Iterable[Candidate], args: argparse.Namespace, config: Config) -> Report:
    """Look for the benchmarks that `--against` names in some rows."""
    return asyncio.run(_search(rows, args, config))


async def _search(rows: Iterable[Candidate], args: argparse.Namespace, config: Config) -> Report:
    async with AsyncExitStack() as stack:
        looks = await _looks(args, config, stack)
        found = await look(rows, looks, seed=config.seed)
        return reported(found, looks, [Drop(name) for name in args.drop or ["any"]])


async def _looks(args: argparse.Namespace, config: Config, stack: AsyncExitStack) -> Looks:
    wanted = _detectors(args)
    benches = _benches(args)
    items = [item for bench in benches for item in items_of(bench.name, bench.problems())]
    embeds = bool(wanted & {Detector.NEIGHBOURS, Detector.JUDGE})
    return Looks(
        items,
        wanted & {Detector.NGRAMS, Detector.SUBSTRING},
        opened_embedder(config.clean.embedder) if embeds else None,
        await _judge(args.judge, config, stack) if args.judge else None,
        await _execution(benches, args, stack) if Detector.EXECUTION in wanted else None,
    )


def _detectors(args: argparse.Namespace) -> frozenset[Detector]:
    if args.detectors is None:
        return frozenset((*WITHOUT_MODEL, *((Detector.JUDGE,) if args.judge else ())))
    names = [name.strip() for name in args.detectors.split(",") if name.strip()]
    for name in names:
        if name not in set(Detector):
            raise ConfigError(f"--detectors {name}: not known; known are {', '.join(Detector)}")
    if (Detector.JUDGE in names) != bool(args.judge):
        raise ConfigError("--judge SPEC and the detector judge go together; give both or neither")
    return frozenset(map(Detector, names))


def _benches(args: argparse.Namespace) -> list[Bench]:
    shelf = Shelf(args.data_dir, cache_folder() / "benchmarks")
    names: list[str] = []
    for name in args.against.split(","):
        every = [one for one in BENCHES if "-" in one and one not in IN_PYTHON and one[0] in "hm"]
        names += every if name.strip() == MULTIPL_E else [name.strip()]
    return [bench_named(name, shelf) for name in dict.fromkeys(filter(None, names))]


async def _judge(spec: str, config: Config, stack: AsyncExitStack) -> Role:
    opened = await session.open_one(spec, config)
    stack.push_async_callback(opened.engine.aclose)
    prices = session.prices_of(config, [opened])
    meter = Meter(config.budget, Spent(), lambda *_: None)
    purse = session.Purse(config, meter, prices)
    stack.callback(purse.close)
    return session.role_of(config.judge, opened, purse)


async def _execution(
    benches: Iterable[Bench], args: argparse.Namespace, stack: AsyncExitStack
) -> Execution | None:
    """Prepare to run answers against the benchmarks that have tests in Python."""
    problems = {bench.name: bench.problems() for bench in benches if bench.name in IN_PYTHON}
    if not problems:
        return None
    sandbox = await PoolSandbox.start(workers=args.workers, level=args.sandbox)
    stack.push_async_callback(sandbox.aclose)
    controls = Controls(cache_folder() / "controls.db", sandbox, "[]")
    stack.callback(controls.close)
    search = await Search.over(problems, sandbox, controls.need)

    async def execution(row: str, answer: str) -> list[Hit]:
        return hits_of(row, await search.passes(answer))

    return execution
