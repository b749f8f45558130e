"""Reads files named by the user: regular files, bounded in memory, and JSON as a stream of values.

Guarantees: never waits for a pipe and never reads a device; text is UTF-8, with or without a byte
order mark; unpacked data is bounded in bytes. JSON lines, JSON arrays and JSON values one after
another, of any size, are read one value at a time, each bounded in bytes and in parts, so that
neither an endless line nor a million empty lists exhausts memory. Numbers, texts and depth are
bounded as by `json`. Every error is one line that names the file or the line in it.

>>> read_text(Path("config.yaml"), max_mb=16, error=ConfigError)   # doctest: +SKIP
>>> [value for _, value in iter_values(BytesIO(b'[1, {"a": 2}]'))]
[1, {'a': 2}]
"""

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from evolcoder.errors import NO_DESCRIPTORS, UserError, too_few_descriptors
from evolcoder.text import one_line

GZIP_MAGIC = b"\x1f\x8b"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_regular(path: Path, *, error: type[UserError] = UserError) -> BinaryIO:
    """Open a regular file for reading; refuse folders, pipes and devices."""
    try:
        found = path.stat()  # before opening, since opening a device may have an effect
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
    hint = "name a file in it" if kind == "folder" else "name a regular file"
    raise error(f"{path}: is a {kind}; {hint}")


def read_bytes(path: Path, *, max_mb: int, error: type[UserError] = UserError) -> bytes:
    """Read a regular file; refuse a larger one than `max_mb`."""
    try:
        with open_regular(path, error=error) as file:
            data = file.read((max_mb << 20) + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from failure
    if len(data) > max_mb << 20:
        raise error(f"{path}: is larger than {max_mb} MB, so it is not a file of this kind")
    return data


def read_text(path: Path, *, max_mb: int, error: type[UserError] = UserError) -> str:
    """Read a regular file as UTF-8, without a byte order mark."""
    data = read_bytes(path, max_mb=max_mb, error=error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{path}: {not_utf8(data, failure)}") from failure


def not_utf8(data: bytes, failure: UnicodeDecodeError, first_line: int = 1) -> str:
    """Describe where a text is not valid UTF-8."""
    line = first_line + data.count(b"\n", 0, failure.start)
    what = ", but UTF-16" if data.startswith(UTF16_MARKS) else ""
    return (
        f"line {line} is not UTF-8 (byte 0x{data[failure.start]:02x}){what}; save the file as UTF-8"
    )


def unpack(data: bytes, *, max_mb: int, name: str, error: type[UserError] = UserError) -> bytes:
    """Unpack gzip up to `max_mb`; also raises what `gzip.decompress` raises."""
    with gzip.GzipFile(fileobj=BytesIO(data)) as packed:
        found = packed.read((max_mb << 20) + 1)
    if len(found) > max_mb << 20:
        raise error(f"{name}: is larger than {max_mb} MB when unpacked")
    return found


PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes of compressed files."""


@contextmanager
def open_input(path: Path, *, error: type[UserError] = UserError) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a compressed one is unpacked while reading, by its name."""
    with open_regular(path, error=error) as file:
        suffix = path.suffix.lower()
        head = cast("io.BufferedReader", file).peek(_HEAD_BYTES)[:_HEAD_BYTES]
        if what := _foreign(head, suffix):
            raise error(f"{path}: {what}")
        if suffix not in PACKED:
            yield file
            return
        with _unpacked(file, suffix, path, error) as packed:
            yield packed


SQLITE_HEAD = b"SQLite format 3\0"
"""First bytes of a database of SQLite."""
_FOREIGN = (
    (b"version https://git-lfs.github.com", "", "a pointer of Git LFS; fetch it: git lfs pull"),
    (b"PK\x03\x04", "", "a ZIP archive; unpack it"),
    (SQLITE_HEAD, "", "a database of SQLite; write its rows as JSON lines"),
    (b"\x80\x04\x95", "", "a pickle, which is not read; write its rows as JSON lines"),
    (GZIP_MAGIC, ".gz", "compressed by gzip; add .gz to its name"),
    (b"\x28\xb5\x2f\xfd", ".zst", "compressed by Zstandard; add .zst to its name"),
    (b"BZh", ".bz2", "compressed by bzip2; add .bz2 to its name"),
    (b"\xfd7zXZ\0", ".xz", "compressed by xz; add .xz to its name"),
    (b"PAR1", ".parquet", "Parquet; name it .parquet"),
)
"""Beginnings of files of another kind than rows, the suffix that says so, and what to do."""
_BINARY = frozenset({".arrow", *(suffix for _, suffix, _ in _FOREIGN if suffix)})
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_WIDE = re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|[\t -~]\0+[\t\n\r -~]\0|\0+[\t -~]\0+[\t\n\r -~]")
"""The beginning of a text in UTF-16 without its mark, or in UTF-32."""


def _foreign(head: bytes, suffix: str) -> str:
    """Say what a file is whose beginning shows another kind than its name; empty if it is none."""
    for start, named, what in _FOREIGN:
        if head.startswith(start):
            return "" if suffix == named else f"is {what}"
    if _WEB_PAGE.match(head.removeprefix(codecs.BOM_UTF8)):
        return "is a web page; download the file itself"
    if suffix not in _BINARY and _WIDE.match(head):
        return "is UTF-16 without its mark, or UTF-32; save the file as UTF-8"
    return ""


def _unpacked(file: BinaryIO, suffix: str, path: Path, error: type[UserError]) -> BinaryIO:
    if suffix == ".gz":
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if suffix == ".bz2":
        return cast("BinaryIO", bz2.BZ2File(file))
    if suffix == ".xz":
        return cast("BinaryIO", lzma.LZMAFile(file))
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
    except ImportError as failure:
        raise error(
            f"{path}: Zstandard needs pyarrow, which is not installed; "
            f"run: pip install 'evolcoder[parquet]'"
        ) from failure
    return cast("BinaryIO", io.BufferedReader(pa.CompressedInputStream(file, "zstd")))


class _Recoded(io.RawIOBase):
    """A file in UTF-16, read as UTF-8."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        while not self._left:
            data = self._file.read(_READ_BYTES)
            try:
                text = self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise NotJSONError(
                    f"is not UTF-16: {error.reason}; save the file as UTF-8"
                ) from error
            self._left = text.encode("utf-8", "surrogatepass")
            if not data:
                break
        n = min(len(buffer), len(self._left))
        buffer[:n], self._left = self._left[:n], self._left[n:]
        return n


class _Begun(io.RawIOBase):
    """A file whose first bytes were read already."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        data = self._head[: len(buffer)] or self._file.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def begun(head: bytes, file: IO[bytes]) -> BinaryIO:
    """Return a file whose first bytes were read already, with them."""
    return io.BufferedReader(_Begun(head, file), _READ_BYTES)


def as_utf8(file: IO[bytes]) -> BinaryIO:
    """Return a text file as UTF-8 without a byte order mark, if it has the mark of UTF-16 or 8."""
    head = file.read(len(codecs.BOM_UTF8))
    if head.startswith(codecs.BOM_UTF8):
        return cast("BinaryIO", file)
    whole = begun(head, file)
    if head.startswith(UTF16_MARKS):
        return io.BufferedReader(_Recoded(whole), _READ_BYTES)
    return whole


def kind_of(mode: int) -> str:
    """Name the file type in a file's mode."""
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "special file")


MAX_MB = 64
"""Longest value; a longer one indicates a file of another kind."""
MAX_PARTS = 4_000_000
"""Limit for brackets, braces and commas of one value: an empty list takes 64 bytes in memory and
two in the file."""
MAX_BLANK = 1 << 20
"""Longest run of blanks, which bounds the time for a compressed file of blanks."""
_HEAD_BYTES, _READ_BYTES = 1 << 12, 1 << 20
_MAX_READ = 8 << 20
"""Longest single read; it cannot contain MAX_PARTS."""


def _one_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; refuse one that names a key twice, since either value may be meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the key {one_line(twice, MAX_KEY_CHARS)!r} twice; remove one")
    return found


MAX_KEY_CHARS = 60
"""Longest key that is quoted in an error."""
_DECODER = json.JSONDecoder()
_STRICT_DECODER = json.JSONDecoder(object_pairs_hook=_one_of_each)
_BLANK = re.compile(r"[ \t\n\r]*")
_NEAR_END = 12
"""Invalid JSON this near to the end of the buffer may be the start of valid JSON, such as `tru` or
half an escape."""


class NotJSONError(ValueError):
    """A file contains neither JSON lines nor a JSON array; the text says where it fails."""


def iter_values(file: IO[bytes], *, unique: bool = False) -> Iterator[tuple[str, object]]:
    """Read values with their positions: from an array if it begins with one, else line by line.

    A key that stands twice in one object is an error if `unique`; else its last value counts.

    If the first value goes beyond its line, or another one follows it there, values may stand
    anywhere, one after another.
    """
    head = read_head(file)
    if is_array(head):
        head += file.readline(MAX_BLANK) if not head.endswith(b"\n") else b""
        if not _is_in_arrays(head + (rest := file.read(_HEAD_BYTES))):
            values = _ArrayReader(file, head + rest, "strict", unique)
            for number, value in enumerate(values, start=1):
                yield f"row {number}", value
            return
        head += rest
    lines = _split(file, head, MAX_MB << 20)
    first, n_begun = [], 0
    for line in lines:
        first.append(line)
        n_begun += len(line)
        if line.strip(b" \t\r\n" + codecs.BOM_UTF8) or n_begun > MAX_BLANK:
            break
    start = b"".join(first)
    if _is_in_lines(start):
        for number, line in iter_lines(file, start, lines=lines):
            yield f"line {number}", parse_value(line, number, unique=unique)
        return
    joined = cast("IO[bytes]", io.BufferedReader(_Joined(start, lines), _READ_BYTES))
    reader = _ArrayReader(joined, b"", "strict", unique)
    for number, value in enumerate(reader.sequence(), start=1):
        yield f"row {number}", value


def _is_in_arrays(head: bytes) -> bool:
    """Whether the first line is a whole array that another one follows, as chats are written."""
    first, _, rest = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    if not rest.lstrip().startswith(b"[") or len(first) > MAX_PARTS:
        return False
    try:
        return isinstance(json.loads(first), list)
    except (ValueError, RecursionError):
        return False


class _Joined(io.RawIOBase):
    """Lines as a file."""

    def __init__(self, head: bytes, lines: Iterator[bytes]) -> None:
        self._left = head.removeprefix(codecs.BOM_UTF8)
        self._lines = lines

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        self._left = self._left or next(self._lines, b"")
        n = min(len(buffer), len(self._left))
        buffer[:n], self._left = self._left[:n], self._left[n:]
        return n


def _is_in_lines(start: bytes) -> bool:
    """Whether the first line is a whole value, or no part of one."""
    text = start.decode("utf-8-sig", "replace").strip()
    if not text.startswith("{") or len(text) > MAX_PARTS:
        return True
    try:
        _, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return error.pos + _NEAR_END <= len(text) and not error.msg.startswith("Unterminated")
    except (ValueError, RecursionError):
        return True
    rest = text[end:].lstrip(" ,")
    return end == len(text) or (bool(rest) and not rest.startswith("{"))


def iter_array(file: IO[bytes], head: bytes = b"", *, errors: str = "strict") -> Iterator[object]:
    """Read the values of an array one at a time; `errors` is the decoder's error handler.

    `head` is what was already read from the file.
    """
    return iter(_ArrayReader(file, head, errors))


def iter_lines(
    file: IO[bytes],
    head: bytes = b"",
    *,
    max_mb: int | None = None,
    lines: Iterator[bytes] | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Read nonblank lines with their numbers, splitting only at line feeds.

    `head` is what was already read from the file; `lines` are those after it, if they were begun.
    """
    most, n_blank = max_mb or MAX_MB, 0
    rest = _split(file, head, most << 20)
    if lines is not None:
        rest = chain(_split(BytesIO(), head, most << 20), lines)
    for number, line in enumerate(rest, start=1):
        if len(line) > most << 20:
            raise NotJSONError(f"line {number} is longer than {most} MB; write one row per line")
        row = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if row.strip():
            n_blank = 0
            yield number, row
            continue
        n_blank += len(line)
        if n_blank > MAX_BLANK:
            raise NotJSONError(f"line {number} follows a million blanks; write one row per line")


def parse_value(
    data: bytes, first_line: int = 1, *, errors: str = "strict", unique: bool = False
) -> object:
    """Parse one value; errors name the line of the file. `unique` is as in `iter_values`."""
    check_parts(data, first_line)
    try:
        return (_STRICT_DECODER if unique else _DECODER).decode(data.decode("utf-8", errors))
    except UnicodeDecodeError as error:
        raise NotJSONError(not_utf8(data, error, first_line)) from error
    except json.JSONDecodeError as error:
        raise NotJSONError(_not_json(error, first_line + error.lineno - 1, error.colno)) from error
    except (ValueError, RecursionError) as error:
        raise NotJSONError(
            f"the JSON that begins on line {first_line} cannot be read: {error}"
        ) from error


def check_parts(data: bytes, first_line: int = 1) -> None:
    """Refuse a value with so many parts that it would take a multiple of its size in memory."""
    if len(data) > MAX_PARTS and sum(data.count(sign) for sign in (b"[", b"{", b",")) > MAX_PARTS:
        raise NotJSONError(
            f"the JSON that begins on line {first_line} has more than {MAX_PARTS:,} parts; "
            f"write one row per line"
        )


def _not_json(error: json.JSONDecodeError, line: int, column: int) -> str:
    return (
        f"line {line} is not JSON ({error.msg} at column {column}); "
        f"a file holds one row per line, or one array of rows"
    )


def is_array(head: bytes) -> bool:
    """Return whether a file with this beginning contains an array."""
    return head.lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(b"[")


def read_head(file: IO[bytes]) -> bytes:
    """Read until the first nonblank byte or MAX_BLANK bytes."""
    head = b""
    while not head.strip(b" \t\r\n" + codecs.BOM_UTF8) and len(head) <= MAX_BLANK:
        if not (piece := file.read(max(_HEAD_BYTES, len(head)))):
            break
        head += piece
    return head


def _split(file: IO[bytes], head: bytes, most: int) -> Iterator[bytes]:
    """Split into lines; a line longer than `most` is cut to one byte more than that."""
    first = BytesIO(head)
    while line := first.readline(most + 1):
        if not line.endswith(b"\n") and len(line) <= most:
            line += file.readline(most + 1 - len(line))
        yield line
    while line := file.readline(most + 1):
        yield line


class _ArrayReader:
    """Reads the values of an array one at a time."""

    def __init__(
        self,
        file: IO[bytes],
        head: bytes,
        errors: str,
        unique: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self._decoder = _STRICT_DECODER if unique else _DECODER
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")(errors).decode
        self._line, self._column = 1, 0  # position of the buffer's start
        self._text, self._at = "", 0
        self._at_eof = False
        self._append(head.removeprefix(codecs.BOM_UTF8))

    def __iter__(self) -> Iterator[object]:
        self._skip("[")
        if self._peek() == "]":
            self._skip("]")
        else:
            yield self._value()
            while self._peek() == ",":
                self._skip(",")
                yield self._value()
            self._skip("]")
        if extra := self._peek():
            raise self._error(json.JSONDecodeError(f"Extra data {extra!r}", self._text, self._at))

    def sequence(self) -> Iterator[object]:
        """Yield values that stand one after another, with or without commas."""
        while self._peek():
            yield self._value()
            if self._peek() == ",":
                self._skip(",")

    def _peek(self) -> str:
        """Return the next nonblank character without consuming it; '' at the end."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._read_more(_READ_BYTES):
                return self._text[self._at : self._at + 1]

    def _skip(self, sign: str) -> None:
        if self._peek() != sign:
            wanted = "',' delimiter" if sign == "]" else f"{sign!r}"
            raise self._error(json.JSONDecodeError(f"Expecting {wanted}", self._text, self._at))
        self._at += 1

    def _value(self) -> object:
        """Parse one value; double the amount read each time it is incomplete."""
        self._peek()
        size = _READ_BYTES
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                fault = self._error(error)
                cut = error.msg.startswith("Unterminated") or error.pos + _NEAR_END > len(
                    self._text
                )
                if not cut or not self._read_more(size):
                    raise fault from error
            except (ValueError, RecursionError) as error:
                raise NotJSONError(
                    f"the JSON on line {self._line_at(self._at)} cannot be read: {error}"
                ) from error
            else:
                # A number at the buffer's end may continue, even after a point or an e.
                length = end - self._at
                if end + _NEAR_END < len(self._text) or not self._read_more(size):
                    self._at += length
                    return value
            self._check_size()
            size = min(2 * size, _MAX_READ)

    def _check_size(self) -> None:
        """Refuse a value that is too long or has too many parts."""
        left = len(self._text) - self._at
        line = self._line_at(self._at)
        if left > (MAX_MB << 20) + _READ_BYTES:
            raise NotJSONError(
                f"the row that begins on line {line} is longer than {MAX_MB} MB; "
                f"write one row per line"
            )
        if left > MAX_PARTS:
            check_parts(self._text[self._at :].encode("utf-8", "surrogatepass"), line)

    def _read_more(self, size: int) -> bool:
        """Read on and discard consumed text; return whether there was more."""
        if self._at_eof:
            return False
        line_begins = self._text.rfind("\n", 0, self._at) + 1
        self._line += self._text.count("\n", 0, self._at)
        self._column = self._at - line_begins + (0 if line_begins else self._column)
        self._text, self._at = self._text[self._at :], 0
        data = self._file.read(size)
        self._at_eof = not data
        self._append(data)
        return bool(data)

    def _append(self, data: bytes) -> None:
        try:
            self._text += self._decode(data, final=self._at_eof)
        except UnicodeDecodeError as error:
            before = self._line + self._text.count("\n")
            raise NotJSONError(not_utf8(error.object, error, before)) from error

    def _line_at(self, position: int) -> int:
        return self._line + self._text.count("\n", 0, position)

    def _error(self, error: json.JSONDecodeError) -> NotJSONError:
        line_begins = self._text.rfind("\n", 0, error.pos) + 1
        column = error.pos - line_begins + (0 if line_begins else self._column) + 1
        return NotJSONError(_not_json(error, self._line_at(error.pos), column))
