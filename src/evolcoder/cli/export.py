"""`evolcoder export`: writes the rows of a run in a training format, with a data set card.

Nothing leaves the machine unless `--push` names a data set of the Hub.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from evolcoder.app import export
from evolcoder.app.progress import print_note
from evolcoder.cli import output
from evolcoder.config.load import ExportFormat, load
from evolcoder.config.schema import ExportConfig
from evolcoder.errors import ConfigError
from evolcoder.storage.run_store import CONFIG_NAME, RunStore

FLAGS = ("license", "name", "validation", "fim")
"""Flags that set the key of `export` with their name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("run", type=Path, help="run folder")
    add(
        "--format",
        action="append",
        choices=get_args(ExportFormat),
        help="format to write (repeatable; default: the formats in the config of the run)",
    )
    add("--out", type=Path, metavar="PATH", help="target folder (default: RUN/export)")
    add("--no-seeds", action="store_true", help="export evolved rows only")
    add("--keep-failing", action="store_true",
        help="also export rows that end in an error or misstate their output")  # fmt: skip
    flags = parser.add_mutually_exclusive_group()
    for flag, mark, does in (
        ("--flagged", "flagged", "export only the rows that were flagged in evolcoder view"),
        ("--not-flagged", "not flagged", "leave out the rows that were flagged in evolcoder view"),
        ("--noted", "noted", "export only the rows with a note of evolcoder view"),
    ):
        flags.add_argument(flag, dest="marked", action="store_const", const=mark, help=does)
    add("--validation", type=float, metavar="SHARE",
        help="share of lineages, such as 0.02, whose rows go to a validation file")  # fmt: skip
    add("--name", metavar="NAME", help="name of the data set for trainers (default: evolcoder)")
    add("--fim", choices=get_args(ExportConfig.model_fields["fim"].annotation),
        help="model family of the fill-in-the-middle tokens of infill (default: qwen)")  # fmt: skip
    add("--license", metavar="NAME", help="license to state in the data set card")
    add("--push", metavar="ID",
        help="upload the files to this data set of the Hub; a new one is private")  # fmt: skip
    add("--public", action="store_true", help="make the new data set of --push public")
    add("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Export the rows that the run has so far."""
    with RunStore.read(args.run) as store:
        config = load(args.run / CONFIG_NAME, _overrides(args))
        formats = tuple(dict.fromkeys(args.format or config.export.formats))
        if args.push is not None and len(formats) != 1:
            raise ConfigError(
                f"--push {args.push}: uploads one format, and these are {', '.join(formats)}; "
                f"name it with --format"
            )
        if args.public and args.push is None:
            raise ConfigError("--public: says how --push makes a data set; give --push too")
        if args.fim is not None and "infill" not in formats:
            raise ConfigError(f"--fim {args.fim}: is for --format infill; give that too")
        out = args.out or args.run / "export"
        written = export.write_to(store, out, config, formats, marked=args.marked)
        for note in export.notes(store, config, written, marked=args.marked):
            print_note(note)
    paths = [str(one.path) for one in written]
    pushed = [] if args.push is None else [export.push(written[0], args.push, public=args.public)]
    if args.json:
        output.print_json([*paths, *pushed])
    else:
        print("\n".join([*paths, *pushed]))
    return 0 if any(one.n_rows for one in written) else 1


def _overrides(args: argparse.Namespace) -> Iterator[str]:
    if args.no_seeds:
        yield "export.include_seeds=false"
    if args.keep_failing:
        yield "export.failing=true"
    for name in FLAGS:
        if (value := getattr(args, name)) is not None:
            yield f"export.{name}={json.dumps(value)}"
