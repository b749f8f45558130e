"""Workers that run programs side by side, each in a long-lived container of its own.

Promises what `base` says. A worker that fails is replaced and its program tried once more; what
fails twice is a `SandboxError`, unless the program had begun both times: then it is the program's
own end. A program under which two workers were killed has used more memory than there is. A level
refuses to start below its layers; no level falls back to a weaker one.

>>> sandbox = await PoolSandbox.start(workers=2)   # doctest: +SKIP
"""

import asyncio
import math
import os
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evolcoder.errors import (
    SandboxError,
    SandboxRefusedError,
    allow_descriptors,
    too_few_descriptors,
)
from evolcoder.sandbox import cgroup
from evolcoder.sandbox.base import (
    FENCED,
    STRICT,
    Execution,
    Layer,
    Limits,
    Program,
    Script,
    missing_from,
)
from evolcoder.sandbox.bubblewrap import jails
from evolcoder.sandbox.early_stop import lookout_of
from evolcoder.sandbox.inside.isolate import SPARED
from evolcoder.sandbox.inside.protocol import KILLED, End
from evolcoder.sandbox.job import Job, JobSpec, job_of
from evolcoder.sandbox.landlock_launcher import NO_PROC, Hold, fences
from evolcoder.sandbox.layer_probe import PROBE, layers_of
from evolcoder.sandbox.memfds import Memfds
from evolcoder.sandbox.result import RunOutcome, has_begun, outcome_of
from evolcoder.sandbox.scheduler import ExclusiveAccess, PrioritySemaphore
from evolcoder.sandbox.toolchains import Toolchain, find
from evolcoder.sandbox.worker import Worker, WorkerDiedError, WorkerKilledError

HASTE = 1 / 3
"""Part of its processor time that a program gets while others run beside it."""
OF_PROCESS, OF_WORKER = 128, 32
"""Descriptors that this process may hold, and for each worker."""
NEEDED = SPARED + OF_PROCESS
"""Descriptors that a worker may need; with fewer, most come up all the same."""
TRIES = 2
"""How often a program is given to a worker before the sandbox's failure is final."""


@dataclass(frozen=True, slots=True)
class Level:
    """A name for a way to hold programs, and for the least protection that it accepts."""

    name: str
    """As the user writes it."""
    needs: tuple[Layer, ...]
    """Layers without which nothing runs."""
    holds: Callable[[Sequence[Path], Sequence[Path], Sequence[str]], Iterable[Hold]]
    """Finds the ways to start workers here, best first, from what `start` is given."""
    without: str
    """What to do where there is no way."""
    below: str
    """What to do where layers are missing."""
    failed: str
    """What to do where no worker comes up; empty where that can have many reasons."""


_ALLOW = "allow user namespaces (sysctl user.max_user_namespaces)"
STRONGEST = Level(
    "strict",
    STRICT,
    jails,
    "there is no bubblewrap; install the package bubblewrap",
    _ALLOW,
    _ALLOW,
)
LEVELS = {
    level.name: level
    for level in (
        STRONGEST,
        Level(
            "processes",
            FENCED,
            fences,
            "there is no Landlock; it needs Linux 5.13, or 6.2 where you are not root",
            "run on x86-64 or ARM64, and let the machine or its container allow these",
            "",
        ),
    )
}
"""Strongest first."""


class PoolSandbox:
    """A sandbox of several workers on this machine, for one event loop."""

    def __init__(self, hold: Hold, workers: int, tools: Mapping[str, Toolchain]) -> None:
        self._hold = hold
        self._tools = tools
        self._groups = cgroup.find()
        self._layers: tuple[Layer, ...] = ()
        self._free: list[tuple[int, Worker | None]] = [(n, None) for n in reversed(range(workers))]
        self._workers = workers
        self._seats = PrioritySemaphore(workers)
        # Two on the two threads of one core would slow each other down.
        cores = max(1, len(os.sched_getaffinity(0)) // 2)
        self._quiet = ExclusiveAccess(self._seats, workers, min(workers, cores))
        self._lull = asyncio.Event()
        self._hasty = 0
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
        """Find the best protection that this machine allows; refuse if it is below the level.

        There is a worker more than processors, if no number is given: one stands ready while this
        process compares. `languages` are those beside Python that programs will be written in;
        `packages` are folders of Python packages that they may import, and `warm` modules of these
        that every worker loads when it starts; they must start no thread.
        """
        if level not in LEVELS:
            raise SandboxRefusedError(f"--sandbox {level}: known levels are {', '.join(LEVELS)}")
        _check_machine(level, count := workers or len(os.sched_getaffinity(0)) + 1)
        tools = {name: find(name) for name in languages}
        folders = [folder for toolchain in tools.values() for folder in toolchain.folders]
        faults = []
        for hold in LEVELS[level].holds(folders, packages, warm):
            sandbox = cls(hold, count, tools)
            try:
                layers = await sandbox._look()
            except SandboxError as error:
                if _n_descriptors() < NEEDED:
                    raise _refused(level, too_few_descriptors()) from error
                faults.append("; ".join(filter(None, (str(error), LEVELS[level].failed))))
                await sandbox.aclose()
                continue
            lacking = missing_from(layers, LEVELS[level].needs)
            if not lacking:
                sandbox._layers = layers
                return sandbox
            faults.append(f"missing are {', '.join(lacking)}; {LEVELS[level].below}")
            await sandbox.aclose()
        raise SandboxRefusedError(_refusal(LEVELS[level], faults))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Protections that are active."""
        return self._layers

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to its end or to its limits, or raise SandboxError.

        A program gets a part of its processor time first. One that went over that is run once more
        while no other has its first run, with all of its time, and that counts; so is one whose
        worker was killed. It waits until no program is left that has not had its first run, so
        that workers are not idle around it. What no more time would change is not run again. Of
        programs that wait, the one that may take most processor time goes first.
        """
        toolchain = self._toolchain(program.language)
        order = JobSpec.of(program, limits, toolchain, 1.0 if self._workers == 1 else HASTE)
        try:
            outcome = await self._first(order)
            if outcome.is_final or order.haste == 1.0:
                return outcome.execution
        except WorkerDiedError:
            pass
        async with self._quiet.entered(self._lull):
            order = JobSpec.of(program, limits, toolchain)
            return (await self._try(order, is_alone=True)).execution

    async def aclose(self) -> None:
        """End all workers. Closing twice is allowed."""
        self._closed = True
        for _, worker in self._free:
            if worker is not None:
                worker.kill()
        self._free = [(number, None) for number, _ in self._free]

    async def _first(self, order: JobSpec) -> RunOutcome:
        """Run a program beside others."""
        self._hasty += 1
        self._lull.clear()
        try:
            await self._seats.take(order.cpu_s)
            try:
                return await self._try(order, is_alone=False)
            finally:
                self._seats.give_back()
        finally:
            self._hasty -= 1
            if not self._hasty:
                self._lull.set()

    async def _try(self, order: JobSpec, *, is_alone: bool) -> RunOutcome:
        """Run a program, on another worker if the first one fails."""
        job = job_of(order)
        for tries in range(1, TRIES + 1):
            with Memfds.open(order.program) as channels:
                try:
                    end = await self._serve(job, channels, order)
                    return outcome_of(end, channels, order, self._layers)
                except SandboxError as error:
                    is_killed = isinstance(error, WorkerKilledError)
                    if isinstance(error, WorkerDiedError) and is_alone and has_begun(channels):
                        # Nothing else ran that could have caused it.
                        if is_killed or tries == TRIES:
                            return outcome_of(error.end, channels, order, self._layers)
                    elif tries == TRIES or is_killed:
                        raise
        raise AssertionError("unreachable")

    async def _serve(self, job: Job, channels: Memfds, order: JobSpec) -> End:
        """Give a job to a free worker; a worker that fails or is left waiting is ended."""
        lookout = lookout_of(order.program.task, channels)
        if self._closed:
            raise SandboxError("the sandbox is closed")
        number, worker = self._free.pop()
        kept = None
        try:
            worker = worker or await Worker.start(self._hold, number, self._groups)
            end = await worker.serve(job, channels.fds, lookout)
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
            raise SandboxRefusedError(f"{language}: this sandbox was started without it")
        return self._tools[language]

    async def _look(self) -> tuple[Layer, ...]:
        execution = await self.run(Program("python", PROBE, Script()), Limits())
        return layers_of(execution.stdout, grouped=self._groups is not None)


def _check_machine(level: str, workers: int) -> None:
    """Refuse a machine without /proc, and let this process hold what so many workers need."""
    if not Path("/proc", str(os.getpid())).exists():
        raise _refused(level, NO_PROC)
    allow_descriptors(OF_PROCESS + OF_WORKER * workers)


def _n_descriptors() -> float:
    """Return how many descriptors a worker may come to hold."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return math.inf if hard == resource.RLIM_INFINITY else hard


def _refused(level: str, why: str) -> SandboxRefusedError:
    return SandboxRefusedError(f"--sandbox {level}: {why}")


def _refusal(level: Level, faults: Sequence[str]) -> str:
    """Say in a line what is wrong with the best way that there is, and what to do."""
    what = faults[0] if faults else level.without
    weaker = list(LEVELS)[list(LEVELS).index(level.name) + 1 :]
    ask = "".join(f", or ask for the weaker --sandbox {name}" for name in weaker)
    return f"--sandbox {level.name}: {what}{ask}"
