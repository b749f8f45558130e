"""Reads pages of a run's rows by key, single rows with their lineage, counts, and drops.

Lists read the beginnings of texts only; a page is as fast at the end of a run of a million rows as
at its beginning. Filters and search need the index (`index.py`), a plain list does not.

>>> page = read_page(run, Filters(round="1"), Slice())   # doctest: +SKIP
>>> page.rows[0].outcome
'kept'
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evolcoder.errors import UserError
from evolcoder.records import SEED_GROUP, Drop
from evolcoder.storage.annotations import (
    ANNOTATIONS_NAME,
    Annotation,
    Annotations,
    read_annotations,
)
from evolcoder.storage.database import COUNT, MAYBE_COUNT, MAYBE_TEXT, TEXT, Columns
from evolcoder.storage.lineage import LineageStep, lineage, step_at
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import drop_from
from evolcoder.storage.stats import FunnelLine, funnel
from evolcoder.text import one_line
from evolcoder.view.index import (
    KEPT,
    WAITING,
    Filters,
    FoundKeys,
    IndexReader,
    RowIndex,
    Slice,
    key_of,
    place_of,
)
from evolcoder.view.latest import Latest
from evolcoder.view.live import Live, LiveCounts
from evolcoder.view.sources import Source

EXCERPT = 200
"""Characters of a text in a list."""
READ_CHARS = 4_000
"""Characters of a text in which a searched word is looked for."""
PAGE = 50
"""Rows on a page."""
_KEYS = """
    SELECT round, ordinal FROM tasks WHERE (round, ordinal) > (?, ?) AND (round, ordinal) < (?, ?)
    ORDER BY round {order}, ordinal {order} LIMIT ?
"""
_PLACE = Columns(round=COUNT, ordinal=COUNT)
_ROW = Columns(
    id=TEXT, round=COUNT, ordinal=COUNT, heuristic=MAYBE_TEXT, language=MAYBE_TEXT,
    instruction=TEXT, answer=MAYBE_TEXT, kept=MAYBE_COUNT, dropped=MAYBE_TEXT, verdicts=MAYBE_TEXT,
)  # fmt: skip
_ROWS = f"""
    SELECT t.id, t.round, t.ordinal, t.heuristic, t.language,
        substr(t.instruction, 1, {READ_CHARS}), substr(r.text, 1, {READ_CHARS}), k.round,
        (SELECT d.stage || ': ' || d.reason FROM drops d WHERE d.round = t.round
            AND d.ordinal = t.ordinal AND d.stage IN ('respond', 'verify', 'clean')
            ORDER BY CASE d.stage WHEN 'clean' THEN 1 WHEN 'verify' THEN 2 ELSE 3 END LIMIT 1),
        (SELECT group_concat(v.check_name || ': ' || v.kind, ', ') FROM verdicts v
            WHERE v.round = t.round AND v.ordinal = t.ordinal)
    FROM tasks t LEFT JOIN responses r USING (round, ordinal)
    LEFT JOIN kept k USING (round, ordinal)
    WHERE t.round = ? AND t.ordinal = ?
"""
_COUNTS = (
    ("tasks", "SELECT COUNT(*) FROM tasks"),
    ("answers", "SELECT COUNT(*) FROM responses"),
    ("rows kept", "SELECT COUNT(*) FROM kept"),
    ("drops", "SELECT COUNT(*) FROM drops"),
)


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row of a list."""

    id: str
    """Id of the task."""
    round: int
    """Its round."""
    ordinal: int
    """Number of its seed."""
    heuristic: str
    """Heuristic that made it, or `SEED_GROUP`."""
    language: str
    """Language that it names, or `none named`."""
    outcome: str
    """`kept`, `waiting`, or stage and reason of its drop."""
    verdicts: str
    """Findings of checks; empty if there are none."""
    excerpt: str
    """Beginning of the task, or what is around a searched word."""
    annotation: Annotation
    """Flag and note."""

    @property
    def key(self) -> int:
        """Its place as a number."""
        return key_of(self.round, self.ordinal)


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of rows."""

    rows: Sequence[ListedRow]
    """The rows in their order."""
    has_before: bool
    """Whether there are rows before them."""
    has_after: bool
    """Whether there are rows after them."""
    note: str = ""
    """What the page may lack; empty if nothing."""
    reached: int | None = None
    """The key at which the search stopped because its time was over; None: it did not."""


class Run:
    """A run with its index, annotations and counts."""

    def __init__(self, source: Source[RunStore], index_folder: Path) -> None:
        self.source = source
        self.index = RowIndex(source, index_folder)
        self._live = Live(source, _COUNTS)
        self._funnel = Latest(self._count_funnel)
        self._annotations: tuple[tuple[int, int], Annotations] | None = None

    def annotations(self) -> Annotations:
        """Return flags and notes, read again when the file has changed."""
        path = self.source.folder / ANNOTATIONS_NAME
        try:
            facts = path.stat()
        except OSError:
            return read_annotations(self.source.folder)
        stamp = facts.st_size, facts.st_mtime_ns
        if self._annotations is None or self._annotations[0] != stamp:
            self._annotations = stamp, read_annotations(self.source.folder)
        return self._annotations[1]

    def live(self, *, wait_s: float | None = None) -> LiveCounts:
        """Return numbers of records, and how many came per minute, counted in a thread.

        `wait_s` is the longest wait for the first counts, in seconds; None: as for a page.
        """
        return self._live.counts(wait_s=wait_s)

    def funnel(self) -> list[FunnelLine] | None:
        """Return the funnel; None if it is being counted for the first time."""
        return self._funnel.get(self.source.signature())

    def _count_funnel(self) -> list[FunnelLine]:
        with self.source.open() as store:
            return funnel(store)


def read_page(run: Run, filters: Filters, part: Slice) -> RowsPage:
    """Read a page of the rows that fit."""
    more = replace(part, limit=part.limit + 1)
    with run.source.open() as store, run.index.reader() as index:
        looked = _keys(run, store, index, filters, more)
        keys = list(looked.keys)
        is_full = len(keys) > part.limit
        keys = keys[-part.limit :] if part.before is not None else keys[: part.limit]
        found = run.annotations().by_id
        rows = [row for key in keys if (row := _listed(store, key, filters.query, found))]
        note = _note(run, index) if filters.needs_index else ""
    is_back = part.before is not None
    return RowsPage(
        rows,
        has_before=is_full if is_back else part.after is not None,
        has_after=is_back or is_full,
        note=note,
        reached=looked.reached,
    )


def _note(run: Run, index: IndexReader | None) -> str:
    """Say that rows may be missing because they are not indexed yet."""
    if run.index.failure:
        return f"Rows are not indexed: {run.index.failure}"
    if index is None:
        return "Rows are being indexed; those that fit will appear."
    done, n, is_done = index.progress()
    if is_done:
        return ""
    return f"{done:,} of {n:,} rows are indexed so far; more may fit."


def _keys(
    run: Run, store: RunStore, index: IndexReader | None, filters: Filters, part: Slice
) -> FoundKeys:
    if not filters.needs_index:
        return FoundKeys(_own_keys(store, filters, part))
    if index is None:
        return FoundKeys([])
    return index.keys(filters, part, **_marked_keys(run, store, filters.marked))


def _marked_keys(run: Run, store: RunStore, marked: str) -> dict[str, list[int]]:
    """Return the keys to which flags and notes bound a list."""
    if not marked:
        return {}
    annotations = run.annotations()
    ids = annotations.noted if marked == "noted" else annotations.flagged
    query = "SELECT round, ordinal FROM tasks WHERE id IN (SELECT value FROM json_each(?))"
    places = store.db.each(_PLACE.validate, query, (json.dumps(sorted(ids)),))
    keys = [key_of(*place) for place in places]
    return {"without" if marked == "not flagged" else "only": keys}


def _own_keys(store: RunStore, filters: Filters, part: Slice) -> list[int]:
    """Return keys by the run's own index."""
    low, high = filters.bounds
    is_back = part.before is not None
    first = max(low - 1, part.after if part.after is not None else -1)
    last = min(high, part.before if part.before is not None else high)
    start = place_of(first) if first >= 0 else (-1, 0)
    query = _KEYS.format(order="DESC" if is_back else "")
    places = store.db.each(_PLACE.validate, query, (*start, *place_of(last), part.limit))
    keys = [key_of(*place) for place in places]
    return keys[::-1] if is_back else keys


def _listed(
    store: RunStore, key: int, query: str, found: Mapping[str, Annotation]
) -> ListedRow | None:
    columns = next(store.db.each(_ROW.validate, _ROWS, place_of(key)), None)
    if columns is None:
        return None
    id, round, ordinal, heuristic, language, task, answer, kept, dropped, verdicts = columns
    outcome = dropped or (WAITING if kept is None else KEPT)
    return ListedRow(
        id, round, ordinal, heuristic or SEED_GROUP, language or "none named", outcome,
        verdicts or "", _excerpt(task, answer or "", query), found.get(id, Annotation()),
    )  # fmt: skip


def _excerpt(task: str, answer: str, query: str) -> str:
    """Return the beginning of a task, or what is around the first searched word."""
    words = query.replace('"', " ").casefold().split()
    for text in (task, answer):
        at = min(
            (found for word in words if (found := text.casefold().find(word)) >= 0), default=-1
        )
        if at > EXCERPT // 2 or (at >= 0 and text is answer):
            return f"…{one_line(text[at - EXCERPT // 4 : at + EXCERPT], EXCERPT)}"
        if at >= 0:
            break
    return one_line(task[: 4 * EXCERPT], EXCERPT)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Ids of the rows before and after one, in the order of the run; None at the ends."""

    before: str | None
    """The row before."""
    after: str | None
    """The row after."""


def read_lineage(store: RunStore, id: str) -> list[LineageStep]:
    """Return the lineage of a task or response, by a prefix of its id; UserError if none has it."""
    steps = lineage(store, id) if id else []
    if not steps:
        raise UserError(f"no record of this run has an id that starts with {id!r}")
    return steps


def neighbours(store: RunStore, round: int, ordinal: int) -> Neighbours:
    """Return the rows before and after a place."""
    head = "SELECT id FROM tasks WHERE (round, ordinal)"
    ids = Columns(id=TEXT)
    found = [
        next((str(id) for (id,) in store.db.each(ids.validate, query, (round, ordinal))), None)
        for query in (
            f"{head} < (?, ?) ORDER BY round DESC, ordinal DESC LIMIT 1",
            f"{head} > (?, ?) ORDER BY round, ordinal LIMIT 1",
        )
    ]
    return Neighbours(*found)


def read_drops(run: Run, what: str, part: Slice) -> tuple[list[Drop], list[int], str]:
    """Return drops with a stage and reason, their keys, and what the list may lack."""
    stage = what.partition(": ")[0]
    query = "SELECT * FROM drops WHERE stage = ? AND round = ? AND ordinal = ?"
    with run.source.open() as store, run.index.reader() as index:
        keys = index.dropped(what, part) if index else []
        drops = [
            drop
            for key in keys
            for drop in store.db.each(drop_from, query, (stage, *place_of(key)))
        ]
        return drops, keys, _note(run, index)


def exported(run: Run, filters: Filters) -> Iterator[bytes]:
    """Yield the rows that fit as lines of JSON, with texts, verdicts, drops, flag and note."""
    after: int | None = None
    while True:
        with run.source.open() as store, run.index.reader() as index:
            looked = _keys(run, store, index, filters, Slice(after=after, limit=PAGE))
            found = run.annotations().by_id
            lines = [_exported(store, key, found) for key in looked.keys]
        yield b"".join(filter(None, lines))  # with the folder closed: a reader may be slow
        if looked.reached is None and len(looked.keys) < PAGE:
            return
        after = looked.reached if looked.reached is not None else looked.keys[-1]


def _exported(store: RunStore, key: int, found: Mapping[str, Annotation]) -> bytes | None:
    step = step_at(store, *place_of(key))
    if step is None:
        return None
    annotation = found.get(step.task.id, Annotation())
    plain = {**asdict(step), "flag": annotation.is_flagged, "note": annotation.note}
    return json.dumps(plain).encode() + b"\n"
