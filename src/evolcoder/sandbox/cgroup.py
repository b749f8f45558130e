"""A control group around each worker, where this machine lets us make one (version 1 or 2).

Promises: memory (files in memory included) and processes of a worker and of all that it started
are bounded by the kernel at a ceiling that is above every program's own limits; when a worker ends
nothing in its group is left. A group whose owner was killed is removed at the next start.
Does not promise that there is one: `find` then gives None, and the layer is named as missing.
"""

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolcoder.errors import SandboxError
from evolcoder.sandbox.orders import COMPILER_MB, COMPILER_PROCESSES, MB

CEILING_MB = COMPILER_MB + 1024
"""Memory of a worker: that of the hungriest program, and what it may write to files."""
CEILING_PROCESSES = COMPILER_PROCESSES + 64
"""Processes and threads of a worker."""
_NAME = "evolcoder"
_CONTROLLERS = ("memory", "pids")
_ENTER = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
)
_LAST_S = 2.0
"""Longest wait for killed processes to leave a group."""
_numbers = itertools.count()


class Group:
    """The control group of one worker: a folder, or with version 1 one for each controller."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._memory_mb = self._processes = 0
        self._killed = 0

    @classmethod
    def make(cls, places: Sequence[Path]) -> "Group":
        """Make a group beneath the places; OSError where that is not allowed."""
        name = f"{_owner(os.getpid())}-{next(_numbers)}"
        group = cls([place / name for place in places])
        try:
            for folder in group._folders:
                folder.mkdir()
            group.allow(CEILING_MB, CEILING_PROCESSES)
        except OSError:
            group.remove()
            raise
        return group

    def bounds(self) -> bool:
        """Whether the kernel took both limits."""
        names = ("memory.max", "memory.limit_in_bytes", "pids.max")
        said = [_read(folder / name).strip() for folder in self._folders for name in names]
        return {str(self._memory_mb * MB), str(self._processes)} <= set(said)

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return a command that enters the group and then becomes the given one."""
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, self._folders), "--", *command]

    def holds(self, pid: int) -> bool:
        """Whether a process is in it."""
        return all(str(pid) in _read(folder / "cgroup.procs").split() for folder in self._folders)

    def allow(self, memory_mb: int, processes: int) -> None:
        """Raise the ceiling, if that is needed."""
        if memory_mb > self._memory_mb:
            self._memory_mb = memory_mb
            self._set(("memory.max", "memory.limit_in_bytes"), memory_mb * MB)
        if processes > self._processes:
            self._processes = processes
            self._set(("pids.max",), processes)

    def ran_over(self) -> bool:
        """Whether the kernel has ended a process for want of memory since this was last asked."""
        before, self._killed = self._killed, 0
        for name in ("memory.events", "memory.oom_control"):
            for line in _read(self._folders[0] / name).splitlines():
                word, _, count = line.partition(" ")
                self._killed += int(count) if word == "oom_kill" else 0
        return self._killed > before

    def remove(self) -> None:
        """End whoever is in it, and take it away."""
        last = time.monotonic() + _LAST_S
        while members := self._members():
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > last:
                break
            time.sleep(0.001)
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _members(self) -> list[int]:
        """List its processes but for those of process ids that we do not see, which read as 0."""
        found = {pid for folder in self._folders for pid in _read(folder / "cgroup.procs").split()}
        return [int(pid) for pid in found if pid != "0"]

    def _set(self, names: Sequence[str], value: int) -> None:
        for folder, name in itertools.product(self._folders, names):
            if (folder / name).exists():
                (folder / name).write_text(str(value))


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made."""

    places: tuple[Path, ...]
    """Folders of control groups: one, or with version 1 one for each controller."""

    def make(self) -> Group:
        """Make a group for a worker."""
        try:
            return Group.make(self.places)
        except OSError as error:
            raise SandboxError(f"no control group for a worker: {error}") from error


def find(process: Path = Path("/proc/self")) -> Groups | None:
    """Find where control groups can be made, and remove what killed owners have left there."""
    for places in _possible(_read(process / "mountinfo"), _read(process / "cgroup")):
        for place in places:
            _remove_left(place)
        with contextlib.suppress(OSError):
            trial = Group.make(places)
            complete = trial.bounds()
            trial.remove()
            if complete:
                return Groups(places)
    return None


def _possible(mountinfo: str, cgroup: str) -> Iterator[tuple[Path, ...]]:
    """Return folders to try, best first, from what /proc says of a process."""
    mine: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        mine |= dict.fromkeys(controllers.split(","), path)
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        fields, _, kind = line.partition(" - ")
        root, mounted = fields.split()[3:5]
        names = {"cgroup2": [""], "cgroup": kind.split()[2].split(",")}.get(kind.split()[0], [])
        for name in names:
            if name in mine:
                inside = os.path.relpath(mine[name], root) if mine[name].startswith(root) else "."
                found[name] = Path(mounted, inside)
    if all(name in found for name in _CONTROLLERS):
        yield tuple(found[name] for name in _CONTROLLERS)
    if "" in found:
        # A group with processes cannot have groups with limits beneath it; its parent may.
        yield (found[""],)
        if mine[""] != "/":
            yield (found[""].parent,)


def _remove_left(place: Path) -> None:
    for folder in place.glob(f"{_NAME}-*-*-*-*"):
        _, space, pid, _, _ = folder.name.split("-")
        same_space = space == _owner(os.getpid()).split("-")[1]
        if same_space and not folder.name.startswith(f"{_owner(int(pid))}-"):
            Group([folder]).remove()


def _owner(pid: int) -> str:
    """Name a process for good: its space of process ids, its id and when it started."""
    space = Path("/proc/self/ns/pid").stat().st_ino
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return f"{_NAME}-{space}-{pid}-{fields[19] if fields else 'gone'}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
