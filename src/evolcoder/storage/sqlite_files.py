"""SQLite files that may be damaged, or come from strangers: looked at before they are used.

Promises: a file that is no database of ours, is damaged or lies behind a stranger's link is refused
in one line that says what may be done, and not a byte of it or beside it changes; a file is read
without a write to its folder, so a read-only file system will do. Views, triggers, virtual tables
and generated columns, which would run what a stranger wrote, are refused.

A large file is not read through when it is opened, so that damage in it may show later, in one line
as well. Text that is damaged and still valid is not found.

>>> with errors_of(path, remedy="delete it"):   # doctest: +SKIP
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
from evolcoder.storage.atomic import checked, temporary_files

BUSY_MS = 30_000
"""How long a writer waits for another process's lock."""
READ_BUSY_MS = 5_000
"""How long a reader does: in WAL mode no writer holds it up."""
MOST_TEXT = 256 << 20
"""Longest text or blob, in bytes."""
MOST_CHECKED = 64 << 20
"""Size up to which a file is read through when it is opened."""
DECODING = (
    ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, zlib.error
)  # fmt: skip
"""What reading a value raises that is not what it should be; UTF-8 and JSON are ValueErrors."""
RESTORE = "restore it from a copy"

_BESIDE = ("-wal", "-shm", "-journal")
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_DEFENSIVE = 1010
"""SQLITE_DBCONFIG_DEFENSIVE."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_LOG = (
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL
)  # fmt: skip
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_USERS_TO_MEND = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE)
_OBJECTS = "SELECT type, name, COALESCE(sql, '') FROM sqlite_schema"
_COLUMNS = "SELECT name, UPPER(type), pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
_Columns = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is open for reading, with what has to be undone."""

    connection: sqlite3.Connection
    """The connection; it writes nothing."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """Called when the connection is closed."""

    def close(self) -> None:
        """Close it, and remove copies that were made."""
        self.connection.close()
        for one in self.undo:
            one()


def check_place(path: Path, *, inside: Path | None, writes: bool) -> bool:
    """Refuse what stands in the place of a database or beside it; return whether one is there.

    With `inside`, a link must not lead out of that folder; without, it is the user's own.
    """
    if inside is not None:
        checked(path, inside=inside, error=RunFolderError)
    real = Path(os.path.realpath(path))
    for suffix in _BESIDE:
        found = _stat(real.with_name(f"{real.name}{suffix}"))
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise RunFolderError(f"{path}{suffix}: is a {kind_of(found.st_mode)}; delete it")
    _check_journal(real.with_name(f"{real.name}-journal"))
    found = _stat(real)
    if found is None:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise RunFolderError(f"{path}: is a {kind_of(found.st_mode)} and no database; remove it")
    if writes and found.st_nlink > 1:
        # SQLite keeps its log by the name, so that two names of one file ruin it.
        raise RunFolderError(f"{path}: is a file with several names; replace it by a copy of it")
    return True


@contextmanager
def errors_of(path: Path, remedy: str = RESTORE, *, doing: str = "read") -> Iterator[None]:
    """Turn what SQLite, and the decoding of what it holds, raise into one line of ours."""
    try:
        yield
    except (sqlite3.Error, MemoryError, *DECODING) as error:
        raise error_of(path, error, remedy, doing=doing) from error


def error_of(
    path: Path, error: BaseException, remedy: str = RESTORE, *, doing: str = "read"
) -> EvolcoderError:
    """Say what is wrong with a database, whose fault it is, and what may be done."""
    said = " ".join((str(error) or type(error).__name__).split())
    hindrance = _hindrance(error, f"{path}: cannot be {doing}: {said}", path)
    if hindrance is not None:
        return RunFolderError(hindrance)
    is_ours = isinstance(error, sqlite3.ProgrammingError | MemoryError)
    if is_ours or (doing == "written" and _code(error) & 0xFF not in _DAMAGE):
        # Not the file: this process, or a value that no column takes.
        return StoreError(f"{path}: cannot be {doing}: {said}")
    return RunFolderError(f"{path}: damaged: {_short(said)}; {remedy}")


def _hindrance(error: BaseException, text: str, path: Path) -> str | None:
    """Say what the user can mend about a file that is sound; None where it may not be."""
    code = _code(error)
    primary = code & 0xFF
    if code in _USERS_TO_MEND or primary == sqlite3.SQLITE_READONLY:
        return f"{text}; make room or mend the rights, then run it again"
    if primary in _LOCKED:
        return f"{path}: is in use by another process; try again when that is done"
    if primary == sqlite3.SQLITE_CANTOPEN and descriptors_exhausted():
        return too_few_descriptors()
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return f"{text}; look after its folder, its rights and the disk, then run it again"
    return None


def _code(error: BaseException) -> int:
    """Return SQLite's extended code of an error, or 0."""
    return getattr(error, "sqlite_errorcode", None) or 0


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a file for writing, and make it if need be."""
    connection = _connected(path, "mode=rwc", BUSY_MS)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> OpenedFile:
    """Open a file without a change to it or to its folder, also while it is written to.

    Where neither a log can be read in place nor its index be made, a copy is read.
    """
    real = Path(os.path.realpath(path))
    log = _stat(real.with_name(f"{real.name}-wal"))
    if log is not None and log.st_size > 0:
        # Read-only, it leaves the log where it is and writes none of it into the database.
        connection = _try(real, "mode=ro")
        return _copy_of(real) if connection is None else OpenedFile(connection)
    connection = None
    if os.access(real.parent, os.W_OK) and os.access(real, os.W_OK):
        # Only a connection that may write removes the empty log that it makes.
        connection = _try(real, "mode=rw")
    return OpenedFile(connection or _reading(real, "immutable=1"))


def _try(path: Path, how: str) -> sqlite3.Connection | None:
    """Open a file, or return None where its log or the log's index cannot be made."""
    try:
        return _reading(path, how)
    except sqlite3.OperationalError as error:
        if _code(error) & 0xFF not in _NO_LOG or descriptors_exhausted():
            raise
        return None


def check_contents(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], remedy: str
) -> int:
    """Refuse a file that is damaged, of a later version, or not ours; return its version."""
    with errors_of(path, remedy):
        version, program = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("user_version", "application_id")
        )
        if version > len(migrations):
            raise RunFolderError(
                f"{path}: written by a newer evolcoder (version {version}, "
                f"this one knows {len(migrations)}); upgrade evolcoder"
            )
        if version < 0 or program != 0:
            raise ValueError(f"it belongs to another program ({program}, version {version})")
        _check_objects(connection, tuple(migrations), version)
        if path.stat().st_size <= MOST_CHECKED:
            for (said,) in connection.execute("PRAGMA quick_check(1)"):
                if said != "ok":
                    raise ValueError(said)
    return version


def copy_to_memory(opened: OpenedFile) -> OpenedFile:
    """Copy a database into one that is gone when it is closed, on disk where it is large."""
    target = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(opened):
        opened.connection.backup(target)
    _restrict(target)
    return OpenedFile(target)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str], version: int) -> None:
    """Bring the schema from a version to the newest one."""
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
    """Take the powers away that a stranger's database could use."""
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_TEXT)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    configure = getattr(connection, "setconfig", None)  # from Python 3.12 on
    if configure is not None:
        configure(_DEFENSIVE, True)  # noqa: FBT003 - SQLite's own call


def _copy_of(path: Path) -> OpenedFile:
    """Copy a database and its log to where the log's index can be made, and open that."""
    with temporary_files(error=RunFolderError):
        folder = tempfile.TemporaryDirectory(prefix="evolcoder-")  # removed by `close`
    try:
        place = Path(folder.name)
        with temporary_files(error=RunFolderError):
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{path}{suffix}", place / f"copy.db{suffix}")
        return OpenedFile(_reading(place / "copy.db", "mode=rw"), [folder.cleanup])
    except BaseException:
        folder.cleanup()
        raise


def _check_objects(
    connection: sqlite3.Connection, migrations: tuple[str, ...], version: int
) -> None:
    """Refuse tables that are not as a version has them, and what runs by itself."""
    wanted, newest = _tables(migrations, version), _tables(migrations, len(migrations))
    found = set()
    for kind, name, sql in connection.execute(_OBJECTS):
        if kind in {"view", "trigger"} or sql.upper().startswith("CREATE VIRTUAL"):
            raise ValueError(f"it holds the {kind} {name}, which evolcoder does not make")
        if kind == "table" and not name.startswith("sqlite_"):
            found.add(name)
            if version == 0 and name not in newest:
                raise ValueError(f"it belongs to another program: it holds a table {name}")
    for name, columns in wanted.items():
        if name not in found:
            raise ValueError(f"it has no table {name}")
        theirs = tuple(connection.execute(_COLUMNS, (name,)))
        if theirs != columns:
            raise ValueError(f"its table {name} has other columns: {_difference(columns, theirs)}")


def _difference(wanted: _Columns, found: _Columns) -> str:
    for one, other in zip(wanted, found, strict=False):
        if one != other:
            return f"{_described(*other)} in place of {_described(*one)}"
    longer, word = (found, "more") if len(found) > len(wanted) else (wanted, "less")
    return f"{longer[min(len(wanted), len(found))][0]} {word}"


def _described(name: object, kind: object, key: object, hidden: object) -> str:
    return f"{name} {kind}{' of the key' if key else ''}{' that is computed' if hidden else ''}"


@cache
def _tables(migrations: tuple[str, ...], version: int) -> dict[str, _Columns]:
    """Return the tables of a version with their columns."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        migrate(memory, migrations[:version], 0)
        names = [
            name
            for kind, name, _ in memory.execute(_OBJECTS)
            if kind == "table" and not name.startswith("sqlite_")
        ]
        return {name: tuple(memory.execute(_COLUMNS, (name,))) for name in names}


def _check_journal(path: Path) -> None:
    """Refuse a rollback journal that names another file, which SQLite would delete."""
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
