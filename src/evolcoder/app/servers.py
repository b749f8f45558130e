"""Starts and stops the model servers of a loop: a run's models together, students one by one.

Guarantees: a server stops when its context ends, or at `close` for the students' server if weights
are swapped; none outlives this process. Where vLLM is missing, the default command starts nothing:
the steps answer with the weights themselves, by transformers or llama.cpp. If swapping weights
fails, a new server is started, so no request is answered with the previous student's weights.

>>> with ServeSteps(folder, config.serve).student("models/a", "a") as served:   # doctest: +SKIP
...     ask(served.spec)
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from evolcoder.app.steps import fill_command
from evolcoder.engine.http_errors import ANY_MODEL
from evolcoder.engine.registry import KNOWN
from evolcoder.engine.transformers_engine import PACKAGES, PREFIX
from evolcoder.errors import ConfigError, StepFailed
from evolcoder.experiment.config import ServeConfig, fill
from evolcoder.experiment.interfaces import Served
from evolcoder.experiment.timings import find_gpus
from evolcoder.serving import vllm
from evolcoder.serving.process import server
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


class ModelServers:
    """Starts servers with `serve.command`; without a command, the spec is used as it is."""

    def __init__(self, folder: Path, config: ServeConfig) -> None:
        self._folder = folder
        self._config = config
        self._student_server = ExitStack()
        self._sleeping_url: str | None = None
        """URL of the students' server while it sleeps; otherwise None."""

    @contextmanager
    def serving(self, models: Sequence[tuple[str, str]]) -> Iterator[list[Served]]:
        """Serve models, each (weights, name), while the context lasts."""
        first = 1 if self._config.swap_weights else 0  # the students' server has the first port
        with ExitStack() as stack:
            yield [self._serve(stack, n, *model) for n, model in enumerate(models, first)]

    @contextmanager
    def student(self, weights: str, name: str) -> Iterator[Served]:
        """Serve one student while the context lasts; may reuse the previous student's server."""
        if is_local(self._config) or not (self._config.swap_weights and self._config.command):
            with self.serving([(weights, name)]) as served:
                yield served[0]
            return
        spec = fill(self._config.spec, model=weights, name=name, port=self._config.port)
        url = spec.partition("#")[0]
        if not self._wake(weights):
            self.close()
            self._serve(self._student_server, 0, weights, name, swapped=True)
        self._sleeping_url = None
        try:
            yield Served(spec)
            if self._try_call(vllm.sleep, url):
                self._sleeping_url = url
        finally:
            if self._sleeping_url is None:
                self.close()

    def close(self) -> None:
        """Stop the students' server, if there is one."""
        self._sleeping_url = None
        self._student_server.close()

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
        self, stack: ExitStack, n: int, weights: str, name: str, *, swapped: bool = False
    ) -> Served:
        config = self._config
        if is_local(config):
            return Served(_local_spec(weights))
        front_ends = 1 if swapped else max(config.front_ends, config.gpus)
        values = {
            "model": weights, "name": name, "port": config.port + n,
            "gpus": config.gpus, "front_ends": front_ends,
        }  # fmt: skip
        spec = fill(config.spec, **values)
        if config.command:
            values["name"] = ANY_MODEL if swapped else name
            command = fill_command([*config.command, *config.options], **values)
            url = spec.partition("#")[0]
            stack.enter_context(
                server(
                    [*command, *(vllm.OPTIONS if swapped else ())], url,
                    log=self._log(STUDENTS if swapped else name),
                    ready_s=config.ready_s, stop_s=config.stop_s,
                    environment=vllm.ENVIRONMENT if swapped else None,
                )
            )  # fmt: skip
        return Served(spec)

    def _log(self, name: str) -> Path:
        return atomic.check_inside(self._folder / "log" / f"serve-{name}.txt", inside=self._folder)


def _local_spec(weights: str) -> str:
    """Return the spec of weights that this process answers with."""
    return weights if weights in KNOWN or weights.endswith(".gguf") else f"{PREFIX}{weights}"
