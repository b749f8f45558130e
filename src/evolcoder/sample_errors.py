"""Whatever goes wrong while one answer is judged is that answer's own outcome.

Promises: `judging` lets through what has a meaning of its own: errors of this package (a sandbox or
a server that failed, a limit that was reached, the user's mistake), a database that failed, a
cancellation, an interrupt. A failure of this machine is a SandboxError, since it says nothing of
the answer. Everything else becomes an UnjudgedError, whose text begins with `UNJUDGED`. This is the
only place outside of `cli` that catches every exception; steps that concern a whole set of answers
stay outside of it, so that their faults are seen.

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
"""Begins the text of every UnjudgedError."""
_SHOWN = 240
_HERE = Path(__file__).parent


@contextmanager
def judging() -> Iterator[None]:
    """Run what judges one answer; see the module for what it raises."""
    try:
        yield
    except (EvolcoderError, sqlite3.Error):
        raise
    except Exception as error:
        raise _meaning(error) from error


def _meaning(error: Exception) -> EvolcoderError | sqlite3.Error:
    """Say what an exception means for the answer that was being judged."""
    for one in _leaves(error):
        if isinstance(one, EvolcoderError | sqlite3.Error):
            return one
    for one in _leaves(error):
        if isinstance(one, OSError):
            return SandboxError(f"this machine failed a program: {error_text(one, _SHOWN)}")
    first = next(_leaves(error))
    told = one_line(clean(error_text(first, _SHOWN)), _SHOWN)
    return UnjudgedError(f"{UNJUDGED}: {told}{_place(first)}")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Return what a group of exceptions holds; any other one is its own only member."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _place(error: BaseException) -> str:
    """Name the last line of this package that an exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _HERE in Path(frame.filename).parents]
    if not ours or ours[-1].filename == __file__:
        return ""
    return f" ({Path(ours[-1].filename).relative_to(_HERE)}:{ours[-1].lineno})"
