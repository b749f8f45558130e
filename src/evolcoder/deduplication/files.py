"""Deduplication and decontamination of a data file, and the result of cleaning as a plain record.

The file is read once to compare and once to write, and is never held in memory. Output files are
written atomically. Reordered rows give the same drops, apart from row numbers.

>>> summary = await clean_file("data.jsonl", config, seed=0, out=out)   # doctest: +SKIP
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from evolcoder.config.load import CleanConfig, SeedsConfig
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.find import Document, Duplicate, Similarity, find_duplicates
from evolcoder.records import Row
from evolcoder.seeds.rows import read_rows
from evolcoder.seeds.sources import rows_of
from evolcoder.storage import atomic

Evidence = Sequence[Mapping[str, object]]
"""Hits of a row, as plain data."""


@dataclass(frozen=True, slots=True)
class LeakCounts:
    """The result of leak detection."""

    evidence: Mapping[str, Evidence]
    """Hits by id of the rows to drop."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""


LeakDetector = Callable[[Iterable[Row]], Awaitable[LeakCounts]]
"""Detects leaks among rows."""


@dataclass(frozen=True, slots=True)
class CleaningSummary:
    """The result of cleaning."""

    n_rows: int
    """Rows read."""
    dropped: dict[str, int]
    """Dropped rows by reason."""
    embedder: str | None
    """Name of the embedding model, if one was used."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""

    @property
    def n_kept(self) -> int:
        """Rows kept."""
        return self.n_rows - sum(self.dropped.values())


def embedder_name(embedder: Embedder | None) -> str | None:
    """Return the name of the embedding model, if any."""
    return None if embedder is None else embedder.name


def similarity_of(config: CleanConfig) -> Similarity:
    """Return the thresholds of the config."""
    return Similarity(config.exact, config.near, config.meaning)


async def clean_file(
    path: str,
    config: CleanConfig,
    *,
    seed: int,
    embedder: Embedder | None = None,
    out: Path | None = None,
    leaked: LeakDetector | None = None,
) -> CleaningSummary:
    """Find duplicates in a file; with `out`, write the kept rows, and the drops next to them.

    `leaked` is then called with the remaining rows and returns the leaks among them.
    """
    documents = _CountedDocuments(path, config)
    found = find_duplicates(documents, similarity_of(config), seed=seed, embedder=embedder)
    reasons: Counter[str] = Counter()
    is_dropped = bytearray()
    with ExitStack() as stack:
        drops = (
            stack.enter_context(atomic.open_text(drops_path(out), inside=out.parent))
            if out is not None
            else None
        )
        for duplicate in found:
            is_dropped.extend(bytes(max(0, duplicate.number + 1 - len(is_dropped))))
            is_dropped[duplicate.number] = 1
            reasons[f"duplicate_{duplicate.kind}"] += 1
            if drops is not None:
                _write(drops, _evidence(duplicate, documents))
        is_dropped.extend(bytes(documents.n_external + documents.n_rows - len(is_dropped)))
        del is_dropped[: documents.n_external]
        leaks = await _leaks_of(path, is_dropped, leaked)
        for number, leak in _leaks(path, is_dropped, leaks):
            is_dropped[number] = 1
            reasons["leak"] += 1
            if drops is not None:
                _write(drops, leak)
    if out is not None:
        _write_kept(path, out, is_dropped)
    dropped = dict(reasons.most_common())
    return CleaningSummary(documents.n_rows, dropped, embedder_name(embedder), leaks.layers)


def drops_path(out: Path) -> Path:
    """Return the path of the drops: next to the kept rows."""
    return out.with_name(f"{out.stem}.drops.jsonl")


def external_documents(paths: Sequence[str], config: CleanConfig) -> Iterator[Document]:
    """Read the documents of the data sets that rows must not duplicate."""
    for path in paths:
        for row in read_rows(path):
            yield Document.of(row, config.compare, is_external=True)


class _CountedDocuments:
    """Documents of a file, preceded by those of other data sets, with counts of both."""

    def __init__(self, path: str, config: CleanConfig) -> None:
        self.n_external = self.n_rows = 0
        self._path = path
        self._config = config

    def __iter__(self) -> Iterator[Document]:
        for document in external_documents(self._config.beside, self._config):
            self.n_external += 1
            yield document
        for row in read_rows(self._path):
            self.n_rows += 1
            yield Document.of(row, self._config.compare)


def _evidence(duplicate: Duplicate, documents: _CountedDocuments) -> dict[str, object]:
    n_external = documents.n_external
    is_beside = duplicate.match_number < n_external
    numbers = {
        "number": duplicate.number - n_external,
        "match_number": duplicate.match_number - (0 if is_beside else n_external),
        "match_is_beside": is_beside,
    }
    evidence = asdict(duplicate) | numbers
    return {"stage": "clean", "reason": f"duplicate_{evidence.pop('kind')}", **evidence}


async def _leaks_of(path: str, is_dropped: bytearray, leaked: LeakDetector | None) -> LeakCounts:
    """Run leak detection on the remaining rows."""
    if leaked is None:
        return LeakCounts({})
    return await leaked(row for number, row in enumerate(read_rows(path)) if not is_dropped[number])


def _leaks(
    path: str, is_dropped: bytearray, leaks: LeakCounts
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield number and evidence of the remaining rows that are leaks."""
    why = leaks.evidence
    if not why:
        return
    for number, row in enumerate(read_rows(path)):
        if not is_dropped[number] and row.task.id in why:
            evidence = {"number": number, "id": row.task.id, "hits": why[row.task.id]}
            yield number, {"stage": "clean", "reason": "leak", **evidence}


def _write_kept(path: str, out: Path, is_dropped: bytearray) -> None:
    with atomic.open_text(out) as file:
        for number, source in enumerate(rows_of(SeedsConfig(path=path))):
            if not is_dropped[number]:
                _write(file, source.value)


def _write(file: TextIO, value: object) -> None:
    """Write a JSON line, ASCII-escaped so that lone surrogates survive."""
    file.write(json.dumps(value, default=str) + "\n")
