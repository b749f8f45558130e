"""Estimates memory that processes use outside their resident sets, as far as /proc shows it.

Used only without a control group, which counts all of it. Page tables are counted at their size.
For objects whose size /proc does not show, the maximum is assumed: pipes, sockets, and shared
mappings, which may be partly unmapped and still in use. A process that hides its descriptors is
assumed to exceed its limit.
Not seen: descriptors in transit through a socket, of which the kernel allows a user no more than a
process may have open. `seccomp` refuses unnamed memory files, since nothing would show them.
Standard library only.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence

from evolcoder.sandbox.inside.process_tree import ProcessInfo, open_descriptors, read

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
