"""What the system refuses to a process for want of room, rights or descriptors, in one line.

>>> mendable(OSError(errno.ENOSPC, "No space left on device", "x.json"))
'x.json: No space left on device; make room or mend the rights'
"""

import errno
import os
import resource

NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
NO_ROOM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
)
"""Errors that more room or other permissions mend."""
FEW = 3
"""Files that SQLite opens for one database."""


def mendable(failure: OSError) -> str | None:
    """Say what the user can do about an error of the system; None where it is another kind."""
    if failure.errno in NO_DESCRIPTORS:
        return too_few_descriptors()
    if failure.errno in NO_ROOM:
        place = f"{failure.filename}: " if failure.filename else ""
        return f"{place}{failure.strerror}; make room or mend the rights"
    return None


def too_few_descriptors() -> str:
    """Say that this process may open too few files."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"too few file descriptors: this process may open {most} files and pipes; "
        f"raise the limit, such as by `ulimit -n 1024`, and run it again"
    )


def lacks_descriptors() -> bool:
    """Tell whether no more files can be opened here."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(FEW))
    except OSError as failure:
        return failure.errno in NO_DESCRIPTORS
    finally:
        for one in opened:
            os.close(one)
    return False
