"""Opens files that the user names: regular ones only, and no more of them than fits in memory.

Promises: nothing waits for a pipe or reads a device without end; a text is UTF-8, with or without
its mark; what is unpacked is bounded in bytes. Every fault is one line that names the file.

>>> read_text(Path("config.yaml"), most_mb=16, error=ConfigError)   # doctest: +SKIP
"""

import codecs
import gzip
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from evolcoder.errors import UserError
from evolcoder.storage.system_limits import NO_DESCRIPTORS, too_few_descriptors

GZIP_MAGIC = b"\x1f\x8b"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_regular(path: Path, *, error: type[UserError] = UserError) -> BinaryIO:
    """Open a regular file for reading; a folder, pipe or device is refused."""
    try:
        found = path.stat()  # before it is opened: to open a device may do something
        if stat.S_ISREG(found.st_mode):
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            found = os.fstat(handle)
            if stat.S_ISREG(found.st_mode):
                return os.fdopen(handle, "rb")
            os.close(handle)
    except (OSError, ValueError) as failure:  # a path with a NUL in it is a ValueError
        if getattr(failure, "errno", None) in NO_DESCRIPTORS:
            raise error(too_few_descriptors()) from failure
        why = getattr(failure, "strerror", None) or failure
        raise error(f"{path}: cannot be read: {why}") from failure
    kind = kind_of(found.st_mode)
    hint = "name a file in it" if kind == "folder" else "name a file"
    raise error(f"{path}: is a {kind}; {hint}")


def read_bytes(path: Path, *, most_mb: int, error: type[UserError] = UserError) -> bytes:
    """Read a regular file, or refuse one that is larger."""
    try:
        with open_regular(path, error=error) as file:
            data = file.read((most_mb << 20) + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from failure
    if len(data) > most_mb << 20:
        raise error(f"{path}: is larger than {most_mb} MB, so it is no such file")
    return data


def read_text(path: Path, *, most_mb: int, error: type[UserError] = UserError) -> str:
    """Read a regular file as UTF-8, without its byte order mark."""
    data = read_bytes(path, most_mb=most_mb, error=error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{path}: {not_utf8(data, failure)}") from failure


def not_utf8(data: bytes, failure: UnicodeDecodeError, first_line: int = 1) -> str:
    """Say where a text is not UTF-8."""
    line = first_line + data.count(b"\n", 0, failure.start)
    what = ", but UTF-16" if data.startswith(_WIDE) else ""
    return (
        f"line {line} is not UTF-8 (byte 0x{data[failure.start]:02x}){what}; save the file as UTF-8"
    )


def unpack(data: bytes, *, most_mb: int, name: str, error: type[UserError] = UserError) -> bytes:
    """Unpack gzip, or refuse what becomes larger; raises what `gzip.decompress` raises."""
    with gzip.GzipFile(fileobj=BytesIO(data)) as packed:
        found = packed.read((most_mb << 20) + 1)
    if len(found) > most_mb << 20:
        raise error(f"{name}: is larger than {most_mb} MB when it is unpacked")
    return found


@contextmanager
def opened(path: Path, *, error: type[UserError] = UserError) -> Iterator[BinaryIO]:
    """Open a regular file for reading, unpacked as it is read where its name ends in .gz."""
    with open_regular(path, error=error) as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.GzipFile(fileobj=file) as packed:
            yield cast("BinaryIO", packed)


def kind_of(mode: int) -> str:
    """Name what a file's mode says that it is."""
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "special file")
