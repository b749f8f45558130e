"""The runs that arms are selected from: evolved by rounds, while the models that they ask are up.

Promises: a run is brought to a round once, whatever killed the session before, and looked at again
where anything of its config or its weights is another; its models are served only while it goes on,
under names that tell weights apart; a run that was made elsewhere is read and never written.

>>> Runs(store, config, parts, clock=clock, tokens=len_of).select([merge(1)])   # doctest: +SKIP
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pydantic import RootModel, StrictInt, StrictStr

from evolcoder.config.load import Config
from evolcoder.experiment.arms import MAIN, STUDENT, Arm, RowSource, Selection, select
from evolcoder.experiment.config import LoopConfig, rerun, variant
from evolcoder.experiment.interfaces import LoopServices
from evolcoder.experiment.store import LoopStore, weights_id
from evolcoder.experiment.timings import StepTimer, stages_of
from evolcoder.ids import content_id
from evolcoder.records import Row
from evolcoder.storage.run_store import DB_NAME, RunStore

LOCAL = "vllm:"
"""How the spec of weights begins that the loop serves itself; `vllm:student` is the student."""
EVOLVED = "evolved:"
"""Meta keys: a run's name -> hash of what made it, and the rounds that it is through with."""


class _Evolved(RootModel[tuple[StrictStr, StrictInt]]):
    """What is stored under such a key."""


class EvolutionRuns:
    """All runs of one loop."""

    def __init__(
        self,
        store: LoopStore,
        config: LoopConfig,
        parts: LoopServices,
        *,
        clock: StepTimer,
        tokens: Callable[[Row], int],
    ) -> None:
        self._store = store
        self._config = config
        self._parts = parts
        self._clock = clock
        self._tokens = tokens

    def select(self, arms: Sequence[Arm]) -> dict[Arm, Selection]:
        """Read the runs that arms are of, and choose their rows."""
        sources = {}
        for name, mine in _by_run(arms).items():
            sources[name] = self._source(name, again=any(arm.is_reanswered for arm in mine))
        return select(arms, sources, seed=self._config.run.seed, tokens=self._tokens)

    def make_for(self, arms: Sequence[Arm]) -> None:
        """Make what is missing of the runs that arms are of, but for the main one's rounds."""
        for name, mine in _by_run(arms).items():
            if name != MAIN and name not in self._config.folders:
                config = variant(self._config, name)
                self.evolve(name, config, max(arm.last_round for arm in mine))
            again = f"{name}-reanswered"
            if any(arm.is_reanswered for arm in mine) and again not in self._config.folders:
                self.evolve(again, rerun(variant(self._config, name)), 0)

    def there(self, arms: Sequence[Arm]) -> list[Arm]:
        """Return the arms whose newest round has rows, and seeds answered anew where they ask."""
        last = cache(self.last_round)  # each run is read once

        def has(arm: Arm) -> bool:
            again = not arm.is_reanswered or last(f"{arm.run}-reanswered") >= 0
            return not arm.is_trained or (again and last(arm.run) >= arm.last_round)

        return list(filter(has, arms))

    def _source(self, name: str, *, again: bool) -> RowSource:
        again_name, least = f"{name}-reanswered", self._config.min_verified
        return RowSource(self._rows(name), self._rows(again_name) if again else (), least)

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
        made_by, n_done = self._store.meta(EVOLVED + name, _Evolved) or ("", -1)
        if made_by != self._made_by(config):
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
        self._store.set_meta(EVOLVED + name, [self._made_by(config), rounds])
        self._store.db.flush()

    def _made_by(self, config: Config) -> str:
        """Hash what decides which rows a run has, but for its rounds."""
        plain = config.model_dump(mode="json", include={"clean", "budget"})
        del plain["budget"]["rounds"]
        weights = {role: weights_id(path) for role, path in self._served(config).items()}
        return content_id("made by", [config.fingerprint, plain, weights])

    def last_round(self, name: str) -> int:
        """Return the newest round that a run has rows of; -1 where there is no run."""
        if not (self._run_folder(name) / DB_NAME).exists():
            return -1
        return max((row.task.round for row in self._rows(name)), default=-1)

    def _run_folder(self, name: str) -> Path:
        given = self._config.folders.get(name)
        return Path(given) if given else self._store.run_folder(name)

    @contextmanager
    def _models_of(self, config: Config, what: str) -> Iterator[dict[str, str]]:
        """Serve the weights that a run asks for; yield part -> spec."""
        wanted = self._served(config)
        weights = list(dict.fromkeys(wanted.values()))
        if not weights:
            yield {}
            return
        models = [(path, f"{Path(path).name}-{weights_id(path)[:8]}") for path in weights]
        with self._clock.up(self._parts.servers.serving(models), what) as served:
            by_path = dict(zip(weights, served, strict=True))
            yield {role: by_path[path].spec for role, path in wanted.items()}

    def _served(self, config: Config) -> dict[str, str]:
        """Return role -> weights of the models that are served here."""
        roles = {"evolver": config.evolver, "responder": config.responder, "judge": config.judge}
        return {
            role: self._weights(part.model)
            for role, part in roles.items()
            if part.model and part.model.startswith(LOCAL)
        }

    def _weights(self, spec: str) -> str:
        path = spec.removeprefix(LOCAL)
        return self._config.student.path if path == STUDENT else path


def _by_run(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Sort arms that are trained by the run that their rows are of."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        if arm.is_trained:
            found.setdefault(arm.run, []).append(arm)
    return found
