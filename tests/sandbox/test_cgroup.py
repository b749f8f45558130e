"""A control group is made for each worker where permitted, and removed afterwards."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolcoder.errors import SandboxError
from evolcoder.sandbox import cgroup
from evolcoder.sandbox.base import Layer, Limits, Program, Status
from evolcoder.sandbox.pool import LEVELS, PoolSandbox

V1 = """30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:27 /docker/x /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
32 25 0:28 / /proc rw - proc proc rw
"""
V2 = "30 25 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def groups():
    """The factory for groups, if any can be made. Groups of other tests' sandboxes do not count."""
    found = cgroup.find()
    if found is None:
        pytest.skip("no control groups can be made here")
    return found


def ours(groups):
    """Control groups of this process."""
    return [
        folder
        for place in groups.parents
        for folder in place.glob(f"{cgroup._owner(os.getpid())}-*")
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_a_worker_is_in_a_group_that_is_gone_after_it(groups, level):
    """The layer is listed, the kernel has the program's limits, and closing removes the group."""
    before = ours(groups)

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level=level)
        execution = await sandbox.run(Program("python", ""), Limits())
        limits = {
            name: int((folder / name).read_text())
            for folder in set(ours(groups)) - set(before)
            for name in ("memory.limit_in_bytes", "memory.max", "pids.max")
            if (folder / name).exists()
        }
        await sandbox.aclose()
        return execution, limits

    execution, limits = asyncio.run(use())
    assert {Layer.CGROUP, Layer.MEMORY} <= set(execution.layers)
    assert limits.pop("pids.max") == cgroup.CEILING_PROCESSES
    (memory,) = limits.values()
    program_mb = Limits().memory_mb + Limits().file_mb
    assert program_mb < memory >> 20 < program_mb + 64
    assert set(ours(groups)) == set(before)


@pytest.mark.parametrize("level", LEVELS)
def test_memory_that_belongs_to_no_process_is_bounded(groups, level):
    """Memory files count; the program is ended and its worker survives."""
    source = "import os\nfor n in range(20):\n    os.write(os.memfd_create(''), bytes(30 << 20))"

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level=level)
        limits = Limits(memory_mb=128, file_mb=32)
        floods = await sandbox.run(Program("python", source), limits)
        after = await sandbox.run(Program("python", "print(1)"), limits)
        await sandbox.aclose()
        return floods, after

    floods, after = asyncio.run(use())
    assert floods.status is Status.MEMORY
    assert after.stdout == b"1\n"


def test_a_program_may_have_more_than_the_ceiling(groups, monkeypatch):
    """The worker's limit rises with the program's limit."""
    monkeypatch.setattr(cgroup, "CEILING_MB", 64)
    monkeypatch.setattr(cgroup, "CEILING_PROCESSES", 8)
    source = "import threading, time\nx = b'x' * (200 << 20)\n"
    source += "for n in range(40): threading.Thread(target=time.sleep, args=(0.1,)).start()\n"
    source += "print(len(x))"

    async def use():
        sandbox = await PoolSandbox.start(workers=1)
        execution = await sandbox.run(Program("python", source), Limits(memory_mb=1024))
        await sandbox.aclose()
        return execution

    assert asyncio.run(use()).stdout == b"209715200\n"


def test_a_killed_worker_leaves_no_daemon(groups):
    """Removing the group kills its members even where no namespace does."""
    source = "import os, time\nif os.fork() == 0: os.setsid()\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    before = _members(groups)

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level="processes")
        run = asyncio.create_task(sandbox.run(Program("python", source), Limits()))
        while len(members := _members(groups) - before) < 4:  # worker, cell, program and daemon
            await asyncio.sleep(0.01)
        for pid in members:
            if _parent(pid) == os.getpid():
                os.kill(pid, 9)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await sandbox.aclose()
        return members

    members = asyncio.run(use())
    assert not [pid for pid in members if _state(pid) not in {"gone", "Z"}]


def test_a_group_whose_owner_was_killed_is_removed_at_the_next_start(groups):
    """A group left by SIGKILL is found by name; a living owner's group is kept."""
    code = (
        "import asyncio, os\nfrom evolcoder.sandbox.pool import PoolSandbox\n"
        "async def main():\n    await PoolSandbox.start(workers=1, level='processes')\n"
        "    print(os.getpid(), flush=True)\n    os.kill(os.getpid(), 9)\nasyncio.run(main())"
    )
    before = set(ours(groups))
    mine = groups.make()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    pid = int(done.stdout)
    left = [folder for place in groups.parents for folder in place.glob(f"*-{pid}-*")]
    assert left
    cgroup.find()
    assert not any(folder.exists() for folder in left)
    assert set(ours(groups)) > before
    mine.remove()
    assert set(ours(groups)) == before


def test_where_no_group_can_be_made_there_is_none(tmp_path):
    """Missing hierarchies and ordinary folders are not control groups."""
    (tmp_path / "cgroup").write_text("4:memory:/\n3:pids:/\n0::/\n")
    (tmp_path / "mountinfo").write_text("")
    assert cgroup.find(tmp_path) is None
    place = tmp_path / "place"
    place.mkdir()
    text = V2.replace("/sys/fs/cgroup", str(place))
    (tmp_path / "mountinfo").write_text(text)
    assert cgroup.find(tmp_path) is None
    assert list(place.iterdir()) == []


def test_a_group_that_cannot_be_made_later_is_the_sandboxs_failure(tmp_path):
    """A listed layer is never dropped silently."""
    with pytest.raises(SandboxError, match="control group"):
        cgroup.CgroupFactory((tmp_path / "gone",)).make()


@pytest.mark.parametrize(("mountinfo", "mine", "places"), [
    (V1, "4:memory:/a\n3:pids:/docker/x/b\n2:cpuacct:/\n",
     [("/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/pids/b", "/sys/fs/cgroup/cpuacct")]),
    (V1, "4:memory:/a\n3:pids:/elsewhere\n2:cpuacct:/c\n",
     [("/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuacct/c")]),
    (V1, "4:memory:/a\n3:pids:/docker/x/b\n", []),
    (V1, "4:memory:/a\n", []),
    (V2, "0::/user.slice/x.scope\n", [("/sys/fs/cgroup/user.slice/x.scope",),
                                      ("/sys/fs/cgroup/user.slice",)]),
    (V2, "0::/\n", [("/sys/fs/cgroup",)]),
])  # fmt: skip
def test_groups_are_looked_for_where_this_process_is(mountinfo, mine, places):
    """In version 1 below this process's groups; in version 2 in its group or next to it."""
    found = list(cgroup._candidate_parents(mountinfo, mine))
    assert found == [tuple(map(Path, row)) for row in places]


def test_limits_of_version_2_are_written_to_its_files(tmp_path):
    """Version 2 has both controllers in one folder."""
    for name in ("cgroup.controllers", "memory.max", "pids.max", "cpu.stat", "memory.stat"):
        (tmp_path / name).write_text("max")
    group = cgroup.Cgroup([tmp_path])
    group.raise_limits(64, 10)
    assert (tmp_path / "memory.max").read_text() == str(64 << 20)
    assert (tmp_path / "pids.max").read_text() == "10"
    assert not group.is_complete()
    (tmp_path / "memory.current").write_text("0")
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.is_complete()
    assert group.n_oom_kills() == 2
    files = group.open_files()
    assert set(files) == {"cpu", "events", "usage", "stat", "limit"}
    for fd in files.values():
        os.close(fd)


def _members(groups):
    return {pid for folder in ours(groups) for pid in cgroup.Cgroup([folder])._members()}


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
