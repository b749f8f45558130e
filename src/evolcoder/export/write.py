"""Write a training set in several formats, each with its card and with what trainers want to read.

Promises: one pass over the rows per format, a row at a time, so that memory stays flat; every file
is whole or not there; the same rows and facts give the same bytes. An export that exists is
overwritten file by file. Does not choose or order rows: that is the caller's.

    <out>/<format>/data.json, data.jsonl or data.parquet
    <out>/<format>/README.md             the data set card; `load_dataset(<folder>)` follows it
    <out>/<format>/dataset_info.json     for LLaMA-Factory, if it reads the format
    <out>/<format>/axolotl.yaml          for axolotl, if it reads the format

>>> export(lambda _: store.rows(), ["messages"], Path("runs/x/export"), facts)   # doctest: +SKIP
[PosixPath('runs/x/export/messages/data.jsonl')]
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson
import yaml

from evolcoder.config import ExportFormat
from evolcoder.errors import ConfigError, RunFolderError
from evolcoder.export.card import CardFacts, Tally, card
from evolcoder.export.formats import FORMATS, Columns, Format
from evolcoder.records import Row
from evolcoder.store import write_atomically

DATASET = "evolcoder"
"""Name under which LLaMA-Factory finds the data."""
PARQUET_ROWS = 1000
"""Rows of a Parquet file that are held at once; each such batch is a row group."""

_AXOLOTL_HEAD = (
    "# For axolotl: take this into your config, with the path of the data file in full.\n"
)


def export(
    rows: Callable[[ExportFormat], Iterable[Row]],
    formats: Sequence[ExportFormat],
    out: Path,
    facts: CardFacts,
) -> list[Path]:
    """Write every format into a folder of its own under `out`; return the data files.

    `rows` gives the rows of a format, afresh for each.
    """
    return [_export_one(rows(name), name, out / name, facts) for name in formats]


def _export_one(rows: Iterable[Row], name: ExportFormat, folder: Path, facts: CardFacts) -> Path:
    format, tally = FORMATS[name], Tally()
    path = folder / format.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be written: {error.strerror}") from error
    lines = (format.columns(row) for row in tally.counting(rows))
    with _whole(path) as file:
        _WRITERS[path.suffix](lines, file, format)
    write_atomically(folder / "README.md", card(facts, format, tally))
    if format.llamafactory:
        entry = {DATASET: {"file_name": format.file, **format.llamafactory}}
        write_atomically(folder / "dataset_info.json", json.dumps(entry, indent=2) + "\n")
    if format.axolotl:
        stanza = {"datasets": [{"path": format.file, **format.axolotl}]}
        text = _AXOLOTL_HEAD + yaml.safe_dump(stanza, sort_keys=False)
        write_atomically(folder / "axolotl.yaml", text)
    return path


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when all of it is written, and vanishes otherwise."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be written: {error.strerror or error}; make room or mend the rights"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _write_lines(lines: Iterable[Columns], file: BinaryIO, _: Format) -> None:
    for line in lines:
        file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _write_array(lines: Iterable[Columns], file: BinaryIO, _: Format) -> None:
    """Write a JSON array with a row per line, as scripts that call `json.load` expect it."""
    before = b"[\n"
    for line in lines:
        file.write(before + orjson.dumps(line))
        before = b",\n"
    file.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _write_parquet(lines: Iterable[Columns], file: BinaryIO, format: Format) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "export.formats: parquet needs pyarrow, which is not installed; "
            "run: pip install 'evolcoder[parquet]'"
        ) from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[type(value)]) for name, value in format.shape().items()])
    left = iter(lines)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(left, PARQUET_ROWS)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


_WRITERS = {".jsonl": _write_lines, ".json": _write_array, ".parquet": _write_parquet}
