"""Reads rows of data files as `Row` objects: the one reader of every verb and of the API.

Every row of a file becomes one `Row`. `ReadCounts` says what was read and what was left out of it;
a file of which less than nine rows in ten are read is an error. Rows of our own exports keep their
lineage; the id of any other row is a hash of its contents, so reordering a file does not change it.
Rows are streamed.

>>> next(read_rows("bundled")).task.round
0
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast, get_args

from evolcoder.config.load import SeedsConfig
from evolcoder.config.schema import ColumnName
from evolcoder.errors import ConfigError, SeedsError
from evolcoder.ids import content_id
from evolcoder.records import Response, Row, Task
from evolcoder.seeds.chats import NEEDS_IMAGE, NEEDS_TOOLS
from evolcoder.seeds.columns import at, mapped
from evolcoder.seeds.fields import TESTS
from evolcoder.seeds.formats import (
    BLANK,
    CUT_ANSWERS,
    CUT_CELLS,
    EXCLUDED,
    LABEL,
    SeedPair,
    read,
    read_detected,
    why_unread,
)
from evolcoder.seeds.labels import LabelColumn
from evolcoder.seeds.sources import rows_of
from evolcoder.text import clean, one_line

LINEAGE = ("id", "root", "parent")
"""Columns that identify a row of our own exports."""
_TEXTS = ("id", "root", "parent", "heuristic", "language", "evolver", "responder", "runs", "tests",
          "bait", "bound", "difficulty", "verified")  # fmt: skip
_COUNTS = ("round", "evolve_prompt_tokens", "evolve_completion_tokens", "evolve_attempts",
           "respond_prompt_tokens", "respond_completion_tokens", "respond_attempts")  # fmt: skip
LINEAGE_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(("tests_strength", "pass_rate"), (int, float)),
}
"""Lineage columns of our exports, with the types of their values."""
_NAMING = ("id", "root", "parent", "heuristic", "round")
MIN_READ = 0.9
"""Minimum share of the rows of a file that must be read; blank rows do not count."""
HOPELESS = 100
"""A file is given up after this many rows if none of them was read."""
MAX_COUNT = 1 << 31
"""Limit of counts in lineage columns."""
_FIELDS_CHARS = 120
_LONG_CHARS = 80
_SUBSUMED = {"output": {"alpaca"}, "response": {"alpaca"}}
"""Formats that name the same rows as another one, which has further fields."""
_WHY = {
    LABEL: "labelled bad",
    EXCLUDED: "not to be learnt",
    CUT_ANSWERS: "cut at its longest",
    CUT_CELLS: "cut by a viewer",
}
"""Why a response in a file is none, by what is left out."""
_NEEDS_TEXT = {NEEDS_TOOLS: "tools", NEEDS_IMAGE: "an image, audio or video"}


@dataclass(slots=True)
class ReadCounts:
    """What was read of one file or data set."""

    path: str
    """The file or data set, as the user named it."""
    n_rows: int = 0
    """Rows seen."""
    n_answers: int = 0
    """Rows with a task and a response."""
    n_thoughts: int = 0
    """Rows whose response came with thinking."""
    n_blank: int = 0
    """Rows whose fields are known and empty."""
    n_unknown: int = 0
    """Rows in which no task was found."""
    formats: Counter[str] = field(default_factory=Counter)
    """Rows with a task, by format."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows by what they have in addition to instruction and response, such as `later turns`."""
    needs: Counter[str] = field(default_factory=Counter)
    """Rows that are left out because they need tools or an image."""
    fields: str = ""
    """The fields of the first row in which no task was found, or of the first blank one."""
    missing: dict[str, str] = field(default_factory=dict)
    """Columns that the user named, by what they hold, that no row had so far."""
    others: str = ""
    """Fields with long texts of the first row with a task, if it has no response."""

    def add(self, value: object, format: str | None, pair: SeedPair) -> None:
        """Count a row; raises SeedsError if none of many rows was read."""
        self.n_rows += 1
        if self.missing and isinstance(value, Mapping):
            for name, column in [*self.missing.items()]:
                if at(value, column, self) is not self:
                    del self.missing[name]
        if pair.instruction:
            if not self.formats and not pair.answer and not pair.needs:
                self.others = _long_fields(value, pair)
            self.formats[format or ""] += 1
            self.n_answers += bool(pair.answer and not pair.needs)
            self.n_thoughts += bool(pair.thoughts)
            self.needs[pair.needs] += bool(pair.needs)
            self.left_out.update(pair.left_out if not pair.needs else ())
        elif pair.needs:  # such as an image without a word
            self.formats[format or ""] += 1
            self.needs[pair.needs] += 1
        elif why_unread(value) == BLANK:
            self.n_blank += 1
            self.fields = self.fields or describe_fields(value)
        else:
            self.fields = describe_fields(value) if not self.n_unknown else self.fields
            self.n_unknown += 1
        if self.n_unknown == HOPELESS and not self.formats:
            self.check()

    def check(self) -> None:
        """Raise SeedsError if less than nine rows in ten were read, or a column was in none."""
        n_read = self.formats.total()
        if n_read and n_read >= MIN_READ * (n_read + self.n_unknown):
            if self.missing:
                named = ", ".join(f"{name}={column}" for name, column in self.missing.items())
                raise SeedsError(f"{self.path}: no row has the column of {named}")
            return
        if not self.n_rows:
            return
        hint = f"{self.fields}; name the columns, as in --columns instruction=NAME,response=NAME"
        if not self.n_unknown:
            raise SeedsError(
                f"{self.path}: none of its {self.n_rows} rows is usable (no_instruction "
                f"{self.n_blank}); no task was found: the first row has {hint}"
            )
        raise SeedsError(
            f"{self.path}: a task was found in {n_read} of {self.n_rows} rows, which is less than "
            f"nine in ten; the first other row has {hint}"
        )

    @property
    def format(self) -> str:
        """The formats read, most frequent first; empty if no row was read."""
        names = [name for name, _ in self.formats.most_common()]
        return ", ".join(name for name in names if not _SUBSUMED.get(name, set()) & {*names})

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain data."""
        return {
            "path": self.path,
            "rows": self.n_rows,
            "read": self.formats.total(),
            "answers": self.n_answers,
            "thoughts": self.n_thoughts,
            "format": self.format,
            "left_out": dict(self.left_out),
            "needs": {name: n for name, n in self.needs.items() if n},
            "blank": self.n_blank,
            "unknown": self.n_unknown,
        }

    def text(self, *, whole: bool = False) -> str:
        """Say in one line what was read and what was left out.

        `whole`: rows are compared with all that they have, and only unreadable ones are left out.
        """
        read = f"{self.formats.total()} of {self.n_rows} rows read as {self.format or 'nothing'}"
        parts = [f"{self.path}: {read}, {self.n_answers} with a response"]
        if self.n_thoughts:
            parts[0] += f", {self.n_thoughts} with thinking kept apart"
        if self.others and not self.n_answers:
            parts.append(
                f"if a response is in {self.others}, name it, as in --columns response=NAME"
            )
        if self.left_out:
            named = ", ".join(f"{name} {n}" for name, n in self.left_out.most_common())
            parts.append(f"rows with {named}" if whole else f"left out of rows: {named}")
        needing = [f"{_NEEDS_TEXT[name]} needed {n}" for name, n in self.needs.items() if n]
        rows = [f"blank {self.n_blank}"] if self.n_blank else []
        rows += [f"no task found {self.n_unknown} ({self.fields})"] if self.n_unknown else []
        if whole and needing:
            parts.append(f"rows with {', '.join(needing)}")
        elif needing:
            rows = [*needing, *rows]
        if rows:
            parts.append(f"{'not compared' if whole else 'rows left out'}: {', '.join(rows)}")
        return "; ".join(parts)


def read_rows(
    path: str, columns: Mapping[ColumnName, str] | None = None, counts: ReadCounts | None = None
) -> Iterator[Row]:
    """Read a file or Hub data set, detecting the format of each row; raises SeedsError."""
    source = SeedsConfig(path=path, columns=dict(columns or {}))
    return (placed.row for placed in placed_rows(source, counts))


COLUMNS_HELP = (
    "columns of the data, such as instruction=q,response=a (repeatable); default: detected"
)


def columns_from(flags: Sequence[str]) -> dict[ColumnName, str]:
    """Read `NAME=COLUMN,...` as it is given on the command line; raises ConfigError."""
    parts = [part.partition("=") for flag in flags for part in flag.split(",")]
    return check_columns({name.strip(): column.strip() for name, _, column in parts})


def check_columns(columns: Mapping[str, str]) -> dict[ColumnName, str]:
    """Return a map of columns; raises ConfigError if a name is unknown or a column is missing."""
    known = get_args(ColumnName)
    if not isinstance(columns, Mapping):
        raise ConfigError(f"columns: {columns!r}: give a mapping, such as {{'instruction': 'q'}}")
    for name, column in columns.items():
        if name not in known or not column:
            raise ConfigError(
                f"columns: {name}={column}: write it as NAME=COLUMN, with a name of "
                f"{', '.join(known)}"
            )
    return cast("dict[ColumnName, str]", dict(columns))


class PlacedRow(NamedTuple):
    """A row with its location."""

    place: str
    """Location, such as `data.jsonl line 7`."""
    row: Row
    """The row; with empty texts if no task was found."""
    why: str = ""
    """Why it cannot be used, such as `needs tools`, `labelled bad` or `not to be learnt`; empty if
    it can, or has no response."""


def read_placed_rows(
    paths: Sequence[str],
    columns: Mapping[ColumnName, str] | None = None,
    counts: "list[ReadCounts] | None" = None,
) -> Iterator[PlacedRow]:
    """Read several files or Hub data sets in order; raises SeedsError."""
    for path in paths:
        source = SeedsConfig(path=path, columns=dict(columns or {}))
        count = ReadCounts(path)
        if counts is not None:
            counts.append(count)
        yield from placed_rows(source, count)


def placed_rows(source: SeedsConfig, counts: ReadCounts | None = None) -> Iterator[PlacedRow]:
    """Read one source; raises SeedsError at the end if less than nine rows in ten were read."""
    counts = counts or ReadCounts(source.path)
    counts.missing = {str(name): column for name, column in source.columns.items()}
    labels = LabelColumn(lambda: (raw.value for raw in rows_of(source)))
    for raw in rows_of(source):
        format, pair = read_pair(labels.without_class(raw.value), source)
        counts.add(raw.value, format, pair)
        why = pair.needs or ("" if pair.answer else _why_unanswered(pair))
        yield PlacedRow(f"{source.path} {raw.place}", row_from(raw.value, pair), why)
    counts.check()


def _why_unanswered(pair: SeedPair) -> str:
    """Return why a row has no response although its file has one; empty if it has none."""
    return next((why for name, why in _WHY.items() if name in pair.left_out), "")


def read_pair(value: object, source: SeedsConfig) -> tuple[str | None, SeedPair]:
    """Read a row as the config says; return its format, None if it is unknown, and the pair."""
    if source.columns:
        value = mapped(value, {str(name): column for name, column in source.columns.items()})
    if source.format == "auto":
        return read_detected(value)
    return source.format, read(value, source.format)


def lineage_of(value: object) -> dict[str, str | int | float]:
    """Return the lineage columns of a row.

    All columns of our own exports; of another row those that name the row and its ancestors.
    """
    if not isinstance(value, Mapping):
        return {}
    is_ours = all(isinstance(value.get(key), str) for key in LINEAGE)
    kinds = LINEAGE_KINDS if is_ours else {name: LINEAGE_KINDS[name] for name in _NAMING}
    found = {name: _lineage_value(name, value.get(name)) for name in kinds}
    return {name: one for name, one in found.items() if one is not None and one != ""}


def _lineage_value(name: str, value: object) -> str | int | float | None:
    """Return the value of a lineage column as every export can hold it; None if it cannot.

    Texts can be encoded, counts have 31 bits, and the number of a row is an id too.
    """
    kind = LINEAGE_KINDS[name]
    if isinstance(value, bool):
        return None
    if kind is str:
        is_number = isinstance(value, int) and name in LINEAGE and abs(value) < 1 << 63
        return clean(value) if isinstance(value, str) else str(value) if is_number else None
    if isinstance(value, int):
        return value if 0 <= value < MAX_COUNT else None
    return value if isinstance(value, float) and kind is not int and 0 <= value <= 1 else None


def _long_fields(value: object, pair: SeedPair) -> str:
    """Name the fields of a row that hold other long texts than its task."""
    if not isinstance(value, Mapping) or LABEL in pair.left_out:
        return ""
    names = [
        str(name)
        for name, text in ((name, _first_text(one)) for name, one in value.items())
        if name not in TESTS
        and ("\n" in text.strip() or len(text) >= _LONG_CHARS)
        and text.strip()[:_LONG_CHARS] not in pair.instruction
    ]
    return one_line(" or ".join(names), _FIELDS_CHARS) if names else ""


def _first_text(value: object) -> str:
    """Return a text, or the first of a list of texts; empty for another value."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


def describe_fields(value: object) -> str:
    """Name the fields of a row."""
    if not isinstance(value, Mapping):
        return f"no fields but a value of type {type(value).__name__}"
    return one_line(f"the fields {', '.join(map(str, value)) or '(none)'}", _FIELDS_CHARS)


def row_from(value: object, pair: SeedPair) -> Row:
    """Make the `Row` of a row that was read, with its lineage if it has one."""
    new = content_id("row", [pair.instruction, pair.answer])
    if pair.turns or pair.context:
        new = content_id("row", [pair.instruction, pair.answer, *pair.turns, pair.context])
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
    came = lineage_of(value)
    return Row(
        task, response, None, turns=pair.turns, context=pair.context, lineage=came,
        further="\n\n".join(filter(None, (pair.thoughts, pair.further))),
    )  # fmt: skip


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
