"""The runs that arms are selected from, evolved round by round.

A run is evolved to a round once, whatever ended the previous session, and again if its config or
its weights changed. Its models are served only while it evolves, under names that identify the
weights. A run that was made elsewhere is read only.

>>> runs = EvolutionRuns(store, config, services, clock=clock, tokens=len_of)   # doctest: +SKIP
>>> runs.select([merge(1)])   # doctest: +SKIP
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
from evolcoder.experiment.timings import StepTimer, stage_seconds
from evolcoder.ids import content_id
from evolcoder.records import Row
from evolcoder.storage.run_store import DB_NAME, RunStore

LOCAL = "vllm:"
"""Prefix of the spec of weights that the loop serves itself; `vllm:student` is the student."""
EVOLVED = "evolved:"
"""Prefix of the meta key of a run: hash of its inputs, and the number of completed rounds."""


class _Evolved(RootModel[tuple[StrictStr, StrictInt]]):
    """The value of such a key."""


class EvolutionRuns:
    """All runs of one loop."""

    def __init__(
        self,
        store: LoopStore,
        config: LoopConfig,
        services: LoopServices,
        *,
        clock: StepTimer,
        tokens: Callable[[Row], int],
    ) -> None:
        self._store = store
        self._config = config
        self._services = services
        self._clock = clock
        self._tokens = tokens

    def select(self, arms: Sequence[Arm]) -> dict[Arm, Selection]:
        """Read the runs of the arms, and select their rows."""
        sources = {}
        for name, mine in _by_run(arms).items():
            sources[name] = self._source(name, reanswered=any(arm.is_reanswered for arm in mine))
        return select(arms, sources, seed=self._config.run.seed, tokens=self._tokens)

    def make_for(self, arms: Sequence[Arm]) -> None:
        """Make the runs that the arms need, except the rounds of the main one."""
        for name, mine in _by_run(arms).items():
            if name != MAIN and name not in self._config.folders:
                config = variant(self._config, name)
                self.evolve(name, config, max(arm.last_round for arm in mine))
            reanswered = f"{name}-reanswered"
            if any(arm.is_reanswered for arm in mine) and reanswered not in self._config.folders:
                self.evolve(reanswered, rerun(variant(self._config, name)), 0)

    def available(self, arms: Sequence[Arm]) -> list[Arm]:
        """Return the arms whose last round, and whose re-answered seeds if needed, have rows."""
        last = cache(self.last_round)  # each run is read once

        def has_rows(arm: Arm) -> bool:
            has_seeds = not arm.is_reanswered or last(f"{arm.run}-reanswered") >= 0
            return not arm.is_trained or (has_seeds and last(arm.run) >= arm.last_round)

        return list(filter(has_rows, arms))

    def _source(self, name: str, *, reanswered: bool) -> RowSource:
        seeds = self._rows(f"{name}-reanswered") if reanswered else ()
        return RowSource(self._rows(name), seeds, self._config.min_verified)

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
        """Evolve a run to its rounds; `meanwhile` is called once its seeds are readable."""
        if name in self._config.folders:
            return
        made_by, n_done = self._store.meta(EVOLVED + name, _Evolved) or ("", -1)
        if made_by not in (self._made_by(config, one) for one in config.fingerprints):
            n_done = -1
        if n_done >= rounds:
            return
        with self._models_of(config, f"{name}, round {rounds}") as models:
            if meanwhile and rounds:
                if n_done < 0:
                    self._evolve_to(name, config, 0, models)
                meanwhile()
            self._evolve_to(name, config, rounds, models)

    def _evolve_to(self, name: str, config: Config, rounds: int, models: Mapping[str, str]) -> None:
        budget = config.budget.model_copy(update={"rounds": rounds})
        wanted = config.model_copy(update={"budget": budget})
        folder = self._store.run_folder(name)
        with self._clock.timed("evolve", f"{name}, round {rounds}") as step:
            self._services.evolver.evolve(wanted, folder, models)
            step.detail = stage_seconds(folder)
        made_by = self._made_by(config, config.fingerprint)
        self._store.set_meta(EVOLVED + name, [made_by, rounds])
        self._store.db.flush()

    def _made_by(self, config: Config, fingerprint: str) -> str:
        """Hash what decides the rows of a run, except its rounds."""
        plain = config.model_dump(mode="json", include={"clean", "budget"})
        del plain["budget"]["rounds"]
        weights = {role: weights_id(path) for role, path in self._served(config).items()}
        return content_id("made by", [fingerprint, plain, weights])

    def last_round(self, name: str) -> int:
        """Return the last round with rows; -1 if there is no run."""
        if not (self._run_folder(name) / DB_NAME).exists():
            return -1
        return max((row.task.round for row in self._rows(name)), default=-1)

    def _run_folder(self, name: str) -> Path:
        given = self._config.folders.get(name)
        return Path(given) if given else self._store.run_folder(name)

    @contextmanager
    def _models_of(self, config: Config, what: str) -> Iterator[dict[str, str]]:
        """Serve the weights that a run needs; yield role -> spec."""
        wanted = self._served(config)
        weights = list(dict.fromkeys(wanted.values()))
        if not weights:
            yield {}
            return
        models = [(path, f"{Path(path).name}-{weights_id(path)[:8]}") for path in weights]
        with self._clock.serving(self._services.servers.serving(models), what) as served:
            by_path = dict(zip(weights, served, strict=True))
            yield {role: by_path[path].spec for role, path in wanted.items()}

    def _served(self, config: Config) -> dict[str, str]:
        """Return role -> weights of the models that the loop serves."""
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
    """Group trained arms by the run of their rows."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        if arm.is_trained:
            found.setdefault(arm.run, []).append(arm)
    return found
