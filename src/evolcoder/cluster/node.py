"""The sandbox of one node of a cluster: takes programs in batches, returns whatever has ended.

`NodeSandbox` runs in an actor on the node and holds a `PoolSandbox` with the same layers as on one
machine. It imports nothing of the cluster's software, so that it can be tested in one process.

Guarantees: each submitted program gives one result, in one reply of `collect`. A failure of the
sandbox is returned as an exception and never as an execution. Nothing is kept for a second reply:
if a reply is lost, the driver sends the programs again.

>>> await node.submit([NodeJob(1, program, limits)])   # doctest: +SKIP
>>> await node.collect()                               # doctest: +SKIP
[NodeResult(number=1, outcome=Execution(...))]
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from evolcoder.cluster.packages import lacking
from evolcoder.errors import EvolcoderError, SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import Execution, Limits, Program
from evolcoder.sandbox.pool import PoolSandbox, usable_languages


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How every node starts its sandbox."""

    level: str = "strict"
    """Minimum isolation."""
    workers: int | None = None
    """Workers per node; None: one more than the node's processors."""
    languages: tuple[str, ...] | None = ()
    """Languages besides Python; None: all that the node can run at this level."""
    packages: tuple[Path, ...] = ()
    """Folders of Python packages that programs may import; at the same path on every node."""
    warm: tuple[str, ...] = ()
    """Modules that every worker imports at start."""
    requires: tuple[str, ...] = ()
    """Packages that the node must have, as requirements."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node offers once its sandbox has started."""

    workers: int
    """Programs that it runs concurrently."""
    layers: tuple[str, ...]
    """Active isolation layers."""
    languages: tuple[str, ...]
    """Languages besides Python that it runs."""
    version: str
    """Its version of evolcoder."""


@dataclass(frozen=True, slots=True)
class NodeJob:
    """A program on its way to a node."""

    number: int
    """The driver's number of it."""
    program: Program
    """The program."""
    limits: Limits
    """Its limits."""


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a job."""

    number: int
    """The driver's number of it."""
    outcome: Execution | EvolcoderError
    """Its execution, or the failure of the sandbox."""


class NodeSandbox:
    """Runs the programs of one node; all methods are called on one event loop."""

    def __init__(self) -> None:
        self._sandbox: PoolSandbox | None = None
        self._running: dict[int, asyncio.Task[Execution]] = {}
        self._done: list[NodeResult] = []
        self._has_results = asyncio.Event()

    async def start(self, options: SandboxOptions) -> NodeReport:
        """Start the sandbox; SandboxRefusedError if this node lacks layers or packages."""
        if lacks := lacking(options.requires):
            raise SandboxRefusedError("; ".join(lacks))
        languages = options.languages
        if languages is None:
            languages = tuple(usable_languages(options.level))
        self._sandbox = await PoolSandbox.start(
            workers=options.workers,
            level=options.level,
            languages=languages,
            packages=options.packages,
            warm=options.warm,
        )
        layers = tuple(map(str, self._sandbox.layers))
        return NodeReport(self._sandbox.workers, layers, languages, version("evolcoder"))

    async def submit(self, jobs: Sequence[NodeJob]) -> None:
        """Start a batch of programs and return at once."""
        assert self._sandbox is not None
        for job in jobs:
            task = asyncio.create_task(self._sandbox.run(job.program, job.limits))
            self._running[job.number] = task
            task.add_done_callback(partial(self._end, job.number))

    async def collect(self) -> list[NodeResult]:
        """Wait until a program has ended; return all results since the last call."""
        await self._has_results.wait()
        self._has_results.clear()
        done, self._done = self._done, []
        return done

    async def cancel(self, numbers: Sequence[int]) -> None:
        """End programs whose results are no longer wanted."""
        for number in numbers:
            if (task := self._running.get(number)) is not None:
                task.cancel()

    async def stop(self) -> None:
        """End all programs and workers; idempotent."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sandbox is not None:
            await self._sandbox.aclose()

    def _end(self, number: int, task: asyncio.Task[Execution]) -> None:
        del self._running[number]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            outcome: Execution | EvolcoderError = task.result()
        elif isinstance(error, EvolcoderError):
            outcome = error
        else:
            outcome = SandboxError(f"{type(error).__name__}: {error}")
        self._done.append(NodeResult(number, outcome))
        self._has_results.set()
