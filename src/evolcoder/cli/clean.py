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

from evolcoder.app import detectors, export
from evolcoder.app.clean import clean_run
from evolcoder.app.detectors import embedder_for
from evolcoder.cli import output
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.decontamination import report as reports
from evolcoder.decontamination.report import Report
from evolcoder.dedup import files
from evolcoder.dedup.rows import CleanedRow, CleaningSummary, LeakCounts, Leaked
from evolcoder.errors import UserError
from evolcoder.sandbox.base import layers_text, missing_from
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore

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
    detectors.add_arguments(parser)
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
    detectors.check(args, config)
    seeker = _Seeker(args, config)
    leaked = seeker.leaked if detectors.wanted_by(args, config).against else None
    if is_run:
        summary, paths = _of_run(folder, config, leaked)
    else:
        summary, paths = _of_file(args.data, config, args.out, leaked)
    if seeker.report is not None and args.report is not None:
        paths.append(detectors.write(seeker.report, args.report, title=f"{args.data}: leakage"))
    _show(summary, paths, seeker.report, as_json=args.json)
    return 0


class _Seeker:
    """Looks for leaks where a cleaning asks for it, and keeps the report."""

    def __init__(self, args: argparse.Namespace, config: Config) -> None:
        self.report: Report | None = None
        self._args = args
        self._config = config

    def leaked(self, rows: Iterable[CleanedRow]) -> LeakCounts:
        """Return the rows that go, with their evidence."""
        self.report = detectors.search(rows, self._args, self._config)
        return detectors.leaks_of(self.report)


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


def _of_run(
    folder: Path, config: Config, leaked: Leaked | None
) -> tuple[CleaningSummary, list[Path]]:
    embedder = embedder_for(config.clean)
    with RunStore.create(folder, config) as store:
        settings, seed = config.clean, config.seed
        summary = clean_run(
            store, settings, seed=seed, embedder=embedder, leaked=leaked, anew=leaked is not None
        )
        return summary, export.write(store, config)


def _of_file(
    path: str, config: Config, out: Path | None, leaked: Leaked | None
) -> tuple[CleaningSummary, list[Path]]:
    embedder, seed = embedder_for(config.clean), config.seed
    summary = files.in_file(
        path, config.clean, seed=seed, embedder=embedder, out=out, leaked=leaked
    )
    return summary, [] if out is None else [out, files.drops_path(out)]


def _show(
    summary: CleaningSummary, paths: list[Path], report: Report | None, *, as_json: bool
) -> None:
    if as_json:
        plain = {**asdict(summary), "n_kept": summary.n_kept, "paths": list(map(str, paths))}
        plain["missing"] = missing_from(summary.layers) if summary.layers else ()
        plain["leakage"] = None if report is None else reports.plain(report)
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
