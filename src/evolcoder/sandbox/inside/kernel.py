"""The few system calls that Python 3.11 does not wrap, and what to ask of them.

Everything raises OSError with the name of the call. All that a call needs is made beforehand, since
every object that a cell makes costs it pages that it shares with its zygote. Standard library only.
"""

import ctypes
import os
import struct
from typing import Any

NEW_MOUNTS, NEW_PIDS, NEW_USERS = 0x00020000, 0x20000000, 0x10000000
NO_SUID, NO_DEVICES, NO_EXEC = 2, 4, 8
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


_unshare = _bound("unshare", _int)
_setns = _bound("setns", _int, _int)
_mount = _bound("mount", _text, _text, _text, _word, _text)
_umount2 = _bound("umount2", _text, _int)
_capset = _bound("capset", _text, _text)
_prctl = _bound("prctl", _int, _word, _word, _word, _word)
_mkdir = _bound("mkdir", _text, _int)
_chdir = _bound("chdir", _text)
_setrlimit = _bound("setrlimit", _int, _text)
_getrlimit = _bound("getrlimit", _int, _text)
_fork = _bound("fork")


class Filter:
    """A seccomp program, laid out as the kernel reads it."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        packed = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))
        self._head = ctypes.create_string_buffer(packed)
        self._at = ctypes.addressof(self._head)

    def install(self) -> None:
        """Let it judge every system call from here on."""
        _set(_SET_SECCOMP, _FILTER_MODE, self._at)


def fork() -> int:
    """Fork this process of one thread as the C library does, and nothing more.

    `os.fork` also renews locks and random numbers for threads that are not there, which copies some
    170 pages: a tenth of what a short program costs altogether.
    """
    pid: int = _fork()
    if pid < 0:
        _fail("fork")
    return pid


def unshare(what: int) -> None:
    """Leave namespaces for new ones; new process ids begin with the next child."""
    if _unshare(what):
        _fail("unshare")


def enter(namespace: int, what: int) -> None:
    """Go into the namespace that a descriptor stands for."""
    if _setns(namespace, what):
        _fail("setns")


def mount(kind: bytes, where: bytes, flags: int, options: bytes = b"") -> None:
    """Mount a new file system of a kind."""
    if _mount(kind, where, kind, flags, options):
        _fail(f"mount {kind.decode()} on {where.decode()}")


def mount_proc() -> None:
    """Show this process's own process ids on /proc, over what is there."""
    mount(b"proc", b"/proc", NO_SUID | NO_DEVICES | NO_EXEC)


def unmount(where: bytes) -> None:
    """Take away what was mounted last at a place, even if something still uses it."""
    if _umount2(where, _DETACH):
        _fail(f"unmount {where.decode()}")


def keep_mounts_private() -> None:
    """Let no later mount show anywhere else."""
    if _mount(None, b"/", None, PRIVATE | RECURSIVE, None):
        _fail("mount private")


def make_and_enter(folder: bytes) -> None:
    """Make a folder and go there."""
    if _mkdir(folder, 0o777) or _chdir(folder):
        _fail(f"make {folder.decode()}")


def highest(what: int) -> int:
    """Return the limit beyond which this process cannot go."""
    both = ctypes.create_string_buffer(_LIMIT.size)
    if _getrlimit(what, both):
        _fail("getrlimit")
    return int(_LIMIT.unpack(both.raw)[1])


def limit(what: int, most: int) -> None:
    """Bind this process and its children, for ever."""
    if _setrlimit(what, _LIMIT.pack(most, most)):
        _fail("setrlimit")


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


def drop_capabilities() -> None:
    """Give up every capability, in all sets."""
    if _capset(*_NO_CAPABILITIES):
        _fail("capset")


def _set(option: int, first: int, second: int = 0) -> None:
    if _prctl(option, first, second, 0, 0):
        _fail(f"prctl {option}")


def _fail(name: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{name}: {os.strerror(number)}")
