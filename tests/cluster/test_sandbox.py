"""The ledger of the cluster sandbox: in-process nodes with real sandboxes, and nodes that die."""

import asyncio
from dataclasses import dataclass, field

import pytest

from evolcoder.cluster import sandbox as cluster_sandbox
from evolcoder.cluster.node import NodeJob, NodeReport, NodeResult, NodeSandbox, SandboxOptions
from evolcoder.cluster.sandbox import DEPTH, MAX_BATCH, MAX_DEATHS, MAX_SENT, ClusterSandbox
from evolcoder.errors import ClusterError, NodeLostError, SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import STRICT_LAYERS, Execution, Limits, Program, Status

VERSION = __import__("importlib.metadata").metadata.version("evolcoder")


def execution(stdout):
    return Execution(
        Status.FINISHED, 0, stdout, b"", b"", None, None, 0.0, 0.0, 1.0, 0.0, STRICT_LAYERS, ()
    )


@dataclass
class ScriptedNode:
    """A node whose programs print their source; it dies when it is told to."""

    name: str
    workers: int = 1
    layers: tuple = tuple(map(str, STRICT_LAYERS))
    languages: tuple = ()
    version: str = VERSION
    refuses: str = ""
    holds: bool = False
    """Whether it keeps results back until it is released."""
    is_gone: bool = False
    """Whether it cannot be started again."""
    seen: list = field(default_factory=list)
    batches: list = field(default_factory=list)
    n_starts: int = 0
    n_stops: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    results: asyncio.Queue = field(default_factory=asyncio.Queue)
    held: list = field(default_factory=list)

    async def start(self, options):
        if self.refuses:
            raise SandboxRefusedError(self.refuses)
        if self.is_gone:
            raise NodeLostError(f"node {self.name} died: gone")
        self.n_starts += 1
        self.lost, self.results, self.held = asyncio.Event(), asyncio.Queue(), []
        return NodeReport(self.workers, self.layers, self.languages, self.version)

    async def submit(self, jobs):
        self._check()
        self.batches.append(len(jobs))
        for job in jobs:
            self.seen.append(job.number)
            self.held.append(NodeResult(job.number, execution(job.program.source.encode())))
        if not self.holds:
            self.release()

    def release(self):
        for result in self.held:
            self.results.put_nowait(result)
        self.held = []

    async def collect(self):
        getting = asyncio.create_task(self.results.get())
        losing = asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait([getting, losing], return_when=asyncio.FIRST_COMPLETED)
            self._check()
            return [getting.result()]
        finally:
            getting.cancel()
            losing.cancel()

    async def cancel(self, numbers):
        self._check()

    async def stop(self):
        self.n_stops += 1

    def die(self):
        self.lost.set()

    def _check(self):
        if self.lost.is_set():
            raise NodeLostError(f"node {self.name} died: killed")


async def started(*nodes, find=None):
    notes = []
    sandbox = await ClusterSandbox.start(nodes, SandboxOptions(), note=notes.append, find=find)
    return sandbox, notes


def run_all(sandbox, n):
    return [asyncio.create_task(sandbox.run(Program("python", f"{i}"), Limits())) for i in range(n)]


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_programs_go_to_the_node_with_least_work_per_worker_and_no_node_gets_too_many():
    """Four workers get four times as much as one; the rest waits at the driver; calls are batches."""
    big, small = ScriptedNode("big", workers=4, holds=True), ScriptedNode("small", holds=True)
    sandbox, _ = await started(big, small)
    tasks = run_all(sandbox, 40)
    await settle()
    assert (len(big.seen), len(small.seen)) == (4 * DEPTH, DEPTH)
    assert max(big.batches) > 1
    for node in (big, small):
        node.holds = False
        node.release()
    assert [one.stdout for one in await asyncio.gather(*tasks)] == [b"%d" % i for i in range(40)]
    assert sorted(big.seen + small.seen) == list(range(40))
    assert sandbox.outstanding == {"big": (), "small": ()}
    await sandbox.aclose()


@pytest.mark.parametrize("instant", range(0, 12, 2))
async def test_what_a_dead_node_had_is_sent_once_more_and_answered_once(instant):
    """At whatever instant a node dies, each program has one outcome, and no answered one runs again."""
    first, second = ScriptedNode("first", workers=2), ScriptedNode("second", workers=2)
    sandbox, _ = await started(first, second)
    tasks = run_all(sandbox, 12)
    for _ in range(instant):
        await asyncio.sleep(0)
    answered = {i for i, task in enumerate(tasks) if task.done()}
    sent_before = first.seen + second.seen
    first.is_gone = True
    first.die()
    found = await asyncio.gather(*tasks)
    assert [one.stdout for one in found] == [b"%d" % i for i in range(12)]
    again = (first.seen + second.seen)[len(sent_before) :]
    assert not answered & set(again)
    assert all((first.seen + second.seen).count(i) <= MAX_SENT for i in range(12))
    await sandbox.aclose()
    assert first.n_stops
    assert second.n_stops


async def test_a_program_whose_nodes_die_twice_is_a_sandbox_failure():
    """It is never a wrong answer; the others are answered by the node that was started again."""
    node = ScriptedNode("only", holds=True)
    sandbox, notes = await started(node)
    task, *others = run_all(sandbox, DEPTH + 2)
    for _ in range(2):
        await settle()
        node.die()
    await settle()
    with pytest.raises(SandboxError, match="2 nodes died"):
        await task
    lost = await asyncio.gather(*others[: DEPTH - 1], return_exceptions=True)
    assert all(isinstance(one, SandboxError) for one in lost)
    node.holds = False
    node.release()
    late = await asyncio.gather(*others[DEPTH - 1 :])
    assert [one.stdout for one in late] == [b"%d" % i for i in range(DEPTH, DEPTH + 2)]
    assert node.n_starts == 3
    assert "started again" in notes[0]
    await sandbox.aclose()


async def test_a_node_that_had_died_unnoticed_does_not_count():
    """Several nodes may go at once: what they never took is sent until a living one has it."""
    first = ScriptedNode("first", holds=True)
    gone = [UnnoticedNode(f"gone {i}") for i in range(3)]
    sandbox, _ = await started(first, *gone)
    task, *_ = run_all(sandbox, 1)
    await settle()
    for node in gone:
        node.is_gone = True
    first.is_gone = True
    first.die()
    last = ScriptedNode("last")
    sandbox._find = lambda: [last]
    assert (await task).stdout == b"0"
    assert [node.n_refused for node in gone] == [1, 1, 1]
    assert (first.seen, last.seen) == ([0], [0])
    await sandbox.aclose()


class UnnoticedNode(ScriptedNode):
    """A node whose death is noticed when it is sent something."""

    n_refused = 0

    async def submit(self, jobs):
        if self.is_gone:
            self.n_refused += 1
            self.die()
        await super().submit(jobs)


async def test_a_cluster_without_nodes_stops_the_command():
    """Its rows are not marked as failures of the sandbox: the same command goes on."""
    node = ScriptedNode("only", holds=True)
    sandbox, _ = await started(node)
    tasks = run_all(sandbox, 3 * DEPTH)
    await settle()
    node.is_gone = True
    node.die()
    with pytest.raises(ClusterError, match="the same command goes on"):
        await tasks[-1]
    with pytest.raises(ClusterError):
        await sandbox.run(Program("python", ""), Limits())
    await asyncio.gather(*tasks, return_exceptions=True)
    await sandbox.aclose()


@dataclass
class SlowNode(ScriptedNode):
    """A node that takes batches one after another, when it is told to."""

    may_take: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    n_calls: int = 0
    most_calls: int = 0

    async def submit(self, jobs):
        self.n_calls += 1
        self.most_calls = max(self.most_calls, self.n_calls)
        await self.may_take.acquire()
        await super().submit(jobs)
        self.n_calls -= 1


async def test_a_slow_node_has_one_batch_on_its_way_and_a_bounded_ledger():
    """What it has not taken waits at the driver, however many programs there are."""
    node = SlowNode("slow", workers=2 * MAX_BATCH)
    sandbox, _ = await started(node)
    tasks = run_all(sandbox, 20 * MAX_BATCH)
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, len(sandbox.outstanding["slow"]))
        node.may_take.release()
        await settle()
    assert [(await task).stdout for task in tasks] == [b"%d" % i for i in range(20 * MAX_BATCH)]
    assert (node.most_calls, most) == (1, DEPTH * node.workers)
    assert max(node.batches) == MAX_BATCH
    await sandbox.aclose()


async def test_a_node_that_joins_gets_programs(monkeypatch):
    """It is noted; one that lacks what the others have is refused, and one that dies tried again."""
    monkeypatch.setattr(cluster_sandbox, "JOIN_S", 0.0)
    first = ScriptedNode("first", holds=True, languages=("bash",))
    late = ScriptedNode("late", languages=("bash", "c"))
    poor, gone = ScriptedNode("poor"), ScriptedNode("gone", is_gone=True)
    there = [first]
    sandbox, notes = await started(first, find=lambda: there)
    tasks = run_all(sandbox, 2 * DEPTH)
    await settle()
    assert not any(task.done() for task in tasks)
    there += [poor, gone, late]
    async with asyncio.timeout(10):
        while len(notes) < 3:
            await asyncio.sleep(0.01)
    assert {task.done() for task in tasks} == {True, False}
    assert "node late has joined" in notes
    assert "not used: node poor: lacks bash" in notes
    assert "not used: node gone died: gone" in notes
    assert (late.n_starts, poor.n_starts, first.n_starts) == (1, MAX_DEATHS, 1)
    assert sandbox.languages == ("bash",)
    first.release()
    await asyncio.gather(*tasks)
    await sandbox.aclose()
    assert (late.n_stops, poor.n_stops) == (1, MAX_DEATHS)


async def test_programs_of_the_last_node_go_to_one_that_joined():
    """The command does not stop if another node is there when the last one dies."""
    first, late = ScriptedNode("first", holds=True), ScriptedNode("late")
    there = [first]
    sandbox, notes = await started(first, find=lambda: there)
    tasks = run_all(sandbox, 3 * DEPTH)
    await settle()
    there.append(late)
    first.is_gone = True
    first.die()
    found = await asyncio.gather(*tasks)
    assert [one.stdout for one in found] == [b"%d" % i for i in range(3 * DEPTH)]
    assert notes == [
        "node late has joined",
        "node first died: killed; going on with 1 nodes",
    ]
    await sandbox.aclose()


async def test_a_node_that_lacks_a_package_is_refused():
    """One that is not installed, of another version, or no requirement; each is named."""
    node = NodeSandbox()
    wanted = ("pytest", "no-such-package>=1", f"evolcoder<{VERSION}", "numpy>=0.*")
    with pytest.raises(SandboxRefusedError) as refusal:
        await node.start(SandboxOptions(workers=1, requires=wanted))
    lacks = str(refusal.value).split("; ")
    assert len(lacks) == 3
    assert lacks[0] == "cluster.packages wants no-such-package>=1, which is not installed"
    assert lacks[1] == f"cluster.packages wants evolcoder<{VERSION}, and {VERSION} is installed"
    assert "numpy>=0.*, which is no requirement" in lacks[2]
    await node.stop()


async def test_a_node_that_only_dies_is_left_out():
    """After three deaths without a result."""
    bad, good = ScriptedNode("bad", holds=True), ScriptedNode("good")
    sandbox, notes = await started(bad, good)
    for _ in range(MAX_DEATHS):
        await settle()
        bad.die()
    await settle()
    assert "going on with 1 nodes" in notes[-1]
    assert (await sandbox.run(Program("python", "x"), Limits())).stdout == b"x"
    await sandbox.aclose()


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (
            ScriptedNode("other", refuses="--sandbox strict: missing layers: no network"),
            "no network",
        ),
        (ScriptedNode("other", version="0.0.1"), "has evolcoder 0.0.1"),
        (ScriptedNode("other", is_gone=True), "died"),
    ],
)
async def test_a_node_is_refused_by_name(other, why):
    """The others go on without it; a cluster without any other is refused."""
    sandbox, notes = await started(ScriptedNode("good"), other)
    assert len(notes) == 1
    assert "node other" in notes[0]
    assert why in notes[0]
    await sandbox.aclose()
    with pytest.raises(
        SandboxRefusedError, match=f"node other.*{why}.*see `evolcoder cluster check`"
    ):
        await started(other)


async def test_layers_and_languages_are_those_of_every_node():
    """What one node lacks is claimed for none."""
    full = ScriptedNode("full", languages=("bash", "rust"))
    less = ScriptedNode("less", layers=tuple(map(str, STRICT_LAYERS[:3])), languages=("bash",))
    sandbox, notes = await started(full, less)
    assert sandbox.layers == STRICT_LAYERS[:3]
    assert sandbox.languages == ("bash",)
    assert notes == ["rust: programs are not run, since it is missing on less"]
    with pytest.raises(SandboxRefusedError, match="rust"):
        await sandbox.run(Program("rust", ""), Limits())
    await sandbox.aclose()


async def test_a_cancelled_program_leaves_the_ledger():
    """Its place is free for another, and a late result of it is ignored."""
    node = ScriptedNode("only", holds=True)
    sandbox, _ = await started(node)
    tasks = run_all(sandbox, DEPTH)
    await settle()
    for task in tasks:
        task.cancel()
    await settle()
    assert sandbox.outstanding == {"only": ()}
    node.holds = False
    node.release()
    assert (await sandbox.run(Program("python", "x"), Limits())).stdout == b"x"
    await sandbox.aclose()


async def test_programs_run_in_the_sandbox_of_a_node():
    """A node's executions are those of its pool, and a failure of its sandbox is no execution."""
    node = NodeSandbox()
    report = await node.start(SandboxOptions(workers=1))
    assert set(report.layers) >= set(STRICT_LAYERS)
    await node.submit([NodeJob(7, Program("python", "print(6 * 7)"), Limits())])
    (result,) = await node.collect()
    assert (result.number, result.outcome.stdout) == (7, b"42\n")
    await node.submit([NodeJob(8, Program("cobol", ""), Limits())])
    (result,) = await node.collect()
    assert isinstance(result.outcome, SandboxRefusedError)
    await node.submit([NodeJob(9, Program("python", "while True: pass"), Limits())])
    await node.cancel([9])
    await node.stop()
    await node.stop()
