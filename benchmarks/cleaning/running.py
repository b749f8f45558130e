"""Leakage by execution over many rows, for the tables of `cleaning.py`.

Promises: every row gets its passes from the search that users run; a few rows are in flight at
once, so that every worker of the sandbox is busy.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cleaning.planted import BENCHES, Row
from cleaning.recall import Pair
from evolcoder.bench.catalogue import bench_named
from evolcoder.bench.fetch import Shelf
from evolcoder.grade.controls import Controls
from evolcoder.leakage.execution import Pass, Search, Tally
from evolcoder.sandbox.pool import PoolSandbox

IN_FLIGHT = 6


async def passes_of(
    rows: Sequence[Row], shelf: Shelf, folder: Path
) -> tuple[dict[str, tuple[Pass, ...]], Tally]:
    """Run the functions of all rows against HumanEval and MBPP; row id -> what it passes."""
    benches = {name: bench_named(name, shelf).problems() for name in BENCHES}
    sandbox = await PoolSandbox.start()
    controls = Controls(folder / "controls.db", sandbox, "benchmark")
    search = await Search.over(benches, sandbox, controls.need)
    found: dict[str, tuple[Pass, ...]] = {}
    left = iter(rows)

    async def work() -> None:
        for row in left:
            found[row.id] = await search.passes(row.answer)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    controls.close()
    await sandbox.aclose()
    return found, search.tally


def pairs_of(passes: Mapping[str, Iterable[Pass]]) -> dict[str, set[Pair]]:
    """Name what was found by all passes, and by those that tell of a leak."""
    return {
        "execution": {(row, one.problem) for row, some in passes.items() for one in some},
        "execution, telling": {
            (row, one.problem) for row, some in passes.items() for one in some if one.tells
        },
    }
