"""The experiment loop: evolve, fine-tune from scratch, score on dev, decide; then all arms.

A step whose result exists is not repeated, whatever ended the previous session. A model is served
only while it is sampled, so one GPU is enough. Every training starts from the student's own
weights. The decision uses the dev set alone. An arm whose rounds have no rows is skipped, and
reported. So is an arm whose training fails, after all others are done; a round whose training fails
ends the loop, since the next step depends on it.

The runs that arms are selected from are evolved round by round: to a round once, and again if the
run's config or weights changed. Their models are served only while they evolve, under names that
identify the weights. A run that was made elsewhere is read only.

With `grade=False` nothing is graded, so there is no decision and all rounds are made: another
machine grades later in the same folder. With `ask.grade_beside` one model is graded while the next
one is trained; with `train.beside` models are trained, in order, while round 1 is made and finished
models are sampled; with `serve.ahead` the students' server starts meanwhile, too.

>>> Loop(store, config, services, tokens=len_of, say=print).run()   # doctest: +SKIP
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from pydantic import RootModel, StrictInt, StrictStr

from evolcoder.bench.scores import Outcomes
from evolcoder.config.load import Config
from evolcoder.errors import RunFolderError, StepFailed, UserError
from evolcoder.experiment import stop
from evolcoder.experiment.arms import MAIN, STUDENT, Arm, RowSource, Selection, select
from evolcoder.experiment.background import GradingJobs, TrainingJobs
from evolcoder.experiment.config import LoopConfig, merge, rerun, variant
from evolcoder.experiment.interfaces import LoopServices, Training
from evolcoder.experiment.stop import DevScore, StopDecision, should_stop
from evolcoder.experiment.store import LoopStore, model_key, weights_id
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


@dataclass(frozen=True, slots=True)
class LoopOutcome:
    """The outcome of a loop."""

    decision: StopDecision | None
    """Evol Stop's decision; None if nothing was graded."""
    n_dev: int
    """Problems of the dev set."""
    trainings: tuple[Training, ...]
    """All models, by arm, then by seed."""
    skipped: tuple[str, ...]
    """Arms whose rounds were not made, and models that were not to be made in this session."""
    failed: tuple[str, ...] = ()
    """Models whose training failed, each with the reason."""


class Loop:
    """One loop in one folder."""

    def __init__(
        self,
        store: LoopStore,
        config: LoopConfig,
        services: LoopServices,
        *,
        tokens: Callable[[Row], int],
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._config = config
        self._services = services
        self._say = say
        self._clock = StepTimer(store, say)
        dev = config.dev.benches
        self.benches = tuple(dict.fromkeys((*dev, *config.tests)))
        self._runs = EvolutionRuns(store, config, services, clock=self._clock, tokens=tokens)
        self._grading = GradingJobs(
            (dev, config.tests), ask=config.ask, scorer=services.scorer, clock=self._clock,
            evaluation=self.evaluation_folder, name=_name,
        )  # fmt: skip
        self._trainings = TrainingJobs(
            in_background=config.train.beside, trainer=services.trainer, store=store,
            clock=self._clock, name=_name,
        )  # fmt: skip

    def run(self, *, grade: bool = True, make: bool = True) -> LoopOutcome:
        """Do all remaining steps; with `make=False`, only those of models that were sampled."""
        services = self._services
        with self._grading, self._trainings, closing(services.trainer), closing(services.servers):
            return self._run(grade=grade, make=make)

    def _run(self, *, grade: bool, make: bool) -> LoopOutcome:
        dev = self._dev_problems()
        decision, rounds = self._rounds(dev, grade=grade, make=make)
        planned, skipped = self.plan(rounds, make=make)
        trainings = [one for one in planned if make or self._is_sampled(one[0])]
        skipped += tuple(_name(one[0]) for one in planned if one not in trainings)
        for training, selection in trainings:
            self._queue_training(training, selection)
        failed = {}
        for training, selection in trainings:
            if why := self._why_untrained(training, selection, grade=grade):
                failed[training.key] = f"{_name(training)}: {why}"
                self._say(f"{_name(training)} is left out, the others are made: {why}")
            else:
                self._sample(training, selection, grade=grade)
        trainings = [one for one in trainings if one[0].key not in failed]
        if self._config.train.keep == "best" and decision and make:
            self._delete_other_weights([training for training, _ in trainings], decision)
        models = tuple(training for training, _ in trainings)
        self._services.servers.close()
        for training in models if grade else ():
            self._grading.ensure_graded(training, self.benches)
        return LoopOutcome(decision, len(dev), models, skipped, tuple(failed.values()))

    def _why_untrained(
        self, training: Training, selection: Selection | None, *, grade: bool
    ) -> str:
        """Train a model unless its samples exist; return why that failed, '' if it did not."""
        if selection is None or self._is_sampled(training):
            return ""
        if grade:
            self._grading.queue_check()
        try:
            self._trainings.ensure_trained(training, selection)
        except (StepFailed, UserError, RunFolderError) as error:
            self._trainings.forgive(training.key)
            return str(error)
        return ""

    def plan(
        self, rounds: int, *, make: bool = True
    ) -> tuple[list[tuple[Training, Selection | None]], tuple[str, ...]]:
        """Return the models of all arms with their rows, and the arms that cannot be made.

        With `make=False` only those of existing runs.
        """
        merges = [merge(k) for k in range(rounds + 1)]
        often = [*merges, *map(Arm.read, self._config.arms)]
        wanted = dict.fromkeys([*often, *map(Arm.read, self._config.arms_once)])
        arms = [arm for arm in wanted if arm.run != MAIN or arm.last_round <= rounds]
        if make:
            self._runs.make_for(arms)
        arms = self._runs.available(arms)
        chosen = self._runs.select(arms)
        seeds = self._config.train.seeds
        pairs = [(arm, seed) for arm in arms for seed in (seeds if arm in often else seeds[:1])]
        found = [
            (self.training(arm, seed, chosen.get(arm)), chosen.get(arm))
            for arm, seed in pairs
            if arm.is_trained or seed == seeds[0]
        ]
        return found, tuple(str(arm) for arm in wanted if arm not in arms)

    def _delete_other_weights(self, models: Sequence[Training], decision: StopDecision) -> None:
        """Delete the weights of all models except those of the best merge."""
        best = str(merge(decision.best))
        kept = {model.key for model in models if model.arm == best}
        for key in {model.key for model in models} - kept:
            shutil.rmtree(self._store.model(key), ignore_errors=True)

    def training(self, arm: Arm, seed: int, selection: Selection | None) -> Training:
        """Describe the training of an arm with a seed."""
        config, student = self._config.train, self._config.student
        name = student.name or student.path
        if selection is None:
            key = content_id(STUDENT, name)
            return Training(str(arm), seed, key, "", 0, 0, None)
        steps = None
        if selection.steps_of is not None:
            steps = max(1, math.ceil(selection.steps_of * config.epochs / config.batch))
        key = model_key(selection.digest, steps, name, config.how, seed)
        n_rows, n_tokens = len(selection.rows), selection.n_tokens
        return Training(str(arm), seed, key, selection.digest, n_rows, n_tokens, steps)

    def _rounds(
        self, dev: frozenset[str], *, grade: bool, make: bool
    ) -> tuple[StopDecision | None, int]:
        """Make rounds until one does not help; return the decision and the number of rounds.

        Also ends at a round without rows, or at a missing one with `make=False`.
        """
        history: list[DevScore] = []
        decision = None
        for k in range(self._config.run.budget.rounds + 1):
            # One score decides nothing, so round 1 is always made: with round 0, by one server.
            at_least = max(k, min(1, self._config.run.budget.rounds))
            ahead = make and self._config.train.beside
            begins = ahead or self._config.serve.ahead
            meanwhile = partial(self._begin_ahead, trains=ahead, grades=grade) if begins else None
            if make:
                self._runs.evolve(MAIN, variant(self._config, MAIN), at_least, meanwhile=meanwhile)
            if self._runs.last_round(MAIN) < k:
                self._say(f"round {k} has no rows, so it is skipped")
                return decision, k - 1
            for made in range(k, at_least + 1) if ahead else ():
                self._queue_merge(made)
            selection, models = self._merge(k)
            models = [model for model in models if make or self._is_sampled(model)]
            for training in models:
                self._sample(training, selection, grade=grade)
            if not grade or not models or not self._config.dev.benches:
                continue
            history.append(DevScore(k, self._dev_outcomes(models, dev)))
            decision = should_stop(history, self._config.stop.rule)
            self._say(decision.reason)
            if decision.stop and not self._config.stop.go_on:
                return decision, k
        return decision, self._config.run.budget.rounds

    def _begin_ahead(self, *, trains: bool, grades: bool) -> None:
        """Begin what needs no round but the first while that is made."""
        if grades:
            self._grading.queue_check()
        self._services.servers.start_ahead(self._config.student.path)
        if trains:
            self._queue_merge(0)
            self._trainings.prepare()

    def _merge(self, k: int) -> tuple[Selection, list[Training]]:
        """Return the rows of rounds 0 to k, and a training on them for each seed."""
        selection = self._runs.select([merge(k)])[merge(k)]
        seeds = self._config.train.seeds
        return selection, [self.training(merge(k), seed, selection) for seed in seeds]

    def _queue_merge(self, k: int) -> None:
        selection, models = self._merge(k)
        for training in models:
            self._queue_training(training, selection)

    def _dev_outcomes(self, models: Iterable[Training], dev: frozenset[str]) -> Outcomes:
        """Combine the dev outcomes of all training seeds by problem."""
        benches, scorer = self._config.dev.benches, self._services.scorer
        found: dict[str, list[bool]] = {}
        for training in models:
            self._grading.ensure_graded(training, benches)
            folder = self.evaluation_folder(training)
            scored = stop.dev_outcomes({name: scorer.outcomes(folder, name) for name in benches})
            for problem, passed in stop.restrict(scored, dev).items():
                found.setdefault(problem, []).extend(passed)
        return found

    def _dev_problems(self) -> frozenset[str]:
        config, scorer = self._config.dev, self._services.scorer
        tests = {test: scorer.problems(test) for test in self._config.tests}
        kept = {
            name: stop.dev_problems(
                name, scorer.problems(name), tests, leave_out=config.leave_out_tests
            )
            for name in config.benches
        }
        return stop.dev_ids(kept)

    def _is_sampled(self, training: Training) -> bool:
        return self._services.scorer.is_sampled(self.evaluation_folder(training), self.benches)

    def _sample(self, training: Training, selection: Selection | None, *, grade: bool) -> None:
        """Train and sample a model unless its samples exist; queue its grading if `grade`."""
        if not self._is_sampled(training):
            if grade:
                self._grading.queue_check()
            self._train_and_sample(training, selection)
        if grade:
            self._grading.queue(training)

    def _train_and_sample(self, training: Training, selection: Selection | None) -> None:
        folder, scorer = self.evaluation_folder(training), self._services.scorer
        weights = self._config.student.path
        if selection is not None:
            weights = str(self._trainings.ensure_trained(training, selection))
        name = _name(training)
        with (
            self._clock.serving(
                self._services.servers.student(weights, training.key), name
            ) as served,
            self._clock.timed("sample", name),
        ):
            scorer.sample(folder, training.key, served, self.benches)

    def _queue_training(self, training: Training, selection: Selection | None) -> None:
        if selection is not None and not self._is_sampled(training):
            self._trainings.queue(training, selection)

    def evaluation_folder(self, training: Training) -> Path:
        """Return the folder of a model's samples and verdicts."""
        asked = self._config.ask.model_dump(mode="json", include=set(SAMPLING_KEYS))
        decided = self._services.scorer.decided()
        how = {**asked, "options": dict(decided)} if decided else asked
        return self._store.evaluation_folder(content_id("eval", [training.key, how]))


SAMPLING_KEYS = ("template", "temperature", "top_p", "max_tokens")
"""Keys of `ask` that decide a sample."""


def _name(training: Training) -> str:
    return f"{training.arm}, seed {training.seed}" if training.data else STUDENT
