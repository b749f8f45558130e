"""The story of a loop: evolve, fine-tune from scratch, score on dev, decide; then all arms.

Promises: a step whose result is there is not done again, whatever killed the session before; a
model is served only while it is asked, so that one GPU does; every training begins with the
student's own weights; the decision reads the dev set alone. With `grade=False` nothing is graded,
so nothing is decided and all rounds are made: another machine grades later in the same folder.
With `ask.grade_beside` one model is graded while the next one is trained; with `train.beside`
models are trained, in order, while rounds are made and models that are there are asked.

>>> Loop(store, config, parts, tokens=len_of, say=print).run()   # doctest: +SKIP
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from evolcoder.bench.scores import Outcomes
from evolcoder.config import BudgetConfig, Config
from evolcoder.ids import content_id
from evolcoder.loop import overlap
from evolcoder.loop.arms import MAIN, STUDENT, Arm, Selection, Source, select
from evolcoder.loop.clock import Clock, stages_of
from evolcoder.loop.grading import Grading
from evolcoder.loop.parts import Parts, Training
from evolcoder.loop.settings import LoopConfig
from evolcoder.loop.stop import Decision, Point, should_stop
from evolcoder.loop.store import LoopStore, model_key
from evolcoder.loop.training import Trainings
from evolcoder.loop.variants import merge, rerun, variant
from evolcoder.records import Row
from evolcoder.store import RunStore

T = TypeVar("T")
LOCAL = "vllm:"
"""How the spec of weights begins that the loop serves itself; `vllm:student` is the student."""
EVOLVED = "evolved:"
"""Meta keys: a run's name -> the config that made it and the rounds that it is through with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a loop came to."""

    decision: Decision | None
    """Evol Stop's word; None where nothing was graded."""
    n_dev: int
    """Problems that it was taken on."""
    trainings: tuple[Training, ...]
    """All models, arm by arm, then seed by seed."""
    skipped: tuple[str, ...]
    """Arms whose rounds were never made, and models that were not to be made now."""


class Loop:
    """One loop, from its first step to its last."""

    def __init__(
        self,
        store: LoopStore,
        config: LoopConfig,
        parts: Parts,
        *,
        tokens: Callable[[Row], int],
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._config = config
        self._parts = parts
        self._tokens = tokens
        self._say = say
        self._clock = Clock(store, say)
        dev = (config.dev.bench,) if config.dev.bench else ()
        self.benches = tuple(dict.fromkeys((*dev, *config.tests)))
        self._grading = Grading(
            (dev, config.tests), ask=config.ask, scorer=parts.scorer, clock=self._clock,
            evaluation=self.evaluation, name=_name,
        )  # fmt: skip
        self._trainings = Trainings(
            beside=config.train.beside, trainer=parts.trainer, store=store, clock=self._clock,
            name=_name,
        )  # fmt: skip

    def run(self, *, grade: bool = True, make: bool = True) -> Outcome:
        """Go through all steps that are left; with `make=False`, of the models that were asked."""
        with self._grading, self._trainings, closing(self._parts.servers):
            return self._run(grade=grade, make=make)

    def _run(self, *, grade: bool, make: bool) -> Outcome:
        dev = self._dev_problems()
        decision, rounds = self._rounds(dev, grade=grade, make=make)
        planned, skipped = self.plan(rounds)
        trainings = [one for one in planned if make or self._is_sampled(one[0])]
        skipped += tuple(_name(one[0]) for one in planned if one not in trainings)
        for training, selection in trainings:
            self._train_soon(training, selection)
        for training, selection in trainings:
            self._sample(training, selection, grade=grade)
        if self._config.train.keep == "best":
            self._put_away([training for training, _ in trainings], decision)
        models = tuple(training for training, _ in trainings)
        for training in models if grade else ():
            self._grading.see_to(training, self.benches)
        return Outcome(decision, len(dev), models, skipped)

    def plan(self, rounds: int) -> tuple[list[tuple[Training, Selection | None]], tuple[str, ...]]:
        """Return every model of all arms with its rows, and the arms that cannot be made."""
        merges = [merge(k) for k in range(rounds + 1)]
        often = [*merges, *map(Arm.read, self._config.arms)]
        wanted = dict.fromkeys([*often, *map(Arm.read, self._config.arms_once)])
        arms = [arm for arm in wanted if arm.run != MAIN or arm.last_round <= rounds]
        chosen = self._select(arms)
        seeds = self._config.train.seeds
        pairs = [(arm, seed) for arm in arms for seed in (seeds if arm in often else seeds[:1])]
        found = [
            (self.training(arm, seed, chosen.get(arm)), chosen.get(arm))
            for arm, seed in pairs
            if arm.is_trained or seed == seeds[0]
        ]
        return found, tuple(str(arm) for arm in wanted if arm not in arms)

    def _put_away(self, models: Sequence[Training], decision: Decision | None) -> None:
        """Remove the weights of all models but those of the best merge."""
        best = str(merge(decision.best)) if decision else ""
        kept = {model.key for model in models if model.arm == best}
        for key in {model.key for model in models} - kept:
            shutil.rmtree(self._store.model(key), ignore_errors=True)

    def training(self, arm: Arm, seed: int, selection: Selection | None) -> Training:
        """Say what a model is made of."""
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
    ) -> tuple[Decision | None, int]:
        """Make round after round until one does not help; return the decision and the rounds."""
        history: list[Point] = []
        decision = None
        for k in range(self._config.run.budget.rounds + 1):
            # One point decides nothing, so round 1 is always made: with round 0, by one server.
            at_least = max(k, min(1, self._config.run.budget.rounds))
            ahead = make and self._config.train.beside
            self._evolve(MAIN, variant(self._config, MAIN), at_least, ahead=ahead)
            for there in range(k, at_least + 1) if ahead else ():
                self._train_merge_soon(there)
            selection, models = self._merge(k)
            models = [model for model in models if make or self._is_sampled(model)]
            for training in models:
                self._sample(training, selection, grade=grade)
            bench = self._config.dev.bench
            if not grade or not models or bench is None:
                continue
            history.append(Point(k, self._on_dev(bench, models, dev)))
            decision = should_stop(history, self._config.stop.rule)
            self._say(decision.reason)
            if decision.stop and not self._config.stop.go_on:
                return decision, k
        return decision, self._config.run.budget.rounds

    def _merge(self, k: int) -> tuple[Selection, list[Training]]:
        """Return the rows of rounds 0 to k, and a training on them for each seed."""
        selection = self._select([merge(k)])[merge(k)]
        seeds = self._config.train.seeds
        return selection, [self.training(merge(k), seed, selection) for seed in seeds]

    def _train_merge_soon(self, k: int) -> None:
        selection, models = self._merge(k)
        for training in models:
            self._train_soon(training, selection)

    def _on_dev(self, bench: str, models: Iterable[Training], dev: frozenset[str]) -> Outcomes:
        """Put the dev samples of all training seeds together, problem by problem."""
        found: dict[str, list[bool]] = {}
        for training in models:
            self._grading.see_to(training, [bench])
            scored = self._parts.scorer.outcomes(self.evaluation(training), bench)[bench]
            for problem, passed in overlap.only(scored, dev).items():
                found.setdefault(problem, []).extend(passed)
        return found

    def _dev_problems(self) -> frozenset[str]:
        config, scorer = self._config.dev, self._parts.scorer
        if config.bench is None:
            return frozenset()
        tests = {test: scorer.problems(test) for test in self._config.tests}
        dev = scorer.problems(config.bench)
        return overlap.dev_problems(config.bench, dev, tests, leave_out=config.leave_out_tests)

    def _select(self, arms: Sequence[Arm]) -> dict[Arm, Selection]:
        """Read the runs that arms need, making what is missing of those beside the main one."""
        sources = {}
        for name in dict.fromkeys(arm.run for arm in arms if arm.is_trained):
            mine = [arm for arm in arms if arm.run == name]
            config = variant(self._config, name)
            if name != MAIN:
                self._evolve(name, config, max(arm.last_round for arm in mine))
            again = any(arm.is_reanswered for arm in mine)
            if again:
                self._evolve(f"{name}-reanswered", rerun(config), 0)
            sources[name] = self._source(name, again=again)
        return select(arms, sources, seed=self._config.run.seed, tokens=self._tokens)

    def _source(self, name: str, *, again: bool) -> Source:
        again_name, least = f"{name}-reanswered", self._config.min_verified
        return Source(self._rows(name), self._rows(again_name) if again else (), least)

    def _rows(self, name: str) -> tuple[Row, ...]:
        with RunStore.read(self._run_folder(name)) as store:
            return tuple(store.rows())

    def _evolve(self, name: str, config: Config, rounds: int, *, ahead: bool = False) -> None:
        """Bring a run to its rounds; `ahead`: have models of its seeds trained meanwhile."""
        if name in self._config.folders:
            return
        made_by, n_done = self._store.meta(EVOLVED + name) or ("", -1)
        if made_by == config.fingerprint and n_done >= rounds:
            return
        asked = config.model_copy(update={"budget": _rounds(config, rounds)})
        with self._models_of(asked, f"{name}, round {rounds}") as models:
            if ahead and n_done < 0 < rounds:
                self._go_through(name, config, 0, models)
                self._train_merge_soon(0)
            self._go_through(name, config, rounds, models)

    def _go_through(
        self, name: str, config: Config, rounds: int, models: Mapping[str, str]
    ) -> None:
        wanted = config.model_copy(update={"budget": _rounds(config, rounds)})
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
    def _up(self, serving: AbstractContextManager[T], what: str) -> Iterator[T]:
        """Serve while the context lasts; how long it takes to start is a step."""
        with ExitStack() as stack:
            with self._clock.timed("serve", what):
                served = stack.enter_context(serving)
            yield served

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
        with self._up(self._parts.servers.serving(models), what) as served:
            by_path = dict(zip(weights, served, strict=True))
            yield {role: by_path[path].spec for role, path in wanted.items()}

    def _weights(self, spec: str) -> str:
        path = spec.removeprefix(LOCAL)
        return self._config.student.path if path == STUDENT else path

    def _is_sampled(self, training: Training) -> bool:
        return self._parts.scorer.is_sampled(self.evaluation(training), self.benches)

    def _sample(self, training: Training, selection: Selection | None, *, grade: bool) -> None:
        """Train a model and ask it, unless its samples are there; have it graded where wanted."""
        if not self._is_sampled(training):
            if grade:
                self._grading.check_soon()
            self._train_and_ask(training, selection)
        if grade:
            self._grading.soon(training)

    def _train_and_ask(self, training: Training, selection: Selection | None) -> None:
        folder, scorer = self.evaluation(training), self._parts.scorer
        weights = self._config.student.path
        if selection is not None:
            weights = str(self._trainings.see_to(training, selection))
        name = _name(training)
        with (
            self._up(self._parts.servers.student(weights, training.key), name) as served,
            self._clock.timed("sample", name),
        ):
            scorer.sample(folder, training.key, served, self.benches)

    def _train_soon(self, training: Training, selection: Selection | None) -> None:
        if selection is not None and not self._is_sampled(training):
            self._trainings.soon(training, selection)

    def evaluation(self, training: Training) -> Path:
        """Return where the samples and verdicts of a model are."""
        asked = self._config.ask.model_dump(mode="json", include=set(DECIDING))
        return self._store.evaluation(content_id("eval", [training.key, asked]))


DECIDING = ("template", "temperature", "top_p", "max_tokens")
"""Keys of `ask` that decide a sample."""


def _rounds(config: Config, rounds: int) -> BudgetConfig:
    return config.budget.model_copy(update={"rounds": rounds})


def _name(training: Training) -> str:
    return f"{training.arm}, seed {training.seed}" if training.data else STUDENT
