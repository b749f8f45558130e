"""SIGKILL at any instant loses nothing that was paid for and repeats nothing on restart."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

import toys
from evolcoder.storage.run_store import RunStore
from groups import first_quick
from loopback import Loopback, in_thread

LATENCY_S = 0.15
REACHED_S = 0.1
"""An answer that had reached us so long before the kill must not be asked for again; seconds in
which the machine had no processor for us do not count."""


def start(folder: Path, seeds: Path, url: str, *more: str) -> subprocess.Popen[bytes]:
    command = ["run", "--seeds", seeds, "--model", f"{url}#toy", "--rounds", "2", "--out", folder]
    options = ["--cache", folder.with_suffix(".cache"), "--set", "traffic.concurrency=16",
               "--style", "append"]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "evolcoder.cli.main", *map(str, [*command, *options, *more])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it only sets a signal
    )


def heed_interrupts() -> None:
    """Undo what a shell does to commands in the background: their children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def dump(folder: Path) -> tuple[list[object], list[object]]:
    with RunStore.read(folder) as store:
        return list(store.rows()), list(store.drops())


def wait_for_calls(server: Loopback, n: int, process: subprocess.Popen[bytes]) -> None:
    while len(server.calls) < n and process.poll() is None:
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("n_seeds", "n_kills", "more"),
    [
        (40, 2, ()),
        (8, 2, ("--candidates", "4")),
        pytest.param(220, 25, (), marks=pytest.mark.e2e),
        pytest.param(60, 25, ("--candidates", "4"), marks=pytest.mark.e2e),
    ],
)
def test_sigkill_at_random_instants_loses_and_repeats_nothing(tmp_path, n_seeds, n_kills, more):
    """The restarted run equals an undisturbed one, and no answer that had come is asked again."""
    rng = random.Random(2024)
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", n_seeds)
    server = Loopback(answer=toys.answer, latency_s=LATENCY_S)
    with in_thread(server):
        finish(start(tmp_path / "whole", seeds, server.base_url, *more))
        n_whole = len(server.calls)
        server.calls.clear()
        kills = []
        for n in range(1, n_kills + 1):
            process = start(tmp_path / "cut", seeds, server.base_url, *more)
            if n % 5:
                wait_for_calls(server, len(server.calls) + 1, process)
                time.sleep(rng.uniform(0.0, 0.5))
            else:
                time.sleep(rng.uniform(0.0, 0.8))
            safe_at = time.monotonic() - REACHED_S - starved_s(process.pid)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if process.returncode == -signal.SIGKILL:
                kills.append((safe_at, len(server.calls)))
        finish(start(tmp_path / "cut", seeds, server.base_url, *more))
    assert len(kills) >= n_kills - n_kills // 8, "the run ended before it could be killed"
    assert dump(tmp_path / "cut") == dump(tmp_path / "whole")
    with RunStore.read(tmp_path / "cut") as store:
        timed = [(one.requests, one.sent, one.received) for one in store.throughput()]
        assert {"toy": tuple(map(sum, zip(*timed, strict=True)))} == store.calls_by_model()
    assert asked_again(server, kills) == []
    # What was in flight at each kill, and what had come just before one and was not yet written.
    assert len(server.calls) <= n_whole + 16 * (len(kills) + 2)


def asked_again(server: Loopback, kills: list[tuple[float, int]]) -> list[object]:
    """Requests that were sent again although their answer had reached us well before a kill.

    An answer has reached us by the time that the next request comes on its connection.
    """
    bodies = [orjson.dumps(call.body, option=orjson.OPT_SORT_KEYS) for call in server.calls]
    reached: dict[int, float] = {}
    newest: dict[tuple[str, int], int] = {}
    for n, call in enumerate(server.calls):
        if call.peer in newest:
            reached[newest[call.peer]] = call.received
        newest[call.peer] = n
    assert len(reached) > len(server.calls) // 2, "connections are not used again"
    found, begin = [], 0
    for safe_at, end in kills:
        later = set(bodies[end:])
        found += [
            server.calls[n].body
            for n in range(begin, end)
            if reached.get(n, safe_at) < safe_at and bodies[n] in later
        ]
        begin = end
    return found


def starved_s(pid: int) -> float:
    """Seconds in which a thread of the process could have run and the machine ran others."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[1]) for stat in stats) / 1e9


@pytest.mark.parametrize("told", first_quick([signal.SIGINT, signal.SIGTERM], pytest.mark.e2e))
def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(tmp_path, told):
    """SIGINT and SIGTERM end with 130 and one line that says how to go on; nothing is lost."""
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 60)
    server = Loopback(answer=toys.answer, latency_s=0.5)
    with in_thread(server):
        process = start(tmp_path / "run", seeds, server.base_url)
        wait_for_calls(server, 20, process)
        process.send_signal(told)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors.decode()
        assert errors.decode().splitlines()[-1].startswith("evolcoder: interrupted")
        assert b"Traceback" not in errors
        finish(start(tmp_path / "run", seeds, server.base_url))
    rows, _ = dump(tmp_path / "run")
    assert rows
    assert {row.task.round for row in rows} == {0, 1, 2}
