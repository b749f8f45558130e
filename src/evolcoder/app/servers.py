"""Starts and stops the model servers of a loop: a run's models together, students one by one.

Guarantees: a server stops when its context ends, or at `close` for the students' server if weights
are swapped, and for all with `serve.ahead`; none outlives this process. Where vLLM is missing, the
default command starts nothing: the steps answer with the weights themselves, by transformers or
llama.cpp. If swapping weights fails, a new server is started, so no request is answered with the
previous student's weights.

>>> with ServeSteps(folder, config.serve).student("models/a", "a") as served:   # doctest: +SKIP
...     ask(served.spec)
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path

from evolcoder.app.steps import fill_command
from evolcoder.engine.http_errors import ANY_MODEL
from evolcoder.engine.registry import KNOWN
from evolcoder.engine.transformers_engine import PACKAGES, PREFIX
from evolcoder.errors import ConfigError, StepFailed
from evolcoder.experiment.arms import STUDENT
from evolcoder.experiment.config import ServeConfig, fill
from evolcoder.experiment.interfaces import Served
from evolcoder.experiment.timings import find_gpus
from evolcoder.serving import vllm
from evolcoder.serving.process import started, wait_until_ready
from evolcoder.storage import atomic

STUDENTS = "students"
"""Name of the students' server in the log folder."""
VLLM = "vllm"
NO_VLLM = (
    "vLLM is not installed, so models are asked in this process, one answer at a time; "
    "for more than a try, install vLLM or set serve.command to another server"
)


def is_local(config: ServeConfig) -> bool:
    """Whether models are asked without a server: the default command, where vLLM is missing."""
    return config.command == ServeConfig().command and find_spec(VLLM) is None


def check_servers(config: ServeConfig) -> str:
    """Raise ConfigError if models cannot be served; return a note if not as configured.

    GPUs are counted for the default command only: another one may be for another machine.
    """
    if not config.command:
        return ""
    if is_local(config):
        for key, is_set in (("gpus", config.gpus > 1), ("swap_weights", config.swap_weights)):
            if is_set:
                raise ConfigError(f"serve.{key}: needs vLLM, which is not installed; leave it out")
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"serve.command: neither vLLM nor {', '.join(missing)} is installed; install vLLM, "
                f"or evolcoder[train], or set serve.command"
            )
        return NO_VLLM
    program = fill_command(config.command[:1])[0]
    if shutil.which(program) is None:
        raise ConfigError(f"serve.command: there is no program {program}")
    if any(word.startswith(f"{VLLM}.") for word in config.command) and find_spec(VLLM) is None:
        raise ConfigError("serve.command: vLLM is not installed; install it or set another command")
    found = find_gpus()
    n_gpus = len(found) if found else 0
    if config.command == ServeConfig().command and config.gpus > max(n_gpus, 1):
        raise ConfigError(f"serve.gpus={config.gpus}: this machine has {n_gpus} GPUs")
    return ""


@dataclass(frozen=True, slots=True)
class _Start:
    """How a server is started."""

    spec: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None

    @property
    def url(self) -> str:
        return self.spec.partition("#")[0]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A model whose servers stay between rounds."""

    served: Served
    processes: "dict[int, subprocess.Popen[bytes]]"
    """Its servers by the number of their port."""
    stack: ExitStack
    """Ends them."""

    @property
    def has_ended(self) -> bool:
        return any(process.poll() is not None for process in self.processes.values())


def _close_all(stacks: Sequence[ExitStack]) -> None:
    """End several servers at the same time, since each takes seconds."""
    with ThreadPoolExecutor(max(1, len(stacks))) as threads:
        for ended in [threads.submit(stack.close) for stack in stacks]:
            ended.result()


class ModelServers:
    """Starts servers with `serve.command`; without a command, the spec is used as it is."""

    def __init__(self, folder: Path, config: ServeConfig) -> None:
        self._folder = folder
        self._config = config
        self._student_server = ExitStack()
        self._sleeping_url: str | None = None
        """URL of the students' server while it sleeps; otherwise None."""
        self._started: tuple[subprocess.Popen[bytes], _Start] | None = None
        """The students' server from its start ahead of time to its first use."""
        self._kept: dict[tuple[str, str], _Kept] = {}
        """Servers of models of runs, which stay with `serve.ahead`."""

    @contextmanager
    def serving(self, models: Sequence[tuple[str, str]]) -> Iterator[list[Served]]:
        """Serve models, each (weights, name), while the context lasts.

        With `serve.ahead` they stay until other models are served, or `close`.
        """
        if self._config.ahead:
            yield self._serve_on(models)
            return
        with ExitStack() as stack:
            ports = self._ports()
            yield [self._serve(stack, ports, *model)[0] for model in models]

    def _serve_on(self, models: Sequence[tuple[str, str]]) -> list[Served]:
        """Serve models with the servers that are there, and end those that are not wanted."""
        gone = [key for key, one in self._kept.items() if key not in models or one.has_ended]
        _close_all([self._kept.pop(key).stack for key in gone])
        taken = {n for one in self._kept.values() for n in one.processes}
        ports = (n for n in self._ports() if n not in taken)
        for model in models:
            if model not in self._kept:
                with ExitStack() as stack:
                    served, processes = self._serve(stack, ports, *model)
                    self._kept[model] = _Kept(served, processes, stack.pop_all())
        return [self._kept[model].served for model in models]

    def _ports(self) -> Iterator[int]:
        """Yield numbers of ports; the students' server has the first if weights are swapped."""
        return count(1 if self._config.swap_weights else 0)

    def start_ahead(self, weights: str) -> None:
        """Start the students' server without waiting for it, if `serve.ahead` says so."""
        if not (self._config.ahead and self._swaps) or self._started or self._sleeping_url:
            return
        start = self._start_of(0, weights, STUDENT, swapped=True)
        self._started = (self._begin(self._student_server, start), start)

    @contextmanager
    def student(self, weights: str, name: str) -> Iterator[Served]:
        """Serve one student while the context lasts; may reuse the previous student's server."""
        if not self._swaps:
            with self.serving([(weights, name)]) as served:
                yield served[0]
            return
        spec = fill(self._config.spec, model=weights, name=name, port=self._config.port)
        url = spec.partition("#")[0]
        self._await_started()
        if not self._wake(weights):
            self._close_students()
            self._serve_student(weights, name)
        self._sleeping_url = None
        try:
            yield Served(spec)
            if self._try_call(vllm.sleep, url):
                self._sleeping_url = url
        finally:
            if self._sleeping_url is None:
                self._close_students()

    @property
    def _swaps(self) -> bool:
        """Whether one server takes all students in turn."""
        return bool(self._config.swap_weights and self._config.command) and not is_local(
            self._config
        )

    def _await_started(self) -> None:
        """Wait for the server that was started ahead, if there is one, and have it sleep."""
        if self._started is None:
            return
        (process, start), self._started = self._started, None

        def sleeps() -> None:
            wait_until_ready(process, start.url, start.log, self._config.ready_s)
            vllm.sleep(start.url)

        if self._try_call(sleeps):
            self._sleeping_url = start.url

    def close(self) -> None:
        """Stop the students' server and those that stay between rounds, at the same time."""
        kept = [self._kept.popitem()[1].stack for _ in range(len(self._kept))]
        _close_all([self._pop_students(), *kept])

    def _close_students(self) -> None:
        self._pop_students().close()

    def _pop_students(self) -> ExitStack:
        self._sleeping_url = self._started = None
        return self._student_server.pop_all()

    def _wake(self, weights: str) -> bool:
        """Wake the sleeping server with these weights; False if there is none or it fails."""
        url = self._sleeping_url
        return url is not None and self._try_call(vllm.wake, url, Path(weights))

    def _try_call(self, call: Callable[..., None], *args: object) -> bool:
        """Call the students' server; on failure, log it and return False."""
        try:
            call(*args)
        except StepFailed as error:
            message = f"evolcoder: {error}; stopping the server, the next student gets a new one\n"
            with atomic.open_to_append(self._log(STUDENTS), inside=self._folder) as log:
                log.write(message.encode())
            return False
        return True

    def _serve(
        self, stack: ExitStack, ports: Iterator[int], weights: str, name: str
    ) -> "tuple[Served, dict[int, subprocess.Popen[bytes]]]":
        """Serve a run's model by its replicas; return its spec and the servers by port number."""
        config = self._config
        if is_local(config):
            return Served(_local_spec(weights)), {}
        n_replicas = config.replicas if config.command else 1
        starts = {n: self._start_of(n, weights, name) for n in islice(ports, n_replicas)}
        processes = self._start_all(stack, starts) if config.command else {}
        urls = ",".join(start.url for start in starts.values())
        _, sign, model = next(iter(starts.values())).spec.partition("#")
        return Served(f"{urls}{sign}{model}"), processes

    def _serve_student(self, weights: str, name: str) -> None:
        self._start_all(self._student_server, {0: self._start_of(0, weights, name, swapped=True)})

    def _start_all(
        self, stack: ExitStack, starts: "Mapping[int, _Start]"
    ) -> "dict[int, subprocess.Popen[bytes]]":
        """Start servers at the same time, and wait until all are ready."""
        processes = {n: self._begin(stack, start) for n, start in starts.items()}
        for n, start in starts.items():
            wait_until_ready(processes[n], start.url, start.log, self._config.ready_s)
        return processes

    def _begin(self, stack: ExitStack, start: "_Start") -> "subprocess.Popen[bytes]":
        return stack.enter_context(
            started(
                start.command, start.url, log=start.log, stop_s=self._config.stop_s,
                environment=start.environment,
            )
        )  # fmt: skip

    def _start_of(self, n: int, weights: str, name: str, *, swapped: bool = False) -> "_Start":
        """Return how a server is started on the n-th port."""
        config = self._config
        front_ends = 1 if swapped else max(config.front_ends, config.gpus)
        values = {
            "model": weights, "name": name, "port": config.port + n,
            "gpus": config.gpus, "front_ends": front_ends,
        }  # fmt: skip
        spec = fill(config.spec, **values)
        values["name"] = ANY_MODEL if swapped else name
        command = fill_command([*config.command, *config.options], **values)
        return _Start(
            spec,
            (*command, *(vllm.OPTIONS if swapped else ())),
            self._log(STUDENTS if swapped else f"{name}-{n}" if config.replicas > 1 else name),
            vllm.ENVIRONMENT if swapped else None,
        )

    def _log(self, name: str) -> Path:
        return atomic.check_inside(self._folder / "log" / f"serve-{name}.txt", inside=self._folder)


def _local_spec(weights: str) -> str:
    """Return the spec of weights that this process answers with."""
    return weights if weights in KNOWN or weights.endswith(".gguf") else f"{PREFIX}{weights}"
