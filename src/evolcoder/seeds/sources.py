"""Streams rows from files, Hub data sets and the bundled seeds, with their line or row numbers.

Memory holds one row of JSON or JSONL, or one batch of Parquet, even if the file is compressed.
Every error is a one-line SeedsError that names the place. Pipes and devices are refused. Nothing is
unpickled or executed.

>>> next(rows_of(SeedsConfig())).place
'line 1'
"""

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from evolcoder import input_files
from evolcoder.config.load import SeedsConfig
from evolcoder.engine import hub
from evolcoder.errors import SeedsError
from evolcoder.input_files import open_input
from evolcoder.storage.atomic import temporary_file_errors
from evolcoder.text import one_line

BUNDLED = "bundled"
SUFFIXES = (".json", ".jsonl", ".parquet")
PARQUET_ROWS = 256
"""Rows per Parquet batch."""
MAX_UNPACKED_GB = 64
"""Maximum size of a Parquet file that is decompressed to disk."""
_CHUNK = 1 << 20
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WHY_CHARS = 300


@dataclass(frozen=True, slots=True)
class SourceRow:
    """An unparsed row."""

    place: str
    """Its place, counted from 1: `line 1` or `row 1`."""
    value: object
    """Its value; a mapping, if it is a valid row."""


def rows_of(config: SeedsConfig) -> Iterator[SourceRow]:
    """Yield the rows of the source that a config names."""
    if config.path == BUNDLED:
        with (resources.files("evolcoder") / "data" / "seeds.jsonl").open("rb") as file:
            yield from _json_rows(cast("BinaryIO", file), BUNDLED)
        return
    path = Path(os.path.expanduser(config.path))  # noqa: PTH111 - pathlib's may raise
    known = _without_gz(path).suffix.lower() in SUFFIXES
    if not known and not path.exists() and _HUB_ID.fullmatch(config.path):
        yield from _hub_rows(config)
    else:
        yield from _file_rows(path)


def _without_gz(path: Path) -> Path:
    """Strip a .gz suffix."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _file_rows(path: Path) -> Iterator[SourceRow]:
    is_parquet = _without_gz(path).suffix.lower() == ".parquet"
    try:
        if path.is_file() and _without_gz(path).suffix.lower() not in SUFFIXES:
            raise SeedsError(
                f"{path}: unknown file type {path.suffix!r}; known types: "
                f"{', '.join(SUFFIXES)}, each optionally with .gz"
            )
        with open_input(path, error=SeedsError) as file:
            if not is_parquet:
                yield from _json_rows(file, str(path))
            elif path.suffix.lower() != ".gz":
                yield from _parquet_rows(file, str(path))
            else:
                with _decompressed(file, path) as unpacked:
                    yield from _parquet_rows(unpacked, str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SeedsError(f"{path}: damaged gzip: {error}; copy the file again") from error
    except OSError as error:
        raise SeedsError(f"{path}: cannot be read: {_why(error)}") from error


@contextmanager
def _decompressed(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Decompress to a temporary file, since Parquet needs random access."""
    with temporary_file_errors(error=SeedsError):
        unpacked = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - below
    with unpacked:
        while chunk := file.read(_CHUNK):
            with temporary_file_errors(error=SeedsError):
                _write_all(unpacked, chunk)
            if unpacked.tell() > MAX_UNPACKED_GB << 30:
                raise SeedsError(
                    f"{path}: larger than {MAX_UNPACKED_GB} GB uncompressed; "
                    f"decompress it, or split it"
                )
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all bytes; an unbuffered write may be partial."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[file.write(remaining) :]


def _json_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    """Read JSON lines, or a JSON array if the first character is `[`."""
    try:
        for place, value in input_files.iter_values(file):
            yield SourceRow(place, value)
    except input_files.NotJSONError as error:
        raise SeedsError(f"{name}: {error}") from error


def _parquet_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{name}: Parquet needs pyarrow, which is not installed; "
            f"run: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        source = parquet.ParquetFile(file)
        _check_row_groups(source.metadata, name)
        batches = source.iter_batches(batch_size=PARQUET_ROWS)
        rows = chain.from_iterable(batch.to_pylist() for batch in batches)
        for number, value in enumerate(rows, start=1):
            yield SourceRow(f"row {number}", value)
    except (pa.ArrowException, ValueError, OverflowError) as error:  # also invalid text or dates
        raise SeedsError(f"{name}: damaged Parquet: {_why(error)}") from error


def _check_row_groups(metadata: Any, name: str) -> None:  # noqa: ANN401 - pyarrow has no types
    """Refuse row groups whose rows are so large that a batch would fill the memory."""
    for n in range(metadata.num_row_groups):
        group = metadata.row_group(n)
        if group.total_byte_size > (input_files.MAX_MB << 20) * max(1, group.num_rows):
            raise SeedsError(f"{name}: has rows that are longer than {input_files.MAX_MB} MB")


def _hub_rows(config: SeedsConfig) -> Iterator[SourceRow]:
    """Stream a Hub data set; `datasets` honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE.

    A Hub that cannot be reached is asked once; `datasets` would ask it many times.
    """
    try:
        from datasets import load_dataset  # noqa: PLC0415 - heavy, and only some need it
        from datasets.exceptions import DatasetsError  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{config.path}: no such file; if it is a Hub data set, "
            f"run: pip install 'evolcoder[hub]'"
        ) from error
    if not hub.is_offline() and (why := hub.why_unreachable(SeedsError)):
        raise SeedsError(f"{config.path}: no such file, and it cannot be read from the Hub: {why}")
    try:
        rows: Iterator[Mapping[str, object]] = load_dataset(
            config.path,
            name=config.subset,
            split=config.split,
            revision=config.revision,
            streaming=True,
        )
        for number, value in enumerate(rows, start=1):
            yield SourceRow(f"row {number}", value)
    except (DatasetsError, OSError, ValueError) as error:
        raise SeedsError(
            f"{config.path}: no such file, and cannot be loaded as a Hub data set: {_why(error)}"
        ) from error


def _why(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or error), _WHY_CHARS)
