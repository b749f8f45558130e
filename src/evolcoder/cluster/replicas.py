"""Model servers on a cluster: one actor per replica, asked over HTTP as one engine.

An actor starts a server (vLLM, or any other command), waits until it is ready, and ends it. The
driver asks all replicas through `engine.server_pool`, which shares requests out and sends those of
a dead server to another.

Guarantees: a server that ends is started again, up to `restarts` times in all for each replica, and
then left out. No server outlives its actor, nor an actor the driver. `aclose` waits for requests in
flight before servers end.

>>> engine = await ReplicaEngine.start(replicas, connect, traffic, note=print)   # doctest: +SKIP
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from evolcoder.cluster.packages import lacking
from evolcoder.cluster.ray_cluster import NodeFacts, RayCluster, asked, on_node
from evolcoder.concurrency import task_group
from evolcoder.config.load import ClusterConfig, TrafficConfig
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.server_pool import ServerPool
from evolcoder.errors import ConfigError, EvolcoderError, ModelError, NodeLostError, StepFailed
from evolcoder.serving.process import log_tail, started, wait_until_ready

POLL_S = 0.5
"""How often an actor looks whether its server still runs."""
DRAIN_S = 60.0
"""Time that requests in flight have to end before the servers are stopped."""
PLACED_S = 120.0
"""Time that an actor has to get its GPUs."""
IDENTITY = "vllm"
"""What stands for the replicas in records, whatever their addresses."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How a replica starts its server."""

    model: str
    """The model, as the server's command takes it."""
    command: tuple[str, ...]
    """Command with the placeholders {python} {model} {host} {port} {gpus}."""
    gpus: int
    """GPUs of the server."""
    ready_s: float
    """Maximum wait until it answers."""
    stop_s: float
    """Time that it has to end before it is killed."""
    packages: tuple[str, ...] = ()
    """Packages that the node must have, as requirements."""

    @classmethod
    def of(cls, model: str, config: ClusterConfig) -> Self:
        """Make the plan of a config."""
        command = (*config.serve_command, *config.serve_options)
        given = (config.gpus_of(model), config.ready_s, config.stop_s)
        return cls(model, command, *given, config.packages)


class ModelReplica:
    """Runs one server on the machine where it is; an actor whose methods may block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()
        self._keeps_log = False

    def start(self, plan: ServerPlan, host: str) -> str:
        """Start the server and wait until it is ready; return its base URL.

        Raises StepFailed, which names the log: that of a server which failed is kept.
        """
        if lacks := lacking(plan.packages):
            raise StepFailed("; ".join(lacks))
        self._log = Path(tempfile.mkdtemp(prefix="evolcoder-server-")).resolve() / "log.txt"
        self._stack.callback(self._end_log)
        try:
            return self._start(plan, host)
        except StepFailed as error:
            self._keeps_log = True
            raise StepFailed(f"on {socket.gethostname()}: {error}") from error

    def _start(self, plan: ServerPlan, host: str) -> str:
        port = _free_port(host)
        values = {
            "python": sys.executable, "model": plan.model, "host": host, "port": str(port),
            "gpus": str(max(1, plan.gpus)),
        }  # fmt: skip
        url = f"http://{host}:{port}/v1"
        command = [_filled(part, values) for part in plan.command]
        self._process = self._stack.enter_context(
            started(command, url, log=self._log, stop_s=plan.stop_s)
        )
        wait_until_ready(self._process, url, self._log, plan.ready_s, section="cluster")
        return url

    def has_ended(self) -> str:
        """Wait a moment; return why the server ended, or '' while it runs."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(POLL_S)
            self._keeps_log = True
            return (
                f"the server exited with code {code}: {log_tail(self._log)} "
                f"(full log: {self._log} on {socket.gethostname()})"
            )
        return ""

    def _end_log(self) -> None:
        if not self._keeps_log:
            shutil.rmtree(self._log.parent, ignore_errors=True)

    def stop(self) -> None:
        """End the server; idempotent."""
        self._stack.close()


class Replica(Protocol):
    """One replica as the driver sees it. Every method raises NodeLostError if its actor died."""

    name: str
    """Its name for messages."""

    async def start(self) -> str:
        """Start a server, after an end another one; return its base URL. Raises StepFailed."""
        ...

    async def has_ended(self) -> str:
        """Wait a moment; return why the server ended, or '' while it runs."""
        ...

    async def stop(self) -> None:
        """End the server and the actor; never raises NodeLostError. Idempotent."""
        ...


class RayReplica:
    """A replica in an actor: at first on the node that it is planned for, if that is there."""

    def __init__(
        self, cluster: RayCluster, plan: ServerPlan, number: int, node_id: str | None = None
    ) -> None:
        self.name = f"replica {number} of {plan.model}"
        self._ray = cluster.ray
        self._plan = plan
        self._node_id = node_id
        self._actor: Any = None
        self._is_placed = False

    async def start(self) -> str:
        """Start an actor and its server; StepFailed if no node has GPUs for it in time."""
        await self.stop()
        self._is_placed = False
        actor = on_node(
            self._ray, NodeReplica, self._node_id, is_bound=False,
            num_cpus=0, num_gpus=self._plan.gpus, max_concurrency=2,
        )  # fmt: skip
        self._actor = actor.remote()
        try:
            async with asyncio.timeout(PLACED_S):
                await self._ask("has_begun")
        except TimeoutError as error:
            await self._kill()
            raise StepFailed(
                f"no node had {self._plan.gpus} free GPUs within {PLACED_S:g} s; other programs on "
                f"the cluster may hold them"
            ) from error
        self._is_placed = True
        return str(await self._ask("start_here", self._plan))

    async def has_ended(self) -> str:
        """Wait a moment; return why the server ended."""
        return str(await self._ask("has_ended"))

    async def stop(self) -> None:
        """End the server and the actor."""
        if self._actor is None:
            return
        if self._is_placed:  # one that waits for its GPUs would answer when it has them
            with contextlib.suppress(NodeLostError):
                await self._ask("stop")
        await self._kill()

    async def _kill(self) -> None:
        """End the actor, which may have died."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)
        self._actor = None

    async def _ask(self, method: str, *given: object) -> Any:  # noqa: ANN401 - by the method
        return await asked(self._ray, "its actor", getattr(self._actor, method).remote(*given))


class NodeReplica(ModelReplica):
    """A replica that listens on its node's address in the cluster."""

    def has_begun(self) -> bool:
        """Say that the actor has its GPUs."""
        return True

    def start_here(self, plan: ServerPlan) -> str:
        """Start the server on this node."""
        import ray  # noqa: PLC0415 - heavy

        return self.start(plan, ray.util.get_node_ip_address())


class _PackageCheck:
    """Looks for packages on the node that it runs on; an actor."""

    def lacking(self, packages: tuple[str, ...]) -> list[str]:
        """Say what this node lacks."""
        return lacking(packages)


async def nodes_with(
    cluster: RayCluster, packages: tuple[str, ...], note: Callable[[str], None]
) -> list[NodeFacts]:
    """Return the nodes that have the packages; name the others in notes."""
    nodes = cluster.nodes()
    if not packages:
        return nodes

    async def lacks(node: NodeFacts) -> str:
        actor = on_node(cluster.ray, _PackageCheck, node.id, num_cpus=0).remote()
        try:
            found = await asked(cluster.ray, f"node {node.name}", actor.lacking.remote(packages))
        except NodeLostError as error:
            return str(error)
        finally:
            cluster.ray.kill(actor)
        return f"node {node.name}: {'; '.join(found)}" if found else ""

    refusals = await asyncio.gather(*map(lacks, nodes))
    for refusal in filter(None, refusals):
        note(f"no server is started there: {refusal}")
    return [node for node, refusal in zip(nodes, refusals, strict=True) if not refusal]


def shared_out(
    nodes: Sequence[NodeFacts], config: ClusterConfig, models: Sequence[str]
) -> dict[str, list[str]]:
    """Return the node of each server, by model; all models share the GPUs of the nodes.

    Raises ConfigError if the nodes have not the GPUs for all of them.
    """
    known = {one: config.replicas_of(one) for one in models}
    counts = {one: wanted or 1 for one, wanted in known.items()}
    placed = _placed(counts, config, nodes)
    if placed is None:
        wanted = ", ".join(f"{n} of {one} with {config.gpus_of(one)}" for one, n in counts.items())
        gpus = ", ".join(str(int(node.gpus)) for node in nodes)
        raise ConfigError(
            f"cluster.replicas: the servers do not fit on the nodes: wanted are {wanted} GPUs "
            f"each, and the nodes have {gpus or 'no'} GPUs"
        )
    growing = [one for one, wanted in known.items() if wanted is None and config.gpus_of(one)]
    while growing:  # one server more of each in turn, as long as it fits
        for one in tuple(growing):
            more = _placed({**counts, one: counts[one] + 1}, config, nodes)
            if more is None:
                growing.remove(one)
            else:
                counts[one], placed = counts[one] + 1, more
    return placed


def _placed(
    counts: Mapping[str, int], config: ClusterConfig, nodes: Sequence[NodeFacts]
) -> dict[str, list[str]] | None:
    """Return the node of each server by model; None if they do not fit.

    Largest servers first, each on the node with the most free GPUs, and among these on the one with
    the fewest servers.
    """
    left = {node.id: (int(node.gpus), 0) for node in nodes}
    placed: dict[str, list[str]] = {model: [] for model in counts}
    for model in sorted(counts, key=config.gpus_of, reverse=True):
        for _ in range(counts[model]):
            node_id = max(left, key=left.__getitem__, default=None)
            if node_id is None or left[node_id][0] < config.gpus_of(model):
                return None
            free, n_servers = left[node_id]
            left[node_id] = free - config.gpus_of(model), n_servers - 1
            placed[model].append(node_id)
    return placed


def ray_replicas(
    cluster: RayCluster, model: str, config: ClusterConfig, places: Mapping[str, Sequence[str]]
) -> list[RayReplica]:
    """Make the replicas of a model, on the nodes that `shared_out` found."""
    plan = ServerPlan.of(model, config)
    return [
        RayReplica(cluster, plan, number, node_id)
        for number, node_id in enumerate(places[model], 1)
    ]


class ReplicaEngine:
    """Engine over the servers of all replicas; belongs to one event loop."""

    def __init__(
        self,
        pool: ServerPool,
        connect: Callable[[str], OpenAIEngine],
        *,
        restarts: int,
        note: Callable[[str], None],
    ) -> None:
        self.identity = pool.identity
        self.key_identity = pool.key_identity
        self.pool = pool
        self._connect = connect
        self._restarts = restarts
        self._note = note
        self._n_in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.on_close: Callable[[], None] = lambda: None
        """Called when servers and actors have ended."""
        self._replicas: list[Replica] = []
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        replicas: Sequence[Replica],
        connect: Callable[[str], OpenAIEngine],
        traffic: TrafficConfig,
        *,
        restarts: int,
        note: Callable[[str], None],
    ) -> Self:
        """Start all replicas and wait until they are ready; ModelError if one does not start.

        `connect` makes the client of a server.
        """
        try:
            async with task_group() as group:  # no other start goes on after one has failed
                starts = [group.create_task(_started(replica)) for replica in replicas]
        except StepFailed as error:
            await asyncio.gather(*(replica.stop() for replica in replicas))
            raise ModelError(str(error)) from error
        except BaseException:
            await asyncio.gather(*(replica.stop() for replica in replicas))
            raise
        servers = [connect(start.result()) for start in starts]
        pool = ServerPool(servers, traffic, note, identity=IDENTITY)
        engine = cls(pool, connect, restarts=restarts, note=note)
        engine._replicas = list(replicas)
        engine._tasks = [
            asyncio.create_task(engine._watch(replica, one))
            for replica, one in zip(replicas, servers, strict=True)
        ]
        return engine

    @property
    def n_servers(self) -> int:
        """Servers, those that are left out included."""
        return self.pool.n_servers

    async def complete(self, request: Request) -> Completion:
        """Answer one request, by any replica."""
        self._n_in_flight += 1
        self._idle.clear()
        try:
            return await self.pool.complete(request)
        finally:
            self._n_in_flight -= 1
            if not self._n_in_flight:
                self._idle.set()

    async def aclose(self) -> None:
        """Let requests in flight end, then end servers and actors; idempotent."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.aclose()
        await asyncio.gather(*(replica.stop() for replica in self._replicas))
        self.on_close()

    async def _watch(self, replica: Replica, engine: OpenAIEngine) -> None:
        """Start a replica again whenever it ends, up to the limit."""
        for n_left in range(self._restarts, -1, -1):
            why = await _end_of(replica)
            await self.pool.cut_off(engine)
            if not n_left:
                self._note(f"{replica.name}: {why}; left out after {self._restarts} restarts")
                return
            self._note(f"{replica.name}: {why}; starting it again")
            try:
                again = self._connect(await replica.start())
            except EvolcoderError as error:
                self._note(f"{replica.name} does not start again and is left out: {error}")
                return
            self.pool.add(again)
            await self.pool.remove(engine, 0.0)
            engine = again


async def _started(replica: Replica) -> str:
    """Start a replica; the error names it."""
    try:
        return await replica.start()
    except (StepFailed, NodeLostError) as error:
        raise StepFailed(f"{replica.name}: {error}") from error


async def _end_of(replica: Replica) -> str:
    """Wait until a replica ends; return why."""
    try:
        while not (why := await replica.has_ended()):
            pass
    except NodeLostError as error:
        return str(error)
    return why


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(f"{{{name}}}", value)
    return part
