"""Runs a command and ends all that comes of it; a script of its own, for `python -S warden.py`.

Promises: it ends with the command, or on SIGTERM, SIGINT or SIGHUP, and then nothing is left that
the command started, in whatever group or session: torch's launcher gives every worker a session, so
a signal to a group would miss them. It exits as the command did; signal n is 128 + n. If it gets
SIGKILL itself the command dies too, but what the command started may go on.

    python -S warden.py COMMAND ARGUMENT...
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

TETHER = os.path.join(os.path.dirname(__file__), "pdeathsig.py")  # noqa: PTH118, PTH120 - a fast start
_SET_SUBREAPER = 36
_TOLD = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_HEARD = _TOLD | {signal.SIGCHLD}
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main() -> None:
    """Start the command, wait, and leave nobody behind."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, children cannot be awaited
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    _prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    warden = os.getpid()
    command = os.fork()
    if command == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        tied = [sys.executable, "-S", TETHER, str(int(signal.SIGKILL)), str(warden)]
        os.execv(tied[0], [*tied, *sys.argv[1:]])  # noqa: S606 - it becomes the command
    os.setpgid(0, 0)  # Ctrl-C and a kill of the loop's group are the command's, and not ours
    code = _ended(command)
    _end_all()
    sys.exit(code)


def _ended(command: int) -> int:
    """Wait until the command has ended or we are told to; return the exit code."""
    while (heard := signal.sigwait(_HEARD)) == signal.SIGCHLD:
        for pid, status in iter(lambda: os.waitpid(-1, os.WNOHANG), (0, 0)):
            if pid == command:  # the others are orphans that have become ours
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    return 128 + heard


def _end_all() -> None:
    """Kill our children until there are none: those of a child that has died become ours."""
    while sum(map(_killed, _children())):
        os.waitpid(-1, 0)


def _killed(pid: int) -> bool:
    """Send SIGKILL; return whether we may: a set-uid program would be waited for in vain."""
    with suppress(PermissionError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _children() -> list[int]:
    """Look through all processes: not every kernel lists a process's children."""
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError), open(f"/proc/{int(entry.name)}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main()
