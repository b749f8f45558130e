"""One program's surroundings: first process of its own process ids, with a /tmp of its own.

Promises: before any line of the candidate runs, the cell has a fresh /tmp and working folder, no
capabilities, a system call filter and limits; nobody inside can look into or end the first
process, and when that ends the kernel ends everybody else. Standard library only.
"""

import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from evolcoder.sandbox.inside import libc
from evolcoder.sandbox.inside.protocol import PLACES

ROOM = b"/tmp"
"""Where a cell's own folder in memory is mounted."""
WORK = ROOM + b"/work"
_MOST = {
    what: libc.highest(what)
    for what in (
        *(libc.CPU, libc.DATA, libc.FILE_SIZE),
        *(libc.DESCRIPTORS, libc.PROCESSES, libc.CORE),
    )
}
"""The limits that this container came with, beyond which none can be raised."""
_FIRST_TO_END = b"1000"
"""What marks a process to be ended before all others where there is no more memory."""
SPARED = 1 << 11
"""Descriptors from here on are a worker's gift to all its candidates, which keep them."""


class Channels(NamedTuple):
    """Descriptors that came with a job; the first three lie where a candidate has them."""

    stdout: int
    """Where standard output goes."""
    stderr: int
    """Where standard error and compilers' messages go."""
    answers: int
    """Where answers go."""
    report: int
    """Where the cell says how far it got; no candidate ever holds it."""
    source: int
    """The program."""
    given: int
    """Standard input, the encoded calls, or the test."""


CHANNELS = Channels(*PLACES)
"""Where they always are."""


class Aside(NamedTuple):
    """Two processes where there was one, seen from one of them: the test's and the candidate's."""

    pid: int
    """The candidate's process; 0 in that process itself."""
    line: socket.socket
    """The line to the other process."""


def say(words: bytes) -> None:
    """Add a line to the report."""
    os.write(CHANNELS.report, words + b"\n")


def limits(stage: dict[str, Any], job: dict[str, Any]) -> list[libc.Step]:
    """Lay out what binds a process and its children to a stage's limits."""
    return [
        libc.limit(what, min(wanted, _MOST[what]))
        for what, wanted in (
            (libc.CPU, int(stage["cpu_s"]) + 2),
            (libc.DATA, stage["memory"]),
            (libc.FILE_SIZE, job["files"]),
            (libc.DESCRIPTORS, job["descriptors"]),
            (libc.PROCESSES, stage["processes"] + 2),
            (libc.CORE, 0),
        )
    ]


def mark() -> None:
    """Have the kernel end this process and its children, not the worker, for want of memory.

    A program cannot undo it: to it, /proc is read-only.
    """
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, _FIRST_TO_END)
    os.close(fd)


def given_up(judge: bytes) -> list[libc.Step]:
    """Lay out how to give up all powers, and to put a filter in force if it is not empty."""
    return [libc.POWERS_DROPPED, *([libc.judged(judge)] if judge else [])]


class Doors:
    """What shuts a program in, laid out beforehand."""

    def __init__(self, judge: bytes) -> None:
        # A signal to its own group must not reach the worker's, whatever the namespace.
        entered = [libc.PROC_SHOWN, libc.OWN_GROUP, *libc.made_and_entered(WORK)]
        self._last = given_up(judge)
        self._first = [*entered, libc.UNSHOWN]
        self._alone = [*entered, *self._last]

    def shut(self, job: dict[str, Any]) -> Aside | None:
        """Shut the doors behind this process; for a test that runs apart, behind two.

        Nobody can look into the first process, unless the candidate itself is to be that. Return
        what `fork_aside` did, if it was needed.
        """
        mark()
        if job["mode"] == "calls":
            libc.carry_out(self._alone)
            return None
        libc.carry_out(self._first)
        aside = fork_aside(_fork_below) if job["mode"] == "asserts" else None
        libc.carry_out(self._last)
        return aside


def fork_aside(fork: Callable[[], int] = libc.fork) -> Aside:
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
    libc.carry_out((libc.unshared(libc.NEW_PIDS),))
    pid = libc.fork()
    if pid:
        libc.carry_out((libc.entered(home, libc.NEW_PIDS),))
    os.close(home)
    return pid
