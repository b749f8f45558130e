"""Fits text to a terminal.

>>> folded_for("a line", sys.stderr)   # doctest: +SKIP
'a line'
"""

import shutil
from typing import TextIO

from evolcoder.text import folded_to_width


def folded_for(text: str, stream: TextIO) -> str:
    """Break the lines of a text at blanks if a stream is a terminal; else return it as it is."""
    if not stream.isatty():
        return text
    return folded_to_width(text, shutil.get_terminal_size().columns)
