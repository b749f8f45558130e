"""For how long something was going on, where many things go on side by side.

Promises: seconds by the clock in which at least one of a kind was in work, so that kinds which
overlap add up to more than the time that passed.

>>> spans = Spans()
>>> with spans.during("evolve"):
...     pass
>>> list(spans.seconds())
['evolve']
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Span:
    n_open: int = 0
    began: float = 0.0
    seconds: float = 0.0


class StageTimer:
    """Clocks by name; each runs while at least one is in work under it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spans: dict[str, _Span] = {}

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count the time of the context under a name."""
        span = self._spans.setdefault(name, _Span())
        if span.n_open == 0:
            span.began = self._clock()
        span.n_open += 1
        try:
            yield
        finally:
            span.n_open -= 1
            if span.n_open == 0:
                span.seconds += self._clock() - span.began

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every name, in the order in which they first began."""
        return {name: span.seconds for name, span in self._spans.items()}
