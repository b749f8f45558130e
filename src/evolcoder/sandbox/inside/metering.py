"""How much memory and processor time a program uses, by its control group or else by /proc.

Promises of a group: all memory that the program causes and all processor time of whatever it
started count, and the kernel ends it at its limit. Promises of /proc: what is seen at a look
counts, and so do processes that have ended since, waited for or not; of those that come and go
between two looks, as much is assumed as was at work when they were looked for. Standard library
only.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from evolcoder.sandbox.inside import libc, process_tree
from evolcoder.sandbox.inside.hidden_memory import HiddenMemory
from evolcoder.sandbox.inside.process_tree import Seen
from evolcoder.sandbox.inside.protocol import KILLED

OVER = "memory"
"""Why a program ends that went over its own limit."""
_NEAR = 0.9
"""Part of a limit up to which memory got before the kernel ended a program for going over it."""
_LIMITS = ("limit", "limit with swap")
_SLACK = 4 << 20
"""Bytes by which a worker itself may grow."""
_EVENTS_BYTES = 512
"""More than is told of a group's events."""
_SMALL = 16 << 20
"""Bytes that a program may hold beside those that it shares with its worker, and be small."""
_LITTLE = 1 / 16
"""Part of a limit that may still be held of programs that have ended."""
_PAUSE_S, _ASKED_S, _SETTLED_S = 0.001, 0.05, 0.5
"""While memory is to be given back: how often it is looked at, after how long the kernel is asked
for it, and after how long what is left is taken for what stays."""
_SURE = 0.9
"""Part of what is assumed of processes that were not seen, so that no program pays too much."""
_RUNS = b"R"

Rusage = Any
"""What `os.wait4` returns; to import its type would map a library that every fork has to copy."""
Find = Callable[[], Sequence[Seen]]
"""Looks at all processes of a program."""


class Used(NamedTuple):
    """What a program has used so far."""

    cpu_s: float
    """Processor seconds of all its processes, those that have ended included."""
    over: str
    """Why it must end, or ''."""


class Meter(Protocol):
    """Meters one program after another."""

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:
        """Lay out what a process has to do for its memory to be bounded by a stage's limit."""
        ...

    def begin(self, job: Mapping[str, Any]) -> None:
        """Begin with a program, of which no process is there yet."""
        ...

    def look(self, stage: Mapping[str, Any], since_s: float, cell: int) -> Used:
        """Look at a program whose last look was `since_s` ago; `cell` is our process around it."""
        ...

    def idleness(self) -> float:
        """Return how idle it is now, between 0 and 1."""
        ...

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:
        """Return what a program has used, and the most memory, now that all of it has ended."""
        ...


class GroupMeter:
    """Reads and writes files of a control group, which were opened outside.

    The worker is in the group with its programs: to have every program enter another one costs it
    a tenth of its time. The kernel ends those that `cell` has marked. Of a program that is short
    and small two numbers are read: a function that is called, or an object that is made, for every
    program costs pages that the worker shares with it.
    """

    def __init__(self, files: Mapping[str, int], find: Find, proc: int) -> None:
        self._files, self._find, self._proc = files, find, proc
        self._cpu, self._peak = files["cpu"], files.get("peak")
        self._own = self._held() - self._cached() + _SLACK
        self._own_at_first = self._own
        self._events = self._told()
        self._limit = self._before = self._seen = 0
        self._cpu_before = 0.0
        self._is_looked_at, self._is_used = False, True

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:
        """Lay out what has the limit be that of a stage, for a job that began with another one."""
        if stage != "run" or not job["compile"]["bound"]:
            return ()
        limit = b"%d" % (self._own + job["run"]["bound"])
        names = self._names(rises=job["run"]["bound"] > job["compile"]["bound"])
        return [libc.step("pwrite", self._files[name], limit, len(limit), 0) for name in names]

    def begin(self, job: Mapping[str, Any]) -> None:
        """Begin with a program: between two of them nobody but the worker uses the group."""
        limit = self._own + (job["compile"]["bound"] or job["run"]["bound"])
        if self._is_used or limit != self._limit:
            self._clear(job["run"]["bound"])
            self._allow(limit)
            # A job in two stages lowers it by itself.
            self._limit = 0 if job["compile"]["bound"] else limit
        self._is_looked_at = False
        self._cpu_before = self._now_s()

    def look(self, stage: Mapping[str, Any], since_s: float, cell: int) -> Used:  # noqa: ARG002
        """Look at a program; the kernel keeps its memory within limits."""
        self._is_looked_at = True
        return Used(self._cpu_s(), self._over(stage["bound"]))

    def idleness(self) -> float:
        """Return how idle it is now, between 0 and 1."""
        return process_tree.idleness(self._find(), self._proc)

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:
        """Return what a program has used, and the most memory, now that all of it has ended."""
        cpu_s, most = rusage.ru_utime + rusage.ru_stime, rusage.ru_maxrss << 10
        held = self._most() - self._before
        self._is_used = held > _SMALL or self._peak is None
        if not (self._is_looked_at or self._is_used or code):
            return Used(cpu_s, ""), most
        return Used(max(cpu_s, self._cpu_s()), self._over(job["run"]["bound"])), max(most, held)

    def _cpu_s(self) -> float:
        """Return processor seconds of the group without this process since a program began."""
        return self._now_s() - self._cpu_before

    def _now_s(self) -> float:
        # In this order: the kernel brings a process's time up to date when it is asked for.
        own_s = time.process_time()
        return _cpu_s(os.pread(self._cpu, 64, 0)) - own_s

    def _over(self, limit: int) -> str:
        """Say why the kernel has ended a process since this was last asked, or ''."""
        if self._peak is None:
            self._seen = max(self._seen, self._held())
        before, self._events = self._events, self._told()
        if self._events == before:
            return ""
        ended, at_limit = _events(self._events)
        ended_before, at_limit_before = _events(before)
        if ended == ended_before:
            return ""
        if at_limit is None:
            return OVER if self._most() >= _NEAR * limit else KILLED
        return OVER if at_limit != at_limit_before else KILLED

    def _clear(self, bound: int) -> None:
        """Begin anew with the most memory, once what the last program held is given back.

        Part of it is given back a moment after it has ended, and must not count as the next one's.
        What is left are files that were read, and what this process and the kernel keep, such as
        names of files: nobody else is there. It does not count for the next program either.
        """
        little, begun, is_asked = self._own + _LITTLE * bound, time.monotonic(), False
        while (held := self._held()) > little and held - self._cached() > little:
            time.sleep(_PAUSE_S)
            waited = time.monotonic() - begun
            if waited > _SETTLED_S:
                self._own = held - self._cached() + _SLACK
                if self._own - self._own_at_first > bound:
                    told = f"{held >> 20} MB are held of programs that have ended"
                    raise OSError(errno.EBUSY, told)
                break
            if waited > _ASKED_S and not is_asked and "reclaim" in self._files:
                is_asked = True
                with contextlib.suppress(OSError):
                    os.pwrite(self._files["reclaim"], b"%d" % held, 0)
        self._before = self._seen = held
        if self._peak is not None:
            os.pwrite(self._peak, b"0", 0)

    def _allow(self, limit: int) -> None:
        before = int(os.pread(self._files["limit"], 64, 0).replace(b"max", b"0"))
        for name in self._names(rises=limit > before):
            os.pwrite(self._files[name], b"%d" % limit, 0)

    def _names(self, *, rises: bool) -> Sequence[str]:
        """Name the limits in the order to set them: without swap may never be the higher one."""
        names = [name for name in _LIMITS if name in self._files]
        return names[::-1] if rises else names

    def _held(self) -> int:
        return int(os.pread(self._files["held"], 64, 0))

    def _most(self) -> int:
        return self._seen if self._peak is None else int(os.pread(self._peak, 64, 0))

    def _told(self) -> bytes:
        return os.pread(self._files["ended"], _EVENTS_BYTES, 0)

    def _cached(self) -> int:
        return _cached(os.pread(self._files["stat"], 1 << 14, 0))


class TreeMeter:
    """Looks at processes one by one."""

    def __init__(self, find: Find, proc: int) -> None:
        self._find, self._proc = find, proc
        self._found: Sequence[Seen] = ()
        self._ledger = Ledger()
        self._most = 0
        self._hidden: HiddenMemory | None = None

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:  # noqa: ARG002
        """Lay out nothing: memory is looked at from outside."""
        return ()

    def begin(self, job: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Begin with a program, of which no process is there yet."""
        self._most, self._hidden = 0, None

    def look(self, stage: Mapping[str, Any], since_s: float, cell: int) -> Used:
        """Look at a program and at what of its memory cannot be seen otherwise."""
        if self._hidden is None:
            self._hidden = HiddenMemory(self._proc)
            self._ledger = Ledger()
        self._found = self._find()
        resident = sum(seen.memory for seen in self._found)
        held = resident + self._hidden.look(self._found, cell)
        self._most = max(self._most, min(held, stage["memory"] + resident))
        new = self._ledger.add(self._found)
        self._ledger.assume(sum(since_s * self._share(seen) - seen.own_s for seen in new))
        return Used(self._ledger.cpu_s, OVER if held > stage["memory"] else "")

    def idleness(self) -> float:
        """Return how idle it was when it was looked at, between 0 and 1."""
        return process_tree.idleness(self._found, self._proc)

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:  # noqa: ARG002
        """Return what a program has used, and the most memory, now that all of it has ended."""
        looked = self._ledger.cpu_s if self._hidden is not None else 0.0
        used = Used(max(rusage.ru_utime + rusage.ru_stime, looked), "")
        return used, max(rusage.ru_maxrss << 10, self._most)

    def _share(self, seen: Seen) -> float:
        """Return which part of its time a process had a processor, of one that is at work."""
        if seen.state != _RUNS:
            return 0.0
        try:
            on, waited, _ = map(int, process_tree.read(f"{seen.pid}/schedstat", self._proc).split())
        except (OSError, ValueError):
            return 0.0
        return on / (on + waited) if on else 0.0


class Ledger:
    """Adds up the processor time of processes that come and go, from one look to the next."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], Seen] = {}
        self._own_s = self._unseen_s = self._assumed_s = 0.0

    @property
    def cpu_s(self) -> float:
        """Processor seconds so far."""
        return self._own_s + max(self._unseen_s, _SURE * self._assumed_s)

    def add(self, found: Sequence[Seen]) -> list[Seen]:
        """Add what processes have used since they were last seen; return those that are new."""
        now = {(seen.pid, seen.started): seen for seen in found}
        waited_s, new = 0.0, []
        for name, seen in now.items():
            before = self._before.get(name)
            self._own_s += max(0.0, seen.own_s - (before.own_s if before else 0.0))
            waited_s += seen.waited_s - (before.waited_s if before else 0.0)
            if before is None:
                new.append(seen)
        gone = (seen for name, seen in self._before.items() if name not in now)
        # What was waited for has been added up here already, as far as it was seen.
        self._unseen_s += max(0.0, waited_s - sum(seen.own_s + seen.waited_s for seen in gone))
        self._before = now
        return new

    def assume(self, seconds: float) -> None:
        """Add what processes have used that came and went between two looks."""
        self._assumed_s += max(0.0, seconds)


def meter(group: Mapping[str, int], find: Find, proc: int) -> Meter:
    """Return the best way to meter programs here."""
    return GroupMeter(group, find, proc) if group else TreeMeter(find, proc)


def _cpu_s(text: bytes) -> float:
    """Read nanoseconds, or the first line of `cpu.stat`, which is in microseconds."""
    return int(text) * 1e-9 if text[:1].isdigit() else int(text.split(None, 2)[1]) * 1e-6


def _cached(stat: bytes) -> int:
    """Return the bytes of what the kernel remembers of files, and gives up when it wants memory."""
    words = stat.split()
    told = dict(zip(words[::2], words[1::2], strict=False))
    files, names = told.get(b"cache", told.get(b"file", b"0")), told.get(b"slab_reclaimable", b"0")
    return int(files) + int(names) - int(told.get(b"shmem", b"0"))


def _events(text: bytes) -> tuple[int, int | None]:
    """Return how many processes were ended, and how often a limit was why if that is told."""
    words = text.split()
    told = dict(zip(words[::2], words[1::2], strict=False))
    at_limit = told.get(b"oom")
    return int(told[b"oom_kill"]), None if at_limit is None else int(at_limit)
