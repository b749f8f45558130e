"""A file is replaced whole or not at all, and no link of a stranger's leads a write elsewhere.

The kind: every thing that can stand where a file or folder of ours is to be written, as the file
itself or as any folder on the way.
"""

import fcntl
import os
import re
import stat
import threading
import time
from pathlib import Path

import pytest

from evolcoder.errors import RunFolderError, UserError
from evolcoder.storage import atomic
from system_calls import limited_files


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(path, inside, what=".*"):
    with pytest.raises(RunFolderError, match=what) as caught:
        atomic.write_text(path, "new", inside=inside, error=RunFolderError)
    assert "\n" not in str(caught.value)


def test_text_is_written(run):
    """Parent folders are created, and no other file remains."""
    atomic.write_text(run / "a" / "b" / "c.txt", "ünï", inside=run)
    atomic.write_bytes(run / "a" / "d", b"\0", inside=run)
    assert (run / "a/b/c.txt").read_text(encoding="utf-8") == "ünï"
    assert (names(run / "a"), names(run / "a/b")) == (["b", "d"], ["c.txt"])


def test_a_reader_never_sees_a_part(run):
    """While writing, the old file is in place and the temporary file has another name."""
    path = run / "x"
    path.write_text("old")
    with atomic.open_text(path, inside=run) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
        assert len(names(run)) == 2
    assert path.read_text() == "new"
    assert names(run) == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError, OSError])
def test_a_failure_leaves_the_old_file_and_no_other(run, error):
    """Whatever exception ends the block."""
    (run / "x").write_text("old")
    with pytest.raises((error, UserError)):
        with atomic.open_binary(run / "x", inside=run) as file:
            file.write(b"part")
            raise error
    assert (run / "x").read_text() == "old"
    assert names(run) == ["x"]


@pytest.mark.parametrize("write", [atomic.open_binary, atomic.open_text])
def test_a_full_disk_is_one_line(run, write):
    """Also if only the final flush fails."""
    for size in (10, 10_000, 1_000_000):
        with (
            limited_files(8),
            pytest.raises(RunFolderError, match="File too large; free disk space"),
        ):
            with write(run / "x", inside=run, error=RunFolderError) as file:
                file.write("x" * size if write is atomic.open_text else b"x" * size)
        assert names(run) == []


def test_a_file_keeps_its_permissions(run):
    """New files follow the umask; replaced files keep their mode."""
    before = os.umask(0o027)
    try:
        atomic.write_text(run / "new", "", inside=run)
        (run / "old").touch()
        (run / "old").chmod(0o4604)
        atomic.write_text(run / "old", "", inside=run)
    finally:
        os.umask(before)
    assert stat.S_IMODE((run / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE((run / "old").stat().st_mode) == 0o604


def test_temporary_names_cannot_be_guessed(run):
    """128 random bits, different each time."""
    seen = set()
    for _ in range(3):
        with atomic.open_binary(run / "x", inside=run):
            (name,) = set(names(run)) - {"x"}
            assert re.fullmatch(r"\.x\.[0-9a-f]{32}\.part", name)
            seen.add(name)
    assert len(seen) == 3


def test_long_names_are_written(run):
    """The temporary name is valid wherever the file name is."""
    for name in ("n" * 255, "ü" * 127):
        atomic.write_text(run / name, "x", inside=run)
        assert (run / name).read_text() == "x"


def test_stale_temporary_files_are_removed(run):
    """Old temporary files are removed, also of earlier versions; locked ones and others stay."""
    long_ago = time.time() - 2 * atomic.STALE_S
    for name in (".x.0123.part", ".y.0123.part", ".x.part", "x.part"):
        (run / name).touch()
        os.utime(run / name, (long_ago, long_ago))
    (run / ".x.4567.part").touch()
    (run / ".x.89ab.part").symlink_to("/etc/passwd")
    with atomic.open_binary(run / "x", inside=run):
        (mine,) = (n for n in names(run) if re.fullmatch(r"\.x\.[0-9a-f]{32}\.part", n))
        os.utime(run / mine, (long_ago, long_ago))
        atomic.write_text(run / "x", "by another", inside=run)
        assert mine in names(run)
    assert names(run) == sorted([".x.4567.part", ".x.89ab.part", ".y.0123.part", "x", "x.part"])


LEADS_OUT = {
    "the file": ("x", "x", "thesis.tex"),
    "the folder": ("export/x", "export", "."),
    "a folder above": ("export/data/x", "export", "."),
    "a link to nothing": ("x", "x", "new.txt"),
    "the folder, named as it is": ("export/thesis.tex", "export", "."),
}


@pytest.mark.parametrize("case", LEADS_OUT)
@pytest.mark.parametrize("is_relative", [False, True])
def test_a_link_that_leads_out_is_refused(run, outside, case, is_relative):
    """As the file or in its path; the target is not modified."""
    path, link, target = LEADS_OUT[case]
    to = outside / target
    (run / link).symlink_to(os.path.relpath(to, run) if is_relative else to)
    refused(run / path, run, "a link leads out of")
    for make in (
        lambda: atomic.open_to_append(run / path, inside=run, error=RunFolderError),
        lambda: atomic.open_lock(run / path, inside=run, error=RunFolderError),
        lambda: atomic.make_folder(run / path, inside=run, error=RunFolderError),
        lambda: atomic.check_inside(run / path, inside=run, error=RunFolderError),
        lambda: atomic.check_tree(run, error=RunFolderError),
    ):
        with pytest.raises(RunFolderError, match="a link leads out of"):
            make()
    assert names(outside) == ["thesis.tex"]
    assert (outside / "thesis.tex").read_text() == "mine"
    assert names(run) == [link]


def test_a_link_within_the_folder_is_followed(run):
    """It does not lead out of the folder."""
    (run / "data").mkdir()
    (run / "export").symlink_to("data")
    (run / "x").symlink_to(run / "data" / "real")
    atomic.write_text(run / "export" / "y", "1", inside=run)
    atomic.write_text(run / "x", "2", inside=run)
    atomic.check_tree(run)
    assert names(run / "data") == ["real", "y"]
    assert (run / "x").is_symlink()


def test_folders_of_other_programs_are_not_searched(run, outside):
    """Links inside them are theirs; one in place of such a folder, or deeper in another, is refused."""
    (run / "wandb").mkdir()
    (run / "wandb" / "latest").symlink_to(outside)
    atomic.check_tree(run, without={"wandb"})
    with pytest.raises(RunFolderError, match="a link leads out of"):
        atomic.check_tree(run, error=RunFolderError)
    (run / "deeper").mkdir()
    (run / "wandb").rename(run / "deeper" / "wandb")
    with pytest.raises(RunFolderError, match="a link leads out of"):
        atomic.check_tree(run, without={"wandb"}, error=RunFolderError)
    (run / "deeper").rename(outside / "deeper")
    (run / "wandb").symlink_to(outside)
    with pytest.raises(RunFolderError, match="a link leads out of"):
        atomic.check_tree(run, without={"wandb"}, error=RunFolderError)


def test_links_in_a_circle_are_one_line(run):
    """The OS error becomes one line."""
    (run / "a").symlink_to("b")
    (run / "b").symlink_to("a")
    refused(run / "a" / "x", run)
    refused(run / "a", run)


SPECIAL = {
    "a folder": (lambda path: path.mkdir(), "folder"),
    "a pipe": (os.mkfifo, "pipe"),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_what_is_no_file_is_not_replaced(run, case):
    """It is refused without blocking."""
    make, called = SPECIAL[case]
    make(run / "x")
    refused(run / "x", run, f"x: is a {called}, not a file")
    refused(run / "x", None, f"x: is a {called}, not a file")
    for opened in (atomic.open_to_append, atomic.open_lock):
        with pytest.raises(RunFolderError):
            opened(run / "x", inside=run, error=RunFolderError)
    assert names(run) == ["x"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full", "/dev/stdout"])
def test_a_device_is_no_place_for_a_file(device):
    """Replacing a device by a file would affect all users, so it is refused, also through links."""
    before = os.lstat(device)
    with pytest.raises(UserError, match="not a file"):
        atomic.write_text(Path(device), "new")
    assert os.path.samestat(os.lstat(device), before)


def test_a_hard_link_is_parted_and_not_written_through(run, outside):
    """A replaced file leaves the other link unchanged; a log or lock with links is refused."""
    (run / "x").hardlink_to(outside / "thesis.tex")
    for opened in (atomic.open_to_append, atomic.open_lock):
        with pytest.raises(RunFolderError, match="several hard links"):
            opened(run / "x", inside=run, error=RunFolderError)
    with pytest.raises(RunFolderError, match="several hard links"):
        atomic.check_tree(run, error=RunFolderError)
    atomic.write_text(run / "x", "new", inside=run)
    assert (outside / "thesis.tex").read_text() == "mine"


def test_the_users_own_links_are_followed(tmp_path, outside):
    """A typed path may be a link, contain links, or lead to nothing yet."""
    (tmp_path / "file").symlink_to(outside / "thesis.tex")
    (tmp_path / "folder").symlink_to(outside)
    (tmp_path / "later").symlink_to(outside / "later.txt")
    for name in ("file", "folder/other", "later"):
        atomic.write_text(tmp_path / name, "new")
    assert names(outside) == ["later.txt", "other", "thesis.tex"]
    assert (tmp_path / "file").is_symlink()
    assert (outside / "thesis.tex").read_text() == "new"


@pytest.mark.parametrize("mark", atomic.MARKS)
def test_a_typed_path_through_a_run_ends_the_users_part(tmp_path, outside, mark):
    """Below the first folder with one of our databases, links are untrusted."""
    home = tmp_path / "home"
    (tmp_path / "real" / "run").mkdir(parents=True)
    home.symlink_to(tmp_path / "real")
    (home / "run" / mark).touch()
    (home / "run" / "export").symlink_to(outside)
    refused(home / "run" / "export" / "x", None, "a link leads out of")
    atomic.write_text(home / "run" / "clean.jsonl", "new")
    assert (tmp_path / "real/run/clean.jsonl").read_text() == "new"
    assert names(outside) == ["thesis.tex"]


def test_two_writers_at_once_leave_one_whole_file(run):
    """Each has its own temporary file."""
    start = threading.Barrier(4)

    def write(letter):
        start.wait()
        for _ in range(20):
            atomic.write_text(run / "x", letter * 50_000, inside=run)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(run) == ["x"]
    assert len(set((run / "x").read_text())) == 1


def test_a_path_outside_the_folder_is_a_bug(run, outside):
    """It is a bug of the caller."""
    with pytest.raises(ValueError, match="is not inside"):
        atomic.write_text(outside / "x", "", inside=run)


def test_a_lock_is_taken_once(tmp_path):
    """Another one gets None, until the file is closed."""
    path = tmp_path / "x.lock"
    lock = atomic.take_lock(path, inside=tmp_path)
    assert atomic.take_lock(path, inside=tmp_path) is None
    os.close(lock)
    again = atomic.take_lock(path, inside=tmp_path)
    assert again is not None
    os.close(again)


def test_a_lock_on_a_file_that_is_removed_meanwhile_is_not_taken(tmp_path, monkeypatch):
    """Its holder removed it at its end, and a third process may have made a new one."""
    path, flock = tmp_path / "x.lock", fcntl.flock

    def removes(handle, operation):
        path.unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removes)
    assert atomic.take_lock(path, inside=tmp_path) is None
