"""Deduplication and decontamination of a data file.

The file is read once to compare and once to write, and is never held in memory. Output files are
written atomically. Reordered rows give the same drops, apart from row numbers.

>>> summary = await clean_file("data.jsonl", config, seed=0, out=out)   # doctest: +SKIP
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication.corpus import Document
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.find import Duplicate, Similarity, find_duplicates
from evolcoder.deduplication.rows import (
    CleaningSummary,
    LeakCounts,
    LeakDetector,
    embedder_name,
    rows_of_file,
)
from evolcoder.storage import atomic


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
        for candidate in rows_of_file(path):
            yield candidate.document(config.compare, is_external=True)


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
        for candidate in rows_of_file(self._path):
            self.n_rows += 1
            yield candidate.document(self._config.compare)


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
    return await leaked(
        row for number, row in enumerate(rows_of_file(path)) if not is_dropped[number]
    )


def _leaks(
    path: str, is_dropped: bytearray, leaks: LeakCounts
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield number and evidence of the remaining rows that are leaks."""
    why = leaks.evidence
    if not why:
        return
    for number, row in enumerate(rows_of_file(path)):
        if not is_dropped[number] and row.id in why:
            evidence = {"number": number, "id": row.id, "hits": why[row.id]}
            yield number, {"stage": "clean", "reason": "leak", **evidence}


def _write_kept(path: str, out: Path, is_dropped: bytearray) -> None:
    with atomic.open_text(out) as file:
        for number, candidate in enumerate(rows_of_file(path)):
            if not is_dropped[number]:
                _write(file, candidate.found)


def _write(file: TextIO, value: object) -> None:
    """Write a JSON line, ASCII-escaped so that lone surrogates survive."""
    file.write(json.dumps(value, default=str) + "\n")
