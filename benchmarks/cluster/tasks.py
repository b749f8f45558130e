"""A run of many scripted tasks: the driver's memory, its death and resumption, and `inspect`.

Half of the tasks are seeds with answers, the other half evolved from them; every answer is run on
scripted nodes. The driver is a process of its own, with everything that a run has but a model: the
pipeline, its checks, the ledger of the cluster's sandbox and the run's database. It is killed at
`KILLED_AT` of the programs, and started again.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from cluster.nodes import ScriptedNode
from evolcoder.app import cluster as app_cluster
from evolcoder.app.evolve import evolve_run
from evolcoder.app.models import OpenedModels
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.config.load import ClusterConfig, Config, validate
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel
from harness.table import Target, below, markdown, targets
from orchestration.answers import answer_to
from orchestration.load import write_seeds

N_NODES, LATENCY_S = 4, 0.01
KILLED_AT = 0.9
"""Share of the programs at which the driver is killed."""
LOOK_S = 0.5
"""How often a session tells how far it is."""
SPEC = "scripted:benchmark"
MEMORY_MB, RESUME_S, INSPECT_S = 500.0, 5.0, 1.0
"""Targets of the issue at 1,000,000 tasks."""
INSPECTED = 3
"""Times that `inspect` is run; the median counts."""


@dataclass(slots=True)
class Session:
    """What one process of the driver told."""

    first_s: float = 0.0
    """From the start of the process to its first program."""
    wall_s: float = 0.0
    """From the start of the process to its end, or to its death."""
    looks: list[tuple[int, float]] = field(default_factory=list)
    """Programs that had been sent and resident memory in MB, from time to time."""

    @property
    def n_programs(self) -> int:
        """Programs that it sent."""
        return self.looks[-1][0] if self.looks else 0

    def memory_at(self, share: float) -> float:
        """Return the memory when that share of its programs was sent, in MB."""
        wanted = share * self.n_programs
        return next(mb for n, mb in self.looks if n >= wanted)

    @property
    def peak_mb(self) -> float:
        """Most memory."""
        return max(mb for _, mb in self.looks)


def measure(work: Path, n_tasks: int) -> None:
    """Run, kill, resume and inspect; print Markdown tables."""
    folder, seeds = work / "run", work / "seeds.jsonl"
    write_seeds(seeds, n_tasks)
    killed = _session(folder, seeds, kill_at=int(KILLED_AT * n_tasks))
    size = sum(path.stat().st_size for path in folder.glob("run.db*"))
    at_kill_s = _inspect_s(folder)
    resumed = _session(folder, seeds)
    with RunStore.read(folder) as store:
        n_found = store.db.number("SELECT COUNT(*) FROM tasks")
        n_kept, waiting = store.n_kept(), sum(line.waiting for line in funnel(store))
    inspect_s = _inspect_s(folder)
    head = ["", "to the kill", "resumed"]
    rows = [
        ["programs sent", f"{killed.n_programs:,}", f"{resumed.n_programs:,}"],
        ["start to first program, s", f"{killed.first_s:.1f}", f"{resumed.first_s:.1f}"],
        ["elapsed, s", f"{killed.wall_s:.0f}", f"{resumed.wall_s:.0f}"],
        *(
            [f"memory at {share:.0%} of its programs, MB",
             *(f"{one.memory_at(share):.0f}" for one in (killed, resumed))]
            for share in (0.02, 0.1, 0.5, 1.0)
        ),
        ["memory, most, MB", f"{killed.peak_mb:.0f}", f"{resumed.peak_mb:.0f}"],
        ["`inspect`, s", f"{at_kill_s:.2f}", f"{inspect_s:.2f}"],
    ]  # fmt: skip
    print(f"{n_found:,} tasks, {n_kept:,} rows kept, {waiting} waiting; {size / 1e9:.2f} GB\n")
    print(markdown(head, rows))
    print(f"\n{targets(list(_targets(killed, resumed, inspect_s)))}")
    again = killed.n_programs + resumed.n_programs - n_found
    print(f"\nPrograms that were sent again after the kill: {again}")


def _targets(killed: Session, resumed: Session, inspect_s: float) -> Iterator[Target]:
    yield below("driver's memory, MB", MEMORY_MB, max(killed.peak_mb, resumed.peak_mb))
    yield below(
        "memory at the kill over that at a tenth", 1.2, killed.peak_mb / killed.memory_at(0.1)
    )
    yield below("start to first program when resumed, s", RESUME_S, resumed.first_s)
    yield below("`inspect`, s", INSPECT_S, inspect_s)


def _session(folder: Path, seeds: Path, *, kill_at: int | None = None) -> Session:
    """Run the driver to its end, or kill it when so many programs were sent."""
    found, started = Session(), time.time()
    main = str(Path(__file__).parents[1] / "cluster.py")
    command = [sys.executable, main, "session", "--folder", str(folder), "--seeds", str(seeds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            found.first_s = found.first_s or (told["first"] and told["first"] - started) or 0.0
            found.looks.append((told["n"], told["mb"]))
            if kill_at is not None and told["n"] >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
    found.wall_s = time.time() - started
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        sys.exit(f"the session ended with {process.returncode}")
    return found


def _inspect_s(folder: Path) -> float:
    command = [sys.executable, "-m", "evolcoder.cli.main", "inspect", str(folder)]
    times = []
    for _ in range(INSPECTED):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return median(times)


def session(folder: Path, seeds: Path) -> None:
    """Run or resume, as a process of its own; print a line of JSON from time to time."""
    uvloop.run(_run(folder, seeds))


async def _run(folder: Path, seeds: Path) -> None:
    nodes = [ScriptedNode(f"node {i}", LATENCY_S) for i in range(N_NODES)]
    first: list[float] = []

    async def start(
        _config: ClusterConfig, options: SandboxOptions, stack: AsyncExitStack
    ) -> ClusterSandbox:
        sandbox = await ClusterSandbox.start(nodes, options, note=lambda _: None)
        stack.push_async_callback(sandbox.aclose)
        return sandbox

    app_cluster.start_sandbox = start
    telling = asyncio.create_task(_tell(nodes, first))
    engine = OpenedModels(ScriptedEngine(_answer), "scripted")
    await evolve_run(_config(seeds), folder, {SPEC: engine})
    telling.cancel()
    _print_state(nodes, first)


def _answer(request: Any) -> str:
    return answer_to([{"role": one.role, "content": one.content} for one in request.messages])


def _config(seeds: Path) -> Config:
    return validate(
        {
            "seeds": {"path": str(seeds)},
            "evolver": {"model": SPEC},
            "evolve": {"style": "append"},
            "budget": {"rounds": 1},
            "verify": {"when": "always", "seeds": True, "checks": ["runs"]},
            # MinHash keeps signatures of all rows in memory, whatever the cluster.
            "clean": {"exact": False, "near": None},
            "cluster": {"address": f"local:{N_NODES}"},
            "cache": str(seeds.with_name("completions.db")),
        },
        where="benchmark",
    )


async def _tell(nodes: list[ScriptedNode], first: list[float]) -> None:
    while True:
        await asyncio.sleep(LOOK_S if first else 0.01)
        if not first and any(node.n_submitted for node in nodes):
            first.append(time.time())
        if first:
            _print_state(nodes, first)


def _print_state(nodes: list[ScriptedNode], first: list[float]) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    state = {
        "n": sum(node.n_submitted for node in nodes),
        "mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "first": first[0] if first else None,
    }
    print(json.dumps(state), flush=True)
