"""Finds, samples and kills the descendants of this process.

Orphans return to a subreaper (`libc.become_subreaper`), so double-forked daemons are found too.
`proc` is a descriptor of /proc, which isolated processes cover with their own. Standard library
only.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""Unit of CPU time in /proc."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PAUSE_S = 0.0005
_HAS_CHILDREN_FILE = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""Without it, every process of the machine has to be read."""
_RUNS, _WAITS_FOR_DISK = b"R", b"D"
_ENDED = (b"Z", b"X")
_REMOVED, _BLOCK = " (deleted)", 512
_AT_DISK = 0.25
"""Idleness of a program that waits for a disk."""


class ProcessInfo(NamedTuple):
    """One process, as /proc shows it."""

    pid: int
    """Its PID."""
    parent: int
    """Its parent's PID."""
    state: bytes
    """State letter of its first thread: running or runnable, waiting, stopped, ended."""
    own_s: float
    """Its own CPU seconds."""
    waited_s: float
    """CPU seconds of children that it has reaped, and of theirs."""
    threads: int
    """Number of threads."""
    started: int
    """Start in ticks; together with the PID it identifies a process uniquely."""
    memory: int
    """Resident bytes."""
    proc_path: str
    """Folder below /proc with its descriptors and maps; empty if it has ended."""


def read(path: str, proc: int) -> bytes:
    """Read a whole file below /proc; OSError if it is gone."""
    with open(os.open(path, os.O_RDONLY, dir_fd=proc), "rb") as file:
        return file.read()


def descendants(proc: int) -> list[ProcessInfo]:
    """Find all descendants of this process."""
    found = [os.getpid()]
    for pid in found:  # it grows as it goes
        found += _children(pid, proc)
    return [seen for pid in found[1:] if (seen := read_process(pid, proc))]


def others(proc: int) -> list[ProcessInfo]:
    """Find all processes but this one, which is the first of its PID namespace."""
    mine = os.getpid()
    return [seen for seen in _all_processes(proc) if seen.pid != mine]


def read_process(pid: int, proc: int) -> ProcessInfo | None:
    """Read one process; None if it is gone."""
    fields = _fields(f"{pid}/stat", proc)
    if not fields:
        return None
    own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    n_threads = int(fields[17])
    place, memory = str(pid), int(fields[21]) * _PAGE
    if fields[0] in _ENDED:
        # If only the first thread has ended, the others show the process's resources.
        place, memory = _resources_of_threads(pid, proc) if n_threads > 1 else ("", 0)
    return ProcessInfo(
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


def idleness(found: Sequence[ProcessInfo], proc: int) -> float:
    """Return how idle processes are now: 1 if none wants a CPU, 0 if one does.

    One that waits for a disk is `_AT_DISK` idle: it will want a CPU, but cannot wait forever. A
    process that waits for a vfork child has the same state, so parents do not count.
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
    """Count the threads that the kernel counts against this user's process limit."""
    uid, count = os.getuid(), 0
    for seen in _all_processes(proc):
        with contextlib.suppress(OSError):
            count += seen.threads if os.stat(str(seen.pid), dir_fd=proc).st_uid == uid else 0
    return count


def unnamed_bytes(proc: int, within: str) -> int:
    """Return the size of removed files below a folder that descendants keep open."""
    sizes = {}
    links = (one for seen in descendants(proc) for one in open_descriptors(seen, proc) or ())
    for link, path in links:
        if link.endswith(_REMOVED) and link.startswith(within):
            with contextlib.suppress(OSError):
                found = os.stat(path, dir_fd=proc)
                sizes[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK
    return sum(sizes.values())


def open_descriptors(seen: ProcessInfo, proc: int) -> list[tuple[str, str]] | None:
    """Return targets and /proc paths of a process's descriptors; None if hidden."""
    if not seen.proc_path:
        return []
    found = []
    try:
        names = _listed(f"{seen.proc_path}/fd", proc)
    except PermissionError:
        return None
    for name in names:
        path = f"{seen.proc_path}/fd/{name}"
        with contextlib.suppress(OSError):
            found.append((os.readlink(path, dir_fd=proc), path))
    return found


def kill_all(proc: int) -> None:
    """Kill all descendants and reap them; cheap if there are none."""
    while _has_children():
        for seen in descendants(proc):
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _children(pid: int, proc: int) -> list[int]:
    if not _HAS_CHILDREN_FILE:
        return [seen.pid for seen in _all_processes(proc) if seen.parent == pid]
    children = b""
    for thread in _names(f"{pid}/task", proc):
        with contextlib.suppress(OSError):
            children += read(f"{pid}/task/{thread}/children", proc)
    return [int(word) for word in children.split()]


def _fields(path: str, proc: int) -> list[bytes]:
    """Read the fields after the name in a `stat` file; empty if the process is gone."""
    try:
        return read(path, proc).rpartition(b")")[2].split()
    except OSError:
        return []


def _threads(pid: int, proc: int) -> Iterator[tuple[str, list[bytes]]]:
    """Read a process's threads."""
    for thread in _names(f"{pid}/task", proc):
        place = f"{pid}/task/{thread}"
        if fields := _fields(f"{place}/stat", proc):
            yield place, fields


def _resources_of_threads(pid: int, proc: int) -> tuple[str, int]:
    """Find a thread that shows its process's resources; return its folder and resident bytes."""
    for place, fields in _threads(pid, proc):
        if fields[0] not in _ENDED:
            return place, int(fields[21]) * _PAGE
    return "", 0


def _names(path: str, proc: int) -> list[str]:
    """List a folder of /proc; empty if gone or hidden."""
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


def _all_processes(proc: int) -> Iterator[ProcessInfo]:
    """Read every visible process."""
    for name in os.listdir(proc):
        if name.isdigit() and (seen := read_process(int(name), proc)):
            yield seen


def _has_children() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
