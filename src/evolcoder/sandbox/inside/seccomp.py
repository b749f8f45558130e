"""Assembles the seccomp filter, without a compiler or a library.

Guarantees: system calls that could reach other processes, kernel state, the network or namespaces
fail with EPERM or EACCES, and those of a foreign architecture kill the process. Calls for memory
that nothing counts fail. Everything else is allowed: limits, namespaces and missing capabilities
cover the rest. A program that shares the host's processes, files and sockets, because there are no
namespaces, is refused more (`SharedHost`). Standard library only.
"""

import platform
import struct
from collections.abc import Sequence
from typing import NamedTuple

from evolcoder.sandbox.inside.process_tree import SHARED_BYTES


class SharedHost(NamedTuple):
    """How a program without namespaces is separated from the rest of the host."""

    own_user: bool
    """Whether no other processes and files belong to the program's user."""
    own_signals: bool
    """Whether the kernel limits its signals to what it started."""


class SharedHostCalls(NamedTuple):
    """System call numbers to restrict on a shared host."""

    forbidden: tuple[int, ...]
    """Refused."""
    self_only: tuple[int, ...]
    """Refused unless the first argument is 0, the caller itself."""
    pairs: int
    """socketpair: allowed for stream sockets, which cannot send anywhere else."""
    control: int
    """fcntl: refused if it names a process to signal when a file is ready."""


_SOCKETS_AND_PRIORITY = {"x86_64": (41, 141), "aarch64": (198, 140)}
_SELF_ONLY = {
    "x86_64": (302, 203, 142, 144, 314),  # prlimit64, sched_set: affinity, param, scheduler, attr
    "aarch64": (261, 122, 118, 119, 274),
}
_OWNER_CALLS = {
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


def shared_host_calls(machine: str, shared_host: SharedHost) -> SharedHostCalls:
    """Return the calls to restrict on a shared host."""
    forbidden: tuple[int, ...] = _SOCKETS_AND_PRIORITY[machine]
    if not shared_host.own_user:
        forbidden += _OWNER_CALLS[machine]
    if not shared_host.own_user and not shared_host.own_signals:
        forbidden += _SIGNALS[machine]
    return SharedHostCalls(forbidden, _SELF_ONLY[machine], _PAIRS[machine], _CONTROL[machine])


EPERM, ENOMEM, EACCES, ENOSYS = 1, 12, 13, 38
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000
_AND = 0x54
_LOCAL_SOCKETS = 1
_KIND_OF_SOCKET, _STREAM, _SEQUENCE = 0xF, 1, 5
_SET_OWNER, _SET_OWNER_EX = 8, 15
_NAMESPACES = 0x7E020080
"""The flags of clone that make namespaces: time, cgroup, uts, ipc, user, pid, net, mount."""
_TYPE_INTO_TERMINAL, _DRIVE_CONSOLE = 0x5412, 0x541C
_SHARED, _WITHOUT_FILE, _HUGE_PAGES = 0x01, 0x20, 0x40000
"""Flags of mmap. Huge pages come from a separate pool and count for no process."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    "x86_64": (
        *(101, 310, 311, 312, 438, 440),  # ptrace, process_vm_*, kcmp, pidfd_getfd, process_madvise
        *(165, 166, 155, 161, 272, 308),  # mount, umount, pivot_root, chroot, unshare, setns
        *(428, 429, 430, 431, 432, 433, 442),  # the newer calls for mounts
        *(248, 249, 250),  # the kernel's key rings
        *(321, 298, 323, 425, 426, 427),  # bpf, perf events, userfaultfd, io_uring
        *(175, 313, 176, 246, 320, 169),  # kernel modules, kexec, reboot
        *(167, 168, 163, 179, 443, 103),  # swap, accounting, quotas, the kernel's log
        *(303, 304, 300, 301),  # files by handle, fanotify
        *(172, 173, 154),  # i/o ports, descriptor tables
        *(164, 227, 159, 305, 170, 171),  # clocks, names of the machine
        *(29, 30, 31, 67, 64, 65, 66, 68, 69, 70, 71, 220),  # System V ipc outlives processes
        *(240, 241, 242, 243, 244, 245),  # and so do message queues
        *(256, 279, 237, 238, 239, 251),  # moving other processes' memory, i/o priorities
        447,  # memfd_secret, whose memory can be neither counted nor moved
    ),
    "aarch64": (
        *(117, 270, 271, 272, 438, 440),
        *(40, 39, 41, 51, 97, 268),
        *(428, 429, 430, 431, 432, 433, 442),
        *(217, 218, 219),
        *(280, 241, 282, 425, 426, 427),
        *(105, 273, 106, 104, 294, 142),
        *(224, 225, 89, 60, 443, 116),
        *(264, 265, 262, 263),
        *(170, 112, 171, 266, 161, 162),
        *(194, 195, 196, 197, 190, 191, 192, 193, 186, 187, 188, 189),
        *(180, 181, 182, 183, 184, 185),
        *(238, 239, 235, 236, 237, 30),
        447,
    ),
}
_UNCOUNTED = {"x86_64": (319, 278), "aarch64": (279, 75)}
"""memfd_create, and vmsplice, which keeps pages in a pipe after they are unmapped."""
_MMAP = {"x86_64": 9, "aarch64": 222}
_SET_SOCKET = {"x86_64": 54, "aarch64": 208}
_OF_SOCKETS, _SEND_BUFFER = 1, 7
_SPECIAL = {
    "x86_64": {"socket": 41, "clone": 56, "clone3": 435, "ioctl": 16},
    "aarch64": {"socket": 198, "clone": 220, "clone3": 435, "ioctl": 29},
}


def assemble(
    machine: str = "", shared_host: SharedHost | None = None, *, counted: bool = True
) -> bytes:
    """Assemble the filter for a machine; empty for an unknown machine.

    More is refused on a shared host (`shared_host`), and if no control group counts memory.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return b""
    special = _SPECIAL[machine]
    forbidden = {*_FORBIDDEN[machine], *(() if counted else _UNCOUNTED[machine])}
    code = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP_EQUAL, _ARCHITECTURES[machine], yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_AT_LEAST, _X32, no=1),
        _step(_RETURN, _ERRNO | ENOSYS),
        # Without clone3 the C library uses clone, whose flags a filter can read.
        _step(_JUMP_EQUAL, special["clone3"], no=1),
        _step(_RETURN, _ERRNO | ENOSYS),
    ]
    if shared_host:
        more = shared_host_calls(machine, shared_host)
        forbidden |= set(more.forbidden)
        for number in more.self_only:
            code += _unless_argument_is(number, 0, 0, EPERM)
        code += _unless_stream(more.pairs)
        code += _unless_signal_owner(more.control)
    else:
        code += _unless_argument_is(special["socket"], 0, _LOCAL_SOCKETS)
    code += _unless_counted(_MMAP[machine], counted=counted)
    code += [] if counted else _unless_send_buffer(_SET_SOCKET[machine])
    code += [
        _step(_JUMP_EQUAL, special["clone"], no=4),
        _step(_LOAD, _ARGUMENTS_AT),
        _step(_JUMP_ANY_BIT, _NAMESPACES, no=1),
        _step(_RETURN, _ERRNO | EPERM),
        _step(_RETURN, _ALLOW),
        _step(_JUMP_EQUAL, special["ioctl"], no=5),
        _step(_LOAD, _ARGUMENTS_AT + 8),
        _step(_JUMP_EQUAL, _TYPE_INTO_TERMINAL, yes=1),
        _step(_JUMP_EQUAL, _DRIVE_CONSOLE, no=1),
        _step(_RETURN, _ERRNO | EPERM),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join([*code, *_refuse(sorted(forbidden))])


def _refuse(numbers: Sequence[int]) -> list[bytes]:
    """Refuse sorted numbers by binary search: the kernel runs the filter once per known call."""
    if len(numbers) <= 4:
        last = len(numbers)
        jumps = [_step(_JUMP_EQUAL, n, yes=last - place) for place, n in enumerate(numbers)]
        return [*jumps, _step(_RETURN, _ALLOW), _step(_RETURN, _ERRNO | EPERM)]
    middle = len(numbers) // 2
    low, high = _refuse(numbers[:middle]), _refuse(numbers[middle:])
    return [_step(_JUMP_AT_LEAST, numbers[middle], yes=len(low)), *low, *high]


def _unless_argument_is(
    number: int, argument: int, wanted: int, error: int = EACCES
) -> list[bytes]:
    """Refuse a call unless its argument, counted from 0, has the wanted value."""
    return [
        _step(_JUMP_EQUAL, number, no=4),
        _step(_LOAD, _ARGUMENTS_AT + 8 * argument),
        _step(_JUMP_EQUAL, wanted, yes=1),
        _step(_RETURN, _ERRNO | error),
        _step(_RETURN, _ALLOW),
    ]


def _unless_counted(number: int, *, counted: bool) -> list[bytes]:
    """Refuse uncounted mappings: huge pages, and large shared ones without a file."""
    length = _ARGUMENTS_AT + 8
    code = [
        _step(_LOAD, _ARGUMENTS_AT + 24),
        _step(_JUMP_ANY_BIT, _HUGE_PAGES, no=1),
        _step(_RETURN, _ERRNO | ENOMEM),
    ]
    if not counted:
        code += [
            _step(_JUMP_ANY_BIT, _SHARED, no=6),
            _step(_JUMP_ANY_BIT, _WITHOUT_FILE, no=5),
            _step(_LOAD, length + 4),
            _step(_JUMP_EQUAL, 0, no=2),
            _step(_LOAD, length),
            _step(_JUMP_AT_LEAST, SHARED_BYTES + 1, no=1),
            _step(_RETURN, _ERRNO | ENOMEM),
        ]
    code.append(_step(_RETURN, _ALLOW))
    return [_step(_JUMP_EQUAL, number, no=len(code)), *code]


def _unless_send_buffer(number: int) -> list[bytes]:
    """Ignore setting a socket's send buffer but report success: no program relies on it."""
    return [
        _step(_JUMP_EQUAL, number, no=6),
        _step(_LOAD, _ARGUMENTS_AT + 8),
        _step(_JUMP_EQUAL, _OF_SOCKETS, no=3),
        _step(_LOAD, _ARGUMENTS_AT + 16),
        _step(_JUMP_EQUAL, _SEND_BUFFER, no=1),
        _step(_RETURN, _ERRNO),
        _step(_RETURN, _ALLOW),
    ]


def _unless_stream(number: int) -> list[bytes]:
    """Refuse socket pairs other than stream and sequenced-packet sockets."""
    return [
        _step(_JUMP_EQUAL, number, no=6),
        _step(_LOAD, _ARGUMENTS_AT + 8),
        _step(_AND, _KIND_OF_SOCKET),
        _step(_JUMP_EQUAL, _STREAM, yes=2),
        _step(_JUMP_EQUAL, _SEQUENCE, yes=1),
        _step(_RETURN, _ERRNO | EACCES),
        _step(_RETURN, _ALLOW),
    ]


def _unless_signal_owner(number: int) -> list[bytes]:
    """Refuse naming a process to be signalled when a file is ready."""
    return [
        _step(_JUMP_EQUAL, number, no=5),
        _step(_LOAD, _ARGUMENTS_AT + 8),
        _step(_JUMP_EQUAL, _SET_OWNER, yes=1),
        _step(_JUMP_EQUAL, _SET_OWNER_EX, no=1),
        _step(_RETURN, _ERRNO | EPERM),
        _step(_RETURN, _ALLOW),
    ]


def _step(operation: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", operation, yes, no, value)
