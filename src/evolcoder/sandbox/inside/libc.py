"""System calls that Python 3.11 does not wrap, and their constants.

Every call raises OSError with the call's name. Arguments are prepared in advance as steps, because
every object that an isolated process makes costs it pages shared with its zygote. Standard library
only.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Any

NEW_MOUNTS, NEW_PIDS, NEW_USERS = 0x00020000, 0x20000000, 0x10000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
PRIVATE, RECURSIVE = 1 << 18, 1 << 14
CPU, FILE_SIZE, DATA, CORE, PROCESSES, DESCRIPTORS = 0, 1, 2, 4, 6, 7
"""Resources that can be limited."""
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 4, 22, 38
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_CAPABILITY_VERSION_3 = 0x20080522
_FILTER_MODE = 2
_DETACH = 2
_LIMIT = struct.Struct("QQ")
_NO_CAPABILITIES = (struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))

_libc = ctypes.PyDLL(None, use_errno=True)
_int, _ulong, _char_p = ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p


def _declare(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - a foreign function
    function = _libc[name]
    function.argtypes = arguments
    return function


_mount = _declare("mount", _char_p, _char_p, _char_p, _ulong, _char_p)
_prctl = _declare("prctl", _int, _ulong, _ulong, _ulong, _ulong)
_getrlimit = _declare("getrlimit", _int, _char_p)
_fork = _declare("fork")

Step = tuple[Any, tuple[Any, ...], str]
"""A prepared system call: the function, its converted arguments, and its name."""


def step(name: str, *arguments: object) -> Step:
    """Prepare a system call. Arguments are not converted later: numbers must fit in 32 bits."""
    return getattr(_libc, name), arguments, name


def run_steps(steps: Iterable[Step]) -> None:
    """Make prepared system calls in order."""
    for function, arguments, name in steps:
        if function(*arguments) < 0:
            _fail(name)


class _SeccompProgram(ctypes.Structure):
    """A seccomp program in the kernel's layout; it keeps the program's memory alive."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def seccomp_step(program: bytes) -> Step:
    """Prepare the installation of a seccomp filter."""
    program_ref = ctypes.byref(_SeccompProgram(len(program) // 8, program))
    return step("prctl", _SET_SECCOMP, _FILTER_MODE, program_ref, 0, 0)


def fork() -> int:
    """Fork this single-threaded process as the C library does, without Python's fork handlers.

    `os.fork` also renews locks and random state for threads that do not exist, which copies some
    170 pages: a tenth of the total cost of a short program.
    """
    pid: int = _fork()
    if pid < 0:
        _fail("fork")
    return pid


def unshare_step(what: int) -> Step:
    """Prepare a move to new namespaces; a PID namespace applies from the next child on."""
    return step("unshare", what)


def setns_step(namespace: int, what: int) -> Step:
    """Prepare a move to the namespace of a descriptor."""
    return step("setns", namespace, what)


def mount_step(kind: bytes, where: bytes, flags: int, options: bytes = b"") -> Step:
    """Prepare the mount of a new file system."""
    call, arguments, name = step("mount", kind, where, kind, flags, options)
    return call, arguments, f"{name} {kind.decode()} on {where.decode()}"


MOUNT_PROC = mount_step(b"proc", b"/proc", NO_SUID | NO_DEVICES | NO_EXEC)
"""Mounts /proc for the process's own PID namespace."""
MOUNT_PROC_READ_ONLY = mount_step(b"proc", b"/proc", READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC)
"""The same, read-only."""
NEW_SESSION = step("setsid")
"""Leaves the process group."""
NOT_DUMPABLE = step("prctl", _SET_DUMPABLE, 0, 0, 0, 0)
"""Forbids processes of the same user to inspect this one."""
DROP_CAPABILITIES = step("capset", *_NO_CAPABILITIES)
"""Drops every capability from all sets."""


def make_and_enter_steps(folder: bytes) -> tuple[Step, Step]:
    """Prepare making and entering a folder."""
    return step("mkdir", folder, 0o777), step("chdir", folder)


def mount_proc() -> None:
    """Mount /proc for this process's PID namespace."""
    run_steps((MOUNT_PROC,))


def umount_step(where: bytes) -> Step:
    """Prepare unmounting the topmost mount of a path, even if it is in use."""
    return step("umount2", where, _DETACH)


def make_mounts_private() -> None:
    """Keep later mounts from propagating."""
    if _mount(None, b"/", None, PRIVATE | RECURSIVE, None):
        _fail("mount private")


def hard_limit(what: int) -> int:
    """Return the hard limit of a resource for this process."""
    both = ctypes.create_string_buffer(_LIMIT.size)
    if _getrlimit(what, both):
        _fail("getrlimit")
    return int(_LIMIT.unpack(both.raw)[1])


def rlimit_step(what: int, most: int) -> Step:
    """Prepare a hard limit for a process and its children."""
    return step("setrlimit", what, _LIMIT.pack(most, most))


def no_new_privileges() -> None:
    """Disable set-uid programs irrevocably for this process and its children."""
    _set(_SET_NO_NEW_PRIVILEGES, 1)


def set_dumpable(yes: int) -> None:
    """Allow (1) or forbid (0) processes of the same user to inspect this one."""
    _set(_SET_DUMPABLE, yes)


def become_subreaper() -> None:
    """Become the parent of descendants whose own parent ends."""
    _set(_SET_SUBREAPER, 1)


def set_parent_death_signal(signal: int) -> None:
    """Have a signal sent to this process when its parent ends."""
    _set(_SET_DEATH_SIGNAL, signal)


def _set(option: int, first: int, second: int = 0) -> None:
    if _prctl(option, first, second, 0, 0):
        _fail(f"prctl {option}")


def _fail(name: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{name}: {os.strerror(number)}")
