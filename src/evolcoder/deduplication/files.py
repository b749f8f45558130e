"""Deduplication and decontamination of a data file.

The file is read once to compare and once to write, and is never held in memory. Output files are
written atomically. Reordered rows give the same drops, apart from row numbers.

>>> summary = await clean_file("data.jsonl", config, seed=0, out=out)   # doctest: +SKIP
"""

import base64
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from evolcoder.config.load import CleanConfig, SeedsConfig
from evolcoder.config.schema import ColumnName
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.find import Document, Duplicate, Similarity, find_duplicates
from evolcoder.deduplication.summary import (
    CleaningSummary,
    LeakCounts,
    LeakDetector,
    embedder_name,
)
from evolcoder.errors import SeedsError
from evolcoder.records import Row
from evolcoder.seeds.rows import ReadCounts, placed_rows
from evolcoder.seeds.sources import rows_of
from evolcoder.storage import atomic


def similarity_of(config: CleanConfig) -> Similarity:
    """Return the thresholds of the config."""
    return Similarity(config.exact, config.near, config.meaning)


async def clean_file(  # noqa: PLR0913 - all of it decides
    source: str | SeedsConfig,
    config: CleanConfig,
    *,
    seed: int,
    embedder: Embedder | None = None,
    out: Path | None = None,
    leaked: LeakDetector | None = None,
    counts: ReadCounts | None = None,
) -> CleaningSummary:
    """Find duplicates in a file; with `out`, write the kept rows, and the drops next to them.

    `leaked` is then called with the remaining rows and returns the leaks among them. Rows in which
    no task was found are neither compared nor searched, and stay; `counts` says how many.
    """
    source = SeedsConfig(path=source) if isinstance(source, str) else source
    documents = _CountedDocuments(source, config, counts)
    shared: list[str] = []
    found = find_duplicates(
        documents, similarity_of(config), seed=seed, embedder=embedder, shared=shared
    )
    reasons: Counter[str] = Counter()
    with ExitStack() as stack:
        drops = (
            stack.enter_context(atomic.open_text(drops_path(out), inside=out.parent))
            if out is not None
            else None
        )
        duplicates = list(found)  # before the rows are counted
        if not documents.n_rows:
            raise SeedsError(f"{source.path}: contains no rows")
        is_dropped = bytearray(documents.n_rows)
        for duplicate in duplicates:
            is_dropped[documents.row_number(duplicate.number)] = 1
            reasons[f"duplicate_{duplicate.kind}"] += 1
            if drops is not None:
                _write(drops, _evidence(duplicate, documents))
        leaks = await _leaks_of(source, is_dropped, leaked)
        for number, leak in _leaks(source, is_dropped, leaks):
            is_dropped[number] = 1
            reasons["leak"] += 1
            if drops is not None:
                _write(drops, leak)
    if out is not None:
        _write_kept(source, out, is_dropped)
    dropped = dict(reasons.most_common())
    return CleaningSummary(
        documents.n_rows, dropped, embedder_name(embedder), leaks.layers, tuple(shared)
    )


def drops_path(out: Path) -> Path:
    """Return the path of the drops: next to the kept rows."""
    return out.with_name(f"{out.stem}.drops.jsonl")


def external_documents(
    paths: Sequence[str], config: CleanConfig, columns: Mapping[ColumnName, str] | None = None
) -> Iterator[Document]:
    """Read the documents of the data sets that rows must not duplicate.

    `columns` are those of the rows; a data set without them is read in the format that it has.
    """
    for path in paths:
        source = SeedsConfig(path=path)
        first = next(placed_rows(source), None) if columns else None
        if columns and (first is None or not first.row.task.instruction):
            source = SeedsConfig(path=path, columns=dict(columns))
        for placed in placed_rows(source):
            if is_readable(placed.row):
                yield Document.of(placed.row, config.compare, is_external=True)


def is_readable(row: Row) -> bool:
    """Whether a row has a text to compare: a task, or the turns of a chat."""
    return bool(row.task.instruction or row.turns)


class _CountedDocuments:
    """Documents of a file, preceded by those of other data sets, with counts of both."""

    def __init__(self, source: SeedsConfig, config: CleanConfig, counts: ReadCounts | None) -> None:
        self.n_external = self.n_rows = 0
        self._source = source
        self._config = config
        self._counts = counts
        self._numbers = array("q")

    def __iter__(self) -> Iterator[Document]:
        columns = self._source.columns
        for document in external_documents(self._config.beside, self._config, columns):
            self.n_external += 1
            yield document
        for placed in placed_rows(self._source, self._counts):
            if is_readable(placed.row):
                self._numbers.append(self.n_rows)
                yield Document.of(placed.row, self._config.compare)
            self.n_rows += 1

    def row_number(self, document: int) -> int:
        """Return the number of the row of a document of the file."""
        return self._numbers[document - self.n_external]


def _evidence(duplicate: Duplicate, documents: _CountedDocuments) -> dict[str, object]:
    match = duplicate.match_number
    is_beside = match < documents.n_external
    numbers = {
        "number": documents.row_number(duplicate.number),
        "match_number": match if is_beside else documents.row_number(match),
        "match_is_beside": is_beside,
    }
    evidence = asdict(duplicate) | numbers
    return {"stage": "clean", "reason": f"duplicate_{evidence.pop('kind')}", **evidence}


async def _leaks_of(
    source: SeedsConfig, is_dropped: bytearray, leaked: LeakDetector | None
) -> LeakCounts:
    """Run leak detection on the remaining rows."""
    if leaked is None:
        return LeakCounts({})
    rows = _left(source, is_dropped)
    return await leaked(with_all_turns(row) for _, row in rows if is_readable(row))


def _left(source: SeedsConfig, is_dropped: bytearray) -> Iterator[tuple[int, Row]]:
    """Yield the rows that are left with their numbers, each with an id of its own.

    Rows derived from one row share its id, and a leak among them is none of the others.
    """
    seen: set[str] = set()
    for number, placed in enumerate(placed_rows(source)):
        task = placed.row.task
        if task.id in seen:
            task = replace(task, id=f"{task.id}#{number}")
        seen.add(task.id)
        if not is_dropped[number]:
            yield number, replace(placed.row, task=task)


def with_all_turns(row: Row) -> Row:
    """Put all turns of a chat into its task and response, so that they are searched."""
    if not row.turns:
        return row
    task = replace(row.task, instruction="\n\n".join(row.turns[::2]))
    response = replace(row.response, text="\n\n".join(row.turns[1::2]))
    return replace(row, task=task, response=response)


def _leaks(
    source: SeedsConfig, is_dropped: bytearray, leaks: LeakCounts
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield number and evidence of the remaining rows that are leaks."""
    why = leaks.evidence
    if not why:
        return
    for number, row in _left(source, is_dropped):
        if (id := row.task.id) in why:
            evidence = {"number": number, "id": id, "hits": why[id]}
            yield number, {"stage": "clean", "reason": "leak", **evidence}


def _write_kept(source: SeedsConfig, out: Path, is_dropped: bytearray) -> None:
    with atomic.open_text(out) as file:
        for number, row in enumerate(rows_of(source)):
            if not is_dropped[number]:
                _write(file, row.value)


def _write(file: TextIO, value: object) -> None:
    """Write a JSON line, ASCII-escaped so that lone surrogates survive."""
    file.write(json.dumps(value, default=_as_text) + "\n")


def _as_text(value: object) -> str:
    """Return what JSON cannot hold as text: bytes, such as an image, in base 64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
