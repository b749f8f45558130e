"""Runs a command that must not outlive its parent; a script of its own, for `python -S tether.py`.

Promises: when the parent dies, however it does, the kernel sends the command the given signal. A
parent that was gone before that could be arranged is noticed, and nothing is run.

    python -S tether.py SIGNAL PARENT_PID COMMAND ARGUMENT...
"""

import ctypes
import os
import sys

_SET_DEATH_SIGNAL = 1


def main() -> None:
    """Arrange the signal, then become the command."""
    signal, parent, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - it becomes the command
    except OSError as error:
        sys.exit(f"{command[0]}: cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
