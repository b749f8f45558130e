"""The protocol between a worker and the process in its container that forks programs.

One message carries one job with its descriptors: limits and work (see `job`). One message back
reports how it ended. Messages consist of few objects, because each page written to after a fork
costs a page fault. Standard library only.
"""

import contextlib
import marshal
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

BIND_NOW_VARIABLE = "LD_BIND_NOW"
"""Environment variable that a worker starts with and removes."""
READY = b"ready"
"""Sent once, when jobs can be received."""
STOP = b"stop"
"""Asks to end the running job; it may arrive just after the job has ended by itself."""
IDLE = "idle"
"""Reason of a job that used no CPU; more time would not change it."""
KILLED = "killed"
"""Reason of a job one of whose processes the kernel killed although the job was within its limits.
"""
JOB_FDS = (1, 2, 3, 4, 5, 6)
"""Descriptors reserved for those of a job, placed where a program expects them."""
_CONTROL, _STDERR, _GROUP = 16, 17, 18
"""The worker's own descriptors; the files of its control group start at the last."""
_JOB_BYTES = 1 << 16
_FDS = struct.Struct("6i")
_ATTACHED_BYTES = socket.CMSG_SPACE(_FDS.size)
_END = struct.Struct("<8sqdddq")


class End(NamedTuple):
    """How a job ended, as seen from outside its isolated process."""

    why: str
    """The exceeded limit, or ''."""
    code: int
    """Exit code of the isolated first process, or minus the signal that ended it."""
    begun: float
    """Start in monotonic time."""
    ended: float
    """End in monotonic time."""
    cpu_s: float
    """CPU seconds of all its processes."""
    peak_bytes: int
    """Peak memory of one process, or of all at a sample."""

    def to_bytes(self) -> bytes:
        """Encode it as a message."""
        return _END.pack(self.why.encode(), *self[1:])

    @classmethod
    def from_bytes(cls, message: bytes) -> "End":
        """Decode a message."""
        why, *rest = _END.unpack(message)
        return cls(why.rstrip(b"\0").decode("ascii"), *rest)


class ReceivedJob(NamedTuple):
    """A job as received."""

    limits: bytes
    """Its limits, marshalled; many jobs share them."""
    work: bytes
    """The work for the isolated process, marshalled."""


class WorkerConnection:
    """The container's end of the connection to a worker."""

    def __init__(self, control: int, group: Mapping[str, int]) -> None:
        """Move own descriptors up; below them, keep only /dev/null and standard error at 2."""
        os.environ.pop(BIND_NOW_VARIABLE, None)
        came = (control, 2, *group.values())
        # Via numbers above all of them, since some may be where others are to go.
        high = max(*came, _GROUP + len(group)) + 1
        moved = [os.dup2(fd, high + number) for number, fd in enumerate(came)]
        for place, fd in enumerate(moved, _CONTROL):
            os.dup2(fd, place, inheritable=False)
        self.group = dict(zip(group, range(_GROUP, _GROUP + len(group)), strict=True))
        null = os.open("/dev/null", os.O_RDWR)
        for place in (0, *JOB_FDS):
            if place != 2:
                os.dup2(null, place)
        os.closerange(JOB_FDS[-1] + 1, _CONTROL)
        os.closerange(_GROUP + len(group), 1 << 16)
        self.control = socket.socket(fileno=_CONTROL)

    @contextlib.contextmanager
    def accepting_jobs(self) -> Iterator[None]:
        """Announce readiness and free the descriptors for jobs; an error is logged to stderr."""
        os.closerange(JOB_FDS[0], JOB_FDS[-1] + 1)
        self.control.send(READY)
        try:
            yield
        except BaseException:
            os.dup2(_STDERR, 2)
            raise

    def next_job(self) -> ReceivedJob | None:
        """Wait for a job, with descriptors at `JOB_FDS`; None once the parent has disconnected."""
        message = STOP
        while message == STOP:
            message, attached, _, _ = self.control.recvmsg(_JOB_BYTES, _ATTACHED_BYTES)
        if not message:
            return None
        if _FDS.unpack(attached[0][2]) != JOB_FDS:
            raise OSError(0, "a job's descriptors have unexpected numbers")
        return ReceivedJob(*unpack_message(message))

    def send_end(self, end: End) -> None:
        """Report how a job ended, and close its descriptors."""
        self.control.send(end.to_bytes())
        os.closerange(JOB_FDS[0], JOB_FDS[-1] + 1)


def pack_message(words: Any) -> bytes:  # noqa: ANN401 - plain data
    """Encode plain data as a message."""
    return marshal.dumps(words)


def unpack_message(message: bytes) -> Any:  # noqa: ANN401 - plain data
    """Decode a message. Only for messages of the parent, which is trusted."""
    return marshal.loads(message)  # noqa: S302 - see above
