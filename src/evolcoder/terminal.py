"""Fits text to the width of a terminal, counted in cells: wide characters take two.

>>> wrapped("one two three", 7)
['one two', 'three']
"""

import re
import shlex
import shutil
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TextIO

from evolcoder.text import UNSPACED, late_pattern

_SPACE = re.compile(r"\s+")

JOINER = "\u200d"
"""Ties emoji together; alone it is shown as an escape."""
_BREAKABLE = late_pattern(
    rf"[{UNSPACED}\uac00-\ud7af][,.!?;:，。！？、；：）」』”]*|\s+|[^\s{UNSPACED}\uac00-\ud7af]+\s*"
)
"""Pieces of a line after which it may break."""


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a text takes: 2 for wide characters, 0 for marks."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def padded(text: str, width: int) -> str:
    """Append blanks until a text takes `width` cells of a terminal."""
    return text + " " * (width - cell_width(text))


def folded_to_width(text: str, width: int) -> str:
    """Break the lines of a text at blanks to the width of a terminal."""
    lines = text.splitlines()
    return "\n".join(part for line in lines for part in wrapped(line, max(width, 2)) or [""])


def shell_path(path: object) -> str:
    """Write a path as an argument of a command that can be copied into a shell.

    >>> shell_path("my runs/-a"), shell_path("-a")
    ("'my runs/-a'", './-a')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def wrapped(text: str, width: int) -> list[str]:
    """Break one line into lines of at most `width` cells, at blanks or between wide characters.

    `width` is at least 2. Lines break within a word only if it is longer than a line.
    """
    lines, line, used = [], "", 0
    for piece in _pieces(text, width):
        cells = cell_width(piece)
        if line and used + cell_width(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line, used = "", 0
            if piece.isspace():
                continue
        line, used = line + piece, used + cells
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """Split a line where it may break; a piece takes at most `width` cells without its blanks."""
    for piece in _BREAKABLE.findall(text):
        part, used = "", 0
        for char in _clusters(piece):
            cells = cell_width(char)
            if part and used + cells > width and not char.isspace():
                yield part
                part, used = "", 0
            part, used = part + char, used + cells
        yield part


def _clusters(text: str) -> Iterator[str]:
    """Yield the characters of a text, each with its marks and what a joiner ties to it."""
    if text.isascii():
        yield from text
        return
    cluster = ""
    for char in text:
        if cluster and _cells(char) and not cluster.endswith(JOINER):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


@lru_cache(maxsize=8192)
def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"} or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def one_row(text: str, width: int) -> str:
    """Collapse white space and shorten to `width` cells of a terminal."""
    folded = _SPACE.sub(" ", text).strip()
    if cell_width(folded) <= width:
        return folded
    row, used = "", 1  # the cell of the ellipsis
    for char in _clusters(folded):
        used += cell_width(char)
        if used > width:
            break
        row += char
    return f"{row}…"


def folded_for(text: str, stream: TextIO) -> str:
    """Break the lines of a text at blanks if a stream is a terminal; else return it as it is."""
    if not stream.isatty():
        return text
    return folded_to_width(text, shutil.get_terminal_size().columns)
