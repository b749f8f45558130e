"""The process that forks programs where there are no namespaces.

Promises: it never holds a program, a test or an answer. A program is a fresh process without
powers, with a folder of its own, held by Landlock and a filter of system calls; it and all that it
started are gone, daemons too, before the next begins. It ends when its parent does, and tidies up.
Does not promise what only namespaces can: see `Layer`. Standard library only.

It speaks as `zygote` does.
"""

import contextlib
import errno
import functools
import gc
import importlib
import os
import random
import signal
import sys
import time
from typing import Any, NoReturn

from evolcoder.sandbox.inside import (
    isolate,
    landlock,
    libc,
    metering,
    private_paths,
    process_tree,
    seccomp,
    tasks,
)
from evolcoder.sandbox.inside.protocol import End, Line, Received, opened
from evolcoder.sandbox.inside.scratch_dir import Room
from evolcoder.sandbox.inside.seccomp import Crowd
from evolcoder.sandbox.inside.watch import Watch

_RECOUNT_S = 1.0
"""How old a count of the user's other processes may be."""


def main(config: dict[str, Any]) -> NoReturn:
    """Settle in, say so, and serve jobs for ever."""
    line = Line(config["control"], config["group"])
    libc.gather_orphans()
    libc.set_dumpable(0)
    libc.no_new_privileges()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != "")]
    if config["uid"] is not None:
        private_paths.keep_open(config["folders"])
    fence = _Fence(config, line)
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

    def __init__(self, config: dict[str, Any], line: Line) -> None:
        self.proc = os.open("/proc", os.O_RDONLY)
        found = functools.partial(process_tree.descendants, self.proc)
        self._meter = metering.meter(line.group, found, self.proc)
        self._watch = _Watch(line, self._meter, self)
        self.uid: int | None = config["uid"]
        self.room = Room.make(config["within"], self.uid)
        os.environ.update(HOME=self.room.own, TMPDIR=self.room.own)
        known = config["landlock"]
        granted = [(path, landlock.READ) for path in config["readable"]]
        granted += [(path, landlock.USE) for path in config["devices"]]
        self.rules = landlock.ruleset([*granted, (self.room.own, landlock.OWN)], known)
        crowd = Crowd(own_user=self.uid is not None, own_signals=known >= landlock.KNOWS_SIGNALS)
        judge = seccomp.assemble(crowd=crowd, counted=bool(line.group))
        self.given_up = isolate.given_up(judge)
        self._others, self._counted = 0, float("-inf")
        self._known, self._most = (b"", 0), dict[str, Any]()

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
        self._meter.begin(job)
        begun = time.monotonic()
        self.room.furnish()
        pid = libc.fork()
        if pid == 0:
            tasks.live(job, self._close_in)
        watch = self._watch
        why = watch.until_end(pid, job)
        _, status, rusage = os.wait4(pid, 0)
        ended = time.monotonic()
        process_tree.end_all(self.proc)
        code = os.waitstatus_to_exitcode(status)
        used, peak = self._meter.end(job, rusage, code)
        why = why or used.over or watch.overfull(job)
        self.room.clear()
        return End(why, code, begun, ended, used.cpu_s, peak)

    def leave(self) -> NoReturn:
        """End everything and leave nothing behind."""
        process_tree.end_all(self.proc)
        self.room.remove()
        os._exit(0)

    def _close_in(self, job: dict[str, Any]) -> isolate.Aside | None:
        """Step down to the program's user and put up the fence; this is the new process.

        The candidate of a test that runs apart is forked behind it: a child of another fence could
        not be ended.
        """
        if (free := self.room.free()) < job["files"]:
            text = f"only {free >> 20} MB are free in {self.room.within}; set TMPDIR to a folder"
            raise OSError(errno.ENOSPC, f"{text} with more")
        parent = os.getppid()
        os.setsid()
        libc.set_dumpable(1)
        isolate.mark()
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        libc.end_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            raise OSError(0, "the worker is gone")
        libc.gather_orphans()
        os.chdir(self.room.work)
        landlock.restrict(self.rules)
        libc.set_dumpable(job["mode"] == "calls")
        libc.carry_out(self.given_up)
        return isolate.fork_aside() if job["mode"] == "asserts" else None

    def _adapted(self, received: Received) -> dict[str, Any]:
        """Write this room's path for /tmp, and lay out the limits."""
        job: dict[str, Any] = self._limits_of(received.limits) | opened(received.work)
        for name, value in job.get("environment", {}).items():
            if value == "/tmp" or value.startswith("/tmp/"):  # noqa: S108 - the room's
                job["environment"][name] = self.room.own + value[4:]
        if "environment" in job:
            job["environment"]["TMPDIR"] = self.room.own
        return job

    def _limits_of(self, limits: bytes) -> dict[str, Any]:
        """Read limits, which are mostly those of the job before.

        Where programs run as our user, its other processes are counted, as the kernel does.
        """
        others = self._count_others() if self.uid is None else 0
        if (limits, others) != self._known:
            self._known, most = (limits, others), opened(limits)
            for stage in ("compile", "run"):
                most[stage]["processes"] += others
                entered = self._meter.steps(stage, most)
                most[stage]["limits"] = [*entered, *isolate.limits(most[stage], most)]
            self._most = most
        return self._most

    def _count_others(self) -> int:
        now = time.monotonic()
        if now - self._counted > _RECOUNT_S:
            self._others, self._counted = process_tree.threads_of_user(self.proc), now
        return self._others


class _Watch(Watch):
    """Looks at descendants, and at the room, which has no limit of its own."""

    def __init__(self, line: Line, meter: metering.Meter, fence: _Fence) -> None:
        super().__init__(line.control, meter)
        self.fence = fence

    def look(self) -> tuple[str, float]:
        """Say which limit is passed, or '', and how long to wait before looking again."""
        why, pause = super().look()
        return why or self.overfull(self.job, is_running=True), pause

    def leave(self) -> NoReturn:
        """End everything and leave nothing behind."""
        self.fence.leave()

    def overfull(self, job: dict[str, Any], *, is_running: bool = False) -> str:
        """Say 'output' where the room holds more than it may, or ''.

        While a program runs, files that it has removed and not closed count as well.
        """
        size, count = self.fence.room.holds(job["inodes"])
        if is_running:
            size += process_tree.unnamed_bytes(self.fence.proc, self.fence.room.within)
        return "output" if size > job["files"] or count > job["inodes"] else ""
