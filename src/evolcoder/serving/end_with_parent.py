"""Runs a command that must not outlive its parent; a standalone script.

Guarantees: when the parent dies for any reason, the kernel sends the command the given signal. If
the parent has died before that could be set up, nothing is run.

    python -S end_with_parent.py SIGNAL PARENT_PID COMMAND ARGUMENT...

With `--all` everything that the command started ends too. Guarantees: the script ends with the
command, or on SIGTERM, SIGINT or SIGHUP, and then kills all processes that the command started, in
any group or session: torch's launcher gives every worker its own session, so a signal to a process
group would miss them. Its exit code is the command's; 128 + n for signal n. If it receives SIGKILL
itself, the command dies too, but the command's processes may survive.

    python -S end_with_parent.py --all COMMAND ARGUMENT...
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_END_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_AWAITED_SIGNALS = _END_SIGNALS | {signal.SIGCHLD}
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main() -> None:
    """Become the command, or with `--all` its subreaper."""
    if sys.argv[1] == "--all":
        sys.exit(_run_as_subreaper(sys.argv[2:]))
    _become(sys.argv[3:], int(sys.argv[1]), int(sys.argv[2]))


def _become(command: list[str], death: int, parent: int) -> None:
    """Set the parent death signal, then become the command."""
    _prctl(_SET_DEATH_SIGNAL, death, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - it becomes the command
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


def _run_as_subreaper(command: list[str]) -> int:
    """Start the command, wait for it, and kill all remaining processes; return the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # children cannot be awaited if it is ignored
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED_SIGNALS)
    _prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    subreaper = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _become(command, signal.SIGKILL, subreaper)
    os.setpgid(0, 0)  # Ctrl-C and signals to the loop's process group are for the command only
    code = _wait(pid)
    _kill_all()
    return code


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
