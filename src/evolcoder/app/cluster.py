"""Starts sandboxes and model servers on the cluster that a config names, and checks its nodes.

The connection is shared by all that use it, and ends with the first that opened it.

>>> sandbox = await start_sandbox(config.cluster, SandboxOptions(), stack)   # doctest: +SKIP
"""

from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

from evolcoder.app.progress import print_note
from evolcoder.cluster.check import NodeCheck, check_nodes
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.ray_cluster import connected
from evolcoder.cluster.replicas import ReplicaEngine, ray_replicas
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.config.load import ClusterConfig, Config
from evolcoder.engine.openai import OpenAIEngine

__all__ = ["NodeCheck", "SandboxOptions", "check", "open_replicas", "start_sandbox"]


async def start_sandbox(
    config: ClusterConfig, options: SandboxOptions, stack: AsyncExitStack
) -> ClusterSandbox:
    """Start a sandbox on every node; ConfigError without a cluster at `config.address`."""
    assert config.address is not None
    cluster = stack.enter_context(connected(config.address))
    sandbox = await ClusterSandbox.start(cluster.sandbox_nodes(), options, note=print_note)
    stack.push_async_callback(sandbox.aclose)
    n_nodes, where = len(sandbox.reports), config.address
    print_note(f"cluster {where}: {n_nodes} nodes run {sandbox.workers} programs at a time")
    return sandbox


async def open_replicas(
    model: str, config: Config, connect: Callable[[str], OpenAIEngine], n_models: int
) -> ReplicaEngine:
    """Start the servers of a model, one of `n_models`; the engine ends them when it is closed.

    Raises ConfigError if the cluster lacks GPUs, and ModelError if a server does not start.
    """
    assert config.cluster.address is not None
    with ExitStack() as stack:
        cluster = stack.enter_context(connected(config.cluster.address))
        replicas = ray_replicas(cluster, model, config.cluster, n_models)
        print_note(f"starting {len(replicas)} servers of {model} on the cluster")
        engine = await ReplicaEngine.start(
            replicas, connect, config.traffic, restarts=config.cluster.restarts, note=print_note
        )
        engine.on_close = stack.pop_all().close
    return engine


async def check(config: ClusterConfig, level: str) -> list[NodeCheck]:
    """Check what the nodes can do; ConfigError without a cluster at `config.address`."""
    assert config.address is not None
    with connected(config.address) as cluster:
        return await check_nodes(cluster, level)
