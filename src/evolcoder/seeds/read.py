"""Reads seeds: every row of the source becomes a task of round 0, with its response, or a drop.

Row `n`, counted from 0, has the ordinal `n`. Instructions that differ only in white space are
duplicates, unless later turns, system turns, tools or a label tell their rows apart; with `every`,
no row is one. Of tasks with one text the first has the id of that text. Memory does not grow with
the number of rows. Quality is not judged.

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
from evolcoder.programming_language import AUXILIARY, code_blocks, named_language
from evolcoder.records import SEEN_CHARS, Drop, Origin, Reason, Response, Stage, Task
from evolcoder.safe_repr import safe_repr
from evolcoder.seeds.chats import NEEDS_IMAGE, NEEDS_TOOLS
from evolcoder.seeds.formats import CUT_ANSWERS, EXCLUDED, LABEL, SeedPair
from evolcoder.seeds.labels import LabelColumn
from evolcoder.seeds.rows import ReadCounts, describe_fields, lineage_of, read_pair
from evolcoder.seeds.sources import rows_of
from evolcoder.seeds.tables import SourceRow
from evolcoder.text import clean

_OF_CHATS = "chat: "
"""Before the instructions of chats among the texts seen."""
_PART_END = "\x1e"
"""Between the parts of a row's identity, which are compared each for itself."""
_NEEDS = {NEEDS_TOOLS: Reason.NEEDS_TOOLS, NEEDS_IMAGE: Reason.NEEDS_IMAGE}


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
    left_out: tuple[tuple[str, int], ...] = ()
    """Rows by what was left out of them, such as `later turns`."""


class Seeds:
    """The records of one source, for a single iteration, with a report of what was read so far.

    An `Origin` stands before its task.
    """

    def __init__(self, config: SeedsConfig, rows: Iterator[SourceRow], *, every: bool) -> None:
        self.read = ReadCounts(
            config.path, missing={str(name): one for name, one in config.columns.items()}
        )
        """What was read so far."""
        self._config = config
        self._labels = LabelColumn(lambda: (raw.value for raw in rows_of(config)))
        self._rows = rows
        self._every = every
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._has_chats = False
        self._unanswered: deque[tuple[str, tuple[Reason, str]]] = deque(maxlen=2)

    def __iter__(self) -> Iterator[Origin | Task | Response | Drop]:
        with closing(_SeenTexts()) as seen:
            for ordinal, raw in enumerate(self._rows):
                yield from self._records(ordinal, raw, seen)
                if self._counts["tasks"] == self._config.limit:
                    break
        self.read.check()
        if not self._counts["tasks"]:
            counts = _format_counts(self._dropped)
            raise SeedsError(
                f"{self._config.path}: none of its {self.read.n_rows} rows is usable ({counts})"
            )

    def report(self) -> SeedsReport:
        """Summarise what was read so far; the detected format is final after the iteration."""
        counts, auto = self._counts, self._config.format == "auto"
        return SeedsReport(
            self._config.path,
            self.read.format or "auto" if auto else self._config.format,
            self.read.n_rows,
            counts["tasks"],
            counts["answers"],
            tuple(sorted(self._dropped.items())),
            tuple(sorted(self.read.left_out.items())),
        )

    @property
    def n_thoughts(self) -> int:
        """Responses so far whose thinking was split off."""
        return self._counts["thoughts"]

    def why_unanswered(self, task: str) -> tuple[Reason, str]:
        """Return the reason, with evidence, why one of the last two tasks has no response."""
        return dict(self._unanswered).get(task, (Reason.EMPTY, "the row has no response"))

    def _records(
        self, ordinal: int, raw: SourceRow, seen: "_SeenTexts"
    ) -> Iterator[Origin | Task | Response | Drop]:
        """Convert a row to a task, with its response if any, or to a drop."""
        format, pair = read_pair(self._labels.without_class(raw.value), self._config)
        self.read.add(raw.value, format, pair)
        drop = self._drop(ordinal, raw, pair)
        first = ordinal if drop else seen.first(_identity(pair), ordinal)
        if first != ordinal and not self._every:
            detail = f"{raw.place} repeats the instruction of seed {first}"
            drop = _make_drop(ordinal, Reason.DUPLICATE, pair.instruction, detail)
        if drop is not None:
            self._dropped[drop.reason.value] += 1
            yield drop
            return
        self._counts["tasks"] += 1
        is_first = self._is_first(pair, first, ordinal, seen)
        language = _language(pair)
        task = Task.seed(
            pair.instruction, ordinal=ordinal, language=language, copy=0 if is_first else ordinal
        )
        yield from self._pair(task, pair, lineage_of(raw.value) if self._every else {})

    def _is_first(self, pair: SeedPair, first: int, ordinal: int, seen: "_SeenTexts") -> bool:
        """Whether no task before has this text, so that the task may have the text's id."""
        key = _OF_CHATS + pair.instruction
        if pair.turns or pair.context:
            self._has_chats = True
            return not seen.has(pair.instruction) and seen.first(key, ordinal) == ordinal
        return first == ordinal and not (self._has_chats and seen.has(key))

    def _pair(
        self, task: Task, pair: SeedPair, lineage: dict[str, str | int | float]
    ) -> Iterator[Origin | Task | Response]:
        if pair.turns or pair.context or lineage:
            yield Origin(task.ordinal, pair.turns, pair.context, lineage)
        self._counts["thoughts"] += bool(pair.thoughts)
        if LABEL in pair.left_out:
            why = "the row's label says that its response is bad"
            self._unanswered.append((task.id, (Reason.LABELLED_BAD, why)))
        elif CUT_ANSWERS in pair.left_out:
            why = "the file says that its response was cut at its longest"
            self._unanswered.append((task.id, (Reason.TRUNCATED, why)))
        elif EXCLUDED in pair.left_out:
            why = "the file says that its response is not to be learnt, as by a weight of 0"
            self._unanswered.append((task.id, (Reason.EMPTY, why)))
        elif pair.thoughts and not pair.answer:
            why = f"the row has only thought: {len(pair.thoughts)} characters, and no response"
            self._unanswered.append((task.id, (Reason.ONLY_THOUGHT, why)))
        yield task
        if pair.answer:
            self._counts["answers"] += 1
            yield Response.to(task, pair.answer, reasoning=pair.thoughts, made=None)

    def _drop(self, ordinal: int, raw: SourceRow, pair: SeedPair) -> Drop | None:
        longest, most = max(len(pair.instruction), len(pair.answer)), self._config.max_chars
        if pair.needs:
            detail = f"{raw.place} {pair.needs}"
            seen = pair.instruction or safe_repr(raw.value, SEEN_CHARS)
            return _make_drop(ordinal, _NEEDS[pair.needs], seen, detail)
        if not pair.instruction:
            detail = f"{raw.place} has no instruction: {describe_fields(raw.value)}"
            return _make_drop(
                ordinal, Reason.NO_INSTRUCTION, safe_repr(raw.value, SEEN_CHARS), detail
            )
        if longest > most:
            detail = f"{raw.place} has a text of {longest} characters; seeds.max_chars is {most}"
            return _make_drop(ordinal, Reason.TOO_LONG, pair.instruction, detail)
        return None


def read_seeds(config: SeedsConfig, *, every: bool = False) -> Seeds:
    """Open the seeds that a config names; errors in the first row are raised at once.

    With `every`, rows that repeat an instruction are tasks too, and rows keep their lineage.
    """
    rows = rows_of(config)
    first = next(rows, None)
    if first is None:
        raise SeedsError(f"{config.path}: contains no rows")
    return Seeds(config, chain([first], rows), every=every)


def _identity(pair: SeedPair) -> str:
    """Return the text by which a seed is the double of another one."""
    return _PART_END.join((pair.instruction, *pair.turns, pair.context)).rstrip(_PART_END)


class _SeenTexts:
    """Digests of the texts seen so far, in a temporary SQLite file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def first(self, text: str, row: int) -> int:
        """Return the first row with this text, ignoring white space; `row` itself if new."""
        digest = _digest(text)
        try:
            if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, row)).rowcount:
                return row
            (found,) = self._db.execute("SELECT row FROM seen WHERE digest=?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"temporary files cannot be used: {error}") from error
        return int(found)

    def has(self, text: str) -> bool:
        """Whether a row had this text, ignoring white space."""
        digest = _digest(text)
        query = "SELECT 1 FROM seen WHERE digest=?"
        return self._db.execute(query, (digest,)).fetchone() is not None

    def close(self) -> None:
        self._db.close()


def _digest(text: str) -> bytes:
    folded = _PART_END.join(" ".join(part.split()) for part in text.split(_PART_END))
    return hashlib.blake2b(folded.encode(), digest_size=16).digest()


def _language(pair: SeedPair) -> str | None:
    """Return the language that the instruction names, or else that of the response's code."""
    if (named := named_language(pair.instruction)) is not None:
        return named
    languages = [block.language for block in code_blocks(pair.answer) if block.language]
    return next((one for one in languages if one not in AUXILIARY), next(iter(languages), None))


def _make_drop(ordinal: int, reason: Reason, seen: str, detail: str) -> Drop:
    text = clean(seen[:SEEN_CHARS])
    return Drop(Stage.SEEDS, reason, "", 0, ordinal, None, text, clean(detail), None)


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
