"""The process that lives as long as its container and forks a cell for every program.

Promises: it never holds a program, a test or an answer; those travel in descriptors that it hands
on unread. A cell runs in process ids and mounts of its own and is gone, with all that it started,
before the next begins. It ends when its parent does. Standard library only.

Its configuration names the descriptor of its control socket; `line` says what comes and goes there.
What is done here for every program is little and made of few objects: after a fork, each page that
is written to costs a fault.
"""

import functools
import gc
import importlib
import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from evolcoder.sandbox.inside import isolate, libc, metering, process_tree, seccomp, tasks
from evolcoder.sandbox.inside.isolate import CHANNELS
from evolcoder.sandbox.inside.protocol import End, Line, Received, opened
from evolcoder.sandbox.inside.watch import Watch

_FIRST_WORDS = 128
"""How much of a report is read for its first lines: of two processes, either may speak first."""


def main(config: dict[str, Any]) -> NoReturn:
    """Settle in, say so, and serve jobs for ever."""
    line = Line(config["control"], config["group"])
    _become_nobody(config["uid"])
    _own_namespaces()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != config["home"])]
    libc.no_new_privileges()
    _load(config["warm"])
    nursery = _Nursery(line)
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
    room = libc.mounted(b"tmpfs", isolate.ROOM, libc.NO_SUID | libc.NO_DEVICES)
    libc.carry_out([room])
    for name in names:
        importlib.import_module(name)
    libc.carry_out([libc.unmounted(isolate.ROOM)])


def _become_nobody(uid: int | None) -> None:
    """Stop being root, where the container was made by root."""
    if uid is None:
        return
    libc.mount_proc()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.set_dumpable(1)


def _own_namespaces() -> None:
    """Take namespaces in which this process may make cells, and nothing outside of them.

    It goes on as the first process of its own process ids: only these may it leave and come back
    to, once for every cell.
    """
    uid, gid = os.getuid(), os.getgid()
    own = libc.NEW_USERS | libc.NEW_MOUNTS | libc.NEW_PIDS
    libc.carry_out([libc.unshared(own)])
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
    libc.keep_mounts_private()
    libc.mount_proc()
    libc.set_dumpable(1)


class _Nursery:
    """Where cells are made, one after the other."""

    def __init__(self, line: Line) -> None:
        self._doors = isolate.Doors(seccomp.assemble(counted=bool(line.group)))
        home = os.open("/proc/self/ns/pid", os.O_RDONLY)
        # As it is before a cell mounts its own there.
        proc = os.open("/proc", os.O_RDONLY)
        self._meter = metering.meter(line.group, functools.partial(process_tree.others, proc), proc)
        self._watch = Watch(line.control, self._meter)
        self._limits, self._most, self._before = b"", dict[str, Any](), list[libc.Step]()
        self._home = [libc.entered(home, libc.NEW_PIDS)]
        room = libc.unmounted(isolate.ROOM)
        self._after, self._after_failure = (room, libc.unmounted(b"/proc")), (room,)
        self._left: Sequence[libc.Step] = ()

    def serve(self, received: Received) -> End:
        """Run one job to its end and say how it ended."""
        if received.limits != self._limits:
            self._take(received.limits)
        self._meter.begin(self._most)
        job = self._most | opened(received.work)
        begun = time.monotonic()
        libc.carry_out(self._before)
        pid = libc.fork()
        if pid == 0:
            tasks.live(job, self._doors.shut)
        libc.carry_out(self._home)
        why = self._watch.until_end(pid, job)
        _, status, rusage = os.wait4(pid, 0)
        ended = time.monotonic()
        code = os.waitstatus_to_exitcode(status)
        used, peak = self._meter.end(job, rusage, code)
        is_closed_in = b"ready" in os.pread(CHANNELS.report, _FIRST_WORDS, 0)
        self._left = self._after if is_closed_in else self._after_failure
        return End(why or used.over, code, begun, ended, used.cpu_s, peak)

    def tidy(self) -> None:
        """Take away what is left of a job whose processes are all gone.

        The kernel has it wait for its other processors, so the end is said before.
        """
        libc.carry_out(self._left)

    def _take(self, limits: bytes) -> None:
        """Read limits, which are mostly those of the job before."""
        self._limits, most = limits, opened(limits)
        for stage in ("compile", "run"):
            most[stage]["limits"] = [
                *self._meter.steps(stage, most),
                *isolate.limits(most[stage], most),
            ]
        room = f"size={most['files']},nr_inodes={most['inodes']},mode=0700".encode()
        flags = libc.NO_SUID | libc.NO_DEVICES
        self._before = [
            libc.mounted(b"tmpfs", isolate.ROOM, flags, room),
            libc.unshared(libc.NEW_PIDS),
        ]
        self._most = most
