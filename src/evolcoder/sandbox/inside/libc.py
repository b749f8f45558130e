"""The few system calls that Python 3.11 does not wrap, and what to ask of them.

Everything raises OSError with the name of the call. All that a call needs is made beforehand, since
every object that a cell makes costs it pages that it shares with its zygote. Standard library only.
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
"""What can be limited."""
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 4, 22, 38
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_CAPABILITY_VERSION_3 = 0x20080522
_FILTER_MODE = 2
_DETACH = 2
_LIMIT = struct.Struct("QQ")
_NO_CAPABILITIES = (struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))

_libc = ctypes.PyDLL(None, use_errno=True)
_int, _word, _text = ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p


def _bound(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - a foreign function
    function = _libc[name]
    function.argtypes = arguments
    return function


_mount = _bound("mount", _text, _text, _text, _word, _text)
_prctl = _bound("prctl", _int, _word, _word, _word, _word)
_getrlimit = _bound("getrlimit", _int, _text)
_fork = _bound("fork")

Step = tuple[Any, tuple[Any, ...], str]
"""A system call that is to be made: the function, its arguments as they are, its name."""


def step(name: str, *arguments: object) -> Step:
    """Lay out a system call. Nothing is converted when it is made: numbers must fit in 32 bits."""
    return getattr(_libc, name), arguments, name


def carry_out(steps: Iterable[Step]) -> None:
    """Make system calls that were laid out before, one after the other."""
    for function, arguments, name in steps:
        if function(*arguments) < 0:
            _fail(name)


class _Judge(ctypes.Structure):
    """A seccomp program as the kernel reads it; it keeps the program alive."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def judged(program: bytes) -> Step:
    """Lay out how to let a seccomp program judge every system call from there on."""
    judge = ctypes.byref(_Judge(len(program) // 8, program))
    return step("prctl", _SET_SECCOMP, _FILTER_MODE, judge, 0, 0)


def fork() -> int:
    """Fork this process of one thread as the C library does, and nothing more.

    `os.fork` also renews locks and random numbers for threads that are not there, which copies some
    170 pages: a tenth of what a short program costs altogether.
    """
    pid: int = _fork()
    if pid < 0:
        _fail("fork")
    return pid


def unshared(what: int) -> Step:
    """Lay out how to leave namespaces for new ones; process ids begin with the next child."""
    return step("unshare", what)


def entered(namespace: int, what: int) -> Step:
    """Lay out how to go into the namespace that a descriptor stands for."""
    return step("setns", namespace, what)


def mounted(kind: bytes, where: bytes, flags: int, options: bytes = b"") -> Step:
    """Lay out the mount of a new file system of a kind."""
    call, arguments, name = step("mount", kind, where, kind, flags, options)
    return call, arguments, f"{name} {kind.decode()} on {where.decode()}"


PROC_MOUNTED = mounted(b"proc", b"/proc", NO_SUID | NO_DEVICES | NO_EXEC)
"""Shows a process its own process ids on /proc, over what is there."""
PROC_SHOWN = mounted(b"proc", b"/proc", READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC)
"""The same for a process that may change nothing there."""
OWN_GROUP = step("setsid")
"""Leaves the group of processes that a process began in."""
UNSHOWN = step("prctl", _SET_DUMPABLE, 0, 0, 0, 0)
"""Refuses that processes of the same user look into this one."""
POWERS_DROPPED = step("capset", *_NO_CAPABILITIES)
"""Gives up every capability, in all sets."""


def made_and_entered(folder: bytes) -> tuple[Step, Step]:
    """Lay out how to make a folder and go there."""
    return step("mkdir", folder, 0o777), step("chdir", folder)


def mount_proc() -> None:
    """Show this process's own process ids on /proc, over what is there."""
    carry_out((PROC_MOUNTED,))


def unmounted(where: bytes) -> Step:
    """Lay out how to take away what was mounted last at a place, even if it is still used."""
    return step("umount2", where, _DETACH)


def keep_mounts_private() -> None:
    """Let no later mount show anywhere else."""
    if _mount(None, b"/", None, PRIVATE | RECURSIVE, None):
        _fail("mount private")


def highest(what: int) -> int:
    """Return the limit beyond which this process cannot go."""
    both = ctypes.create_string_buffer(_LIMIT.size)
    if _getrlimit(what, both):
        _fail("getrlimit")
    return int(_LIMIT.unpack(both.raw)[1])


def limit(what: int, most: int) -> Step:
    """Lay out what binds a process and its children, for ever."""
    return step("setrlimit", what, _LIMIT.pack(most, most))


def no_new_privileges() -> None:
    """Make set-uid programs ordinary ones, for ever and for every child."""
    _set(_SET_NO_NEW_PRIVILEGES, 1)


def set_dumpable(yes: int) -> None:
    """Allow (1) or refuse (0) that processes of the same user look into this one."""
    _set(_SET_DUMPABLE, yes)


def gather_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _set(_SET_SUBREAPER, 1)


def end_with_parent(signal: int) -> None:
    """Have a signal sent to this process when its parent ends."""
    _set(_SET_DEATH_SIGNAL, signal)


def _set(option: int, first: int, second: int = 0) -> None:
    if _prctl(option, first, second, 0, 0):
        _fail(f"prctl {option}")


def _fail(name: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{name}: {os.strerror(number)}")
