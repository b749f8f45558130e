"""Rows that came with their answers, checked one and all: a data set instead of a run.

Promises: every row that was read ends kept or dropped; rows are read and checked in their order, a
bounded number at once, so that memory does not grow with the file; what an interruption left is
gone on with. The rows and verdicts are the same at any concurrency.

>>> await Rows(store, verifier, in_flight=8).run()   # doctest: +SKIP
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from evolcoder.records import SEEN_CHARS, Drop, Reason, Response, Stage, Task
from evolcoder.storage import pending
from evolcoder.storage.run_store import RunStore
from evolcoder.verification.pipeline import Verifier


@dataclass(slots=True)
class VerifyProgress:
    """How far it has come, for whoever shows it; not frozen, for it counts."""

    total: int = 0
    """Rows to be checked, in this session."""
    done: int = 0
    """Rows with an outcome."""
    drops: Counter[Reason] = field(default_factory=Counter)
    """Drops by reason."""


class RowVerifier:
    """The rows of a store that wait for their verification."""

    def __init__(self, store: RunStore, verifier: Verifier, *, in_flight: int) -> None:
        self.progress = VerifyProgress()
        self._store = store
        self._verifier = verifier
        self._in_flight = in_flight

    async def run(self) -> None:
        """Check all rows that have no outcome yet."""
        size = pending.size(self._store, 0, max_failures=None)
        self._store.open_round(0, size)
        self.progress.total = pending.n_waiting(self._store)
        rows = pending.waiting(self._store, 0, max_failures=None)
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
            drop = await self._verifier.verify(row.head, row.response)
            self.progress.done += 1
            if drop is not None:
                self.progress.drops[drop.reason] += 1


def answered(records: Iterable[Task | Response | Drop]) -> Iterator[Task | Response | Drop]:
    """Hand on what was read of a data set, with a drop for every task without an answer."""
    last: Task | None = None
    for record in records:
        if last is not None and not isinstance(record, Response):
            yield _unanswered(last)
        last = record if isinstance(record, Task) else None
        yield record
    if last is not None:
        yield _unanswered(last)


def _unanswered(task: Task) -> Drop:
    seen = task.instruction[:SEEN_CHARS]
    detail = "it came without an answer"
    return Drop(Stage.RESPOND, Reason.EMPTY, task.id, 0, task.ordinal, None, seen, detail, None)
