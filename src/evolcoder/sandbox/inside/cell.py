"""One program's surroundings: first process of its own process ids, with a /tmp of its own.

Promises: before any line of the candidate runs, the cell has a fresh /tmp and working folder, no
capabilities, a system call filter and limits; nobody inside can look into or end the first
process, and when that ends the kernel ends everybody else. Standard library only.

What the report channel says, one line each: `ready`, then `compiled TIME CPU` or `uncompiled`,
then `done CODE`; or `broken REASON` where the sandbox itself failed.
"""

import contextlib
import fcntl
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from evolcoder.sandbox.inside import candidate, kernel, tester

WORK = "/tmp/work"  # noqa: S108 - private to the cell
CRASHED = 70
"""Exit code of a process whose own set-up code failed."""
ANSWERS = 3
"""Where a candidate finds the channel of answers."""
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


def live(job: dict[str, Any], channels: Channels, close_in: Callable[[], Aside | None]) -> NoReturn:
    """Become the cell by closing it in; run the job, and end."""
    try:
        aside = close_in()
    except OSError as error:
        say(channels.report, f"broken {error}")
        os._exit(1)
    os.dup2(channels.stdout, 1)
    os.dup2(channels.stderr, 2)
    random.seed(0)
    code = CRASHED
    try:
        if aside is not None:
            code = _asserts(job, channels, *aside)
        else:
            say(channels.report, "ready")
            code = _MODES[job["mode"]](job, channels)
        say(channels.report, f"done {code}")
    finally:
        os._exit(code & 0xFF)


def say(report: int, line: str) -> None:
    """Add a line to the report."""
    os.write(report, line.encode() + b"\n")


def say_compiled(report: int) -> None:
    """Note the moment and the processor time from which on the program's own limits count."""
    used = sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    say(report, f"compiled {time.monotonic()} {used}")


def spawn(work: Callable[[], int]) -> int:
    """Fork a process that does one piece of work; return its id."""
    pid = os.fork()
    if pid == 0:
        code = CRASHED
        try:
            kernel.set_dumpable(1)
            random.seed(0)
            code = work()
        finally:
            os._exit(code)
    return pid


def reap(pid: int) -> int:
    """Wait for one process, and bury the orphans that end before; return its exit code."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def limit(stage: dict[str, Any], job: dict[str, Any]) -> None:
    """Bind this process and its children to a stage's limits."""
    seconds = int(stage["cpu_s"]) + 2
    for what, wanted in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, stage["memory"]),
        (resource.RLIMIT_FSIZE, job["files"]),
        (resource.RLIMIT_NOFILE, job["descriptors"]),
        (resource.RLIMIT_NPROC, stage["processes"] + 2),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(what, (most, most))


def close_in(job: dict[str, Any], judge: bytes) -> Aside | None:
    """Shut the doors; for a test that runs apart, in two processes.

    Return what `fork_aside` did, if it was needed.
    """
    kernel.mount("proc", "/proc", kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXEC)
    # A signal to its own group must not reach the worker's, whatever the namespace.
    os.setsid()
    os.mkdir(WORK)
    os.chdir(WORK)
    kernel.set_dumpable(0)  # before there is anybody who could look
    aside = fork_aside(_fork_below) if job["mode"] == "asserts" else None
    give_up(judge)
    return aside


def give_up(judge: bytes) -> None:
    """Give up all powers, and put a filter of system calls in force if there is one."""
    kernel.no_new_privileges()
    kernel.drop_capabilities()
    if judge:
        kernel.install_filter(judge)


def fork_aside(fork: Callable[[], int] = os.fork) -> Aside:
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
    pid = os.fork()
    if pid:
        kernel.enter(home, kernel.NEW_PIDS)
    os.close(home)
    return pid


def _script(job: dict[str, Any], channels: Channels) -> int:
    """Run Python source as the main program of a forked interpreter."""

    def work() -> int:
        source = read_all(channels.source)
        limit(job["run"], job)
        code = candidate.compiled(source)
        _say_outcome(channels.report, compiled=code is not None)
        if code is None:
            return 1
        _keep(channels.given, 1, 2, channels.answers)
        return candidate.run_main(code)

    return reap(spawn(work))


def _calls(job: dict[str, Any], channels: Channels) -> int:
    """Answer calls in this very process: the candidate is alone in its process ids."""
    source, calls = read_all(channels.source), read_all(channels.given)
    limit(job["run"], job)
    code = candidate.compiled(source)
    _say_outcome(channels.report, compiled=code is not None)
    if code is None:
        os._exit(1)
    _keep(None, 1, 2, channels.answers)
    kernel.set_dumpable(1)
    os._exit(candidate.answer_calls(code, job["entry_points"][0], calls, ANSWERS))


def _asserts(job: dict[str, Any], channels: Channels, pid: int, line: socket.socket) -> int:
    """Run the test here, and the candidate in a process that was forked before the test was read.

    `pid` is 0 there.
    """
    if pid == 0:
        _serve_test(job, channels, line)
    say(channels.report, "ready")
    limit(job["run"], job)
    findings = tester.run(read_all(channels.given), job["entry_points"], job["check"], line)
    line.close()
    os.write(channels.answers, findings)
    os.kill(pid, signal.SIGKILL)
    return reap(pid)


def _serve_test(job: dict[str, Any], channels: Channels, line: socket.socket) -> NoReturn:
    """Load the candidate and serve the test at the other end of the line."""
    code = CRASHED
    try:
        kernel.set_dumpable(1)
        source = read_all(channels.source)
        limit(job["run"], job)
        compiled = candidate.compiled(source)
        _say_outcome(channels.report, compiled=compiled is not None)
        code = 1
        if compiled is not None:
            _keep(None, 1, 2, line.fileno())
            code = candidate.serve(compiled, socket.socket(fileno=ANSWERS))
    finally:
        os._exit(code)


def _commands(job: dict[str, Any], channels: Channels) -> int:
    """Write the source to a file, compile it if need be, and run it."""
    with open(job["file"], "wb") as file:
        file.write(read_all(channels.source))
    if job["compiler"]:
        code = reap(spawn(lambda: _execute(job, "compile", (None, 2, 2, None))))
        if code != 0:
            _say_outcome(channels.report, compiled=False)
            return code
    stdin, feed = channels.given, b""
    if job["feed"]:
        with open(job["feed"], "rb") as file:
            feed = file.read()
        os.remove(job["feed"])
    if job["hidden"] and job["feed"] != job["file"]:
        os.remove(job["file"])
    if job["feed"]:
        stdin, end = os.pipe()
    say_compiled(channels.report)
    pid = spawn(lambda: _execute(job, "run", (stdin, 1, 2, channels.answers)))
    if job["feed"]:
        _feed(stdin, end, feed)
    return reap(pid)


def _feed(read: int, write: int, data: bytes) -> None:
    """Send a program to its interpreter by a pipe, which cannot be read twice."""
    os.close(read)
    with contextlib.suppress(BrokenPipeError), open(write, "wb", buffering=0) as pipe:
        pipe.write(data)


def _execute(
    job: dict[str, Any], stage: str, streams: tuple[int | None, int, int, int | None]
) -> int:
    command = job["compiler"] if stage == "compile" else job["command"]
    limit(job[stage], job)
    _keep(*streams)
    os.execve(command[0], command, job["environment"])  # noqa: S606 - that is the point


def _say_outcome(report: int, *, compiled: bool) -> None:
    if compiled:
        say_compiled(report)
    else:
        say(report, "uncompiled")


def read_all(fd: int) -> bytes:
    """Read a whole file from its start, wherever its offset stands."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _keep(stdin: int | None, stdout: int, stderr: int, answers: int | None) -> None:
    """Keep four streams as descriptors 0 to 3 and close everything else."""
    if stdin is None:
        stdin = os.open("/dev/null", os.O_RDONLY)
    wanted = [fd for fd in (stdin, stdout, stderr, answers) if fd is not None]
    # First out of the way of each other, then to their places.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 1 << 7) for fd in wanted]
    for place, fd in enumerate(high):
        os.dup2(fd, place)
    os.closerange(len(high), SPARED)


_MODES: dict[str, Callable[[dict[str, Any], Channels], int]] = {
    "script": _script,
    "calls": _calls,
    "commands": _commands,
}
