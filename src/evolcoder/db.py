"""SQLite with one writer: rows are queued by any thread and committed in groups by one.

Promises: rows reach the file in the order in which they were queued, whole or not at all, within
about `GROUP_S` seconds; killing the process loses at most that. Nothing here knows what a row is.

>>> db = Database(Path("x.db"), MIGRATIONS)   # doctest: +SKIP
>>> db.write("INSERT INTO calls VALUES (?, ?)", ("id", 12))
>>> db.flush()
"""

import queue
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from evolcoder.errors import EvolcoderError, RunFolderError, StoreError

GROUP_S = 0.02
"""Longest time that a queued row waits for others to share a commit."""
GROUP_ROWS = 2000
"""Most rows in one commit."""
MOST_WAITING = 4000
"""Most rows that wait for their commit: whoever writes faster than the disk is held up there."""
BUSY_MS = 30_000
"""How long to wait for another process's lock."""

Statement = tuple[str, Sequence[object]]
_STOP = object()
_USERS_TO_MEND = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE)


class Database:
    """One SQLite file: a writer thread, and a connection for reads on the opening thread."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._closed = False
        self._hurry = threading.Event()
        self.reader = self._connect()
        try:
            self._migrate(migrations)
        except BaseException:
            # Open, it would leave its -wal and -shm beside a file that is not ours to touch.
            self.reader.close()
            raise
        self._thread = threading.Thread(target=self._run, name=f"writer:{path.name}", daemon=True)
        self._thread.start()

    def write(self, sql: str, values: Sequence[object]) -> None:
        """Queue one statement; returns at once unless too many wait already."""
        if self._failure is not None:
            raise self._error() from self._failure
        self._queue.put((sql, values))
        if self._queue.qsize() > MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Wait until all that was queued is committed."""
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        while not done.wait(0.05):
            if self._failure is not None or not self._thread.is_alive():
                break
        if self._failure is not None:
            raise self._error() from self._failure

    def write_all(self, statements: Iterable[Statement]) -> None:
        """Write many rows in one transaction: all of them or none, also when killed."""
        self.flush()
        try:
            with self.reader:
                self.reader.execute("BEGIN IMMEDIATE")
                for sql, group in groupby(statements, key=itemgetter(0)):
                    self.reader.executemany(sql, map(itemgetter(1), group))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from error

    def read(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[object, ...]]:
        """Run a query to its end."""
        try:
            return self.reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error

    def close(self) -> None:
        """Commit what is queued and let go of the file. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(_STOP)
        self._hurry.set()
        self._thread.join()
        self.reader.close()
        if self._failure is not None:
            raise self._error() from self._failure

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: cannot be opened: {error}") from error
        return connection

    def _migrate(self, migrations: Sequence[str]) -> None:
        """Bring the schema to the newest version; a file of a later version is refused."""
        try:
            self.reader.execute("BEGIN IMMEDIATE")
            (version,) = self.reader.execute("PRAGMA user_version").fetchone()
            if version > len(migrations):
                raise RunFolderError(
                    f"{self.path}: written by a newer evolcoder (version {version}, "
                    f"this one knows {len(migrations)}); upgrade evolcoder"
                )
            for number, script in enumerate(migrations[version:], start=version + 1):
                for statement in script.split(";"):
                    self.reader.execute(statement)
                self.reader.execute(f"PRAGMA user_version={number}")
            self.reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: not a database of evolcoder: {error}") from error

    def _run(self) -> None:
        try:
            connection = self._connect()
        except RunFolderError as error:
            self._failure = error
            return
        try:
            while self._commit_group(connection):
                pass
        except (sqlite3.Error, ValueError, OverflowError) as error:
            # The last two: text that no encoder takes, a number that no column holds.
            self._failure = error
        finally:
            connection.close()

    def _commit_group(self, connection: sqlite3.Connection) -> bool:
        """Commit one group; return whether to go on."""
        items = self._next_group()
        waiters = [item for item in items if isinstance(item, threading.Event)]
        rows = [item for item in items if isinstance(item, tuple)]
        if rows:
            connection.execute("BEGIN IMMEDIATE")
            for sql, group in groupby(rows, key=itemgetter(0)):
                connection.executemany(sql, map(itemgetter(1), group))
            connection.execute("COMMIT")
        for waiter in waiters:
            waiter.set()
        return _STOP not in items

    def _next_group(self) -> list[object]:
        """Wait for a row, give others `GROUP_S` to join it, and take what is there."""
        items = [self._queue.get()]
        self._hurry.wait(GROUP_S)
        self._hurry.clear()
        try:
            while len(items) < GROUP_ROWS:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return items

    def _error(self) -> EvolcoderError:
        """Say what stopped the writer; a full or read-only disk is for the user to mend."""
        text = f"{self.path}: cannot be written: {self._failure}"
        if getattr(self._failure, "sqlite_errorcode", None) in _USERS_TO_MEND:
            return RunFolderError(f"{text}; make room or mend the rights, then run it again")
        return StoreError(text)
