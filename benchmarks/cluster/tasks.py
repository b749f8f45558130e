"""A run of many scripted tasks: the driver's memory, its death and resumption, and `inspect`.

Half of the tasks are seeds with answers, the other half evolved from them; every answer is run on
scripted nodes. The driver is a process of its own, with everything that a run has but a model: the
pipeline, its checks, the ledger of the cluster's sandbox and the run's database. It is killed when
it has sent `KILLED_AT` of its programs, and started again.

Where fewer tasks are written than there are to be, these are run to their end, and their rows are
copied under other ids until `COPIED` of all tasks are there; the driver runs the rest. So
memory, resumption and `inspect` are those of all tasks, in a small part of the time.
"""

import asyncio
import itertools
import json
import os
import resource
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
from evolcoder.storage.stats import SEEDS_META, funnel
from harness.copied_rows import TABLES, copying
from harness.table import Target, below, markdown, targets
from orchestration.answers import answer_to
from orchestration.load import write_seeds

N_NODES, LATENCY_S = 4, 0.01
KILLED_AT, COPIED = 0.9, 0.9
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
    first_cpu_s: float = 0.0
    """Its processor time until then."""
    cpu_s: float = 0.0
    """Its processor time in all."""
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


def measure(work: Path, n_tasks: int, n_written: int) -> None:
    """Run, kill, resume and inspect; print Markdown tables."""
    folder, seeds, n_left = work / "run", work / "seeds.jsonl", n_tasks
    if n_written < n_tasks:
        write_seeds(seeds, n_written)
        _session(folder, seeds)
        n_left = n_tasks - _copy(folder, n_tasks // n_written, n_written // 2)
        seeds.with_name("completions.db").unlink()  # copies would be asked what is known
    write_seeds(seeds, n_tasks)
    killed = _session(folder, seeds, kill_at=int(KILLED_AT * n_left))
    size = sum(path.stat().st_size for path in folder.glob("run.db*"))
    at_kill = _inspect(folder)
    resumed = _session(folder, seeds)
    with RunStore.read(folder) as store:
        n_found = store.db.number("SELECT COUNT(*) FROM tasks")
        n_kept, waiting = store.n_kept(), sum(line.waiting for line in funnel(store))
    at_end = _inspect(folder)
    head = ["", "to the kill", "resumed"]
    rows = [
        ["programs sent", f"{killed.n_programs:,}", f"{resumed.n_programs:,}"],
        *(
            [name, *(f"{getattr(one, field):.1f}" for one in (killed, resumed))]
            for name, field in (
                ("start to first program, s", "first_s"),
                ("start to first program, processor time, s", "first_cpu_s"),
                ("elapsed, s", "wall_s"),
                ("processor time, s", "cpu_s"),
            )
        ),
        *(
            [f"memory at {share:.0%} of its programs, MB",
             *(f"{one.memory_at(share):.0f}" for one in (killed, resumed))]
            for share in (0.02, 0.1, 0.5, 1.0)
        ),
        ["memory, most, MB", f"{killed.peak_mb:.0f}", f"{resumed.peak_mb:.0f}"],
        ["`inspect`, s", *(f"{elapsed:.2f}" for elapsed, _ in (at_kill, at_end))],
        ["`inspect`, processor time, s", *(f"{cpu:.2f}" for _, cpu in (at_kill, at_end))],
    ]  # fmt: skip
    print(f"{n_found:,} tasks, {n_kept:,} rows kept, {waiting} waiting; {size / 1e9:.2f} GB\n")
    print(markdown(head, rows))
    print(f"\n{targets(list(_targets(killed, resumed, at_end[0])))}")
    again = killed.n_programs + resumed.n_programs - n_left
    print(f"\nPrograms that were sent again after the kill: {again}")


def _copy(folder: Path, n_copies: int, n_seeds: int) -> int:
    """Copy the rows of a run until it has `COPIED` of all tasks; return how many it has."""
    n_evolved = round((2 * COPIED - 1) * n_copies)
    with RunStore.create(folder, _config(folder.with_name("seeds.jsonl"))) as store:
        for copy in range(1, n_copies):
            store.db.write_all(_copied(copy, n_seeds, 2 if copy < n_evolved else 1))
        facts = store.meta(SEEDS_META)
        for name in ("n_rows", "n_tasks", "n_answers"):
            facts[name] = n_copies * n_seeds
        store.set_meta(SEEDS_META, facts)
        store.open_round(1, n_copies * n_seeds)
        store.db.flush()
        return store.db.number("SELECT COUNT(*) FROM tasks")


def _copied(copy: int, n_seeds: int, n_rounds: int) -> Iterator[tuple[str, tuple[()]]]:
    """Yield the statements that copy all rows once."""
    for round, table in itertools.product(range(n_rounds), TABLES):
        yield copying(table, round=round, copy=copy, n_seeds=n_seeds), ()
    if n_rounds > 1:
        yield f"INSERT INTO calls SELECT * FROM calls WHERE rowid <= {2 * n_seeds}", ()


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
            if told["first"] and not found.first_s:
                found.first_s, found.first_cpu_s = told["first"] - started, told["cpu"]
            found.cpu_s = told["cpu"]
            found.looks.append((told["n"], told["mb"]))
            if kill_at is not None and told["n"] >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
    found.wall_s = time.time() - started
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        sys.exit(f"the session ended with {process.returncode}")
    return found


def _inspect(folder: Path) -> tuple[float, float]:
    """Return the elapsed and the processor time of the command, medians."""
    command = [sys.executable, "-m", "evolcoder.cli.main", "inspect", str(folder)]
    times = []
    for _ in range(INSPECTED):
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append((time.perf_counter() - begun, cpu_s))
    return median(elapsed for elapsed, _ in times), median(cpu for _, cpu in times)


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
        "cpu": time.process_time(),
    }
    print(json.dumps(state), flush=True)
