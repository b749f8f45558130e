"""A control group around each worker, where this machine lets us make one (version 1 or 2).

Promises: all memory that a worker and its programs cause counts (files in memory, shared memory,
pipes, sockets and page tables too), and so does the processor time of whatever ran, waited for or
not; the worker sets the limit for each program (`inside/metering`). When a worker ends nothing in
its group is left. A group whose owner was killed is removed at the next start.
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
from evolcoder.sandbox.job import COMPILER_MB, COMPILER_PROCESSES, MB

CEILING_MB = COMPILER_MB + 1024
"""Memory of a worker until it runs its first program."""
CEILING_PROCESSES = COMPILER_PROCESSES + 64
"""Processes and threads of a worker."""
_NAME = "evolcoder"
_CONTROLLERS = ("memory", "pids", "cpuacct")
"""Of version 1, the memory's first."""
_FILES = {
    "cpu": ("cpuacct.usage", "cpu.stat"),
    "ended": ("memory.oom_control", "memory.events"),
    "held": ("memory.usage_in_bytes", "memory.current"),
    "stat": ("memory.stat", "memory.stat"),
    "peak": ("memory.max_usage_in_bytes", "memory.peak"),
    "limit": ("memory.limit_in_bytes", "memory.max"),
    "limit with swap": ("memory.memsw.limit_in_bytes", ""),
    "reclaim": ("memory.force_empty", "memory.reclaim"),
}
"""What a worker reads and writes of its group, with versions 1 and 2."""
_NOT_EVERYWHERE = ("peak", "limit with swap", "reclaim")
_WRITTEN = ("peak", "limit", "limit with swap", "reclaim")
_WITHOUT_SWAP = {"memory.swappiness": "0", "memory.swap.max": "0"}
_ENTER = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; '
    '{ echo -1000 > /proc/self/oom_score_adj; } 2>/dev/null; exec "$@"'
)
"""A worker is not ended for want of memory, where root may say so; its programs are."""
_LAST_S = 2.0
"""Longest wait for killed processes to leave a group."""
_numbers = itertools.count()


class Cgroup:
    """The control group of one worker: a folder, or with version 1 one for each controller."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._is_v2 = (folders[0] / "cgroup.controllers").exists()
        self._memory_mb = self._processes = 0

    @classmethod
    def make(cls, places: Sequence[Path]) -> "Cgroup":
        """Make a group beneath the places; OSError where that is not allowed."""
        name = f"{_owner(os.getpid())}-{next(_numbers)}"
        folders = [place / name for place in places]
        try:
            for folder in folders:
                folder.mkdir()
            group = cls(folders)
            for setting, value in _WITHOUT_SWAP.items():
                with contextlib.suppress(OSError):
                    group._write(setting, value)
            group.allow(CEILING_MB, CEILING_PROCESSES)
        except OSError:
            cls(folders).remove()
            raise
        return group

    def bounds(self) -> bool:
        """Whether the kernel took both limits and counts what a worker wants to know."""
        names = ("memory.max", "memory.limit_in_bytes", "pids.max")
        said = [_read(folder / name).strip() for folder in self._folders for name in names]
        counted = all(self._path(name) for name in _FILES if name not in _NOT_EVERYWHERE)
        return {str(self._memory_mb * MB), str(self._processes)} <= set(said) and counted

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return a command that enters the group and then becomes the given one."""
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, self._folders), "--", *command]

    def holds(self, pid: int) -> bool:
        """Whether a process is in it."""
        return all(str(pid) in _read(folder / "cgroup.procs").split() for folder in self._folders)

    def open_files(self) -> dict[str, int]:
        """Open what a worker needs of it, which sees no control groups; return descriptors."""
        files: dict[str, int] = {}
        for name in _FILES:
            path = self._path(name)
            mode = os.O_RDWR if name in _WRITTEN else os.O_RDONLY
            mode = os.O_WRONLY if name == "reclaim" else mode
            try:
                files |= {name: os.open(path, mode | os.O_CLOEXEC)} if path else {}
            except OSError as error:
                if name in _NOT_EVERYWHERE:  # nor can peaks be written to everywhere
                    continue
                for fd in files.values():
                    os.close(fd)
                raise SandboxError(f"a control group cannot be read: {error}") from error
        return files

    def allow(self, memory_mb: int, processes: int) -> None:
        """Raise the ceiling, if that is needed."""
        if memory_mb > self._memory_mb:
            self._memory_mb = memory_mb
            self._write("memory.max" if self._is_v2 else "memory.limit_in_bytes", memory_mb * MB)
        if processes > self._processes:
            self._processes = processes
            self._write("pids.max", processes)

    def most(self) -> int:
        """Return the most memory that was held lately, in bytes, as far as that is counted."""
        path = self._path("peak")
        return int(_read(path) or 0) if path else 0

    def n_ended(self) -> int:
        """Return how many processes the kernel has ended in it for want of memory."""
        path = self._path("ended")
        return ended_in(_read(path).encode()) if path else 0

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

    def _path(self, name: str) -> Path | None:
        """Find the file for what a worker wants to know or set; None where there is none."""
        file = _FILES[name][self._is_v2]
        found = (folder / file for folder in self._folders if file and (folder / file).exists())
        return next(found, None)

    def _write(self, setting: str, value: object) -> None:
        for folder in self._folders:
            if (folder / setting).exists():
                (folder / setting).write_text(str(value))


@dataclass(frozen=True, slots=True)
class CgroupFactory:
    """Where groups can be made."""

    places: tuple[Path, ...]
    """Folders of control groups: one, or with version 1 one for each controller."""

    def make(self) -> Cgroup:
        """Make a group for a worker."""
        try:
            return Cgroup.make(self.places)
        except OSError as error:
            raise SandboxError(f"no control group for a worker: {error}") from error


def find(process: Path = Path("/proc/self")) -> CgroupFactory | None:
    """Find where control groups can be made, and remove what killed owners have left there."""
    for places in _possible(_read(process / "mountinfo"), _read(process / "cgroup")):
        for place in places:
            _remove_left(place)
        with contextlib.suppress(OSError):
            trial = Cgroup.make(places)
            complete = trial.bounds()
            trial.remove()
            if complete:
                return CgroupFactory(places)
    return None


def ended_in(events: bytes) -> int:
    """Return how many processes `memory.events` or `memory.oom_control` say were ended."""
    _, found, rest = (b"\n" + events).partition(b"\noom_kill ")
    return int(rest.partition(b"\n")[0]) if found else 0


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
        # Controllers may share a folder; each is entered once.
        yield tuple(dict.fromkeys(found[name] for name in _CONTROLLERS))
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
            Cgroup([folder]).remove()


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
