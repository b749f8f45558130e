"""Rows out of files, Hub data sets and the package, one at a time, each with its place.

Promises: memory holds one line of a JSONL file, one batch of a Parquet file, or one whole JSON
array; every fault is a one-line SeedsError that names the place. Knows nothing of what a row means,
and unpickles and runs nothing.

>>> next(rows_of(SeedsConfig())).place
'line 1'
"""

import codecs
import gzip
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from itertools import chain, count
from pathlib import Path
from typing import IO, BinaryIO, cast

from evolcoder.config import SeedsConfig
from evolcoder.errors import SeedsError
from evolcoder.text import one_line

BUNDLED = "bundled"
SUFFIXES = (".json", ".jsonl", ".parquet")
MAX_LINE_MB = 256
"""A longer line is no row but a file of another kind."""
PARQUET_ROWS = 256
"""Rows of a Parquet file that are held at once."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WHY_CHARS = 300


@dataclass(frozen=True, slots=True)
class Raw:
    """A row as it was found."""

    place: str
    """Where, as people count: `line 1` is the first."""
    value: object
    """A mapping of fields, if the row is what it should be."""


def rows_of(config: SeedsConfig) -> Iterator[Raw]:
    """Open the source that a config names."""
    if config.path == BUNDLED:
        with (resources.files("evolcoder") / "data" / "seeds.jsonl").open("rb") as file:
            yield from _json_rows(cast("BinaryIO", file), BUNDLED)
        return
    path = Path(config.path).expanduser()
    known = _bare(path).suffix.lower() in SUFFIXES
    if not known and not path.exists() and _HUB_ID.fullmatch(config.path):
        yield from _hub_rows(config)
    else:
        yield from _file_rows(path)


def _bare(path: Path) -> Path:
    """Strip the suffix of compression."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _file_rows(path: Path) -> Iterator[Raw]:
    reader = _parquet_rows if _bare(path).suffix.lower() == ".parquet" else _json_rows
    try:
        if path.is_dir():
            raise SeedsError(f"{path}: is a folder; name a file in it")
        if path.exists() and _bare(path).suffix.lower() not in SUFFIXES:
            raise SeedsError(
                f"{path}: unknown kind of file {path.suffix!r}; known are "
                f"{', '.join(SUFFIXES)}, each also with .gz"
            )
        with _opened(path) as file:
            yield from reader(file, str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SeedsError(f"{path}: damaged gzip: {error}; copy the file again") from error
    except OSError as error:
        raise SeedsError(f"{path}: cannot be read: {_why(error)}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, uncompressed; Parquet is read from its end, so it is unpacked to disk first."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    with gzip.open(path, "rb") as packed:
        if _bare(path).suffix.lower() != ".parquet":
            yield cast("BinaryIO", packed)
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(packed, unpacked)
            unpacked.seek(0)
            yield cast("BinaryIO", unpacked)


def _json_rows(file: BinaryIO, name: str) -> Iterator[Raw]:
    """Read rows one per line, or a JSON array if the first character is its bracket."""
    nothing_yet = True
    for number, line in enumerate(_lines(file, name), start=1):
        row = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not row.strip():
            continue
        if nothing_yet and row.lstrip().startswith(b"["):
            yield from _array_rows(row + file.read(), name, number)
            return
        nothing_yet = False
        yield Raw(f"line {number}", _parsed(row, name, number))


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Split at line feeds alone; an array on one line may be longer than a row."""
    limit = MAX_LINE_MB << 20
    for number in count(1):
        line = file.readline(limit)
        if not line:
            return
        if len(line) == limit and not (number == 1 and line.lstrip().startswith(b"[")):
            raise SeedsError(
                f"{name}: line {number} is longer than {MAX_LINE_MB} MB; write one row per line"
            )
        yield line


def _array_rows(data: bytes, name: str, first_line: int) -> Iterator[Raw]:
    rows = cast("list[object]", _parsed(data, name, first_line))
    for number, value in enumerate(rows, start=1):
        yield Raw(f"row {number}", value)


def _parsed(data: bytes, name: str, first_line: int) -> object:
    """Parse one JSON value; say on which line of the file a fault is."""
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise SeedsError(
            f"{name}: line {line} is not UTF-8 (byte 0x{data[error.start]:02x}); "
            f"save the file as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise SeedsError(
            f"{name}: line {first_line + error.lineno - 1} is not JSON ({error.msg} at column "
            f"{error.colno}); a file holds one row per line, or one array of rows"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SeedsError(
            f"{name}: the JSON that begins on line {first_line} cannot be read: {error}"
        ) from error


def _parquet_rows(file: BinaryIO, name: str) -> Iterator[Raw]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{name}: Parquet needs pyarrow, which is not installed; "
            f"run: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        batches = parquet.ParquetFile(file).iter_batches(batch_size=PARQUET_ROWS)
        rows = chain.from_iterable(batch.to_pylist() for batch in batches)
        for number, value in enumerate(rows, start=1):
            yield Raw(f"row {number}", value)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SeedsError(f"{name}: damaged Parquet: {_why(error)}") from error


def _hub_rows(config: SeedsConfig) -> Iterator[Raw]:
    """Stream a data set; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE hold, as `datasets` reads them."""
    try:
        from datasets import load_dataset  # noqa: PLC0415 - heavy, and only some need it
        from datasets.exceptions import DatasetsError  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{config.path}: no such file; if it is a Hub data set, "
            f"run: pip install 'evolcoder[hub]'"
        ) from error
    try:
        rows: Iterator[Mapping[str, object]] = load_dataset(
            config.path,
            name=config.subset,
            split=config.split,
            revision=config.revision,
            streaming=True,
        )
        for number, value in enumerate(rows, start=1):
            yield Raw(f"row {number}", value)
    except (DatasetsError, OSError, ValueError) as error:
        raise SeedsError(
            f"{config.path}: no such file here, and as a Hub data set: {_why(error)}"
        ) from error


def _why(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or error), _WHY_CHARS)
