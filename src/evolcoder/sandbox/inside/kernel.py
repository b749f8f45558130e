"""The few system calls that Python 3.11 does not wrap, and what to ask of them.

Everything raises OSError with the name of the call. Standard library only.
"""

import ctypes
import os
import struct

NEW_MOUNTS, NEW_PIDS, NEW_USERS = 0x00020000, 0x20000000, 0x10000000
NO_SUID, NO_DEVICES, NO_EXEC = 2, 4, 8
PRIVATE, RECURSIVE = 1 << 18, 1 << 14
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 4, 22, 38
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_CAPABILITY_VERSION_3 = 0x20080522
_FILTER_MODE = 2
_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(what: int) -> None:
    """Leave namespaces for new ones; new process ids begin with the next child."""
    _checked(_libc.unshare(what), "unshare")


def enter(namespace: int, what: int) -> None:
    """Go into the namespace that a descriptor stands for."""
    _checked(_libc.setns(namespace, what), "setns")


def mount(kind: str, where: str, flags: int, options: str = "") -> None:
    """Mount a new file system of a kind."""
    done = _libc.mount(
        kind.encode(), where.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _checked(done, f"mount {kind} on {where}")


def unmount(where: str) -> None:
    """Take away what was mounted last at a place, even if something still uses it."""
    _checked(_libc.umount2(where.encode(), _DETACH), f"unmount {where}")


def keep_mounts_private() -> None:
    """Let no later mount show anywhere else."""
    flags = ctypes.c_ulong(PRIVATE | RECURSIVE)
    _checked(_libc.mount(None, b"/", None, flags, None), "mount private")


def no_new_privileges() -> None:
    """Make set-uid programs ordinary ones, for ever."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def set_dumpable(yes: int) -> None:
    """Allow (1) or refuse (0) that processes of the same user look into this one."""
    _prctl(_SET_DUMPABLE, yes)


def gather_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _prctl(_SET_SUBREAPER, 1)


def end_with_parent(signal: int) -> None:
    """Have a signal sent to this process when its parent ends."""
    _prctl(_SET_DEATH_SIGNAL, signal)


def drop_capabilities() -> None:
    """Give up every capability, in all sets."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, bytes(24)), "capset")


def install_filter(program: bytes) -> None:
    """Let a seccomp program judge every system call from here on."""
    code = ctypes.create_string_buffer(program, len(program))
    packed = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    head = ctypes.create_string_buffer(packed)
    _prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(head))


def _prctl(option: int, first: int, second: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    done = _libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero)
    _checked(done, f"prctl {option}")
