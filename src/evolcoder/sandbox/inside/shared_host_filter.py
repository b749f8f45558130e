"""System calls to refuse to a program that shares the machine's processes, files and sockets.

Where there are no namespaces, a program sees other processes, some of them its own user's, and the
sockets of the machine. Standard library only.
"""

from typing import NamedTuple


class Crowd(NamedTuple):
    """What there is of others around a program."""

    own_user: bool
    """Whether nobody else runs, and nothing else is owned, by the program's user."""
    own_signals: bool
    """Whether the kernel sees to it that its signals reach only what it started."""


class Calls(NamedTuple):
    """Numbers of system calls."""

    forbidden: tuple[int, ...]
    """Refused."""
    of_itself: tuple[int, ...]
    """Refused unless the first argument is 0, the caller itself."""
    pairs: int
    """socketpair: allowed for streams, which can send nowhere else."""
    control: int
    """fcntl: refused where it names somebody to signal when a file is ready."""


_SOCKETS_AND_PRIORITY = {"x86_64": (41, 141), "aarch64": (198, 140)}
_OF_ITSELF = {
    "x86_64": (302, 203, 142, 144, 314),  # prlimit64, sched_set: affinity, param, scheduler, attr
    "aarch64": (261, 122, 118, 119, 274),
}
_OF_THE_OWNER = {
    # chmod, chown and extended attributes by path; by descriptor they reach only what was opened.
    "x86_64": (90, 268, 452, 92, 94, 260, 188, 189, 197, 198, 463, 466),
    "aarch64": (53, 452, 54, 5, 6, 14, 15, 463, 466),
}
_SIGNALS = {
    "x86_64": (62, 200, 234, 129, 297, 424),  # kill, tkill, tgkill, with a value, by descriptor
    "aarch64": (129, 130, 131, 138, 240, 424),
}
_PAIRS = {"x86_64": 53, "aarch64": 199}
_CONTROL = {"x86_64": 72, "aarch64": 25}


def calls(machine: str, crowd: Crowd) -> Calls:
    """Return what to refuse on a machine."""
    forbidden: tuple[int, ...] = _SOCKETS_AND_PRIORITY[machine]
    if not crowd.own_user:
        forbidden += _OF_THE_OWNER[machine]
    if not crowd.own_user and not crowd.own_signals:
        forbidden += _SIGNALS[machine]
    return Calls(forbidden, _OF_ITSELF[machine], _PAIRS[machine], _CONTROL[machine])
