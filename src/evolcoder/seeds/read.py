"""Reads seeds: every row of the source becomes a task of round 0, with its response, or a drop.

Row `n`, counted from 0, has the ordinal `n`. Instructions that differ only in white space are
duplicates. Memory does not grow with the number of rows. Quality is not judged.

>>> seeds = read_seeds(SeedsConfig(limit=8))
>>> records = list(seeds)
>>> seeds.report().n_tasks
8
"""

import hashlib
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from evolcoder.config.load import SeedsConfig
from evolcoder.errors import SeedsError, StoreError
from evolcoder.records import SEEN_CHARS, Drop, Reason, Response, Stage, Task
from evolcoder.safe_repr import safe_repr
from evolcoder.seeds.formats import FORMATS, SeedPair, matching_formats, read
from evolcoder.seeds.sources import SourceRow, rows_of
from evolcoder.text import clean, code_blocks, named_language, one_line

_FIELDS_CHARS = 120


@dataclass(frozen=True, slots=True)
class SeedsReport:
    """Summary of a source of seeds."""

    source: str
    """The file or data set, as in the config."""
    format: str
    """Format of the rows, configured or detected."""
    n_rows: int
    """Rows read: tasks plus drops."""
    n_tasks: int
    """Tasks."""
    n_answers: int
    """Tasks with a response."""
    dropped: tuple[tuple[str, int], ...]
    """Drops by reason."""


class Seeds:
    """The records of one source, for a single iteration, with a report of what was read so far."""

    def __init__(self, config: SeedsConfig, rows: Iterator[SourceRow]) -> None:
        self._config = config
        self._rows = rows
        self._formats = list(FORMATS) if config.format == "auto" else [config.format]
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._fields = ""
        self._only_thought: deque[tuple[str, int]] = deque(maxlen=2)

    def __iter__(self) -> Iterator[Task | Response | Drop]:
        with closing(_SeenTexts()) as seen:
            for ordinal, raw in enumerate(self._rows):
                yield from self._records(ordinal, raw, seen)
                if self._counts["tasks"] == self._config.limit:
                    break
        if not self._counts["tasks"]:
            raise SeedsError(
                f"{self._config.path}: none of its {self._counts['rows']} rows is usable "
                f"({_format_counts(self._dropped)}); the first row has {self._fields}; a task is "
                f"read from instruction, problem, prompt, messages or conversations"
            )

    def report(self) -> SeedsReport:
        """Summarise what was read so far; the detected format is final after the iteration."""
        counts = self._counts
        return SeedsReport(
            self._config.path,
            self._formats[0],
            counts["rows"],
            counts["tasks"],
            counts["answers"],
            tuple(sorted(self._dropped.items())),
        )

    @property
    def n_thoughts(self) -> int:
        """Responses so far whose thinking was split off."""
        return self._counts["thoughts"]

    def thought_chars(self, task: str) -> int:
        """Return the characters of a task's thinking, if it is all of its response; else 0.

        Known for the last two tasks.
        """
        return dict(self._only_thought).get(task, 0)

    def _records(
        self, ordinal: int, raw: SourceRow, seen: "_SeenTexts"
    ) -> Iterator[Task | Response | Drop]:
        """Convert a row to a task, with its response if any, or to a drop."""
        self._counts["rows"] += 1
        self._fields = self._fields or _describe_fields(raw.value)
        pair = read(raw.value, self._format_of(raw))
        drop = self._drop(ordinal, raw, pair, seen)
        if drop is not None:
            self._dropped[drop.reason.value] += 1
            yield drop
            return
        self._counts["tasks"] += 1
        task = Task.seed(pair.instruction, ordinal=ordinal, language=_language(pair))
        if pair.thoughts:
            self._counts["thoughts"] += 1
            if not pair.answer:
                self._only_thought.append((task.id, len(pair.thoughts)))
        yield task
        if pair.answer:
            self._counts["answers"] += 1
            yield Response.to(task, pair.answer, reasoning=pair.thoughts, made=None)

    def _format_of(self, raw: SourceRow) -> str:
        """Narrow the file's possible formats to those that fit this row too; return the first."""
        matching = matching_formats(raw.value)
        if self._config.format == "auto" and matching:
            remaining = [format for format in self._formats if format in matching]
            if not remaining:
                raise SeedsError(
                    f"{self._config.path}: {raw.place} has {_describe_fields(raw.value)}, but the "
                    f"rows before it have the format {self._formats[0]}; split the file, or set "
                    f"seeds.format"
                )
            self._formats = remaining
        return self._formats[0]

    def _drop(
        self, ordinal: int, raw: SourceRow, pair: SeedPair, seen: "_SeenTexts"
    ) -> Drop | None:
        longest, most = max(len(pair.instruction), len(pair.answer)), self._config.max_chars
        if not pair.instruction:
            detail = f"{raw.place} has no instruction: {_describe_fields(raw.value)}"
            return _make_drop(
                ordinal, Reason.NO_INSTRUCTION, safe_repr(raw.value, SEEN_CHARS), detail
            )
        if longest > most:
            detail = f"{raw.place} has a text of {longest} characters; seeds.max_chars is {most}"
            return _make_drop(ordinal, Reason.TOO_LONG, pair.instruction, detail)
        if (first := seen.first(pair.instruction, ordinal)) != ordinal:
            detail = f"{raw.place} repeats the instruction of seed {first}"
            return _make_drop(ordinal, Reason.DUPLICATE, pair.instruction, detail)
        return None


def read_seeds(config: SeedsConfig) -> Seeds:
    """Open the seeds that a config names; errors in the first row are raised at once."""
    rows = rows_of(config)
    first = next(rows, None)
    if first is None:
        raise SeedsError(f"{config.path}: contains no rows")
    return Seeds(config, chain([first], rows))


class _SeenTexts:
    """Digests of the texts seen so far, in a temporary SQLite file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def first(self, text: str, row: int) -> int:
        """Return the first row with this text, ignoring white space; `row` itself if new."""
        digest = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
        try:
            if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, row)).rowcount:
                return row
            (found,) = self._db.execute("SELECT row FROM seen WHERE digest=?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"temporary files cannot be used: {error}") from error
        return int(found)

    def close(self) -> None:
        self._db.close()


def _language(pair: SeedPair) -> str | None:
    """Return the language that the instruction names, or else that of the response's code."""
    if (named := named_language(pair.instruction)) is not None:
        return named
    return next((block.language for block in code_blocks(pair.answer) if block.language), None)


def _make_drop(ordinal: int, reason: Reason, seen: str, detail: str) -> Drop:
    text = clean(seen[:SEEN_CHARS])
    return Drop(Stage.SEEDS, reason, "", 0, ordinal, None, text, clean(detail), None)


def _describe_fields(value: object) -> str:
    if not isinstance(value, Mapping):
        return f"no fields but a value of type {type(value).__name__}"
    return one_line(f"the fields {', '.join(map(str, value)) or '(none)'}", _FIELDS_CHARS)


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
