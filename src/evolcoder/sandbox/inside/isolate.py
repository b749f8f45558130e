"""Isolates one program: first process of its own PID namespace, with its own /tmp.

Guarantees: before the candidate's first line runs, the process has a fresh /tmp and working folder,
no capabilities, a system call filter and limits. No process inside can inspect or kill the first
process; when that ends, the kernel kills all others. Standard library only.
"""

import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from evolcoder.sandbox.inside import libc
from evolcoder.sandbox.inside.protocol import JOB_FDS

SCRATCH = b"/tmp"
"""Mount point of the program's own memory file system."""
WORK = SCRATCH + b"/work"
_HARD_LIMITS = {
    what: libc.hard_limit(what)
    for what in (
        *(libc.CPU, libc.DATA, libc.FILE_SIZE),
        *(libc.DESCRIPTORS, libc.PROCESSES, libc.CORE),
    )
}
"""The hard limits of this container, which cannot be raised."""
_MAX_OOM_SCORE = b"1000"
"""OOM score adjustment of the processes to kill first."""
KEPT_FDS = 1 << 11
"""Descriptors from this number on belong to the worker and stay open in all candidates."""


class Channels(NamedTuple):
    """Descriptors of a job; the first three have the numbers that a candidate uses."""

    stdout: int
    """Standard output."""
    stderr: int
    """Standard error and compiler output."""
    answers: int
    """The answer channel."""
    report: int
    """The progress report; no candidate ever has it."""
    source: int
    """The program."""
    given: int
    """Standard input, the encoded calls, or the test."""


CHANNELS = Channels(*JOB_FDS)
"""Their fixed numbers."""


class CandidateFork(NamedTuple):
    """Result of forking the candidate from the test, as seen by one of the two processes."""

    pid: int
    """The candidate's process; 0 in that process itself."""
    line: socket.socket
    """Connection to the other process."""


def report(words: bytes) -> None:
    """Append a line to the report."""
    os.write(CHANNELS.report, words + b"\n")


def limit_steps(stage: dict[str, Any], job: dict[str, Any]) -> list[libc.Step]:
    """Return the steps that bind a process and its children to a stage's limits."""
    return [
        libc.rlimit_step(what, min(wanted, _HARD_LIMITS[what]))
        for what, wanted in (
            (libc.CPU, int(stage["cpu_s"]) + 2),
            (libc.DATA, stage["memory"]),
            (libc.FILE_SIZE, job["files"]),
            (libc.DESCRIPTORS, job["descriptors"]),
            (libc.PROCESSES, stage["processes"] + 2),
            (libc.CORE, 0),
        )
    ]


def prefer_for_oom_kill() -> None:
    """Have the OOM killer prefer this process and its children to the worker.

    A program cannot undo it: its /proc is read-only.
    """
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, _MAX_OOM_SCORE)
    os.close(fd)


def drop_privileges(filter_code: bytes) -> list[libc.Step]:
    """Return the steps that drop all capabilities and install the seccomp filter, if any."""
    return [libc.DROP_CAPABILITIES, *([libc.seccomp_step(filter_code)] if filter_code else [])]


class IsolationSteps:
    """Isolates a process by steps that are prepared in advance."""

    def __init__(self, filter_code: bytes) -> None:
        # Signals to the process group must not reach the worker's, whatever the namespace.
        entered = [libc.MOUNT_PROC_READ_ONLY, libc.NEW_SESSION, *libc.make_and_enter_steps(WORK)]
        self._last = drop_privileges(filter_code)
        self._first = [*entered, libc.NOT_DUMPABLE]
        self._alone = [*entered, *self._last]

    def apply(self, job: dict[str, Any]) -> CandidateFork | None:
        """Isolate this process; for an `Asserts` test, in two levels.

        No process can inspect the first process, unless that is the candidate itself. Return the
        result of `fork_candidate` for an `Asserts` test.
        """
        prefer_for_oom_kill()
        if job["mode"] == "calls":
            libc.run_steps(self._alone)
            return None
        libc.run_steps(self._first)
        fork = fork_candidate(_fork_in_new_pid_namespace) if job["mode"] == "asserts" else None
        libc.run_steps(self._last)
        return fork


def fork_candidate(fork: Callable[[], int] = libc.fork) -> CandidateFork:
    """Fork a process for the candidate, connected by a socket, before any secret is loaded."""
    ours, theirs = socket.socketpair()
    pid = fork()
    (theirs if pid else ours).close()
    return CandidateFork(pid, ours if pid else theirs)


def _fork_in_new_pid_namespace() -> int:
    """Fork a process with its own PID namespace while that is still permitted.

    Then return to the old one: a process whose children get another PID namespace than its own
    cannot start threads.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY)
    libc.run_steps((libc.unshare_step(libc.NEW_PIDS),))
    pid = libc.fork()
    if pid:
        libc.run_steps((libc.setns_step(home, libc.NEW_PIDS),))
    os.close(home)
    return pid
