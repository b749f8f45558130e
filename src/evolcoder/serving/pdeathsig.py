"""Runs a command that must not outlive its parent; a standalone script.

Guarantees: when the parent dies for any reason, the kernel sends the command the given signal. If
the parent has died before that could be set up, nothing is run.

    python -S pdeathsig.py SIGNAL PARENT_PID COMMAND ARGUMENT...
"""

import ctypes
import os
import sys

_SET_DEATH_SIGNAL = 1


def main() -> None:
    """Set the parent death signal, then become the command."""
    signal, parent, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - it becomes the command
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
