"""`evolcoder export`: writes the rows of a run in a training format, with a data set card."""

import argparse
import json
from pathlib import Path
from typing import get_args

from evolcoder.app import export
from evolcoder.cli import output
from evolcoder.config.load import ExportFormat, load
from evolcoder.storage.run_store import CONFIG_NAME, RunStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument(
        "--format",
        action="append",
        choices=get_args(ExportFormat),
        help="format to write (repeatable; default: the formats in the config of the run)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="target folder (default: RUN/export)"
    )
    parser.add_argument("--no-seeds", action="store_true", help="export evolved rows only")
    parser.add_argument("--license", metavar="NAME", help="license to state in the data set card")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Export the rows that the run has so far."""
    overrides = ["export.include_seeds=false"] if args.no_seeds else []
    overrides += [f"export.license={json.dumps(args.license)}"] if args.license else []
    with RunStore.read(args.run) as store:
        config = load(args.run / CONFIG_NAME, overrides)
        formats = tuple(args.format or config.export.formats)
        paths = export.write_to(store, args.out or args.run / "export", config, formats)
    if args.json:
        output.print_json([str(path) for path in paths])
    else:
        print("\n".join(str(path) for path in paths))
    return 0
