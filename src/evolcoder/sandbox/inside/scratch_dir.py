"""A folder for one program after another where no file system can be mounted.

Promises: the folder is empty and the program's own when it begins, whatever modes, depth or names
the one before it left. A room that somebody killed has left behind is removed by the next worker
that starts. Standard library only.
"""

import contextlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator

_NAME = "evolcoder-room-"
_BLOCK = 512


class Room:
    """A folder of which programs own a part: their home and, in it, their work folder."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._heap = f"{top}/heap"
        self._uid = os.getuid()
        self.within = os.path.dirname(top)
        self.own = f"{top}/own"
        self.work = f"{top}/own/work"

    @classmethod
    def make(cls, within: str, uid: int | None) -> "Room":
        """Make a room within a folder for programs of a user, None for ours; remove old rooms."""
        _remove_left(within)
        room = cls(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=within))
        os.chmod(room._top, 0o711)  # noqa: S103 - others have to go through
        os.mkdir(room.own, 0o700)
        os.mkdir(room._heap, 0o700)
        if uid is not None:
            room._uid = uid
            os.chown(room.own, uid, -1)
        return room

    def furnish(self) -> None:
        """Make the next program's work folder."""
        os.mkdir(self.work, 0o700)
        os.chown(self.work, self._uid, -1)

    def holds(self, most: int) -> tuple[int, int]:
        """Return bytes and entries in it; entries beyond `most` are not looked at."""
        size = count = 0
        for entry in itertools.islice(_entries(self.own), most + 1):
            count += 1
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        return size, count

    def free(self) -> int:
        """Return how many bytes there is room for."""
        found = os.statvfs(self.own)
        return found.f_bavail * found.f_frsize

    def clear(self) -> None:
        """Empty it. Folders are first moved to one heap: a path may be longer than any can be."""
        numbers = itertools.count()
        os.chmod(self.own, 0o700)
        waiting = [self.own]
        for place in waiting:
            for name in os.listdir(place):
                path = f"{place}/{name}"
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    os.unlink(path)
                    continue
                flat = f"{self._heap}/{next(numbers)}"
                os.chmod(path, 0o700)
                os.rename(path, flat)
                waiting.append(flat)
        for place in waiting[1:]:
            os.rmdir(place)

    def remove(self) -> None:
        """Take it away with all that is in it."""
        with contextlib.suppress(FileNotFoundError):
            self.clear()
        shutil.rmtree(self._top, ignore_errors=True)


def _entries(top: str) -> Iterator[os.DirEntry[str]]:
    waiting = [top]
    for place in waiting:
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _remove_left(within: str) -> None:
    """Remove rooms of this user whose worker is gone."""
    for entry in os.scandir(within):
        owner = entry.name.removeprefix(_NAME).partition("-")[0]
        if not entry.name.startswith(_NAME) or os.path.exists(f"/proc/{owner}"):
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_uid == os.getuid():
                Room(entry.path).remove()
