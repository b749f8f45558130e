"""Connects to a Ray cluster, or starts one on this machine, and lists its nodes.

Guarantees: a cluster that was started here (`local:N`) listens on loopback only, keeps its files in
a folder of its own, and ends with the context or with this process. A cluster that was found is
left as it is. Dashboard and usage statistics are off. This process's signal handlers stay.

Nodes of `local:N` are simulated: they share this machine's processors, and are for trying out.

>>> with connected("local:4") as cluster:   # doctest: +SKIP
...     [node.name for node in cluster.nodes()]
"""

import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Any

from evolcoder.cluster.node import NodeJob, NodeReport, NodeResult, NodeSandbox, SandboxOptions
from evolcoder.errors import ConfigError, NodeLostError
from evolcoder.text import one_line

AUTO, LOCAL = "auto", "local:"
CONNECT_S = 5.0
"""Seconds to wait for an address to answer."""
START_S = 180.0
"""Seconds that simulated nodes have to start."""
LOOK_S = 5.0
"""Seconds between two looks at whether one ended."""
_OBJECT_STORE_BYTES = 80 << 20
"""Object store of a simulated node; programs and results are small."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""What a client of gRPC says first: the preface and empty settings."""
_SETTINGS_FRAME = 4
_VERSIONS = re.compile(r"^ *Ray: (\S+)\n *Python: (\S+)", re.MULTILINE)
"""In what Ray says where versions differ: those of the cluster, then those of this process."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What Ray says about a node."""

    id: str
    """Ray's id of it."""
    name: str
    """Name or address, and the beginning of its id."""
    address: str
    """IP address."""
    cpus: float
    """Processors that Ray may use."""
    gpus: float
    """GPUs that Ray may use."""
    memory_gb: float
    """Memory that Ray may use."""


class RayCluster:
    """A connection to a cluster."""

    def __init__(self, ray: Any, simulated: Any = None) -> None:  # noqa: ANN401 - Ray's types
        self.ray = ray
        self.simulated = simulated
        """Ray's object with the simulated nodes of `local:N`; otherwise None."""

    def nodes(self) -> list[NodeFacts]:
        """Return the nodes that are alive, in the order of their names."""
        alive = [_facts(node) for node in self.ray.nodes() if node["Alive"]]
        return sorted(alive, key=lambda node: (node.name, node.id))

    def add_simulated(self, *, waits: bool = True) -> None:
        """Add a simulated node with one processor to a cluster of `local:N`.

        Must be called in the main thread. It is usable when it is among `nodes`.
        """
        with _kept_signal_handlers():
            self.simulated.add_node(wait=waits, **_simulated(1))

    def sandbox_nodes(self) -> list["RayNode"]:
        """Return the nodes that may run programs: those that offer a processor."""
        return [RayNode(self.ray, node) for node in self.nodes() if node.cpus >= 1]


class RayNode:
    """The sandbox actor of one node; implements `sandbox.Node`."""

    kind: type = NodeSandbox
    """What runs in the actor."""

    def __init__(self, ray: Any, facts: NodeFacts) -> None:  # noqa: ANN401 - Ray's module
        self.name = facts.name
        self._ray = ray
        self._id = facts.id
        self._cpus = facts.cpus
        self._actor: Any = None

    async def start(self, options: SandboxOptions) -> NodeReport:
        """Start an actor on the node, and its sandbox."""
        await self._kill()
        if options.workers is None:
            options = replace(options, workers=int(self._cpus) + 1)
        self._actor = on_node(self._ray, self.kind, self._id, num_cpus=0).remote()
        report: NodeReport = await self._ask("start", options)
        return report

    async def submit(self, jobs: Sequence[NodeJob]) -> None:
        """Start a batch of programs."""
        await self._ask("submit", list(jobs))

    async def collect(self) -> list[NodeResult]:
        """Wait for results, and return all that there are."""
        results: list[NodeResult] = await self._ask("collect")
        return results

    async def cancel(self, numbers: Sequence[int]) -> None:
        """End programs whose results are no longer wanted."""
        await self._ask("cancel", list(numbers))

    async def stop(self) -> None:
        """End the sandbox and the actor; idempotent."""
        if self._actor is not None:
            with suppress(NodeLostError):
                await self._ask("stop")
        await self._kill()

    async def _ask(self, method: str, *given: object) -> Any:  # noqa: ANN401 - by the method
        return await asked(
            self._ray, f"node {self.name}", getattr(self._actor, method).remote(*given)
        )

    async def _kill(self) -> None:
        """End an actor, which may have died or be unreachable."""
        actor, self._actor = self._actor, None
        if actor is not None:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)


async def asked(ray: Any, where: str, reference: Any) -> Any:  # noqa: ANN401 - Ray's module and types
    """Await a call of an actor; raise NodeLostError, or the error that the actor raised.

    `where`: what the message names, such as the node.
    """
    try:
        return await reference
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.ActorUnavailableError):
            why = "cannot be reached; Ray may have ended there"
        elif "No module named 'evolcoder" in str(error):
            why = "evolcoder is not installed there; install the same version on every node"
        else:
            why = f"died: {_first_line(error)}"
        raise NodeLostError(f"{where}: {why}") from error


def on_node(
    ray: Any,  # noqa: ANN401 - Ray's module
    kind: type,
    node_id: str | None,
    *,
    is_bound: bool = True,
    **options: object,
) -> Any:  # noqa: ANN401 - Ray's types
    """Make an actor class of a plain one, on the node that is given, or on any without one.

    Unless it `is_bound`, it is on another node where that one is full or gone.
    """
    from ray.util.scheduling_strategies import (  # noqa: PLC0415 - heavy
        NodeAffinitySchedulingStrategy,
    )

    if node_id is not None:
        strategy = NodeAffinitySchedulingStrategy(node_id, soft=not is_bound)
        options["scheduling_strategy"] = strategy
    else:
        options["scheduling_strategy"] = "SPREAD"
    return ray.remote(kind).options(max_restarts=0, max_task_retries=0, **options)


@contextmanager
def connected(address: str) -> Iterator[RayCluster]:
    """Connect to a cluster for the duration of a context; ConfigError if there is none.

    Must be entered in the main thread, since a cluster that is started here ends with the thread.
    """
    _check_installed(address)
    if not address.startswith(LOCAL) and address != AUTO:
        _check_server(address)
    with ExitStack() as stack:
        if address.startswith(LOCAL):
            stack.callback(_apply_network)  # when the environment is what it was
            _set_local_environment(stack)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray  # noqa: PLC0415 - heavy

        _apply_network()
        if ray.is_initialized():  # by the caller's notebook, who also ends it
            yield RayCluster(ray)
            return
        with _kept_signal_handlers():
            cluster = _connect(ray, address, stack)
        yield cluster


def _check_installed(address: str) -> None:
    """Raise ConfigError without Ray, or with a version that the extra `ray` does not take."""
    install = "install it with `pip install 'evolcoder[ray]'` here and on every node"
    if find_spec("ray") is None:
        raise ConfigError(f"--cluster {address}: Ray is not installed; {install}")
    try:
        installed = version("ray")
    except PackageNotFoundError as error:  # a folder of this name, or a build without metadata
        raise ConfigError(
            f"--cluster {address}: a module `ray` is found that is no installed package; {install}"
        ) from error
    if wanted := _not_met(installed):
        raise ConfigError(
            f"--cluster {address}: Ray {installed} is installed, and evolcoder needs {wanted}; "
            f"{install}"
        )


def _not_met(installed: str) -> str:
    """Return evolcoder's requirement of Ray that a version does not meet; empty if it does."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - Ray's

    for line in requires("evolcoder") or ():
        requirement = Requirement(line)
        if requirement.name == "ray" and not requirement.specifier.contains(
            installed, prereleases=True
        ):
            return f"ray{requirement.specifier}"
    return ""


def _connect(ray: Any, address: str, stack: ExitStack) -> RayCluster:  # noqa: ANN401 - Ray's module
    simulated, place = None, {}
    stack.callback(ray.shutdown)
    if address == AUTO:
        _check_found()
    with _StartFailures(address):
        if address.startswith(LOCAL):
            simulated = _start_local(int(address.removeprefix(LOCAL)), stack)
            place = {"_node_ip_address": "127.0.0.1"}
        ray.init(
            address=address if simulated is None else simulated.address,
            namespace="evolcoder",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **place,
        )
    _silence_logs()
    return RayCluster(ray, simulated)


class _StartFailures:
    """Turns what Ray raises when it cannot start or connect into a ConfigError.

    A node that does not start in time is a bare Exception of Ray's.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if isinstance(error, ConnectionError | RuntimeError | ValueError | OSError) or (
            kind is Exception and isinstance(error, Exception)
        ):
            shown = f"--cluster {self._address}: {_remedy(self._address, error)}"
            raise ConfigError(shown) from error


def _start_local(n_nodes: int, stack: ExitStack) -> Any:  # noqa: ANN401 - Ray's type
    """Start simulated nodes on loopback."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - heavy

    n_cpus = max(1, len(os.sched_getaffinity(0)) // n_nodes)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            **_simulated(n_cpus),
            "include_dashboard": False,
            "no_monitor": True,
            "_system_config": {
                "enable_worker_prestart": False,
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 1000,
            },
        },
    )
    stack.callback(cluster.shutdown)
    stack.callback(shutdown)
    for _ in range(n_nodes - 1):
        cluster.add_node(wait=False, **_simulated(n_cpus))
    _wait_for_nodes(cluster, n_cpus)
    return cluster


def _wait_for_nodes(cluster: Any, n_cpus: int) -> None:  # noqa: ANN401 - Ray's type
    """Wait until all simulated nodes are alive; those that ended while they started are replaced.

    Ray ends a node whose agent takes more than 15 s to start, as on a busy machine, and has no
    setting for it; waiting for that node would end in a timeout.
    """
    deadline = time.monotonic() + START_S
    while True:
        for node in [one for one in cluster.worker_nodes if one.dead_processes()]:
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(wait=False, **_simulated(n_cpus))
        try:
            cluster.wait_for_nodes(timeout=LOOK_S)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            continue
        if not any(one.dead_processes() for one in cluster.worker_nodes):
            return


def _simulated(n_cpus: int) -> dict[str, Any]:
    """Return the arguments of a simulated node on loopback.

    They include the ports of its agents, for which Ray would otherwise wait, 30 s at most.
    """
    names = (
        "dashboard_agent_listen_port", "runtime_env_agent_port", "metrics_agent_port",
        "metrics_export_port",
    )  # fmt: skip
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}
    return {
        "node_ip_address": "127.0.0.1",
        "object_store_memory": _OBJECT_STORE_BYTES,
        "num_cpus": n_cpus,
        **ports,
    }


def shutdown() -> None:
    """Disconnect, before the nodes end; idempotent."""
    import ray  # noqa: PLC0415 - heavy

    ray.shutdown()


def _set_local_environment(stack: ExitStack) -> None:
    """Give a local cluster a short folder of its own, and loopback as its network."""
    folder = tempfile.mkdtemp(prefix="evolcoder-ray-", dir="/tmp")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    os.mkdir(f"{folder}/ray")  # noqa: PTH102 - a plain path
    local = {
        "RAY_TMPDIR": folder,
        "RAY_agent_register_timeout_ms": "120000",  # a busy machine takes longer than 15 s
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_worker_register_timeout_seconds": "600",
        "RAY_worker_niceness": "0",  # by default 15, at which a busy machine runs no program
        # Ray's switch for machines whose firewall asks about every other address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    for name, value in local.items():
        before = os.environ.get(name)
        os.environ[name] = value
        stack.callback(_restore, name, before)


def _apply_network() -> None:
    """Have Ray follow the environment's switch, which it reads only when it is imported.

    A process that had imported Ray would look for a local cluster at the machine's address, and
    one that had started a local cluster for all others on loopback.
    """
    constants: Any = sys.modules.get("ray._private.ray_constants")
    with suppress(AttributeError, TypeError):  # not Ray's public names
        constants.ENABLE_RAY_CLUSTER = constants.env_bool(
            constants.ENABLE_RAY_CLUSTERS_ENV_VAR,
            not constants.IS_WINDOWS_OR_OSX,
        )


def _restore(name: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Put back the signal handlers that Ray replaces."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError):  # not the main thread, where Ray replaces none
                signal.signal(number, handler)


def _silence_logs() -> None:
    """Keep what the nodes' own processes log off the terminal; our notes name what matters."""
    with suppress(ImportError, AttributeError):
        from ray._private.ray_logging import (  # noqa: PLC0415 - heavy
            global_worker_stdstream_dispatcher,
        )

        global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")


def _check_found() -> None:
    """Raise ConfigError if the cluster that Ray finds on this machine does not answer any more."""
    try:
        from ray._private.services import (  # noqa: PLC0415 - heavy
            canonicalize_bootstrap_address,
        )

        found = canonicalize_bootstrap_address(AUTO)
    except (ImportError, AttributeError, OSError, RuntimeError, ValueError):
        return  # Ray says why when it connects
    if found is None or "://" in found:
        return
    try:
        _check_server(found)
    except ConfigError as error:
        why = str(error).removeprefix(f"--cluster {found}: ").partition(";")[0]
        raise ConfigError(
            f"--cluster auto: the cluster at {found} does not answer: {why}; start one with "
            f"`ray start --head`, after `ray stop` if it has ended, or correct RAY_ADDRESS"
        ) from error


def _check_server(address: str) -> None:
    """Raise ConfigError if nothing at HOST:PORT speaks gRPC; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with closing(socket.create_connection((host.strip("[]"), int(port)), CONNECT_S)) as one:
            one.settimeout(CONNECT_S)
            one.sendall(_HTTP2_PREFACE)
            answer = one.recv(9)
    except OSError as error:
        raise ConfigError(
            f"--cluster {address}: no connection ({error.strerror or error}); start Ray there with "
            f"`ray start --head --port={port}`, or correct the address"
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS_FRAME:
        raise ConfigError(
            f"--cluster {address}: this is no Ray cluster; the port of one is 6379 by default"
        )


def _remedy(address: str, error: Exception) -> str:
    said = _first_line(error)
    versions = _VERSIONS.findall(str(error))
    if said.startswith("Version mismatch") and len(versions) == 2:
        theirs, ours = (f"Ray {ray} and Python {python}" for ray, python in versions)
        return f"the cluster has {theirs}, and here are {ours}; install the same versions"
    if address == AUTO:
        return f"no cluster was found here; start one with `ray start --head` ({said})"
    if address.startswith(LOCAL):
        return f"Ray did not start: {said}"
    return f"{said}; run this on a node of the cluster, with the same versions of Ray and Python"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0] if lines else type(error).__name__, 300)


def _facts(node: Mapping[str, Any]) -> NodeFacts:
    resources: Mapping[str, float] = node["Resources"]
    shown = node.get("NodeName") or node["NodeManagerAddress"]
    return NodeFacts(
        id=node["NodeID"],
        name=f"{shown}/{node['NodeID'][:6]}",
        address=node["NodeManagerAddress"],
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
        memory_gb=resources.get("memory", 0.0) / 2**30,
    )
