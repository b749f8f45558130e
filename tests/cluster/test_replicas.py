"""Model servers as replicas, here in this process: start, restart and drain."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from evolcoder.cluster.replicas import ModelReplica, ReplicaEngine, ServerPlan, ray_replicas
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


async def test_a_replica_that_only_dies_is_left_out():
    """After the restarts that it has, with a note of its last words."""
    notes = []
    engine, replicas = await open_engine(1, ServerPlan.of("toy", config("0.3")), notes, restarts=1)
    async with asyncio.timeout(60):
        while len(notes) < 2:
            await asyncio.sleep(0.05)
    assert "out of memory; starting it again" in notes[0]
    assert "left out after 1 restarts" in notes[1]
    assert replicas[0].n_starts == 2
    await engine.aclose()


def test_gpus_are_counted_before_a_server_starts():
    """More servers than fit on the nodes are refused; the default shares the GPUs out."""

    class Cluster:
        ray = None

        def nodes(self):
            return [Node(3), Node(2)]

    class Node:
        def __init__(self, gpus):
            self.gpus = gpus

    two = ClusterConfig(gpus_per_replica=2)
    assert len(ray_replicas(Cluster(), "m", two, 1)) == 2
    assert len(ray_replicas(Cluster(), "m", two, 2)) == 1
    with pytest.raises(ConfigError, match=r"cluster.replicas: 3 servers of 2 GPUs.* 3, 2 GPUs"):
        ray_replicas(Cluster(), "m", two.model_copy(update={"replicas": 3}), 1)
