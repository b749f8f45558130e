"""Doubles in a data file: which rows stay, and what is said of each that goes.

Promises: the rows are read once to compare and once to write, never kept in memory; both files are
whole or not there; the same rows in another order give the same drops, but for the row numbers.

>>> summary = await in_file("data.jsonl", config, seed=0, out=Path("out.jsonl"))   # doctest: +SKIP
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
from evolcoder.deduplication.find import Duplicate, Similarity, find
from evolcoder.deduplication.rows import CleaningSummary, LeakCounts, Leaked, name_of, of_file
from evolcoder.storage import atomic


def likeness_of(config: CleanConfig) -> Similarity:
    """Say what counts as a double."""
    return Similarity(config.exact, config.near, config.meaning)


async def in_file(
    path: str,
    config: CleanConfig,
    *,
    seed: int,
    embedder: Embedder | None = None,
    out: Path | None = None,
    leaked: Leaked | None = None,
) -> CleaningSummary:
    """Find doubles in a file; with `out`, write the rows that stay, and the drops beside them.

    `leaked` is asked about the rows that are left, and says which of them go, and why.
    """
    entries = _Counted(path, config)
    found = find(entries, likeness_of(config), seed=seed, embedder=embedder)
    reasons: Counter[str] = Counter()
    goes = bytearray()
    with ExitStack() as stack:
        drops = (
            stack.enter_context(atomic.open_text(drops_path(out), inside=out.parent))
            if out is not None
            else None
        )
        for duplicate in found:
            goes.extend(bytes(max(0, duplicate.number + 1 - len(goes))))
            goes[duplicate.number] = 1
            reasons[f"duplicate_{duplicate.kind}"] += 1
            if drops is not None:
                _write(drops, _evidence(duplicate, entries))
        goes.extend(bytes(entries.n_beside + entries.n_rows - len(goes)))
        del goes[: entries.n_beside]
        leaks = await _leaks_of(path, goes, leaked)
        for number, leak in _leaks(path, goes, leaks):
            goes[number] = 1
            reasons["leak"] += 1
            if drops is not None:
                _write(drops, leak)
    if out is not None:
        _write_kept(path, out, goes)
    dropped = dict(reasons.most_common())
    return CleaningSummary(entries.n_rows, dropped, name_of(embedder), leaks.layers)


def drops_path(out: Path) -> Path:
    """Say where the drops go: beside the rows that stay."""
    return out.with_name(f"{out.stem}.drops.jsonl")


def beside_entries(paths: Sequence[str], config: CleanConfig) -> Iterator[Document]:
    """Read the data sets that rows are held against."""
    for path in paths:
        for candidate in of_file(path):
            yield candidate.entry(config.compare, is_beside=True)


class _Counted:
    """All entries, other data sets' first, counted on the way."""

    def __init__(self, path: str, config: CleanConfig) -> None:
        self.n_beside = self.n_rows = 0
        self._path = path
        self._config = config

    def __iter__(self) -> Iterator[Document]:
        for entry in beside_entries(self._config.beside, self._config):
            self.n_beside += 1
            yield entry
        for candidate in of_file(self._path):
            self.n_rows += 1
            yield candidate.entry(self._config.compare)


def _evidence(duplicate: Duplicate, entries: _Counted) -> dict[str, object]:
    beside = entries.n_beside
    is_beside = duplicate.match_number < beside
    numbers = {
        "number": duplicate.number - beside,
        "match_number": duplicate.match_number - (0 if is_beside else beside),
        "match_is_beside": is_beside,
    }
    said = asdict(duplicate) | numbers
    return {"stage": "clean", "reason": f"duplicate_{said.pop('kind')}", **said}


async def _leaks_of(path: str, goes: bytearray, leaked: Leaked | None) -> LeakCounts:
    """Have the rows that are left looked at."""
    if leaked is None:
        return LeakCounts({})
    return await leaked(row for number, row in enumerate(of_file(path)) if not goes[number])


def _leaks(
    path: str, goes: bytearray, leaks: LeakCounts
) -> Iterator[tuple[int, dict[str, object]]]:
    """Say of the rows that are left which are leaks, with the evidence."""
    why = leaks.evidence
    if not why:
        return
    for number, row in enumerate(of_file(path)):
        if not goes[number] and row.id in why:
            said = {"number": number, "id": row.id, "hits": why[row.id]}
            yield number, {"stage": "clean", "reason": "leak", **said}


def _write_kept(path: str, out: Path, goes: bytearray) -> None:
    with atomic.open_text(out) as file:
        for number, candidate in enumerate(of_file(path)):
            if not goes[number]:
                _write(file, candidate.found)


def _write(file: TextIO, value: object) -> None:
    """Write a line of JSON; escaped, so that a lone surrogate comes out as it went in."""
    file.write(json.dumps(value, default=str) + "\n")
