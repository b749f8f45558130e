"""The process that forks programs where there are no namespaces.

Promises: it never holds a program, a test or an answer. A program is a fresh process without
powers, with a folder of its own, held by Landlock and a filter of system calls; it and all that it
started are gone, daemons too, before the next begins. It ends when its parent does, and tidies up.
Does not promise what only namespaces can: see `Layer`. Standard library only.

It speaks as `zygote` does.
"""

import contextlib
import errno
import gc
import importlib
import os
import random
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from evolcoder.sandbox.inside import (
    cell,
    kernel,
    kin,
    landlock,
    modes,
    private,
    syscalls,
    zygote,
)
from evolcoder.sandbox.inside.crowd import Crowd
from evolcoder.sandbox.inside.line import End, Line, Received, opened
from evolcoder.sandbox.inside.room import Room

_RECOUNT_S = 1.0
"""How old a count of the user's other processes may be."""


def main(config: dict[str, Any]) -> NoReturn:
    """Settle in, say so, and serve jobs for ever."""
    line = Line(config["control"])
    kernel.gather_orphans()
    kernel.set_dumpable(0)
    kernel.no_new_privileges()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != "")]
    if config["uid"] is not None:
        private.keep_open(config["folders"])
    fence = _Fence(config, line.control)
    fence.load(config["warm"])
    random.seed(0)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(ConnectionError), line.taking_jobs():
        while job := line.next_job():
            line.say_end(fence.serve(job))
    fence.leave()


class _Fence:
    """What holds every program of this worker."""

    def __init__(self, config: dict[str, Any], control: socket.socket) -> None:
        self._watch = _Watch(control, self)
        self.uid: int | None = config["uid"]
        self.room = Room.make(config["within"], self.uid)
        os.environ.update(HOME=self.room.own, TMPDIR=self.room.own)
        known = config["landlock"]
        granted = [(path, landlock.READ) for path in config["readable"]]
        granted += [(path, landlock.USE) for path in config["devices"]]
        self.rules = landlock.ruleset([*granted, (self.room.own, landlock.OWN)], known)
        crowd = Crowd(own_user=self.uid is not None, own_signals=known >= landlock.KNOWS_SIGNALS)
        self.given_up = cell.given_up(syscalls.assemble(crowd=crowd))
        self._others, self._counted = 0, float("-inf")

    def load(self, names: list[str]) -> None:
        """Import what programs use most; some of it wants a folder of its own meanwhile."""
        self.room.furnish()
        os.chdir(self.room.work)
        for name in names:
            importlib.import_module(name)
        os.chdir("/")
        self.room.clear()

    def serve(self, received: Received) -> End:
        """Run one job to its end and say how it ended."""
        job = self._adapted(received)
        begun = time.monotonic()
        self.room.furnish()
        pid = kernel.fork()
        if pid == 0:
            modes.live(job, self._close_in)
        watch = self._watch
        why = watch.until_end(pid, job)
        _, status, usage = os.wait4(pid, 0)
        ended = time.monotonic()
        kin.end_all()
        why = why or watch.overfull(job)
        self.room.clear()
        cpu_s = max(usage.ru_utime + usage.ru_stime, watch.cpu_s)
        peak = max(usage.ru_maxrss << 10, watch.memory)
        return End(why, os.waitstatus_to_exitcode(status), begun, ended, cpu_s, peak)

    def leave(self) -> NoReturn:
        """End everything and leave nothing behind."""
        kin.end_all()
        self.room.remove()
        os._exit(0)

    def _close_in(self, job: dict[str, Any]) -> cell.Aside | None:
        """Step down to the program's user and put up the fence; this is the new process.

        The candidate of a test that runs apart is forked behind it: a child of another fence could
        not be ended.
        """
        if (free := self.room.free()) < job["files"]:
            text = f"only {free >> 20} MB are free in {self.room.within}; set TMPDIR to a folder"
            raise OSError(errno.ENOSPC, f"{text} with more")
        parent = os.getppid()
        os.setsid()
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        kernel.end_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            raise OSError(0, "the worker is gone")
        kernel.gather_orphans()
        os.chdir(self.room.work)
        landlock.restrict(self.rules)
        kernel.set_dumpable(job["mode"] == "calls")
        kernel.carry_out(self.given_up)
        return cell.fork_aside() if job["mode"] == "asserts" else None

    def _adapted(self, received: Received) -> dict[str, Any]:
        """Write this room's path for /tmp; count the user's other processes, as the kernel does."""
        job: dict[str, Any] = opened(received.limits) | opened(received.work)
        for name, value in job.get("environment", {}).items():
            if value == "/tmp" or value.startswith("/tmp/"):  # noqa: S108 - the room's
                job["environment"][name] = self.room.own + value[4:]
        if "environment" in job:
            job["environment"]["TMPDIR"] = self.room.own
        if self.uid is None:
            now = time.monotonic()
            if now - self._counted > _RECOUNT_S:
                self._others, self._counted = kin.threads_of_user(), now
            for stage in ("compile", "run"):
                job[stage]["processes"] += self._others
        for stage in ("compile", "run"):
            job[stage]["limits"] = cell.limits(job[stage], job)
        return job


class _Watch(zygote.Watch):
    """Looks at descendants, and at the room, which has no limit of its own."""

    def __init__(self, control: socket.socket, fence: _Fence) -> None:
        super().__init__(control, -1)
        self.fence = fence

    def look(self) -> tuple[str, float]:
        """Say which limit is passed, or '', and how long to wait before looking again."""
        why, pause = super().look()
        return why or self.overfull(self.job), pause

    def used(self) -> tuple[float, int]:
        """Return processor seconds and resident bytes of all that runs."""
        return kin.used()

    def leave(self) -> NoReturn:
        """End everything and leave nothing behind."""
        self.fence.leave()

    def overfull(self, job: dict[str, Any]) -> str:
        """Say 'output' where the room holds more than it may, or ''."""
        size, count = self.fence.room.holds(job["inodes"])
        return "output" if size > job["files"] or count > job["inodes"] else ""
