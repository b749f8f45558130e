"""Counts of a folder that may be written to, and how fast they grow, made in a thread.

>>> live = Live(source, (("tasks", "SELECT COUNT(*) FROM tasks"),))   # doctest: +SKIP
>>> live.counts().per_minute
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from evolcoder.evaluation.store import EvalStore
from evolcoder.storage.run_store import RunStore
from evolcoder.view.latest import Latest
from evolcoder.view.sources import Source

TICK_S = 2.0
"""Seconds after which the rates of a folder that changes are measured again."""
RATE_S = 60.0
"""Seconds over which rates are measured."""


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Counts of a folder that may be written to."""

    counts: Mapping[str, int]
    """Number by name; empty while they are counted for the first time."""
    per_minute: Mapping[str, float]
    """How many came per minute, lately; empty if nothing changed."""
    is_changing: bool
    """Whether the database changed within the last minute."""


class Live:
    """The counts of a run or an evaluation, with those of the last minute."""

    def __init__(
        self, source: Source[RunStore] | Source[EvalStore], queries: Sequence[tuple[str, str]]
    ) -> None:
        """Count nothing yet; `queries` are names and queries of one number each."""
        self._source = source
        self._queries = queries
        self._history: deque[tuple[float, dict[str, int]]] = deque(maxlen=60)
        self._latest = Latest(self._count)
        self._is_changing = False

    def counts(self, *, wait_s: float | None = None) -> LiveCounts:
        """Return the counts, and how many came per minute.

        `wait_s` is the longest wait for the first counts, in seconds; None: as for a page.
        """
        tick = int(monotonic() / TICK_S) if self._is_changing else 0
        found = self._latest.get((self._source.signature(), tick), wait_s=wait_s)
        return found or LiveCounts({}, {}, is_changing=False)

    def _count(self) -> LiveCounts:
        """Count records; called by one thread at a time."""
        now = monotonic()
        with self._source.open() as store:
            counts = {name: store.db.number(query) for name, query in self._queries}
        self._history.append((now, counts))
        found = self._rated(now, counts)
        self._is_changing = found.is_changing
        return found

    def _rated(self, now: float, counts: dict[str, int]) -> LiveCounts:
        while len(self._history) > 1 and now - self._history[0][0] > RATE_S:
            self._history.popleft()
        since, first = self._history[0]
        changed = first != counts
        minutes = (now - since) / 60
        rates = {
            name: round((n - first[name]) / minutes, 1)
            for name, n in counts.items()
            if changed and minutes > 0
        }
        return LiveCounts(counts, rates, changed)
