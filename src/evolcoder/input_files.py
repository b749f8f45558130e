"""Opens files that the user names: regular ones only, and no more of them than fits in memory.

Promises: nothing waits for a pipe or reads a device without end; a text is UTF-8, with or without
its mark; what is unpacked is bounded in bytes. Every fault is one line that names the file.

>>> read_text(Path("config.yaml"), most_mb=16, error=ConfigError)   # doctest: +SKIP

JSON lines and JSON arrays as a stream of values: memory holds one value, whatever the file.

Promises: a value is bounded in bytes and in nested parts, so that neither a line without end nor a
million empty lists takes the memory; every fault says on which line it is. Numbers, texts and depth
are bounded as `json` bounds them.

>>> [value for _, value in values(BytesIO(b'[1, {"a": 2}]'))]
[1, {'a': 2}]
"""

import codecs
import gzip
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, cast

from evolcoder.errors import NO_DESCRIPTORS, UserError, too_few_descriptors

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


MOST_MB = 64
"""Longest value; a longer one is no row but a file of another kind."""
MOST_PARTS = 4_000_000
"""Most brackets, braces and commas of one value: an empty list takes 64 bytes in memory, and two
in the file."""
MOST_BLANK = 1 << 20
"""Most blanks in a row, so that a packed file of nothing else is no long wait."""
_BEGINNING, _PIECE = 1 << 12, 1 << 20
_MOST_AHEAD = 8 << 20
"""Most that is read at once; MOST_PARTS is more than it can hold."""
_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_AT_END = 12
"""So near to the end of what was read, what is no JSON may be the beginning of it, such as `tru`
or half an escape."""


class NotJSONError(ValueError):
    """A file holds no JSON lines and no array of JSON; the text says where."""


def values(file: IO[bytes]) -> Iterator[tuple[str, object]]:
    """Read values with their places: those of an array if it begins with one, else line by line."""
    head = beginning(file)
    if is_array(head):
        for number, value in enumerate(array(file, head), start=1):
            yield f"row {number}", value
        return
    for number, line in lines(file, head):
        yield f"line {number}", parsed(line, number)


def array(file: IO[bytes], head: bytes = b"", *, errors: str = "strict") -> Iterator[object]:
    """Read the values of an array, one after another; `errors` says what becomes of odd bytes.

    `head` is what was read of the file already.
    """
    return iter(_Array(file, head, errors))


def lines(
    file: IO[bytes], head: bytes = b"", *, most_mb: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """Read the lines that are not blank, split at line feeds alone, with their numbers.

    `head` is what was read of the file already.
    """
    most, n_blank = most_mb or MOST_MB, 0
    for number, line in enumerate(_split(file, head, most << 20), start=1):
        if len(line) > most << 20:
            raise NotJSONError(f"line {number} is longer than {most} MB; write one row per line")
        row = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if row.strip():
            n_blank = 0
            yield number, row
            continue
        n_blank += len(line)
        if n_blank > MOST_BLANK:
            raise NotJSONError(f"line {number} ends a million blanks; write one row per line")


def parsed(data: bytes, first_line: int = 1, *, errors: str = "strict") -> object:
    """Parse one value; say on which line of the file a fault is."""
    check_parts(data, first_line)
    try:
        return json.loads(data.decode("utf-8", errors))
    except UnicodeDecodeError as error:
        raise NotJSONError(not_utf8(data, error, first_line)) from error
    except json.JSONDecodeError as error:
        raise NotJSONError(_fault(error, first_line + error.lineno - 1, error.colno)) from error
    except (ValueError, RecursionError) as error:
        raise NotJSONError(
            f"the JSON that begins on line {first_line} cannot be read: {error}"
        ) from error


def check_parts(data: bytes, first_line: int = 1) -> None:
    """Refuse a value with so many parts that it would take many times its size in memory."""
    if len(data) > MOST_PARTS and sum(data.count(sign) for sign in (b"[", b"{", b",")) > MOST_PARTS:
        raise NotJSONError(
            f"the JSON that begins on line {first_line} has more than {MOST_PARTS:,} parts; "
            f"write one row per line"
        )


def _fault(error: json.JSONDecodeError, line: int, column: int) -> str:
    return (
        f"line {line} is not JSON ({error.msg} at column {column}); "
        f"a file holds one row per line, or one array of rows"
    )


def is_array(head: bytes) -> bool:
    """Tell whether a file that begins so holds an array."""
    return head.lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(b"[")


def beginning(file: IO[bytes]) -> bytes:
    """Read until something is not blank, or so far."""
    head = b""
    while not head.strip(b" \t\r\n" + codecs.BOM_UTF8) and len(head) <= MOST_BLANK:
        if not (piece := file.read(max(_BEGINNING, len(head)))):
            break
        head += piece
    return head


def _split(file: IO[bytes], head: bytes, most: int) -> Iterator[bytes]:
    """Split into lines; one that is longer than `most` comes cut, one byte longer than that."""
    begun = BytesIO(head)
    while line := begun.readline(most + 1):
        if not line.endswith(b"\n") and len(line) <= most:
            line += file.readline(most + 1 - len(line))
        yield line
    while line := file.readline(most + 1):
        yield line


class _Array:
    """The values of an array, one after another."""

    def __init__(self, file: IO[bytes], head: bytes, errors: str) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")(errors).decode
        self._line, self._column = 1, 0  # of the text's beginning
        self._text, self._at = "", 0
        self._is_whole = False
        self._take(head.removeprefix(codecs.BOM_UTF8))

    def __iter__(self) -> Iterator[object]:
        self._skip("[")
        if self._next() == "]":
            self._skip("]")
        else:
            yield self._value()
            while self._next() == ",":
                self._skip(",")
                yield self._value()
            self._skip("]")
        if extra := self._next():
            raise self._error(json.JSONDecodeError(f"Extra data {extra!r}", self._text, self._at))

    def _next(self) -> str:
        """Return the sign that stands next, without going on; empty at the end."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._more(_PIECE):
                return self._text[self._at : self._at + 1]

    def _skip(self, sign: str) -> None:
        if self._next() != sign:
            wanted = "',' delimiter" if sign == "]" else f"{sign!r}"
            raise self._error(json.JSONDecodeError(f"Expecting {wanted}", self._text, self._at))
        self._at += 1

    def _value(self) -> object:
        """Parse one value; twice as much is read each time that it is not whole yet."""
        self._next()
        size = _PIECE
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                fault = self._error(error)
                cut = error.msg.startswith("Unterminated") or error.pos + _AT_END > len(self._text)
                if not cut or not self._more(size):
                    raise fault from error
            except (ValueError, RecursionError) as error:
                raise NotJSONError(
                    f"the JSON on line {self._line_at(self._at)} cannot be read: {error}"
                ) from error
            else:
                # A number that ends where the text ends may go on, also behind a point or an e.
                length = end - self._at
                if end + _AT_END < len(self._text) or not self._more(size):
                    self._at += length
                    return value
            self._check_size()
            size = min(2 * size, _MOST_AHEAD)

    def _check_size(self) -> None:
        """Refuse a value that is too long, or has too many parts."""
        left = len(self._text) - self._at
        line = self._line_at(self._at)
        if left > (MOST_MB << 20) + _PIECE:
            raise NotJSONError(
                f"the row that begins on line {line} is longer than {MOST_MB} MB; "
                f"write one row per line"
            )
        if left > MOST_PARTS:
            check_parts(self._text[self._at :].encode("utf-8", "surrogatepass"), line)

    def _more(self, size: int) -> bool:
        """Read on, and forget what was gone through; return whether there was more."""
        if self._is_whole:
            return False
        line_begins = self._text.rfind("\n", 0, self._at) + 1
        self._line += self._text.count("\n", 0, self._at)
        self._column = self._at - line_begins + (0 if line_begins else self._column)
        self._text, self._at = self._text[self._at :], 0
        data = self._file.read(size)
        self._is_whole = not data
        self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        try:
            self._text += self._decode(data, final=self._is_whole)
        except UnicodeDecodeError as error:
            before = self._line + self._text.count("\n")
            raise NotJSONError(not_utf8(error.object, error, before)) from error

    def _line_at(self, position: int) -> int:
        return self._line + self._text.count("\n", 0, position)

    def _error(self, error: json.JSONDecodeError) -> NotJSONError:
        line_begins = self._text.rfind("\n", 0, error.pos) + 1
        column = error.pos - line_begins + (0 if line_begins else self._column) + 1
        return NotJSONError(_fault(error, self._line_at(error.pos), column))
