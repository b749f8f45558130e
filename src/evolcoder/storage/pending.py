"""Which tasks go into a round: each lineage's newest task whose answer was kept, or its seed.

Promises: lineages come in the order of their seeds, a page at a time, so that memory does not grow
with their number; a lineage that has its outcome in the round is not handed out again. A failed
evolution leaves its parent in the pool, for the next round.

>>> for lineage in waiting(store, 1, max_failures=None):   # doctest: +SKIP
...     print(lineage.head.instruction)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evolcoder.records import Response, Task
from evolcoder.storage.run_store import RunStore, response_from, task_from

PAGE = 256
OUTCOMES = "('evolve', 'respond', 'verify')"
"""Stages whose drop is a lineage's outcome in a round."""

_LINEAGES = """
    SELECT s.ordinal AS ordinal,
        COALESCE((SELECT MAX(k.round) FROM kept k
            WHERE k.ordinal = s.ordinal AND k.round BETWEEN 1 AND :round - 1), 0) AS head
    FROM tasks s WHERE s.round = 0 AND s.ordinal > :after
"""
_NOT_RESTED = f"""
    :max_failures > (SELECT COUNT(*) FROM drops d WHERE d.ordinal = l.ordinal
        AND d.round > l.head AND d.round < :round AND d.stage IN {OUTCOMES})
"""
_NOT_DONE = f"""
    NOT EXISTS (SELECT 1 FROM kept k WHERE k.ordinal = l.ordinal AND k.round = :round)
    AND NOT EXISTS (SELECT 1 FROM drops d WHERE d.ordinal = l.ordinal AND d.round = :round
        AND d.stage IN {OUTCOMES})
"""
_WAITING = f"""
    SELECT h.*, c.*, r.* FROM ({_LINEAGES}) l
    JOIN tasks h ON h.round = l.head AND h.ordinal = l.ordinal
    LEFT JOIN tasks c ON c.round = :round AND c.ordinal = l.ordinal
    LEFT JOIN responses r ON r.round = :round AND r.ordinal = l.ordinal
    WHERE {_NOT_DONE} AND {_NOT_RESTED} ORDER BY l.ordinal LIMIT {PAGE}
"""
_SIZE = f"SELECT COUNT(*) FROM ({_LINEAGES}) l WHERE {_NOT_RESTED}"
_UNANSWERED = """
    SELECT COUNT(*) FROM tasks t WHERE t.round = 0
    AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.round = 0 AND r.ordinal = t.ordinal
        AND r.model IS NULL)
"""
_N_WAITING = f"""
    SELECT COUNT(*) FROM responses l WHERE l.round = 0 AND {_NOT_DONE.replace(":round", "0")}
"""
NEVER = 1 << 40
"""Stands for no bound on failures."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A lineage that waits for its outcome in a round."""

    head: Task
    """The task to make harder."""
    child: Task | None
    """What it was evolved into before an interruption; it still wants an answer."""
    response: Response | None
    """The answer that came before an interruption; it still wants to be verified."""


def waiting(store: RunStore, round: int, *, max_failures: int | None) -> Iterator[Lineage]:
    """Hand out the lineages that have no outcome in a round yet.

    In round 0 these are the seeds without an answer, each as head and child at once.
    """
    after = -1
    while True:
        named = _named(round, after, max_failures)
        page = list(store.db.each(_lineage_from, _WAITING, named))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].head.ordinal


def size(store: RunStore, round: int, *, max_failures: int | None) -> int:
    """Count the lineages that go into a round; in round 0, the seeds without an answer."""
    if round == 0:
        return store.db.number(_UNANSWERED)
    return store.db.number(_SIZE, _named(round, -1, max_failures))


def n_waiting(store: RunStore) -> int:
    """Count the answers of round 0 that wait for their verification."""
    return store.db.number(_N_WAITING)


def last_outcome(store: RunStore, round: int) -> int:
    """Return the highest ordinal with an outcome in a round, or -1."""
    query = f"""SELECT MAX(ordinal) + 1 FROM (SELECT ordinal FROM kept WHERE round = :round
        UNION ALL SELECT ordinal FROM drops WHERE round = :round AND stage IN {OUTCOMES})"""
    return store.db.number(query, {"round": round}) - 1


def _lineage_from(columns: Sequence[Any]) -> Lineage:
    head = task_from(columns[:12])
    child = task_from(columns[12:24]) if columns[12] else None
    return Lineage(head, child, response_from(columns[24:34]) if columns[24] else None)


def _named(round: int, after: int, max_failures: int | None) -> dict[str, int]:
    return {"round": round, "after": after, "max_failures": max_failures or NEVER}
