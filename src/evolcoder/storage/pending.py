"""The task pool of a round: each lineage's newest task with a kept response, or its seed.

Lineages are returned in seed order and in pages, so memory use is constant. A lineage with an
outcome in the round is not returned again. After a failed evolution, the parent is in the pool of
the next round.

A drop because a model server rejected the request, or failed at it, is not final: `reopen_asked`
and `reopen_unverified` take such outcomes back, so that their lineages are pending again.
`reopen_answers` makes rows pending that keep their outcome until further answers bring another.

>>> for lineage in pending_lineages(store, 1, max_failures=None):   # doctest: +SKIP
...     print(lineage.head.instruction)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evolcoder.records import Check, Reason, Response, ResponseCandidate, Stage, Task
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import response_from, task_from

PAGE = 256
OUTCOMES = "('evolve', 'respond', 'verify')"
"""Stages in which a drop is the outcome of a lineage in a round."""

_LINEAGES = """
    SELECT s.ordinal AS ordinal,
        COALESCE((SELECT MAX(k.round) FROM kept k
            WHERE k.ordinal = s.ordinal AND k.round BETWEEN 1 AND :round - 1), 0) AS head
    FROM tasks s WHERE s.round = 0 AND s.ordinal > :after
"""
_UNDER_LIMIT = f"""
    :max_failures > (SELECT COUNT(*) FROM drops d WHERE d.ordinal = l.ordinal
        AND d.round > l.head AND d.round < :round AND d.stage IN {OUTCOMES})
"""
_NOT_DONE = f"""
    NOT EXISTS (SELECT 1 FROM kept k WHERE k.ordinal = l.ordinal AND k.round = :round)
    AND NOT EXISTS (SELECT 1 FROM drops d WHERE d.ordinal = l.ordinal AND d.round = :round
        AND d.stage IN {OUTCOMES})
"""
_IS_REOPENED = """
    EXISTS (SELECT 1 FROM reopened o WHERE o.round = :round AND o.ordinal = l.ordinal)
"""
_PENDING = f"""
    SELECT h.*, c.*, r.* FROM ({_LINEAGES}) l
    JOIN tasks h ON h.round = l.head AND h.ordinal = l.ordinal
    LEFT JOIN tasks c ON c.round = :round AND c.ordinal = l.ordinal
    LEFT JOIN responses r ON r.round = :round AND r.ordinal = l.ordinal AND NOT {_IS_REOPENED}
    WHERE ({_IS_REOPENED} OR {_NOT_DONE}) AND {_UNDER_LIMIT} ORDER BY l.ordinal LIMIT {PAGE}
"""
_SIZE = f"SELECT COUNT(*) FROM ({_LINEAGES}) l WHERE {_UNDER_LIMIT}"
_UNANSWERED = """
    SELECT COUNT(*) FROM tasks t WHERE t.round = 0
    AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.round = 0 AND r.ordinal = t.ordinal
        AND r.model IS NULL)
"""
_POOL_OF_SEEDS = "SELECT pool FROM rounds WHERE round = 0"
_N_UNVERIFIED = f"""
    SELECT COUNT(*) FROM responses l WHERE l.round = 0 AND {_NOT_DONE.replace(":round", "0")}
"""
_LACKS_CHECKS = """
    (SELECT COUNT(*) FROM verdicts v WHERE v.round = k.round AND v.ordinal = k.ordinal
        AND v.check_name IN ({marks})) < ?
"""
_UNCHECKED = f"""
    SELECT t.*, r.* FROM kept k JOIN responses r USING (round, ordinal)
    JOIN tasks t ON t.id = r.task WHERE {_LACKS_CHECKS} AND (r.model IS NOT NULL OR ?)
    AND (k.round, k.ordinal) > (?, ?) ORDER BY k.round, k.ordinal LIMIT {PAGE}
"""
_N_UNCHECKED = f"""
    SELECT COUNT(*) FROM kept k WHERE {_LACKS_CHECKS} AND EXISTS (
        SELECT 1 FROM responses r WHERE r.round = k.round AND r.ordinal = k.ordinal
        AND (r.model IS NOT NULL OR ?))
"""
"""The rows are looked at one by one only where a verdict is missing."""
NOT_FINAL = (Reason.REJECTED, Reason.FAILED)
"""Reasons of drops that say nothing of the row: the server would not or could not answer."""
_NOT_FINAL_SQL = "({})".format(", ".join(f"'{reason}'" for reason in NOT_FINAL))
_REOPENED = f"""
    FROM drops WHERE stage = ? AND (model IS NOT ? OR ?) AND reason IN {_NOT_FINAL_SQL}
    AND (round = 0 OR NOT EXISTS (
        SELECT 1 FROM tasks t WHERE t.ordinal = drops.ordinal AND t.round > drops.round
    ) AND NOT EXISTS (
        SELECT 1 FROM drops l WHERE l.ordinal = drops.ordinal AND l.round > drops.round
        AND l.stage IN {OUTCOMES} AND l.reason NOT IN {_NOT_FINAL_SQL}
    ))
"""
_UNANSWERED_CHECKS = ("rejected", "failed")
"""`why` of the verdict of a check that a model server did not answer."""
_UNJUDGED_CHECKS = (*_UNANSWERED_CHECKS, "sandbox", "unjudged", "language")
"""Also of one at which the sandbox or the check failed, or that lacked the tools of a language."""
NO_LIMIT = 1 << 40
"""Used for `max_failures` when there is no limit."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A lineage without an outcome in the round."""

    head: Task
    """The task to evolve."""
    child: Task | None
    """The evolved task, if a run was interrupted before its response."""
    response: Response | None
    """The response, if a run was interrupted before its verification."""


def pending_lineages(store: RunStore, round: int, *, max_failures: int | None) -> Iterator[Lineage]:
    """Yield the lineages that have no outcome in a round yet.

    In round 0 these are the seeds without a response, each as both head and child.
    """
    after = -1
    while True:
        parameters = _parameters(round, after, max_failures)
        page = list(store.db.each(_lineage_from, _PENDING, parameters))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].head.ordinal


def pool_size(store: RunStore, round: int, *, max_failures: int | None) -> int:
    """Count the lineages in the pool of a round; in round 0, the seeds without a response."""
    if round == 0:  # which seeds came with responses does not change
        known = store.db.read(_POOL_OF_SEEDS)
        return store.db.number(_POOL_OF_SEEDS if known else _UNANSWERED)
    return store.db.number(_SIZE, _parameters(round, -1, max_failures))


def n_unverified_seeds(store: RunStore) -> int:
    """Count the responses of round 0 that await verification."""
    return store.db.number(_N_UNVERIFIED)


def forget_unjudged(store: RunStore, *, unjudged: bool = True) -> int:
    """Delete the verdicts of all rounds that say nothing of the row: see `reopen_unverified`.

    Returns the number of kept rows, which await these checks then.
    """
    found = _verdicts_with(_UNJUDGED_CHECKS if unjudged else _UNANSWERED_CHECKS)
    n = store.db.number(f"""SELECT COUNT(*) FROM kept k WHERE EXISTS (
        SELECT 1 FROM (SELECT round AS r, ordinal AS o {found}) v
        WHERE v.r = k.round AND v.o = k.ordinal)""")
    store.db.write_all([(f"DELETE {found}", ())])
    return n


def forget_unasked_bounds(store: RunStore) -> int:
    """Delete the verdicts of bounds that were not measured and for which no model was asked.

    Only those whose reason a tester can remove. Those of earlier versions have no reason in a word,
    or no bounds. Returns their number.
    """
    n = store.db.number(f"SELECT COUNT(*) {_UNASKED_BOUNDS}")
    store.db.write_all([(f"DELETE {_UNASKED_BOUNDS}", ())])
    return n


def _verdicts_with(reasons: Sequence[str]) -> str:
    """Return the SQL for the verdicts with one of these reasons."""
    whys = ", ".join(f"'{why}'" for why in reasons)
    return f"FROM verdicts WHERE kind IN ('not_run', 'error') AND {_detail('why')} IN ({whys})"


def _detail(name: str) -> str:
    """Return the SQL for a value in the detail of a verdict; null if there is none."""
    return f"(CASE WHEN json_valid(detail) THEN json_extract(detail, '$.{name}') END)"


_UNASKED_BOUNDS = f"""
    FROM verdicts WHERE check_name = 'bound' AND kind = 'not_measured'
    AND {_detail("requests")} IS NULL AND json_valid(detail)
    AND COALESCE({_detail("why")}, '') <> 'no_bound'
    AND COALESCE({_detail("said")}, '') <> 'the task states no complexity bound'
    AND (COALESCE({_detail("why")}, 'raises') IN ('no_inputs', 'raises')
        OR {_detail("bounds")} IS NULL)
"""


def unchecked(
    store: RunStore, checks: Sequence[str], *, seeds: bool
) -> Iterator[tuple[Task, Response]]:
    """Yield the kept rows of all rounds that lack the verdict of one of these checks.

    Responses that came with the seeds are left out, unless `seeds`.
    """
    after = (-1, -1)
    while True:
        parameters = (*checks, len(checks), seeds, *after)
        query = _UNCHECKED.format(marks=", ".join("?" * len(checks)))
        page = list(store.db.each(_checked_from, query, parameters))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1][0].round, page[-1][0].ordinal


def n_unchecked(store: RunStore, checks: Sequence[str], *, seeds: bool) -> int:
    """Count the rows that `unchecked` yields."""
    query = _N_UNCHECKED.format(marks=", ".join("?" * len(checks)))
    return store.db.number(query, (*checks, len(checks), seeds))


def _checked_from(columns: Sequence[Any]) -> tuple[Task, Response]:
    return task_from(columns[:12]), response_from(columns[12:22])


def last_outcome(store: RunStore, round: int) -> int:
    """Return the highest ordinal with an outcome in a round, or -1."""
    query = f"""SELECT MAX(ordinal) + 1 FROM (SELECT ordinal FROM kept WHERE round = :round
        UNION ALL SELECT ordinal FROM drops WHERE round = :round AND stage IN {OUTCOMES})"""
    return store.db.number(query, {"round": round}) - 1


def reopen_asked(store: RunStore, stage: Stage, *, unless_made_by: str | None) -> int:
    """Delete the drops of a stage that are not final; return their number.

    A lineage that went on in a later round is left as it is: its parent was evolved again there.
    `unless_made_by` is the identity of a model whose drops stay.
    """
    chosen = (stage, unless_made_by, unless_made_by is None)
    found = store.db.read(f"SELECT COUNT(*) {_REOPENED}", chosen)
    store.db.write_all([(f"DELETE {_REOPENED}", chosen)])
    return int(str(found[0][0]))


_FEWER_ANSWERS = f"""
    SELECT t.*, r.* FROM tasks t
    LEFT JOIN responses r ON r.round = t.round AND r.ordinal = t.ordinal
    LEFT JOIN verdicts v ON v.round = t.round AND v.ordinal = t.ordinal
        AND v.check_name = '{Check.AGREEMENT}'
    WHERE (r.model IS NOT NULL OR r.id IS NULL AND EXISTS (SELECT 1 FROM drops d
        WHERE d.round = t.round AND d.ordinal = t.ordinal AND d.stage = 'respond'))
    AND (EXISTS (SELECT 1 FROM kept k WHERE k.round = t.round AND k.ordinal = t.ordinal)
        OR NOT EXISTS (SELECT 1 FROM tasks l WHERE l.ordinal = t.ordinal AND l.round > t.round)
        AND NOT EXISTS (SELECT 1 FROM drops l WHERE l.ordinal = t.ordinal AND l.round > t.round
            AND l.stage IN {OUTCOMES}))
    AND (COALESCE(json_extract(v.detail, '$.asked'),
            (SELECT COUNT(*) FROM answers a WHERE a.task = t.id)) < :n
        OR :unjudged AND (json_extract(v.detail, '$.refused') > 0
            OR json_extract(v.detail, '$.why') IN ('sandbox', 'unjudged')))
"""
FirstAnswer = Callable[[Task, Response], ResponseCandidate]


def reopen_answers(store: RunStore, n: int, first: FirstAnswer, *, unjudged: bool = False) -> int:
    """Reopen the rows for which fewer than `n` answers were asked; return how many.

    Their lineages are pending again at their answers, and keep their outcome until another is
    stored. Answers that came are kept: `first` makes one of the response of a run that asked for
    one. A dropped row whose lineage went on is left
    as it is. `unjudged`: also of rows whose answers could not be compared because the sandbox or
    the comparison failed, or of which a server refused some.
    """
    parameters = {"n": n, "unjudged": unjudged}
    found = list(store.db.each(_answered_from, _FEWER_ANSWERS, parameters))
    for task, response in found:
        if response is not None and not store.answers(task):
            store.add(first(task, store.with_answered(response)))
    query = "INSERT OR IGNORE INTO reopened VALUES (?, ?)"
    store.db.write_all((query, (task.round, task.ordinal)) for task, _ in found)
    return len(found)


def n_reopened(store: RunStore) -> int:
    """Count the rows that await further answers, also from earlier sessions."""
    return store.db.number("SELECT COUNT(*) FROM reopened")


def _answered_from(columns: Sequence[Any]) -> tuple[Task, Response | None]:
    return task_from(columns[:12]), response_from(columns[12:22]) if columns[12] else None


def reopen_unverified(store: RunStore, *, unjudged: bool = False) -> int:
    """Delete the outcomes of rows of round 0 with a check that a model server did not answer.

    `unjudged`: also of a check at which the sandbox or the check itself failed, or that lacked the
    tools of the program's language. Returns the number of rows; other verdicts stay.
    """
    found = _verdicts_with(_UNJUDGED_CHECKS if unjudged else _UNANSWERED_CHECKS)
    found = f"{found} AND round = 0"
    rows = f"(SELECT ordinal {found})"
    n = store.db.number(f"SELECT COUNT(DISTINCT ordinal) {found}")
    store.db.write_all(
        (query, ())
        for query in (
            f"DELETE FROM kept WHERE round = 0 AND ordinal IN {rows}",
            f"DELETE FROM drops WHERE round = 0 AND stage = 'verify' AND ordinal IN {rows}",
            f"DELETE {found}",
        )
    )
    return n


def _lineage_from(columns: Sequence[Any]) -> Lineage:
    head = task_from(columns[:12])
    child = task_from(columns[12:24]) if columns[12] else None
    return Lineage(head, child, response_from(columns[24:34]) if columns[24] else None)


def _parameters(round: int, after: int, max_failures: int | None) -> dict[str, int]:
    return {"round": round, "after": after, "max_failures": max_failures or NO_LIMIT}
