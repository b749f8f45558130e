"""`evolcoder report`: writes what a folder or a cleaned file holds as HTML, Markdown or JSON.

Takes a run, an evaluation, a loop or its results, or a file that `clean` wrote. All are only read,
so a report can be made while a run goes on; `--similarity` stores its result with the run. The page
needs no network.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from evolcoder.app import models
from evolcoder.cli import output
from evolcoder.config.load import load
from evolcoder.errors import ConfigError, UserError
from evolcoder.evaluation.store import DB_NAME as EVAL_DB
from evolcoder.evaluation.store import EvalStore
from evolcoder.report import cleaning, evaluation, loop, render, run
from evolcoder.report.content import ReportContent, compared
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, RunStore
from evolcoder.storage.run_store import DB_NAME as RUN_DB

PAGE_NAME = "report.html"
"""Name of the page in the folder that it is about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("run", type=Path, metavar="PATH",
        help="folder of a run, an evaluation or a loop, or a file that clean wrote")  # fmt: skip
    add("--out", type=Path, metavar="FILE",
        help=f"HTML file to write (default: {PAGE_NAME} in the folder, NAME.{PAGE_NAME} next to a "
        "file)")  # fmt: skip
    add("--compare", type=Path, nargs="+", default=[], metavar="OTHER",
        help="others of the same kind, as further columns")  # fmt: skip
    add("--similarity", metavar="NAME,...",
        help="first measure how near the rows of a run are to these benchmarks by round, and store "
        "it with the run; done before, it is not measured again")  # fmt: skip
    add("--judge", metavar="SPEC",
        help="with --similarity, a model that also scores tasks from 1 to 10: how difficult they "
        f"are, and how like problems: {models.SPEC_FORMS}")  # fmt: skip
    add("--data-dir", type=Path, metavar="DIR",
        help="folder with benchmark data, for --similarity and for the problems next to leaks "
        "(default: as in the run's config, or what was downloaded)")  # fmt: skip
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument(
        "--markdown", action="store_true", help="print Markdown, for a pull request"
    )
    printed.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Write or print the report."""
    if args.out is not None and (args.markdown or args.json):
        raise ConfigError(f"--out {args.out}: is for the HTML page; redirect the output of others")
    if args.out is not None and args.out.suffix not in {".html", ".htm"}:
        raise ConfigError(f"--out {args.out}: is for the HTML page; its name must end in .html")
    if args.judge is not None and args.similarity is None:
        raise ConfigError(f"--judge {args.judge}: scores go with --similarity NAME,...; add it")
    if args.judge is not None:
        models.check_spec(args.judge)
    if args.similarity is not None:
        _measure(args)
    found = _read(args.run, args.data_dir)
    if args.compare:
        others = [_read(path, args.data_dir) for path in args.compare]
        _refuse_another_kind(args.run, args.compare)
        found = compared([found, *others])
    if args.json:
        output.print_json(found.as_plain(), indent=1)
    elif args.markdown:
        print(render.markdown(found), end="")
    else:
        path = args.out or _page_path(args.run)
        atomic.write_text(path, render.html(found), inside=path.parent, error=UserError)
        print(path)
    return 0


def _page_path(path: Path) -> Path:
    """Return where the page lies by default: in a folder, or next to a file."""
    if path.is_dir():
        return path / PAGE_NAME
    return path.with_name(f"{cleaning.stem_of(path)}.{PAGE_NAME}")


def _measure(args: argparse.Namespace) -> None:
    """Measure the similarity of a run to benchmarks, with progress on standard error."""
    from evolcoder.app.progress import shown  # noqa: PLC0415 - for runs only
    from evolcoder.app.similarity import (  # noqa: PLC0415 - numpy, benchmarks
        SimilarityOptions,
        measure_similarity,
    )

    names = tuple(name.strip() for name in args.similarity.split(",") if name.strip())
    if not os.path.lexists(args.run / RUN_DB):
        raise ConfigError(f"--similarity {args.similarity}: {args.run} is no folder of a run")
    options = SimilarityOptions(names, args.data_dir, judge=args.judge)
    with shown(options.progress, if_long=True):
        measure_similarity(args.run, options)


def _refuse_another_kind(path: Path, others: Sequence[Path]) -> None:
    """Raise ConfigError if a run is to be compared with an evaluation."""
    for other in others:
        if _kind(other) != _kind(path):
            raise ConfigError(
                f"--compare {other}: is {_kind(other)}, and {path} is {_kind(path)}; "
                "compare runs with runs, evaluations with evaluations"
            )


def _kind(path: Path) -> str:
    if path.is_file():
        return "a cleaned file"
    if loop.is_loop(path):
        return "a loop"
    return "an evaluation" if os.path.lexists(path / EVAL_DB) else "a run"


def _read(path: Path, data_dir: Path | None) -> ReportContent:
    readers: dict[str, Callable[[], ReportContent]] = {
        "a cleaned file": lambda: cleaning.report_of(path, data_dir),
        "a loop": lambda: loop.report_of(path),
        "an evaluation": lambda: _evaluation(path),
        "a run": lambda: _run(path, data_dir),
    }
    return readers[_kind(path)]()


def _evaluation(folder: Path) -> ReportContent:
    with EvalStore.read(folder) as store:
        return evaluation.report_of(store)


def _run(folder: Path, data_dir: Path | None) -> ReportContent:
    with RunStore.read(folder) as store:
        return run.report_of(store, load(folder / CONFIG_NAME, ()), data_dir=data_dir)
