"""Verifies the rows of an existing data set, which come with their responses.

Every row ends kept or dropped. Rows start in order, with at most `in_flight` at a time, so memory
does not grow with the file. An interrupted run resumes with the rows that have no outcome yet.
Rows and verdicts do not depend on the concurrency.

>>> await RowVerifier(store, verifier, in_flight=8).run()   # doctest: +SKIP
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from evolcoder.records import SEEN_CHARS, Drop, Origin, Reason, Response, Stage, Task
from evolcoder.storage import pending
from evolcoder.storage.run_store import RunStore
from evolcoder.verification.pipeline import Verifier


@dataclass(slots=True)
class VerifyProgress:
    """Mutable progress counters of this process."""

    total: int = 0
    """Rows to verify."""
    done: int = 0
    """Rows with an outcome."""
    in_flight: int = 0
    """Rows being verified."""
    drops: Counter[Reason] = field(default_factory=Counter)
    """Drops by reason."""


class RowVerifier:
    """Verifies the pending rows of a store."""

    def __init__(self, store: RunStore, verifier: Verifier, *, in_flight: int) -> None:
        self.progress = VerifyProgress()
        self._store = store
        self._verifier = verifier
        self._in_flight = in_flight

    async def run(self) -> None:
        """Verify all rows that have no outcome yet."""
        size = pending.pool_size(self._store, 0, max_failures=None)
        self._store.open_round(0, size)
        self.progress.total = pending.n_unverified_seeds(self._store)
        rows = pending.pending_lineages(self._store, 0, max_failures=None)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(self._work(rows))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        self._store.db.flush()

    async def _work(self, rows: Iterator[pending.Lineage]) -> None:
        for row in rows:
            if row.response is None:
                continue
            self.progress.in_flight += 1
            try:
                drop = await self._verifier.verify(row.head, row.response)
            finally:
                self.progress.in_flight -= 1
            self.progress.done += 1
            if drop is not None:
                self.progress.drops[drop.reason] += 1


def drop_unanswered(
    records: Iterable[Origin | Task | Response | Drop],
    why: Callable[[str], tuple[Reason, str]] = lambda _: (Reason.EMPTY, "the row has no response"),
) -> Iterator[Origin | Task | Response | Drop]:
    """Yield the records, with a drop after every task that no response follows.

    `why`: task id -> the reason, with its evidence.
    """
    last: Task | None = None
    for record in records:
        if last is not None and not isinstance(record, Response):
            yield _unanswered_drop(last, *why(last.id))
        last = record if isinstance(record, Task) else None
        yield record
    if last is not None:
        yield _unanswered_drop(last, *why(last.id))


def _unanswered_drop(task: Task, reason: Reason, detail: str) -> Drop:
    seen = task.instruction[:SEEN_CHARS]
    return Drop(Stage.RESPOND, reason, task.id, 0, task.ordinal, None, seen, detail, None)
