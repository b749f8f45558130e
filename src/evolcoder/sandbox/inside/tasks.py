"""What is done in a cell once it is closed in: run a script, answer calls, serve a test, compile.

Promises: no candidate holds a descriptor but its standard streams and the channel of answers, nor
any limit but its stage's. Standard library only.

What the report channel says, one line each: `ready`, then `compiled TIME CPU` or `uncompiled`,
then `done CODE`; or `broken REASON` where the sandbox itself failed.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from evolcoder.sandbox.inside import assert_runner, candidate, libc
from evolcoder.sandbox.inside.isolate import CHANNELS, SPARED, Aside, say

CRASHED = 70
"""Exit code of a process whose own set-up code failed."""
ANSWERS = CHANNELS.answers
"""Where a candidate finds the channel of answers."""
_SHORT = 1 << 16
"""What is not longer is read at once."""


def live(job: dict[str, Any], shut: Callable[[dict[str, Any]], Aside | None]) -> NoReturn:
    """Become the cell by shutting the doors; run the job, and end."""
    try:
        aside = shut(job)
    except OSError as error:
        say(f"broken {error}".encode())
        os._exit(1)
    code = CRASHED
    try:
        if aside is not None:
            code = _asserts(job, *aside)
        else:
            say(b"ready")
            code = _MODES[job["mode"]](job)
        say(b"done %d" % code)
    finally:
        os._exit(code & 0xFF)


def _script(job: dict[str, Any]) -> int:
    """Run Python source as the main program of a forked interpreter."""

    def work() -> int:
        source = read_all(CHANNELS.source)
        _bind(job, "run")
        code = candidate.compiled(source)
        _say_outcome(compiled=code is not None)
        if code is None:
            return 1
        _keep(CHANNELS.given, 1, 2, ANSWERS)
        return candidate.run_main(code)

    return reap(spawn(work))


def _calls(job: dict[str, Any]) -> int:
    """Answer calls in this very process: the candidate is alone in its process ids."""
    source, calls = read_all(CHANNELS.source), read_all(CHANNELS.given)
    _bind(job, "run")
    code = candidate.compiled(source)
    _say_outcome(compiled=code is not None)
    if code is None:
        os._exit(1)
    os.closerange(ANSWERS + 1, SPARED)
    os._exit(candidate.answer_calls(code, job["entry_points"][0], calls, ANSWERS))


def _asserts(job: dict[str, Any], pid: int, line: socket.socket) -> int:
    """Run the test here, and the candidate in a process that was forked before the test was read.

    `pid` is 0 there.
    """
    if pid == 0:
        _serve_test(job, line)
    say(b"ready")
    test = read_all(CHANNELS.given)
    _bind(job, "run")
    _keep_only(line.fileno(), ANSWERS, CHANNELS.report)
    findings = assert_runner.run(test, job["entry_points"], job["check"], line)
    line.close()
    os.write(ANSWERS, findings)
    os.kill(pid, signal.SIGKILL)
    return reap(pid)


def _serve_test(job: dict[str, Any], line: socket.socket) -> NoReturn:
    """Load the candidate and serve the test at the other end of the line."""
    code = CRASHED
    try:
        libc.set_dumpable(1)
        source = read_all(CHANNELS.source)
        _bind(job, "run")
        compiled = candidate.compiled(source)
        _say_outcome(compiled=compiled is not None)
        code = 1
        if compiled is not None:
            _keep(None, 1, 2, line.fileno())
            code = candidate.serve(compiled, socket.socket(fileno=ANSWERS))
    finally:
        os._exit(code)


def _commands(job: dict[str, Any]) -> int:
    """Write the source to a file, compile it if need be, and run it."""
    source = read_all(CHANNELS.source)
    files = _written(job, source)
    if job["compiler"]:
        code = _compile(job, source if job["is_fed"] else None)
        if code != 0:
            _say_outcome(compiled=False)
            return code
        _make_executable(job["command"][0])
    stdin, feed = CHANNELS.given, b""
    if job["feed"]:
        with open(job["feed"], "rb") as file:
            feed = file.read()
        os.remove(job["feed"])
    if job["hidden"] and job["feed"] != job["file"]:
        for name in files:
            os.remove(name)
    if job["feed"]:
        stdin, end = os.pipe()
    used = os.times()
    say_compiled(used.children_user + used.children_system)
    pid = spawn(lambda: _execute(job, "run", (stdin, 1, 2, ANSWERS)))
    if job["feed"]:
        _feed(stdin, end, feed)
    return reap(pid)


def _written(job: dict[str, Any], source: bytes) -> list[str]:
    """Write the source where its compiler or interpreter reads it; return what there is now."""
    name = job["file"]
    names = [] if job["is_fed"] else [name]
    if job["is_linked"]:
        names.append(os.path.join("..", name))
        os.symlink(names[-1], name)
    for path in names[-1:]:
        with open(path, "wb") as file:
            file.write(source)
    return names


def _compile(job: dict[str, Any], source: bytes | None) -> int:
    """Compile a file, or a source that has none; return the exit code."""
    if source is None:
        return reap(spawn(lambda: _execute(job, "compile", (None, 2, 2, None))))
    stdin, end = os.pipe()
    pid = spawn(lambda: _execute(job, "compile", (stdin, 2, 2, None)))
    _feed(stdin, end, source)
    return reap(pid)


def _make_executable(program: str) -> None:
    """Do what a linker fails to where changing modes by path is refused to it."""
    if not os.access(program, os.X_OK):
        with contextlib.suppress(OSError), open(program, "rb") as file:
            os.fchmod(file.fileno(), 0o700)


def _feed(read: int, write: int, data: bytes) -> None:
    """Send a program to its interpreter or compiler by a pipe, which cannot be read twice."""
    os.close(read)
    with contextlib.suppress(BrokenPipeError), open(write, "wb", buffering=0) as pipe:
        pipe.write(data)


def _execute(
    job: dict[str, Any], stage: str, streams: tuple[int | None, int, int, int | None]
) -> int:
    command = job["compiler"] if stage == "compile" else job["command"]
    _bind(job, stage)
    _keep(*streams)
    os.execve(command[0], command, job["environment"])  # noqa: S606 - that is the point


def _bind(job: dict[str, Any], stage: str) -> None:
    """Bind this process to a stage's limits, for ever; a sandbox that cannot says so."""
    try:
        libc.carry_out(job[stage]["limits"])
    except OSError as error:
        say(f"broken {error}".encode())
        os._exit(CRASHED)


def spawn(work: Callable[[], int]) -> int:
    """Fork a process that does one piece of work; return its id."""
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
    """Wait for one process, and bury the orphans that end before; return its exit code."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def say_compiled(compiler_s: float = 0.0) -> None:
    """Note the moment and the processor time from which on the program's own limits count."""
    say(b"compiled %r %r" % (time.monotonic(), time.process_time() + compiler_s))


def _say_outcome(*, compiled: bool) -> None:
    if compiled:
        say_compiled()
    else:
        say(b"uncompiled")


def read_all(fd: int) -> bytes:
    """Read a whole file from its start, wherever its offset stands."""
    data = os.pread(fd, _SHORT, 0)
    return data if len(data) < _SHORT else os.pread(fd, os.fstat(fd).st_size, 0)


def _keep(stdin: int | None, stdout: int, stderr: int, answers: int | None) -> None:
    """Keep four streams as descriptors 0 to 3 and close everything else.

    Where there is no standard input, descriptor 0 has been /dev/null since the zygote began.
    """
    if stdin is not None:
        os.dup2(stdin, 0)
    if stdout != 1:
        os.dup2(stdout, 1)
    if stderr != 2:
        os.dup2(stderr, 2)
    if answers not in {None, ANSWERS}:
        os.dup2(answers, ANSWERS)
    os.closerange(ANSWERS if answers is None else ANSWERS + 1, SPARED)


def _keep_only(*fds: int) -> None:
    """Close everything but these and what is where standard streams are."""
    place = ANSWERS
    for fd in sorted(fds):
        os.closerange(place, fd)
        place = fd + 1
    os.closerange(place, SPARED)


_MODES: dict[str, Callable[[dict[str, Any]], int]] = {
    "script": _script,
    "calls": _calls,
    "commands": _commands,
}
