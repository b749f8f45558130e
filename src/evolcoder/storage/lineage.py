"""The history of a record: each task of its lineage with what became of it.

>>> [step.task.round for step in lineage(store, "3f2a")]   # doctest: +SKIP
[0, 1, 3]
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evolcoder.records import CheckResult, Drop, Response, ResponseCandidate, Task
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import drop_from, response_from, task_from

_OF_LINEAGE = """
    WITH RECURSIVE filled (round) AS (
        SELECT MIN(round) FROM tasks UNION ALL
        SELECT (SELECT MIN(t.round) FROM tasks t WHERE t.round > f.round) FROM filled f
        WHERE f.round IS NOT NULL
    )
    SELECT t.* FROM filled f JOIN tasks t ON t.round = f.round AND t.ordinal = ? ORDER BY t.round
"""
"""The tasks of a lineage; each round is one search in the index of places."""


@dataclass(frozen=True, slots=True)
class LineageStep:
    """A task of a lineage with its outcomes."""

    task: Task
    """The task."""
    response: Response | None
    """Its response, if any; it was kept unless there is a drop."""
    drops: tuple[Drop, ...]
    """Drops at its evolution, response or verification."""
    verdicts: tuple[CheckResult, ...]
    """Verdicts on its response, in the order added."""
    answers: tuple[ResponseCandidate, ...] = ()
    """All answers to it, if several were asked for."""


def lineage(store: RunStore, id: str) -> list[LineageStep]:
    """Return the lineage of the task or response whose id starts with `id`; empty if none."""
    ends = (id, f"{id}{chr(0x10FFFF)}")  # a range of the index, which LIKE would not use
    found = store.db.read(
        "SELECT ordinal FROM tasks WHERE id >= ? AND id < ? "
        "UNION ALL SELECT ordinal FROM responses WHERE id >= ? AND id < ? LIMIT 1",
        (*ends, *ends),
    )
    if not found:
        return []
    return [_step(store, task) for task in store.db.each(task_from, _OF_LINEAGE, found[0])]


def steps(store: RunStore) -> Iterator[LineageStep]:
    """Yield all tasks, by round and seed, with their outcomes."""
    query = "SELECT * FROM tasks ORDER BY round, ordinal"
    for task in store.db.each(task_from, query):
        yield _step(store, task)


def step_at(store: RunStore, round: int, ordinal: int) -> LineageStep | None:
    """Return the task of a place with its outcomes; None if there is none."""
    query = "SELECT * FROM tasks WHERE round=? AND ordinal=?"
    task = next(store.db.each(task_from, query, (round, ordinal)), None)
    return None if task is None else _step(store, task)


def _step(store: RunStore, task: Task) -> LineageStep:
    answered = "SELECT * FROM responses WHERE round=? AND ordinal=?"
    dropped = "SELECT * FROM drops WHERE subject=? AND ordinal=? ORDER BY round"
    place = (task.round, task.ordinal)
    response = next(store.db.each(response_from, answered, place), None)
    task = store.with_answered(task)
    response = None if response is None else store.with_answered(response)
    drops = tuple(store.db.each(drop_from, dropped, (task.id, task.ordinal)))
    verdicts, answers = tuple(store.verdicts(task)), tuple(store.answers(task))
    return LineageStep(task, response, drops, verdicts, answers)
