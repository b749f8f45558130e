"""How a loop puts models up and away: the run's for a while, the students' one after another.

Promises: a server lasts as long as its context, the students' until `close` where weights are
swapped; none outlives this process. A swap that fails costs a new server, never a wrong answer.

>>> with ServeSteps(folder, config.serve).student("models/a", "a") as served:   # doctest: +SKIP
...     ask(served.spec)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evolcoder.app.steps import filled
from evolcoder.engine.http_errors import ANY_MODEL
from evolcoder.errors import StepFailed
from evolcoder.experiment.config import ServeConfig, fill
from evolcoder.experiment.interfaces import Served
from evolcoder.serving import vllm_sleep
from evolcoder.serving.process import server
from evolcoder.storage import atomic

STUDENTS = "students"
"""Whose log the students' server writes."""


class ModelServers:
    """Serves with the config's command, or trusts that the spec can be opened as it is."""

    def __init__(self, folder: Path, config: ServeConfig) -> None:
        self._folder = folder
        self._config = config
        self._kept = ExitStack()
        self._sleeps_at: str | None = None
        """URL of the students' server, while there is one that sleeps."""

    @contextmanager
    def serving(self, models: Sequence[tuple[str, str]]) -> Iterator[list[Served]]:
        """Serve models, each (weights, name), while the context lasts."""
        first = 1 if self._config.swap_weights else 0  # the students' server has the first port
        with ExitStack() as stack:
            yield [self._serve(stack, n, *model) for n, model in enumerate(models, first)]

    @contextmanager
    def student(self, weights: str, name: str) -> Iterator[Served]:
        """Serve one student while the context lasts; the server of the one before may do it."""
        if not (self._config.swap_weights and self._config.command):
            with self.serving([(weights, name)]) as served:
                yield served[0]
            return
        spec = fill(self._config.spec, model=weights, name=name, port=self._config.port)
        url = spec.partition("#")[0]
        if not self._taken_by_sleeper(weights):
            self.close()
            self._serve(self._kept, 0, weights, name, swapped=True)
        self._sleeps_at = None
        try:
            yield Served(spec)
            if self._tried(vllm_sleep.sleep, url):
                self._sleeps_at = url
        finally:
            if self._sleeps_at is None:
                self.close()

    def close(self) -> None:
        """End the students' server, if there is one."""
        self._sleeps_at = None
        self._kept.close()

    def _taken_by_sleeper(self, weights: str) -> bool:
        """Whether the server that sleeps has woken up with these weights."""
        url = self._sleeps_at
        return url is not None and self._tried(vllm_sleep.wake, url, Path(weights))

    def _tried(self, call: Callable[..., None], *args: object) -> bool:
        """Ask something of the students' server; where it fails, the next one is a new one."""
        try:
            call(*args)
        except StepFailed as error:
            said = f"evolcoder: {error}; it is ended, and a new one started when needed\n"
            with atomic.open_to_append(self._log(STUDENTS), inside=self._folder) as log:
                log.write(said.encode())
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
            named = {**values, "name": ANY_MODEL if swapped else name}
            command = filled([*config.command, *config.options], **named)
            url = spec.partition("#")[0]
            stack.enter_context(
                server(
                    [*command, *(vllm_sleep.OPTIONS if swapped else ())], url,
                    log=self._log(STUDENTS if swapped else name),
                    ready_s=config.ready_s, stop_s=config.stop_s,
                    environment=vllm_sleep.ENVIRONMENT if swapped else None,
                )
            )  # fmt: skip
        return Served(spec)

    def _log(self, name: str) -> Path:
        return atomic.check_inside(self._folder / "log" / f"serve-{name}.txt", inside=self._folder)
