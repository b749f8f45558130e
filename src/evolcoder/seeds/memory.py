"""Reads rows in memory: dictionaries, texts, DataFrames, Arrow tables and data sets.

Guarantees what `seeds.rows` does for files: rows of which less than nine in ten are read are an
error, and none becomes an empty row silently. The libraries are not imported.

>>> rows_in_memory(["Sort it."], {})[0].task.instruction
'Sort it.'
"""

from collections.abc import Iterable, Mapping
from typing import Any

from evolcoder.config.load import SeedsConfig
from evolcoder.config.schema import ColumnName
from evolcoder.errors import ConfigError
from evolcoder.records import Row
from evolcoder.seeds.labels import LabelColumn
from evolcoder.seeds.rows import ReadCounts, read_pair, row_from

NAME = "rows"
"""What messages call rows that have no file."""
_LISTS = ("to_pylist", "to_dicts")
"""Methods of Arrow's and Polars' tables that return a list of rows."""


def rows_in_memory(rows: object, columns: Mapping[ColumnName, str]) -> list[Row]:
    """Read rows in memory; a text is a task.

    Raises ConfigError for what holds no rows, SeedsError if less than nine rows in ten are read.
    """
    values = _values(rows)
    labels = LabelColumn(lambda: values)
    source, counts, found = SeedsConfig(columns=dict(columns)), ReadCounts(NAME), list[Row]()
    for one in values:
        if isinstance(one, Row):
            found.append(one)
            continue
        value = labels.without_class(one)
        format, pair = read_pair(value, source)
        counts.add(value, format, pair)
        found.append(row_from(value, pair))
    counts.check()
    return found


def _values(rows: object) -> list[object]:
    """Return the rows of a container, as plain data."""
    kind = type(rows).__name__
    if isinstance(rows, Mapping):
        what = "its values, such as rows['train'], or a list with it"
        raise ConfigError(f"{NAME}: a {kind} is no list of rows; give {what}")
    for method in _LISTS:
        if hasattr(rows, method):
            return [_plain(one) for one in getattr(rows, method)()]
    if hasattr(rows, "iterrows") and hasattr(rows, "to_dict"):  # pandas
        return [_plain(one) for one in rows.to_dict("records")]
    if not isinstance(rows, Iterable) or isinstance(rows, bytes | bytearray):
        raise ConfigError(f"{NAME}: a {kind} is no list of rows; give a list, a path or a Hub id")
    return [one if isinstance(one, Row) else _plain(one) for one in rows]


def _plain(value: Any) -> object:  # noqa: ANN401 - of any library
    """Return a row as plain data: arrays become lists, and pandas' NaN a missing value."""
    if isinstance(value, str):
        return {"instruction": str(value)}
    return _plain_cell(value)


def _plain_cell(value: Any) -> object:  # noqa: ANN401 - of any library
    if isinstance(value, Mapping):
        return {name: _plain_cell(cell) for name, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_cell(cell) for cell in value]
    if hasattr(value, "tolist"):  # numpy
        return _plain_cell(value.tolist())
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
