"""What is said between a worker and the process in its container that forks programs.

One message is one job with its descriptors: what it may use, and what the cell is to do (see
`orders`). One message back says how it ended. All of it is made of few objects, since a page that
is written to after a fork costs a fault. Standard library only.
"""

import contextlib
import marshal
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BOUND = "LD_BIND_NOW"
"""A variable that a worker is started with, and forgets."""
READY = b"ready"
"""Said once, when jobs can come."""
STOP = b"stop"
"""Said to have the running job ended; it may come when that has just ended by itself."""
IDLE = "idle"
"""Why a job ended that used no processor, which no more time would change."""
KILLED = "killed"
"""Why a job ended of which the kernel has ended a process, without a limit of the job's own."""
PLACES = (1, 2, 3, 4, 5, 6)
"""Descriptors that are kept free for those of a job, which come to lie where a program wants them.
"""
_CONTROL, _ERRORS, _GROUP = 16, 17, 18
"""Descriptors of a worker itself: the files of its control group begin at the last."""
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


class Line:
    """The end of the line that is in the container."""

    def __init__(self, control: int, group: Mapping[str, int]) -> None:
        """Go on by high descriptors, with nothing but /dev/null below them and errors at 2."""
        os.environ.pop(BOUND, None)
        came = (control, 2, *group.values())
        # By way of numbers above all of them, since some may lie where others go.
        high = max(*came, _GROUP + len(group)) + 1
        moved = [os.dup2(fd, high + number) for number, fd in enumerate(came)]
        for place, fd in enumerate(moved, _CONTROL):
            os.dup2(fd, place, inheritable=False)
        self.group = dict(zip(group, range(_GROUP, _GROUP + len(group)), strict=True))
        null = os.open("/dev/null", os.O_RDWR)
        for place in (0, *PLACES):
            if place != 2:
                os.dup2(null, place)
        os.closerange(PLACES[-1] + 1, _CONTROL)
        os.closerange(_GROUP + len(group), 1 << 16)
        self.control = socket.socket(fileno=_CONTROL)

    @contextlib.contextmanager
    def taking_jobs(self) -> Iterator[None]:
        """Ask for jobs, and make place for their descriptors; errors that end it are told."""
        os.closerange(PLACES[0], PLACES[-1] + 1)
        self.control.send(READY)
        try:
            yield
        except BaseException:
            os.dup2(_ERRORS, 2)
            raise

    def next_job(self) -> Received | None:
        """Wait for a job, whose descriptors come to lie at `PLACES`; None when nobody asks more."""
        message = STOP
        while message == STOP:
            message, attached, _, _ = self.control.recvmsg(_JOB_BYTES, _ATTACHED_BYTES)
        if not message:
            return None
        if _FDS.unpack(attached[0][2]) != PLACES:
            raise OSError(0, "a job's descriptors came to lie elsewhere")
        return Received(*opened(message))

    def say_end(self, end: End) -> None:
        """Say how a job ended, and close its descriptors."""
        self.control.send(end.said())
        os.closerange(PLACES[0], PLACES[-1] + 1)


def closed(words: Any) -> bytes:  # noqa: ANN401 - plain data
    """Put plain data into a message."""
    return marshal.dumps(words)


def opened(message: bytes) -> Any:  # noqa: ANN401 - plain data
    """Take it out again. Only for what the parent wrote, which is trusted."""
    return marshal.loads(message)  # noqa: S302 - see above
