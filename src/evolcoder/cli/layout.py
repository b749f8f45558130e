"""Fits what commands print to the width of a terminal; elsewhere a record stays one line.

Widths are counted in cells, so wide characters are aligned. Lines that are a path or a command
are printed as they are: they are to be copied.

>>> folded("sandbox verify: user namespace, no network", 8)
'sandbox verify: user namespace, no network'
"""

import shutil
import sys
from collections.abc import Iterable

from evolcoder.terminal import cell_width, wrapped
from evolcoder.visible import visible

NO_TERMINAL = 100
"""Width where there is no terminal."""
LABEL = 8
"""Width of the labels of a summary."""
MIN_TEXT = 20
"""Fewest cells of a text next to its label, however narrow the terminal is."""


def terminal_width() -> int:
    """Return the columns of the terminal; NO_TERMINAL where there is none."""
    return shutil.get_terminal_size((NO_TERMINAL, 24)).columns


def labelled(label: str, text: str) -> str:
    """Put a text next to its label, in the column of a summary's texts."""
    return f"{label:<{LABEL}}{text}"


def folded(line: str, indent: int) -> str:
    """Break a line at blanks to the width of the terminal; what follows is indented.

    Without a terminal on standard output the line stays whole.
    """
    line = visible(line, lines=False)
    width = terminal_width()
    if not sys.stdout.isatty() or cell_width(line) <= width:
        return line
    head, text = line[:indent], line[indent:]
    first, *rest = wrapped(text, max(MIN_TEXT, width - cell_width(head))) or [""]
    return "\n".join([head + first, *(" " * cell_width(head) + one for one in rest)])


def folded_items(head: str, items: Iterable[str], *, comma: str = ",") -> str:
    """Put a list after a head, broken between items to the width of the terminal.

    >>> folded_items("clean  ", ["duplicate 3", "leak 1"])
    'clean  duplicate 3, leak 1'
    """
    parts = [visible(one, lines=False) for one in items]
    if not sys.stdout.isatty():
        return head + f"{comma} ".join(parts)
    width = max(MIN_TEXT, terminal_width() - cell_width(head))
    lines = [""]
    for at, part in enumerate(parts):
        piece = part if at == len(parts) - 1 else f"{part}{comma} "
        if lines[-1] and cell_width(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    indent = " " * cell_width(head)
    return head + f"\n{indent}".join(line.rstrip() for line in lines)


def print_folded(line: str, indent: int = LABEL) -> None:
    """Print a line, broken to the width of the terminal."""
    print(folded(line, indent))
