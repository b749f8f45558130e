"""Nodes whose programs take a fixed time and no processor, in this process or in Ray's actors.

Throughput then shows dispatch alone, whatever this machine's load.
"""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version

from evolcoder.cluster.node import NodeJob, NodeReport, NodeResult, SandboxOptions
from evolcoder.cluster.ray_cluster import RayCluster, RayNode
from evolcoder.sandbox.base import STRICT_LAYERS, Execution, Status

WORKERS = 16
"""Workers of a node."""
EXECUTION = Execution(
    Status.FINISHED, 0, b"", b"", b"", None, None, 0.0, 0.0, 1.0, 0.0, STRICT_LAYERS, ()
)


class ScriptedSandbox:
    """The sandbox of a node: each program takes `latency_s`, `WORKERS` run at a time."""

    latency_s = 0.05

    def __init__(self) -> None:
        self.n_submitted = 0
        """Programs that it was sent."""
        self._slots = asyncio.Semaphore(WORKERS)
        self._results: asyncio.Queue[NodeResult] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, _options: SandboxOptions) -> NodeReport:
        """Offer `WORKERS` workers."""
        return NodeReport(WORKERS, tuple(map(str, STRICT_LAYERS)), (), version("evolcoder"))

    async def submit(self, jobs: Sequence[NodeJob]) -> None:
        """Start a batch."""
        self.n_submitted += len(jobs)
        for job in jobs:
            task = asyncio.create_task(self._run(job.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, number: int) -> None:
        async with self._slots:
            await asyncio.sleep(self.latency_s)
        self._results.put_nowait(NodeResult(number, EXECUTION))

    async def collect(self) -> list[NodeResult]:
        """Wait for results."""
        found = [await self._results.get()]
        while not self._results.empty():
            found.append(self._results.get_nowait())
        return found

    async def cancel(self, _numbers: Sequence[int]) -> None:
        """Let them end by themselves."""

    async def stop(self) -> None:
        """Nothing runs."""


class ScriptedNode(ScriptedSandbox):
    """A scripted node in this process."""

    def __init__(self, name: str, latency_s: float) -> None:
        super().__init__()
        self.name = name
        self.latency_s = latency_s


def on_ray(cluster: RayCluster, latency_s: float) -> list[RayNode]:
    """Make a scripted node of every node of a Ray cluster; its actor is asked as a real one."""
    kind = type("ScriptedActor", (ScriptedSandbox,), {"latency_s": latency_s})
    nodes = cluster.sandbox_nodes()
    for node in nodes:
        node.kind = kind
    return nodes
