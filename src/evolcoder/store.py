"""The run database: every task, response and drop of a run, appended and never changed.

Promises: rows are durable in the order in which they were added; a run killed at any instant is
resumed with nothing lost; a second process on the same folder is refused; in = kept + dropped.
Completions are not here but in the cache (`engine/cache.py`).

>>> with RunStore.create(Path("runs/x"), config) as store:   # doctest: +SKIP
...     store.add_task(task)
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from evolcoder.config import Config, differing_keys
from evolcoder.db import Statement
from evolcoder.errors import RunFolderError
from evolcoder.folder import LOCK_NAME, Folder
from evolcoder.records import Drop, Made, Reason, Response, Row, Stage, Task

MADE = "model TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, attempts INTEGER"
MIGRATIONS: Sequence[str] = (
    f"""
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY, instruction TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, root TEXT NOT NULL, parent TEXT, heuristic TEXT,
        language TEXT, {MADE}, UNIQUE (round, ordinal)
    );
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, task TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL, {MADE},
        UNIQUE (round, ordinal)
    );
    CREATE TABLE drops (
        stage TEXT NOT NULL, reason TEXT NOT NULL, subject TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, heuristic TEXT, seen TEXT NOT NULL, detail TEXT NOT NULL, {MADE},
        PRIMARY KEY (stage, round, ordinal)
    );
    CREATE INDEX drops_of_lineage ON drops (ordinal, round);
    CREATE INDEX responses_of_lineage ON responses (ordinal, round);
    CREATE TABLE rounds (round INTEGER PRIMARY KEY, pool INTEGER NOT NULL, started REAL NOT NULL);
    CREATE TABLE calls (
        model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    );
    CREATE TABLE events (time REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL)
    """,
)
_ROWS = """
    SELECT t.*, r.*, p.instruction FROM responses r
    JOIN tasks t ON t.id = r.task LEFT JOIN tasks p ON p.id = t.parent
    WHERE r.round = ? ORDER BY r.ordinal LIMIT ?
"""
DB_NAME = "run.db"
CONFIG_NAME = "config.yaml"


class RunStore(Folder):
    """A run folder that is open: for one writer, or for readers."""

    DB_NAME = DB_NAME
    KIND = "run"
    MIGRATIONS = MIGRATIONS

    @classmethod
    def create(cls, folder: Path, config: Config) -> Self:
        """Open a run folder for writing; make it, or resume what is there with an equal config."""
        return cls.opened(folder, lambda store: store.adopt(config))

    def discard(self) -> None:
        """Close a run that never began and remove what was made for it."""
        self.close()
        for path in [*self.folder.glob(f"{DB_NAME}*"), self.folder / CONFIG_NAME]:
            path.unlink(missing_ok=True)
        (self.folder / LOCK_NAME).unlink(missing_ok=True)
        self.folder.rmdir()

    def add_seeds(self, records: Iterable[Task | Response | Drop]) -> None:
        """Write all that the seeds gave, in one transaction: all of it or nothing."""
        self.db.write_all(_statements(records))

    def add(self, record: Task | Response | Drop) -> None:
        """Queue one record; it is durable within about 20 ms."""
        self.db.write(*_statement(record))

    def add_event(self, kind: str, detail: str = "") -> None:
        """Note that something happened to the run itself."""
        self.db.write("INSERT INTO events VALUES (?, ?, ?)", (time.time(), kind, detail))

    def open_round(self, round: int, pool: int) -> None:
        """Note that a round begins, and how many tasks go into it."""
        self.db.write("INSERT OR IGNORE INTO rounds VALUES (?, ?, ?)", (round, pool, time.time()))

    def task(self, id: str) -> Task | None:
        """Read one task."""
        rows = self.db.read("SELECT * FROM tasks WHERE id=?", (id,))
        return task_from(rows[0]) if rows else None

    def rows(self, *, min_round: int = 0, limit: int | None = None) -> Iterator[Row]:
        """Read the training set in its canonical order, by round, then by seed.

        `limit` bounds the evolved rows; seeds come on top.
        """
        (last,) = self.db.read("SELECT MAX(round) FROM responses")[0]
        left = limit
        for round in range(min_round, int(str(last if last is not None else -1)) + 1):
            bound = -1 if left is None or round == 0 else left
            n_rows = 0
            for n_rows, columns in enumerate(self.db.reader.execute(_ROWS, (round, bound)), 1):  # noqa: B007
                yield _row_from(columns)
            left = left - n_rows if left is not None and round else left

    def drops(self) -> Iterator[Drop]:
        """Read every drop, by round, stage and seed."""
        for columns in self.db.reader.execute("SELECT * FROM drops ORDER BY round, stage, ordinal"):
            yield drop_from(columns)

    def adopt(self, config: Config) -> None:
        """Take a config as this run's own, or refuse one that would make other rows."""
        known = self.meta("config")
        if known is not None:
            keys = differing_keys(known, config.deciding())
            if keys:
                raise RunFolderError(
                    f"{self.folder}: this run was made with other values of {', '.join(keys)}; "
                    f"use the old ones or another --out"
                )
        self.set_meta("config", config.deciding())
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_atomically(self.folder / CONFIG_NAME, text)
        self.db.flush()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunFolderError(f"{path}: cannot be written: {error.strerror}") from error


def _made(made: Made | None) -> tuple[object, ...]:
    if made is None:
        return (None, None, None, None)
    return (made.model, made.prompt_tokens, made.completion_tokens, made.attempts)


def _statement(record: Task | Response | Drop) -> Statement:
    r, made = record, _made(record.made)
    if isinstance(r, Task):
        head = (r.id, r.instruction, r.round, r.ordinal, r.root, r.parent, r.heuristic, r.language)
        return _insert("tasks", (*head, *made))
    if isinstance(r, Response):
        values = (r.id, r.task, r.round, r.ordinal, r.text, r.reasoning, *made)
        return _insert("responses", values)
    where = (r.subject, r.round, r.ordinal, r.heuristic)
    return _insert("drops", (r.stage, r.reason, *where, r.seen, r.detail, *made))


def _statements(records: Iterable[Task | Response | Drop]) -> Iterator[Statement]:
    return (_statement(record) for record in records)


def _insert(table: str, values: tuple[object, ...]) -> Statement:
    return f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(values))})", values


def _made_from(columns: Sequence[Any]) -> Made | None:
    return Made(*columns) if columns[0] is not None else None


def task_from(columns: Sequence[Any]) -> Task:
    """Rebuild a task from its columns."""
    id, instruction, round, ordinal, root, parent, heuristic, language = columns[:8]
    made = _made_from(columns[8:12])
    return Task(id, instruction, round, ordinal, root, parent, heuristic, language, made)


def drop_from(columns: Sequence[Any]) -> Drop:
    """Rebuild a drop from its columns."""
    stage, reason, subject, round, ordinal, heuristic, seen, detail = columns[:8]
    made = _made_from(columns[8:12])
    return Drop(
        Stage(stage), Reason(reason), subject, round, ordinal, heuristic, seen, detail, made
    )


def response_from(columns: Sequence[Any]) -> Response:
    """Rebuild a response from its columns."""
    id, task, round, ordinal, text, reasoning = columns[:6]
    return Response(id, task, round, ordinal, text, reasoning, _made_from(columns[6:10]))


def _row_from(columns: Sequence[Any]) -> Row:
    return Row(task_from(columns[:12]), response_from(columns[12:22]), columns[22])
