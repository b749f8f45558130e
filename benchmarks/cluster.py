"""Throughput of a cluster sandbox of 1, 2 and 4 nodes, and what a program costs the driver.

Two measurements. `scripted`: nodes in this process whose programs take a fixed time and no
processor, so that throughput shows the driver's dispatch alone, whatever this machine's load.
`ray`: simulated Ray nodes with real sandboxes, each program sleeping for the same time, and the
same programs in the sandbox of this process; nodes share this machine's processors, so only the
overhead per program can be read from it, not how real nodes scale.

    python benchmarks/cluster.py scripted --programs 4000
    python benchmarks/cluster.py ray --programs 200 --nodes 1,2
"""

import argparse
import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

import uvloop

from evolcoder.cluster.node import NodeJob, NodeReport, NodeResult, SandboxOptions
from evolcoder.cluster.ray_cluster import connected
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.sandbox.base import STRICT_LAYERS, Execution, Limits, Program, Status
from evolcoder.sandbox.pool import PoolSandbox

WORKERS = 16
"""Workers of a scripted node."""
EXECUTION = Execution(
    Status.FINISHED, 0, b"", b"", b"", None, None, 0.0, 0.0, 1.0, 0.0, STRICT_LAYERS, ()
)


class ScriptedNode:
    """A node whose programs take `latency_s` each, `WORKERS` at a time."""

    def __init__(self, name: str, latency_s: float) -> None:
        self.name = name
        self._latency_s = latency_s
        self._slots = asyncio.Semaphore(WORKERS)
        self._results: asyncio.Queue[NodeResult] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, _options: SandboxOptions) -> NodeReport:
        """Offer `WORKERS` workers."""
        return NodeReport(WORKERS, tuple(map(str, STRICT_LAYERS)), (), version("evolcoder"))

    async def submit(self, jobs: Sequence[NodeJob]) -> None:
        """Start a batch."""
        for job in jobs:
            task = asyncio.create_task(self._run(job.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, number: int) -> None:
        async with self._slots:
            await asyncio.sleep(self._latency_s)
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


async def run_all(
    run: Callable[[Program, Limits], Awaitable[Execution]], program: Program, n: int, at_once: int
) -> tuple[float, float]:
    """Run a program `n` times; return elapsed and processor seconds of this process."""
    slots, limits = asyncio.Semaphore(at_once), Limits()

    async def one() -> None:
        async with slots:
            await run(program, limits)

    begun, cpu_begun = time.perf_counter(), _cpu_s()
    await asyncio.gather(*(one() for _ in range(n)))
    return time.perf_counter() - begun, _cpu_s() - cpu_begun


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def show(name: str, n: int, seconds: tuple[float, float], ideal: float | None = None) -> None:
    elapsed, cpu_s = seconds
    share = f"{n / elapsed / ideal:>12.2f}" if ideal else f"{'':>12}"
    print(f"{name:<16}{n / elapsed:>12.1f}{share}{1e3 * cpu_s / n:>14.3f}", flush=True)


def show_head() -> None:
    print(f"{'nodes':<16}{'programs/s':>12}{'of ideal':>12}{'driver CPU ms':>14}")


async def scripted(counts: Sequence[int], n: int, latency_s: float) -> None:
    show_head()
    for count in counts:
        nodes = [ScriptedNode(f"node {i}", latency_s) for i in range(count)]
        sandbox = await ClusterSandbox.start(nodes, SandboxOptions(), note=print)
        at_once = 2 * sandbox.workers
        seconds = await run_all(sandbox.run, Program("python", "pass"), n * count, at_once)
        show(f"{count} scripted", n * count, seconds, count * WORKERS / latency_s)
        await sandbox.aclose()


async def local(program: Program, n: int, workers: int) -> None:
    pool = await PoolSandbox.start(workers=workers)
    await run_all(pool.run, program, 2 * workers, workers)  # workers start
    show(f"local, {workers}", n, await run_all(pool.run, program, n, 2 * workers))
    await pool.aclose()


async def on_ray(counts: Sequence[int], n: int, latency_s: float, workers: int) -> None:
    program = Program("python", f"import time\ntime.sleep({latency_s})")
    show_head()
    for count in counts:
        await local(program, n, workers * count)
        with connected(f"local:{count}") as cluster:
            options = SandboxOptions(workers=workers)
            nodes = cluster.sandbox_nodes()
            sandbox = await ClusterSandbox.start(nodes, options, note=print)
            await run_all(sandbox.run, program, 2 * sandbox.workers, sandbox.workers)
            seconds = await run_all(sandbox.run, program, n, 2 * sandbox.workers)
            show(f"{count} on Ray, {sandbox.workers}", n, seconds)
            await sandbox.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("scripted", "ray"))
    parser.add_argument("--nodes", default="1,2,4", metavar="N,...")
    parser.add_argument("--programs", type=int, default=4000, metavar="N", help="per node")
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="per Ray node")
    args = parser.parse_args()
    counts = [int(count) for count in args.nodes.split(",")]
    if args.what == "scripted":
        uvloop.run(scripted(counts, args.programs, args.latency))
    else:
        uvloop.run(on_ray(counts, args.programs, args.latency, args.workers))


if __name__ == "__main__":
    main()
