"""Write a training set in several formats, each with its card and with what trainers want to read.

Promises: one pass over the rows per format, a row at a time, so that memory stays flat; every file
is whole or not there; the same rows and facts give the same bytes. An export that exists is
overwritten file by file, and no link in it is followed out of it. Does not choose or order rows:
that is the caller's.

    <out>/<format>/data.json, data.jsonl or data.parquet
    <out>/<format>/README.md             the data set card; `load_dataset(<folder>)` follows it
    <out>/<format>/dataset_info.json     for LLaMA-Factory, if it reads the format
    <out>/<format>/axolotl.yaml          for axolotl, if it reads the format

>>> export(lambda _: store.rows(), ["messages"], Path("runs/x/export"), facts)   # doctest: +SKIP
[PosixPath('runs/x/export/messages/data.jsonl')]
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson
import yaml

from evolcoder.config.load import ExportFormat
from evolcoder.errors import ConfigError, RunFolderError
from evolcoder.exports.card import CardFacts, RowCounts, card
from evolcoder.exports.formats import FORMATS, Columns, Format
from evolcoder.records import Row
from evolcoder.storage import atomic

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

    `rows` gives the rows of a format, afresh for each. No link leads out of `out`, or out of the
    run that it lies in.
    """
    made, inside = [], atomic.boundary(out) or out
    for name in formats:
        atomic.make_folder(out / name, inside=inside, error=RunFolderError)
        made.append(_export_one(rows(name), FORMATS[name], _Out(out / name, inside), facts))
    return made


@dataclass(frozen=True, slots=True)
class _Out:
    """Where a format goes."""

    folder: Path
    """Its folder."""
    inside: Path
    """What no link leads out of."""

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        atomic.write_text(path, text, inside=self.inside, error=RunFolderError)


def _export_one(rows: Iterable[Row], format: Format, out: _Out, facts: CardFacts) -> Path:
    path, tally = out.folder / format.file, RowCounts()
    lines = (format.columns(row) for row in tally.counting(rows))
    with atomic.open_binary(path, inside=out.inside, error=RunFolderError) as file:
        _WRITERS[path.suffix](lines, file, format)
    out.write("README.md", card(facts, format, tally))
    if format.llamafactory:
        entry = {DATASET: {"file_name": format.file, **format.llamafactory}}
        out.write("dataset_info.json", json.dumps(entry, indent=2) + "\n")
    if format.axolotl:
        stanza = {"datasets": [{"path": format.file, **format.axolotl}]}
        out.write("axolotl.yaml", _AXOLOTL_HEAD + yaml.safe_dump(stanza, sort_keys=False))
    return path


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
