"""All processes that descend from this one: found, counted, ended.

Orphans come back to a process that gathers them (`kernel.gather_orphans`), so a daemon by double
fork is found as well. `proc` is a descriptor of /proc, which a cell covers with its own. Standard
library only.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""The unit in which /proc counts processor time."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PAUSE_S = 0.0005
_KNOWS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""Without it every process of the machine has to be looked at."""
_RUNS, _WAITS_FOR_DISK = b"R", b"D"
_ENDED = (b"Z", b"X")
_REMOVED, _BLOCK = " (deleted)", 512
_AT_DISK = 0.25
"""How idle a program is that waits for a disk."""


class Seen(NamedTuple):
    """One process, as /proc shows it."""

    pid: int
    """Its id."""
    parent: int
    """Its parent's."""
    state: bytes
    """A letter: whether its first thread runs or may run, waits, is stopped or has ended."""
    own_s: float
    """Processor seconds of its own."""
    waited_s: float
    """Processor seconds of children that it has waited for, and of theirs."""
    threads: int
    """How many it has."""
    started: int
    """When, in ticks; with its id this is a name that no other process ever has."""
    memory: int
    """Resident bytes."""
    place: str
    """The folder of /proc that shows what it holds; empty of one that has ended."""


def read(path: str, proc: int) -> bytes:
    """Read a whole file of /proc, or raise OSError."""
    with open(os.open(path, os.O_RDONLY, dir_fd=proc), "rb") as file:
        return file.read()


def descendants(proc: int) -> list[Seen]:
    """Find everybody who descends from this process."""
    found = [os.getpid()]
    for pid in found:  # it grows as it goes
        found += _children(pid, proc)
    return [seen for pid in found[1:] if (seen := look(pid, proc))]


def others(proc: int) -> list[Seen]:
    """Find everybody but this process, which is the first of its process ids."""
    mine = os.getpid()
    return [seen for seen in _everybody(proc) if seen.pid != mine]


def look(pid: int, proc: int) -> Seen | None:
    """Look at one process, which may be gone."""
    fields = _fields(f"{pid}/stat", proc)
    if not fields:
        return None
    own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    n_threads = int(fields[17])
    place, memory = str(pid), int(fields[21]) * _PAGE
    if fields[0] in _ENDED:
        # Where only the first thread has ended, the others show what the process holds.
        place, memory = _held_by_threads(pid, proc) if n_threads > 1 else ("", 0)
    return Seen(
        pid,
        int(fields[1]),
        fields[0],
        own * TICK_S,
        waited * TICK_S,
        n_threads,
        int(fields[19]),
        memory,
        place,
    )


def idleness(found: Sequence[Seen], proc: int) -> float:
    """Return which part of a moment nobody wanted a processor: all of it, a part, or nothing.

    Who waits for a disk will want one, but not for ever. A process that waits for a child that it
    made by vfork looks the same.
    """
    parents = {seen.parent for seen in found}
    idle = 1.0
    for seen in found:
        states = [seen.state]
        if seen.threads > 1:
            states += [fields[0] for _, fields in _threads(seen.pid, proc)]
        if _RUNS in states:
            return 0.0
        if _WAITS_FOR_DISK in states and seen.pid not in parents:
            idle = _AT_DISK
    return idle


def threads_of_user(proc: int) -> int:
    """Count the threads that the kernel counts against this user's limit of processes."""
    uid, count = os.getuid(), 0
    for seen in _everybody(proc):
        with contextlib.suppress(OSError):
            count += seen.threads if os.stat(str(seen.pid), dir_fd=proc).st_uid == uid else 0
    return count


def unnamed_bytes(proc: int, within: str) -> int:
    """Return how much descendants hold in files in a folder that have been removed."""
    sizes = {}
    links = (one for seen in descendants(proc) for one in descriptors(seen, proc) or ())
    for link, path in links:
        if link.endswith(_REMOVED) and link.startswith(within):
            with contextlib.suppress(OSError):
                found = os.stat(path, dir_fd=proc)
                sizes[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK
    return sum(sizes.values())


def descriptors(seen: Seen, proc: int) -> list[tuple[str, str]] | None:
    """Return what a process's descriptors stand for, and where /proc shows each; None if hidden."""
    if not seen.place:
        return []
    found = []
    try:
        names = _listed(f"{seen.place}/fd", proc)
    except PermissionError:
        return None
    for name in names:
        path = f"{seen.place}/fd/{name}"
        with contextlib.suppress(OSError):
            found.append((os.readlink(path, dir_fd=proc), path))
    return found


def end_all(proc: int) -> None:
    """End all descendants and wait for them; cheap where there are none."""
    while _some_are_left():
        for seen in descendants(proc):
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _children(pid: int, proc: int) -> list[int]:
    if not _KNOWS_CHILDREN:
        return [seen.pid for seen in _everybody(proc) if seen.parent == pid]
    children = b""
    for thread in _names(f"{pid}/task", proc):
        with contextlib.suppress(OSError):
            children += read(f"{pid}/task/{thread}/children", proc)
    return [int(word) for word in children.split()]


def _fields(path: str, proc: int) -> list[bytes]:
    """Read what is behind the name of a process or thread; nothing where it is gone."""
    try:
        return read(path, proc).rpartition(b")")[2].split()
    except OSError:
        return []


def _threads(pid: int, proc: int) -> Iterator[tuple[str, list[bytes]]]:
    """Look at a process's threads."""
    for thread in _names(f"{pid}/task", proc):
        place = f"{pid}/task/{thread}"
        if fields := _fields(f"{place}/stat", proc):
            yield place, fields


def _held_by_threads(pid: int, proc: int) -> tuple[str, int]:
    """Find a thread that shows what its process holds, and what it shows to be resident."""
    for place, fields in _threads(pid, proc):
        if fields[0] not in _ENDED:
            return place, int(fields[21]) * _PAGE
    return "", 0


def _names(path: str, proc: int) -> list[str]:
    """List a folder of /proc; nothing where it is gone or hidden."""
    try:
        return _listed(path, proc)
    except PermissionError:
        return []


def _listed(path: str, proc: int) -> list[str]:
    folder = None
    try:
        folder = os.open(path, os.O_RDONLY, dir_fd=proc)
        return os.listdir(folder)
    except PermissionError:
        raise
    except OSError:
        return []
    finally:
        if folder is not None:
            os.close(folder)


def _everybody(proc: int) -> Iterator[Seen]:
    """Look at every process that can be seen."""
    for name in os.listdir(proc):
        if name.isdigit() and (seen := look(int(name), proc)):
            yield seen


def _some_are_left() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
