"""`evolcoder clean`: removes duplicates and benchmark leaks from a data file or a run.

For a file, the remaining rows are written unchanged, and the drops with their evidence to a second
file. For a run (stage `clean`), the drops are stored in the run and its exports omit them.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from evolcoder.app import detectors, export, models
from evolcoder.app.clean import certify_file, clean_run, run_certificate_paths
from evolcoder.app.detectors import DetectorOptions, embedder_for
from evolcoder.app.progress import print_note, shown
from evolcoder.cli import output, show, usage
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.cli.layout import folded, labelled, print_folded
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.detect import DetectedHits
from evolcoder.decontamination.hits import Detector, DropRule
from evolcoder.decontamination.report import Report
from evolcoder.deduplication import files
from evolcoder.deduplication.summary import (
    CleaningSummary,
    LeakCounts,
    LeakDetector,
    shared_note,
)
from evolcoder.errors import ConfigError, UserError
from evolcoder.records import Row
from evolcoder.sandbox.base import layers_text, missing_from
from evolcoder.sandbox.pool import LEVELS
from evolcoder.seeds.rows import COLUMNS_HELP, ReadCounts, columns_from
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore
from evolcoder.terminal import shell_path
from evolcoder.text import json_text

FLAGS = {
    "near": "clean.near",
    "meaning": "clean.meaning",
    "compare": "clean.compare",
    "embedder": "clean.embedder",
    "beside": "clean.beside",
    "seed": "seed",
    "cluster": "cluster.address",
}
"""Flag -> the config key that it sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a file or Hub data set in any seed format, or a run folder")
    add("--out", type=Path, metavar="FILE", help="write the remaining rows to FILE, as JSON lines")
    add("--beside", action="append", metavar="FILE",
        help="drop rows that duplicate a row of FILE (repeatable)")  # fmt: skip
    add("--columns", action="append", metavar="NAME=COLUMN,...", help=COLUMNS_HELP)
    add("--near", type=float, metavar="J",
        help="minimum Jaccard similarity of near duplicates (default: 0.8)")  # fmt: skip
    add("--meaning", type=float, metavar="C",
        help="minimum cosine similarity of semantic duplicates (default: off)")  # fmt: skip
    add("--compare", choices=("task", "row"), help="compare tasks only, or rows with answers")
    add("--embedder", metavar="SPEC",
        help="embedding model of both searches: a known name, a folder or a Hub id")  # fmt: skip
    add("--seed", type=int, metavar="N", help="random seed")
    _add_leak_arguments(parser)
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Clean a run or a file."""
    begun = time.monotonic()
    folder = Path(args.data)
    is_run = os.path.lexists(folder / DB_NAME)
    if is_run and args.out is not None:
        raise UserError(
            f"--out: not for runs, which store their drops; to write the remaining rows, run "
            f"`evolcoder export {shell_path(folder)} --out PATH`"
        )
    base = folder / CONFIG_NAME if is_run else None
    # Where a run was made is no property of its rows: that cluster may be gone.
    source = ["cluster.address=null" if is_run else f"seeds.path={json.dumps(args.data)}"]
    config = configs.load(base, [*source, *_from_flags(args), *args.set])
    if args.out is not None and not args.out.name:
        raise UserError(f"--out {args.out}: not a file name; give the path of a file")
    options = _detector_options(args, config)
    _check_report(args, options)
    _check_flags(args, config, options)
    _check_places(args, config)
    counts = None if is_run else ReadCounts(args.data)
    finder = _LeakFinder(options, config, counts)
    leaked = finder.find if options.against else None
    with shown(finder.progress, if_long=True):
        if counts is None:
            summary, paths = run_cancellable(_clean_run(folder, config, leaked))
        else:
            summary, paths = run_cancellable(_clean_file(config, args.out, leaked, counts))
    if counts is not None:
        print_note(counts.text(whole=True))
        if args.out is None:
            print_note("nothing was written; --out FILE writes the rows that are kept")
    certificate: tuple[Path, ...] = ()
    if counts is None:
        certificate = run_certificate_paths(folder)
    elif args.out is not None:
        certificate = certify_file(config.clean, summary, finder.searched, counts, args.out)
    if finder.report is not None and args.report is not None:
        paths.append(_write_report(finder.report, args.report, title=f"{args.data}: leakage"))
    _show(summary, paths, certificate, finder.report, counts, as_json=args.json)
    if not args.json:
        print(show.time_line(begun))
    return 0


class _LeakFinder:
    """Leak detector of a cleaning; keeps its report, and says how far the cleaning is."""

    def __init__(self, options: DetectorOptions, config: Config, counts: ReadCounts | None) -> None:
        self.report: Report | None = None
        self.searched: Mapping[str, object] = {}
        self._options = options
        self._config = config
        self._counts = counts
        self._n_searched: int | None = None
        self._found = DetectedHits()

    def progress(self) -> str:
        """Say what is done now."""
        if self._n_searched is not None:
            return f"searching for leaks, {self._n_searched:,} rows read"
        read = f", {self._counts.n_rows:,} rows read" if self._counts else ""
        return f"searching for duplicates{read}"

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for self._n_searched, row in enumerate(rows, 1):
            yield row

    async def find(self, rows: Iterable[Row]) -> LeakCounts:
        """Return the rows to drop, with their evidence."""
        self._n_searched = 0
        rows = self._counted(rows)
        self.report = await detectors.find_leaks(rows, self._options, self._config, self._found)
        counts = detectors.leak_counts(self.report)
        self.searched = counts.searched
        return counts


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"
    if args.columns:
        yield f"seeds.columns={json.dumps(columns_from(args.columns))}"


async def _clean_run(
    folder: Path, config: Config, leaked: LeakDetector | None
) -> tuple[CleaningSummary, list[Path]]:
    embedder = embedder_for(config.clean)
    with RunStore.create(folder, config) as store:
        settings, seed = config.clean, config.seed
        summary = await clean_run(
            store,
            settings,
            seed=seed,
            embedder=embedder,
            leak_detector=leaked,
            force=leaked is not None,
        )
        return summary, [one.path for one in export.write(store, config)]


async def _clean_file(
    config: Config, out: Path | None, leaked: LeakDetector | None, counts: ReadCounts
) -> tuple[CleaningSummary, list[Path]]:
    embedder, seed = embedder_for(config.clean), config.seed
    summary = await files.clean_file(
        config.seeds,
        config.clean,
        seed=seed,
        embedder=embedder,
        out=out,
        leaked=leaked,
        counts=counts,
    )
    return summary, [] if out is None else [out, files.drops_path(out)]


def _show(
    summary: CleaningSummary,
    paths: list[Path],
    certificate: tuple[Path, ...],
    report: Report | None,
    counts: ReadCounts | None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        plain = {**asdict(summary), "n_kept": summary.n_kept, "paths": list(map(str, paths))}
        plain["certificate"] = list(map(str, certificate))
        plain["missing"] = missing_from(summary.layers) if summary.layers else ()
        plain["leakage"] = None if report is None else reports.as_dict(report)
        plain |= {"read": counts.as_dict()} if counts else {}
        output.print_json(plain, indent=2)
        return
    lines = [("rows", summary.n_rows), *summary.dropped.items(), ("kept", summary.n_kept)]
    print("\n".join(f"{name:<20}{n:>12,}" for name, n in lines))
    if report is not None:
        table = reports.table(report).split("\n")
        print("\n".join(["", *(folded(line, len("execution: ")) for line in table), ""]))
    elif summary.layers:
        print_folded(f"sandbox of leak detection: {layers_text(summary.layers)}")
    if note := shared_note(summary):
        print_folded(note, 0)
    if summary.embedder is not None:
        print(f"embeddings by {summary.embedder}")
    for path in [*paths, *certificate]:
        print(labelled("wrote", str(path)))


def _add_leak_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of leak detection."""
    add = parser.add_argument
    add(
        "--against",
        metavar="NAME,...",
        help=f"benchmarks to search for; `{detectors.MULTIPL_E}` means all MultiPL-E benchmarks, "
        f"`{detectors.ALL}` every one whose files can be had",
    )
    add("--data-dir", type=Path, metavar="DIR",
        help="folder with benchmark data (default: download it)")  # fmt: skip
    add("--detectors", metavar="NAME,...",
        help=f"detectors to use: {', '.join(Detector)} (default: all available)")  # fmt: skip
    add("--judge", metavar="SPEC", help=f"LLM that judges nearest neighbours: {models.SPEC_FORMS}")
    add(
        "--drop",
        action="append",
        choices=[name.value for name in DropRule],
        help="detectors that may drop a row (repeatable; default: any)",
    )
    add("--report", type=Path, metavar="FILE", help="write the evidence to a .html or .json file")
    add("--sandbox", choices=list(LEVELS), default="strict",
        help="minimum sandbox isolation; fail if unavailable (default: strict)")  # fmt: skip
    usage.add_workers(add)
    usage.add_cluster(add)


def _detector_options(args: argparse.Namespace, config: Config) -> DetectorOptions:
    """Read the flags of leak detection, with defaults from the config."""
    given = detectors.options_from_config(config)
    names = given.against
    if args.against is not None:
        names = tuple(name.strip() for name in args.against.split(",") if name.strip())
        if not names:
            raise ConfigError(f"--against {args.against}: names no benchmark, such as humaneval")
    drops = given.drop_rules if args.drop is None else tuple(map(DropRule, args.drop))
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
            raise ConfigError(f"--detectors {name}: unknown; known are {', '.join(Detector)}")
    if (Detector.JUDGE in names) != bool(args.judge):
        raise ConfigError("--judge SPEC and --detectors judge need each other; give both or none")
    return frozenset(map(Detector, names))


def _check_report(args: argparse.Namespace, options: DetectorOptions) -> None:
    """Raise ConfigError for an unusable --report, before any data is read."""
    if args.report is not None and not options.against:
        raise ConfigError("--report: needs --against with the benchmarks to search for")
    if args.report is not None and args.report.suffix not in {".html", ".json"}:
        raise ConfigError(f"--report {args.report}: the name must end in .html or .json")


def _check_flags(args: argparse.Namespace, config: Config, options: DetectorOptions) -> None:
    """Raise ConfigError for a flag of a search that is not asked for."""
    if args.embedder is not None and config.clean.meaning is None and not options.embeds:
        raise ConfigError(
            f"--embedder {args.embedder}: needs --meaning C, or --against with the detector "
            f"{Detector.NEIGHBOURS} or {Detector.JUDGE}"
        )
    for flag in ("detectors", "judge", "drop", "data_dir"):
        if getattr(args, flag) is not None and not options.against:
            name = f"--{flag.replace('_', '-')}"
            raise ConfigError(f"{name}: needs --against with the benchmarks to search for")


def _check_places(args: argparse.Namespace, config: Config) -> None:
    """Raise ConfigError if a file would be written over one that is read, or over another one."""
    read = {os.path.realpath(path): path for path in (args.data, *config.clean.beside)}
    written: dict[str, str] = {}
    places = [("--out", args.out), ("--report", args.report)]
    if args.out is not None:
        places += [("the drops of --out", files.drops_path(args.out))]
    for name, path in places:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in read:
            raise ConfigError(
                f"{name} {path}: is a file that is read, and would be lost; use another path"
            )
        if place in written:
            raise ConfigError(f"{name} {path}: is also {written[place]}; use another path")
        written[place] = name


def _write_report(report: Report, path: Path, *, title: str) -> Path:
    """Write a report as HTML or JSON, by the suffix of its file."""
    with atomic.open_text(path) as file:
        if path.suffix == ".html":
            file.write(reports.page(report, title=title))
        else:
            file.write(json_text(reports.as_dict(report), indent=2))
    return path
