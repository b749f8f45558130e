"""What the requests of a coroutine are made for, so that each is booked for its heuristic.

The purpose is a context variable: tasks that are created inside have it, and so has a request that
outlives its caller. Equal requests in flight are sent once, and booked for the first.

>>> with made_for(Stage.EVOLVE, "deepen"):
...     current_purpose().heuristic
'deepen'
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from evolcoder.records import NO_PURPOSE, CallPurpose, Stage

_purpose: ContextVar[CallPurpose] = ContextVar("purpose", default=NO_PURPOSE)


@contextmanager
def made_for(stage: Stage, heuristic: str | None) -> Iterator[None]:
    """Book requests made inside for a stage and the heuristic of a candidate; None for seeds."""
    before = _purpose.set(CallPurpose(stage, heuristic))
    try:
        yield
    finally:
        _purpose.reset(before)


def current_purpose() -> CallPurpose:
    """Return what a request made now is made for."""
    return _purpose.get()
