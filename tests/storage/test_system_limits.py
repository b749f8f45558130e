"""Operating system errors are reported in one line, wherever they occur in an exception."""

import asyncio
import errno
import os
import shutil
import sqlite3
from types import SimpleNamespace

import pytest

from evolcoder.errors import UserError, system_error_text
from evolcoder.storage import sqlite_files


def refused(number, place=None):
    return OSError(number, os.strerror(number), place)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (refused(errno.EMFILE), "too few file descriptors: this process may open "),
        (refused(errno.ENOSPC, "x.json"), "x.json: No space left on device; free space"),
        (refused(errno.EROFS, b"x.json"), "x.json: Read-only file system; free space"),
        (refused(errno.EAGAIN), "Resource temporarily unavailable; raise the process limit"),
        (refused(errno.ENOMEM), "Cannot allocate memory; free some memory"),
        (refused(errno.EIO), "Input/output error; check the disk"),
        (
            refused(errno.ENOENT, "/proc/self/x"),
            "/proc/self/x: No such file or directory; fix that",
        ),
        (MemoryError(), "out of memory; free some"),
        (RuntimeError("can't start new thread"), "cannot start a thread; raise the process limit"),
        (ImportError("x.so: Too many open files"), "too few file descriptors: "),
    ],
)
def test_every_refusal_says_what_to_do(error, told):
    """Space, permissions, descriptors, processes, memory and disks have their own remedies."""
    said = system_error_text(error)
    assert said.startswith(told)
    assert "\n" not in said


@pytest.mark.parametrize(
    "error",
    [
        ValueError("No space left on device"),
        RuntimeError("another"),
        KeyError("x"),
        OSError("no number"),
        refused(errno.EBADF),
        ImportError("no module named x"),
    ],
)
def test_a_fault_of_ours_stays_one(error):
    """Other exceptions are not reported as system errors and keep their traceback."""
    assert system_error_text(error) is None


def test_a_refusal_is_found_in_a_group_and_as_a_cause():
    """Exception groups and causes are searched."""

    async def full():
        raise refused(errno.ENOSPC, "x.db")

    async def story():
        async with asyncio.TaskGroup() as group:
            group.create_task(full())

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(story())
    outer = ValueError("outer")
    outer.__cause__ = raised.value
    assert system_error_text(outer).startswith("x.db: No space left")


def test_errors_that_cause_each_other_end():
    """A cycle of causes is visited once."""
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert system_error_text(one) is None


@pytest.mark.parametrize(
    ("n_free", "advice"), [(0, "free disk space"), (1 << 30, "check its folder")]
)
def test_a_full_disk_is_reported_as_such(tmp_path, monkeypatch, n_free, advice):
    """SQLite says "disk I/O error" where its index of a write-ahead log has no space."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=n_free))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    with (
        pytest.raises(UserError, match=advice),
        sqlite_files.translate_errors(tmp_path / "run.db", remedy="delete it"),
    ):
        raise error
