"""What a worker is told about a program, and what its word makes of it.

A job is plain JSON with limits and names; programs, tests and inputs travel beside it in files in
memory that the worker passes on unread.
"""

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from evolcoder.errors import SandboxError
from evolcoder.sandbox.base import (
    Asserts,
    Calls,
    Execution,
    Layer,
    Limits,
    Program,
    Script,
    Status,
    Task,
    missing_from,
)

MB = 1 << 20
INODES = 20_000
"""Files and folders that one program may make."""
COMPILER_MB = 4096
"""Memory that a compiler may use."""
COMPILER_PROCESSES = 512
REPORT_BYTES = 4096
_NAMES = ("source", "given", "stdout", "stderr", "answers", "report")


class Channels:
    """The files in memory that one program has in common with us."""

    def __init__(self, fds: list[int]) -> None:
        self.fds = fds

    @classmethod
    def open(cls, program: Program) -> Self:
        """Make the channels and fill those that the program reads."""
        channels = cls([os.memfd_create(name) for name in _NAMES])
        _fill(channels.fds[0], program.source.encode("utf-8", "surrogatepass"))
        _fill(channels.fds[1], _given(program.task))
        return channels

    def read(self, name: str, most: int) -> tuple[bytes, bool]:
        """Read a channel from its start; say whether it holds more than was asked for."""
        fd = self.fds[_NAMES.index(name)]
        size = os.fstat(fd).st_size
        return os.pread(fd, min(size, most), 0), size > most

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self.fds:
            os.close(fd)


def job_of(program: Program, limits: Limits) -> dict[str, Any]:
    """Write down what a worker must know."""
    run = _stage(limits.cpu_s, limits.wall_s, limits.memory_mb, limits.processes)
    longest = limits.compile_s
    compile_ = _stage(2 * longest, longest, COMPILER_MB, COMPILER_PROCESSES)
    return {
        **_mode(program),
        "run": run,
        "compile": compile_,
        "output": limits.output_kb << 10,
        "files": limits.file_mb * MB,
        "inodes": INODES,
        "descriptors": limits.descriptors,
    }


def execution_of(
    said: dict[str, Any], channels: Channels, limits: Limits, layers: Sequence[Layer]
) -> Execution:
    """Put together what became of a program; raise SandboxError if it never began."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    if not report.ready:
        raise SandboxError(f"a program could not be closed in: {report.broken or 'no word'}")
    begun = report.compiled_at or said["ended"]
    cpu_s = said["cpu_s"] - report.cpu_before
    output, flooded = channels.read("stdout", limits.output_kb << 10)
    errors, flooded_too = channels.read("stderr", limits.output_kb << 10)
    code = said["code"] if report.code is None else report.code
    status = _status(said, report, over_cpu=cpu_s >= limits.cpu_s, code=code)
    if status is Status.FINISHED and (flooded or flooded_too):
        status = Status.OUTPUT
    return Execution(
        status=status,
        exit_code=code if status in {Status.FINISHED, Status.COMPILE_ERROR} else None,
        stdout=output,
        stderr=errors,
        answers=channels.read("answers", limits.file_mb * MB)[0],
        cpu_s=max(cpu_s, 0.0),
        wall_s=said["ended"] - begun,
        peak_mb=said["peak_kb"] / 1024,
        compile_s=begun - said["begun"],
        layers=tuple(layers),
        missing=missing_from(layers),
    )


def _mode(program: Program) -> dict[str, Any]:
    match program.task:
        case Script():
            return {"mode": "script"}
        case Calls(entry_point=name):
            return {"mode": "calls", "entry_points": [name]}
        case Asserts(entry_points=names, check=check):
            return {"mode": "asserts", "entry_points": names, "check": check}


def _given(task: Task) -> bytes:
    match task:
        case Script(stdin=stdin):
            return stdin
        case Calls(inputs=inputs):
            return inputs
        case Asserts(test=test):
            return test.encode("utf-8", "surrogatepass")


def _stage(cpu_s: float, wall_s: float, memory_mb: int, processes: int) -> dict[str, Any]:
    memory = memory_mb * MB
    return {"cpu_s": cpu_s, "wall_s": wall_s, "memory": memory, "processes": processes}


def _fill(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)


class _Report:
    """What a cell said of its own progress."""

    def __init__(self, text: str) -> None:
        self.ready = self.uncompiled = False
        self.broken = ""
        self.compiled_at, self.cpu_before = 0.0, 0.0
        self.code: int | None = None
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "ready":
                self.ready = True
            elif word == "uncompiled":
                self.uncompiled = True
            elif word == "broken":
                self.broken = rest
            elif word == "compiled":
                self.compiled_at, self.cpu_before = map(float, rest.split())
            elif word == "done":
                self.code = int(rest)


def _status(said: dict[str, Any], report: _Report, *, over_cpu: bool, code: int) -> Status:
    if report.uncompiled or not report.compiled_at:
        return Status.COMPILE_ERROR
    if said["why"]:
        return Status(said["why"])
    if over_cpu and code < 0:
        return Status.TIMEOUT
    return Status.FINISHED
