"""The history of a record: each task of its lineage with what became of it.

>>> [step.task.round for step in lineage(store, "3f2a")]   # doctest: +SKIP
[0, 1, 3]
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evolcoder.records import CheckResult, Drop, Response, ResponseCandidate, Task
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import drop_from, response_from, task_from


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


def steps(store: RunStore) -> Iterator[LineageStep]:
    """Yield all tasks, by round and seed, with their outcomes."""
    query = "SELECT * FROM tasks ORDER BY round, ordinal"
    for task in store.db.each(task_from, query):
        yield _step(store, task)


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
