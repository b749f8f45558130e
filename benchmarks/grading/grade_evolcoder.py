"""evolcoder's grading of every sample, at the level `strict`.

    python grade_evolcoder.py BENCH DATA SAMPLES WORKERS CONTROLS

Times and answers of the references are measured before, once per machine, and stored in CONTROLS; a
benchmark with its own answers does not need this.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from said import Clock

from evolcoder.bench.base import CallChecks, Problem
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.grading.problem_checks import ProblemTest, ReferenceChecks, ReferenceMeasurement
from evolcoder.sandbox.pool import PoolSandbox
from harness.memory import tree


def main() -> None:
    bench, data, samples, workers, controls = sys.argv[1:]
    problems = bench_named(bench, DataFolder(Path(data), Path(controls).parent)).problems()
    rows = map(json.loads, Path(samples).read_text().splitlines())
    programs = [(row["task_id"], row["completion"]) for row in rows]
    asyncio.run(_grade(problems, programs, int(workers), Path(controls)))


async def _grade(
    problems: list[Problem], programs: list[tuple[str, str]], workers: int, controls: Path
) -> None:
    sandbox = await PoolSandbox.start(workers=workers)
    needs = await _measurements(problems, sandbox, controls)
    by_id, tests = {problem.id: problem for problem in problems}, dict[str, ProblemTest]()

    async def verdict(name: str, program: str) -> bool:
        if name not in tests:
            tests[name] = ProblemTest.of(by_id[name], needs.get(name, ReferenceMeasurement()))
        return (await tests[name].grade(sandbox, program)).passed

    starting = Clock()
    await verdict(*programs[0])
    starting.first()
    # One for every worker, which starts with its first program.
    await asyncio.gather(*(verdict(*one) for one in programs[:workers]))
    before = _containers_cpu_s()
    clock = Clock()
    clock.first_at = starting.first_at
    verdicts = await asyncio.gather(*(verdict(*one) for one in programs))
    clock.say(verdicts, _containers_cpu_s() - before)
    await sandbox.aclose()


async def _measurements(
    problems: list[Problem], sandbox: PoolSandbox, kept: Path
) -> dict[str, ReferenceMeasurement]:
    """Return what references took and answered, where the answers are not in the data."""
    if not isinstance(problems[0].checks, CallChecks):
        return {}
    controls = ReferenceChecks(kept, sandbox, "")
    found = {problem.id: await controls.measurement(problem) for problem in problems}
    controls.close()
    return found


def _containers_cpu_s() -> float:
    """Sum processor seconds of all processes in the containers, and of all that they buried."""
    return sum(seen.cpu_s for seen in tree(os.getpid())[1:])


if __name__ == "__main__":
    main()
