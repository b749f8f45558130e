"""Opens SQLite files that may be damaged or untrusted, and translates their errors.

A file that is not one of our databases, is damaged, or is reached through a link out of its folder
is refused with a one-line error and advice; neither it nor its folder is modified. Reading needs no
write access. Views, triggers, virtual tables and generated columns are refused, because they run
code from the file.

Files above `MAX_CHECKED` bytes are not checked completely when opened, so damage may be found
later. Damaged text that is still valid is not detected.

>>> with translate_errors(path, remedy="delete it"):   # doctest: +SKIP
...     connection.execute("SELECT * FROM t")
"""

import os
import shutil
import sqlite3
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from evolcoder.errors import (
    EvolcoderError,
    RunFolderError,
    StoreError,
    descriptors_exhausted,
    too_few_descriptors,
)
from evolcoder.input_files import kind_of
from evolcoder.storage.atomic import check_inside, temporary_file_errors

BUSY_MS = 30_000
"""Lock timeout of writers."""
READ_BUSY_MS = 5_000
"""Lock timeout of readers, whom writers do not block in WAL mode."""
MAX_TEXT = 256 << 20
"""Maximum size of a text or blob, in bytes."""
MAX_CHECKED = 64 << 20
"""Files up to this size, in bytes, are checked completely when opened."""
MIN_FREE_BYTES = 64 << 10
"""Free bytes below which an I/O error is attributed to a full disk: twice the size of SQLite's
index of a write-ahead log.
"""
DECODING = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    zlib.error,
)
"""Exceptions raised by decoding invalid values; UTF-8 and JSON errors are ValueErrors."""
RESTORE = "restore it from a copy"

_SIDE_FILES = ("-wal", "-shm", "-journal")
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_DEFENSIVE = 1010
"""SQLITE_DBCONFIG_DEFENSIVE, which Python's sqlite3 does not export before 3.12."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_WAL = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_USER_FIXABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE)
_OBJECTS = "SELECT type, name, COALESCE(sql, '') FROM sqlite_schema"
_COLUMNS = "SELECT name, UPPER(type), pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
_Columns = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A database open for reading, with clean-up actions."""

    connection: sqlite3.Connection
    """A connection that does not write."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """Clean-up actions, run on close."""

    def close(self) -> None:
        """Close the connection and remove temporary copies."""
        self.connection.close()
        for one in self.undo:
            one()


def check_place(path: Path, *, inside: Path | None, writes: bool) -> bool:
    """Check that a path can be a database; return whether the file exists.

    Links must not lead out of `inside`; without it, the user's links are followed.
    """
    if inside is not None:
        check_inside(path, inside=inside, error=RunFolderError)
    real = Path(os.path.realpath(path))
    for suffix in _SIDE_FILES:
        found = _stat(real.with_name(f"{real.name}{suffix}"))
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise RunFolderError(f"{path}{suffix}: is a {kind_of(found.st_mode)}; delete it")
    _check_journal(real.with_name(f"{real.name}-journal"))
    found = _stat(real)
    if found is None:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise RunFolderError(f"{path}: is a {kind_of(found.st_mode)}, not a database; remove it")
    if writes and found.st_nlink > 1:
        # The WAL is found by file name, so writing through two names corrupts the file.
        raise RunFolderError(f"{path}: has several hard links; replace it by a copy")
    return True


@contextmanager
def translate_errors(path: Path, remedy: str = RESTORE, *, doing: str = "read") -> Iterator[None]:
    """Turn exceptions of SQLite and of decoding into one-line errors of ours."""
    try:
        yield
    except (sqlite3.Error, MemoryError, *DECODING) as error:
        raise translate_error(path, error, remedy, doing=doing) from error


def translate_error(
    path: Path, error: BaseException, remedy: str = RESTORE, *, doing: str = "read"
) -> EvolcoderError:
    """Convert an exception to an error that says what is wrong and what to do."""
    message = " ".join((str(error) or type(error).__name__).split())
    hindrance = _user_fixable(error, f"{path}: cannot be {doing}: {message}", path)
    if hindrance is not None:
        return RunFolderError(hindrance)
    is_ours = isinstance(error, sqlite3.ProgrammingError | MemoryError)
    if is_ours or (doing == "written" and _code(error) & 0xFF not in _DAMAGE):
        # Not damage: a bug or memory limit of this process, or a value that no column can store.
        return StoreError(f"{path}: cannot be {doing}: {message}")
    return RunFolderError(f"{path}: damaged: {_short(message)}; {remedy}")


def _user_fixable(error: BaseException, text: str, path: Path) -> str | None:
    """Return the message if the file is intact and the user can fix the cause, else None."""
    code = _code(error)
    primary = code & 0xFF
    is_full = primary == sqlite3.SQLITE_IOERR and _is_full(path)
    if code in _USER_FIXABLE or primary == sqlite3.SQLITE_READONLY or is_full:
        return f"{text}; free disk space or fix the permissions, then run it again"
    if primary in _LOCKED:
        return f"{path}: is in use by another process; try again later"
    if primary == sqlite3.SQLITE_CANTOPEN and descriptors_exhausted():
        return too_few_descriptors()
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return f"{text}; check its folder, its permissions and the disk, then run it again"
    return None


def _is_full(path: Path) -> bool:
    """Whether the disk has no space for another page or for SQLite's own files."""
    try:
        return shutil.disk_usage(path.parent).free < MIN_FREE_BYTES
    except OSError:
        return False


def _code(error: BaseException) -> int:
    """Return the extended SQLite error code, or 0."""
    return getattr(error, "sqlite_errorcode", None) or 0


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a file for writing, creating it if missing."""
    connection = _connected(path, "mode=rwc", BUSY_MS)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> OpenedFile:
    """Open a file without modifying it or its folder, even while another process writes to it.

    If the WAL cannot be read in place and its index cannot be created, a copy is read.
    """
    real = Path(os.path.realpath(path))
    log = _stat(real.with_name(f"{real.name}-wal"))
    if log is not None and log.st_size > 0:
        # A read-only connection does not checkpoint the WAL into the database.
        connection = _try(real, "mode=ro")
        return _copy_of(real) if connection is None else OpenedFile(connection)
    connection = None
    if os.access(real.parent, os.W_OK) and os.access(real, os.W_OK):
        # Only a connection with write access removes the empty WAL that it creates.
        connection = _try(real, "mode=rw")
    return OpenedFile(connection or _reading(real, "immutable=1"))


def _try(path: Path, how: str) -> sqlite3.Connection | None:
    """Open a file, or return None if the WAL or its index cannot be created."""
    try:
        return _reading(path, how)
    except sqlite3.OperationalError as error:
        if _code(error) & 0xFF not in _NO_WAL or descriptors_exhausted():
            raise
        return None


def check_contents(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], remedy: str
) -> int:
    """Refuse a file that is damaged, of a newer version, or not ours; return its version."""
    with translate_errors(path, remedy):
        version, program = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("user_version", "application_id")
        )
        if version > len(migrations):
            raise RunFolderError(
                f"{path}: written by a newer evolcoder (version {version}, "
                f"this one supports {len(migrations)}); upgrade evolcoder"
            )
        if version < 0 or program != 0:
            raise ValueError(f"it belongs to another program ({program}, version {version})")
        _check_objects(connection, tuple(migrations), version)
        if path.stat().st_size <= MAX_CHECKED:
            for (line,) in connection.execute("PRAGMA quick_check(1)"):
                if line != "ok":
                    raise ValueError(line)
    return version


def copy_to_memory(opened: OpenedFile) -> OpenedFile:
    """Copy a database into a temporary one, which SQLite spills to disk if it is large."""
    target = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(opened):
        opened.connection.backup(target)
    _restrict(target)
    return OpenedFile(target)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str], version: int) -> None:
    """Migrate the schema from `version` to the latest one."""
    for number, script in enumerate(migrations[version:], start=version + 1):
        for statement in script.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")


def _connected(path: Path, how: str, busy_ms: int) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout={busy_ms}")
        _restrict(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _reading(path: Path, how: str) -> sqlite3.Connection:
    connection = _connected(path, how, READ_BUSY_MS)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _restrict(connection: sqlite3.Connection) -> None:
    """Disable SQLite features that an untrusted database could abuse."""
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    configure = getattr(connection, "setconfig", None)  # from Python 3.12 on
    if configure is not None:
        configure(_DEFENSIVE, True)  # noqa: FBT003 - SQLite's own call


def _copy_of(path: Path) -> OpenedFile:
    """Copy a database and its WAL to a temporary folder, and open the copy."""
    with temporary_file_errors(error=RunFolderError):
        folder = tempfile.TemporaryDirectory(prefix="evolcoder-")  # removed by `close`
    try:
        place = Path(folder.name)
        with temporary_file_errors(error=RunFolderError):
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{path}{suffix}", place / f"copy.db{suffix}")
        return OpenedFile(_reading(place / "copy.db", "mode=rw"), [folder.cleanup])
    except BaseException:
        folder.cleanup()
        raise


def _check_objects(
    connection: sqlite3.Connection, migrations: tuple[str, ...], version: int
) -> None:
    """Refuse tables that differ from the schema of `version`, and views, triggers and the like."""
    wanted, newest = _tables(migrations, version), _tables(migrations, len(migrations))
    found = set()
    for kind, name, sql in connection.execute(_OBJECTS):
        if kind in {"view", "trigger"} or sql.upper().startswith("CREATE VIRTUAL"):
            raise ValueError(f"it contains the {kind} {name}, which evolcoder does not create")
        if kind == "table" and not name.startswith("sqlite_"):
            found.add(name)
            if version == 0 and name not in newest:
                raise ValueError(f"it belongs to another program: it has a table {name}")
    for name, columns in wanted.items():
        if name not in found:
            raise ValueError(f"it has no table {name}")
        theirs = tuple(connection.execute(_COLUMNS, (name,)))
        if theirs != columns:
            raise ValueError(f"its table {name} has wrong columns: {_difference(columns, theirs)}")


def _difference(wanted: _Columns, found: _Columns) -> str:
    for one, other in zip(wanted, found, strict=False):
        if one != other:
            return f"{_column(*other)} in place of {_column(*one)}"
    longer, word = (found, "more") if len(found) > len(wanted) else (wanted, "less")
    return f"{longer[min(len(wanted), len(found))][0]} {word}"


def _column(name: object, kind: object, key: object, hidden: object) -> str:
    return f"{name} {kind}{' of the key' if key else ''}{' that is computed' if hidden else ''}"


@cache
def _tables(migrations: tuple[str, ...], version: int) -> dict[str, _Columns]:
    """Return the tables and columns of a schema version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        migrate(memory, migrations[:version], 0)
        names = [
            name
            for kind, name, _ in memory.execute(_OBJECTS)
            if kind == "table" and not name.startswith("sqlite_")
        ]
        return {name: tuple(memory.execute(_COLUMNS, (name,))) for name in names}


def _check_journal(path: Path) -> None:
    """Refuse a rollback journal that names a super-journal, which SQLite would delete."""
    found = _stat(path)
    if found is None or found.st_size < len(_JOURNAL_MAGIC):
        return
    with path.open("rb") as file:
        file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
        if file.read() == _JOURNAL_MAGIC:
            raise RunFolderError(
                f"{path}: names another file, which evolcoder never does; delete it"
            )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or failure
        raise RunFolderError(f"{path}: cannot be read: {why}") from failure


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
