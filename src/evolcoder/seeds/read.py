"""Seeds: rows of a file or data set become the tasks of round 0, their answers, and drops.

Promises: every row read is one task or one drop, in the order of the file, and row `n`, counted
from 0, has the ordinal `n`; memory does not grow with the number of rows. Two instructions that
differ in white space alone are one. Does not judge whether an instruction or its answer is any
good.

>>> seeds = read_seeds(SeedsConfig(limit=8))
>>> records = list(seeds)
>>> seeds.report().n_tasks
8
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from evolcoder.config.load import SeedsConfig
from evolcoder.errors import SeedsError, StoreError
from evolcoder.records import SEEN_CHARS, Drop, Reason, Response, Stage, Task
from evolcoder.safe_repr import safe_repr
from evolcoder.seeds.formats import FORMATS, SeedPair, fitting, read
from evolcoder.seeds.sources import SourceRow, rows_of
from evolcoder.text import clean, code_blocks, named_language, one_line

_FIELDS_CHARS = 120


@dataclass(frozen=True, slots=True)
class SeedsReport:
    """What was found in a source of seeds."""

    source: str
    """The file or data set, as the config names it."""
    format: str
    """The rows' format, forced or recognised."""
    n_rows: int
    """Rows read; tasks and drops together."""
    n_tasks: int
    """Rows that became a task."""
    n_answers: int
    """Tasks that came with an answer."""
    dropped: tuple[tuple[str, int], ...]
    """Reason and count of the other rows."""


class Seeds:
    """The records of one source, to be iterated once, and the report on what was read so far."""

    def __init__(self, config: SeedsConfig, rows: Iterator[SourceRow]) -> None:
        self._config = config
        self._rows = rows
        self._formats = list(FORMATS) if config.format == "auto" else [config.format]
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._fields = ""

    def __iter__(self) -> Iterator[Task | Response | Drop]:
        with closing(_Seen()) as seen:
            for ordinal, raw in enumerate(self._rows):
                yield from self._records(ordinal, raw, seen)
                if self._counts["tasks"] == self._config.limit:
                    break
        if not self._counts["tasks"]:
            raise SeedsError(
                f"{self._config.path}: none of its {self._counts['rows']} rows is usable "
                f"({_listed(self._dropped)}); the first has {self._fields}; a task is read from "
                f"instruction, problem, prompt, messages or conversations"
            )

    def report(self) -> SeedsReport:
        """Count what was read so far; the format is sure when the iteration has ended."""
        counts = self._counts
        return SeedsReport(
            self._config.path,
            self._formats[0],
            counts["rows"],
            counts["tasks"],
            counts["answers"],
            tuple(sorted(self._dropped.items())),
        )

    def _records(
        self, ordinal: int, raw: SourceRow, seen: "_Seen"
    ) -> Iterator[Task | Response | Drop]:
        """Turn a row into a task, with its answer if it has one, or into a drop."""
        self._counts["rows"] += 1
        self._fields = self._fields or _fields(raw.value)
        pair = read(raw.value, self._format_of(raw))
        drop = self._drop(ordinal, raw, pair, seen)
        if drop is not None:
            self._dropped[drop.reason.value] += 1
            yield drop
            return
        self._counts["tasks"] += 1
        task = Task.seed(pair.instruction, ordinal=ordinal, language=_language(pair))
        yield task
        if pair.answer:
            self._counts["answers"] += 1
            yield Response.to(task, pair.answer, made=None)

    def _format_of(self, raw: SourceRow) -> str:
        """Narrow the formats that this file may be in to those that read this row too."""
        fits = fitting(raw.value)
        if self._config.format == "auto" and fits:
            left = [format for format in self._formats if format in fits]
            if not left:
                raise SeedsError(
                    f"{self._config.path}: {raw.place} has {_fields(raw.value)}, but the rows "
                    f"before it are in the format {self._formats[0]}; split the file, or force "
                    f"one format with seeds.format"
                )
            self._formats = left
        return self._formats[0]

    def _drop(self, ordinal: int, raw: SourceRow, pair: SeedPair, seen: "_Seen") -> Drop | None:
        longest, most = max(len(pair.instruction), len(pair.answer)), self._config.max_chars
        if not pair.instruction:
            detail = f"{raw.place} has no instruction: {_fields(raw.value)}"
            return _dropped(
                ordinal, Reason.NO_INSTRUCTION, safe_repr(raw.value, SEEN_CHARS), detail
            )
        if longest > most:
            detail = f"{raw.place} has a text of {longest} characters; seeds.max_chars is {most}"
            return _dropped(ordinal, Reason.TOO_LONG, pair.instruction, detail)
        if (first := seen.first(pair.instruction, ordinal)) != ordinal:
            detail = f"{raw.place} repeats the instruction of seed {first}"
            return _dropped(ordinal, Reason.DUPLICATE, pair.instruction, detail)
        return None


def read_seeds(config: SeedsConfig) -> Seeds:
    """Open the seeds that a config names; what is wrong with its first row is raised at once."""
    rows = rows_of(config)
    first = next(rows, None)
    if first is None:
        raise SeedsError(f"{config.path}: holds no rows; name a file with at least one")
    return Seeds(config, chain([first], rows))


class _Seen:
    """The texts seen so far, as digests in a temporary file of SQLite's, gone when closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def first(self, text: str, row: int) -> int:
        """Return the row that first held this text, white space folded; `row` itself if new."""
        digest = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
        try:
            if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, row)).rowcount:
                return row
            (found,) = self._db.execute("SELECT row FROM seen WHERE digest=?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the folder for temporary files: cannot be used: {error}") from error
        return int(found)

    def close(self) -> None:
        self._db.close()


def _language(pair: SeedPair) -> str | None:
    """Find the language that the task names, or else the one that the answer's code is in."""
    if (named := named_language(pair.instruction)) is not None:
        return named
    return next((block.language for block in code_blocks(pair.answer) if block.language), None)


def _dropped(ordinal: int, reason: Reason, seen: str, detail: str) -> Drop:
    text = clean(seen[:SEEN_CHARS])
    return Drop(Stage.SEEDS, reason, "", 0, ordinal, None, text, clean(detail), None)


def _fields(value: object) -> str:
    if not isinstance(value, Mapping):
        return f"no fields but a value of type {type(value).__name__}"
    return one_line(f"the fields {', '.join(map(str, value)) or '(none)'}", _FIELDS_CHARS)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
