"""A Ray cluster that `ray start --head` made: by its address, by `auto`, and what can be wrong."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

import toys
from all_tables import tables_of
from evolcoder.cli.main import main
from evolcoder.cluster.ray_cluster import asked, connected
from evolcoder.errors import NodeLostError
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl
from loopback import Loopback, in_thread

pytestmark = pytest.mark.cluster
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
START_S = 120.0
FAST_S = 15.0
"""A wrong address is told in less, where Ray would wait for minutes; the import of Ray is in it."""


class Head:
    """A head node that a user started on loopback, as a process with all its children."""

    def __init__(self):
        # Short, since Ray puts its sockets in there.
        self.folder = Path(tempfile.mkdtemp(prefix="evr", dir="/tmp"))
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        command = [
            *RAY, "start", "--head", f"--port={self.port}", "--node-ip-address=127.0.0.1",
            "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--block",
            f"--temp-dir={self.folder}/ray", f"--object-store-memory={80 << 20}",
        ]  # fmt: skip
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "RAY_worker_niceness": "0"},
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while "Ray runtime started" not in (self.folder / "log").read_text():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        for pid in self.processes():  # Ray's, which it left
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self):
        """Ids of all processes that have its folder in their command."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.folder).encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def head(turn):
    found = Head()
    try:
        found.start()
        yield found
    finally:
        found.stop()
    assert not found.processes()


@pytest.fixture(autouse=True)
def _own_ray(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def rows_file(path, n=6):
    rows = [{"instruction": f"Print {i}.", "output": f"```python\n{s}\n```"} for i, s in
            zip(range(n), ["print(1)", "1 / 0", "def f(:"] * n, strict=False)]  # fmt: skip
    write_jsonl(path, rows)
    return path


def verify(rows, out, *flags):
    return main(["verify", str(rows), "--out", str(out), *map(str, flags)])


def test_auto_without_a_cluster_is_one_line(turn, tmp_path, capsys, monkeypatch):
    """It says how to start one."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    begun = time.monotonic()
    assert verify(rows_file(tmp_path / "rows.jsonl"), tmp_path / "out", "--cluster", "auto") == 2
    line = capsys.readouterr().err
    assert "--cluster auto: no cluster was found here; start one with `ray start --head`" in line
    assert line.count("\n") == 1
    assert time.monotonic() - begun < FAST_S


def test_auto_with_a_cluster_that_has_ended_is_one_line_and_fast(
    turn, tmp_path, capsys, monkeypatch
):
    """Ray would wait for minutes for one that was killed, or that RAY_ADDRESS still names."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        closed = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", closed)
    begun = time.monotonic()
    assert verify(rows_file(tmp_path / "rows.jsonl"), tmp_path / "out", "--cluster", "auto") == 2
    line = capsys.readouterr().err
    assert "--cluster auto: the cluster at " in line
    assert "does not answer: no connection (Connection refused)" in line
    assert "`ray stop`" in line
    assert line.count("\n") == 1
    assert time.monotonic() - begun < FAST_S


def test_a_wrong_address_is_one_line_and_fast(head, tmp_path, capsys):
    """A closed port, and a host that there is not; nothing is written."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        closed = f"127.0.0.1:{probe.getsockname()[1]}"
    rows = rows_file(tmp_path / "rows.jsonl")
    for address in (closed, "no-such-host.invalid:6379"):
        begun = time.monotonic()
        assert verify(rows, tmp_path / "out", "--cluster", address) == 2
        line = capsys.readouterr().err
        assert f"--cluster {address}: no connection (" in line
        assert "correct the address" in line
        assert line.count("\n") == 1
        assert time.monotonic() - begun < FAST_S
    assert not (tmp_path / "out").exists()


def test_the_cluster_of_an_address_runs_programs(head, tmp_path, capsys):
    """It is left as it is when the command ends; the verdicts are those of one machine."""
    rows = rows_file(tmp_path / "rows.jsonl")
    assert verify(rows, tmp_path / "here") == 0
    capsys.readouterr()
    assert verify(rows, tmp_path / "there", "--cluster", head.address) == 0
    assert f"cluster {head.address}: 1 nodes run 3 programs at a time" in capsys.readouterr().err
    assert tables_of(tmp_path / "here") == tables_of(tmp_path / "there")
    assert main(["cluster", "check", "--cluster", head.address]) == 0
    assert "1 of 1 nodes run programs; 2 CPUs, 0 GPUs" in capsys.readouterr().out


def test_auto_finds_the_cluster_of_this_machine(head, tmp_path, capsys, monkeypatch):
    """By the file that `ray start` left in its folder."""
    monkeypatch.setenv("RAY_TMPDIR", str(head.folder))
    rows = rows_file(tmp_path / "rows.jsonl")
    assert verify(rows, tmp_path / "there", "--cluster", "auto") == 0
    assert "cluster auto: 1 nodes run 3 programs" in capsys.readouterr().err


def test_another_version_of_ray_is_told(head, tmp_path):
    """One line with both versions."""
    rows = rows_file(tmp_path / "rows.jsonl")
    code = "import sys, ray; ray.__version__ = '2.56.9'\n"
    code += "from evolcoder.cli.main import main; sys.exit(main(sys.argv[1:]))"
    flags = ["verify", rows, "--out", tmp_path / "out", "--cluster", head.address]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, flags)], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    ours = version("ray"), ".".join(map(str, sys.version_info[:3]))
    assert line == (
        f"evolcoder: --cluster {head.address}: the cluster has Ray {ours[0]} and Python {ours[1]}, "
        f"and here are Ray 2.56.9 and Python {ours[1]}; install the same versions"
    )


def start(folder, seeds, url, address):
    """Start a run on the cluster, as a process of its own."""
    flags = ["--seeds", seeds, "--model", f"{url}#toy", "--rounds", "1", "--out", folder,
             "--style", "append", "--cache", folder.with_suffix(".cache"), "--cluster", address,
             "--set", "traffic.concurrency=8", "--set", "verify.seeds=true",
             "--set", "clean.near=null", "--set", "verify.when=always"]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "evolcoder.cli.main", "run", *map(str, flags)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def n_verdicts(folder):
    """Verdicts that a run has by now."""
    if not (folder / "run.db").exists():
        return 0
    try:
        with RunStore.read(folder, is_checked=True) as store:
            return store.db.number("SELECT COUNT(*) FROM verdicts")
    except Exception:  # noqa: BLE001 - it is being made
        return 0


def test_a_driver_that_is_killed_goes_on_where_it_was(head, tmp_path):
    """SIGKILL at three instants: no verdict is made again, no answer is asked for again."""
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 40)
    with in_thread(Loopback(answer=toys.answer, latency_s=0.02)) as server:
        _finish(start(tmp_path / "whole", seeds, server.base_url, head.address))
        expected = tables_of(tmp_path / "whole")
        whole = len(server.calls)
        server.calls.clear()
        n, kept = len(expected["verdicts"]), []
        for instant in (3, n // 3, 2 * n // 3):
            process = start(tmp_path / "cut", seeds, server.base_url, head.address)
            while n_verdicts(tmp_path / "cut") < instant and process.poll() is None:
                time.sleep(0.01)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            kept.append(_verdicts(tmp_path / "cut"))
        _finish(start(tmp_path / "cut", seeds, server.base_url, head.address))
    found = tables_of(tmp_path / "cut")
    last = _verdicts(tmp_path / "cut")
    assert [len(one) < n for one in kept] == [True] * 3
    for earlier in kept:  # by rowid: what was stored then is what is stored now
        assert earlier.items() <= last.items()
    for name in ("tasks", "responses", "drops", "verdicts", "kept"):
        assert found[name] == expected[name], name
    assert len(server.calls) <= whole + 8 * (3 + 1)


def _verdicts(folder):
    with RunStore.read(folder) as store:
        return {row[0]: row[1:] for row in store.db.read("SELECT rowid, * FROM verdicts")}


def _finish(process):
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ActorUnavailableError", "cannot be reached; Ray may have ended there"),
        ("RayError", "died:"),
    ],
)
def test_a_node_that_is_lost_is_named_without_rays_internals(name, words):
    """A connection that is cut, also that to a head that ends while its nodes start."""
    ray = pytest.importorskip("ray")
    rpc = "The actor is temporarily unavailable: RpcError: Socket closed rpc_code: 14"
    given = (rpc, None) if name == "ActorUnavailableError" else (rpc,)

    async def lost():
        raise getattr(ray.exceptions, name)(*given)

    with pytest.raises(NodeLostError, match=f"node here: {words}") as caught:
        asyncio.run(asked(ray, "node here", lost()))
    assert ("rpc_code" in str(caught.value)) is (name == "RayError")


def test_a_local_cluster_starts_in_a_process_that_has_used_ray(turn, monkeypatch):
    """Ray reads once, when it is imported, whether this machine's address is loopback."""
    from ray._private import ray_constants

    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    for _ in range(2):
        with connected("local:1") as cluster:
            assert not ray_constants.ENABLE_RAY_CLUSTER
            assert len(cluster.nodes()) == 1
        assert ray_constants.ENABLE_RAY_CLUSTER, "a cluster of several machines is not on loopback"


def test_a_simulated_node_that_ends_while_it_starts_is_replaced(turn):
    """A busy machine ends some; the cluster has all of its nodes nevertheless."""
    killed, ends = [], threading.Event()

    def kill_first():
        while not killed and not ends.is_set():
            own = sorted(pid for pid in _raylets() if "--head" not in _command(pid))
            if len(own) > 1:  # Ray has begun with the next one
                os.kill(own[0], signal.SIGKILL)
                killed.append(own[0])
            time.sleep(0.05)

    killer = threading.Thread(target=kill_first, daemon=True)
    killer.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, while it starts
            with connected("local:3") as cluster:
                killer.join()
                assert not {*killed} & {*_raylets()}
                assert len(cluster.nodes()) == 3
    finally:
        ends.set()
        killer.join()


def _raylets():
    """Processes of simulated nodes that this one started."""
    return [
        int(path.name) for path in Path("/proc").iterdir()
        if path.name.isdigit() and "/raylet/raylet" in _command(path.name).split(" ")[0]
        and f"PPid:\t{os.getpid()}\n" in _read(path / "status")
    ]  # fmt: skip


def _command(pid):
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def _read(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
