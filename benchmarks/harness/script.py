"""Functions that benchmark scripts share: `--only`, passes in turn, progress, costs, results."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.memory import tree
from harness.table import Target


def add_only(parser: argparse.ArgumentParser, known: Collection[str], what: str = "NAME") -> None:
    """Declare `--only NAME,...`, a list of some of the known names; default: all of them."""
    parser.add_argument(
        "--only",
        type=_some_of(known),
        default=list(known),
        metavar=f"{what},...",
        help=f"of {', '.join(known)}",
    )


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if unknown := sorted(set(found) - set(known)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(known)}")
        return found

    return names


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Return the names in the order of pass `number`: each pass begins with another one."""
    begin = number % len(names)
    return [*names[begin:], *names[:begin]]


def log(text: str) -> None:
    """Print a line with the time on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def write_results(
    path: Path, passes: Sequence[Any], targets: Sequence[Target], **more: object
) -> None:
    """Write passes (dataclasses) and targets as JSON."""
    data = {
        "passes": [asdict(one) for one in passes],
        "targets": [asdict(one) for one in targets],
        **more,
    }
    path.write_text(f"{json.dumps(data, indent=1)}\n")


def cpu_s() -> float:
    """Return the processor seconds of this process and its descendants."""
    return sum(seen.cpu_s for seen in tree(os.getpid()))
