"""Model servers as replicas, here in this process: start, restart and drain."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from evolcoder.cluster.ray_cluster import NodeFacts
from evolcoder.cluster.replicas import ModelReplica, ReplicaEngine, ServerPlan, shared_out
from evolcoder.config.load import ClusterConfig, TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import ConfigError, ModelError

TESTS = Path(__file__).parents[1]
COMMAND = (sys.executable, str(TESTS / "cluster" / "model_server.py"), "{host}", "{port}")
TRAFFIC = TrafficConfig(max_retry_s=30.0)


def config(*more, command=COMMAND, **keys):
    return ClusterConfig(
        serve_command=(*command, *more), gpus_per_replica=0, ready_s=60, stop_s=5, **keys
    )


class HereReplica:
    """A replica whose server runs on this machine, without an actor."""

    def __init__(self, name, plan):
        self.name = name
        self.plan = plan
        self.runs = None
        self.n_starts = 0

    async def start(self):
        await self.stop()
        self.n_starts += 1
        self.runs = ModelReplica()
        return await asyncio.to_thread(self.runs.start, self.plan, "127.0.0.1")

    async def has_ended(self):
        return await asyncio.to_thread(self.runs.has_ended)

    async def stop(self):
        if self.runs is not None:
            await asyncio.to_thread(self.runs.stop)


def asked(prompt):
    return Request("toy", (Message("user", prompt),), Sampling(0.0, 1.0, 50), 7)


async def open_engine(n, plan, notes, restarts=3):
    replicas = [HereReplica(f"replica {i}", plan) for i in range(n)]
    engine = await ReplicaEngine.start(
        replicas,
        lambda url: OpenAIEngine(url, api_key=None, traffic=TRAFFIC, backoff_s=0.05),
        TRAFFIC,
        restarts=restarts,
        note=notes.append,
    )
    return engine, replicas


async def test_a_replica_that_dies_is_started_again_and_all_requests_are_answered():
    """Its requests go to another replica; at the end no server is left."""
    notes = []
    engine, replicas = await open_engine(2, ServerPlan.of("toy", config()), notes)
    first = (await engine.complete(asked("0"))).text.split()[0]
    os.kill(int(first), signal.SIGKILL)
    texts = await asyncio.gather(*(engine.complete(asked(f"{i}")) for i in range(20)))
    assert [one.text.split()[1] for one in texts] == [f"{i}" for i in range(20)]
    async with asyncio.timeout(60):
        while sum(one.n_starts for one in replicas) < 3 or len(engine.pool.outstanding) < 2:
            await asyncio.sleep(0.05)
    texts = await asyncio.gather(*(engine.complete(asked(f"x{i}")) for i in range(20)))
    pids = {int(one.text.split()[0]) for one in texts}
    assert len(pids) == 2
    assert int(first) not in pids
    assert any("exited with code -9" in note for note in notes)
    await engine.aclose()
    await engine.aclose()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_a_server_that_does_not_start_is_one_line():
    """With its last words; other servers are stopped."""
    broken = (sys.executable, "-c", "import sys; sys.exit('no such model: {model}')")
    with pytest.raises(ModelError, match=r"exited with code 1.*no such model: toy"):
        await open_engine(2, ServerPlan.of("toy", config(command=broken)), [])


@pytest.mark.parametrize(
    ("program", "keys", "said"),
    [
        ("print('the cause'); import sys; sys.exit('the end')", {}, r"exited with code 1.*the end"),
        ("print('the cause', flush=True); import time; time.sleep(99)", {"ready_s": 1},
         r"not ready within 1 s \(cluster\.ready_s\)"),
    ],
)  # fmt: skip
async def test_the_log_of_a_server_that_does_not_start_is_kept(program, keys, said):
    """The message names replica, machine and log, which has the cause; vLLM prints it far above."""
    plan = replace(ServerPlan.of("toy", config(command=(sys.executable, "-c", program))), **keys)
    with pytest.raises(ModelError, match=said) as failure:
        await open_engine(1, plan, [])
    message = str(failure.value)
    assert message.startswith(f"replica 0: on {socket.gethostname()}: the server ")
    log = Path(re.search(r"\(full log: (.+)\)", message)[1])
    try:
        assert "the cause" in log.read_text()
    finally:
        shutil.rmtree(log.parent)


async def test_the_log_of_a_server_that_works_is_removed():
    """And that of one which exits later is kept."""
    replica = ModelReplica()
    await asyncio.to_thread(replica.start, ServerPlan.of("toy", config()), "127.0.0.1")
    folder = replica._log.parent
    assert not await asyncio.to_thread(replica.has_ended)
    replica.stop()
    assert not folder.exists()
    replica = ModelReplica()
    await asyncio.to_thread(replica.start, ServerPlan.of("toy", config("1")), "127.0.0.1")
    while not (why := await asyncio.to_thread(replica.has_ended)):
        pass
    replica.stop()
    log = Path(re.search(r"\(full log: (.+) on ", why)[1])
    assert "out of memory" in log.read_text()
    shutil.rmtree(log.parent)


async def test_no_replica_starts_after_another_has_failed():
    """Its server and the GPUs of its actor would be held by nothing that ends them."""
    may_start = asyncio.Event()

    class Waiting(HereReplica):
        async def start(self):
            await may_start.wait()
            return await super().start()

    plan = ServerPlan.of("toy", config(command=(sys.executable, "-c", "raise SystemExit(3)")))
    replicas = [HereReplica("replica 1", plan), Waiting("replica 2", plan)]
    with pytest.raises(ModelError):
        await ReplicaEngine.start(replicas, OpenAIEngine, TRAFFIC, restarts=0, note=print)
    may_start.set()
    await asyncio.sleep(0)
    assert [one.n_starts for one in replicas] == [1, 0]


async def test_a_replica_that_only_dies_is_left_out():
    """After the restarts that it has, with a note of its last words."""
    notes = []
    engine, replicas = await open_engine(1, ServerPlan.of("toy", config("0.3")), notes, restarts=1)
    async with asyncio.timeout(60):
        while len(notes) < 2:
            await asyncio.sleep(0.05)
    assert re.search(r"out of memory \(full log: .+\); starting it again", notes[0])
    assert "left out after 1 restarts" in notes[1]
    assert replicas[0].n_starts == 2
    await engine.aclose()


def nodes(*gpus):
    return [NodeFacts(f"id{i}", f"node{i}", "::1", 1, n, 1) for i, n in enumerate(gpus)]


@pytest.mark.parametrize(
    ("gpus", "keys", "models", "placed"),
    [
        ((3, 2), {"gpus_per_replica": 2}, ("m",), {"m": [0, 1]}),
        ((3, 2), {"gpus_per_replica": 2}, ("m", "n"), {"m": [0], "n": [1]}),
        ((2, 2), {}, ("m", "n"), {"m": [0, 1], "n": [0, 1]}),
        ((1, 2), {"replicas": 3}, ("m",), {"m": [1, 0, 1]}),
        ((2, 2, 4), {"gpus_per_replica": {"big": 4}}, ("m", "big"), {"m": [0, 1, 0, 1], "big": [2]}),
        ((4, 4), {"replicas": {"m": 1}, "gpus_per_replica": {"big": 2}}, ("m", "big"),
         {"big": [0, 1, 0], "m": [1]}),
        ((0, 0), {"replicas": 3, "gpus_per_replica": 0}, ("m",), {"m": [0, 1, 0]}),
    ],
)  # fmt: skip
def test_gpus_are_shared_out_before_a_server_starts(gpus, keys, models, placed):
    """Large servers first; the default takes all GPUs; a number may differ by model."""
    found = shared_out(nodes(*gpus), ClusterConfig(**keys), models)
    assert found == {model: [f"id{i}" for i in places] for model, places in placed.items()}


def test_servers_that_do_not_fit_are_refused():
    """In one line, with what was wanted and what there is."""
    keys = {"replicas": {"m": 2}, "gpus_per_replica": {"m": 2, "n": 1}}
    with pytest.raises(ConfigError) as refusal:
        shared_out(nodes(3, 1), ClusterConfig(**keys), ("m", "n"))
    assert str(refusal.value) == (
        "cluster.replicas: the servers do not fit on the nodes: wanted are 2 of m with 2, "
        "1 of n with 1 GPUs each, and the nodes have 3, 1 GPUs"
    )
    with pytest.raises(ConfigError, match="have no GPUs"):
        shared_out([], ClusterConfig(), ("m",))


async def test_a_server_is_not_started_where_a_package_is_missing():
    """Of the config's `packages`; the line names it."""
    plan = ServerPlan.of("toy", config(packages=("no-such-package>=2",)))
    with pytest.raises(ModelError, match="wants no-such-package>=2, which is not installed"):
        await open_engine(1, plan, [])


async def test_a_replica_killed_in_mid_request_has_its_requests_sent_again_once(tmp_path):
    """What it had not answered goes to another replica; what was answered is not asked again."""
    log = tmp_path / "log"
    plan = ServerPlan.of("toy", config("1e6", "1.0", str(log)))
    engine, _ = await open_engine(3, plan, [])
    asking = [asyncio.create_task(engine.complete(asked(f"{i}"))) for i in range(60)]
    async with asyncio.timeout(60):
        while len(events(log, "asked")) < 60:
            await asyncio.sleep(0.02)
        while len(events(log, "answered")) < 1:
            await asyncio.sleep(0.002)
    late = [asyncio.create_task(engine.complete(asked(f"{i}"))) for i in range(60, 120)]
    async with asyncio.timeout(60):
        while len(events(log, "asked")) < 120:
            await asyncio.sleep(0.02)
    victim = Counter(pid for pid, _ in events(log, "asked")).most_common()[0][0]
    os.kill(int(victim), signal.SIGKILL)
    texts = [one.text.split()[1] for one in await asyncio.gather(*asking, *late)]
    assert texts == [f"{i}" for i in range(120)]
    n_asked = Counter(prompt for _, prompt in events(log, "asked"))
    lost = {prompt for pid, prompt in events(log, "asked") if pid == victim} - {
        prompt for _, prompt in events(log, "answered", of=victim)
    }
    assert lost
    assert {prompt for prompt, n in n_asked.items() if n > 1} == lost
    assert max(n_asked.values()) == 2
    await engine.aclose()


@pytest.mark.parametrize("restarts", [0, 1])
async def test_requests_of_a_lost_machine_do_not_wait_for_its_replacement(restarts):
    """A machine without power closes no connection, and another server takes minutes to start."""
    is_lost = asyncio.Event()

    class Lost(HereReplica):
        async def start(self):
            if self.n_starts:
                await asyncio.Event().wait()
            return await super().start()

        async def has_ended(self):
            await is_lost.wait()
            return "node n: died"

    plan, notes = ServerPlan.of("toy", config("1e6", "0.5")), []
    replicas = [Lost("replica 1", plan), HereReplica("replica 2", plan)]
    engine = await ReplicaEngine.start(
        replicas,
        lambda url: OpenAIEngine(url, api_key=None, traffic=TRAFFIC),
        TRAFFIC,
        restarts=restarts,
        note=notes.append,
    )
    os.kill(replicas[0].runs._process.pid, signal.SIGSTOP)
    asking = [asyncio.create_task(engine.complete(asked(f"{i}"))) for i in range(20)]
    async with asyncio.timeout(60):
        while sum(one.done() for one in asking) < 5:
            await asyncio.sleep(0.05)
        is_lost.set()
        texts = [one.text.split()[1] for one in await asyncio.gather(*asking)]
    assert texts == [f"{i}" for i in range(20)]
    assert len(engine.pool.outstanding) == 1
    os.kill(replicas[0].runs._process.pid, signal.SIGCONT)
    await engine.aclose()


def events(log, kind, of=None):
    """Pairs of process and prompt that the servers wrote, one a line."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(pid, prompt) for what, pid, prompt in lines if what == kind and of in (None, pid)]


async def test_closing_waits_for_requests_in_flight():
    """A server ends when it has answered what it was asked."""
    plan = ServerPlan.of("toy", config("1e6", "0.5"))
    engine, _ = await open_engine(2, plan, [])
    asking = [asyncio.create_task(engine.complete(asked(f"{i}"))) for i in range(8)]
    await asyncio.sleep(0.1)
    await engine.aclose()
    assert [one.text.split()[1] for one in await asyncio.gather(*asking)] == list("01234567")
