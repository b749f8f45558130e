"""A scratch folder for successive programs where no file system can be mounted.

Guarantees: each program starts with an empty folder that it owns, whatever modes, depth or names
the previous one left. Folders of killed workers are removed when the next worker starts. Standard
library only.
"""

import contextlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator

_PREFIX = "evolcoder-room-"
_BLOCK = 512


class ScratchDir:
    """A folder of which programs own a part: a home and, within it, a work folder."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._heap = f"{top}/heap"
        self._uid = os.getuid()
        self.parent = os.path.dirname(top)
        self.own = f"{top}/own"
        self.work = f"{top}/own/work"

    @classmethod
    def make(cls, parent: str, uid: int | None) -> "ScratchDir":
        """Make a folder for programs of user `uid`, None for ours; remove those of dead workers."""
        _remove_stale(parent)
        scratch = cls(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        os.chmod(scratch._top, 0o711)  # noqa: S103 - other users must be able to traverse it
        os.mkdir(scratch.own, 0o700)
        os.mkdir(scratch._heap, 0o700)
        if uid is not None:
            scratch._uid = uid
            os.chown(scratch.own, uid, -1)
        return scratch

    def make_work_dir(self) -> None:
        """Make the next program's work folder."""
        os.mkdir(self.work, 0o700)
        os.chown(self.work, self._uid, -1)

    def usage(self, most: int) -> tuple[int, int]:
        """Return its bytes and entries; counting stops above `most` entries."""
        size = count = 0
        for entry in itertools.islice(_entries(self.own), most + 1):
            count += 1
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        return size, count

    def free_bytes(self) -> int:
        """Return the free bytes of its file system."""
        found = os.statvfs(self.own)
        return found.f_bavail * found.f_frsize

    def empty(self) -> None:
        """Empty it. Folders are first moved to one level, since paths may exceed the maximum."""
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
        """Remove it with all its content."""
        with contextlib.suppress(FileNotFoundError):
            self.empty()
        shutil.rmtree(self._top, ignore_errors=True)


def _entries(top: str) -> Iterator[os.DirEntry[str]]:
    waiting = [top]
    for place in waiting:
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _remove_stale(parent: str) -> None:
    """Remove folders of this user whose worker has ended."""
    for entry in os.scandir(parent):
        owner = entry.name.removeprefix(_PREFIX).partition("-")[0]
        if not entry.name.startswith(_PREFIX) or os.path.exists(f"/proc/{owner}"):
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_uid == os.getuid():
                ScratchDir(entry.path).remove()
