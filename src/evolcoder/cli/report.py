"""`evolcoder report`: writes what a run or an evaluation holds as one HTML page, Markdown or JSON.

The folder is only read, so a report can be made while a run goes on. The page needs no network.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from evolcoder.cli import output
from evolcoder.config.load import load
from evolcoder.errors import ConfigError, UserError
from evolcoder.evaluation.store import DB_NAME as EVAL_DB
from evolcoder.evaluation.store import EvalStore
from evolcoder.report import evaluation, render, run
from evolcoder.report.content import ReportContent, compared
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, RunStore

PAGE_NAME = "report.html"
"""Name of the page in the folder that it is about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("run", type=Path, help="folder of a run or an evaluation")
    add("--out", type=Path, metavar="FILE", help=f"HTML file to write (default: RUN/{PAGE_NAME})")
    add("--compare", type=Path, nargs="+", default=[], metavar="OTHER",
        help="other folders of the same kind, as further columns")  # fmt: skip
    add("--markdown", action="store_true", help="print Markdown, for a pull request")
    add("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Write or print the report."""
    if args.out is not None and (args.markdown or args.json):
        raise ConfigError(f"--out {args.out}: is for the HTML page; redirect the output of others")
    found = _read(args.run)
    if args.compare:
        others = [_read(folder) for folder in args.compare]
        _refuse_another_kind(args.run, args.compare)
        found = compared([found, *others])
    if args.json:
        output.print_json(found.as_plain(), indent=1)
    elif args.markdown:
        print(render.markdown(found), end="")
    else:
        path = args.out or args.run / PAGE_NAME
        atomic.write_text(path, render.html(found), inside=path.parent, error=UserError)
        print(path)
    return 0


def _refuse_another_kind(folder: Path, others: Sequence[Path]) -> None:
    """Raise ConfigError if a run is to be compared with an evaluation."""
    for other in others:
        if _kind(other) != _kind(folder):
            raise ConfigError(
                f"--compare {other}: is {_kind(other)}, and {folder} is {_kind(folder)}; "
                "compare runs with runs, evaluations with evaluations"
            )


def _kind(folder: Path) -> str:
    return "an evaluation" if os.path.lexists(folder / EVAL_DB) else "a run"


def _read(folder: Path) -> ReportContent:
    if os.path.lexists(folder / EVAL_DB):
        with EvalStore.read(folder) as evaluated:
            return evaluation.report_of(evaluated)
    with RunStore.read(folder) as store:
        return run.report_of(store, load(folder / CONFIG_NAME, ()))
