"""Reads rows of tables and lists: CSV, TSV, plain text, and the tables that JSON holds.

Guarantees: no cell is cut or shifted without a word, and no line of a table or of a longer text is
read as a task: such a file is an error that names the row. Rows of CSV and plain text are streamed.

>>> rows_of_table({"columns": ["question", "answer"], "data": [["1 + 1?", "2"]]})
[{'question': '1 + 1?', 'answer': '2'}]
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from evolcoder import input_files
from evolcoder.errors import SeedsError
from evolcoder.seeds.answers import listed
from evolcoder.seeds.formats import read_detected

MORE_FIELDS = "(more)"
"""Field with the values of a CSV row that its header does not name."""
_SEPARATOR = re.compile(r"sep=([,;\t|])\s*")
"""First line of a table that Excel wrote."""
_UNUSED = "\x1f"
"""Delimiter that no table has."""
_ITEM = re.compile(r"\A\s*(?:\d+[.)]|[-*•])\s+")
"""Number or mark of an item of a list."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """An unparsed row."""

    place: str
    """Its place, counted from 1: `line 1` or `row 1`."""
    value: object
    """Its value; a mapping, if it is a valid row."""


def csv_rows(file: BinaryIO, name: str, kind: str) -> Iterator[SourceRow]:
    """Read rows below a header; the delimiter of a .csv file is the one of its header."""
    csv.field_size_limit(input_files.MAX_MB << 20)
    number = 0
    try:
        with io.TextIOWrapper(file, "utf-8", newline="") as text:
            head, delimiter = _header(text, "\t" if kind == ".tsv" else ",;\t|")
            lines = chain(head.splitlines(keepends=True), text)
            rows = csv.DictReader(
                lines,
                delimiter=delimiter,
                restkey=MORE_FIELDS,
                strict=True,
                skipinitialspace=delimiter in ",;",  # before a quote
            )
            names = [str(one).strip() for one in rows.fieldnames or () if one]
            if twice := next((one for one in names if names.count(one) > 1), ""):
                raise SeedsError(f"{name}: has the column {twice!r} twice; remove one")
            for row in rows:
                number += 1
                if any(row.pop(MORE_FIELDS, ())):
                    raise SeedsError(
                        f"{name}: row {number} has more cells than the header; put texts that "
                        f"hold {delimiter!r} into quotes"
                    )
                named = {str(key).strip(): value for key, value in row.items()}
                yield SourceRow(f"row {number}", named)
    except UnicodeDecodeError as error:
        raise SeedsError(
            f"{name}: is not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise SeedsError(f"{name}: row {number + 1} {_why(error)}") from error


def _header(text: io.TextIOWrapper, marks: str) -> tuple[str, str]:
    """Return the header of a table, whose names may have line breaks, and its delimiter."""
    most = input_files.MAX_BLANK
    head = text.readline(most)
    if separator := _SEPARATOR.fullmatch(head):
        head, marks = text.readline(most), separator[1]
    while head.count('"') % 2 and len(head) < most and (more := text.readline(most)):
        head += more
    delimiter = max(marks, key=lambda mark: (head.count(mark), -marks.index(mark)))
    return head, delimiter if delimiter in head else _UNUSED  # texts of one column hold any


def _why(error: csv.Error) -> str:
    """Say what is wrong with a row, and what to do."""
    if "end of data" in str(error):
        return "has a quote that is never closed; close it, or double it if it is part of a text"
    if "expected after" in str(error):
        return "has a quote inside a text in quotes; write it twice"
    return f"is not CSV: {error}"


def plain_rows(lines: Iterable[tuple[int, bytes]], name: str) -> Iterator[SourceRow]:
    """Read one task a line, without the marks of a list if the first line has one."""
    before, mark = -1, re.compile(r"(?!)")
    for number, line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise input_files.NotJSONError(input_files.not_utf8(line, error, number)) from error
        if before < 0:
            mark = _ITEM if _ITEM.match(text) else mark
            _check_no_header(text, number, name)
        _check_task(text, number, is_below=number == before + 1, name=name)
        before = number
        for task in filter(None, map(str.strip, text.split("\r"))):
            yield SourceRow(f"line {number}", {"instruction": mark.sub("", task)})


def _check_no_header(text: str, number: int, name: str) -> None:
    """Refuse a first line that is the header of a table."""
    if is_header([one.strip(' "') for one in re.split("[,;|\t]", text.strip())]):
        raise SeedsError(f"{name}: line {number} is that of a table; name the file .tsv or .csv")


def _check_task(text: str, number: int, *, is_below: bool, name: str) -> None:
    """Refuse the row of a table, and a line that continues the one before it."""
    if "\t" in text.strip():
        raise SeedsError(f"{name}: line {number} is that of a table; name the file .tsv or .csv")
    if (is_below and text[:1].isspace() and text.strip()) or text.startswith("```"):
        raise SeedsError(
            f"{name}: line {number} continues the task above it; a text file has one task a "
            f"line; write longer ones as JSON lines"
        )


def is_header(cells: object) -> bool:
    """Whether a list of texts is the header of a table: names of fields with a task and more."""
    names = [one for one in listed(cells) if isinstance(one, str)]
    is_texts = names == cells
    return is_texts and bool(read_detected(dict.fromkeys(names, "a task"))[1].answer)


def rows_below(names: Sequence[str], cells: Iterable[tuple[str, object]]) -> Iterator[SourceRow]:
    """Yield the rows below a header."""
    for place, one in cells:
        row = zip(names, listed(one), strict=False)
        yield SourceRow(place, dict(row) if 0 < len(listed(one)) <= len(names) else one)


def rows_of_table(value: Mapping[str, object]) -> list[object]:
    """Return the rows of a table of names and cells, as W&B and pandas (`split`) write it."""
    names, cells = value.get("columns"), value.get("data")
    if is_header(next(iter(listed(value.get("values"))), None)):  # as Google Sheets has it
        names, *rows = listed(value["values"])
        cells = (("", one) for one in rows)
        return [row.value for row in rows_below([*map(str, listed(names))], cells)]
    if not isinstance(names, list) or not isinstance(cells, list) or not names:
        return []
    if not all(isinstance(one, list) and len(one) == len(names) for one in cells):
        return []
    return [dict(zip(map(str, names), one, strict=True)) for one in cells]


def rows_of_columns(value: Mapping[str, object]) -> list[object]:
    """Return the rows of an object that holds a list, or values by number, for each column."""
    columns = [
        list(one.values()) if isinstance(one, Mapping) else one
        for one in value.values()
        if isinstance(one, Mapping | list)
    ]
    if len(columns) != len(value) or len(value) < 2 or len({len(one) for one in columns}) > 1:
        return []
    found: list[object] = [
        dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)
    ]
    return found if any(read_detected(row)[1].instruction for row in found) else []
