"""Import of Python modules from folders that the programs' user cannot reach by path.

An interpreter often lies in a private home. An open folder can still be entered through
/proc/self/fd; Landlock decides what in it may be read. Standard library only.
"""

import fcntl
import os
import resource
import sys
from collections.abc import Iterable

from evolcoder.sandbox.inside import isolate


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
