"""Reads the dropped rows of a cleaned file page by page, and single rows with their texts.

Where each drop begins in the file of drops is noted once, in a thread: 17 bytes for a row. The file
that was cleaned is read in a thread too, since a row of it can only be found by reading up to it.

>>> found = CleanedFile(source, data_dir=None)   # doctest: +SKIP
>>> found.page("leak", after=0).rows[0].number
"""

import json
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.errors import UserError
from evolcoder.report import cleaning
from evolcoder.report.content import ReportRecord
from evolcoder.report.leaks import LeakedRow, leaks_section, sentence
from evolcoder.view.latest import Latest
from evolcoder.view.sources import ReportSource, stamp_of

PAGE = 50
"""Rows on a page."""
MAX_LINE = 64 << 20
"""Most bytes of a line that is read."""
READ_S = 600.0
"""Seconds that the texts of a row wait for the drops, in their own thread."""
KNOWN_ROWS = 32
"""Rows whose texts are kept for a next look."""


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that cleaning dropped."""

    number: int
    """Its number in the file that was cleaned, from 0."""
    reason: str
    """Why it was dropped."""
    facts: Mapping[str, Any]
    """The evidence, as it is stored."""

    @property
    def kept(self) -> int | None:
        """Number of the row that was kept; None for a leak, or a row of another file."""
        number = self.facts.get("match_number")
        is_own = not self.facts.get("match_is_beside")
        return number if isinstance(number, int) and is_own else None

    @property
    def seen(self) -> str:
        """The beginning of its text; empty if it is not stored."""
        return str(self.facts.get("seen", ""))

    @property
    def why(self) -> list[str]:
        """Why it was dropped, in sentences."""
        if self.reason == "leak":
            return [sentence(hit) for hit in cleaning.hits_of(self.facts)]
        similarity = self.facts.get("similarity")
        kind = self.reason.removeprefix("duplicate_")
        degree = f", similarity {similarity:.3g}" if isinstance(similarity, int | float) else ""
        other = " of a file that was compared with" if self.facts.get("match_is_beside") else ""
        return [f"repeats row {self.facts.get('match_number')}{other} ({kind}{degree})"]


@dataclass(frozen=True, slots=True)
class DropsPage:
    """A page of dropped rows."""

    rows: Sequence[DroppedRow]
    """The rows, by number."""
    counts: Mapping[str, int]
    """Number of rows by reason, of all of them."""
    next: int | None
    """Where the next page begins; None at the end."""


@dataclass(frozen=True, slots=True)
class RowTexts:
    """The texts of a row, and those with which it is compared."""

    task: str = ""
    """Its task."""
    answer: str = ""
    """Its answer."""
    kept_task: str = ""
    """Task of the row that was kept instead; empty without one."""
    kept_answer: str = ""
    """Answer of that row."""
    leaks: Sequence[ReportRecord] = ()
    """The row next to each problem that it contains."""
    notes: Sequence[str] = ()
    """Why texts are missing."""


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each drop begins, in the order of row numbers."""

    numbers: "array[int]"
    offsets: "array[int]"
    codes: bytearray
    """Place of each drop's reason in `reasons`."""
    reasons: Sequence[str]


class CleanedFile:
    """A cleaned file with its drops and the file that was cleaned."""

    def __init__(self, source: ReportSource, data_dir: Path | None) -> None:
        """`data_dir` is the folder of the benchmarks' data."""
        self._source = source
        self._data_dir = data_dir
        self._drops = cleaning.drops_path(source.path)
        self._places = Latest(self._read_places)
        self._checked: tuple[Path, tuple[int, ...]] | None = None
        self._texts: OrderedDict[tuple[int, object], Latest[RowTexts]] = OrderedDict()

    def page(self, reason: str, *, after: int) -> DropsPage | None:
        """Return a page of the rows dropped for a reason, all if it is empty, from a place on.

        None while the file of drops is read for the first time.
        """
        places = self._places.get(self._source.signature())
        if places is None:
            return None
        counts = {one: places.codes.count(code) for code, one in enumerate(places.reasons)}
        found: list[int] = []
        at = self._next(places, reason, after)
        while at is not None and len(found) < PAGE:
            found.append(at)
            at = self._next(places, reason, at + 1)
        return DropsPage([self._drop(places, one) for one in found], counts, at)

    def _next(self, places: _Places, reason: str, start: int) -> int | None:
        """Return the first place from one on whose drop has a reason."""
        if not reason:
            return start if start < len(places.codes) else None
        if reason not in places.reasons:
            return None
        at = places.codes.find(places.reasons.index(reason), start)
        return None if at < 0 else at

    def drop(self, number: int, *, wait_s: float | None = None) -> DroppedRow | None:
        """Return the drop of a row; None if it was kept, or while the drops are read.

        They are waited for `wait_s` seconds; None: as long as a page waits.
        """
        places = self._places.get(self._source.signature(), wait_s=wait_s)
        if places is None:
            return None
        at = bisect_left(places.numbers, number)
        is_there = at < len(places.numbers) and places.numbers[at] == number
        return self._drop(places, at) if is_there else None

    def texts(self, number: int) -> RowTexts | None:
        """Return the texts of a row; None while they are read."""
        key = number, self._source.signature()
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = Latest(lambda: self._read_texts(number))
            while len(self._texts) > KNOWN_ROWS:
                self._texts.popitem(last=False)
        return found.get("")

    def _drop(self, places: _Places, at: int) -> DroppedRow:
        with self._drops.open("rb") as file:
            file.seek(places.offsets[at])
            line = file.readline(MAX_LINE)
        try:
            facts = json.loads(line)
        except ValueError as error:
            raise UserError(f"{self._drops}: changed while it was read") from error
        return DroppedRow(places.numbers[at], places.reasons[places.codes[at]], facts)

    def _read_places(self) -> _Places:
        """Note where each drop begins; lines without a number are left out."""
        reasons: dict[str, int] = {}
        found: list[int] = []
        if self._drops.is_file():
            with self._drops.open("rb") as file:
                offset = 0
                while line := file.readline(MAX_LINE):
                    number, reason = _number_and_reason(line)
                    if number is not None and len(reasons | {reason: 0}) < 256:
                        code = reasons.setdefault(reason, len(reasons))
                        found.append(number << 72 | offset << 8 | code)
                    offset += len(line)
        found.sort()
        return _Places(
            array("Q", (one >> 72 for one in found)),
            array("Q", (one >> 8 & (1 << 64) - 1 for one in found)),
            bytearray(one & 255 for one in found),
            list(reasons),
        )

    def _cleaned_source(self, record: Mapping[str, Any]) -> tuple[Path | None, str]:
        """Return the file that was cleaned, checked once, or why its rows are not shown."""
        if self._checked is not None:
            known, seen = self._checked
            if stamp_of(known) == seen:
                return known, ""
        source, why = cleaning.source_of(self._source.path, record)
        self._checked = (source, stamp_of(source)) if source else None
        return source, why

    def _read_texts(self, number: int) -> RowTexts:
        record = cleaning.read_certificate(self._source.path)
        source, why = self._cleaned_source(record)
        drop = self.drop(number, wait_s=READ_S)
        kept = drop.kept if drop else None
        wanted = {one for one in (number, kept) if one is not None}
        texts, more = cleaning.texts_of(source, wanted) if source else ({}, why)
        if source and number not in texts and not more:
            raise UserError(f"{source.name} has no row {number}")
        task, answer = texts.get(number, ("", ""))
        kept_task, kept_answer = texts.get(kept, ("", "")) if kept is not None else ("", "")
        notes = [more] if more else []
        leaks: Sequence[ReportRecord] = ()
        if drop is not None and drop.reason == "leak":
            row = LeakedRow(f"row {number}", tuple(cleaning.hits_of(drop.facts)), task, answer)
            section = leaks_section([row], self._data_dir, more="")
            leaks, notes = section.records, [*notes, *section.notes]
        return RowTexts(task, answer, kept_task, kept_answer, leaks, notes)


def _number_and_reason(line: bytes) -> tuple[int | None, str]:
    """Read the number and the reason of a drop; no number if the line has none."""
    try:
        drop = json.loads(line)
    except ValueError:
        return None, ""
    number = drop.get("number") if isinstance(drop, dict) else None
    is_number = isinstance(number, int) and 0 <= number < 1 << 64
    return (number, str(drop.get("reason", ""))) if is_number else (None, "")
