"""A control group (version 1 or 2) around each worker, if this machine allows it.

Guarantees: all memory that a worker and its programs cause is counted (memory files, shared memory,
pipes, sockets and page tables included), and so is the CPU time of every process, reaped or not.
The worker sets the limit for each program (`inside/metering`). Removing a group kills what is left
in it. Groups of killed owners are removed at the next start.
Not guaranteed: that groups are available; `find` then returns None and the layer is missing.
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
"""Memory limit of a worker until it runs its first program."""
CEILING_PROCESSES = COMPILER_PROCESSES + 64
"""Process and thread limit of a worker."""
_PREFIX = "evolcoder"
_CONTROLLERS = ("memory", "pids", "cpuacct")
"""Version 1 controllers, memory first."""
_FILES = {
    "cpu": ("cpuacct.usage", "cpu.stat"),
    "events": ("memory.oom_control", "memory.events"),
    "usage": ("memory.usage_in_bytes", "memory.current"),
    "stat": ("memory.stat", "memory.stat"),
    "peak": ("memory.max_usage_in_bytes", "memory.peak"),
    "limit": ("memory.limit_in_bytes", "memory.max"),
    "limit with swap": ("memory.memsw.limit_in_bytes", ""),
    "reclaim": ("memory.force_empty", "memory.reclaim"),
}
"""Files that a worker reads and writes, for versions 1 and 2."""
_OPTIONAL = ("peak", "limit with swap", "reclaim")
_WRITTEN = ("peak", "limit", "limit with swap", "reclaim")
_NO_SWAP = {"memory.swappiness": "0", "memory.swap.max": "0"}
_ENTER = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; '
    '{ echo -1000 > /proc/self/oom_score_adj; } 2>/dev/null; exec "$@"'
)
"""Enters the group. Where root may set it, the OOM killer spares the worker, not its programs."""
_EXIT_WAIT_S = 2.0
"""Longest wait for killed processes to leave a group."""
_numbers = itertools.count()


class Cgroup:
    """The control group of one worker: one folder, or one per controller with version 1."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._is_v2 = (folders[0] / "cgroup.controllers").exists()
        self._memory_mb = self._processes = 0

    @classmethod
    def make(cls, parents: Sequence[Path]) -> "Cgroup":
        """Make a group below the parents; OSError if not permitted."""
        name = f"{_owner(os.getpid())}-{next(_numbers)}"
        folders = [parent / name for parent in parents]
        try:
            for folder in folders:
                folder.mkdir()
            group = cls(folders)
            for setting, value in _NO_SWAP.items():
                with contextlib.suppress(OSError):
                    group._write(setting, value)
            group.raise_limits(CEILING_MB, CEILING_PROCESSES)
        except OSError:
            cls(folders).remove()
            raise
        return group

    def is_complete(self) -> bool:
        """Whether the kernel accepted both limits and provides all required counters."""
        names = ("memory.max", "memory.limit_in_bytes", "pids.max")
        values = [_read(folder / name).strip() for folder in self._folders for name in names]
        counted = all(self._path(name) for name in _FILES if name not in _OPTIONAL)
        return {str(self._memory_mb * MB), str(self._processes)} <= set(values) and counted

    def enter(self, command: Sequence[str]) -> list[str]:
        """Wrap a command so that it enters the group first."""
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, self._folders), "--", *command]

    def contains(self, pid: int) -> bool:
        """Whether a process is in the group."""
        return all(str(pid) in _read(folder / "cgroup.procs").split() for folder in self._folders)

    def open_files(self) -> dict[str, int]:
        """Open the files that a worker needs, as it cannot see the group; return descriptors."""
        files: dict[str, int] = {}
        for name in _FILES:
            path = self._path(name)
            mode = os.O_RDWR if name in _WRITTEN else os.O_RDONLY
            mode = os.O_WRONLY if name == "reclaim" else mode
            try:
                files |= {name: os.open(path, mode | os.O_CLOEXEC)} if path else {}
            except OSError as error:
                if name in _OPTIONAL:  # some kernels do not let "peak" be written
                    continue
                for fd in files.values():
                    os.close(fd)
                raise SandboxError(f"cannot open a control group's file: {error}") from error
        return files

    def raise_limits(self, memory_mb: int, processes: int) -> None:
        """Raise the limits if they are lower."""
        if memory_mb > self._memory_mb:
            self._memory_mb = memory_mb
            self._write("memory.max" if self._is_v2 else "memory.limit_in_bytes", memory_mb * MB)
        if processes > self._processes:
            self._processes = processes
            self._write("pids.max", processes)

    def peak_bytes(self) -> int:
        """Return the peak memory in bytes; 0 if the kernel does not record it."""
        path = self._path("peak")
        return int(_read(path) or 0) if path else 0

    def n_oom_kills(self) -> int:
        """Return how many processes the kernel has killed in it for lack of memory."""
        path = self._path("events")
        return n_oom_kills_in(_read(path).encode()) if path else 0

    def remove(self) -> None:
        """Kill all members and remove the group."""
        last = time.monotonic() + _EXIT_WAIT_S
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
        """List its processes, except those outside our PID namespace, which read as 0."""
        found = {pid for folder in self._folders for pid in _read(folder / "cgroup.procs").split()}
        return [int(pid) for pid in found if pid != "0"]

    def _path(self, name: str) -> Path | None:
        """Find a file by its name in `_FILES`; None if absent."""
        file = _FILES[name][self._is_v2]
        found = (folder / file for folder in self._folders if file and (folder / file).exists())
        return next(found, None)

    def _write(self, setting: str, value: object) -> None:
        for folder in self._folders:
            if (folder / setting).exists():
                (folder / setting).write_text(str(value))


@dataclass(frozen=True, slots=True)
class CgroupFactory:
    """Makes control groups."""

    parents: tuple[Path, ...]
    """Parent folders of the groups: one, or one per controller with version 1."""

    def make(self) -> Cgroup:
        """Make a group for a worker."""
        try:
            return Cgroup.make(self.parents)
        except OSError as error:
            raise SandboxError(f"cannot make a control group for a worker: {error}") from error


def find(process: Path = Path("/proc/self")) -> CgroupFactory | None:
    """Find where control groups can be made, and remove those of killed owners."""
    for parents in _candidate_parents(_read(process / "mountinfo"), _read(process / "cgroup")):
        for parent in parents:
            _remove_stale(parent)
        with contextlib.suppress(OSError):
            trial = Cgroup.make(parents)
            complete = trial.is_complete()
            trial.remove()
            if complete:
                return CgroupFactory(parents)
    return None


def n_oom_kills_in(events: bytes) -> int:
    """Return the OOM kills that `memory.events`, `memory.oom_control` or `vmstat` count."""
    _, found, rest = (b"\n" + events).partition(b"\noom_kill ")
    return int(rest.partition(b"\n")[0]) if found else 0


def _candidate_parents(mountinfo: str, cgroup: str) -> Iterator[tuple[Path, ...]]:
    """Yield parent folders to try, best first, from a process's /proc files."""
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
        # A group with processes cannot have children with limits; its parent may.
        yield (found[""],)
        if mine[""] != "/":
            yield (found[""].parent,)


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}-*-*-*-*"):
        _, space, pid, _, _ = folder.name.split("-")
        same_space = space == _owner(os.getpid()).split("-")[1]
        if same_space and not folder.name.startswith(f"{_owner(int(pid))}-"):
            Cgroup([folder]).remove()


def _owner(pid: int) -> str:
    """Return a unique name of a process: PID namespace, PID and start time."""
    space = Path("/proc/self/ns/pid").stat().st_ino
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return f"{_PREFIX}-{space}-{pid}-{fields[19] if fields else 'gone'}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
