"""What is said between a worker and the process in its container that forks programs.

One message is one job with its descriptors: what it may use, and what the cell is to do (see
`orders`). One message back says how it ended. All of it is made of few objects, since a page that
is written to after a fork costs a fault. Standard library only.
"""

import marshal
import os
import socket
import struct
from typing import Any, NamedTuple

READY = b"ready"
"""Said once, when jobs can come."""
STOP = b"stop"
"""Said to have the running job ended; it may come when that has just ended by itself."""
FIRST_FREE = 4
"""Descriptors below this one are kept free for programs."""
_JOB_BYTES = 1 << 16
_FDS = struct.Struct("6i")
_ATTACHED_BYTES = socket.CMSG_SPACE(_FDS.size)
_END = struct.Struct("<8sqdddq")


class End(NamedTuple):
    """How a job ended, as seen from outside of its cell."""

    why: str
    """The limit that it went over, or ''."""
    code: int
    """Exit code of the cell's first process, or minus the signal that ended it."""
    begun: float
    """Monotonic time."""
    ended: float
    """Monotonic time."""
    cpu_s: float
    """Processor seconds of all its processes."""
    peak_bytes: int
    """Most memory that one process held, or that all held when they were looked at."""

    def said(self) -> bytes:
        """Put it into a message."""
        return _END.pack(self.why.encode(), *self[1:])

    @classmethod
    def read(cls, message: bytes) -> "End":
        """Read a message back."""
        why, *rest = _END.unpack(message)
        return cls(why.rstrip(b"\0").decode("ascii"), *rest)


class Received(NamedTuple):
    """A job as it came."""

    limits: bytes
    """What it may use, marshalled; the same for many jobs."""
    work: bytes
    """What the cell is to do, marshalled."""
    fds: tuple[int, ...]
    """Its descriptors."""


class Line:
    """The end of the line that is in the container."""

    def __init__(self, control: int) -> None:
        """Go on by a high descriptor, with nothing but /dev/null below it and errors at 2."""
        moved = [os.dup(control) for _ in range(FIRST_FREE + 1)][-1]
        null = os.open("/dev/null", os.O_RDWR)
        for place in range(FIRST_FREE):
            if place not in {1, 2}:
                os.dup2(null, place)
        os.closerange(FIRST_FREE, moved)
        os.closerange(moved + 1, 1 << 16)
        self.control = socket.socket(fileno=moved)

    def say_ready(self) -> None:
        """Ask for jobs."""
        self.control.send(READY)

    def next_job(self) -> Received | None:
        """Wait for a job; None when the other end has hung up."""
        message = STOP
        while message == STOP:
            message, attached, _, _ = self.control.recvmsg(_JOB_BYTES, _ATTACHED_BYTES)
        if not message:
            return None
        limits, work = opened(message)
        return Received(limits, work, _FDS.unpack(attached[0][2]))

    def say_end(self, end: End) -> None:
        """Say how a job ended."""
        self.control.send(end.said())


def closed(words: Any) -> bytes:  # noqa: ANN401 - plain data
    """Put plain data into a message."""
    return marshal.dumps(words)


def opened(message: bytes) -> Any:  # noqa: ANN401 - plain data
    """Take it out again. Only for what the parent wrote, which is trusted."""
    return marshal.loads(message)  # noqa: S302 - see above
