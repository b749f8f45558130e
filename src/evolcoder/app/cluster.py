"""Starts sandboxes and model servers on the cluster that a config names, and checks its nodes.

The connection is shared by all that use it, and ends with the first that opened it.

>>> sandbox = await start_sandbox(config.cluster, SandboxOptions(), stack)   # doctest: +SKIP
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace

from evolcoder.app.progress import print_note, shown
from evolcoder.cluster.check import NodeCheck, check_nodes
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.ray_cluster import connected
from evolcoder.cluster.replicas import ReplicaEngine, nodes_with, ray_replicas, shared_out
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.config.load import ClusterConfig, Config
from evolcoder.engine.openai import OpenAIEngine

__all__ = [
    "ClusterCheck", "NodeCheck", "SandboxOptions", "check", "open_replicas", "start_sandbox"
]  # fmt: skip


async def start_sandbox(
    config: ClusterConfig, options: SandboxOptions, stack: AsyncExitStack
) -> ClusterSandbox:
    """Start a sandbox on every node; ConfigError without a cluster at `config.address`."""
    assert config.address is not None
    cluster = stack.enter_context(connected(config.address))
    nodes, find = cluster.sandbox_nodes(), cluster.sandbox_nodes
    options = replace(options, requires=config.packages)
    with shown(lambda: f"starting sandboxes on {len(nodes)} nodes of the cluster", if_long=True):
        sandbox = await ClusterSandbox.start(nodes, options, note=print_note, find=find)
    stack.push_async_callback(sandbox.aclose)
    n_nodes, where = len(sandbox.reports), config.address
    print_note(f"cluster {where}: {n_nodes} nodes run {sandbox.workers} programs at a time")
    return sandbox


async def open_replicas(
    model: str, config: Config, connect: Callable[[str], OpenAIEngine], models: Sequence[str]
) -> ReplicaEngine:
    """Start the servers of a model, one of `models`; the engine ends them when it is closed.

    Raises ConfigError if the cluster lacks GPUs, and ModelError if a server does not start.
    """
    assert config.cluster.address is not None
    with ExitStack() as stack:
        cluster = stack.enter_context(connected(config.cluster.address))
        nodes = await nodes_with(cluster, config.cluster.packages, print_note)
        places = shared_out(nodes, config.cluster, models)
        replicas = ray_replicas(cluster, model, config.cluster, places)
        print_note(f"starting {len(replicas)} servers of {model} on the cluster")
        engine = await ReplicaEngine.start(
            replicas, connect, config.traffic, restarts=config.cluster.restarts, note=print_note
        )
        engine.on_close = stack.pop_all().close
    return engine


@dataclass(frozen=True, slots=True)
class ClusterCheck:
    """What a cluster can do."""

    nodes: tuple[NodeCheck, ...]
    """What each node can do."""
    servers: dict[str, int]
    """By model that the config serves on the cluster, the number of its servers."""


async def check(config: ClusterConfig, level: str, models: Sequence[str] = ()) -> ClusterCheck:
    """Check what the nodes can do, and whether the servers of `models` fit on their GPUs.

    Raises ConfigError without a cluster at `config.address`, or if the servers do not fit.
    """
    assert config.address is not None
    with connected(config.address) as cluster:
        nodes = await check_nodes(cluster, level, config.packages)
        places: dict[str, list[str]] = {}
        if models:
            usable = await nodes_with(cluster, config.packages, print_note)
            places = shared_out(usable, config, models)
    return ClusterCheck(tuple(nodes), {model: len(found) for model, found in places.items()})
