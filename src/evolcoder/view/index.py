"""An index of a run's rows for search and filters, in a file of the cache folder.

The run is only read. The index is made by one thread, in batches that are committed, and continues
where it stopped; a second viewer of the same run uses what the first has made. Words of tasks and
answers are indexed by SQLite's FTS5, without a copy of the texts, when a row's answer or drop is
there; heuristics, languages, outcomes, verdicts and drops by key. A key is the place of a row,
round and seed, as one number. Texts in scripts without blanks are indexed by character.

Does not forget the words of an answer that was replaced by another.

>>> with index.reader() as found:   # doctest: +SKIP
...     found.keys(Filters(query="binary search"), after=None, limit=50)
"""

import fcntl
import heapq
import itertools
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from evolcoder.errors import EvolcoderError
from evolcoder.ids import content_id
from evolcoder.records import SEED_GROUP
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, MAYBE_TEXT, TEXT, Columns
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.sqlite_files import open_to_read, open_to_write, translate_errors
from evolcoder.text import clean, spaced
from evolcoder.view.sources import Signature, Source

VERSION = 2
"""Version of the index; one of another version is made anew."""
ORDINAL_BITS = 36
MAX_PLACE = 1 << ORDINAL_BITS
ROUND_DIGITS = 7
"""Most digits of a round that a key can hold."""
BATCH, BATCH_CHARS = 5_000, 8_000_000
"""Most rows of a commit, and characters of their texts."""
CHANGES = 10_000
"""Most changes of a commit."""
PAUSE_S = 2.0
"""Seconds between looks at a run that does not change."""
SHARE = 0.2
"""Most of the time that a run that changes may be indexed."""
WINDOW = 20_000
"""Rows that are looked through between two looks at the clock."""
FEW = 1_000
"""Rows that a filter leaves for whose words are looked up one by one."""
WALK_S, SEARCH_S = 0.1, 0.4
"""Seconds after which no further window of rows is looked through, by filters and by words."""
INDEXED_CHARS = 100_000
"""Most characters of a text whose words are indexed."""
WAITING, KEPT = "waiting", "kept"
"""Outcomes of rows that no stage dropped."""
STAGES = ("respond", "verify", "clean")
"""Stages that drop a row; a drop of `evolve` is about a task that was never made."""
ALL_STAGES = ("seeds", "evolve", *STAGES)
_SCHEMA = """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE entries (
        key INTEGER PRIMARY KEY, heuristic TEXT NOT NULL, language TEXT NOT NULL,
        outcome TEXT NOT NULL, indexed TEXT
    );
    CREATE INDEX by_heuristic ON entries (heuristic);
    CREATE INDEX by_language ON entries (language);
    CREATE INDEX by_outcome ON entries (outcome);
    CREATE INDEX not_indexed ON entries (key) WHERE indexed IS NULL;
    CREATE TABLE verdicts (
        what TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (what, key)
    ) WITHOUT ROWID;
    CREATE TABLE drops (
        what TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (what, key)
    ) WITHOUT ROWID;
    CREATE VIRTUAL TABLE texts USING fts5(
        task, answer, content='', tokenize='unicode61 remove_diacritics 2'
    )
"""
_NEW_TASKS = f"""
    SELECT rowid, round, ordinal, COALESCE(heuristic, '{SEED_GROUP}'),
        COALESCE(language, 'none named')
    FROM tasks WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
_TASK = Columns(rowid=COUNT, round=COUNT, ordinal=COUNT, heuristic=TEXT, language=TEXT)
_NEW_VERDICTS = """
    SELECT rowid, round, ordinal, check_name, kind FROM verdicts WHERE rowid > ?
    ORDER BY rowid LIMIT ?
"""
_VERDICT = Columns(rowid=COUNT, round=COUNT, ordinal=COUNT, check=TEXT, kind=TEXT)
_KEPT = "SELECT round, ordinal FROM kept ORDER BY round, ordinal"
_PLACE = Columns(round=COUNT, ordinal=COUNT)
_DROPS = "SELECT round, ordinal, reason FROM drops WHERE stage = ? ORDER BY round, ordinal"
_DROP = Columns(round=COUNT, ordinal=COUNT, reason=TEXT)
_TEXTS = f"""
    SELECT substr(t.instruction, 1, {INDEXED_CHARS}), r.id, substr(r.text, 1, {INDEXED_CHARS})
    FROM tasks t LEFT JOIN responses r USING (round, ordinal) WHERE t.round = ? AND t.ordinal = ?
"""
_TEXT = Columns(instruction=TEXT, id=MAYBE_TEXT, text=MAYBE_TEXT)
_ADD_ENTRY = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, NULL)"
_ADD_VERDICT = "INSERT OR IGNORE INTO verdicts VALUES (?, ?)"
_CHANGE_DROPS = {
    0: "DELETE FROM drops WHERE what = ? AND key = ?",
    1: "INSERT OR IGNORE INTO drops VALUES (?, ?)",
}
_CHANGE_OUTCOMES = {0: "UPDATE entries SET outcome = ? WHERE key = ?"}
_TO_INDEX = """
    SELECT key, outcome FROM entries WHERE indexed IS NULL AND key > ? ORDER BY key LIMIT ?
"""
_WORD = re.compile(r'"([^"]*)"|(\S+)')


def key_of(round: int, ordinal: int) -> int:
    """Return the key of a place; ValueError for a place that no run has."""
    if ordinal >= MAX_PLACE or round >= 1 << 26:
        raise ValueError(f"round {round}, ordinal {ordinal}")
    return round << ORDINAL_BITS | ordinal


def place_of(key: int) -> tuple[int, int]:
    """Return round and ordinal of a key."""
    return key >> ORDINAL_BITS, key & (MAX_PLACE - 1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted; an empty value wants all."""

    query: str = ""
    """Words that task or answer have; in quotes, words that follow each other."""
    round: str = ""
    """Number of a round."""
    heuristic: str = ""
    """Name of a heuristic, or `SEED_GROUP`."""
    language: str = ""
    """Name of a language, or `none named`."""
    outcome: str = ""
    """`kept`, `waiting`, `dropped`, or stage and reason of a drop."""
    verdict: str = ""
    """Check and finding."""
    marked: str = ""
    """`flagged`, `not flagged` or `noted`."""

    @property
    def needs_index(self) -> bool:
        """Whether the run's own keys do not suffice."""
        return any((self.query, self.heuristic, self.language, self.outcome, self.verdict,
                    self.marked))  # fmt: skip

    @property
    def bounds(self) -> tuple[int, int]:
        """First key and the one after the last."""
        if not self.round.isdecimal():
            return 0, 1 << 62
        digits = self.round.lstrip("0")
        if len(digits) > ROUND_DIGITS:
            return 0, 0
        return key_of(int(digits or 0), 0), key_of(int(digits or 0) + 1, 0)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the keys in their order."""

    after: int | None = None
    """The key before the first; None: from the beginning."""
    before: int | None = None
    """The key after the last; given, the part ends there."""
    limit: int = 50
    """Most keys."""


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """Keys of rows that fit, and how far they were looked for."""

    keys: Sequence[int]
    """The keys in ascending order."""
    reached: int | None = None
    """Where the search stopped because its time was over; None: it came to its end."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """How rows that fit are looked for: along one source, with conditions for the rest."""

    source: str
    """Tables, the first of which is walked along."""
    column: str
    """The column of that table that holds keys."""
    conditions: Sequence[str]
    """What a row fulfils."""
    values: Sequence[Any]
    """Values of the conditions."""
    is_short: bool
    """Whether the whole walk is short, or every step of it finds a row."""

    def keys(self, connection: sqlite3.Connection, low: int, high: int, *, limit: int,
             is_back: bool) -> list[int]:  # fmt: skip
        """Return at most `limit` keys from `low` to before `high`, in the order of the walk."""
        conditions = [*self.conditions, f"{self.column} >= ?", f"{self.column} < ?"]
        query = (
            f"SELECT {self.column} FROM {self.source} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {self.column} {'DESC' if is_back else ''} LIMIT ?"
        )
        values = (*self.values, low, high, limit)
        return [key for (key,) in connection.execute(query, values)]


class IndexReader:
    """Reads an index; one connection, for one request."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keys(
        self, filters: Filters, part: Slice, *, only: Iterable[int] | None = None,
        without: Iterable[int] | None = None,
    ) -> FoundKeys:  # fmt: skip
        """Find rows; `only` and `without` bound them to given keys.

        What fits is looked for in windows of rows, and no further once `WALK_S` or, with words,
        `SEARCH_S` are over: filters and words that are frequent each and never meet would have all
        rows looked at.
        """
        if filters.query and not match_of(filters.query):
            return FoundKeys([])
        walk = self._walk(filters, only, without)
        low, high = filters.bounds
        low = max(low, (part.after if part.after is not None else -1) + 1)
        high = min(high, part.before if part.before is not None else high)
        is_back = part.before is not None
        windows = [(low, high)] if walk.is_short else self._windows(low, high)
        until = time.monotonic() + (SEARCH_S if filters.query else WALK_S)
        found: list[int] = []
        reached = None
        for start, end in reversed(windows) if is_back else windows:
            left = part.limit - len(found)
            found += walk.keys(self._connection, start, end, limit=left, is_back=is_back)
            if len(found) == part.limit:
                break
            if time.monotonic() > until and (start > low if is_back else end < high):
                reached = start if is_back else end - 1
                break
        return FoundKeys(found[::-1] if is_back else found, reached)

    def _windows(self, low: int, high: int) -> list[tuple[int, int]]:
        """Divide a range of keys into parts of about WINDOW rows."""
        inner = [key for key in json.loads(_meta(self._connection, "windows") or "[]")
                 if low < key < high]  # fmt: skip
        ends = [low, *inner, high]
        return list(itertools.pairwise(ends)) if low < high else []

    def _walk(
        self, filters: Filters, only: Iterable[int] | None, without: Iterable[int] | None
    ) -> _Walk:
        """Choose what is walked along, and write conditions for the rest.

        The rarest filter's index is walked along; `+` keeps SQLite from taking another. Words are
        looked up row by row where a filter leaves few rows.
        """
        equal = _equal(filters)
        first, n_first = self._rarest(filters, equal)
        match = match_of(filters.query)
        is_by_words = bool(match) and n_first > FEW
        if is_by_words:
            first = "words"
        source, column = _SOURCES.get(first, _SOURCES[""])
        conditions = [f"{'' if name == first else '+'}e.{name} = ?" for name in equal]
        values: list[Any] = list(equal.values())
        for is_wanted, name, value in (
            (bool(match), "words" if is_by_words else "each word", match),
            (bool(filters.verdict), "verdict" if first == "verdict" else "each verdict",
             filters.verdict),
        ):  # fmt: skip
            if is_wanted:
                conditions.append(_CONDITIONS[name])
                values.append(value)
        if filters.outcome == "dropped":
            conditions.append("+e.outcome NOT IN ('kept', 'waiting')")
        for word, given in (("IN", only), ("NOT IN", without)):
            if given is not None:
                conditions.append(f"{column} {word} (SELECT value FROM json_each(?))")
                values.append(json.dumps(list(given)))
        is_one = len(conditions) <= 1 and filters.outcome != "dropped"
        if is_by_words:
            is_short = is_one and match.strip('"').isalnum()
        else:
            is_short = is_one or n_first <= WINDOW
        return _Walk(source, column, conditions, values, is_short)

    def _rarest(self, filters: Filters, equal: Mapping[str, str]) -> tuple[str, int]:
        """Return the name of the filter that leaves the fewest rows, and how many these are."""
        counts = self.counts()
        sizes = {name: counts.get(name, {}).get(value, 0) for name, value in equal.items()}
        if filters.verdict:
            sizes["verdict"] = counts.get("verdict", {}).get(filters.verdict, 0)
        first = min(sizes, key=sizes.__getitem__, default="")
        return first, sizes.get(first, 1 << 62)

    def dropped(self, what: str, part: Slice) -> list[int]:
        """Return keys of drops with a stage and reason, in ascending order."""
        query = "SELECT key FROM drops WHERE what = ? AND key > ? ORDER BY key LIMIT ?"
        after = -1 if part.after is None else part.after
        return [key for (key,) in self._connection.execute(query, (what, after, part.limit))]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return numbers of rows by filter and value, as of the end of the last pass."""
        found: dict[str, dict[str, int]] = json.loads(_meta(self._connection, "counts") or "{}")
        return found

    def progress(self) -> tuple[int, int, bool]:
        """Return rows indexed, rows known, and whether the last pass came to its end."""
        n, left, is_done = json.loads(_meta(self._connection, "progress") or "[0, 0, false]")
        return int(n) - int(left), int(n), bool(is_done)


_SOURCES = {
    "": ("entries e", "e.key"),
    "words": ("texts CROSS JOIN entries e ON e.key = texts.rowid", "texts.rowid"),
    "verdict": ("verdicts v CROSS JOIN entries e ON e.key = v.key", "v.key"),
}
"""What is walked along -> tables, and the column of keys."""
_CONDITIONS = {
    "words": "texts MATCH ?",
    "each word": "EXISTS (SELECT 1 FROM texts WHERE texts MATCH ? AND texts.rowid = e.key)",
    "verdict": "v.what = ?",
    "each verdict": "EXISTS (SELECT 1 FROM verdicts v WHERE v.what = ? AND v.key = e.key)",
}


def _equal(filters: Filters) -> dict[str, str]:
    """Return the filters that are columns of entries."""
    found = {"heuristic": filters.heuristic, "language": filters.language,
             "outcome": filters.outcome}  # fmt: skip
    return {name: value for name, value in found.items()
            if value and (name, value) != ("outcome", "dropped")}  # fmt: skip


def match_of(query: str) -> str:
    """Return a query of FTS5 that finds all words; empty without words.

    >>> match_of('sort "binary search"')
    '"sort" "binary search"'
    """
    words = (quoted or plain for quoted, plain in _WORD.findall(clean(query).replace("\\x00", "")))
    found = (spaced(word).replace('"', "").strip() for word in words)
    return " ".join(f'"{word}"' for word in found if any(map(str.isalnum, word)))


class RowIndex:
    """The index of a run, made by a thread of this process or of another."""

    def __init__(self, source: Source[RunStore], folder: Path) -> None:
        """`folder` is that of all indexes, in the cache."""
        self.source = source
        name = content_id("index", [os.path.realpath(source.path), source.path.stat().st_ino])
        self.path = folder / f"{name}.db"
        self.failure = ""
        """Why rows cannot be indexed; empty if they can."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"index:{source.name}", daemon=True)

    def start(self) -> None:
        """Begin to index."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current batch."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    @contextmanager
    def reader(self) -> Iterator[IndexReader | None]:
        """Open the index for one request; None if there is none yet."""
        if not self.path.exists():
            yield None
            return
        with translate_errors(self.path, "delete it"):
            opened = open_to_read(self.path)
        with closing(opened):
            is_ours = _meta(opened.connection, "version") == str(VERSION)
            yield IndexReader(opened.connection) if is_ours else None

    def _work(self) -> None:
        """Index until stopped; what fails is shown, and tried again."""
        seen: Signature | None = None
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                now = self.source.signature()
                if now != seen and self.update():
                    seen = now
                self.failure = ""
            except (EvolcoderError, sqlite3.Error, OSError, ValueError) as error:
                self.failure = str(error)
            spent = time.monotonic() - started
            self._stop.wait(max(PAUSE_S, spent * (1 / SHARE - 1)))

    def update(self) -> bool:
        """Bring the index up to date; False if another process does."""
        atomic.make_folder(self.path.parent)
        with open(f"{self.path}.lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            with closing(self._opened()) as connection, self.source.open() as store:
                _Pass(store, connection, self._stop).run()
        return True

    def _opened(self) -> sqlite3.Connection:
        """Open the index for writing; a damaged one, or one of another version, is made anew."""
        with suppress(sqlite3.Error):
            connection = open_to_write(self.path)
            if _meta(connection, "version") == str(VERSION):
                return connection
            connection.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        connection = open_to_write(self.path)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            _set_meta(connection, "version", VERSION)
        return connection


def _meta(connection: sqlite3.Connection, key: str) -> str:
    try:
        found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except sqlite3.OperationalError:  # no table yet
        return ""
    return str(found[0]) if found else ""


def _set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    text = json.dumps(value)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text))


@dataclass(slots=True)
class _Pass:
    """One pass over what a run has that its index lacks."""

    store: RunStore
    connection: sqlite3.Connection
    stop: threading.Event
    _seen: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Add rows, verdicts, outcomes and texts, in this order."""
        self._add("tasks", _NEW_TASKS, _TASK, _ADD_ENTRY,
                  lambda key, heuristic, language: (key, heuristic, language, WAITING))  # fmt: skip
        self._add("verdicts", _NEW_VERDICTS, _VERDICT, _ADD_VERDICT,
                  lambda key, check, kind: (f"{check}: {kind}", key))  # fmt: skip
        self._update_drops()
        self._update_outcomes()
        self._set_counts()
        self._add_texts()
        self._set_counts()
        if not self.stop.is_set():
            n, left, _ = json.loads(_meta(self.connection, "progress"))
            _set_meta(self.connection, "progress", [n, left, True])

    def _add(self, table: str, query: str, columns: Columns, insert: str, make: Any) -> None:  # noqa: ANN401
        """Take over the rows of a table that is appended to."""
        name = f"last of {table}"
        last = int(_meta(self.connection, name) or 0)
        newest = self.store.db.number(f"SELECT MAX(rowid) FROM {table}")
        if newest < last:  # rows were deleted, and their numbers may be used again
            last = 0
        while not self.stop.is_set():
            rows = list(self.store.db.each(columns.validate, query, (last, BATCH)))
            if not rows:
                return
            last = rows[-1][0]
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                self.connection.executemany(
                    insert, (make(key_of(*row[1:3]), *row[3:]) for row in rows)
                )
                _set_meta(self.connection, name, last)

    def _drops_of(self, stage: str) -> Iterator[tuple[int, str]]:
        for round, ordinal, reason in self.store.db.each(_DROP.validate, _DROPS, (stage,)):
            yield key_of(round, ordinal), f"{stage}: {reason}"

    def _update_drops(self) -> None:
        """Make the drops by reason those of the run; cleaning again replaces its own."""
        for stage in ALL_STAGES:
            known = self.connection.execute(
                "SELECT key, what FROM drops WHERE what > ? AND what < ? ORDER BY key",
                (f"{stage}: ", f"{stage}:~"),
            )
            both = heapq.merge(
                ((key, what, 0) for key, what in known),
                ((key, what, 1) for key, what in self._drops_of(stage)),
            )
            changes: list[tuple[Any, ...]] = []
            for (key, what), group in itertools.groupby(both, key=itemgetter(0, 1)):
                sides = {side for *_, side in group}
                if len(sides) == 1:
                    changes.append((what, key, sides.pop()))
                if len(changes) >= CHANGES:
                    self._write(changes, _CHANGE_DROPS)
                    changes = []
            self._write(changes, _CHANGE_DROPS)

    def _write(self, changes: Sequence[tuple[Any, ...]], statements: Mapping[int, str]) -> None:
        """Write changes, whose last column says by which statement."""
        if not changes:
            return
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            for number, statement in statements.items():
                self.connection.executemany(
                    statement, (one[:-1] for one in changes if one[-1] == number)
                )

    def _update_outcomes(self) -> None:
        """Make the outcomes those of the run, by reading keys of both in step."""
        changes: list[tuple[Any, ...]] = []
        for key, group in itertools.groupby(self._outcomes(), key=itemgetter(0)):
            found = {rank: value for _, rank, value in group}
            known = found.pop(-1, None)
            if known is None:
                continue
            now = found[max(found)] if found else WAITING
            if now != known:
                changes.append((now, key, 0))
            if len(changes) >= CHANGES:
                self._write(changes, _CHANGE_OUTCOMES)
                changes = []
        self._write(changes, _CHANGE_OUTCOMES)

    def _outcomes(self) -> Iterator[tuple[int, int, str]]:
        """Yield (key, rank, outcome) by key: as known (rank -1), kept (0), and dropped by stage."""
        known = self.connection.execute("SELECT key, outcome FROM entries ORDER BY key")
        kept = self.store.db.each(_PLACE.validate, _KEPT)
        streams: list[Iterator[tuple[int, int, str]]] = [
            ((key, -1, outcome) for key, outcome in known),
            ((key_of(*place), 0, KEPT) for place in kept),
        ]
        for rank, stage in enumerate(STAGES, 1):
            streams.append(self._ranked(stage, rank))
        return heapq.merge(*streams)

    def _ranked(self, stage: str, rank: int) -> Iterator[tuple[int, int, str]]:
        return ((key, rank, what) for key, what in self._drops_of(stage))

    def _add_texts(self) -> None:
        """Index the words of rows that have an answer or were dropped."""
        n, left = (
            self.connection.execute(f"SELECT COUNT(*) FROM entries {where}").fetchone()[0]
            for where in ("", "WHERE indexed IS NULL")
        )
        after: int | None = -1
        while after is not None and not self.stop.is_set():
            texts, after = self._next_texts(after)
            left -= len(texts)
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                insert = "INSERT INTO texts (rowid, task, answer) VALUES (?, ?, ?)"
                self.connection.executemany(insert, (one[:3] for one in texts))
                self.connection.executemany(
                    "UPDATE entries SET indexed=? WHERE key=?", ((one[3], one[0]) for one in texts)
                )
                _set_meta(self.connection, "progress", [n, left, False])

    def _next_texts(self, after: int) -> tuple[list[tuple[int, str, str, str]], int | None]:
        """Return key, task, answer and answer's id of the next rows, and the last key looked at.

        The key is None if there are no more.
        """
        texts, n_chars = [], 0
        for key, outcome in self.connection.execute(_TO_INDEX, (after, BATCH)).fetchall():
            after = key
            found = next(self.store.db.each(_TEXT.validate, _TEXTS, place_of(key)), None)
            if found is None or (found[1] is None and outcome == WAITING):
                continue
            instruction, id, text = found
            texts.append((key, spaced(instruction), spaced(text or ""), id or ""))
            n_chars += len(instruction) + len(text or "")
            if n_chars > BATCH_CHARS:
                return texts, after
        more = self.connection.execute(_TO_INDEX, (after, 1)).fetchone()
        return texts, after if more else None

    def _set_counts(self) -> None:
        """Store the numbers of rows by value of each filter."""
        found: dict[str, dict[str, int]] = {}
        for name, table, column in (
            ("heuristic", "entries", "heuristic"), ("language", "entries", "language"),
            ("outcome", "entries", "outcome"), ("verdict", "verdicts", "what"),
            ("drop", "drops", "what"),
        ):  # fmt: skip
            query = f"SELECT {column}, COUNT(*) FROM {table} GROUP BY {column}"
            found[name] = dict(self.connection.execute(query).fetchall())
        ends = (
            "SELECT key FROM (SELECT key, row_number() OVER (ORDER BY key) AS n FROM entries) "
            "WHERE n % ? = 0"
        )
        _set_meta(self.connection, "windows",
                  [key for (key,) in self.connection.execute(ends, (WINDOW,))])  # fmt: skip
        rounds = f"SELECT key >> {ORDINAL_BITS}, COUNT(*) FROM entries GROUP BY 1"
        found["round"] = {str(round): n for round, n in self.connection.execute(rounds)}
        _set_meta(self.connection, "counts", found)
