"""Atomic file writes that never follow an untrusted link.

A reader sees the old file or the new one, complete. Data is synced to disk before the rename, and a
failure removes the temporary file. Temporary names are unguessable, opened with O_EXCL and
O_NOFOLLOW.

Paths are written `inside` a folder, and links must not lead out of it: run folders may come from
other people. Without `inside`, the path was typed by the user and its links are followed, unless it
passes through a folder with one of our databases, which is then the boundary. A pipe, device or
folder in place of a file is refused.

>>> write_text(Path("runs/x/config.yaml"), text, inside=Path("runs/x"))   # doctest: +SKIP
"""

import errno
import fcntl
import gzip
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from evolcoder.errors import (
    FIXABLE_ERRNOS,
    NO_DESCRIPTORS,
    BenchError,
    UserError,
    too_few_descriptors,
)
from evolcoder.input_files import kind_of

MARKS = ("run.db", "eval.db", "loop.db")
"""Databases that mark a folder as a run, an evaluation or a loop."""
STALE_S = 60.0
"""Age after which an unlocked temporary file counts as left behind by a killed process."""
_IN_THE_WAY = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL}
)
"""Errors of paths that are blocked by something else or impossible."""
_PART = ".part"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_PLACE = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND, _LOCK = os.O_WRONLY | os.O_APPEND | _IN_PLACE, os.O_RDWR | _IN_PLACE


def write_text(
    path: Path, text: str, *, inside: Path | None = None, error: type[UserError] = UserError
) -> None:
    """Replace a file with UTF-8 text."""
    with open_text(path, inside=inside, error=error) as file:
        file.write(text)


def write_bytes(
    path: Path, data: bytes, *, inside: Path | None = None, error: type[UserError] = UserError
) -> None:
    """Replace a file with bytes."""
    with open_binary(path, inside=inside, error=error) as file:
        file.write(data)


@contextmanager
def open_text(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Iterator[TextIO]:
    """Open a file for writing UTF-8; it is renamed into place if the block succeeds."""
    with open_binary(path, inside=inside, error=error) as file:
        text = TextIOWrapper(file, encoding="utf-8")
        try:
            yield text
            text.flush()
        finally:
            with suppress(OSError):  # flushing the buffer again fails if the disk is full
                text.detach()


@contextmanager
def open_binary(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Iterator[BinaryIO]:
    """Open a file for writing; it is renamed into place if the block succeeds, else removed."""
    try:
        with _open_folder(path, inside, error) as (folder, name):
            mode = _mode_of(path, folder, name, error)
            _remove_stale(folder, name)
            with _temporary(folder, name, mode) as file:
                yield file
    except OSError as failure:
        raise error(explain_failure(path, failure)) from failure


@contextmanager
def temporary_file_errors(*, error: type[UserError] = UserError) -> Iterator[None]:
    """Turn OS errors of temporary files into errors that name the folder and TMPDIR."""
    try:
        yield
    except OSError as failure:
        if failure.errno in NO_DESCRIPTORS:
            raise error(too_few_descriptors()) from failure
        folder = tempfile.tempdir or os.environ.get("TMPDIR", "the folder for temporary files")
        raise error(
            f"{folder}: temporary files cannot be written: {failure.strerror or failure}; "
            f"set TMPDIR to a folder with free space"
        ) from failure


def open_to_append(path: Path, *, inside: Path, error: type[UserError] = UserError) -> BinaryIO:
    """Open a log for appending; hard links are refused, since another name may lie outside."""
    handle = _open_in_place(path, _APPEND, inside, error)
    return os.fdopen(handle, "ab")


def make_folder(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Path:
    """Create a folder and its parents if missing; return its path."""
    try:
        if (inside := inside or boundary(path / "any")) is None:
            path.mkdir(parents=True, exist_ok=True)
            return path
        with _open_folder(path / "any", inside, error):
            pass
    except OSError as failure:
        raise error(_explain_folder(path, failure)) from failure
    return path


def _explain_folder(path: Path, failure: OSError) -> str:
    """Describe why a folder cannot be made: often a file stands in its place."""
    for place in (path, *path.parents):
        if os.path.lexists(place) and not place.is_dir():
            where = "" if place == path else f"{place} "
            return f"{path}: cannot be written: {where}is a file, not a folder; use another path"
        if place.is_dir() and failure.errno == errno.ENOENT:
            return f"{path}: cannot be written: no folder can be made in {place}; use another path"
    return explain_failure(path, failure)


def boundary(path: Path) -> Path | None:
    """Return the outermost ancestor folder with one of our databases, if any."""
    for above in reversed(_absolute(path).parents):
        if any(os.path.isfile(above / mark) for mark in MARKS):  # noqa: PTH113 - never raises
            return above
    return None


def check_inside(path: Path, *, inside: Path, error: type[UserError] = UserError) -> Path:
    """Return the path; raises if a link leads it out of `inside`. It need not exist."""
    _resolve_inside(path, inside, error)
    return path


def check_tree(
    folder: Path, *, without: Collection[str] = (), error: type[UserError] = UserError
) -> None:
    """Refuse a folder that contains, at any depth, something through which a write could escape.

    Folders in it that are named in `without` belong to other programs, which link within them.
    """
    root = os.path.realpath(folder)
    for above, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(above, name)
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                _resolve_inside(path, Path(root), error)
            elif not stat.S_ISDIR(found.st_mode):
                if not stat.S_ISREG(found.st_mode):
                    raise error(f"{path}: is a {kind_of(found.st_mode)}, not a file; remove it")
                if found.st_nlink > 1:
                    raise error(f"{path}: has several hard links; replace it by a copy")
        if above == root:
            folders[:] = [name for name in folders if name not in without]


def open_lock(path: Path, *, inside: Path, error: type[UserError] = UserError) -> int:
    """Open a lock file, creating it if missing; return its descriptor."""
    return _open_in_place(path, _LOCK, inside, error)


def take_lock(path: Path, *, inside: Path, error: type[UserError] = UserError) -> int | None:
    """Lock a file, creating it if missing; return its descriptor, or None if another has it.

    A file that its holder has removed meanwhile excludes no other process, so it counts as held.
    """
    lock = open_lock(path, inside=inside, error=error)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as failure:
        os.close(lock)
        raise error(f"{inside}: cannot be locked: {failure.strerror}") from failure
    os.close(lock)
    return None


def explain_failure(path: Path, failure: OSError) -> str:
    """Describe why a file cannot be written, with advice."""
    if failure.errno in NO_DESCRIPTORS:
        return too_few_descriptors()
    message = f"{path}: cannot be written: {failure.strerror or failure}"
    if failure.errno in FIXABLE_ERRNOS:
        return f"{message}; free disk space or fix the permissions"
    return f"{message}; use another path" if failure.errno in _IN_THE_WAY else message


def _resolve_inside(path: Path, inside: Path, error: type[UserError]) -> tuple[Path, Path]:
    """Return folder and path with all links resolved; raises if the path is outside."""
    root, real = (Path(os.path.realpath(one)) for one in (inside, path))
    if not _absolute(path).is_relative_to(_absolute(inside)):
        raise ValueError(f"{path} is not inside {inside}")
    if not real.is_relative_to(root):
        raise error(
            f"{path}: a link leads out of {inside}, to {real}; replace the link by a real file "
            f"or folder, or use another path"
        )
    return root, real


def _open_in_place(path: Path, flags: int, inside: Path, error: type[UserError]) -> int:
    """Open a regular file without other hard links, in place; return its descriptor."""
    try:
        with _open_folder(path, inside, error) as (folder, name):
            handle = os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as failure:
        raise error(explain_failure(path, failure)) from failure
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return handle
    os.close(handle)
    is_special = not stat.S_ISREG(found.st_mode)
    what = kind_of(found.st_mode) if is_special else "file with several hard links"
    raise error(f"{path}: is a {what}; remove it")


def _absolute(path: Path) -> Path:
    """Return the absolute path without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links


@contextmanager
def _open_folder(
    path: Path, inside: Path | None, error: type[UserError]
) -> Iterator[tuple[int, str]]:
    """Open the parent folder, creating it if missing; yield its descriptor and the file name."""
    inside = inside or boundary(path)
    if inside is None:
        real = Path(os.path.realpath(path))
        _refuse_special(path, error)
        root = real.parent
    else:
        root, real = _resolve_inside(path, inside, error)
    with suppress(FileExistsError):  # if it is a file, the next line reports it
        root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, _FOLDER)
    try:
        for part in real.parent.relative_to(root).parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            above, folder = folder, os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(above)
        yield folder, real.name
    finally:
        os.close(folder)


def _refuse_special(path: Path, error: type[UserError]) -> None:
    """Refuse devices, pipes, and /proc or /dev names of open files, which cannot be replaced."""
    lexical = _absolute(path)
    if lexical.is_relative_to("/proc") or (
        lexical.is_relative_to("/dev") and not lexical.is_relative_to("/dev/shm")  # noqa: S108
    ):
        raise error(f"{path}: is a device, not a file; use another path")
    with suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise error(f"{path}: is a {kind_of(mode)}, not a file; use another path")


def _mode_of(path: Path, folder: int, name: str, error: type[UserError]) -> int | None:
    """Return the permissions of the file to be replaced, if it exists."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is a {kind_of(mode)}, not a file; use another path")
    return stat.S_IMODE(mode) & 0o777


@contextmanager
def _temporary(folder: int, name: str, mode: int | None) -> Iterator[BinaryIO]:
    """Open a new file that is renamed to `name` if the block succeeds."""
    part = f"{_prefix(name)}{secrets.token_hex(16)}{_PART}"
    handle = os.open(part, _NEW, 0o666, dir_fd=folder)
    file = os.fdopen(handle, "wb")
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if mode is not None:
            os.fchmod(handle, mode)
        yield cast("BinaryIO", file)
        file.flush()
        os.fsync(handle)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    finally:
        with suppress(OSError):  # a full disk was reported already
            file.close()


def _prefix(name: str) -> str:
    """Return the common prefix of a file's temporary names, of bounded length."""
    return f".{name.encode()[:120].decode('utf-8', 'ignore')}."


def _remove_stale(folder: int, name: str) -> None:
    """Remove temporary files left by killed processes; live ones hold a lock."""
    beginning = _prefix(name)
    with suppress(OSError):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            found = [
                one
                for one in os.listdir(readable)  # noqa: PTH208 - pathlib has no descriptors
                if one.startswith(beginning) and one.endswith(_PART)
            ]
        finally:
            os.close(readable)
        for one in found:
            _remove_if_stale(folder, one)


def _remove_if_stale(folder: int, part: str) -> None:
    with suppress(OSError):
        handle = os.open(
            part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
        try:
            about = os.fstat(handle)
            if stat.S_ISREG(about.st_mode) and time.time() - about.st_mtime > STALE_S:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(part, dir_fd=folder)
        finally:
            os.close(handle)


def write_whole(path: Path, data: bytes, *, inside: Path | None = None) -> None:
    """Write a file atomically, gzipped if its name ends in .gz.

    Links must not lead out of `inside`; without it, the user's links are followed.
    """
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    write_bytes(path, data, inside=inside, error=BenchError)
