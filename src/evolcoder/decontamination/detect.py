"""Runs the selected contamination detectors over rows, in one pass.

Rows are streamed. Hits do not depend on the order of rows or the concurrency. Cancellation takes
effect within a few texts. The caller provides the executor of responses and decides which hits drop
a row. A row on which a detector fails is listed as unjudged and has no hit of that detector.

>>> settings = DetectorSettings(items, frozenset({Detector.NGRAMS}))   # doctest: +SKIP
>>> found = await detect_leaks(rows, settings, seed=0)   # doctest: +SKIP
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from evolcoder import sample_errors
from evolcoder.code.normalize import NormalizedText, read
from evolcoder.decontamination import llm_judge, nearest
from evolcoder.decontamination.hits import BenchmarkText, Detector, DropRule, Hit, confirmed
from evolcoder.decontamination.llm_judge import JudgedPair
from evolcoder.decontamination.ngrams import NgramDetector
from evolcoder.decontamination.report import Report, SearchedBenchmark, report_of
from evolcoder.decontamination.substring import SubstringDetector
from evolcoder.deduplication.embedders import Embedder
from evolcoder.engine.base import Role
from evolcoder.errors import UnjudgedError
from evolcoder.records import Row

Execution = Callable[[str, str], Awaitable[Sequence[Hit]]]
"""Takes a row's id and response; returns its hits."""
BLOCK = 256
"""Rows per batch."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """The enabled detectors and what they need."""

    items: Sequence[BenchmarkText]
    """The problems of the benchmarks."""
    by_text: frozenset[Detector]
    """Enabled detectors among n-grams and substring."""
    embedder: Embedder | None = None
    """Enables the neighbour search, which the judge needs too."""
    judge: Role | None = None
    """Enables the LLM judge of neighbours."""
    execution: Execution | None = None
    """Enables execution against the benchmarks' tests."""
    layers: tuple[str, ...] = ()
    """Sandbox layers used by `execution`."""
    run: frozenset[str] = frozenset()
    """Benchmarks against whose tests `execution` runs answers."""

    def enabled(self) -> list[Detector]:
        """Return the enabled detectors."""
        tools = (self.embedder, self.embedder and self.judge, self.execution)
        names = (Detector.NEIGHBOURS, Detector.JUDGE, Detector.EXECUTION)
        with_tools = [name for name, tool in zip(names, tools, strict=True) if tool is not None]
        return [*sorted(self.by_text), *with_tools]

    def models(self) -> list[tuple[Detector, str]]:
        """Return the models in use, by detector."""
        found = []
        if self.embedder is not None:
            found.append((Detector.NEIGHBOURS, self.embedder.name))
        if self.judge is not None:
            found.append((Detector.JUDGE, self.judge.identity))
        return found


@dataclass(slots=True)
class DetectedHits:
    """The findings in a set of rows."""

    n_rows: int = 0
    """Rows processed."""
    hits: list[Hit] = field(default_factory=list)
    """All hits."""
    judged: list[JudgedPair] = field(default_factory=list)
    """All judgements."""
    unjudged: list[tuple[str, str]] = field(default_factory=list)
    """Rows on which a detector failed, with the error."""

    def add(self, other: "DetectedHits") -> None:
        """Add the findings in other rows."""
        self.n_rows += other.n_rows
        self.hits += other.hits
        self.judged += other.judged
        self.unjudged += other.unjudged


async def detect_leaks(
    rows: Iterable[Row], settings: DetectorSettings, *, seed: int
) -> DetectedHits:
    """Run every enabled detector on every row."""
    found, remaining = DetectedHits(), iter(rows)
    ngrams = NgramDetector(settings.items) if Detector.NGRAMS in settings.by_text else None
    substrings = (
        SubstringDetector(settings.items) if Detector.SUBSTRING in settings.by_text else None
    )
    near = nearest.NearestRows(settings.items, settings.embedder) if settings.embedder else None
    while block := list(islice(remaining, BLOCK)):
        found.n_rows += len(block)
        _by_text(block, ngrams, substrings, found)
        if near is not None:
            await _by_embedding(block, near)
        if settings.execution is not None:
            await _by_execution(block, settings.execution, found)
    if ngrams is not None:
        found.hits += ngrams.hits()
    if near is not None:
        pairs = near.pairs()
        found.hits += nearest.neighbour_hits(pairs, nearest.SimilarityBounds())
        if settings.judge is not None:
            found.judged += await llm_judge.judge_pairs(pairs, settings.judge, seed=seed)
            found.hits += llm_judge.judge_hits(found.judged)
    found.hits = confirmed(found.hits)
    return found


def build_report(
    found: DetectedHits, settings: DetectorSettings, drops: Sequence[DropRule]
) -> Report:
    """Build the report of findings under the given drop rules."""
    report = report_of(
        found.hits,
        n_rows=found.n_rows,
        ran=settings.enabled(),
        drops=drops,
        judged=found.judged,
        models=settings.models(),
    ).with_layers(settings.layers)
    return replace(
        report,
        unjudged=tuple(sorted(found.unjudged)),
        benchmarks=tuple(_searched(settings)),
        parameters={
            Detector.NEIGHBOURS.value: nearest.parameters(),
            Detector.JUDGE.value: llm_judge.parameters(),
        },
    )


def _searched(settings: DetectorSettings) -> Iterator[SearchedBenchmark]:
    """Yield the benchmarks with digests of their texts."""
    by_name: dict[str, list[BenchmarkText]] = {}
    for item in settings.items:
        by_name.setdefault(item.benchmark, []).append(item)
    for name, items in by_name.items():
        digest = hashlib.sha256()
        for item in items:
            parts = [item.id, item.language, item.prompt, item.solution, item.tests]
            parts += [item.request] if item.request else []
            digest.update(json.dumps(parts).encode())
        yield SearchedBenchmark(name, len(items), digest.hexdigest(), name in settings.run)


def _by_text(
    rows: Iterable[Row],
    ngrams: NgramDetector | None,
    substrings: SubstringDetector | None,
    found: DetectedHits,
) -> None:
    if ngrams is None and substrings is None:
        return
    for row in rows:
        try:
            with sample_errors.judging():
                for task, answer in _texts_of(row):
                    if ngrams is not None:
                        ngrams.add_row(row.task.id, task, answer)
                    if substrings is not None:
                        found.hits += substrings.find(row.task.id, task, answer)
        except UnjudgedError as error:
            found.unjudged.append((row.task.id, str(error)))


def _texts_of(row: Row) -> Iterator[tuple[NormalizedText, NormalizedText]]:
    """Yield task and answer of a row, then what its file has besides them."""
    yield read(row.task.instruction), read(row.response.text)
    if row.context or row.further:
        yield read(row.context), read(row.further)


async def _by_embedding(rows: Sequence[Row], near: nearest.NearestRows) -> None:
    """Embed a few texts at a time, so that the task can be cancelled in between."""
    for _ in near.prepare():
        await asyncio.sleep(0)
    for start in range(0, len(rows), nearest.BATCH):
        near.add_rows(
            [(row.task.id, row.task.instruction) for row in rows[start : start + nearest.BATCH]]
        )
        await asyncio.sleep(0)


async def _by_execution(rows: Sequence[Row], execution: Execution, found: DetectedHits) -> None:
    async def hits_of(row: Row) -> Sequence[Hit]:
        try:
            with sample_errors.judging():
                return await execution(row.task.id, row.response.text)
        except UnjudgedError as error:
            found.unjudged.append((row.task.id, str(error)))
            return ()

    for hits in await asyncio.gather(*map(hits_of, rows)):
        found.hits += hits
