"""Folders of Python modules which the programs' user could not come to by path.

An interpreter often lies under a private home. A folder that is kept open can be gone into all the
same, by /proc/self/fd; Landlock still decides what of it may be read. Standard library only.
"""

import fcntl
import os
import resource
import sys
from collections.abc import Iterable

from evolcoder.sandbox.inside import isolate


def is_private(folder: str) -> bool:
    """Whether others may not go through all the folders above."""
    while folder != "/":
        folder = os.path.dirname(folder)
        if not os.stat(folder).st_mode & 0o001:
            return True
    return False


def keep_open(folders: Iterable[str]) -> None:
    """Open those that are private, and import from there what is imported from now on."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    moved = {}
    for number, folder in enumerate(filter(is_private, folders)):
        place = os.open(folder, os.O_PATH)
        spared = fcntl.fcntl(place, fcntl.F_DUPFD, isolate.SPARED + number)
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
