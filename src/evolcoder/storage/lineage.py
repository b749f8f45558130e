"""One record's whole lineage: from its seed to the newest task, with answers and drops.

>>> [step.task.round for step in lineage(store, "3f2a")]   # doctest: +SKIP
[0, 1, 3]
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evolcoder.records import Drop, Response, RowVerdict, Task
from evolcoder.storage.run_store import RunStore, drop_from, response_from, task_from


@dataclass(frozen=True, slots=True)
class Step:
    """A task of a lineage, with what became of it."""

    task: Task
    """The task."""
    response: Response | None
    """Its answer, if it has one; it was kept unless a drop says otherwise."""
    drops: tuple[Drop, ...]
    """What was dropped when it was evolved, answered or verified."""
    verdicts: tuple[RowVerdict, ...]
    """What checks found of its answer, in their order."""


def lineage(store: RunStore, id: str) -> list[Step]:
    """Find a task or response by the first letters of its id, and return its lineage in order."""
    pattern = id.replace("%", "").replace("_", "") + "%"
    found = store.db.read(
        "SELECT ordinal FROM tasks WHERE id LIKE ? "
        "UNION ALL SELECT ordinal FROM responses WHERE id LIKE ? LIMIT 1",
        (pattern, pattern),
    )
    if not found:
        return []
    query = "SELECT * FROM tasks WHERE ordinal=? ORDER BY round"
    tasks = list(store.db.each(task_from, query, found[0]))
    return [_step(store, task) for task in tasks]


def steps(store: RunStore) -> Iterator[Step]:
    """Go through all tasks of round 0, in order, each with what became of it."""
    query = "SELECT * FROM tasks WHERE round=0 ORDER BY ordinal"
    for task in store.db.each(task_from, query):
        yield _step(store, task)


def _step(store: RunStore, task: Task) -> Step:
    answered = "SELECT * FROM responses WHERE round=? AND ordinal=?"
    dropped = "SELECT * FROM drops WHERE subject=? AND ordinal=? ORDER BY round"
    place = (task.round, task.ordinal)
    response = next(store.db.each(response_from, answered, place), None)
    drops = tuple(store.db.each(drop_from, dropped, (task.id, task.ordinal)))
    return Step(task, response, drops, tuple(store.verdicts(task)))
