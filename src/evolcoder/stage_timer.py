"""Measures for how long each named stage was active while stages run concurrently.

Counts wall-clock seconds in which at least one task of a stage was active; overlapping stages sum
to more than the elapsed time.

>>> timer = StageTimer()
>>> with timer.during("evolve"):
...     pass
>>> list(timer.seconds())
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
    """Named clocks; each runs while at least one context under its name is open."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spans: dict[str, _Span] = {}

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count the context's time under a name."""
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
        """Return the seconds per name, in the order of first use."""
        return {name: span.seconds for name, span in self._spans.items()}
