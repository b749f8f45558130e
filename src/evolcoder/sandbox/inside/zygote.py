"""The long-lived process of a container, which forks an isolated process for every program.

Guarantees: it never contains a program, a test or an answer; those travel in descriptors that it
passes on unread. An isolated process has its own PID and mount namespaces, and is gone with all
that it started before the next begins. The zygote ends with its parent. Standard library only.

Its configuration names the descriptor of its control socket; see `protocol` for the messages.
The work per program uses few objects, because each page written to after a fork costs a page fault.
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
from evolcoder.sandbox.inside.metering import Watchdog
from evolcoder.sandbox.inside.protocol import End, ReceivedJob, WorkerConnection, unpack_message

_READY_BYTES = 128
"""Bytes of a report that are searched for `ready`; either of two processes may write first."""


def main(config: dict[str, Any]) -> NoReturn:
    """Set up, announce readiness, and serve jobs until the parent disconnects."""
    connection = WorkerConnection(config["control"], config["group"])
    _drop_root(config["uid"])
    _enter_namespaces()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != config["home"])]
    libc.no_new_privileges()
    _load(config["warm"])
    runner = _JobRunner(connection)
    random.seed(0)
    gc.collect()
    gc.freeze()
    with connection.accepting_jobs():
        while job := connection.next_job():
            connection.send_end(runner.serve(job))
            runner.clean_up()
    os._exit(0)


def _load(names: list[str]) -> None:
    """Import commonly used modules; some need a writable folder meanwhile."""
    libc.run_steps([libc.mount_step(b"tmpfs", isolate.SCRATCH, libc.NO_SUID | libc.NO_DEVICES)])
    for name in names:
        importlib.import_module(name)
    libc.run_steps([libc.umount_step(isolate.SCRATCH)])


def _drop_root(uid: int | None) -> None:
    """Drop root if the container was made by root."""
    if uid is None:
        return
    libc.mount_proc()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.set_dumpable(1)


def _enter_namespaces() -> None:
    """Enter new namespaces, in which this process may isolate programs.

    It continues as the first process of its PID namespace: this is the only one that it can leave
    and re-enter, once per program.
    """
    uid, gid = os.getuid(), os.getgid()
    own = libc.NEW_USERS | libc.NEW_MOUNTS | libc.NEW_PIDS
    libc.run_steps([libc.unshare_step(own)])
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
    libc.make_mounts_private()
    libc.mount_proc()
    libc.set_dumpable(1)


class _JobRunner:
    """Runs one job after another in isolated processes."""

    def __init__(self, connection: WorkerConnection) -> None:
        self._isolation = isolate.IsolationSteps(seccomp.assemble(counted=bool(connection.group)))
        home = os.open("/proc/self/ns/pid", os.O_RDONLY)
        # Opened before an isolated process mounts its own /proc.
        proc = os.open("/proc", os.O_RDONLY)
        self._meter = metering.meter(
            connection.group, functools.partial(process_tree.others, proc), proc
        )
        self._watchdog = Watchdog(connection.control, self._meter)
        self._limits, self._job_limits, self._before = b"", dict[str, Any](), list[libc.Step]()
        self._home = [libc.setns_step(home, libc.NEW_PIDS)]
        unmount = libc.umount_step(isolate.SCRATCH)
        self._after, self._after_failure = (unmount, libc.umount_step(b"/proc")), (unmount,)
        self._left: Sequence[libc.Step] = ()

    def serve(self, received: ReceivedJob) -> End:
        """Run one job to its end and return how it ended."""
        if received.limits != self._limits:
            self._set_limits(received.limits)
        self._meter.begin(self._job_limits)
        job = self._job_limits | unpack_message(received.work)
        begun = time.monotonic()
        libc.run_steps(self._before)
        pid = libc.fork()
        if pid == 0:
            tasks.run_job(job, self._isolation.apply)
        libc.run_steps(self._home)
        why = self._watchdog.until_end(pid, job)
        _, status, rusage = os.wait4(pid, 0)
        ended = time.monotonic()
        code = os.waitstatus_to_exitcode(status)
        used, peak = self._meter.end(job, rusage, code)
        is_isolated = b"ready" in os.pread(CHANNELS.report, _READY_BYTES, 0)
        self._left = self._after if is_isolated else self._after_failure
        return End(why or used.over, code, begun, ended, used.cpu_s, peak)

    def clean_up(self) -> None:
        """Unmount what is left of a finished job.

        The kernel synchronises all CPUs meanwhile, so the end is reported first.
        """
        libc.run_steps(self._left)

    def _set_limits(self, limits: bytes) -> None:
        """Decode limits; most jobs have those of the previous one."""
        self._limits, current = limits, unpack_message(limits)
        for stage in ("compile", "run"):
            current[stage]["limits"] = [
                *self._meter.steps(stage, current),
                *isolate.limit_steps(current[stage], current),
            ]
        options = f"size={current['files']},nr_inodes={current['inodes']},mode=0700".encode()
        flags = libc.NO_SUID | libc.NO_DEVICES
        self._before = [
            libc.mount_step(b"tmpfs", isolate.SCRATCH, flags, options),
            libc.unshare_step(libc.NEW_PIDS),
        ]
        self._job_limits = current
