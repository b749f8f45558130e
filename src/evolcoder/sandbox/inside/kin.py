"""All processes that descend from this one: found, counted, ended.

Orphans come back to a process that gathers them (`kernel.gather_orphans`), so a daemon by double
fork is found as well. Standard library only.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PAUSE_S = 0.0005
_KNOWS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""Without it every process of the machine has to be looked at."""


class Seen(NamedTuple):
    """One process, as /proc shows it."""

    pid: int
    """Its id."""
    parent: int
    """Its parent's."""
    cpu_s: float
    """Processor seconds, those of children that it has buried included."""
    threads: int
    """How many it has."""
    memory: int
    """Resident bytes."""


def descendants() -> list[Seen]:
    """Find everybody who descends from this process."""
    found = [os.getpid()]
    for pid in found:  # it grows as it goes
        with contextlib.suppress(OSError):
            found += _children(pid)
    return [seen for pid in found[1:] if (seen := _look(pid))]


def _children(pid: int) -> list[int]:
    if not _KNOWS_CHILDREN:
        return [seen.pid for seen in _everybody() if seen.parent == pid]
    children = b""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            children += file.read()
    return [int(word) for word in children.split()]


def _everybody() -> Iterator[Seen]:
    """Look at every process of the machine that can be seen."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (seen := _look(int(name))):
            yield seen


def _look(pid: int) -> Seen | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    cpu_s = sum(map(int, fields[11:15])) * _TICK_S
    return Seen(pid, int(fields[1]), cpu_s, int(fields[17]), int(fields[21]) * _PAGE)


def used() -> tuple[float, int]:
    """Sum processor seconds and resident bytes over all descendants."""
    found = descendants()
    return sum(seen.cpu_s for seen in found), sum(seen.memory for seen in found)


def threads_of_user() -> int:
    """Count the threads that the kernel counts against this user's limit of processes."""
    uid, count = os.getuid(), 0
    for seen in _everybody():
        with contextlib.suppress(OSError):
            count += seen.threads if os.stat(f"/proc/{seen.pid}").st_uid == uid else 0
    return count


def end_all() -> None:
    """End all descendants and bury them; cheap where there are none."""
    while _some_are_left():
        for seen in descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _some_are_left() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
