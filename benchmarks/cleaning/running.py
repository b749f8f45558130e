"""Measures leakage by execution over many rows: recall of planted ones, and the cost per row.

    python -m cleaning.running --rows 100000 --anew             # speed, real rows and variations
    python -m cleaning.running --planted 1000 --rows 20000      # recall by kind, precision

Every row goes through the search that users run; a few rows are in flight at once, so that every
sandbox worker is busy. Processor time is that of this process and its descendants, with containers.
With `--anew` no function is cached: the few thousand real rows that 100,000 are made of cost as
much each time as new rows.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cleaning.planted import BENCHES, SHARED, Row, corpus
from cleaning.recall import Pair, table
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.execution import search as execution
from evolcoder.decontamination.execution.search import (
    MIN_AGREEMENT,
    ExecutionSearch,
    PassedProblem,
    SearchCounts,
)
from evolcoder.grading.problem_checks import ReferenceChecks
from evolcoder.sandbox.pool import PoolSandbox
from harness.script import cpu_s

IN_FLIGHT = 6
GOAL_MS = 18.0
"""100,000 rows in 15 minutes on two cores."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a search took, its problems made ready included."""

    rows: int
    """Rows that were looked at."""
    wall_s: float
    """Seconds by the clock."""
    cpu_s: float
    """Processor seconds of all processes."""
    tally: SearchCounts
    """What it did."""

    def __str__(self) -> str:
        each = 1000 * self.cpu_s / self.rows
        return (
            f"{self.rows:,} rows, {each:.1f} ms of processor time each (goal {GOAL_MS:.0f}): "
            f"{self.cpu_s:,.0f} s in all, {self.wall_s:,.0f} s by the clock, load "
            f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores; {self.tally}"
        )


async def passes_of(
    rows: Sequence[Row], shelf: DataFolder, folder: Path
) -> tuple[dict[str, tuple[PassedProblem, ...]], Cost]:
    """Run the functions of all rows against HumanEval and MBPP; row id -> what it passes."""
    benches = {name: bench_named(name, shelf).problems() for name in BENCHES}
    sandbox = await PoolSandbox.start()
    controls = ReferenceChecks(folder / "controls.db", sandbox, "benchmark")
    begun, used = time.monotonic(), cpu_s()
    search = await ExecutionSearch.create(benches, sandbox, controls.measurement)
    found: dict[str, tuple[PassedProblem, ...]] = {}
    left = iter(rows)

    async def work() -> None:
        for row in left:
            found[row.id] = await search.passes(row.answer)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    cost = Cost(len(rows), time.monotonic() - begun, cpu_s() - used, search.counts)
    controls.close()
    await sandbox.aclose()
    return found, cost


def pairs_of(passes: Mapping[str, Iterable[PassedProblem]]) -> dict[str, set[Pair]]:
    """Name what was found by all passes, by those that solve, and by those that tell of a leak."""
    every = [(row, one) for row, some in passes.items() for one in some]
    return {
        "execution": {(row, one.problem) for row, one in every},
        "execution, not weak": {
            (row, one.problem) for row, one in every if one.agreement >= MIN_AGREEMENT
        },
        "execution, telling": {(row, one.problem) for row, one in every if one.is_evidence},
    }


def main() -> None:
    """Measure one corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="clean rows")
    parser.add_argument("--planted", type=int, default=0, help="planted rows among them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action="store_true", help="run equal functions again")
    given = parser.parse_args()
    if given.anew:
        execution.MAX_CACHED = 1
    with tempfile.TemporaryDirectory() as folder:
        shelf = DataFolder(SHARED, Path(folder))
        rows = corpus(shelf, n_planted=given.planted, n_clean=given.rows, seed=given.seed)
        passes, cost = asyncio.run(passes_of(rows, shelf, Path(folder)))
    print(cost)
    print(table(rows, pairs_of(passes)))


if __name__ == "__main__":
    main()
