"""Runs a job in the isolated process: script, calls, a test with its candidate, or commands.

Guarantees: candidates have no descriptors except their standard streams and the answer channel, and
exactly their stage's limits. Standard library only.

The report consists of lines: `ready`, then `compiled TIME CPU` or `uncompiled`, then `done CODE`;
or `broken REASON` if the sandbox itself failed.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from evolcoder.sandbox.inside import assert_runner, candidate, libc
from evolcoder.sandbox.inside.isolate import CHANNELS, KEPT_FDS, CandidateFork, report

CRASHED = 70
"""Exit code of a process whose set-up code failed."""
ANSWERS = CHANNELS.answers
"""Descriptor of the answer channel in a candidate."""
_READ_BYTES = 1 << 16
"""Shorter files are read with one call."""


def run_job(
    job: dict[str, Any], isolate_process: Callable[[dict[str, Any]], CandidateFork | None]
) -> NoReturn:
    """Isolate this process, run the job, and exit."""
    try:
        fork = isolate_process(job)
    except OSError as error:
        report(f"broken {error}".encode())
        os._exit(1)
    code = CRASHED
    try:
        if fork is not None:
            code = _asserts(job, *fork)
        else:
            report(b"ready")
            code = _MODES[job["mode"]](job)
        report(b"done %d" % code)
    finally:
        os._exit(code & 0xFF)


def _script(job: dict[str, Any]) -> int:
    """Run Python source as a main program in a forked interpreter."""

    def work() -> int:
        source = read_all(CHANNELS.source)
        _apply_limits(job, "run")
        code = candidate.compile_source(source)
        _report_compilation(compiled=code is not None)
        if code is None:
            return 1
        _set_streams(CHANNELS.given, 1, 2, ANSWERS)
        return candidate.run_main(code)

    return reap(spawn(work))


def _calls(job: dict[str, Any]) -> int:
    """Answer calls in this process: the candidate is alone in its PID namespace."""
    source, calls = read_all(CHANNELS.source), read_all(CHANNELS.given)
    _apply_limits(job, "run")
    code = candidate.compile_source(source)
    _report_compilation(compiled=code is not None)
    if code is None:
        os._exit(1)
    os.closerange(ANSWERS + 1, KEPT_FDS)
    os._exit(candidate.answer_calls(code, job["entry_points"][0], calls, ANSWERS))


def _asserts(job: dict[str, Any], pid: int, line: socket.socket) -> int:
    """Run the test here; the candidate's process was forked before the test was read.

    `pid` is 0 in the candidate's process. Both report that they are isolated: the candidate may
    stop the other one before it has.
    """
    report(b"ready")
    if pid == 0:
        _serve_test(job, line)
    test = read_all(CHANNELS.given)
    _apply_limits(job, "run")
    _close_all_but(line.fileno(), ANSWERS, CHANNELS.report)
    findings = assert_runner.run(test, job["entry_points"], job["check"], line)
    line.close()
    os.write(ANSWERS, findings)
    os.kill(pid, signal.SIGKILL)
    return reap(pid)


def _serve_test(job: dict[str, Any], line: socket.socket) -> NoReturn:
    """Load the candidate and serve the test's requests."""
    code = CRASHED
    try:
        libc.set_dumpable(1)
        source = read_all(CHANNELS.source)
        _apply_limits(job, "run")
        compiled = candidate.compile_source(source)
        _report_compilation(compiled=compiled is not None)
        code = 1
        if compiled is not None:
            _set_streams(None, 1, 2, line.fileno())
            code = candidate.serve(compiled, socket.socket(fileno=ANSWERS))
    finally:
        os._exit(code)


def _commands(job: dict[str, Any]) -> int:
    """Write the source to a file, compile it if needed, and run it."""
    source = read_all(CHANNELS.source)
    files = _write_source(job, source)
    if job["compiler"]:
        code = _compile(job, source if job["compile_from_stdin"] else None)
        if code != 0:
            _report_compilation(compiled=False)
            return code
        _make_executable(job["command"][0])
    stdin, feed = CHANNELS.given, b""
    if job["stdin_source"]:
        with open(job["stdin_source"], "rb") as file:
            feed = file.read()
        os.remove(job["stdin_source"])
    if job["hidden"] and job["stdin_source"] != job["file"]:
        for name in files:
            os.remove(name)
    if job["stdin_source"]:
        stdin, end = os.pipe()
    used = os.times()
    report_compiled(used.children_user + used.children_system)
    pid = spawn(lambda: _execute(job, "run", (stdin, 1, 2, ANSWERS)))
    if job["stdin_source"]:
        _feed(stdin, end, feed)
    return reap(pid)


def _write_source(job: dict[str, Any], source: bytes) -> list[str]:
    """Write the source where its compiler or interpreter reads it; return the files made."""
    name = job["file"]
    names = [] if job["compile_from_stdin"] else [name]
    if job["is_linked"]:
        names.append(os.path.join("..", name))
        os.symlink(names[-1], name)
    for path in names[-1:]:
        with open(path, "wb") as file:
            file.write(source)
    return names


def _compile(job: dict[str, Any], source: bytes | None) -> int:
    """Compile a file, or a source from standard input; return the exit code."""
    if source is None:
        return reap(spawn(lambda: _execute(job, "compile", (None, 2, 2, None))))
    stdin, end = os.pipe()
    pid = spawn(lambda: _execute(job, "compile", (stdin, 2, 2, None)))
    _feed(stdin, end, source)
    return reap(pid)


def _make_executable(program: str) -> None:
    """Set the mode that a linker could not set because chmod by path is refused."""
    if not os.access(program, os.X_OK):
        with contextlib.suppress(OSError), open(program, "rb") as file:
            os.fchmod(file.fileno(), 0o700)


def _feed(read: int, write: int, data: bytes) -> None:
    """Send a source to its interpreter or compiler through a pipe, so it cannot be read twice."""
    os.close(read)
    with contextlib.suppress(BrokenPipeError), open(write, "wb", buffering=0) as pipe:
        pipe.write(data)


def _execute(
    job: dict[str, Any], stage: str, streams: tuple[int | None, int, int, int | None]
) -> int:
    command = job["compiler"] if stage == "compile" else job["command"]
    _apply_limits(job, stage)
    _set_streams(*streams)
    os.execve(command[0], command, job["environment"])  # noqa: S606 - that is the point


def _apply_limits(job: dict[str, Any], stage: str) -> None:
    """Set a stage's limits irrevocably; report a failure as the sandbox's."""
    try:
        libc.run_steps(job[stage]["limits"])
    except OSError as error:
        report(f"broken {error}".encode())
        os._exit(CRASHED)


def spawn(work: Callable[[], int]) -> int:
    """Fork a process that runs `work`; return its PID."""
    pid = libc.fork()
    if pid == 0:
        code = CRASHED
        try:
            libc.set_dumpable(1)
            code = work()
        finally:
            os._exit(code)
    return pid


def reap(pid: int) -> int:
    """Wait for one process, reaping orphans that end earlier; return its exit code."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def report_compiled(compiler_s: float = 0.0) -> None:
    """Report the time and CPU time from which the program's own limits count."""
    report(b"compiled %r %r" % (time.monotonic(), time.process_time() + compiler_s))


def _report_compilation(*, compiled: bool) -> None:
    if compiled:
        report_compiled()
    else:
        report(b"uncompiled")


def read_all(fd: int) -> bytes:
    """Read a whole file, regardless of its offset."""
    data = os.pread(fd, _READ_BYTES, 0)
    return data if len(data) < _READ_BYTES else os.pread(fd, os.fstat(fd).st_size, 0)


def _set_streams(stdin: int | None, stdout: int, stderr: int, answers: int | None) -> None:
    """Place four streams at descriptors 0 to 3 and close everything else.

    Without standard input, descriptor 0 is /dev/null, as set up at the zygote's start.
    """
    if stdin is not None:
        os.dup2(stdin, 0)
    if stdout != 1:
        os.dup2(stdout, 1)
    if stderr != 2:
        os.dup2(stderr, 2)
    if answers not in {None, ANSWERS}:
        os.dup2(answers, ANSWERS)
    os.closerange(ANSWERS if answers is None else ANSWERS + 1, KEPT_FDS)


def _close_all_but(*fds: int) -> None:
    """Close everything except these and the standard streams."""
    place = ANSWERS
    for fd in sorted(fds):
        os.closerange(place, fd)
        place = fd + 1
    os.closerange(place, KEPT_FDS)


_MODES: dict[str, Callable[[dict[str, Any]], int]] = {
    "script": _script,
    "calls": _calls,
    "commands": _commands,
}
