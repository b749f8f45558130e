"""A sandbox spread over the nodes of a cluster; keeps a ledger of which program is on which node.

Implements the contract of `sandbox.base`. Programs are sent in batches to the node with the least
outstanding work per worker; a node has at most `DEPTH` programs per worker, the rest waits here,
longest limit first.

Guarantees: a program gets one outcome. If a node dies that had taken it, it is sent once more, to
whatever node has room; if that one dies with it as well, the outcome is a `SandboxError`, never an
execution. A node that had died before it took a program does not count. A reply of a node that was
given up is ignored. A node that dies is replaced while its machine is there, up to
`MAX_DEATHS` times without a result in between, and then left out. If none is left, all waiting
programs raise `ClusterError`: the command stops, and goes on where it was when it is run again.
With `find`, nodes that join the cluster later are used too.
Not guaranteed: that a program runs once. One that ended on a node that died before its reply runs
again.

>>> sandbox = await ClusterSandbox.start(nodes, SandboxOptions(), note=print)   # doctest: +SKIP
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from evolcoder.cluster.node import NodeJob, NodeReport, NodeResult, SandboxOptions
from evolcoder.errors import ClusterError, NodeLostError, SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import Execution, Layer, Limits, Program

DEPTH = 3
"""Programs per worker that a node has at most: one that runs, and those that wait for it."""
MAX_BATCH = 64
"""Programs of one call."""
MAX_SENT = 2
"""Nodes that may die with a program before it is a failure of the sandbox."""
MAX_DEATHS = 3
"""Deaths of a node without a result in between, after which it is left out; also, tries to start a
node that joins."""
JOIN_S = 10.0
"""How often it looks for nodes that have joined the cluster."""


class Node(Protocol):
    """One node as the driver sees it. Every method raises NodeLostError if the node has died."""

    name: str
    """Its name for messages."""

    async def start(self, options: SandboxOptions) -> NodeReport:
        """Start its sandbox; after a death, a new one. Raises SandboxRefusedError."""
        ...

    async def submit(self, jobs: Sequence[NodeJob]) -> None:
        """Start a batch of programs."""
        ...

    async def collect(self) -> list[NodeResult]:
        """Wait for results, and return all that there are."""
        ...

    async def cancel(self, numbers: Sequence[int]) -> None:
        """End programs whose results are no longer wanted."""
        ...

    async def stop(self) -> None:
        """End the sandbox and the actor; never raises NodeLostError. Idempotent."""
        ...


FindNodes = Callable[[], Sequence[Node]]
"""Lists the nodes that a cluster has now; may block."""


@dataclass(slots=True, eq=False)
class _Job:
    """An entry of the ledger."""

    sent: NodeJob
    """What is sent."""
    outcome: asyncio.Future[Execution]
    """Where the caller waits."""
    n_sent: int = 0
    """Nodes that took it."""

    def __lt__(self, other: "_Job") -> bool:
        """Longest limit first; what was sent before comes before all others."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[int, float, int]:
        return -self.n_sent, -self.sent.limits.cpu_s, self.sent.number


@dataclass(slots=True, eq=False)
class _Place:
    """A node and what is out there."""

    node: Node
    """The node."""
    report: NodeReport
    """What it offers."""
    out: dict[int, _Job] = field(default_factory=dict)
    """The ledger: jobs that were assigned to it and have no outcome, by number."""
    outbox: list[_Job] = field(default_factory=list)
    """Those of them that are not sent yet."""
    has_mail: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the outbox is not empty."""
    n_deaths: int = 0
    """Deaths since its last result."""
    is_up: bool = True
    """Whether jobs may be assigned to it."""
    out_s: float = 0.0
    """CPU seconds that the jobs in the ledger may take."""

    @property
    def load(self) -> float:
        """Outstanding CPU seconds per worker, at most."""
        return self.out_s / self.report.workers

    def add(self, job: _Job) -> None:
        """Enter a job that will be sent."""
        self.out[job.sent.number] = job
        self.out_s += job.sent.limits.cpu_s
        self.outbox.append(job)
        self.has_mail.set()

    def remove(self, number: int) -> _Job | None:
        """Strike a job out of the ledger; None if it is not there."""
        if (job := self.out.pop(number, None)) is not None:
            self.out_s = self.out_s - job.sent.limits.cpu_s if self.out else 0.0
        return job

    def clear(self) -> list[_Job]:
        """Strike all jobs out of the ledger, and return them."""
        jobs = list(self.out.values())
        self.out, self.out_s, self.outbox = {}, 0.0, []
        self.has_mail.clear()
        return jobs

    @property
    def has_room(self) -> bool:
        """Whether another job may be assigned."""
        return self.is_up and len(self.out) < DEPTH * self.report.workers


class ClusterSandbox:
    """The sandboxes of several nodes as one; for one event loop."""

    def __init__(
        self,
        places: Sequence[_Place],
        options: SandboxOptions,
        note: Callable[[str], None],
        find: FindNodes | None = None,
    ) -> None:
        self._places = list(places)
        shared = set.intersection(*(set(place.report.languages) for place in places))
        self.languages = tuple(one for one in places[0].report.languages if one in shared)
        """Languages besides Python that every node runs."""
        active = set.intersection(*(set(place.report.layers) for place in places))
        self.layers = tuple(layer for layer in Layer if layer in active)
        """Protections that are active on every node."""
        self._options = options
        self._note = note
        self._find = find
        self._tries = Counter[str]()
        """By name of a node, how often it was started or tried."""
        self._joining = asyncio.Lock()
        self._numbers = itertools.count()
        self._waiting: list[_Job] = []
        self._cancelling: set[asyncio.Task[None]] = set()
        self._lost: ClusterError | None = None
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []
        for place in self._places:
            self._begin(self._serve(place))
        if find is not None:
            self._begin(self._join())

    @classmethod
    async def start(
        cls,
        nodes: Sequence[Node],
        options: SandboxOptions,
        *,
        note: Callable[[str], None],
        find: FindNodes | None = None,
    ) -> Self:
        """Start a sandbox on every node; `find` lists the nodes that there are later.

        A node that lacks the level's layers, or whose version of evolcoder differs, is refused, and
        named in a note. Raises SandboxRefusedError if none is left.
        """
        found = await asyncio.gather(*(_start(node, options) for node in nodes))
        places = [one for one in found if isinstance(one, _Place)]
        refusals = [one for one in found if isinstance(one, str)]
        refusals += await _refuse_other_versions(places)
        if not places:
            why = "; ".join(refusals) or "the cluster has no node with a CPU"
            raise SandboxRefusedError(f"{why}; see `evolcoder cluster check`")
        for refusal in refusals:
            note(f"not used: {refusal}")
        sandbox = cls(places, options, note, find)
        sandbox._tries.update({node.name: MAX_DEATHS for node in nodes})
        for name in sorted({one for place in places for one in place.report.languages}):
            if name not in sandbox.languages:
                lacking = [p.node.name for p in places if name not in p.report.languages]
                note(f"{name}: programs are not run, since it is missing on {', '.join(lacking)}")
        return sandbox

    @property
    def workers(self) -> int:
        """Programs that all nodes together run concurrently."""
        return sum(place.report.workers for place in self._places)

    @property
    def reports(self) -> dict[str, NodeReport]:
        """What each node offers, by its name."""
        return {place.node.name: place.report for place in self._places}

    @property
    def outstanding(self) -> dict[str, tuple[int, ...]]:
        """The ledger: numbers of the programs that are on each node, by its name."""
        return {place.node.name: tuple(place.out) for place in self._places}

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program on some node; raise SandboxError on sandbox failure."""
        if self._closed:
            raise SandboxError("the sandbox is closed")
        if self._lost is not None:
            raise self._lost
        if program.language not in {"python", *self.languages}:
            raise SandboxRefusedError(
                f"{program.language}: the sandbox was started without this language"
            )
        outcome: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        job = _Job(NodeJob(next(self._numbers), program, limits), outcome)
        heapq.heappush(self._waiting, job)
        self._assign()
        try:
            return await outcome
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    async def aclose(self) -> None:
        """End all programs, sandboxes and actors; idempotent."""
        if self._closed:
            return
        self._closed = True
        for task in (*self._tasks, *self._cancelling):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._cancelling, return_exceptions=True)
        self._fail_all(SandboxError("the sandbox is closed"))
        await asyncio.gather(*(place.node.stop() for place in self._places))

    def _assign(self) -> None:
        """Assign waiting jobs to the nodes with the least outstanding work."""
        while self._waiting:
            open_places = [place for place in self._places if place.has_room]
            if not open_places:
                return
            job = heapq.heappop(self._waiting)
            if job.outcome.done():
                continue
            min(open_places, key=lambda one: one.load).add(job)

    def _withdraw(self, job: _Job) -> None:
        """Forget a job whose caller was cancelled, and end it on its node."""
        number = job.sent.number
        for place in self._places:
            if place.remove(number) is None:
                continue
            if job in place.outbox:
                place.outbox.remove(job)
            elif place.is_up and not self._closed:
                task = asyncio.create_task(_cancel_on(place.node, number))
                self._cancelling.add(task)
                task.add_done_callback(self._cancelling.discard)
            self._assign()

    async def _serve(self, place: _Place) -> None:
        """Send and collect on one node until it is left out."""
        while place.is_up:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._send(place))
                    group.create_task(self._collect(place))
            except* NodeLostError as lost:
                why = str(lost.exceptions[0])
            self._take_back(place, why)
            await self._replace(place, why)

    async def _send(self, place: _Place) -> None:
        """Send what is in the outbox; what is assigned meanwhile makes the next batch."""
        while True:
            await place.has_mail.wait()
            batch, place.outbox = place.outbox[:MAX_BATCH], place.outbox[MAX_BATCH:]
            if not place.outbox:
                place.has_mail.clear()
            if batch:
                await place.node.submit([job.sent for job in batch])
                for job in batch:  # a node that had died before it took them did not have them
                    job.n_sent += 1

    async def _collect(self, place: _Place) -> None:
        """Settle results as they come. A result without an entry in the ledger is ignored."""
        while True:
            for result in await place.node.collect():
                place.n_deaths = 0
                job = place.remove(result.number)
                if job is None or job.outcome.done():
                    continue
                if isinstance(result.outcome, Execution):
                    job.outcome.set_result(result.outcome)
                else:
                    job.outcome.set_exception(result.outcome)
            self._assign()

    def _take_back(self, place: _Place, why: str) -> None:
        """Queue the jobs of a dead node again; fail those that were sent before."""
        place.is_up = False
        for job in place.clear():
            if job.n_sent < MAX_SENT:
                heapq.heappush(self._waiting, job)
            elif not job.outcome.done():
                job.outcome.set_exception(
                    SandboxError(f"{MAX_SENT} nodes died while they had a program, the last: {why}")
                )
        self._assign()

    async def _replace(self, place: _Place, why: str) -> None:
        """Start a node's sandbox again, or leave the node out."""
        place.n_deaths += 1
        if place.n_deaths < MAX_DEATHS:
            found = await _start(place.node, self._options)
            if isinstance(found, _Place) and set(found.report.layers) >= set(self.layers):
                place.report, place.is_up = found.report, True
                self._note(f"{why}; its sandbox was started again")
                self._assign()
                return
        await place.node.stop()
        if len(self._places) == 1:
            await self._take_in()
        if len(self._places) > 1:
            self._places.remove(place)
            self._note(f"{why}; going on with {len(self._places)} nodes")
            self._assign()
            return
        self._lost = ClusterError(
            f"no node of the cluster is left: {why}; nothing is lost, the same command goes on"
        )
        self._fail_all(self._lost)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._surface)
        self._tasks.append(task)

    async def _join(self) -> None:
        """Look for nodes that have joined, again and again."""
        while True:
            await asyncio.sleep(JOIN_S)
            await self._take_in()

    async def _take_in(self) -> None:
        """Start the sandboxes of nodes that have joined the cluster."""
        if self._find is None:
            return
        async with self._joining:
            for node in await asyncio.to_thread(self._find):
                self._tries[node.name] += 1
                if self._tries[node.name] > MAX_DEATHS:
                    continue
                found = await _start(node, self._options)
                refusals = [found] if isinstance(found, str) else await self._refusals(found)
                if refusals and self._tries[node.name] == MAX_DEATHS:
                    self._note(f"not used: {refusals[0]}")
                if isinstance(found, _Place) and not refusals:
                    self._tries[node.name] = MAX_DEATHS
                    self._places.append(found)
                    self._note(f"node {node.name} has joined")
                    self._begin(self._serve(found))
            self._assign()

    async def _refusals(self, place: _Place) -> list[str]:
        """Say why a node cannot join, and stop it: it lacks what the others have."""
        refusals = await _refuse_other_versions([place])
        lacks = {*self.layers, *self.languages} - {*place.report.layers, *place.report.languages}
        if not refusals and lacks:
            await place.node.stop()
            refusals = [f"node {place.node.name}: lacks {', '.join(sorted(map(str, lacks)))}"]
        return refusals

    def _surface(self, task: asyncio.Task[None]) -> None:
        """Let those who wait see a failure that no node caused."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lost = ClusterError(f"the cluster failed: {error}")
            self._fail_all(self._lost)

    def _fail_all(self, error: ClusterError | SandboxError) -> None:
        jobs = [*self._waiting, *(job for place in self._places for job in place.out.values())]
        self._waiting = []
        for job in jobs:
            if not job.outcome.done():
                job.outcome.set_exception(error)


async def _start(node: Node, options: SandboxOptions) -> _Place | str:
    """Start the sandbox of a node; return why it is not used if it cannot be."""
    try:
        return _Place(node, await node.start(options))
    except (SandboxRefusedError, SandboxError) as error:
        await node.stop()
        return f"node {node.name}: {error}"
    except NodeLostError as error:
        return str(error)


async def _refuse_other_versions(places: list[_Place]) -> list[str]:
    """Remove nodes whose version differs from this process's; return why."""
    from importlib.metadata import version  # noqa: PLC0415 - slow import

    ours, refusals = version("evolcoder"), []
    for place in [one for one in places if one.report.version != ours]:
        places.remove(place)
        await place.node.stop()
        theirs = place.report.version
        refusals.append(
            f"node {place.node.name}: has evolcoder {theirs}, not {ours}; install the same version"
        )
    return refusals


async def _cancel_on(node: Node, number: int) -> None:
    try:
        await node.cancel([number])
    except NodeLostError:
        return  # `_serve` notices
