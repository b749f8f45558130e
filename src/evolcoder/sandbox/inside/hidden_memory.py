"""Memory that processes hold and that their resident sets do not show, as far as /proc tells of it.

Only where there is no control group, which counts all of it. What /proc shows the size of is taken
as it is: page tables. Of what it shows only that it is there, the most is taken that it may hold:
pipes, sockets, and shared mappings, of which a part can be unmapped and still be held. A process
that hides its descriptors is taken to have the most sockets that it may have.
Does not see descriptors that are on their way through a socket; the kernel allows a user no more of
these than a process may have open. Files in memory without a name are refused by `syscalls`, since
nothing shows them then. Standard library only.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence

from evolcoder.sandbox.inside.kin import Seen, read

SHARED_BYTES = 64 << 20
"""Longest shared mapping without a file that `syscalls` lets a program make."""
_PIPE_BYTES = 1 << 16
_FEW = 16
"""So many sockets, and pipes, of a program are taken to be nearly empty."""
_FEW_SHARED = 4
"""So many shared mappings are taken to be as long as they were seen to be."""
_MOST_QUEUED = "sys/net/core/wmem_max"
_USUALLY_QUEUED = 212_992
_TABLES, _SEEN_SHARED = b"\nVmPTE:", b"\nRssShmem:"
_SHARED = b"/dev/zero (deleted)"
"""How `maps` names memory that processes share without a file, however they came by it."""


class HiddenMemory:
    """What one program's processes hold, from one look to the next."""

    def __init__(self, proc: int, descriptors: int) -> None:
        self._proc = proc
        self._descriptors = descriptors
        self._socket_bytes = 2 * _number(proc, _MOST_QUEUED, _USUALLY_QUEUED)
        self._lengths: dict[bytes, int] = {}
        self._closed: set[int] = set()

    def look(self, found: Sequence[Seen], spared: int) -> int:
        """Return bytes that processes hold; into one of them, our own, nobody can look."""
        total, resident = 0, 0
        sockets, pipes, shared, closed = set[str](), set[str](), dict[bytes, int](), set[int]()
        for seen in found:
            if not seen.place:
                continue
            with contextlib.suppress(OSError):
                status = read(f"{seen.place}/status", self._proc)
                total += _size(status, _TABLES)
                resident += _size(status, _SEEN_SHARED)
            if seen.pid == spared:
                continue
            try:
                links = self._descriptors_of(seen.place)
            except PermissionError:
                closed.add(seen.pid)
                continue
            except OSError:
                continue
            sockets.update(link for link in links if link.startswith("socket:"))
            pipes.update(link for link in links if link.startswith("pipe:"))
            with contextlib.suppress(OSError):
                _add_shared(read(f"{seen.place}/maps", self._proc), shared)
        self._lengths = {
            name: max(length, self._lengths.get(name, 0)) for name, length in shared.items()
        }
        # A process that has only just begun may be closed for a moment.
        hiding = len(closed & self._closed)
        self._closed = closed
        n_sockets = max(0, len(sockets) - _FEW) + hiding * self._descriptors
        total += n_sockets * self._socket_bytes
        total += max(0, len(pipes) - _FEW) * _PIPE_BYTES
        return total + max(0, _most_held(self._lengths.values()) - resident)

    def _descriptors_of(self, place: str) -> list[str]:
        folder = os.open(f"{place}/fd", os.O_RDONLY, dir_fd=self._proc)
        try:
            links = []
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    links.append(os.readlink(name, dir_fd=folder))
            return links
        finally:
            os.close(folder)


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
