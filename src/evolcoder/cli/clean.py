"""`evolcoder clean`: a data file without its doubles and leaks, or the stage `clean` of a run.

Of a file the rows that stay are written as they were found, and the drops with their evidence
beside them; of a run the drops are stored in it, and its exports leave them out.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from evolcoder.app import detectors, export, models
from evolcoder.app.clean import clean_run
from evolcoder.app.detectors import DetectorOptions, embedder_for
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.hits import Detector, DropRule
from evolcoder.decontamination.report import Report
from evolcoder.deduplication import files
from evolcoder.deduplication.summary import CleaningSummary, LeakCounts, LeakDetector
from evolcoder.errors import ConfigError, UserError
from evolcoder.records import Row
from evolcoder.sandbox.base import layers_text, missing_from
from evolcoder.sandbox.pool import LEVELS
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore
from evolcoder.text import json_text

FLAGS = {
    "near": "clean.near",
    "meaning": "clean.meaning",
    "compare": "clean.compare",
    "embedder": "clean.embedder",
    "beside": "clean.beside",
    "seed": "seed",
}
"""Flag -> the config key that it sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a file or Hub data set in any format of seeds, or a run")
    add("--out", type=Path, metavar="FILE", help="where the rows that stay go, as JSON lines")
    add("--beside", action="append", metavar="FILE", help="data whose rows must not be repeated")
    add("--near", type=float, metavar="J", help="least Jaccard index of near doubles (0.8)")
    add("--meaning", type=float, metavar="C", help="least cosine of doubles in meaning (off)")
    add("--compare", choices=("task", "row"), help="compare tasks, or tasks with their answers")
    add("--embedder", metavar="SPEC", help="for --meaning: a known name, a folder or a Hub id")
    add("--seed", type=int, metavar="N", help="root of all randomness")
    _add_leak_arguments(parser)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Clean a run or a file."""
    folder = Path(args.data)
    is_run = os.path.lexists(folder / DB_NAME)
    if is_run and args.out is not None:
        raise UserError(
            f"--out: the drops of a run are stored in it; write its rows with "
            f"`evolcoder export {folder} --out PATH`"
        )
    base = folder / CONFIG_NAME if is_run else None
    config = configs.load(base, [*_from_flags(args), *args.set])
    if args.out is not None and not args.out.name:
        raise UserError(f"--out {args.out}: names no file; name one")
    wanted = _options(args, config)
    _check(args, wanted)
    finder = _LeakFinder(wanted, config)
    leaked = finder.leaked if wanted.against else None
    if is_run:
        summary, paths = run_cancellable(_of_run(folder, config, leaked))
    else:
        summary, paths = run_cancellable(_of_file(args.data, config, args.out, leaked))
    if finder.report is not None and args.report is not None:
        paths.append(_write(finder.report, args.report, title=f"{args.data}: leakage"))
    _show(summary, paths, finder.report, as_json=args.json)
    return 0


class _LeakFinder:
    """Looks for leaks where a cleaning asks for it, and keeps the report."""

    def __init__(self, wanted: DetectorOptions, config: Config) -> None:
        self.report: Report | None = None
        self._wanted = wanted
        self._config = config

    async def leaked(self, rows: Iterable[Row]) -> LeakCounts:
        """Return the rows that go, with their evidence."""
        self.report = await detectors.find_leaks(rows, self._wanted, self._config)
        return detectors.leaks_of(self.report)


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


async def _of_run(
    folder: Path, config: Config, leaked: LeakDetector | None
) -> tuple[CleaningSummary, list[Path]]:
    embedder = embedder_for(config.clean)
    with RunStore.create(folder, config) as store:
        settings, seed = config.clean, config.seed
        summary = await clean_run(
            store, settings, seed=seed, embedder=embedder, leaked=leaked, anew=leaked is not None
        )
        return summary, export.write(store, config)


async def _of_file(
    path: str, config: Config, out: Path | None, leaked: LeakDetector | None
) -> tuple[CleaningSummary, list[Path]]:
    embedder, seed = embedder_for(config.clean), config.seed
    summary = await files.clean_file(
        path, config.clean, seed=seed, embedder=embedder, out=out, leaked=leaked
    )
    return summary, [] if out is None else [out, files.drops_path(out)]


def _show(
    summary: CleaningSummary, paths: list[Path], report: Report | None, *, as_json: bool
) -> None:
    if as_json:
        plain = {**asdict(summary), "n_kept": summary.n_kept, "paths": list(map(str, paths))}
        plain["missing"] = missing_from(summary.layers) if summary.layers else ()
        plain["leakage"] = None if report is None else reports.as_dict(report)
        output.print_json(plain, indent=2)
        return
    lines = [("rows", summary.n_rows), *summary.dropped.items(), ("kept", summary.n_kept)]
    print("\n".join(f"{name:<20}{n:>12,}" for name, n in lines))
    if report is not None:
        print(f"\n{reports.table(report)}\n")
    elif summary.layers:
        print(f"leaks were looked for under {layers_text(summary.layers)}")
    if summary.embedder is not None:
        print(f"meanings by {summary.embedder}")
    for path in paths:
        print(f"wrote {path}")


def _add_leak_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that are about leakage."""
    add = parser.add_argument
    add(
        "--against",
        metavar="NAME,...",
        help=f"benchmarks, or `{detectors.MULTIPL_E}` for all of these",
    )
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


def _options(args: argparse.Namespace, config: Config) -> DetectorOptions:
    """Read flags; what they leave out is the config's."""
    given = detectors.of_config(config)
    names = given.against
    if args.against is not None:
        names = tuple(name.strip() for name in args.against.split(",") if name.strip())
    drops = given.drops if args.drop is None else tuple(map(DropRule, args.drop))
    return DetectorOptions(
        names, args.data_dir or given.data_dir, _detectors(args, given), drops, args.sandbox,
        args.workers, args.judge,
    )  # fmt: skip


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


def _check(args: argparse.Namespace, wanted: DetectorOptions) -> None:
    """Refuse flags that go with no others, before anything is read."""
    if args.report is not None and not wanted.against:
        raise ConfigError("--report: says what leaked; name the benchmarks with --against")
    if args.report is not None and args.report.suffix not in {".html", ".json"}:
        raise ConfigError(f"--report {args.report}: ends in neither .html nor .json")


def _write(report: Report, path: Path, *, title: str) -> Path:
    """Write a report as the page or the JSON that its file's name asks for."""
    with atomic.open_text(path) as file:
        if path.suffix == ".html":
            file.write(reports.page(report, title=title))
        else:
            file.write(json_text(reports.as_dict(report), indent=2))
    return path
