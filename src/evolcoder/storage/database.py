"""SQLite with a single writer thread that commits queued rows in groups.

Rows are written in the order queued, atomically, within about `GROUP_S` seconds; a killed process
loses at most that. Damage, found by SQLite or while decoding a row, is a one-line error. This
module does not know the schema.

>>> db = Database(Path("x.db"), MIGRATIONS)   # doctest: +SKIP
>>> db.write("INSERT INTO calls VALUES (?, ?)", ("id", 12))
>>> db.flush()
"""

import json
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from evolcoder.errors import EvolcoderError, RunFolderError, StoreError
from evolcoder.storage import sqlite_files

GROUP_S = 0.02
"""Maximum time that a queued row waits for others to share its commit."""
GROUP_ROWS = 2000
"""Maximum rows per commit."""
MAX_WAITING = 4000
"""Maximum rows queued: a caller that writes faster than the disk is blocked."""
MAX_COUNT = (1 << 53) - 1
"""Upper bound of valid counts, such as round numbers."""

T = TypeVar("T")
Statement = tuple[str, Sequence[object]]
Values = Sequence[object] | Mapping[str, object]
_STOP = object()


def json_object(what: str, text: str) -> dict[str, Any]:
    """Decode a JSON object; ValueError with `what` in its message otherwise."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} is not a JSON object")
    return found


class Columns:
    """The expected types of a row's columns; SQLite itself does not enforce types."""

    def __init__(self, **kinds: frozenset[type]) -> None:
        self._kinds = kinds
        self._known: set[tuple[type, ...]] = set()
        self._counts = [at for at, kind in enumerate(kinds.values()) if kind <= _COUNTS]

    def validate(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return the row, or raise ValueError that names the wrong column."""
        found = tuple(map(type, row))
        if found not in self._known:
            self._check_types(found)
            self._known.add(found)
        for at in self._counts:
            if row[at] is not None and not 0 <= row[at] <= MAX_COUNT:
                raise ValueError(f"{list(self._kinds)[at]} is {row[at]}")
        return row

    def _check_types(self, found: tuple[type, ...]) -> None:
        for (name, allowed), kind in zip(self._kinds.items(), found, strict=True):
            if kind not in allowed:
                raise ValueError(f"{name} is {_TYPE_NAMES.get(kind, kind.__name__)}")


TEXT = frozenset({str})
COUNT = frozenset({int})
NUMBER = frozenset({int, float})
MAYBE_TEXT, MAYBE_COUNT, MAYBE_NUMBER = (kind | {NoneType} for kind in (TEXT, COUNT, NUMBER))
BLOB = frozenset({bytes})
_COUNTS = MAYBE_COUNT
_TYPE_NAMES = {bytes: "a blob", NoneType: "null", str: "text", int: "a number", float: "a number"}


class Database:
    """A SQLite file with a writer thread, and a connection for reads in the opening thread."""

    def __init__(  # noqa: PLR0913 - how a file is opened
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        inside: Path | None = None,
        remedy: str = sqlite_files.RESTORE,
        read_only: bool = False,
        is_checked: bool = False,
        before_commit: Callable[[], None] | None = None,
    ) -> None:
        """Open a file, creating it if missing unless `read_only`.

        Links must not lead out of `inside`. `remedy` is the advice in errors about damage. A reader
        that opens a file often passes `is_checked` once its contents were checked.
        `before_commit` is called in the writer's thread before each group that is committed.
        """
        self._before_commit = before_commit
        self.path = path
        self._remedy = remedy
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._closed = False
        self._commit_now = threading.Event()
        self._thread: threading.Thread | None = None
        exists = sqlite_files.check_place(path, inside=inside, writes=not read_only)
        if read_only:
            self._opened = self._open_to_read(migrations, is_checked=is_checked)
            self.reader = self._opened.connection
            return
        if exists and path.stat().st_size:
            self._open_verified(migrations)[0].close()
        self.reader = self._connect()
        self._opened = sqlite_files.OpenedFile(self.reader)
        try:
            self._migrate(migrations)
        except BaseException:
            # If left open, it would leave -wal and -shm next to a file that is not ours.
            self.reader.close()
            raise
        self._thread = threading.Thread(target=self._run, name=f"writer:{path.name}", daemon=True)
        self._thread.start()

    def write(self, sql: str, values: Sequence[object]) -> None:
        """Queue a statement; blocks only if the queue is full."""
        if self._thread is None:
            raise StoreError(f"{self.path}: is opened read-only")
        if self._failure is not None:
            raise self._error() from self._failure
        self._queue.put((sql, values))
        if self._queue.qsize() > MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Wait until everything queued is committed."""
        if self._thread is None:
            return
        done = threading.Event()
        self._queue.put(done)
        self._commit_now.set()
        while not done.wait(0.05):
            if self._failure is not None or not self._thread.is_alive():
                break
        if self._failure is not None:
            raise self._error() from self._failure

    def write_all(self, statements: Iterable[Statement]) -> None:
        """Execute statements in one transaction, atomic even if the process is killed."""
        self.flush()
        try:
            with self.reader:
                self.reader.execute("BEGIN IMMEDIATE")
                for sql, group in groupby(statements, key=itemgetter(0)):
                    self.reader.executemany(sql, map(itemgetter(1), group))
        except sqlite3.Error as error:
            raise self._translate(error, "written") from error

    def read(self, sql: str, values: Values = ()) -> list[tuple[object, ...]]:
        """Return all rows of a query."""
        return list(self.each(tuple, sql, values))

    def number(self, sql: str, values: Values = ()) -> int:
        """Return the single count that a query selects; 0 if it selects nothing."""
        found = list(self.each(_ONE_COUNT.validate, sql, values))
        return int(found[0][0] or 0) if found else 0

    def each(
        self, decode: Callable[[Sequence[Any]], T], sql: str, values: Values = ()
    ) -> Iterator[T]:
        """Yield the decoded rows of a query; a row that cannot be decoded is reported as damage."""
        try:
            for columns in self.reader.execute(sql, values):
                yield decode(columns)
        except (sqlite3.Error, MemoryError, *sqlite_files.DECODING) as error:
            raise self._translate(error, "read") from error

    def close(self) -> None:
        """Commit what is queued and close the file; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(_STOP)
            self._commit_now.set()
            self._thread.join()
        self._opened.close()
        if self._failure is not None:
            raise self._error() from self._failure

    def _connect(self) -> sqlite3.Connection:
        with sqlite_files.translate_errors(self.path, self._remedy, doing="opened"):
            return sqlite_files.open_to_write(self.path)

    def _open_verified(self, migrations: Sequence[str]) -> tuple[sqlite_files.OpenedFile, int]:
        """Open for reading, verify the contents, and return the schema version too."""
        with sqlite_files.translate_errors(self.path, self._remedy, doing="opened"):
            opened = sqlite_files.open_to_read(self.path)
            try:
                version = sqlite_files.check_contents(
                    opened.connection, self.path, migrations, self._remedy
                )
            except BaseException:
                opened.close()
                raise
            return opened, version

    @property
    def is_copy(self) -> bool:
        """Whether a copy is read, which later writes to the file do not reach."""
        (file,) = (
            path for _, name, path in self.reader.execute("PRAGMA database_list") if name == "main"
        )
        return bool(file != os.path.realpath(self.path))

    def _open_to_read(
        self, migrations: Sequence[str], *, is_checked: bool
    ) -> sqlite_files.OpenedFile:
        """Open for reading; an older schema version is migrated in a copy."""
        if is_checked:
            with sqlite_files.translate_errors(self.path, self._remedy, doing="opened"):
                opened = sqlite_files.open_to_read(self.path)
                (version,) = opened.connection.execute("PRAGMA user_version").fetchone()
        else:
            opened, version = self._open_verified(migrations)
        if version == len(migrations):
            return opened
        if version == 0:
            opened.close()
            raise RunFolderError(
                f"{self.path}: is empty: the command that created it did not start; run it again"
            )
        with sqlite_files.translate_errors(self.path, self._remedy):
            copy = sqlite_files.copy_to_memory(opened)
            sqlite_files.migrate(copy.connection, migrations, version)
            return copy

    def _migrate(self, migrations: Sequence[str]) -> None:
        """Migrate the schema to the latest version."""
        with sqlite_files.translate_errors(self.path, self._remedy, doing="opened"):
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
        except Exception as error:  # noqa: BLE001 - raised by those that write and flush
            self._failure = error
        finally:
            connection.close()

    def _commit_group(self, connection: sqlite3.Connection) -> bool:
        """Commit one group; return whether to continue."""
        items = self._next_group()
        waiters = [item for item in items if isinstance(item, threading.Event)]
        rows = [item for item in items if isinstance(item, tuple)]
        if rows:
            if self._before_commit is not None:
                with suppress(EvolcoderError):  # its own reads and writes raise the error
                    self._before_commit()
            connection.execute("BEGIN IMMEDIATE")
            for sql, group in _grouped(rows):
                connection.executemany(sql, group)
            connection.execute("COMMIT")
        for waiter in waiters:
            waiter.set()
        return _STOP not in items

    def _next_group(self) -> list[object]:
        """Wait for a row, then up to `GROUP_S` for more, and return all that are queued."""
        items = [self._queue.get()]
        self._commit_now.wait(GROUP_S)
        self._commit_now.clear()
        try:
            while len(items) < GROUP_ROWS:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return items

    def _error(self) -> EvolcoderError:
        """Return the error that stopped the writer."""
        assert self._failure is not None
        if isinstance(self._failure, EvolcoderError):
            return self._failure
        return self._translate(self._failure, "written")

    def _translate(self, error: BaseException, doing: str) -> EvolcoderError:
        return sqlite_files.translate_error(self.path, error, self._remedy, doing=doing)


def _grouped(rows: Iterable[Statement]) -> Iterator[tuple[str, list[Sequence[object]]]]:
    """Group statements by their SQL, to be prepared once, without a change of what they do.

    Rows that are appended to different tables may change places; every other statement stays
    behind those before it and ahead of those after it.
    """
    appended: dict[str, list[Sequence[object]]] = {}
    for sql, values in rows:
        if _appends(sql):
            appended.setdefault(sql, []).append(values)
        else:
            yield from appended.items()
            appended = {}
            yield sql, [values]
    yield from appended.items()


@lru_cache(maxsize=256)
def _appends(sql: str) -> bool:
    return _APPENDS.fullmatch(sql) is not None


_APPENDS = re.compile(r"INSERT (?:OR IGNORE )?INTO \w+ VALUES ?\([?, ]+\)")
_ONE_COUNT = Columns(count=MAYBE_COUNT)
