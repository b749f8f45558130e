"""Deduplication and decontamination of a data file.

The file is read once to compare and once to write, and is never held in memory; it is read again if
leaks have duplicates (`leaky_matches`). Output files are written atomically. Reordered rows give
the same drops, apart from row numbers.

>>> summary = await clean_file("data.jsonl", config, seed=0, out=out)   # doctest: +SKIP
"""

import base64
import json
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from evolcoder.config.load import CleanConfig, SeedsConfig
from evolcoder.config.schema import ColumnName
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.find import (
    Document,
    Duplicate,
    DuplicateKind,
    Similarity,
    find_duplicates,
)
from evolcoder.deduplication.leaky_matches import Leaks, find_both
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
    ids: dict[int, str] = {}

    def find(leaks: Mapping[int, Collection[DuplicateKind]]) -> list[Duplicate]:
        shared.clear()
        found = find_duplicates(
            documents, similarity_of(config), seed=seed, embedder=embedder, shared=shared,
            leaks=leaks,
        )  # fmt: skip
        return list(found)

    async def search(is_searched: Callable[[int], bool]) -> tuple[Leaks, LeakCounts]:
        if not documents.n_rows:
            raise SeedsError(f"{source.path}: contains no rows")
        found, rows = await _leaks_of(source, documents, is_searched, leaked)
        ids.update(rows)
        return {number: found.evidence[id] for number, id in rows}, found

    duplicates, leaks, found = await find_both(find, search)
    is_dropped = bytearray(documents.n_rows)
    reasons: Counter[str] = Counter()
    with ExitStack() as stack:
        file = (
            stack.enter_context(atomic.open_text(drops_path(out), inside=out.parent))
            if out is not None
            else None
        )
        for number, drop in _drops(duplicates, leaks, ids, documents):
            is_dropped[number] = 1
            reasons[str(drop["reason"])] += 1
            if file is not None:
                _write(file, drop)
    if out is not None:
        _write_kept(source, out, is_dropped)
    return CleaningSummary(
        documents.n_rows,
        dict(reasons.most_common()),
        embedder_name(embedder),
        found.layers,
        tuple(shared),
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
        columns, counts = self._source.columns, self._counts
        self.n_external, self.n_rows, self._counts = 0, 0, None  # a second reading counts no more
        del self._numbers[:]
        for document in external_documents(self._config.beside, self._config, columns):
            self.n_external += 1
            yield document
        for placed in placed_rows(self._source, counts):
            if is_readable(placed.row):
                self._numbers.append(self.n_rows)
                yield Document.of(placed.row, self._config.compare)
            self.n_rows += 1

    def row_number(self, document: int) -> int:
        """Return the number of the row of a document of the file."""
        return self._numbers[document - self.n_external]


def _drops(
    duplicates: Sequence[Duplicate],
    leaks: Leaks,
    ids: Mapping[int, str],
    documents: _CountedDocuments,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the row number of each drop, with its evidence."""
    for duplicate in duplicates:
        match = duplicate.match_number
        is_beside = match < documents.n_external
        number = documents.row_number(duplicate.number)
        numbers = {
            "number": number,
            "match_number": match if is_beside else documents.row_number(match),
            "match_is_beside": is_beside,
            "match_is_leak": match in leaks,
        }
        evidence = asdict(duplicate) | numbers
        reason = f"duplicate_{evidence.pop('kind')}"
        yield number, {"stage": "clean", "reason": reason, **evidence}
    for document, hits in sorted(leaks.items()):
        number = documents.row_number(document)
        evidence = {"number": number, "id": ids[document], "hits": hits}
        yield number, {"stage": "clean", "reason": "leak", **evidence}


async def _leaks_of(
    source: SeedsConfig,
    documents: _CountedDocuments,
    is_searched: Callable[[int], bool],
    leaked: LeakDetector | None,
) -> tuple[LeakCounts, list[tuple[int, str]]]:
    """Run leak detection on some documents; also return number and id of each that is a leak."""
    if leaked is None:
        return LeakCounts({}), []
    first = documents.n_external
    counts = await leaked(
        with_all_turns(row) for number, row in _documents_of(source, first) if is_searched(number)
    )
    if not counts.evidence:
        return counts, []
    rows = ((number, row.task.id) for number, row in _documents_of(source, first))
    return counts, [(n, id) for n, id in rows if is_searched(n) and id in counts.evidence]


def _documents_of(source: SeedsConfig, first: int) -> Iterator[tuple[int, Row]]:
    """Yield the rows that are documents with the numbers of these, each with an id of its own.

    Rows derived from one row share its id, and a leak among them is none of the others.
    """
    seen: set[str] = set()
    for number, placed in enumerate(placed_rows(source)):
        task = placed.row.task
        if task.id in seen:
            task = replace(task, id=f"{task.id}#{number}")
        seen.add(task.id)
        if is_readable(placed.row):
            yield first, replace(placed.row, task=task)
            first += 1


def with_all_turns(row: Row) -> Row:
    """Put all turns of a chat into its task and response, so that they are searched."""
    if not row.turns:
        return row
    task = replace(row.task, instruction="\n\n".join(row.turns[::2]))
    response = replace(row.response, text="\n\n".join(row.turns[1::2]))
    return replace(row, task=task, response=response)


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
