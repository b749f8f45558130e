"""A pool of workers, each a long-lived container that runs programs concurrently.

Implements the contract of `base`. A failed worker is replaced and its program retried once; a
second failure is a `SandboxError`, unless the program had started both times: then it is the
program's own outcome. A program under which two workers were killed exceeded the machine's memory.

The program with the longest limit gets a worker first, so that no worker waits for a long program
at the end; equal limits are FIFO. A cancelled waiter leaves nothing acquired.

A level refuses to start without its required layers and never falls back to a weaker level. Layers
are not inferred from the launcher's options: a probe runs as a candidate would, and its findings
are compared with what this process sees outside.

>>> sandbox = await PoolSandbox.start(workers=2)   # doctest: +SKIP
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import math
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from evolcoder.errors import (
    SandboxError,
    SandboxRefusedError,
    raise_descriptor_limit,
    too_few_descriptors,
)
from evolcoder.sandbox import cgroup
from evolcoder.sandbox.base import (
    PROCESSES_LAYERS,
    STRICT_LAYERS,
    Execution,
    Layer,
    Limits,
    Program,
    Script,
    missing_from,
)
from evolcoder.sandbox.inside.isolate import KEPT_FDS
from evolcoder.sandbox.inside.protocol import KILLED, End
from evolcoder.sandbox.job import (
    Job,
    JobSpec,
    Memfds,
    RunOutcome,
    early_stop_of,
    has_begun,
    make_job,
    outcome_of,
)
from evolcoder.sandbox.launchers import NO_PROC, Launcher, bubblewrap_launchers, landlock_launchers
from evolcoder.sandbox.toolchains import LANGUAGES, Toolchain, find
from evolcoder.sandbox.worker import Worker, WorkerDiedError, WorkerKilledError


class PrioritySemaphore:
    """A semaphore with priorities, for one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def acquire(self, longest_s: float) -> None:
        """Wait for a slot; `longest_s`, the longest time it may be in use, is the priority."""
        if self._free:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-longest_s, next(self._numbers), waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Pass the slot to the next waiter that is not cancelled."""
        while self._waiting:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class ExclusiveAccess:
    """Admits up to `at_most` at a time while no other task has a slot."""

    def __init__(self, slots: PrioritySemaphore, count: int, at_most: int) -> None:
        self._slots = slots
        self._count = count
        self._admission = asyncio.Semaphore(at_most)
        self._lock = asyncio.Lock()
        self._n_admitted = 0

    @contextlib.asynccontextmanager
    async def admitted(self, idle: asyncio.Event) -> AsyncIterator[None]:
        """Wait for `idle` and for all slots to be free, unless another is already admitted."""
        async with self._admission:
            await idle.wait()
            async with self._lock:
                if not self._n_admitted:
                    await self._acquire_all()
                self._n_admitted += 1
            try:
                yield
            finally:
                self._n_admitted -= 1
                if not self._n_admitted:
                    self._release(self._count)

    async def _acquire_all(self) -> None:
        n_acquired = 0
        try:
            while n_acquired < self._count:
                await self._slots.acquire(math.inf)
                n_acquired += 1
        except BaseException:
            self._release(n_acquired)
            raise

    def _release(self, n_acquired: int) -> None:
        for _ in range(n_acquired):
            self._slots.release()


PROBE = """
import json, os, resource, socket
def refused(what, *arguments):
    try:
        what(*arguments)
    except PermissionError:
        return True
    return False
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "links": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
    "status": {name: status[name].split()[0] for name in
               ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "Uid")},
    "data": resource.getrlimit(resource.RLIMIT_DATA)[1],
    "memory files": not refused(os.memfd_create, "probe"),
    "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1],
    "sockets": not all(refused(socket.socket, family) for family in
               (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET)),
    "root": not refused(os.listdir, "/"),
}))
"""
_LINKS = {
    Layer.USER: "user",
    Layer.MOUNT: "mnt",
    Layer.PID: "pid",
    Layer.NETWORK: "net",
    Layer.IPC: "ipc",
    Layer.UTS: "uts",
}


def layers_of(found: bytes, *, grouped: bool) -> tuple[Layer, ...]:
    """Return the layers that the probe found; only the worker can see a control group."""
    seen: Mapping[str, Any] = json.loads(found)
    links, status = seen["links"], seen["status"]
    active = {
        layer: links[name] != str(Path("/proc/self/ns", name).readlink())
        for layer, name in _LINKS.items()
    }
    unprivileged = status["Uid"] != "0"
    active |= {
        Layer.NETWORK: active[Layer.NETWORK] or not seen["sockets"],
        # Nothing else prevents listing the root folder.
        Layer.LANDLOCK: not seen["root"],
        Layer.SECCOMP: status["Seccomp"] == "2",
        Layer.NO_NEW_PRIVILEGES: status["NoNewPrivs"] == "1",
        Layer.NO_CAPABILITIES: int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0,
        Layer.UNPRIVILEGED: unprivileged,
        Layer.CGROUP: grouped,
        # RLIMIT_DATA limits neither memory files nor the sum over several processes.
        Layer.MEMORY: seen["data"] > 0 and (grouped or not seen["memory files"]),
        # RLIMIT_NPROC does not limit the real root.
        Layer.PROCESSES: seen["processes"] > 0 and unprivileged,
    }
    return tuple(layer for layer in Layer if active.get(layer))


FIRST_RUN_SHARE = 1 / 3
"""Share of its CPU time that a program gets while others may run on another thread of its core."""
LOADED_SHARE = 1.1
"""The same where every CPU is a core: programs there slow each other down by up to a tenth."""
LONG_S = 0.5
"""Expected CPU seconds from which a program gets all of its time in its first run. With a share of
it, most right programs would run twice."""
PROCESS_DESCRIPTORS, DESCRIPTORS_PER_WORKER = 128, 32
"""Descriptors that this process may open: for itself, and for each worker."""
WORKER_DESCRIPTORS = KEPT_FDS + PROCESS_DESCRIPTORS
"""Descriptors that a worker may need; most workers start with fewer."""
MAX_ATTEMPTS = 2
"""Attempts to run a program before a sandbox failure is final."""


@dataclass(frozen=True, slots=True)
class Level:
    """A named isolation mechanism and the minimum protection that it accepts."""

    name: str
    """Value of `--sandbox`."""
    required: tuple[Layer, ...]
    """Layers that it requires."""
    launchers: Callable[[Sequence[Path], Sequence[Path], Sequence[str]], Iterable[Launcher]]
    """Yields the launchers available here, best first, from the arguments of `start`."""
    if_no_launcher: str
    """What to do if there is no launcher."""
    if_missing: str
    """What to do if layers are missing."""
    if_failed: str
    """What to do if no worker starts; empty if that has many possible causes."""


_ALLOW_NAMESPACES = "allow user namespaces (sysctl user.max_user_namespaces)"
STRONGEST = Level(
    "strict",
    STRICT_LAYERS,
    bubblewrap_launchers,
    "bubblewrap not found; install the package bubblewrap",
    _ALLOW_NAMESPACES,
    _ALLOW_NAMESPACES,
)
LEVELS = {
    level.name: level
    for level in (
        STRONGEST,
        Level(
            "processes",
            PROCESSES_LAYERS,
            landlock_launchers,
            "Landlock is not available; it needs Linux 5.13, or 6.2 if you are not root",
            "run on x86-64 or ARM64 and allow these layers on the machine or in its container",
            "",
        ),
    )
}
"""Strongest first."""


class PoolSandbox:
    """A sandbox of several workers on this machine, for one event loop."""

    def __init__(self, launcher: Launcher, workers: int, tools: Mapping[str, Toolchain]) -> None:
        self._launcher = launcher
        self._tools = tools
        self._groups = cgroup.find()
        self._layers: tuple[Layer, ...] = ()
        self._free: list[tuple[int, Worker | None]] = [(n, None) for n in reversed(range(workers))]
        self._workers = workers
        self._slots = PrioritySemaphore(workers)
        # Two programs on the two threads of one core would slow each other down.
        self._exclusive = ExclusiveAccess(self._slots, workers, min(workers, n_cores()))
        self._share = first_share(workers)
        self._no_first_runs = asyncio.Event()
        self._n_first_runs = 0
        self._closed = False

    @classmethod
    async def start(
        cls,
        *,
        workers: int | None = None,
        level: str = "strict",
        languages: Sequence[str] = (),
        packages: Sequence[Path] = (),
        warm: Sequence[str] = (),
    ) -> Self:
        """Start with the best protection available here; refuse if it is below the level.

        Defaults to one worker more than CPUs, so that one is ready while this process compares
        results. `languages` are those besides Python; `packages` are folders of Python packages
        that programs may import; `warm` are modules that every worker imports at start. These must
        start no threads.
        """
        if level not in LEVELS:
            raise SandboxRefusedError(f"--sandbox {level}: known levels are {', '.join(LEVELS)}")
        if workers is not None and workers < 0:
            raise SandboxRefusedError(f"{workers} workers: at least 1")
        _check_machine(level, count := workers or len(os.sched_getaffinity(0)) + 1)
        tools = {name: find(name) for name in languages}
        folders = [folder for toolchain in tools.values() for folder in toolchain.folders]
        faults = []
        for launcher in LEVELS[level].launchers(folders, packages, warm):
            sandbox = cls(launcher, count, tools)
            try:
                layers = await sandbox._probe_layers()
            except SandboxError as error:
                if _n_descriptors() < WORKER_DESCRIPTORS:
                    raise _level_error(level, too_few_descriptors()) from error
                faults.append("; ".join(filter(None, (str(error), LEVELS[level].if_failed))))
                await sandbox.aclose()
                continue
            lacking = missing_from(layers, LEVELS[level].required)
            if not lacking:
                sandbox._layers = layers
                return sandbox
            faults.append(f"missing layers: {', '.join(lacking)}; {LEVELS[level].if_missing}")
            await sandbox.aclose()
        raise SandboxRefusedError(_describe_refusal(LEVELS[level], faults))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Active protections."""
        return self._layers

    @property
    def workers(self) -> int:
        """Programs that run concurrently."""
        return self._workers

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to completion or to its limits; raise SandboxError on sandbox failure.

        The first run gets a share of the program's CPU time: all of it where no two CPUs are the
        threads of one core, or a right program is expected to take long; otherwise a third. If two
        CPUs may share a core and it exceeds its share, or if its worker was killed, the program
        runs once more with its full CPU time and that result counts.
        Second runs wait until no program is in or waits for its first run, so that they run
        without load and workers do not idle around them. Results that more time would not change
        are final. Waiting programs with the largest CPU limit run first.
        """
        toolchain = self._toolchain(program.language)
        share = max(self._share, 1.0) if limits.expected_s >= LONG_S else self._share
        spec = JobSpec.of(program, limits, toolchain, share)
        try:
            outcome = await self._run_concurrently(spec)
            if outcome.is_final or self._share >= 1.0:
                return outcome.execution
        except WorkerDiedError:
            pass
        async with self._exclusive.admitted(self._no_first_runs):
            spec = JobSpec.of(program, limits, toolchain)
            return (await self._run_with_retry(spec, alone=True)).execution

    async def aclose(self) -> None:
        """End all workers. Idempotent."""
        self._closed = True
        for _, worker in self._free:
            if worker is not None:
                worker.kill()
        self._free = [(number, None) for number, _ in self._free]

    async def _run_concurrently(self, spec: JobSpec) -> RunOutcome:
        """Run a program concurrently with others."""
        self._n_first_runs += 1
        self._no_first_runs.clear()
        try:
            await self._slots.acquire(spec.cpu_s)
            try:
                return await self._run_with_retry(spec, alone=False)
            finally:
                self._slots.release()
        finally:
            self._n_first_runs -= 1
            if not self._n_first_runs:
                self._no_first_runs.set()

    async def _run_with_retry(self, spec: JobSpec, *, alone: bool) -> RunOutcome:
        """Run a program; retry on another worker after a failure."""
        job = make_job(spec)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            with Memfds.open(spec.program) as channels:
                try:
                    end = await self._serve(job, channels, spec)
                    return outcome_of(end, channels, spec, self._layers)
                except SandboxError as error:
                    is_killed = isinstance(error, WorkerKilledError)
                    if isinstance(error, WorkerDiedError) and alone and has_begun(channels):
                        # No other program ran that could have caused it.
                        if is_killed or attempt == MAX_ATTEMPTS:
                            return outcome_of(error.end, channels, spec, self._layers)
                    elif attempt == MAX_ATTEMPTS or is_killed:
                        raise
        raise AssertionError("unreachable")

    async def _serve(self, job: Job, channels: Memfds, spec: JobSpec) -> End:
        """Give a job to a free worker; end the worker if it fails or the call is cancelled."""
        early_stop = early_stop_of(spec.program.task, channels)
        if self._closed:
            raise SandboxError("the sandbox is closed")
        number, worker = self._free.pop()
        kept = None
        try:
            worker = worker or await Worker.start(self._launcher, number, self._groups)
            end = await worker.serve(job, channels.fds, early_stop)
            kept = worker
        finally:
            if kept is None and worker is not None:
                worker.kill()
            self._free.append((number, kept))
        if end.why == KILLED:
            raise WorkerKilledError("a program was killed", end)
        return end

    def _toolchain(self, language: str) -> Toolchain | None:
        if language == "python":
            return None
        if language not in self._tools:
            raise SandboxRefusedError(f"{language}: the sandbox was started without this language")
        return self._tools[language]

    async def _probe_layers(self) -> tuple[Layer, ...]:
        execution = await self.run(Program("python", PROBE, Script()), Limits())
        return layers_of(execution.stdout, grouped=self._groups is not None)


def first_share(workers: int) -> float:
    """Return the share of its CPU time that a program gets in its first run."""
    if workers == 1:
        return 1.0
    return LOADED_SHARE if n_cores() == len(os.sched_getaffinity(0)) else FIRST_RUN_SHARE


def n_cores(cpus: Path = Path("/sys/devices/system/cpu")) -> int:
    """Return the number of cores that this process may use, whose threads count once.

    Half of the CPUs where the kernel does not say which of them are threads of the same core.
    """
    usable = os.sched_getaffinity(0)
    try:
        siblings = {
            (cpus / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip()
            for number in usable
        }
    except OSError:
        return max(1, len(usable) // 2)
    return len(siblings)


def usable_languages(level: str) -> list[str]:
    """Return the languages besides Python with a toolchain that runs at an isolation level."""
    found = []
    for name in LANGUAGES:
        try:
            list(LEVELS[level].launchers(find(name).folders, (), ()))
        except SandboxRefusedError:
            continue
        found.append(name)
    return found


def _check_machine(level: str, workers: int) -> None:
    """Refuse a machine without /proc, and raise the descriptor limit for this many workers."""
    if not Path("/proc", str(os.getpid())).exists():
        raise _level_error(level, NO_PROC)
    raise_descriptor_limit(PROCESS_DESCRIPTORS + DESCRIPTORS_PER_WORKER * workers)


def _n_descriptors() -> float:
    """Return the hard limit of descriptors, which applies to workers."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return math.inf if hard == resource.RLIM_INFINITY else hard


def _level_error(level: str, why: str) -> SandboxRefusedError:
    return SandboxRefusedError(f"--sandbox {level}: {why}")


def _describe_refusal(level: Level, faults: Sequence[str]) -> str:
    """Format the first fault of a level and what to do about it."""
    what = faults[0] if faults else level.if_no_launcher
    weaker = list(LEVELS)[list(LEVELS).index(level.name) + 1 :]
    ask = "".join(f", or choose the weaker --sandbox {name}" for name in weaker)
    return f"--sandbox {level.name}: {what}{ask}"
