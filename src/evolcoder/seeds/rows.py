"""Reads rows of data files as `Row` objects: the one reader of every verb and of the API.

Every row of a file becomes one `Row`, with empty texts where its format is unknown. Rows of our own
exports keep their lineage; the id of any other row is a hash of its contents, so reordering a file
does not change it. Rows are streamed.

>>> next(read_rows("bundled")).task.round
0
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evolcoder.config.load import SeedsConfig
from evolcoder.ids import content_id
from evolcoder.records import Response, Row, Task
from evolcoder.seeds.formats import FORMATS, SeedPair, matching_formats, read
from evolcoder.seeds.sources import rows_of

LINEAGE = ("id", "root", "parent")
"""Columns that identify a row of our own exports."""


def read_rows(path: str) -> Iterator[Row]:
    """Read a file or Hub data set, detecting the format of each row; raises SeedsError."""
    return (placed.row for placed in read_placed_rows([path]))


class PlacedRow(NamedTuple):
    """A row with its location."""

    place: str
    """Location, such as `data.jsonl line 7`."""
    row: Row
    """The row."""


def read_placed_rows(paths: Sequence[str]) -> Iterator[PlacedRow]:
    """Read several files or Hub data sets in order; raises SeedsError."""
    for path in paths:
        for source in rows_of(SeedsConfig(path=path)):
            yield PlacedRow(f"{path} {source.place}", row_of(source.value))


def row_of(value: object) -> Row:
    """Read a row of a data file in whichever format it is, with its lineage if it has one.

    A row without a known field has an empty task and an empty answer.
    """
    fits = matching_formats(value)
    format = next((name for name in FORMATS if name in fits), None)
    pair = read(value, format) if format else SeedPair("", "")
    new = content_id("row", [pair.instruction, pair.answer])
    task = Task(new, pair.instruction, 0, 0, new, None, None, None, None)
    if isinstance(value, Mapping) and all(isinstance(value.get(key), str) for key in LINEAGE):
        round = value.get("round")
        task = replace(
            task,
            id=str(value["id"]),
            root=str(value["root"]),
            parent=str(value["parent"]) or None,
            round=round if isinstance(round, int) and 0 <= round < 1 << 31 else 0,
            heuristic=_text(value.get("heuristic")),
            language=_text(value.get("language")),
        )
    response = Response.to(task, pair.answer, reasoning=pair.thoughts, made=None)
    return Row(task, response, None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
