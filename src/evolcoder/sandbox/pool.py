"""Workers that run programs side by side, each in a long-lived container of its own.

Promises what `base` says. A worker that fails is replaced and its program tried once more; what
fails twice is a `SandboxError`. The level `strict` refuses to start below `base.STRICT`.

>>> sandbox = await PoolSandbox.start(workers=2)   # doctest: +SKIP
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import (
    STRICT,
    Execution,
    Layer,
    Limits,
    Program,
    Script,
    Status,
    missing_from,
)
from evolcoder.sandbox.channels import Channels
from evolcoder.sandbox.inside.line import End
from evolcoder.sandbox.jail import Jail, jails
from evolcoder.sandbox.layers import PROBE, layers_of
from evolcoder.sandbox.orders import Job, Order, job_of
from evolcoder.sandbox.outcomes import execution_of
from evolcoder.sandbox.toolchains import Toolchain, find
from evolcoder.sandbox.worker import Worker

TRIES = 2
"""How often a program is given to a worker before the sandbox's failure is final."""


@dataclass(frozen=True, slots=True)
class Level:
    """A name for the least protection that is accepted."""

    name: str
    """As the user writes it."""
    needs: tuple[Layer, ...]
    """Layers without which nothing runs."""


LEVELS = {level.name: level for level in (Level("strict", STRICT),)}


class PoolSandbox:
    """A sandbox of several workers on this machine, for one event loop."""

    def __init__(self, jail: Jail, workers: int, tools: Mapping[str, Toolchain]) -> None:
        self._jail = jail
        self._tools = tools
        self._layers: tuple[Layer, ...] = ()
        self._free: list[tuple[int, Worker | None]] = [(n, None) for n in reversed(range(workers))]
        self._workers = workers
        self._seats = asyncio.Semaphore(workers)
        self._quiet = asyncio.Lock()
        self._closed = False

    @classmethod
    async def start(
        cls,
        *,
        workers: int | None = None,
        level: str = "strict",
        languages: Sequence[str] = (),
        packages: Sequence[Path] = (),
    ) -> Self:
        """Find the best protection that this machine allows; refuse if it is below the level.

        `languages` are those beside Python that programs will be written in; `packages` are folders
        of Python packages that they may import.
        """
        if level not in LEVELS:
            raise SandboxRefusedError(f"--sandbox {level}: known levels are {', '.join(LEVELS)}")
        tools = {name: find(name) for name in languages}
        folders = [folder for toolchain in tools.values() for folder in toolchain.folders]
        count = workers or len(os.sched_getaffinity(0))
        faults = []
        for jail in jails(folders, packages):
            sandbox = cls(jail, count, tools)
            try:
                layers = await sandbox._look()
            except SandboxError as error:
                faults.append(str(error))
                await sandbox.aclose()
                continue
            lacking = missing_from(layers, LEVELS[level].needs)
            if not lacking:
                sandbox._layers = layers
                return sandbox
            faults.append(f"missing are {', '.join(lacking)}")
            await sandbox.aclose()
        raise SandboxRefusedError(_refusal(level, faults))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Protections that are active."""
        return self._layers

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to its end or to its limits, or raise SandboxError.

        A program that went over its time is run once more while nothing else runs, and that counts.
        """
        async with self._seats:
            execution = await self._try(program, limits)
        if execution.status is not Status.TIMEOUT or self._workers == 1:
            return execution
        async with self._quiet:
            for _ in range(self._workers):
                await self._seats.acquire()
            try:
                return await self._try(program, limits)
            finally:
                for _ in range(self._workers):
                    self._seats.release()

    async def aclose(self) -> None:
        """End all workers. Closing twice is allowed."""
        self._closed = True
        for _, worker in self._free:
            if worker is not None:
                worker.kill()
        self._free = [(number, None) for number, _ in self._free]

    async def _try(self, program: Program, limits: Limits) -> Execution:
        """Run a program, on another worker if the first one fails."""
        order = Order.of(program, limits, self._toolchain(program.language))
        job = job_of(order)
        for tries in range(1, TRIES + 1):
            with Channels.open(order.program) as channels:
                try:
                    end = await self._serve(job, channels)
                    return execution_of(end, channels, order, self._layers)
                except SandboxError:
                    if tries == TRIES:
                        raise
        raise AssertionError("unreachable")

    async def _serve(self, job: Job, channels: Channels) -> End:
        """Give a job to a free worker; a worker that fails or is left waiting is ended."""
        if self._closed:
            raise SandboxError("the sandbox is closed")
        number, worker = self._free.pop()
        kept = None
        try:
            worker = worker or await Worker.start(self._jail, number)
            end = await worker.serve(job, channels.fds)
            kept = worker
            return end
        finally:
            if kept is None and worker is not None:
                worker.kill()
            self._free.append((number, kept))

    def _toolchain(self, language: str) -> Toolchain | None:
        if language == "python":
            return None
        if language not in self._tools:
            raise SandboxRefusedError(f"{language}: this sandbox was started without it")
        return self._tools[language]

    async def _look(self) -> tuple[Layer, ...]:
        execution = await self.run(Program("python", PROBE, Script()), Limits())
        return layers_of(execution.stdout)


def _refusal(level: str, faults: Sequence[str]) -> str:
    """Say what is wrong with the best container that can be had, and what to do."""
    if not faults:
        return f"--sandbox {level}: there is no bubblewrap; install the package bubblewrap"
    return (
        f"--sandbox {level}: {faults[0]}; allow user namespaces (sysctl user.max_user_namespaces)"
    )
