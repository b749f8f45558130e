"""The memory files (memfds) that this process shares with one program; workers pass them on."""

import fcntl
import os
from types import TracebackType
from typing import Self

from evolcoder.sandbox.base import Asserts, Calls, Program, Script, Sealed, Task

_NAMES = ("stdout", "stderr", "answers", "report", "source", "given")
"""In the order in which a worker receives them; those that the candidate writes come first."""
_APPENDED = ("stdout", "stderr", "report")
"""Opened with O_APPEND: several processes write them, and would overwrite each other."""


class Memfds:
    """The memory files of one program."""

    def __init__(self, fds: list[int]) -> None:
        self.fds = fds

    @classmethod
    def open(cls, program: Program) -> Self:
        """Make the files and fill those that the program reads."""
        channels = cls([os.memfd_create(name) for name in _NAMES])
        _fill(channels.fds[_NAMES.index("source")], program.source.encode("utf-8", "surrogatepass"))
        _fill(channels.fds[_NAMES.index("given")], _input_of(program.task))
        for name in _APPENDED:
            fcntl.fcntl(channels.fds[_NAMES.index(name)], fcntl.F_SETFL, os.O_APPEND)
        return channels

    def read(self, name: str, max_bytes: int) -> tuple[bytes, bool]:
        """Read a file from its start; also return whether it is longer than `max_bytes`."""
        fd = self.fds[_NAMES.index(name)]
        size = os.fstat(fd).st_size
        return os.pread(fd, min(size, max_bytes), 0), size > max_bytes

    def peek(self, name: str, begin: int, max_bytes: int) -> bytes:
        """Read up to `max_bytes` bytes from an offset while the file may still grow."""
        return os.pread(self.fds[_NAMES.index(name)], max_bytes, begin)

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


def _input_of(task: Task) -> bytes:
    match task:
        case Script(stdin=stdin):
            return stdin
        case Calls(inputs=inputs):
            return inputs
        case Asserts(test=test):
            return test.encode("utf-8", "surrogatepass")
        case Sealed():
            return b""


def _fill(fd: int, data: bytes) -> None:
    """Write all data; pwrite leaves the file offset at the start for the reader."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:] if written else data, written)
