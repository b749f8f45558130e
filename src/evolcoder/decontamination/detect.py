"""Leakage in rows: every detector that was asked for looks at every row, in one pass.

Promises: the rows are read once and not kept; the hits are the same in any order of rows and at any
concurrency; it can be cancelled between a few texts. How answers are run against tests is handed
in. Which hits drop a row is the caller's choice. A row that a detector fails at has no hit by it,
and is named.

>>> found = await look(rows, Looks(items, frozenset(Detector)), seed=0)   # doctest: +SKIP
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from evolcoder import sample_errors
from evolcoder.code.normalize import read
from evolcoder.decontamination import llm_judge as judging
from evolcoder.decontamination import nearest
from evolcoder.decontamination.benchmark_texts import BenchmarkText
from evolcoder.decontamination.hits import Detector, DropRule, Hit
from evolcoder.decontamination.llm_judge import JudgedPair
from evolcoder.decontamination.ngrams import NgramDetector
from evolcoder.decontamination.report import Report, report_of
from evolcoder.decontamination.substring import SubstringDetector
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.rows import CleanedRow
from evolcoder.engine.base import Role
from evolcoder.errors import UnjudgedError

Execution = Callable[[str, str], Awaitable[Sequence[Hit]]]
"""Takes a row's id and answer, and returns its hits."""
BLOCK = 256
"""Rows that are looked at together."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Which detectors look, and what they need."""

    items: Sequence[BenchmarkText]
    """The benchmarks' problems."""
    by_text: frozenset[Detector]
    """Those of n-grams and substrings that were asked for."""
    embedder: Embedder | None = None
    """Finds neighbours, for themselves and for the judge."""
    judge: Role | None = None
    """Says whether neighbours are the problem."""
    execution: Execution | None = None
    """Runs answers against the benchmarks' tests."""
    layers: tuple[str, ...] = ()
    """Protections under which it does."""

    def ran(self) -> list[Detector]:
        """Name the detectors that look."""
        tools = (self.embedder, self.embedder and self.judge, self.execution)
        names = (Detector.NEIGHBOURS, Detector.JUDGE, Detector.EXECUTION)
        with_tools = [name for name, tool in zip(names, tools, strict=True) if tool is not None]
        return [*sorted(self.by_text), *with_tools]

    def models(self) -> list[tuple[Detector, str]]:
        """Name the models that were asked."""
        found = []
        if self.embedder is not None:
            found.append((Detector.NEIGHBOURS, self.embedder.name))
        if self.judge is not None:
            found.append((Detector.JUDGE, self.judge.identity))
        return found


@dataclass(slots=True)
class DetectedHits:
    """What was found in some rows."""

    n_rows: int = 0
    """Rows that were looked at."""
    hits: list[Hit] = field(default_factory=list)
    """All evidence."""
    judged: list[JudgedPair] = field(default_factory=list)
    """All that the judge said."""
    unjudged: list[tuple[str, str]] = field(default_factory=list)
    """Rows that a detector failed at, each with what was wrong."""


async def look(rows: Iterable[CleanedRow], looks: DetectorSettings, *, seed: int) -> DetectedHits:
    """Have every detector look at every row."""
    found, left = DetectedHits(), iter(rows)
    ngrams = NgramDetector(looks.items) if Detector.NGRAMS in looks.by_text else None
    runs = SubstringDetector(looks.items) if Detector.SUBSTRING in looks.by_text else None
    near = nearest.NearestRows(looks.items, looks.embedder) if looks.embedder else None
    while block := list(islice(left, BLOCK)):
        found.n_rows += len(block)
        _by_text(block, ngrams, runs, found)
        if near is not None:
            await _by_nearness(block, near)
        if looks.execution is not None:
            await _by_execution(block, looks.execution, found)
    if ngrams is not None:
        found.hits += ngrams.hits()
    if near is not None:
        pairs = near.pairs()
        found.hits += nearest.hits_of(pairs, nearest.SimilarityBounds())
        if looks.judge is not None:
            found.judged += await judging.judge_pairs(pairs, looks.judge, seed=seed)
            found.hits += judging.hits_of(found.judged)
    return found


def reported(found: DetectedHits, looks: DetectorSettings, drops: Sequence[DropRule]) -> Report:
    """Count what was found, and who goes by whose word."""
    report = report_of(
        found.hits,
        n_rows=found.n_rows,
        ran=looks.ran(),
        drops=drops,
        judged=found.judged,
        models=looks.models(),
    ).under(looks.layers)
    return replace(report, unjudged=tuple(sorted(found.unjudged)))


def _by_text(
    rows: Iterable[CleanedRow],
    ngrams: NgramDetector | None,
    runs: SubstringDetector | None,
    found: DetectedHits,
) -> None:
    if ngrams is None and runs is None:
        return
    for row in rows:
        try:
            with sample_errors.judging():
                task, answer = read(row.task), read(row.answer)
                if ngrams is not None:
                    ngrams.look(row.id, task, answer)
                if runs is not None:
                    found.hits += runs.look(row.id, task, answer)
        except UnjudgedError as error:
            found.unjudged.append((row.id, str(error)))


async def _by_nearness(rows: Sequence[CleanedRow], near: nearest.NearestRows) -> None:
    """Embed a few texts at a time, so that whoever wants to end this need not wait for all."""
    for _ in near.prepare():
        await asyncio.sleep(0)
    for start in range(0, len(rows), nearest.PIECE):
        near.look([(row.id, row.task) for row in rows[start : start + nearest.PIECE]])
        await asyncio.sleep(0)


async def _by_execution(
    rows: Sequence[CleanedRow], execution: Execution, found: DetectedHits
) -> None:
    async def hits_of(row: CleanedRow) -> Sequence[Hit]:
        try:
            with sample_errors.judging():
                return await execution(row.id, row.answer)
        except UnjudgedError as error:
            found.unjudged.append((row.id, str(error)))
            return ()

    for hits in await asyncio.gather(*map(hits_of, rows)):
        found.hits += hits
