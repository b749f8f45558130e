"""Memory that processes hold and that their resident sets do not show, as far as /proc tells of it.

Only where there is no control group, which counts all of it. What /proc shows the size of is taken
as it is: page tables. Of what it shows only that it is there, the most is taken that it may hold:
pipes, sockets, and shared mappings, of which a part can be unmapped and still be held. A process
that hides what it holds is taken to hold more than it may.
Does not see descriptors that are on their way through a socket; the kernel allows a user no more of
these than a process may have open. Files in memory without a name are refused by `syscalls`, since
nothing shows them then. Standard library only.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence

from evolcoder.sandbox.inside.process_tree import Seen, descriptors, read

SHARED_BYTES = 64 << 20
"""Longest shared mapping without a file that `syscalls` lets a program make."""
_PIPE_BYTES = 1 << 16
_FEW = 16
"""So many sockets, and pipes, of a program are taken to be nearly empty."""
_FEW_SHARED = 4
"""So many shared mappings are taken to be as long as they were seen to be."""
_MORE_THAN_IT_MAY = 1 << 62
_HIDING_S = 1.0
"""A process that has only just begun hides until it first runs, on a busy machine for long."""
_QUEUED = "sys/net/core/wmem_default"
_USUALLY_QUEUED = 212_992
"""How much a socket holds for its other end, which `syscalls` lets no program raise."""
_TABLES, _SEEN_SHARED = b"\nVmPTE:", b"\nRssShmem:"
_SHARED = b"/dev/zero (deleted)"
"""How `maps` names memory that processes share without a file, however they came by it."""


class HiddenMemory:
    """What one program's processes hold, from one look to the next."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._socket_bytes = _number(proc, _QUEUED, _USUALLY_QUEUED)
        self._lengths: dict[bytes, int] = {}
        self._hiding: dict[int, float] = {}

    def look(self, found: Sequence[Seen], spared: int) -> int:
        """Return bytes that processes hold; one that hides may be `spared`, as our own does."""
        tables, resident, shared = 0, 0, dict[bytes, int]()
        queues, hiding = {"socket": set[str](), "pipe": set[str]()}, set[int]()
        for seen in found:
            status = self._read(seen, "status")
            tables += _size(status, _TABLES)
            resident += _size(status, _SEEN_SHARED)
            _add_shared(self._read(seen, "maps"), shared)
            links = descriptors(seen, self._proc)
            # One that is about to end has no memory any more, and shows nothing either.
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

    def _read(self, seen: Seen, name: str) -> bytes:
        if seen.place:
            with contextlib.suppress(OSError):
                return read(f"{seen.place}/{name}", self._proc)
        return b""


def _size(status: bytes, name: bytes) -> int:
    """Return the bytes that a process's status tells of."""
    _, found, rest = status.partition(name)
    return int(rest.split(None, 1)[0]) << 10 if found else 0


def _add_shared(maps: bytes, lengths: dict[bytes, int]) -> None:
    """Add up the shared mappings without a file, by the number of what they show."""
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
