"""One program's surroundings: first process of its own process ids, with a /tmp of its own.

Promises: before any line of the candidate runs, the cell has a fresh /tmp and working folder, no
capabilities, a system call filter and limits; nobody inside can look into or end the first
process, and when that ends the kernel ends everybody else. Standard library only.
"""

import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from evolcoder.sandbox.inside import kernel

ROOM = b"/tmp"
"""Where a cell's own folder in memory is mounted."""
WORK = ROOM + b"/work"
_MOST = {
    what: kernel.highest(what)
    for what in (
        *(kernel.CPU, kernel.DATA, kernel.FILE_SIZE),
        *(kernel.DESCRIPTORS, kernel.PROCESSES, kernel.CORE),
    )
}
"""The limits that this container came with, beyond which none can be raised."""
SPARED = 1 << 11
"""Descriptors from here on are a worker's gift to all its candidates, which keep them."""


class Channels(NamedTuple):
    """Descriptors that came with a job."""

    source: int
    """The program."""
    given: int
    """Standard input, the encoded calls, or the test."""
    stdout: int
    """Where standard output goes."""
    stderr: int
    """Where standard error and compilers' messages go."""
    answers: int
    """Where answers go."""
    report: int
    """Where the cell says how far it got; no candidate ever holds it."""


class Aside(NamedTuple):
    """Two processes where there was one, seen from one of them: the test's and the candidate's."""

    pid: int
    """The candidate's process; 0 in that process itself."""
    line: socket.socket
    """The line to the other process."""


def say(report: int, words: bytes) -> None:
    """Add a line to the report."""
    os.write(report, words + b"\n")


def limit(stage: dict[str, Any], job: dict[str, Any]) -> None:
    """Bind this process and its children to a stage's limits."""
    for what, wanted in (
        (kernel.CPU, int(stage["cpu_s"]) + 2),
        (kernel.DATA, stage["memory"]),
        (kernel.FILE_SIZE, job["files"]),
        (kernel.DESCRIPTORS, job["descriptors"]),
        (kernel.PROCESSES, stage["processes"] + 2),
        (kernel.CORE, 0),
    ):
        kernel.limit(what, min(wanted, _MOST[what]))


def close_in(job: dict[str, Any], judge: kernel.Filter | None) -> Aside | None:
    """Shut the doors; for a test that runs apart, in two processes.

    Return what `fork_aside` did, if it was needed.
    """
    kernel.mount_proc()
    # A signal to its own group must not reach the worker's, whatever the namespace.
    os.setsid()
    kernel.make_and_enter(WORK)
    show(job)
    aside = fork_aside(_fork_below) if job["mode"] == "asserts" else None
    give_up(judge)
    return aside


def show(job: dict[str, Any]) -> None:
    """Let nobody look into the first process, unless the candidate itself is to be that."""
    kernel.set_dumpable(job["mode"] == "calls")


def give_up(judge: kernel.Filter | None) -> None:
    """Give up all powers, and put a filter of system calls in force if there is one."""
    kernel.drop_capabilities()
    if judge:
        judge.install()


def fork_aside(fork: Callable[[], int] = kernel.fork) -> Aside:
    """Fork a process for the candidate, and a line to it, while there is nothing to read of it."""
    ours, theirs = socket.socketpair()
    pid = fork()
    (theirs if pid else ours).close()
    return Aside(pid, ours if pid else theirs)


def _fork_below() -> int:
    """Fork a process with process ids of its own while that is still allowed.

    Then come back: a process whose children are to have other ids than itself can start no threads.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY)
    kernel.unshare(kernel.NEW_PIDS)
    pid = kernel.fork()
    if pid:
        kernel.enter(home, kernel.NEW_PIDS)
    os.close(home)
    return pid
