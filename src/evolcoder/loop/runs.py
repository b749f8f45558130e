"""The runs that arms are selected from: evolved by rounds, while the models that they ask are up.

Promises: a run is brought to a round once, whatever killed the session before; its models are
served only while it goes on; a run that was made elsewhere is read and never written.

>>> Runs(store, config, parts, clock=clock, tokens=len_of).select([merge(1)])   # doctest: +SKIP
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from evolcoder.config import Config
from evolcoder.loop.arms import MAIN, STUDENT, Arm, Selection, Source, select
from evolcoder.loop.clock import Clock, stages_of
from evolcoder.loop.parts import Parts
from evolcoder.loop.settings import LoopConfig
from evolcoder.loop.store import LoopStore
from evolcoder.loop.variants import rerun, variant
from evolcoder.records import Row
from evolcoder.store import RunStore

LOCAL = "vllm:"
"""How the spec of weights begins that the loop serves itself; `vllm:student` is the student."""
EVOLVED = "evolved:"
"""Meta keys: a run's name -> the config that made it and the rounds that it is through with."""


class Runs:
    """All runs of one loop."""

    def __init__(
        self,
        store: LoopStore,
        config: LoopConfig,
        parts: Parts,
        *,
        clock: Clock,
        tokens: Callable[[Row], int],
    ) -> None:
        self._store = store
        self._config = config
        self._parts = parts
        self._clock = clock
        self._tokens = tokens

    def select(self, arms: Sequence[Arm]) -> dict[Arm, Selection]:
        """Read the runs that arms need, making what is missing of those beside the main one."""
        sources = {}
        for name in dict.fromkeys(arm.run for arm in arms if arm.is_trained):
            mine = [arm for arm in arms if arm.run == name]
            config = variant(self._config, name)
            if name != MAIN:
                self.evolve(name, config, max(arm.last_round for arm in mine))
            again = any(arm.is_reanswered for arm in mine)
            if again:
                self.evolve(f"{name}-reanswered", rerun(config), 0)
            sources[name] = self._source(name, again=again)
        return select(arms, sources, seed=self._config.run.seed, tokens=self._tokens)

    def _source(self, name: str, *, again: bool) -> Source:
        again_name, least = f"{name}-reanswered", self._config.min_verified
        return Source(self._rows(name), self._rows(again_name) if again else (), least)

    def _rows(self, name: str) -> tuple[Row, ...]:
        with RunStore.read(self._run_folder(name)) as store:
            return tuple(store.rows())

    def evolve(
        self,
        name: str,
        config: Config,
        rounds: int,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Bring a run to its rounds; when the first begins, its seeds can be read `meanwhile`."""
        if name in self._config.folders:
            return
        made_by, n_done = self._store.meta(EVOLVED + name) or ("", -1)
        if made_by != config.fingerprint:
            n_done = -1
        if n_done >= rounds:
            return
        with self._models_of(config, f"{name}, round {rounds}") as models:
            if meanwhile and rounds:
                if n_done < 0:
                    self._go_through(name, config, 0, models)
                meanwhile()
            self._go_through(name, config, rounds, models)

    def _go_through(
        self, name: str, config: Config, rounds: int, models: Mapping[str, str]
    ) -> None:
        budget = config.budget.model_copy(update={"rounds": rounds})
        wanted = config.model_copy(update={"budget": budget})
        folder = self._store.run_folder(name)
        with self._clock.timed("evolve", f"{name}, round {rounds}") as step:
            self._parts.evolver.evolve(wanted, folder, models)
            step.detail = stages_of(folder)
        self._store.set_meta(EVOLVED + name, [config.fingerprint, rounds])
        self._store.db.flush()

    def _run_folder(self, name: str) -> Path:
        given = self._config.folders.get(name)
        return Path(given) if given else self._store.run_folder(name)

    @contextmanager
    def _models_of(self, config: Config, what: str) -> Iterator[dict[str, str]]:
        """Serve the weights that a run asks for; yield part -> spec."""
        roles = {"evolver": config.evolver, "responder": config.responder, "judge": config.judge}
        wanted = {
            role: self._weights(part.model)
            for role, part in roles.items()
            if part.model and part.model.startswith(LOCAL)
        }
        weights = list(dict.fromkeys(wanted.values()))
        if not weights:
            yield {}
            return
        models = [(path, Path(path).name) for path in weights]
        with self._clock.up(self._parts.servers.serving(models), what) as served:
            by_path = dict(zip(weights, served, strict=True))
            yield {role: by_path[path].spec for role, path in wanted.items()}

    def _weights(self, spec: str) -> str:
        path = spec.removeprefix(LOCAL)
        return self._config.student.path if path == STUDENT else path
