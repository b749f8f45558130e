"""Landlock: a process irrevocably restricts which files it can access.

Guarantees: a restricted program can read and write only below the granted paths, can neither bind
nor connect TCP, and can signal or reach by abstract sockets only what it started, as far as the
kernel's Landlock version supports these. It does not hide that a path exists, and does not keep the
owner of a file from changing its mode.

An interpreter often lies in a private home, which the programs' user cannot reach by path. An open
folder can still be entered through /proc/self/fd (`keep_open`); Landlock decides what in it may be
read. Standard library only.
"""

import ctypes
import fcntl
import os
import resource
import stat
import struct
import sys
from collections.abc import Iterable

from evolcoder.sandbox.inside import isolate

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _BENEATH_PATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE = 1 << 4 | 1 << 5
_MAKE_DEVICES = 1 << 6 | 1 << 11
_MAKE = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12
_REFER, _TRUNCATE, _DEVICE_IOCTL = 1 << 13, 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
USE = READ_FILE | WRITE_FILE | _TRUNCATE
"""Rights for a device such as /dev/null."""
OWN = READ | WRITE_FILE | _REMOVE | _MAKE | _REFER | _TRUNCATE
"""All rights except making devices."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _DEVICE_IOCTL
_FIRST = (1 << 13) - 1
_NEWER = ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE_IOCTL))
_TCP, _ABSTRACT_SOCKETS, _SIGNALS = 0b11, 0b01, 0b10
KNOWS_TRUNCATE, KNOWS_TCP, KNOWS_SIGNALS = 3, 4, 6
"""Versions that first restrict these."""

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the kernel's Landlock version; 0 without Landlock."""
    found = _libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_ASK_VERSION))
    return max(int(found), 0)


def ruleset(granted: Iterable[tuple[str, int]], abi: int) -> int:
    """Make a ruleset that grants rights below paths; return its descriptor.

    `abi` is the Landlock version to use, which may be lower than the kernel's. Paths that do not
    exist are ignored.
    """
    handled = _FIRST | sum(right for since, right in _NEWER if abi >= since)
    network = _TCP if abi >= KNOWS_TCP else 0
    scoped = _ABSTRACT_SOCKETS | _SIGNALS if abi >= KNOWS_SIGNALS else 0
    asked = struct.pack("QQQ", handled, network, scoped)
    rules = _checked(_CREATE, asked, ctypes.c_size_t(len(asked)), ctypes.c_uint(0))
    for path, rights in granted:
        _grant(rules, path, rights & handled)
    return rules


def restrict(rules: int) -> None:
    """Restrict this process and all that it will start."""
    _checked(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0))


def _grant(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, place)
        _checked(_ADD, ctypes.c_int(rules), ctypes.c_int(_BENEATH_PATH), rule, ctypes.c_uint(0))
    finally:
        os.close(place)


def _checked(call: int, *arguments: object) -> int:
    done: int = _libc.syscall(ctypes.c_long(call), *arguments)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock {call}: {os.strerror(number)}")
    return done


def is_private(folder: str) -> bool:
    """Whether other users cannot traverse one of the parent folders."""
    while folder != "/":
        folder = os.path.dirname(folder)
        if not os.stat(folder).st_mode & 0o001:
            return True
    return False


def keep_open(folders: Iterable[str]) -> None:
    """Open the private ones, and redirect later imports to the open folders."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    moved = {}
    for number, folder in enumerate(filter(is_private, folders)):
        place = os.open(folder, os.O_PATH)
        spared = fcntl.fcntl(place, fcntl.F_DUPFD, isolate.KEPT_FDS + number)
        os.close(place)
        moved[folder] = f"/proc/self/fd/{spared}"
    sys.path[:] = [_moved(path, moved) for path in sys.path]
    for module in list(sys.modules.values()):
        if isinstance(paths := getattr(module, "__path__", None), list):
            module.__path__ = [_moved(path, moved) for path in paths]


def _moved(path: str, moved: dict[str, str]) -> str:
    for folder, place in moved.items():
        if path == folder or path.startswith(f"{folder}/"):
            return place + path[len(folder) :]
    return path
