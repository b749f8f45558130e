"""Nothing gets out, nothing is brought down, nothing stays behind."""

import os
import socket
from pathlib import Path

import pytest

from attacks.escapes import UNHELD, UNHELD_AS_OUR_USER, given, rows, succeeds_loosely
from driver import QUICK
from evolcoder.sandbox.base import Program, Status
from groups import by_promise

ESCAPES = list(rows())


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """What there is to get at: a secret, a token, and servers of ours; as a program's globals."""
    monkeypatch.setenv("EVOLCODER_TEST_SECRET", "secret")
    (tmp_path / "token").write_text("token")
    name = f"evolcoder-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        _unix(str(tmp_path / "s")),
        _unix(f"\0{name}"),
        _unix(str(tmp_path / "d"), socket.SOCK_DGRAM),
    ):
        head = given(
            wall=1,
            secret_file=str(tmp_path / "token"),
            unix_path=str(tmp_path / "s"),
            unix_datagrams=str(tmp_path / "d"),
            abstract=name,
            our_pid=os.getpid(),
            tcp_port=tcp.getsockname()[1],
        )
        yield head, tmp_path


def _unix(path, kind=socket.SOCK_STREAM):
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(path)
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def ours_alive():
    """Processes that descend from this one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, wave = set(), {os.getpid()}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found |= wave
    return found


@pytest.mark.parametrize("escape", by_promise(ESCAPES), ids=str)
def test_the_escape_is_real(escape, outside):
    """Every row gets what it wants where only a throw-away container holds it."""
    if "root" in escape.needs and os.geteuid() != 0:
        pytest.skip("shown to be real as root only")
    got, *said = succeeds_loosely(escape, *outside)
    assert got, said


def attempt(sandbox, escape, outside):
    """Run an escape that must not last, stay or disturb; say whether it got what it wanted."""
    before = sandbox.run("print('up')") and ours_alive()
    got = False
    for _ in range(1 + ("twice" in escape.needs)):
        execution = sandbox.run(Program("python", outside[0] + escape.source))
        held = "limit" in escape.needs and execution.status is Status.OUTPUT
        got |= b"GOT" in execution.stdout + execution.stderr and not held
    assert execution.wall_s < QUICK.wall_s + 1
    if "long" in escape.needs:
        assert execution.status in {Status.TIMEOUT, Status.MEMORY}, execution
    assert ours_alive() <= before
    assert sandbox.run("print('still here')").stdout == b"still here\n"
    return got, execution


@pytest.mark.parametrize("escape", by_promise(ESCAPES), ids=str)
def test_the_sandbox_holds_it(sandbox, escape, outside):
    """No row gets what it wants, outlives its run, or keeps the next program from running."""
    got, execution = attempt(sandbox, escape, outside)
    assert not got, execution


@pytest.mark.parametrize("escape", by_promise(ESCAPES), ids=str)
def test_a_weaker_level_holds_it_or_says_which_layer_is_missing(at_weaker_levels, escape, outside):
    """Rows that a level cannot hold are named; each of them gets through, and its layer is missing.

    They are ended and cleaned up after like all others.
    """
    got, execution = attempt(at_weaker_levels, escape, outside)
    unheld = UNHELD[at_weaker_levels.level] | (UNHELD_AS_OUR_USER if os.geteuid() else {})
    missing = unheld.get(escape.name)
    assert got == (missing is not None), execution
    assert missing is None or missing in execution.missing


def test_only_rows_that_there_are_count_as_unheld():
    """The list of what a level cannot hold names nothing else."""
    assert {name for names in UNHELD.values() for name in names} <= {row.name for row in ESCAPES}
