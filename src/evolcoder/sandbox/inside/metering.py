"""Measures a program's memory and CPU time, and ends it when it exceeds a limit.

With a control group: all memory that the program causes and all CPU time of its processes count,
and the kernel kills it at its limit. With /proc: what a sample sees counts, and so do processes
that have ended since, reaped or not; for processes that start and end between two samples, as much
is assumed as was running at the samples.

A program that uses no CPU is ended long before its wall-clock limit; waiting for a CPU or a disk
does not count as idle. Standard library only.
"""

import contextlib
import errno
import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from evolcoder.sandbox.inside import libc, process_tree
from evolcoder.sandbox.inside.isolate import CHANNELS
from evolcoder.sandbox.inside.process_tree import HiddenMemory, ProcessInfo
from evolcoder.sandbox.inside.protocol import IDLE, KILLED, STOP

OVER_LIMIT = "memory"
"""Reason of a program that exceeded its own memory limit."""
_NEAR_LIMIT = 0.9
"""Share of the limit that memory reached if the kernel killed a program for exceeding it."""
_LIMITS = ("limit", "limit with swap")
_SLACK_BYTES = 4 << 20
"""Bytes by which the worker itself may grow."""
_EVENTS_BYTES = 512
"""Longer than a group's event file."""
_SMALL_BYTES = 16 << 20
"""A program is small if it uses at most this many bytes besides those shared with its worker."""
_LEFTOVER_SHARE = 1 / 16
"""Share of a limit that memory of ended programs may still occupy."""
_PAUSE_S, _RECLAIM_AFTER_S, _SETTLED_S = 0.001, 0.05, 0.5
"""While memory is being freed: interval of checks, time after which the kernel is asked to reclaim,
and time after which the rest is considered permanent."""
_ASSUMED_SHARE = 0.9
"""Share of the assumed CPU time of unseen processes that counts, so that no program is overcharged.
"""
_RUNS = b"R"

Rusage = Any
"""Result of `os.wait4`; importing its type would map a library that every fork must copy."""
FindProcesses = Callable[[], Sequence[ProcessInfo]]
"""Returns all processes of a program."""


class Used(NamedTuple):
    """Resources that a program has used so far."""

    cpu_s: float
    """CPU seconds of all its processes, ended ones included."""
    over: str
    """Why it must be ended, or ''."""


class Meter(Protocol):
    """Measures one program after another."""

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:
        """Return the steps by which a process puts a stage's memory limit into force."""
        ...

    def begin(self, job: Mapping[str, Any]) -> None:
        """Start measuring a program that has no processes yet."""
        ...

    def sample(self, stage: Mapping[str, Any], since_s: float, isolated_pid: int) -> Used:
        """Sample a program `since_s` after its last sample; `isolated_pid` is our own process."""
        ...

    def idleness(self) -> float:
        """Return how idle it is now, between 0 and 1."""
        ...

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:
        """Return used resources and peak memory in bytes, after all its processes have ended."""
        ...


class CgroupMeter:
    """Reads and writes control group files that were opened outside.

    The worker shares the group with its programs: entering another group would cost every program
    a tenth of its time. The OOM killer prefers processes marked by `isolate`. For a short and small
    program only two numbers are read: each function called and object made per program costs pages
    that are shared with the worker.
    """

    def __init__(self, files: Mapping[str, int], find: FindProcesses, proc: int) -> None:
        self._files, self._find, self._proc = files, find, proc
        self._cpu, self._peak = files["cpu"], files.get("peak")
        self._own = self._usage() - self._cached() + _SLACK_BYTES
        self._own_at_first = self._own
        self._events = self._read_events()
        self._limit = self._before = self._seen = 0
        self._cpu_before = 0.0
        self._was_sampled, self._needs_clearing = False, True

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:
        """Return the steps that change to a stage's limit, for jobs with two different limits."""
        if stage != "run" or not job["compile"]["bound"]:
            return ()
        limit = b"%d" % (self._own + job["run"]["bound"])
        names = self._names(rises=job["run"]["bound"] > job["compile"]["bound"])
        return [libc.step("pwrite", self._files[name], limit, len(limit), 0) for name in names]

    def begin(self, job: Mapping[str, Any]) -> None:
        """Start measuring; between two programs only the worker uses the group."""
        limit = self._own + (job["compile"]["bound"] or job["run"]["bound"])
        if self._needs_clearing or limit != self._limit:
            self._clear(job["run"]["bound"])
            self._allow(limit)
            # A job with two stages lowers the limit by itself.
            self._limit = 0 if job["compile"]["bound"] else limit
        self._was_sampled = False
        self._cpu_before = self._now_s()

    def sample(self, stage: Mapping[str, Any], since_s: float, isolated_pid: int) -> Used:  # noqa: ARG002
        """Sample a program; the kernel enforces its memory limit."""
        self._was_sampled = True
        return Used(self._cpu_s(), self._over(stage["bound"]))

    def idleness(self) -> float:
        """Return how idle it is now, between 0 and 1."""
        return process_tree.idleness(self._find(), self._proc)

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:
        """Return used resources and peak memory in bytes, after all its processes have ended."""
        cpu_s, peak = rusage.ru_utime + rusage.ru_stime, rusage.ru_maxrss << 10
        usage = self._peak_bytes() - self._before
        self._needs_clearing = usage > _SMALL_BYTES or self._peak is None
        if not (self._was_sampled or self._needs_clearing or code):
            return Used(cpu_s, ""), peak
        return Used(max(cpu_s, self._cpu_s()), self._over(job["run"]["bound"])), max(peak, usage)

    def _cpu_s(self) -> float:
        """Return the group's CPU seconds since a program's start, without this process's."""
        return self._now_s() - self._cpu_before

    def _now_s(self) -> float:
        # In this order: asking for a process's time updates the kernel's account of it.
        own_s = time.process_time()
        return _cpu_s(os.pread(self._cpu, 64, 0)) - own_s

    def _over(self, limit: int) -> str:
        """Return why the kernel has killed a process since the last call, or ''."""
        if self._peak is None:
            self._seen = max(self._seen, self._usage())
        before, self._events = self._events, self._read_events()
        if self._events == before:
            return ""
        ended, at_limit = _events(self._events)
        ended_before, at_limit_before = _events(before)
        if ended == ended_before:
            return ""
        if at_limit is None:
            return OVER_LIMIT if self._peak_bytes() >= _NEAR_LIMIT * limit else KILLED
        return OVER_LIMIT if at_limit != at_limit_before else KILLED

    def _clear(self, bound: int) -> None:
        """Wait until the last program's memory is freed, then reset the peak.

        Part of it is freed a moment after the program's end and must not count for the next one.
        What remains are file caches and what this process and the kernel retain, such as directory
        entries, since the group has no other process. It does not count for the next program.
        """
        tolerated, begun, is_asked = self._own + _LEFTOVER_SHARE * bound, time.monotonic(), False
        while (usage := self._usage()) > tolerated and usage - self._cached() > tolerated:
            time.sleep(_PAUSE_S)
            waited = time.monotonic() - begun
            if waited > _SETTLED_S:
                self._own = usage - self._cached() + _SLACK_BYTES
                if self._own - self._own_at_first > bound:
                    text = f"{usage >> 20} MB of memory of ended programs were not freed"
                    raise OSError(errno.EBUSY, text)
                break
            if waited > _RECLAIM_AFTER_S and not is_asked and "reclaim" in self._files:
                is_asked = True
                with contextlib.suppress(OSError):
                    os.pwrite(self._files["reclaim"], b"%d" % usage, 0)
        self._before = self._seen = usage
        if self._peak is not None:
            os.pwrite(self._peak, b"0", 0)

    def _allow(self, limit: int) -> None:
        before = int(os.pread(self._files["limit"], 64, 0).replace(b"max", b"0"))
        for name in self._names(rises=limit > before):
            os.pwrite(self._files[name], b"%d" % limit, 0)

    def _names(self, *, rises: bool) -> Sequence[str]:
        """Name the limits in the order to set them: the one with swap must never be lower."""
        names = [name for name in _LIMITS if name in self._files]
        return names[::-1] if rises else names

    def _usage(self) -> int:
        return int(os.pread(self._files["usage"], 64, 0))

    def _peak_bytes(self) -> int:
        return self._seen if self._peak is None else int(os.pread(self._peak, 64, 0))

    def _read_events(self) -> bytes:
        return os.pread(self._files["events"], _EVENTS_BYTES, 0)

    def _cached(self) -> int:
        return _cached(os.pread(self._files["stat"], 1 << 14, 0))


class TreeMeter:
    """Samples processes one by one."""

    def __init__(self, find: FindProcesses, proc: int) -> None:
        self._find, self._proc = find, proc
        self._found: Sequence[ProcessInfo] = ()
        self._ledger = Ledger()
        self._peak_seen = 0
        self._hidden: HiddenMemory | None = None

    def steps(self, stage: str, job: Mapping[str, Any]) -> Sequence[libc.Step]:  # noqa: ARG002
        """Return nothing: memory is sampled from outside."""
        return ()

    def begin(self, job: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Start measuring a program that has no processes yet."""
        self._peak_seen, self._hidden = 0, None

    def sample(self, stage: Mapping[str, Any], since_s: float, isolated_pid: int) -> Used:
        """Sample a program, including its hidden memory."""
        if self._hidden is None:
            self._hidden = HiddenMemory(self._proc)
            self._ledger = Ledger()
        self._found = self._find()
        resident = sum(seen.memory for seen in self._found)
        usage = resident + self._hidden.sample(self._found, isolated_pid)
        self._peak_seen = max(self._peak_seen, min(usage, stage["memory"] + resident))
        new = self._ledger.add(self._found)
        self._ledger.assume(sum(since_s * self._share(seen) - seen.own_s for seen in new))
        return Used(self._ledger.cpu_s, OVER_LIMIT if usage > stage["memory"] else "")

    def idleness(self) -> float:
        """Return how idle it was at the last sample, between 0 and 1."""
        return process_tree.idleness(self._found, self._proc)

    def end(self, job: Mapping[str, Any], rusage: Rusage, code: int) -> tuple[Used, int]:  # noqa: ARG002
        """Return used resources and peak memory in bytes, after all its processes have ended."""
        looked = self._ledger.cpu_s if self._hidden is not None else 0.0
        used = Used(max(rusage.ru_utime + rusage.ru_stime, looked), "")
        return used, max(rusage.ru_maxrss << 10, self._peak_seen)

    def _share(self, seen: ProcessInfo) -> float:
        """Return the share of its time that a running process had a CPU."""
        if seen.state != _RUNS:
            return 0.0
        try:
            on, waited, _ = map(int, process_tree.read(f"{seen.pid}/schedstat", self._proc).split())
        except (OSError, ValueError):
            return 0.0
        return on / (on + waited) if on else 0.0


class Ledger:
    """Sums the CPU time of processes that start and end between samples."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], ProcessInfo] = {}
        self._own_s = self._unseen_s = self._assumed_s = 0.0

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return self._own_s + max(self._unseen_s, _ASSUMED_SHARE * self._assumed_s)

    def add(self, found: Sequence[ProcessInfo]) -> list[ProcessInfo]:
        """Add the CPU time since the last sample; return the new processes."""
        now = {(seen.pid, seen.started): seen for seen in found}
        waited_s, new = 0.0, []
        for name, seen in now.items():
            before = self._before.get(name)
            self._own_s += max(0.0, seen.own_s - (before.own_s if before else 0.0))
            waited_s += seen.waited_s - (before.waited_s if before else 0.0)
            if before is None:
                new.append(seen)
        gone = (seen for name, seen in self._before.items() if name not in now)
        # Time of reaped children was already counted here, as far as it was seen.
        self._unseen_s += max(0.0, waited_s - sum(seen.own_s + seen.waited_s for seen in gone))
        self._before = now
        return new

    def assume(self, seconds: float) -> None:
        """Add the CPU time of processes that started and ended between two samples."""
        self._assumed_s += max(0.0, seconds)


def meter(group: Mapping[str, int], find: FindProcesses, proc: int) -> Meter:
    """Return the most accurate meter available here."""
    return CgroupMeter(group, find, proc) if group else TreeMeter(find, proc)


def _cpu_s(text: bytes) -> float:
    """Parse nanoseconds, or the first line of `cpu.stat`, which is in microseconds."""
    return int(text) * 1e-9 if text[:1].isdigit() else int(text.split(None, 2)[1]) * 1e-6


def _cached(stat: bytes) -> int:
    """Return the bytes of file caches and directory entries, which the kernel frees on demand."""
    words = stat.split()
    sizes = dict(zip(words[::2], words[1::2], strict=False))
    files = sizes.get(b"cache", sizes.get(b"file", b"0"))
    entries = sizes.get(b"slab_reclaimable", b"0")
    return int(files) + int(entries) - int(sizes.get(b"shmem", b"0"))


def _events(text: bytes) -> tuple[int, int | None]:
    """Return the number of OOM kills, and how often the limit was the cause if recorded."""
    words = text.split()
    counts = dict(zip(words[::2], words[1::2], strict=False))
    at_limit = counts.get(b"oom")
    return int(counts[b"oom_kill"]), None if at_limit is None else int(at_limit)


FIRST_SAMPLE_S, SAMPLE_S = 0.02, 0.03
"""Time of the first sample, and the mean interval of further ones."""
_FIRST_SAMPLE_MS = 1000 * FIRST_SAMPLE_S
_ANSWERS = 1 << 22
"""Bytes of answers read per sample."""
_STOP_BYTES = 128
_PAUSE_RATIO = 4
"""Minimum ratio of the pause after a sample to the sample's duration."""
_BUSY, _AT_WORK = 0.05, 0.9
"""CPU shares: of a program that recovers from idleness, and of one that is not idle at all."""
_pauses = random.Random()
"""Separate from the module `random`, whose state programs must find unchanged."""


class Watchdog:
    """Watches one running program after another."""

    def __init__(self, control: socket.socket, meter: Meter) -> None:
        self.job = dict[str, Any]()
        self.meter = meter
        self._control = control
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)
        self._stage_seen, self._idleness = dict[str, Any](), _Idleness()
        self._begun = self._cpu_s = self._call_cpu = 0.0
        self._calls = self._read = self._pid = 0

    def until_end(self, pid: int, job: dict[str, Any]) -> str:
        """Wait for the isolated process to end; return the limit that it exceeded, or ''."""
        process = os.pidfd_open(pid)
        self._poller.register(process, select.POLLIN)
        try:
            events = self._poller.poll(_FIRST_SAMPLE_MS)
            if not events:
                self.job, self._pid, self._begun = job, pid, time.monotonic() - FIRST_SAMPLE_S
                self._calls, self._read, self._call_cpu = 0, 0, 0.0
                self._stage_seen = {}
            while not events:
                why, pause = self.sample()
                if why:
                    os.kill(pid, signal.SIGKILL)
                    return why
                events = self._poller.poll(pause * 1000)
            if (process, select.POLLIN) in events:
                return ""
            if self._control.recv(_STOP_BYTES) != STOP:
                self.exit()
            os.kill(pid, signal.SIGKILL)
            return "stopped"
        finally:
            self._poller.unregister(process)
            os.close(process)

    def sample(self) -> tuple[str, float]:
        """Return the exceeded limit, or '', and the pause before the next sample."""
        stage, begun, cpu_before = self._stage()
        now = time.monotonic()
        if stage is not self._stage_seen:
            self._stage_seen, self._idleness = stage, _Idleness(now - FIRST_SAMPLE_S)
        isolated_pid = 0 if self.job["mode"] == "calls" else self._pid
        self._cpu_s, why = self.meter.sample(stage, now - self._idleness.at, isolated_pid)
        self._idleness.add(now, self._cpu_s, self.meter.idleness)
        if why:
            return why, 0.0
        if self._cpu_s - cpu_before >= stage["cpu_s"] or self._call_is_late(cpu_before):
            return "timeout", 0.0
        left = begun + stage["wall_s"] - now
        if self._idleness.is_over(stage, ran_s=now - begun if left <= 0 else 0.0):
            return IDLE, 0.0
        if left <= 0:
            return "timeout", 0.0
        written = max(os.fstat(fd).st_size for fd in (CHANNELS.stdout, CHANNELS.stderr))
        if written > self.job["output"]:
            return "output", 0.0
        # Unpredictable, so that no program can rest whenever it is sampled.
        pause = SAMPLE_S * (0.5 + _pauses.random())
        # Sampling many processes takes long and must not use most of a CPU.
        took = time.monotonic() - now
        self._idleness.at_most_s = 2 * SAMPLE_S + (1 + _PAUSE_RATIO) * took
        return "", min(pause + _PAUSE_RATIO * took, left)

    def exit(self) -> NoReturn:
        """Exit because the parent has ended; the kernel ends the isolated process."""
        os._exit(0)

    def _call_is_late(self, cpu_before: float) -> bool:
        """Whether the current call has used up its CPU time, counted from the last sample.

        The first calls share one limit with the import, which began after `cpu_before`.

        Fake answers cannot gain time: `should_continue` ends a candidate that writes them.
        """
        limits = self.job["run"].get("call_s")
        if not limits:
            return False
        new = os.pread(CHANNELS.answers, _ANSWERS, self._read)
        if new:
            self._read += len(new)
            self._calls += new.count(b"\n")
            self._call_cpu = self._cpu_s
        if self._calls < self.job["run"]["first_calls"]:
            return bool(self._cpu_s - cpu_before >= self.job["run"]["first_s"])
        allowed: float = limits[min(self._calls, len(limits) - 1)]
        return self._cpu_s - self._call_cpu >= allowed

    def _stage(self) -> tuple[dict[str, Any], float, float]:
        """Return the limits of the current stage, and wall and CPU time at its start."""
        for line in os.pread(CHANNELS.report, 4096, 0).split(b"\n"):
            if line.startswith(b"compiled "):
                begun, cpu_before = map(float, line.split()[1:3])
                return self.job["run"], begun, cpu_before
        return self.job["compile"], self._begun, 0.0


class _Idleness:
    """Sums the time for which a program could have used a CPU and did not."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at
        """Time of the last sample."""
        self.at_most_s = 2 * SAMPLE_S
        """Longest interval to the next sample, unless the machine is too busy for sampling."""
        self._cpu_s = self._in_all_s = self._lately_s = 0.0

    def add(self, now: float, cpu_s: float, idleness: Callable[[], float]) -> None:
        """Add the time since the last sample, up to the expected interval.

        A longer interval means that the machine was suspended or too busy, not that the program
        was idle.
        """
        gone_by, used = min(now - self.at, self.at_most_s), cpu_s - self._cpu_s
        if used < _AT_WORK * gone_by:
            idle_s = idleness() * (gone_by - used)
            self._in_all_s += idle_s
            self._lately_s += idle_s
        self._lately_s = max(0.0, self._lately_s - used / _BUSY)
        self.at, self._cpu_s = now, cpu_s

    def is_over(self, stage: dict[str, Any], *, ran_s: float) -> bool:
        """Whether it was idle for too long, or for most of its time once that is over."""
        return (
            self._lately_s >= stage["idle_s"]
            or self._in_all_s >= stage["idle_in_all_s"]
            or (ran_s > 0 and 2 * self._in_all_s >= ran_s)
        )
