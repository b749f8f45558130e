r"""Filters everything that a command prints.

Guarantees: no control, bidirectional or invisible character of an answer, a file or a server
reaches standard output or standard error, and no secret registered with `redact`. Characters that
the encoding of a stream lacks are escaped. JSON stays valid JSON. Colours are written to
`progress.raw_stderr()` instead; the coloured text passes through `visible` first.

>>> with visible_streams():   # doctest: +SKIP
...     print("\x1b[31mred")
\x1b[31mred
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from evolcoder.engine import redact
from evolcoder.text import json_text
from evolcoder.visible import visible

_REDRAW = re.compile(r"(\r|\n|\x1b\[A)")
"""Control sequences with which tqdm redraws its bar."""
_NAMES = {"<stdout>": "standard output", "<stderr>": "standard error"}


class VisibleStream:
    """A text stream that prints control characters as escapes and masks secrets."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write text filtered by `visible`; return the length of the original text."""
        shown = redact.masked(text)
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - as logging does
        if caller.startswith("tqdm"):
            shown = "".join(
                part if _REDRAW.fullmatch(part) else visible(part) for part in _REDRAW.split(shown)
            )
        else:
            shown = visible(shown)
        with self._with_stream_name():
            try:
                self.unfiltered.write(shown)
            except UnicodeEncodeError:
                encoding = self.unfiltered.encoding
                self.unfiltered.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._with_stream_name():
            self.unfiltered.flush()

    @contextmanager
    def _with_stream_name(self) -> Iterator[None]:
        """Set the name of the stream in an OSError that has no file name."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                error.filename = _NAMES.get(self.unfiltered.name, str(self.unfiltered.name))
            raise

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self.unfiltered, name)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Filter stdout and stderr inside the context: control characters and secrets."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_wrapped, before)
    redact.register_secrets(os.environ.get(name, "").strip() for name in redact.VARIABLES)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        redact.clear_secrets()


def open_closed_streams() -> None:
    """Open /dev/null for each standard stream that the parent process closed.

    Otherwise the next opened file gets its descriptor, and output is written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print plain data as JSON in printable ASCII."""
    print(json_text(value, indent=indent))


def _wrapped(stream: TextIO) -> TextIO:
    if isinstance(stream, VisibleStream):
        return stream
    return cast("TextIO", VisibleStream(stream))
