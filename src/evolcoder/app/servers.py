"""Starts and stops the model servers of a loop: a run's models together, students one by one.

Guarantees: a server stops when its context ends, or at `close` for the students' server if weights
are swapped; none outlives this process. If swapping weights fails, a new server is started, so no
request is answered with the previous student's weights.

>>> with ServeSteps(folder, config.serve).student("models/a", "a") as served:   # doctest: +SKIP
...     ask(served.spec)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evolcoder.app.steps import fill_command
from evolcoder.engine.http_errors import ANY_MODEL
from evolcoder.errors import StepFailed
from evolcoder.experiment.config import ServeConfig, fill
from evolcoder.experiment.interfaces import Served
from evolcoder.serving import vllm
from evolcoder.serving.process import server
from evolcoder.storage import atomic

STUDENTS = "students"
"""Name of the students' server in the log folder."""


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
        if not (self._config.swap_weights and self._config.command):
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
