"""evolcoder's grading of every sample by HumanEval's own asserts, at the level `strict`.

python grade_evolcoder.py PROBLEMS SAMPLES WORKERS
"""

import ast
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memory import tree
from said import Clock

from evolcoder.grade.asserts import AssertTest, grade_asserts
from evolcoder.sandbox.base import Limits
from evolcoder.sandbox.pool import PoolSandbox


def main() -> None:
    problems, samples, workers = sys.argv[1:]
    by_id = {row["task_id"]: row for row in _rows(problems)}
    asyncio.run(_grade(by_id, list(_rows(samples)), int(workers)))


def _rows(path: str) -> Iterator[Any]:
    return map(json.loads, Path(path).read_text().splitlines())


async def _grade(by_id: dict[str, Any], rows: list[dict[str, Any]], workers: int) -> None:
    tests: dict[str, AssertTest] = {}
    sandbox = await PoolSandbox.start(workers=workers)

    async def verdict(row: dict[str, Any]) -> bool:
        name = row["task_id"]
        if name not in tests:
            tests[name] = _test(by_id[name])
        return (await grade_asserts(sandbox, row["completion"], tests[name], Limits())).passed

    starting = Clock()
    await verdict(rows[0])
    starting.first()
    # One for every worker, which starts with its first program.
    await asyncio.gather(*map(verdict, rows[:workers]))
    before = _containers_cpu_s()
    clock = Clock()
    clock.first_at = starting.first_at
    verdicts = await asyncio.gather(*map(verdict, rows))
    clock.say(verdicts, _containers_cpu_s() - before)
    await sandbox.aclose()


def _test(problem: dict[str, Any]) -> AssertTest:
    """Return a problem's test, with the imports and helpers of its prompt in front."""
    name = problem["entry_point"]
    body = ast.parse(f"{problem['prompt']}    pass\n").body
    helpers = [ast.unparse(part) for part in body if part.__dict__.get("name") != name]
    return AssertTest.of((name,), "\n".join([*helpers, problem["test"]]), check="check")


def _containers_cpu_s() -> float:
    """Sum processor seconds of all processes in the containers, and of all that they buried."""
    return sum(seen.cpu_s for seen in tree(os.getpid())[1:])


if __name__ == "__main__":
    main()
