"""A server runs within its context, and nothing of it is left afterwards."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolcoder.errors import StepFailed
from evolcoder.serving.process import started, wait_until_ready

TOY = """
import http.server, os, subprocess, sys, time
port, pids, delay = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
child = subprocess.Popen(["sleep", "600"])
open(pids, "w").write(f"{os.getpid()} {child.pid}")
time.sleep(delay)

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


@contextmanager
def server(command, url, *, log, ready_s, stop_s):
    with started(command, url, log=log, stop_s=stop_s) as process:
        wait_until_ready(process, url, log, ready_s)
        yield


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pids, within_s=10.0):
    ends = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < ends:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.fixture
def toy(tmp_path):
    """A command that serves, its URL, and the file to which it writes its process ids."""
    port = free_port()
    (tmp_path / "toy.py").write_text(TOY)
    pids = tmp_path / "pids"
    command = [sys.executable, str(tmp_path / "toy.py"), str(port), str(pids)]
    return command, f"http://127.0.0.1:{port}/v1", pids


def test_it_is_up_inside_and_gone_outside(toy, tmp_path):
    """The server and its child end with the context; the port is free again."""
    command, url, pids = toy
    for _ in range(2):
        with server([*command, "0.3"], url, log=tmp_path / "log", ready_s=30, stop_s=5):
            serving = [int(pid) for pid in pids.read_text().split()]
            assert all(map(alive, serving))
        assert gone(serving)


def test_a_server_that_exits_early_is_reported_with_its_last_log_line(toy, tmp_path):
    """The wait ends as soon as the process has exited."""
    command = [sys.executable, "-c", "raise SystemExit('no such weights')"]
    with pytest.raises(StepFailed, match="before it was ready: no such weights"):
        with server(command, toy[1], log=tmp_path / "log", ready_s=60, stop_s=5):
            pass
    with pytest.raises(StepFailed, match="cannot start nowhere"):
        with server(["nowhere"], toy[1], log=tmp_path / "log", ready_s=60, stop_s=5):
            pass


def test_a_server_that_is_never_ready_is_put_away(toy, tmp_path):
    """The wait is bounded, and the process is ended."""
    command, url, pids = toy
    with pytest.raises(StepFailed, match="not ready within 1 s"):
        with server([*command, "600"], url, log=tmp_path / "log", ready_s=1, stop_s=5):
            pass
    assert gone([int(pid) for pid in pids.read_text().split()])


def test_a_port_in_use_is_named(toy, tmp_path):
    """Another process's server is neither used nor ended."""
    command, url, _ = toy
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(url.split(":")[2].split("/")[0])))
        other.listen()
        with pytest.raises(StepFailed, match=r"serve\.port: \d+ is in use"):
            with server([*command, "0"], url, log=tmp_path / "log", ready_s=5, stop_s=0.1):
                pass


def test_it_dies_with_us(toy, tmp_path):
    """SIGKILL of the process that started a server also ends the server."""
    command, url, pids = toy
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from evolcoder.serving.process import started, wait_until_ready
        log = Path({str(tmp_path / "log")!r})
        with started({[*command, "0"]!r}, {url!r}, log=log, stop_s=5) as process:
            wait_until_ready(process, {url!r}, log, 30)
            print("up", flush=True)
            time.sleep(600)
    """)
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"up\n"
    serving, child = map(int, pids.read_text().split())
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert gone([serving])
    os.kill(child, signal.SIGKILL)
