"""Finds, samples and kills the descendants of this process, and estimates their hidden memory.

Orphans return to a subreaper (`libc.become_subreaper`), so double-forked daemons are found too.
`proc` is a descriptor of /proc, which isolated processes cover with their own. Standard library
only.

`HiddenMemory` estimates memory outside resident sets, as far as /proc shows it; without a control
group, which counts all of it. Page tables are counted at their size. For objects whose size /proc
does not show, the maximum is assumed: pipes, sockets, and shared mappings, which may be partly
unmapped and still in use. A process that hides its descriptors is assumed to exceed its limit.
Not seen: descriptors in transit through a socket, of which the kernel allows a user no more than a
process may have open. `seccomp` refuses unnamed memory files, since nothing would show them.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
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


SHARED_BYTES = 64 << 20
"""Longest shared mapping without a file that `seccomp` allows."""
_PIPE_BYTES = 1 << 16
_FEW = 16
"""This many sockets, and this many pipes, of a program are assumed to be nearly empty."""
_FEW_SHARED = 4
"""This many shared mappings are counted at their largest seen length."""
_MORE_THAN_IT_MAY = 1 << 62
_HIDING_S = 1.0
"""A new process is hidden until it first runs, on a busy machine for a long time."""
_QUEUED = "sys/net/core/wmem_default"
_USUALLY_QUEUED = 212_992
"""Bytes queued for a socket's other end; `seccomp` keeps programs from raising it."""
_TABLES, _SEEN_SHARED = b"\nVmPTE:", b"\nRssShmem:"
_SHARED = b"/dev/zero (deleted)"
"""Name in `maps` of memory that processes share without a file, however it was created."""


class HiddenMemory:
    """Hidden memory of one program's processes over several samples."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._socket_bytes = _number(proc, _QUEUED, _USUALLY_QUEUED)
        self._lengths: dict[bytes, int] = {}
        self._hiding: dict[int, float] = {}

    def sample(self, found: Sequence[ProcessInfo], spared: int) -> int:
        """Return the hidden bytes; the process `spared` may hide, as our own does."""
        tables, resident, shared = 0, 0, dict[bytes, int]()
        queues, hiding = {"socket": set[str](), "pipe": set[str]()}, set[int]()
        for seen in found:
            status = self._read(seen, "status")
            tables += _size(status, _TABLES)
            resident += _size(status, _SEEN_SHARED)
            _add_shared(self._read(seen, "maps"), shared)
            links = open_descriptors(seen, self._proc)
            # A process that is about to end has no memory and shows no descriptors either.
            if links is None and seen.memory > 0 and seen.pid != spared:
                hiding.add(seen.pid)
            for link, _ in links or ():
                queues.get(link.partition(":")[0], set()).add(link)
        self._lengths = {
            name: max(length, self._lengths.get(name, 0)) for name, length in shared.items()
        }
        now = time.monotonic()
        self._hiding = {pid: self._hiding.get(pid, now) for pid in hiding}
        if any(now - since > _HIDING_S for since in self._hiding.values()):
            return _MORE_THAN_IT_MAY
        n_sockets = max(0, len(queues["socket"]) - _FEW)
        n_pipes = max(0, len(queues["pipe"]) - _FEW)
        hidden = max(0, _most_held(self._lengths.values()) - resident)
        return tables + hidden + n_sockets * self._socket_bytes + n_pipes * _PIPE_BYTES

    def _read(self, seen: ProcessInfo, name: str) -> bytes:
        if seen.proc_path:
            with contextlib.suppress(OSError):
                return read(f"{seen.proc_path}/{name}", self._proc)
        return b""


def _size(status: bytes, name: bytes) -> int:
    """Return a size in bytes from a process's status."""
    _, found, rest = status.partition(name)
    return int(rest.split(None, 1)[0]) << 10 if found else 0


def _add_shared(maps: bytes, lengths: dict[bytes, int]) -> None:
    """Add up shared mappings without a file by inode; keep the largest sum per inode."""
    if _SHARED not in maps:
        return
    seen_here: dict[bytes, int] = {}
    for line in maps.split(b"\n"):
        if line.endswith(_SHARED):
            addresses, _, _, _, number, *_ = line.split()
            low, high = addresses.split(b"-")
            seen_here[number] = seen_here.get(number, 0) + int(high, 16) - int(low, 16)
    for number, length in seen_here.items():
        lengths[number] = max(length, lengths.get(number, 0))


def _most_held(lengths: Iterable[int]) -> int:
    longest = sorted(lengths, reverse=True)
    rest = (max(length, SHARED_BYTES) for length in longest[_FEW_SHARED:])
    return sum(longest[:_FEW_SHARED]) + sum(rest)


def _number(proc: int, path: str, otherwise: int) -> int:
    try:
        return int(read(path, proc))
    except (OSError, ValueError):
        return otherwise
