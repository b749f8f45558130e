"""What a cluster's sandbox costs the driver, how nodes add up, and a run of a million tasks.

    python benchmarks/cluster.py scripted --programs 4000     the driver's dispatch, without Ray
    python benchmarks/cluster.py ray --programs 400           Ray's actors, scripted programs
    python benchmarks/cluster.py sandbox --programs 200       Ray's actors with real sandboxes
    python benchmarks/cluster.py tasks --tasks 1000000        memory, kill and resume, `inspect`
    python benchmarks/cluster.py tasks --written 20000        the same in minutes, by copied rows

Scripted programs take a fixed time and no processor, so that throughput over that of ideal nodes
shows dispatch. Nodes of `ray` and `sandbox` share this machine's processors: with real sandboxes
only the overhead per program can be read, compared with the sandbox of this process, and not how
real nodes scale.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from cluster import nodes, tasks
from cluster.nodes import WORKERS, ScriptedNode
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.ray_cluster import connected
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.sandbox.base import Execution, Limits, Program
from evolcoder.sandbox.pool import PoolSandbox


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
        made = [ScriptedNode(f"node {i}", latency_s) for i in range(count)]
        sandbox = await ClusterSandbox.start(made, SandboxOptions(), note=print)
        at_once = 2 * sandbox.workers
        seconds = await run_all(sandbox.run, Program("python", "pass"), n * count, at_once)
        show(f"{count} scripted", n * count, seconds, count * WORKERS / latency_s)
        await sandbox.aclose()


async def on_ray(counts: Sequence[int], n: int, latency_s: float) -> None:
    show_head()
    for count in counts:
        with connected(f"local:{count}") as cluster:
            made = nodes.on_ray(cluster, latency_s)
            sandbox = await ClusterSandbox.start(made, SandboxOptions(), note=print)
            program, at_once = Program("python", "pass"), 2 * sandbox.workers
            await run_all(sandbox.run, program, at_once, at_once)
            seconds = await run_all(sandbox.run, program, n * count, at_once)
            show(f"{count} on Ray", n * count, seconds, count * WORKERS / latency_s)
            await sandbox.aclose()


async def local(program: Program, n: int, workers: int) -> None:
    pool = await PoolSandbox.start(workers=workers)
    await run_all(pool.run, program, 2 * workers, workers)  # workers start
    show(f"local, {workers}", n, await run_all(pool.run, program, n, 2 * workers))
    await pool.aclose()


async def in_sandboxes(counts: Sequence[int], n: int, latency_s: float, workers: int) -> None:
    program = Program("python", f"import time\ntime.sleep({latency_s})")
    show_head()
    for count in counts:
        await local(program, n, workers * count)
        with connected(f"local:{count}") as cluster:
            options = SandboxOptions(workers=workers)
            sandbox = await ClusterSandbox.start(cluster.sandbox_nodes(), options, note=print)
            await run_all(sandbox.run, program, 2 * sandbox.workers, sandbox.workers)
            seconds = await run_all(sandbox.run, program, n, 2 * sandbox.workers)
            show(f"{count} on Ray, {sandbox.workers}", n, seconds)
            await sandbox.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("what", choices=("scripted", "ray", "sandbox", "tasks", "session"))
    add("--nodes", default="1,2,4", metavar="N,...")
    add("--programs", type=int, default=4000, metavar="N", help="per node; of `sandbox`, in all")
    add("--latency", type=float, default=0.2, metavar="SECONDS")
    add("--workers", type=int, default=2, metavar="N", help="per node of `sandbox`")
    add("--tasks", type=int, default=1_000_000, metavar="N", help="tasks of `tasks`")
    add("--written", type=int, metavar="N",
        help="tasks that are run before their rows are copied (default: all)")  # fmt: skip
    add("--work", type=Path, metavar="DIR", help="folder for the data of `tasks`, to keep it")
    add("--folder", type=Path, help=argparse.SUPPRESS)
    add("--seeds", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    counts = [int(count) for count in args.nodes.split(",")]
    if args.what == "session":
        tasks.session(args.folder, args.seeds)
    elif args.what == "tasks":
        with tempfile.TemporaryDirectory() as temporary:
            work = args.work or Path(temporary)
            work.mkdir(parents=True, exist_ok=True)
            tasks.measure(work, args.tasks, args.written or args.tasks)
    elif args.what == "scripted":
        uvloop.run(scripted(counts, args.programs, args.latency))
    elif args.what == "ray":
        uvloop.run(on_ray(counts, args.programs, args.latency))
    else:
        uvloop.run(in_sandboxes(counts, args.programs, args.latency, args.workers))


if __name__ == "__main__":
    main()
