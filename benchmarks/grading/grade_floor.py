"""The floor of grading in a fresh process: a warm interpreter forks and runs.

    python grade_floor.py PROBLEMS SAMPLES WORKERS WARM,...

It isolates nothing, so it runs in the container of `held.py`. With PROBLEMS `-` and SAMPLES a
number it forks that often and runs nothing.
"""

import gc
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from said import Clock


def main() -> None:
    problems, samples, workers, warm = sys.argv[1:]
    for name in warm.split(","):
        importlib.import_module(name)
    programs = _programs(problems, samples)
    gc.collect()
    gc.freeze()
    clock = Clock()
    shares = [_share(programs[place :: int(workers)]) for place in range(int(workers))]
    clock.say([outcome == "1" for share in shares for outcome in _read(*share)])


def _programs(problems: str, samples: str) -> list[tuple[str, str, str] | None]:
    """Read what to run: source, test and name of the function."""
    if problems == "-":
        return [None] * int(samples)
    by_id = {row["task_id"]: row for row in _rows(problems)}
    rows = _rows(samples)
    found = [(by_id[row["task_id"]], row["completion"]) for row in rows]
    return [(source, row["test"], row["entry_point"]) for row, source in found]


def _rows(path: str) -> Iterator[Any]:
    return map(json.loads, Path(path).read_text().splitlines())


def _share(programs: list[tuple[str, str, str] | None]) -> tuple[int, int]:
    """Start a process that forks for each program in turn; return its id and a pipe to read."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, "".join(str(int(_passes(one))) for one in programs).encode())
        os._exit(0)
    os.close(write)
    return pid, read


def _read(pid: int, pipe: int) -> str:
    with open(pipe) as file:
        found = file.read()
    os.waitpid(pid, 0)
    return found


def _passes(program: tuple[str, str, str] | None) -> bool:
    """Run a program and its test in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _run(*program) if program else 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _run(source: str, test: str, name: str) -> int:
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    space: dict[str, object] = {"__name__": "candidate"}
    exec(compile(source, "program.py", "exec"), space)
    exec(compile(test, "test.py", "exec"), space)
    space["check"](space[name])
    return 0


if __name__ == "__main__":
    main()
