r"""What goes to the terminal: all that a command prints passes through here, once.

Promises: no control, bidirectional or invisible character of an answer, a file or a server reaches
standard output or standard error, nor a secret known to `redact`; a stream that cannot
hold a character gets its escape. JSON stays JSON. Our own colours are written to
`progress.raw_stderr()`, and what they colour goes through `visible` before.

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
from evolcoder.text import json_text, visible

_MOVES = re.compile(r"(\r|\n|\x1b\[A)")
"""How tqdm draws its bar anew."""
_NAMES = {"<stdout>": "standard output", "<stderr>": "standard error"}


class VisibleStream:
    """A text stream that shows what it is given in place of obeying it."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write text as `visible` shows it, with its length as given returned."""
        shown = redact.masked(text)
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - as logging does
        if caller.startswith("tqdm"):
            shown = "".join(
                part if _MOVES.fullmatch(part) else visible(part) for part in _MOVES.split(shown)
            )
        else:
            shown = visible(shown)
        with self._named():
            try:
                self.unfiltered.write(shown)
            except UnicodeEncodeError:
                encoding = self.unfiltered.encoding
                self.unfiltered.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush."""
        with self._named():
            self.unfiltered.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have an error of the system say which stream it was."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                error.filename = _NAMES.get(self.unfiltered.name, str(self.unfiltered.name))
            raise

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self.unfiltered, name)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Have all that is printed pass through `visible`, for as long as the context lasts."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_wrapped, before)
    redact.register_secrets(os.environ.get(name, "").strip() for name in redact.VARIABLES)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        redact.clear_secrets()


def open_closed_streams() -> None:
    """Have what is printed to a stream that was closed before we began go nowhere.

    Else a file of ours would be opened in its place, and be printed into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_RDWR)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print plain data as JSON of printable ASCII alone."""
    print(json_text(value, indent=indent))


def _wrapped(stream: TextIO) -> TextIO:
    if isinstance(stream, VisibleStream):
        return stream
    return cast("TextIO", VisibleStream(stream))
