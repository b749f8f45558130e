"""Finds out what the nodes of a cluster can do, before anything is paid for.

On every node an actor starts the sandbox at the level asked for, and looks for vLLM. A node that
cannot be asked is a finding like any other.

>>> found = await check_nodes(cluster, "strict")   # doctest: +SKIP
>>> [(node.name, node.layers, node.vllm) for node in found]   # doctest: +SKIP
"""

import asyncio
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from evolcoder.cluster.node import NodeSandbox, SandboxOptions
from evolcoder.cluster.ray_cluster import NodeFacts, RayCluster, asked, on_node
from evolcoder.errors import NodeLostError, SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import missing_from


@dataclass(frozen=True, slots=True)
class Software:
    """What a node reports about itself."""

    python: str
    """Version of Python."""
    evolcoder: str
    """Version of evolcoder."""
    vllm: str
    """Version of vLLM; empty if it is not installed."""
    refused: str
    """Why the sandbox does not work at the level; empty if it does."""
    layers: tuple[str, ...]
    """Active isolation layers."""
    languages: tuple[str, ...]
    """Languages besides Python that it runs."""


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What one node can do."""

    name: str
    """Name or address, and the beginning of Ray's id."""
    cpus: float
    """Processors that Ray may use."""
    gpus: float
    """GPUs that Ray may use."""
    memory_gb: float
    """Memory that Ray may use."""
    software: Software | None
    """What it reports; None if it could not be asked."""
    trouble: str
    """Why it runs no programs; empty if it does."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Isolation layers that are not active."""
        return tuple(map(str, missing_from(self.software.layers))) if self.software else ()


class NodeInspector:
    """Looks at the node that it runs on; an actor."""

    async def inspect(self, level: str, packages: tuple[str, ...]) -> Software:
        """Start and end the sandbox, and look for packages."""
        node, refused = NodeSandbox(), ""
        layers: tuple[str, ...] = ()
        languages: tuple[str, ...] = ()
        try:
            options = SandboxOptions(level, workers=1, languages=None, requires=packages)
            report = await node.start(options)
            layers, languages = report.layers, report.languages
        except (SandboxRefusedError, SandboxError) as error:
            refused = str(error)
        await node.stop()
        found = (platform.python_version(), version("evolcoder"), version_of("vllm"))
        return Software(*found, refused, layers, languages)


def version_of(package: str) -> str:
    """Return the version of an installed package without importing it; empty if there is none."""
    if find_spec(package) is None:
        return ""
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


async def check_nodes(
    cluster: RayCluster, level: str, packages: Sequence[str] = ()
) -> list[NodeCheck]:
    """Check all nodes at once; `packages` are requirements that each must meet."""
    checks = (_check(cluster, facts, level, packages) for facts in cluster.nodes())
    return list(await asyncio.gather(*checks))


async def _check(
    cluster: RayCluster, facts: NodeFacts, level: str, packages: Sequence[str]
) -> NodeCheck:
    software, trouble = None, ""
    actor = on_node(cluster.ray, NodeInspector, facts.id, num_cpus=0).remote()
    try:
        software = await asked(
            cluster.ray, f"node {facts.name}", actor.inspect.remote(level, tuple(packages))
        )
        trouble = software.refused
        if software.evolcoder != version("evolcoder"):
            trouble = f"has evolcoder {software.evolcoder}, not {version('evolcoder')}"
        if facts.cpus < 1:
            trouble = "offers no processor to Ray"
    except NodeLostError as error:
        trouble = str(error)
    finally:
        cluster.ray.kill(actor)
    return NodeCheck(facts.name, facts.cpus, facts.gpus, facts.memory_gb, software, trouble)
