"""Atomic writes: a file is replaced whole or not at all, and never through a stranger's link.

Promises: a reader sees the old file or the new one; the bytes are on the disk before the new one
has its name; a failure removes the temporary file. Temporary names cannot be guessed and are opened
with O_EXCL and O_NOFOLLOW.

Every path is written `inside` a folder, below which no link may lead out of it: what lies in a run
folder may come from a stranger. Without `inside` a path is one that the user typed: its links are
the user's own choice and are followed, unless the path goes through a folder with a database of
ours, which is then the boundary. A pipe, device or folder in the place of a file is refused.

>>> write_text(Path("runs/x/config.yaml"), text, inside=Path("runs/x"))   # doctest: +SKIP

Files that are written whole or not at all.
"""

import errno
import fcntl
import gzip
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
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
"""A folder that holds one of these is a run, an evaluation or a loop, whoever made it."""
STALE_S = 60.0
"""A temporary file that is older and that no process holds was left by one that was killed."""
_IN_THE_WAY = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL}
)
"""Errors of a path that something else stands in, or that cannot be."""
_PART = ".part"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_PLACE = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND, _LOCK = os.O_WRONLY | os.O_APPEND | _IN_PLACE, os.O_RDWR | _IN_PLACE


def write_text(
    path: Path, text: str, *, inside: Path | None = None, error: type[UserError] = UserError
) -> None:
    """Replace a file by a text in UTF-8."""
    with open_text(path, inside=inside, error=error) as file:
        file.write(text)


def write_bytes(
    path: Path, data: bytes, *, inside: Path | None = None, error: type[UserError] = UserError
) -> None:
    """Replace a file by some bytes."""
    with open_binary(path, inside=inside, error=error) as file:
        file.write(data)


@contextmanager
def open_text(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Iterator[TextIO]:
    """Open a file for writing in UTF-8; it has its name when the block ends well."""
    with open_binary(path, inside=inside, error=error) as file:
        text = TextIOWrapper(file, encoding="utf-8")
        try:
            yield text
            text.flush()
        finally:
            with suppress(OSError):  # its buffer holds what did not fit on the disk
                text.detach()


@contextmanager
def open_binary(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Iterator[BinaryIO]:
    """Open a file for writing; it has its name when the block ends well, and vanishes otherwise."""
    try:
        with _directory(path, inside, error) as (folder, name):
            mode = _mode_of(path, folder, name, error)
            _remove_stale(folder, name)
            with _temporary(folder, name, mode) as file:
                yield file
    except OSError as failure:
        raise error(why_not(path, failure)) from failure


@contextmanager
def temporary_files(*, error: type[UserError] = UserError) -> Iterator[None]:
    """Say of what temporary files come to where they are, and that TMPDIR can move them."""
    try:
        yield
    except OSError as failure:
        if failure.errno in NO_DESCRIPTORS:
            raise error(too_few_descriptors()) from failure
        folder = tempfile.tempdir or os.environ.get("TMPDIR", "the folder for temporary files")
        raise error(
            f"{folder}: temporary files cannot be written: {failure.strerror or failure}; "
            f"set TMPDIR to a folder with room"
        ) from failure


def open_to_append(path: Path, *, inside: Path, error: type[UserError] = UserError) -> BinaryIO:
    """Open a log to add to it; one that has a second name, which may lie elsewhere, is refused."""
    handle = _opened_in_place(path, _APPEND, inside, error)
    return os.fdopen(handle, "ab")


def make_folder(
    path: Path, *, inside: Path | None = None, error: type[UserError] = UserError
) -> Path:
    """Make a folder and those above it, unless it is there; return its path."""
    try:
        if (inside := inside or boundary(path / "any")) is None:
            path.mkdir(parents=True, exist_ok=True)
            return path
        with _directory(path / "any", inside, error):
            pass
    except OSError as failure:
        raise error(why_not(path, failure)) from failure
    return path


def boundary(path: Path) -> Path | None:
    """Return the outermost folder of ours on the way to a path, if there is one."""
    for above in reversed(_lexical(path).parents):
        if any(os.path.isfile(above / mark) for mark in MARKS):  # noqa: PTH113 - never raises
            return above
    return None


def checked(path: Path, *, inside: Path, error: type[UserError] = UserError) -> Path:
    """Return a path, or refuse one that a link leads out of the folder; it need not exist."""
    _resolved(path, inside, error)
    return path


def check_tree(folder: Path, *, error: type[UserError] = UserError) -> None:
    """Refuse a folder with anything in it, however deep, through which a write could leave it."""
    root = os.path.realpath(folder)
    for above, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(above, name)
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                _resolved(path, Path(root), error)
            elif not stat.S_ISDIR(found.st_mode):
                if not stat.S_ISREG(found.st_mode):
                    raise error(f"{path}: is a {kind_of(found.st_mode)}, not a file; remove it")
                if found.st_nlink > 1:
                    raise error(f"{path}: is a file with several names; replace it by a copy")


def open_lock(path: Path, *, inside: Path, error: type[UserError] = UserError) -> int:
    """Open a file that processes lock, and make it if need be; return its descriptor."""
    return _opened_in_place(path, _LOCK, inside, error)


def why_not(path: Path, failure: OSError) -> str:
    """Say that a file cannot be written, and what may be done."""
    if failure.errno in NO_DESCRIPTORS:
        return too_few_descriptors()
    said = f"{path}: cannot be written: {failure.strerror or failure}"
    if failure.errno in FIXABLE_ERRNOS:
        return f"{said}; make room or mend the rights"
    return f"{said}; name another place" if failure.errno in _IN_THE_WAY else said


def _resolved(path: Path, inside: Path, error: type[UserError]) -> tuple[Path, Path]:
    """Return where the folder and the path really are, without any link on the way."""
    root, real = (Path(os.path.realpath(one)) for one in (inside, path))
    if not _lexical(path).is_relative_to(_lexical(inside)):
        raise ValueError(f"{path} is not inside {inside}")
    if not real.is_relative_to(root):
        raise error(
            f"{path}: a link leads out of {inside}, to {real}; replace the link by a file or "
            f"folder of its own, or name another place"
        )
    return root, real


def _opened_in_place(path: Path, flags: int, inside: Path, error: type[UserError]) -> int:
    """Open a file that keeps its place, a regular one with one name; return its descriptor."""
    try:
        with _directory(path, inside, error) as (folder, name):
            handle = os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as failure:
        raise error(why_not(path, failure)) from failure
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return handle
    os.close(handle)
    is_special = not stat.S_ISREG(found.st_mode)
    what = kind_of(found.st_mode) if is_special else "file with several names"
    raise error(f"{path}: is a {what}; remove it")


def _lexical(path: Path) -> Path:
    """Return an absolute path as it is spelt, whatever links are on the way."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links


@contextmanager
def _directory(
    path: Path, inside: Path | None, error: type[UserError]
) -> Iterator[tuple[int, str]]:
    """Open the folder that a file is in, made if need be; yield its descriptor and the name."""
    inside = inside or boundary(path)
    if inside is None:
        real = Path(os.path.realpath(path))
        _refuse_special(path, error)
        root = real.parent
    else:
        root, real = _resolved(path, inside, error)
    with suppress(FileExistsError):  # a file, which the next line says
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
    """Refuse a pipe or device, and a name of an open file, which is another file once replaced."""
    lexical = _lexical(path)
    if lexical.is_relative_to("/proc") or (
        lexical.is_relative_to("/dev") and not lexical.is_relative_to("/dev/shm")  # noqa: S108
    ):
        raise error(f"{path}: is a device, not a file; name another")
    with suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise error(f"{path}: is a {kind_of(mode)}, not a file; name another")


def _mode_of(path: Path, folder: int, name: str, error: type[UserError]) -> int | None:
    """Return the permissions of the file that is replaced, if there is one."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is a {kind_of(mode)}, not a file; name another")
    return stat.S_IMODE(mode) & 0o777


@contextmanager
def _temporary(folder: int, name: str, mode: int | None) -> Iterator[BinaryIO]:
    """Open a new file, and give it the name when the block ends well."""
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
        with suppress(OSError):  # a full disk, which was said already
            file.close()


def _prefix(name: str) -> str:
    """Begin a temporary name so that its file is known again, and the whole name is short."""
    return f".{name.encode()[:120].decode('utf-8', 'ignore')}."


def _remove_stale(folder: int, name: str) -> None:
    """Remove what killed processes left beside a file; a process that lives holds a lock."""
    beginning = _prefix(name)
    with suppress(OSError):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            found = [
                one for one in os.listdir(readable)  # noqa: PTH208 - pathlib has no descriptors
                if one.startswith(beginning) and one.endswith(_PART)
            ]  # fmt: skip
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
    """Put a file in place, packed if it is named so; a reader sees the old state or the new one.

    No link leads out of `inside`; without it the path is the user's own.
    """
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    write_bytes(path, data, inside=inside, error=BenchError)
