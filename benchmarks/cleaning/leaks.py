"""Finds planted leaks among real rows, with every detector except the judge.

The detectors see a row's texts as in `evolcoder clean --against`, without knowledge of what was
planted. Vectors are stored in a file, so that a second search embeds nothing again. Times are
processor seconds of this process and its descendants.

    print(told(search(data, n_planted=1000, n_clean=20000, seed=0)))
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cleaning.planted import BENCHES, Row, corpus
from cleaning.recall import Pair, aims, is_true, natural, table
from cleaning.running import Cost, pairs_of, passes_of
from evolcoder import records
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.detect import DetectorSettings, detect_leaks
from evolcoder.decontamination.hits import Detector, RowField, benchmark_texts
from evolcoder.deduplication.embedders import MINILM, CachedEmbedder, open_embedder
from evolcoder.engine.registry import cache_folder
from harness.script import cpu_s, log
from harness.venvs import BENCH

BY_TEXT = frozenset({Detector.NGRAMS, Detector.SUBSTRING})
"""Detectors that read a row; an embedder looks for neighbours in addition."""
TEXTS = "by texts, together"
DROPPED = "together"
EVERY = "together, with every pass"
COUNTED = """\
A row is found where the problem that was planted is named. Precision: of the rows with a hit, those
that were planted, and those that are (or say differently) a real row which was read and does what a
problem asks that the hit names (`data/natural.json`). Same: of real rows only those whose task is
that very exercise. Raw: only those that were planted are true.
`together` is what `evolcoder clean --against` drops without a judge: by the texts, and by passes
that tell (neither weak nor plain)."""


@dataclass(frozen=True, slots=True)
class Search:
    """What all detectors found in a corpus."""

    rows: Sequence[Row]
    """The corpus."""
    found: Mapping[str, set[Pair]]
    """Detector, or several together -> the rows that it names, with the problem."""
    text_s: float
    """Processor seconds of the detectors that read."""
    cost: Cost
    """What running took."""


def search(data: Path, *, n_planted: int, n_clean: int, seed: int) -> Search:
    """Look for the leaks of a corpus."""
    with TemporaryDirectory() as folder:
        shelf = DataFolder(data, Path(folder))
        rows = corpus(shelf, n_planted=n_planted, n_clean=n_clean, seed=seed)
        begun = cpu_s()
        found = asyncio.run(_by_texts(rows, shelf))
        text_s = cpu_s() - begun
        log(f"{len(rows):,} rows: read, {text_s:,.0f} s")
        passes, cost = asyncio.run(passes_of(rows, shelf, Path(folder)))
        log(f"{len(rows):,} rows: run, {cost.cpu_s:,.0f} s")
    found |= pairs_of(passes)
    found[DROPPED] = found[TEXTS] | found["execution, telling"]
    found[EVERY] = found[TEXTS] | found["execution"]
    return Search(rows, found, text_s, cost)


async def _by_texts(rows: Sequence[Row], shelf: DataFolder) -> dict[str, set[Pair]]:
    """Look for what can be found by reading."""
    problems = {name: bench_named(name, shelf).problems() for name in BENCHES}
    items = [item for name in BENCHES for item in benchmark_texts(name, problems[name])]
    embedder = open_embedder(MINILM, cache_folder() / "models")
    looks = DetectorSettings(items, BY_TEXT, CachedEmbedder(embedder, BENCH / "embeddings.db"))
    seen = await detect_leaks(map(_as_row, rows), looks, seed=0)
    found: dict[str, set[Pair]] = {name.value: set() for name in looks.enabled()}
    for hit in seen.hits:
        found[hit.detector.value].add((hit.row, hit.item))
    tasks = {(hit.row, hit.item) for hit in seen.hits if hit.part is RowField.TASK}
    return {**found, "by texts, tasks alone": tasks, TEXTS: set().union(*found.values())}


def _as_row(row: Row) -> records.Row:
    """Make of a row of the corpus what `evolcoder clean` makes of a row of a file."""
    task = replace(records.Task.seed(row.task, ordinal=0, language=None), id=row.id)
    return records.Row(task, records.Response.to(task, row.answer, made=None), None)


def told(done: Search) -> str:
    """Write down recall, precision, what they were to be, and what it took."""
    found, rows = done.found, done.rows
    known = natural()
    n_planted = sum(bool(row.problem) for row in rows)
    n_real = len({row.source for row in rows if row.source})
    ways = {
        DROPPED: (found[DROPPED], found["execution, telling"]),
        EVERY: (found[EVERY], found["execution"]),
    }
    said = (
        f"{n_planted:,} planted rows among {len(rows) - n_planted:,}, which are {n_real:,} real "
        "rows as they are and said differently."
    )
    return "\n\n".join(
        [
            f"{said}\n{COUNTED}",
            table(rows, found),
            aims(rows, ways, known),
            f"Reading: {done.text_s:,.0f} s of processor time. Running: {done.cost}.",
        ]
    )


def amiss(done: Search) -> list[dict[str, Any]]:
    """List planted rows that were not found, and real rows with a hit that is not known as true."""
    known, by_id = natural(), {row.id: row for row in done.rows}
    lost = [
        row for row in done.rows if row.problem and (row.id, row.problem) not in done.found[EVERY]
    ]
    wrong = sorted(p for p in done.found[EVERY] if not is_true(by_id[p[0]], p[1], known))
    cases = [(row, row.problem) for row in lost] + [(by_id[row], item) for row, item in wrong]
    return [
        {
            "kind": row.kind,
            "problem": problem,
            "by": [name for name, pairs in done.found.items() if (row.id, problem) in pairs],
            "source": row.source,
            "task": row.task,
            "answer": row.answer,
        }
        for row, problem in cases
    ]


def record(done: Search) -> dict[str, object]:
    """Return recall and precision of what embeds and runs, as certificates show them."""
    by_id, known = {row.id: row for row in done.rows}, natural()
    sizes = Counter(row.kind for row in done.rows if row.problem)
    on = (
        f"{sum(sizes.values()):,} leaks planted among {len(done.rows) - sum(sizes.values()):,} rows"
    )
    found = {}
    for name, source in (("neighbours", "neighbours"), ("execution", "execution, telling")):
        pairs = done.found[source]
        hits = Counter(by_id[row].kind for row, problem in pairs if by_id[row].problem == problem)
        flagged = {row for row, _ in pairs}
        true = {row for row, problem in pairs if is_true(by_id[row], problem, known)}
        recall = {kind: [hits[kind], size] for kind, size in sorted(sizes.items())}
        found[name] = {"on": on, "recall": recall, "precision": [len(true), len(flagged)]}
    return found
