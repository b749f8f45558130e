"""`evolcoder report`: writes what a run or an evaluation holds as one HTML page, Markdown or JSON.

The folder is only read, so a report can be made while a run goes on. The page needs no network.
"""

import argparse
import os
from pathlib import Path

from evolcoder.cli import output
from evolcoder.config.load import load
from evolcoder.errors import ConfigError, UserError
from evolcoder.evaluation.store import DB_NAME as EVAL_DB
from evolcoder.evaluation.store import EvalStore
from evolcoder.report import evaluation, render, run
from evolcoder.report.content import Report, compared
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, RunStore
from evolcoder.storage.run_store import DB_NAME as RUN_DB

PAGE_NAME = "report.html"
"""Name of the page in the folder that it is about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("run", type=Path, help="folder of a run or an evaluation")
    add("--out", type=Path, metavar="FILE", help=f"HTML file to write (default: RUN/{PAGE_NAME})")
    add("--compare", type=Path, nargs="+", default=[], metavar="OTHER",
        help="other folders of the same kind, whose numbers stand beside")  # fmt: skip
    add("--similarity", metavar="NAME,...",
        help="first measure how near the rows of a run are to these benchmarks by round, and store "
        "it with the run; done before, it is not measured again")  # fmt: skip
    add("--data-dir", type=Path, metavar="DIR",
        help="folder with benchmark data (default: as in the run's config)")  # fmt: skip
    add("--markdown", action="store_true", help="print Markdown, for a pull request")
    add("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Write or print the report."""
    if args.out is not None and (args.markdown or args.json):
        raise ConfigError(f"--out {args.out}: is for the HTML page; redirect the output of others")
    if args.similarity is not None:
        _measure(args)
    elif args.data_dir is not None:
        raise ConfigError(f"--data-dir {args.data_dir}: needs --similarity NAME,...")
    found = _read(args.run)
    if args.compare:
        found = compared([found, *map(_read, args.compare)])
    if args.json:
        output.print_json(found.as_plain(), indent=1)
    elif args.markdown:
        print(render.markdown(found), end="")
    else:
        path = args.out or args.run / PAGE_NAME
        atomic.write_text(path, render.html(found), inside=path.parent, error=UserError)
        print(path)
    return 0


def _measure(args: argparse.Namespace) -> None:
    """Measure the similarity of a run to benchmarks, with progress on standard error."""
    from evolcoder.app.progress import shown  # noqa: PLC0415 - for runs only
    from evolcoder.app.similarity import (  # noqa: PLC0415 - numpy, benchmarks
        SimilarityOptions,
        measure_similarity,
    )

    names = tuple(name.strip() for name in args.similarity.split(",") if name.strip())
    if not os.path.lexists(args.run / RUN_DB):
        raise ConfigError(f"--similarity {args.similarity}: {args.run} holds no run")
    options = SimilarityOptions(names, args.data_dir)
    with shown(options.progress, if_long=True):
        measure_similarity(args.run, options)


def _read(folder: Path) -> Report:
    if os.path.lexists(folder / EVAL_DB):
        with EvalStore.read(folder) as evaluated:
            return evaluation.report_of(evaluated)
    with RunStore.read(folder) as store:
        return run.report_of(store, load(folder / CONFIG_NAME, ()))
