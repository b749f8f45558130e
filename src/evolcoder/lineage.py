"""One record's whole lineage: from its seed to the newest task, with answers and drops.

>>> [step.task.round for step in lineage(store, "3f2a")]   # doctest: +SKIP
[0, 1, 3]
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evolcoder.records import Drop, Response, RowVerdict, Task
from evolcoder.store import RunStore, drop_from, response_from, task_from


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
    ordinal = found[0]
    tasks = store.db.read("SELECT * FROM tasks WHERE ordinal=? ORDER BY round", ordinal)
    return [_step(store, task_from(columns)) for columns in tasks]


def steps(store: RunStore) -> Iterator[Step]:
    """Go through all tasks of round 0, in order, each with what became of it."""
    for columns in store.db.reader.execute("SELECT * FROM tasks WHERE round=0 ORDER BY ordinal"):
        yield _step(store, task_from(columns))


def _step(store: RunStore, task: Task) -> Step:
    answers = store.db.read(
        "SELECT * FROM responses WHERE round=? AND ordinal=?", (task.round, task.ordinal)
    )
    drops = store.db.read(
        "SELECT * FROM drops WHERE subject=? AND ordinal=? ORDER BY round",
        (task.id, task.ordinal),
    )
    response = response_from(answers[0]) if answers else None
    found = tuple(store.verdicts(task))
    return Step(task, response, tuple(drop_from(columns) for columns in drops), found)
