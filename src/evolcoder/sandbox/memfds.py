"""The files in memory that one program has in common with us; a worker hands them on unread."""

import fcntl
import os
from types import TracebackType
from typing import Self

from evolcoder.sandbox.base import Asserts, Calls, Program, Script, Sealed, Task

_NAMES = ("stdout", "stderr", "answers", "report", "source", "given")
"""In the order in which a worker places them: a candidate's own come first."""
_APPENDED = ("stdout", "stderr", "report")
"""What several processes write at a time: a file in memory keeps no two writes apart otherwise."""


class Memfds:
    """The files in memory that one program has in common with us."""

    def __init__(self, fds: list[int]) -> None:
        self.fds = fds

    @classmethod
    def open(cls, program: Program) -> Self:
        """Make the channels and fill those that the program reads."""
        channels = cls([os.memfd_create(name) for name in _NAMES])
        _fill(channels.fds[_NAMES.index("source")], program.source.encode("utf-8", "surrogatepass"))
        _fill(channels.fds[_NAMES.index("given")], _given(program.task))
        for name in _APPENDED:
            fcntl.fcntl(channels.fds[_NAMES.index(name)], fcntl.F_SETFL, os.O_APPEND)
        return channels

    def read(self, name: str, most: int) -> tuple[bytes, bool]:
        """Read a channel from its start; say whether it holds more than was asked for."""
        fd = self.fds[_NAMES.index(name)]
        size = os.fstat(fd).st_size
        return os.pread(fd, min(size, most), 0), size > most

    def peek(self, name: str, begin: int, most: int) -> bytes:
        """Read what a channel holds from a place on, while it may still grow."""
        return os.pread(self.fds[_NAMES.index(name)], most, begin)

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


def _given(task: Task) -> bytes:
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
    """Write it all, and leave the place from which a program reads at the start."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:] if written else data, written)
