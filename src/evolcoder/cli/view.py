"""`evolcoder view`: shows runs, evaluations, loops and cleaned files as local web pages.

Also while they go on.

The pages answer on the loopback address only, to a browser that has the printed address with its
token. Folders are only read, but for flags and notes in a file of the run's folder.
"""

import argparse
import sys
from pathlib import Path

from evolcoder.engine.registry import cache_folder
from evolcoder.errors import ConfigError
from evolcoder.view.server import HOST, listening, new_token, serve
from evolcoder.view.sources import find_sources


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="PATH",
        help="folder of a run, an evaluation or a loop, a file that clean wrote, or a folder that "
        "holds such")  # fmt: skip
    add("--port", type=int, default=0, metavar="N",
        help="port on the loopback address (default: any that is free)")  # fmt: skip
    add("--data-dir", type=Path, metavar="DIR",
        help="folder of benchmark files, for the prompts of evaluations")  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Serve the pages until interrupted."""
    from evolcoder.cli.cancellation import run_cancellable  # noqa: PLC0415 - slow to import
    from evolcoder.view.app import Viewer, make_app  # noqa: PLC0415
    from evolcoder.view.samples import Benchmarks  # noqa: PLC0415

    if not 0 <= args.port < 1 << 16:
        raise ConfigError(f"--port {args.port}: must be from 0 to 65535; 0 takes any that is free")
    if args.data_dir is not None and not args.data_dir.is_dir():
        raise ConfigError(f"--data-dir {args.data_dir}: no such folder")
    sources = find_sources(args.paths)
    folders = [args.data_dir] if args.data_dir else []
    benchmarks = Benchmarks([*folders, cache_folder() / "benchmarks"])
    token = new_token()
    with (
        Viewer(sources, cache_folder() / "view", benchmarks) as viewer,
        listening(args.port) as port,
    ):
        app = make_app(viewer)
        address = f"http://{HOST}:{port.getsockname()[1]}/?token={token}"
        print(address, flush=True)
        print(f"evolcoder: {len(sources):,} shown at the address above; Ctrl-C ends it",
              file=sys.stderr)  # fmt: skip
        run_cancellable(serve(app, port, token))
    return 0
