"""Turns any failure while judging one answer into that answer's own outcome.

`judging` passes on exceptions with a meaning of their own: errors of this package (a failed sandbox
or server, a reached limit, a user error), database errors, cancellations and interrupts. An OSError
becomes a SandboxError, since it says nothing about the answer. Everything else becomes an
UnjudgedError, whose text begins with `UNJUDGED`. This is the only place outside `cli` that catches
every exception; steps over a whole set of answers stay outside it, so that their bugs surface.

>>> try:
...     with judging():
...         1 / 0
... except UnjudgedError as error:
...     print(error)
could not be judged: ZeroDivisionError: division by zero
"""

import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evolcoder.errors import EvolcoderError, SandboxError, UnjudgedError
from evolcoder.safe_repr import error_text
from evolcoder.text import clean, one_line

UNJUDGED = "could not be judged"
"""Prefix of every UnjudgedError's text."""
_SHOWN = 240
_HERE = Path(__file__).parent


@contextmanager
def judging() -> Iterator[None]:
    """Guard the judging of one answer; see the module for what it raises."""
    try:
        yield
    except (EvolcoderError, sqlite3.Error):
        raise
    except Exception as error:
        raise _converted(error) from error


def _converted(error: Exception) -> EvolcoderError | sqlite3.Error:
    """Return the exception to raise instead."""
    for one in _flatten(error):
        if isinstance(one, EvolcoderError | sqlite3.Error):
            return one
    for one in _flatten(error):
        if isinstance(one, OSError):
            return SandboxError(f"a program failed on this machine: {error_text(one, _SHOWN)}")
    first = next(_flatten(error))
    text = one_line(clean(error_text(first, _SHOWN)), _SHOWN)
    return UnjudgedError(f"{UNJUDGED}: {text}{_place(first)}")


def _flatten(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, recursively; any other exception yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _flatten(one)
    else:
        yield error


def _place(error: BaseException) -> str:
    """Name the last line of this package in an exception's traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _HERE in Path(frame.filename).parents]
    if not ours or ours[-1].filename == __file__:
        return ""
    return f" ({Path(ours[-1].filename).relative_to(_HERE)}:{ours[-1].lineno})"
