"""SQLite with one writer: rows are queued by any thread and committed in groups by one.

Promises: rows reach the file in the order in which they were queued, whole or not at all, within
about `GROUP_S` seconds; killing the process loses at most that. A damaged file is told in one line,
whether SQLite or the decoding of a row finds it. Nothing here knows what a row is.

>>> db = Database(Path("x.db"), MIGRATIONS)   # doctest: +SKIP
>>> db.write("INSERT INTO calls VALUES (?, ?)", ("id", 12))
>>> db.flush()
"""

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from evolcoder.errors import EvolcoderError, RunFolderError, StoreError
from evolcoder.storage import sqlite_files

GROUP_S = 0.02
"""Longest time that a queued row waits for others to share a commit."""
GROUP_ROWS = 2000
"""Most rows in one commit."""
MAX_WAITING = 4000
"""Most rows that wait for their commit: whoever writes faster than the disk is held up there."""
LARGEST = (1 << 53) - 1
"""Largest count, such as of a round, that is taken for one."""

T = TypeVar("T")
Statement = tuple[str, Sequence[object]]
Values = Sequence[object] | Mapping[str, object]
_STOP = object()


def json_object(what: str, text: str) -> dict[str, Any]:
    """Decode a JSON object, or raise ValueError that says of what."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} is no JSON object")
    return found


class Columns:
    """What the columns of a row may hold, by name; SQLite itself takes anything anywhere."""

    def __init__(self, **kinds: frozenset[type]) -> None:
        self._kinds = kinds
        self._known: set[tuple[type, ...]] = set()
        self._counts = [at for at, kind in enumerate(kinds.values()) if kind <= _COUNTS]

    def checked(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row's columns, or raise ValueError with what is wrong in them."""
        found = tuple(map(type, row))
        if found not in self._known:
            self._check(found)
            self._known.add(found)
        for at in self._counts:
            if row[at] is not None and not 0 <= row[at] <= LARGEST:
                raise ValueError(f"{list(self._kinds)[at]} is {row[at]}")
        return row

    def _check(self, found: tuple[type, ...]) -> None:
        for (name, allowed), kind in zip(self._kinds.items(), found, strict=True):
            if kind not in allowed:
                raise ValueError(f"{name} holds {_CALLED.get(kind, kind.__name__)}")


TEXT = frozenset({str})
COUNT = frozenset({int})
NUMBER = frozenset({int, float})
MAYBE_TEXT, MAYBE_COUNT, MAYBE_NUMBER = (kind | {NoneType} for kind in (TEXT, COUNT, NUMBER))
BLOB = frozenset({bytes})
_COUNTS = MAYBE_COUNT
_CALLED = {bytes: "a blob", NoneType: "nothing", str: "a text", int: "a number", float: "a number"}


class Database:
    """One SQLite file: a writer thread, and a connection for reads on the opening thread."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        inside: Path | None = None,
        remedy: str = sqlite_files.RESTORE,
        read_only: bool = False,
    ) -> None:
        """Open a file, and make it if need be unless it is `read_only`.

        `inside` is the folder that no link may lead out of; `remedy` says what to do if the file
        is damaged.
        """
        self.path = path
        self._remedy = remedy
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._closed = False
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        is_there = sqlite_files.check_place(path, inside=inside, writes=not read_only)
        if read_only:
            self._opened = self._open_to_read(migrations)
            self.reader = self._opened.connection
            return
        if is_there and path.stat().st_size:
            self._checked(migrations)[0].close()
        self.reader = self._connect()
        self._opened = sqlite_files.OpenedFile(self.reader)
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
        if self._thread is None:
            raise StoreError(f"{self.path}: was opened for reading")
        if self._failure is not None:
            raise self._error() from self._failure
        self._queue.put((sql, values))
        if self._queue.qsize() > MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Wait until all that was queued is committed."""
        if self._thread is None:
            return
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
            raise self._error_of(error, "written") from error

    def read(self, sql: str, values: Values = ()) -> list[tuple[object, ...]]:
        """Run a query to its end."""
        return list(self.each(tuple, sql, values))

    def number(self, sql: str, values: Values = ()) -> int:
        """Run a query for one count; 0 where it gives none."""
        found = list(self.each(_ONE_COUNT.checked, sql, values))
        return int(found[0][0] or 0) if found else 0

    def each(
        self, decode: Callable[[Sequence[Any]], T], sql: str, values: Values = ()
    ) -> Iterator[T]:
        """Run a query, and decode row after row; what cannot be decoded is damage of the file."""
        try:
            for columns in self.reader.execute(sql, values):
                yield decode(columns)
        except (sqlite3.Error, MemoryError, *sqlite_files.DECODING) as error:
            raise self._error_of(error, "read") from error

    def close(self) -> None:
        """Commit what is queued and let go of the file. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(_STOP)
            self._hurry.set()
            self._thread.join()
        self._opened.close()
        if self._failure is not None:
            raise self._error() from self._failure

    def _connect(self) -> sqlite3.Connection:
        with sqlite_files.errors_of(self.path, self._remedy, doing="opened"):
            return sqlite_files.open_to_write(self.path)

    def _checked(self, migrations: Sequence[str]) -> tuple[sqlite_files.OpenedFile, int]:
        """Open for reading what is no damage; return its version as well."""
        with sqlite_files.errors_of(self.path, self._remedy, doing="opened"):
            opened = sqlite_files.open_to_read(self.path)
            try:
                version = sqlite_files.check_contents(
                    opened.connection, self.path, migrations, self._remedy
                )
            except BaseException:
                opened.close()
                raise
            return opened, version

    def _open_to_read(self, migrations: Sequence[str]) -> sqlite_files.OpenedFile:
        """Open for reading; of a file of an earlier version a copy is brought to the newest."""
        opened, version = self._checked(migrations)
        if version == len(migrations):
            return opened
        if version == 0:
            opened.close()
            raise RunFolderError(
                f"{self.path}: is empty: what was to fill it never began; the same command may"
            )
        with sqlite_files.errors_of(self.path, self._remedy):
            copy = sqlite_files.copy_to_memory(opened)
            sqlite_files.migrate(copy.connection, migrations, version)
            return copy

    def _migrate(self, migrations: Sequence[str]) -> None:
        """Bring the schema to the newest version."""
        with sqlite_files.errors_of(self.path, self._remedy, doing="opened"):
            self.reader.execute("BEGIN IMMEDIATE")
            (version,) = self.reader.execute("PRAGMA user_version").fetchone()
            sqlite_files.migrate(self.reader, migrations, version)
            self.reader.execute("COMMIT")

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
        """Say what stopped the writer."""
        assert self._failure is not None
        if isinstance(self._failure, EvolcoderError):
            return self._failure
        return self._error_of(self._failure, "written")

    def _error_of(self, error: BaseException, doing: str) -> EvolcoderError:
        return sqlite_files.error_of(self.path, error, self._remedy, doing=doing)


_ONE_COUNT = Columns(count=MAYBE_COUNT)
