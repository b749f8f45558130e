"""The process that lives as long as its container and forks a cell for every program.

Promises: it never holds a program, a test or an answer; those travel in descriptors that it hands
on unread. A cell runs in process ids and mounts of its own and is gone, with all that it started,
before the next begins. It ends when its parent does. Standard library only.

Its configuration names the descriptor of its control socket; `line` says what comes and goes there.
What is done here for every program is little and made of few objects: after a fork, each page that
is written to costs a fault.
"""

import gc
import importlib
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from evolcoder.sandbox.inside import cell, kernel, modes, syscalls
from evolcoder.sandbox.inside.cell import CHANNELS
from evolcoder.sandbox.inside.line import STOP, End, Line, Received, opened

FIRST_LOOK_S, LOOK_S = 0.02, 0.03
"""When a running program's use of memory and time is looked at: first, and from then on."""
_FIRST_LOOK_MS = 1000 * FIRST_LOOK_S
_ANSWERS = 1 << 22
"""Bytes of answers that one look reads."""
_FIRST_WORDS = 128
"""How much of a report is read for its first lines: of two processes, either may speak first."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(config: dict[str, Any]) -> NoReturn:
    """Settle in, say so, and serve jobs for ever."""
    line = Line(config["control"])
    _become_nobody(config["uid"])
    _own_namespaces()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != config["home"])]
    kernel.no_new_privileges()
    _load(config["warm"])
    nursery = _Nursery(line.control)
    random.seed(0)
    gc.collect()
    gc.freeze()
    with line.taking_jobs():
        while job := line.next_job():
            line.say_end(nursery.serve(job))
            nursery.tidy()
    os._exit(0)


def _load(names: list[str]) -> None:
    """Import what programs use most; some of it wants a folder of its own meanwhile."""
    room = kernel.mounted(b"tmpfs", cell.ROOM, kernel.NO_SUID | kernel.NO_DEVICES)
    kernel.carry_out([room])
    for name in names:
        importlib.import_module(name)
    kernel.carry_out([kernel.unmounted(cell.ROOM)])


def _become_nobody(uid: int | None) -> None:
    """Stop being root, where the container was made by root."""
    if uid is None:
        return
    kernel.mount_proc()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    kernel.set_dumpable(1)


def _own_namespaces() -> None:
    """Take namespaces in which this process may make cells, and nothing outside of them.

    It goes on as the first process of its own process ids: only these may it leave and come back
    to, once for every cell.
    """
    uid, gid = os.getuid(), os.getgid()
    own = kernel.NEW_USERS | kernel.NEW_MOUNTS | kernel.NEW_PIDS
    kernel.carry_out([kernel.unshared(own)])
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    kernel.keep_mounts_private()
    kernel.mount_proc()
    kernel.set_dumpable(1)


class _Nursery:
    """Where cells are made, one after the other."""

    def __init__(self, control: socket.socket) -> None:
        self._doors = cell.Doors(syscalls.assemble())
        home = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._watch = Watch(control, os.open("/proc", os.O_RDONLY))
        self._limits, self._most, self._before = b"", dict[str, Any](), list[kernel.Step]()
        self._home = [kernel.entered(home, kernel.NEW_PIDS)]
        room, proc = kernel.unmounted(cell.ROOM), kernel.unmounted(b"/proc")
        self._after, self._after_failure = (room, proc), (room,)
        self._left: Sequence[kernel.Step] = ()

    def serve(self, job: Received) -> End:
        """Run one job to its end and say how it ended."""
        if job.limits != self._limits:
            self._take(job.limits)
        begun = time.monotonic()
        kernel.carry_out(self._before)
        pid = kernel.fork()
        if pid == 0:
            modes.live(self._most | opened(job.work), self._doors.shut)
        kernel.carry_out(self._home)
        why = self._watch.until_end(pid, self._most)
        _, status, usage = os.wait4(pid, 0)
        ended = time.monotonic()
        is_closed_in = b"ready" in os.pread(CHANNELS.report, _FIRST_WORDS, 0)
        self._left = self._after if is_closed_in else self._after_failure
        cpu_s = max(usage.ru_utime + usage.ru_stime, self._watch.cpu_s)
        peak = max(usage.ru_maxrss << 10, self._watch.memory)
        return End(why, os.waitstatus_to_exitcode(status), begun, ended, cpu_s, peak)

    def tidy(self) -> None:
        """Take away what is left of a job whose processes are all gone.

        The kernel has it wait for its other processors, so the end is said before.
        """
        kernel.carry_out(self._left)

    def _take(self, limits: bytes) -> None:
        """Read limits, which are mostly those of the job before."""
        self._limits, most = limits, opened(limits)
        for stage in ("compile", "run"):
            most[stage]["limits"] = cell.limits(most[stage], most)
        room = f"size={most['files']},nr_inodes={most['inodes']},mode=0700".encode()
        flags = kernel.NO_SUID | kernel.NO_DEVICES
        self._before = [
            kernel.mounted(b"tmpfs", cell.ROOM, flags, room),
            kernel.unshared(kernel.NEW_PIDS),
        ]
        self._most = most


class Watch:
    """Looks at a running cell from time to time, and ends it when it goes over a limit."""

    def __init__(self, control: socket.socket, processes: int) -> None:
        self.job = dict[str, Any]()
        self.processes = processes
        self.cpu_s = 0.0
        self.memory = 0
        self._control = control
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)
        self._begun = self._call_cpu = 0.0
        self._calls = self._read = 0

    def until_end(self, pid: int, job: dict[str, Any]) -> str:
        """Wait for the cell to end; return which limit it went over, or ''."""
        self.cpu_s, self.memory = 0.0, 0
        process = os.pidfd_open(pid)
        self._poller.register(process, select.POLLIN)
        try:
            events = self._poller.poll(_FIRST_LOOK_MS)
            if not events:
                self.job, self._begun = job, time.monotonic() - FIRST_LOOK_S
                self._calls, self._read, self._call_cpu = 0, 0, 0.0
            while not events:
                why, pause = self.look()
                if why:
                    os.kill(pid, signal.SIGKILL)
                    return why
                events = self._poller.poll(pause * 1000)
            if (process, select.POLLIN) in events:
                return ""
            if self._control.recv(_FIRST_WORDS) != STOP:
                self.leave()
            os.kill(pid, signal.SIGKILL)
            return "stopped"
        finally:
            self._poller.unregister(process)
            os.close(process)

    def look(self) -> tuple[str, float]:
        """Say which limit is passed, or '', and how long to wait before looking again."""
        stage, begun, cpu_before = self._stage()
        self.cpu_s, memory = self.used()
        self.memory = max(self.memory, memory)
        left = begun + stage["wall_s"] - time.monotonic()
        if left <= 0 or self.cpu_s - cpu_before >= stage["cpu_s"] or self._call_is_late():
            return "timeout", 0.0
        if memory > stage["memory"]:
            return "memory", 0.0
        written = max(os.fstat(fd).st_size for fd in (CHANNELS.stdout, CHANNELS.stderr))
        if written > self.job["output"]:
            return "output", 0.0
        return "", min(LOOK_S, left)

    def _call_is_late(self) -> bool:
        """Whether the call that was seen to run at the last look has had its processor time.

        The candidate could write answers that are none, and is then ended for these.
        """
        limits = self.job["run"].get("call_s")
        if not limits:
            return False
        new = os.pread(CHANNELS.answers, _ANSWERS, self._read)
        if new:
            self._read += len(new)
            self._calls += new.count(b"\n")
            self._call_cpu = self.cpu_s
        allowed: float = limits[min(self._calls, len(limits) - 1)]
        return self.cpu_s - self._call_cpu >= allowed

    def used(self) -> tuple[float, int]:
        """Return processor seconds and resident bytes of all that runs."""
        return _used(self.processes)

    def leave(self) -> NoReturn:
        """End, because the parent has; the kernel ends the cell."""
        os._exit(0)

    def _stage(self) -> tuple[dict[str, Any], float, float]:
        """Return the limits of the stage that runs, and time and processor time at its start."""
        for line in os.pread(CHANNELS.report, 4096, 0).split(b"\n"):
            if line.startswith(b"compiled "):
                begun, cpu_before = map(float, line.split()[1:3])
                return self.job["run"], begun, cpu_before
        return self.job["compile"], self._begun, 0.0


def _used(processes: int) -> tuple[float, int]:
    """Sum processor seconds and resident bytes over every process but this one.

    `processes` is a folder of /proc as it was before a cell mounted its own there.
    """
    cpu, memory, mine = 0.0, 0, str(os.getpid())
    for name in os.listdir(processes):
        if not name.isdigit() or name == mine:
            continue
        try:
            with open(os.open(f"{name}/stat", os.O_RDONLY, dir_fd=processes), "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        cpu += sum(map(int, fields[11:15])) * _TICK_S
        memory += int(fields[21]) * _PAGE
    return cpu, memory
