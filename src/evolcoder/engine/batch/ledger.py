"""Stores which requests are in which batch of a provider, and their results, in SQLite.

A batch is planned before anything is sent, so a killed process finds it again. Results of a batch
are stored in one transaction. A request is in one batch at most. Processes may share the file; the
file's lock is held while a planned batch is being submitted.

>>> with ledger.submitting():   # doctest: +SKIP
...     plan = ledger.plan("https://host/v1", "model", keys)
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.errors import ModelError
from evolcoder.storage import atomic
from evolcoder.storage.database import (
    COUNT,
    MAYBE_COUNT,
    MAYBE_TEXT,
    NUMBER,
    TEXT,
    Columns,
    Database,
)

MIGRATIONS: Sequence[str] = (
    """CREATE TABLE batches (
        tag TEXT PRIMARY KEY, server TEXT NOT NULL, model TEXT NOT NULL, size INTEGER NOT NULL,
        planned REAL NOT NULL, file TEXT, id TEXT, ended INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE requests (
        key TEXT PRIMARY KEY, tag TEXT NOT NULL, line INTEGER NOT NULL, status INTEGER,
        body TEXT NOT NULL DEFAULT '', taken INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX requests_of_batch ON requests (tag, line);
    CREATE TABLE refused (
        server TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (server, model, name)
    )""",
)
REMEDY = "delete it to start a new one; requests in batches that are out are paid for again"
KEPT_DAYS = 30
"""How long results are kept that are also in the completion cache; providers keep them as long."""
LOCK_POLL_S = 0.1
"""Seconds between attempts to get the lock."""
TAG_PREFIX = "evolcoder-"
"""Prefix of tags, which name batches at the provider."""

_BATCH = "tag, server, model, size, planned, file, id"
_BATCH_COLUMNS = Columns(
    tag=TEXT, server=TEXT, model=TEXT, size=COUNT, planned=NUMBER, file=MAYBE_TEXT, id=MAYBE_TEXT
)
_REQUEST_COLUMNS = Columns(tag=TEXT, status=MAYBE_COUNT, body=TEXT)
_TEXT_COLUMN = Columns(name=TEXT)
_LINE_COLUMNS = Columns(line=COUNT, key=TEXT)
Result = tuple[int, str]
"""HTTP status of one request (0: the batch ended without answering it) and its body."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch in the ledger."""

    tag: str
    """Our name of it, unique; part of its file name, metadata and line ids."""
    server: str
    """Identity of the server."""
    model: str
    """Name of the model."""
    size: int
    """Number of requests."""
    planned: float
    """Unix time at which it was planned."""
    file: str | None
    """The provider's id of the uploaded requests; None before that, or if there is no upload."""
    id: str | None
    """The provider's id; None until it is known."""

    def line_id(self, line: int) -> str:
        """Return the id of a request at the provider."""
        return f"{self.tag}-{line}"

    def line_of(self, id: str) -> int | None:
        """Return the number of a line by its id; None if it is of another batch."""
        prefix, _, number = id.rpartition("-")
        return int(number) if prefix == self.tag and number.isdecimal() else None


class BatchLedger:
    """The ledger file; several engines and processes may share it."""

    def __init__(self, path: Path) -> None:
        atomic.make_folder(path.parent, error=ModelError)
        self._db = Database(path, MIGRATIONS, remedy=REMEDY)
        self._lock_path = path.with_suffix(".lock")
        self._forget_old()

    @contextlib.asynccontextmanager
    async def submitting(self) -> AsyncIterator[None]:
        """Hold the lock of the file; the system releases it if the process is killed."""
        folder = self._lock_path.parent
        handle = atomic.open_lock(self._lock_path, inside=folder, error=ModelError)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(LOCK_POLL_S)
                else:
                    break
            yield
        finally:
            os.close(handle)

    def plan(self, server: str, model: str, keys: Sequence[str]) -> Batch:
        """Plan a batch; keys that are in another batch already are left out of it."""
        tag = TAG_PREFIX + secrets.token_hex(8)
        row = (tag, server, model, len(keys), time.time())
        insert = "INSERT OR IGNORE INTO requests (key, tag, line) VALUES (?, ?, ?)"
        count = "UPDATE batches SET size=(SELECT COUNT(*) FROM requests WHERE tag=?) WHERE tag=?"
        self._db.write_all(
            [
                (
                    "INSERT INTO batches (tag, server, model, size, planned) VALUES (?,?,?,?,?)",
                    row,
                ),
                *((insert, (key, tag, line)) for line, key in enumerate(keys)),
                (count, (tag, tag)),
            ]
        )
        found = self.batch(tag)
        assert found is not None
        return found

    def batch(self, tag: str) -> Batch | None:
        """Return a batch that has not ended."""
        query = f"SELECT {_BATCH} FROM batches WHERE tag=? AND NOT ended"
        return next(self._db.each(_batch_from, query, (tag,)), None)

    def open_batches(self, server: str, model: str) -> list[Batch]:
        """Return the batches of a model that have not ended."""
        query = f"SELECT {_BATCH} FROM batches WHERE server=? AND model=? AND NOT ended"
        return list(self._db.each(_batch_from, query, (server, model)))

    def known_ids(self, server: str) -> set[str]:
        """Return the provider's ids of all batches of a server."""
        query = "SELECT id FROM batches WHERE server=? AND id IS NOT NULL"
        return {row[0] for row in self._db.each(_TEXT_COLUMN.validate, query, (server,))}

    def lines(self, batch: Batch) -> dict[int, str]:
        """Return the request keys of a batch by line."""
        query = "SELECT line, key FROM requests WHERE tag=?"
        return dict(self._db.each(_line_from, query, (batch.tag,)))

    def set_file(self, batch: Batch, file: str) -> None:
        """Store the id of the uploaded requests."""
        self._db.write_all([("UPDATE batches SET file=? WHERE tag=?", (file, batch.tag))])

    def set_id(self, batch: Batch, id: str) -> None:
        """Store the provider's id of a batch."""
        self._db.write_all([("UPDATE batches SET id=? WHERE tag=?", (id, batch.tag))])

    def finish(self, batch: Batch, results: Iterable[tuple[int, Result]], missing: Result) -> None:
        """Store the results of a batch by line, and `missing` for all other lines, and end it."""
        store = "UPDATE requests SET status=?, body=? WHERE tag=? AND line=? AND status IS NULL"
        rest = "UPDATE requests SET status=?, body=? WHERE tag=? AND status IS NULL"
        self._db.write_all(
            [
                *((store, (*result, batch.tag, line)) for line, result in results),
                (rest, (*missing, batch.tag)),
                ("UPDATE batches SET ended=1 WHERE tag=?", (batch.tag,)),
            ]
        )

    def discard(self, batch: Batch) -> None:
        """Remove a batch that the provider does not have; its requests may be asked again."""
        self._db.write_all(
            [
                ("DELETE FROM requests WHERE tag=? AND status IS NULL", (batch.tag,)),
                ("UPDATE batches SET ended=1 WHERE tag=?", (batch.tag,)),
            ]
        )

    def where(self, key: str) -> tuple[str, Result | None] | None:
        """Return a request's batch and its result if there is one; None if it is in no batch."""
        query = "SELECT tag, status, body FROM requests WHERE key=?"
        return next(self._db.each(_request_from, query, (key,)), None)

    def take(self, key: str) -> None:
        """Mark a result as handed to the caller, who keeps it in the completion cache."""
        self._db.write("UPDATE requests SET taken=1 WHERE key=?", (key,))

    def forget(self, key: str) -> None:
        """Remove a result before the next `plan`, so that the request may be asked again."""
        self._db.write("DELETE FROM requests WHERE key=? AND status IS NOT NULL", (key,))

    def refused(self, server: str, model: str) -> frozenset[str]:
        """Return the parameters that a model rejected."""
        query = "SELECT name FROM refused WHERE server=? AND model=?"
        rows = self._db.each(_TEXT_COLUMN.validate, query, (server, model))
        return frozenset(row[0] for row in rows)

    def add_refused(self, server: str, model: str, name: str) -> None:
        """Store that a model rejects a parameter."""
        self._db.write_all(
            [("INSERT OR IGNORE INTO refused VALUES (?,?,?)", (server, model, name))]
        )

    def close(self) -> None:
        """Commit and close the file."""
        self._db.close()

    def _forget_old(self) -> None:
        oldest = (time.time() - 86_400 * KEPT_DAYS,)
        old = "SELECT tag FROM batches WHERE ended AND planned < ?"
        requests = f"DELETE FROM requests WHERE taken AND tag IN ({old})"
        batches = f"DELETE FROM batches WHERE tag IN ({old} EXCEPT SELECT tag FROM requests)"
        self._db.write_all([(requests, oldest), (batches, oldest)])


def _batch_from(columns: Sequence[Any]) -> Batch:
    return Batch(*_BATCH_COLUMNS.validate(columns))


def _line_from(columns: Sequence[Any]) -> tuple[int, str]:
    line, key = _LINE_COLUMNS.validate(columns)
    return line, key


def _request_from(columns: Sequence[Any]) -> tuple[str, Result | None]:
    tag, status, body = _REQUEST_COLUMNS.validate(columns)
    return tag, None if status is None else (status, body)
