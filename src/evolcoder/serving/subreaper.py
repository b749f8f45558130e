"""Runs a command and ends everything that it started; a standalone script.

Guarantees: it ends with the command, or on SIGTERM, SIGINT or SIGHUP, and then kills all processes
that the command started, in any group or session: torch's launcher gives every worker its own
session, so a signal to a process group would miss them. Its exit code is the command's; 128 + n for
signal n. If it receives SIGKILL itself, the command dies too, but the command's processes may
survive.

    python -S subreaper.py COMMAND ARGUMENT...
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

PDEATHSIG = os.path.join(os.path.dirname(__file__), "pdeathsig.py")  # noqa: PTH118, PTH120 - a fast start
_SET_SUBREAPER = 36
_END_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_AWAITED_SIGNALS = _END_SIGNALS | {signal.SIGCHLD}
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main() -> None:
    """Start the command, wait for it, and kill all remaining processes."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # children cannot be awaited if it is ignored
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED_SIGNALS)
    _prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    subreaper = os.getpid()
    command = os.fork()
    if command == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        wrapped = [sys.executable, "-S", PDEATHSIG, str(int(signal.SIGKILL)), str(subreaper)]
        os.execv(wrapped[0], [*wrapped, *sys.argv[1:]])  # noqa: S606 - it becomes the command
    os.setpgid(0, 0)  # Ctrl-C and signals to the loop's process group are for the command only
    code = _wait(command)
    _kill_all()
    sys.exit(code)


def _wait(command: int) -> int:
    """Wait until the command ends or a signal arrives; return the exit code."""
    while (received := signal.sigwait(_AWAITED_SIGNALS)) == signal.SIGCHLD:
        for pid, status in iter(lambda: os.waitpid(-1, os.WNOHANG), (0, 0)):
            if pid == command:  # the others are adopted orphans
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    return 128 + received


def _kill_all() -> None:
    """Kill children until none are left; children of killed ones are adopted and killed too."""
    while sum(map(_kill, _children())):
        os.waitpid(-1, 0)


def _kill(pid: int) -> bool:
    """Send SIGKILL; return whether permitted: a set-uid program cannot be killed or awaited."""
    with suppress(PermissionError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _children() -> list[int]:
    """List children by reading all processes, since not every kernel lists them per process."""
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError), open(f"/proc/{int(entry.name)}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main()
