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
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from evolcoder.cluster.ray_cluster import RayCluster, asked, on_node
from evolcoder.config.load import ClusterConfig, TrafficConfig
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.server_pool import ServerPool
from evolcoder.errors import ConfigError, EvolcoderError, ModelError, NodeLostError, StepFailed
from evolcoder.serving.process import log_tail, server

POLL_S = 0.5
"""How often an actor looks whether its server still runs."""
DRAIN_S = 60.0
"""Time that requests in flight have to end before the servers are stopped."""
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

    @classmethod
    def of(cls, model: str, config: ClusterConfig) -> Self:
        """Make the plan of a config."""
        command = (*config.serve_command, *config.serve_options)
        return cls(model, command, config.gpus_per_replica, config.ready_s, config.stop_s)


class ModelReplica:
    """Runs one server on the machine where it is; an actor whose methods may block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def start(self, plan: ServerPlan, host: str) -> str:
        """Start the server and wait until it is ready; return its base URL. Raises StepFailed."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="evolcoder-server-"))
        self._log = Path(folder).resolve() / "log.txt"
        port = _free_port(host)
        values = {
            "python": sys.executable, "model": plan.model, "host": host, "port": str(port),
            "gpus": str(max(1, plan.gpus)),
        }  # fmt: skip
        url = f"http://{host}:{port}/v1"
        self._process = self._stack.enter_context(
            server(
                [_filled(part, values) for part in plan.command],
                url,
                log=self._log,
                ready_s=plan.ready_s,
                stop_s=plan.stop_s,
            )
        )
        return url

    def has_ended(self) -> str:
        """Wait a moment; return why the server ended, or '' while it runs."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(POLL_S)
            return f"the server exited with code {code}: {log_tail(self._log)}"
        return ""

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
    """A replica in an actor, on whichever node has the GPUs."""

    def __init__(self, cluster: RayCluster, plan: ServerPlan, number: int) -> None:
        self.name = f"replica {number} of {plan.model}"
        self._ray = cluster.ray
        self._plan = plan
        self._actor: Any = None

    async def start(self) -> str:
        """Start an actor and its server."""
        await self.stop()
        actor = on_node(
            self._ray, NodeReplica, None,
            num_cpus=0, num_gpus=self._plan.gpus, max_concurrency=2, scheduling_strategy="SPREAD",
        )  # fmt: skip
        self._actor = actor.remote()
        return str(await self._ask("start_here", self._plan))

    async def has_ended(self) -> str:
        """Wait a moment; return why the server ended."""
        return str(await self._ask("has_ended"))

    async def stop(self) -> None:
        """End the server and the actor."""
        if self._actor is None:
            return
        with contextlib.suppress(NodeLostError):
            await self._ask("stop")
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)
        self._actor = None

    async def _ask(self, method: str, *given: object) -> Any:  # noqa: ANN401 - by the method
        return await asked(self._ray, self.name, getattr(self._actor, method).remote(*given))


class NodeReplica(ModelReplica):
    """A replica that listens on its node's address in the cluster."""

    def start_here(self, plan: ServerPlan) -> str:
        """Start the server on this node."""
        import ray  # noqa: PLC0415 - heavy

        return self.start(plan, ray.util.get_node_ip_address())


def ray_replicas(
    cluster: RayCluster, model: str, config: ClusterConfig, n_models: int
) -> list[RayReplica]:
    """Make the replicas of a model; ConfigError if the cluster has not the GPUs for them."""
    gpus, per = [int(node.gpus) for node in cluster.nodes()], config.gpus_per_replica
    n_fitting = sum(n // per for n in gpus) if per else 0
    wanted = config.replicas or max(1, n_fitting // n_models)
    if per and wanted * n_models > n_fitting:
        raise ConfigError(
            f"cluster.replicas: {wanted * n_models} servers of {per} GPUs each are wanted, and the "
            f"nodes have {', '.join(map(str, gpus)) or 'no'} GPUs"
        )
    plan = ServerPlan.of(model, config)
    return [RayReplica(cluster, plan, number) for number in range(1, wanted + 1)]


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
            urls = await asyncio.gather(*(replica.start() for replica in replicas))
        except (StepFailed, NodeLostError) as error:
            await asyncio.gather(*(replica.stop() for replica in replicas))
            raise ModelError(str(error)) from error
        except BaseException:
            await asyncio.gather(*(replica.stop() for replica in replicas))
            raise
        servers = [connect(url) for url in urls]
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
