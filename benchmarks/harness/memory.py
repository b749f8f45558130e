"""Measures the memory of a command and its descendants from outside while they run.

Shared pages count once (proportional set size) where the kernel permits it, which it does for root
and for the processes' owner; otherwise the resident size is used. Peaks are sampled four times a
second.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.25
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Seen:
    """One process."""

    pid: int
    """Its id."""
    cpu_s: float
    """Processor seconds of it and of all children that it has buried."""


class Peaks:
    """Peaks in MB of a command's processes."""

    def __init__(self) -> None:
        self.all_mb = 0.0
        """Of all together."""
        self.first_mb = 0.0
        """Of the first process."""
        self.others_mb = 0.0
        """Of all others together."""

    @contextlib.contextmanager
    def watch(self, pid: int) -> Iterator[None]:
        """Look at a process and everything under it until the block ends."""
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(pid, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self, pid: int, over: threading.Event) -> None:
        while not over.wait(LOOK_S):
            first, *others = [_mb(seen.pid) for seen in tree(pid)] or [0.0]
            self.first_mb = max(self.first_mb, first)
            self.others_mb = max(self.others_mb, sum(others))
            self.all_mb = max(self.all_mb, first + sum(others))


def tree(root: int) -> list[Seen]:
    """Return a process and all that descend from it, the process first."""
    children: dict[int, list[Seen]] = {}
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            seen = Seen(int(stat.parent.name), sum(map(int, fields[11:15])) * _TICK_S)
            children.setdefault(int(fields[1]), []).append(seen)
            found += [seen] if seen.pid == root else []
    for seen in found:  # it grows as it goes
        found += children.get(seen.pid, [])
    return found


def _mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0
