"""The pipeline of a run: in every round each lineage is evolved, answered and verified.

One coroutine processes one lineage at a time, with a bounded number of coroutines, so memory does
not grow with the number of tasks. Every outcome is stored before the next step. An interrupted run
resumes where it stopped; a stored response that still needs its checks is not requested again. In =
kept + dropped holds in every stage of every finished round. The rows do not depend on the
concurrency. The seconds of a stage are those in which at least one of its tasks was active, so
overlapping stages sum to more than the elapsed time.

>>> await Pipeline(store, config, models, heuristics=heuristics, in_flight=64).run()
... # doctest: +SKIP
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolcoder.concurrency import run_bounded
from evolcoder.config.load import Config
from evolcoder.engine.base import Role
from evolcoder.engine.purpose import made_for
from evolcoder.errors import BudgetReached, UnjudgedError
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import Heuristic, choose
from evolcoder.evolution.respond import answer_several, drop_of, respond, response_of
from evolcoder.records import (
    Check,
    CheckResult,
    Drop,
    Reason,
    Response,
    ResponseCandidate,
    Stage,
    Task,
)
from evolcoder.sample_errors import judging
from evolcoder.storage import pending
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SECONDS_META, SecondsFacts
from evolcoder.verification.agreement.clusters import AGREED
from evolcoder.verification.pipeline import RowCheck, Verifier, dropping

if TYPE_CHECKING:
    from evolcoder.verification.agreement.choose import AnswerChooser

MAX_ROUNDS = 100
"""Most rounds of a run with a target."""
CANDIDATES_PER_TARGET = 4
"""Default of `budget.max_candidates` per row of the target."""
_FINISHED = "(round, ordinal) NOT IN (SELECT round, ordinal FROM reopened)"
_KEPT = f"SELECT COUNT(*) FROM kept WHERE round = ? AND {_FINISHED}"
_DROPPED = f"SELECT COUNT(*) FROM drops WHERE round = ? AND stage <> 'clean' AND {_FINISHED}"


@dataclass(frozen=True, slots=True)
class RoleModels:
    """The models of a run."""

    evolver: Role
    """Evolves tasks."""
    responder: Role
    """Answers tasks."""
    judge: Role | None
    """Judges whether an evolution adds anything to its parent; optional."""


@dataclass(slots=True)
class RoundCounts:
    """Mutable progress counters of this process."""

    round: int = 0
    """Current round."""
    pool: int = 0
    """Lineages due in it."""
    done: int = 0
    """Lineages with an outcome in it."""
    stored: int = 0
    """Of these, those that an earlier session finished."""
    kept: int = 0
    """Responses kept in it."""
    in_flight: int = 0
    """Lineages being processed."""
    active: Counter[Stage] = field(default_factory=Counter)
    """Of these, those in each stage."""
    drops: Counter[Reason] = field(default_factory=Counter)
    """Drops by reason in all rounds."""


class Pipeline:
    """Runs all rounds of a run, or stops at a limit."""

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        store: RunStore,
        config: Config,
        models: RoleModels,
        *,
        heuristics: tuple[Heuristic, ...],
        in_flight: int,
        checks: Sequence[RowCheck] = (),
        chooser: "AnswerChooser | None" = None,
    ) -> None:
        self.tally = RoundCounts()
        self._timer = StageTimer()
        self._store = store
        self._config = config
        self._models = models
        self._heuristics = heuristics
        self._in_flight = in_flight
        self._verifier = Verifier(store, checks, dropping(config))
        self._chooser = chooser
        self._limit: BudgetReached | None = None

    async def run(self) -> None:
        """Run all rounds; raises BudgetReached if a limit ends them early."""
        await self._run_round(0)
        for round in self._rounds():
            await self._run_round(round)
        self._store.db.flush()

    def accepted(self) -> int:
        """Count evolved rows with a kept response that await no further answers."""
        query = f"SELECT COUNT(*) FROM kept WHERE round > 0 AND {_FINISHED}"
        return self._store.db.number(query)

    def _rounds(self) -> Iterator[int]:
        budget = self._config.budget
        if budget.target is None:
            yield from range(1, budget.rounds + 1)
            return
        for round in range(1, MAX_ROUNDS + 1):
            if self._target_met():
                return
            yield round
            self._store.db.flush()
            if not self._target_met() and self._n_candidates() >= self._max_candidates():
                raise BudgetReached(
                    f"stopped at {self._n_candidates()} candidates (budget.max_candidates) with "
                    f"{self.accepted()} of {budget.target} rows accepted"
                )

    async def _run_round(self, round: int) -> None:
        self._store.db.flush()
        max_failures = self._config.evolve.max_failures
        size = pending.pool_size(self._store, round, max_failures=max_failures)
        self._store.open_round(round, size)
        todo = size if round else size + pending.n_unverified_seeds(self._store)
        self.tally.round, self.tally.pool = round, todo
        self.tally.done = self.tally.kept = self.tally.stored = 0
        if round:
            self.tally.kept = self._store.db.number(_KEPT, (round,))
            self.tally.stored = self.tally.kept + self._store.db.number(_DROPPED, (round,))
            self.tally.done = self.tally.stored
        self._timer = StageTimer()
        waiting = pending.pending_lineages(self._store, round, max_failures=max_failures)
        lineages = self._until_limit(round, waiting)
        jobs = (self._process(round, lineage) for lineage in lineages)
        await run_bounded(jobs, min(self._in_flight, todo))
        self._store_seconds(round)
        if self._limit is not None:
            self._store.db.flush()
            raise self._limit

    def _store_seconds(self, round: int) -> None:
        """Add this process's seconds per stage of a round to the stored ones."""
        found = self._timer.seconds()
        if not found:
            return
        known = self._store.meta(SECONDS_META, SecondsFacts) or {}
        before = known.get(str(round), {})
        summed = {
            stage.value: before.get(stage.value, 0.0) + found.get(stage.value, 0.0)
            for stage in Stage
            if stage in before or stage in found
        }
        known[str(round)] = summed
        self._store.set_meta(SECONDS_META, known)

    def _until_limit(
        self, round: int, lineages: Iterator[pending.Lineage]
    ) -> Iterator[pending.Lineage]:
        """Yield lineages in order until a limit is reached.

        Lineages that an interruption left open before the last completed one are yielded regardless
        of the target, so that a resumed run has the rows of an uninterrupted one.
        """
        gaps_until = pending.last_outcome(self._store, round) if round else -1
        n_candidates, accepted = self._n_candidates(), self.accepted()
        base = self.tally.kept
        for lineage in lineages:
            if self._limit is not None:
                return
            if round and self._config.budget.target and lineage.head.ordinal > gaps_until:
                if n_candidates >= self._max_candidates():
                    return
                if accepted + self.tally.kept - base >= self._config.budget.target:
                    return
            n_candidates += lineage.child is None
            yield lineage

    async def _process(self, round: int, lineage: pending.Lineage) -> None:
        self.tally.in_flight += 1
        try:
            await self._advance(round, lineage)
        except BudgetReached as limit:
            self._limit = limit
        else:
            self.tally.done += 1
        finally:
            self.tally.in_flight -= 1

    async def _advance(self, round: int, lineage: pending.Lineage) -> None:
        """Process one lineage in one round, starting after its last stored step."""
        child = lineage.child
        if child is None:
            with self._during(Stage.EVOLVE):
                evolved = await self._evolve(lineage.head, round)
            self._save(evolved)
            if isinstance(evolved, Drop):
                return
            child = evolved
        response: Response | Drop | None = lineage.response
        agreement: CheckResult | None = None
        if response is None and self._chooser is not None:
            response, agreement = await self._respond_several(child, self._chooser)
        elif response is None:
            with self._during(Stage.RESPOND):
                response = await self._respond(child)
            self._save(response)
        if isinstance(response, Response):
            await self._verify(child, response, agreement)

    @contextmanager
    def _during(self, stage: Stage) -> Iterator[None]:
        """Count a lineage and its time in a stage."""
        self.tally.active[stage] += 1
        try:
            with self._timer.during(stage):
                yield
        finally:
            self.tally.active[stage] -= 1

    async def _evolve(self, task: Task, round: int) -> Task | Drop:
        heuristic = choose(self._heuristics, self._config.seed, task, round)
        try:
            with judging(), made_for(Stage.EVOLVE, heuristic.name):
                return await evolve(
                    task,
                    round=round,
                    heuristic=heuristic,
                    evolver=self._models.evolver,
                    judge=self._models.judge,
                    config=self._config,
                )
        except UnjudgedError as error:
            head = (Stage.EVOLVE, Reason.UNJUDGED, task.id, round, task.ordinal)
            return Drop(*head, heuristic.name, "", str(error), None)

    async def _respond(self, task: Task) -> Response | Drop:
        try:
            with judging(), made_for(Stage.RESPOND, task.heuristic):
                return await respond(task, responder=self._models.responder, config=self._config)
        except UnjudgedError as error:
            head = (Stage.RESPOND, Reason.UNJUDGED, task.id, task.round, task.ordinal)
            return Drop(*head, task.heuristic, "", str(error), None)

    async def _respond_several(
        self, task: Task, chooser: "AnswerChooser"
    ) -> tuple[Response | Drop, CheckResult | None]:
        """Ask for several answers, each stored when it comes, and store the one that is chosen."""
        with self._during(Stage.RESPOND):
            answers = await self._answers(task)
        if isinstance(answers, Drop) or all(answer.defect for answer in answers):
            drop = answers if isinstance(answers, Drop) else drop_of(answers, task)
            self.tally.drops[drop.reason] += self._store.drop_answers(drop)
            return drop, None
        with self._during(Stage.VERIFY), made_for(Stage.VERIFY, task.heuristic):
            choice = await chooser(task, answers)
        without_words = choice.kind == AGREED and self._config.respond.words == "drop"
        response = response_of(answers, choice.chosen, task, without_words=without_words)
        kind, score, detail = choice.kind, choice.score, choice.detail
        found = CheckResult.of(response, Check.AGREEMENT, kind, score=score, detail=detail)
        self._store.choose(choice.answers, found, response)
        return response, found

    async def _answers(self, task: Task) -> list[ResponseCandidate] | Drop:
        try:
            with judging(), made_for(Stage.RESPOND, task.heuristic):
                return await answer_several(
                    task,
                    self._store.answers(task),
                    responder=self._models.responder,
                    config=self._config,
                    save=self._store.add,
                )
        except UnjudgedError as error:
            head = (Stage.RESPOND, Reason.UNJUDGED, task.id, task.round, task.ordinal)
            return Drop(*head, task.heuristic, "", str(error), None)

    async def _verify(
        self, task: Task, response: Response, agreement: CheckResult | None = None
    ) -> None:
        """Keep a response as a row, or drop it with its task."""
        with self._during(Stage.VERIFY):
            drop = await self._verifier.verify(task, response, agreement)
        if drop is None:
            self.tally.kept += 1
        else:
            self.tally.drops[drop.reason] += 1

    def _save(self, record: Task | Response | Drop) -> None:
        """Store the outcome of a step; a response only becomes a row after its verification."""
        self._store.add(record, unverified=True)
        if isinstance(record, Drop):
            self.tally.drops[record.reason] += 1

    def _target_met(self) -> bool:
        target = self._config.budget.target
        return target is not None and self.accepted() >= target

    def _max_candidates(self) -> int:
        budget = self._config.budget
        return budget.max_candidates or CANDIDATES_PER_TARGET * (budget.target or 0)

    def _n_candidates(self) -> int:
        """Count evolutions with an outcome."""
        query = """SELECT (SELECT COUNT(*) FROM tasks WHERE round > 0)
            + (SELECT COUNT(*) FROM drops WHERE stage = 'evolve')"""
        return self._store.db.number(query)


@dataclass(slots=True)
class _Span:
    n_open: int = 0
    began: float = 0.0
    seconds: float = 0.0


class StageTimer:
    """Named clocks; each runs while at least one context under its name is open."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spans: dict[str, _Span] = {}

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count the context's time under a name, once for all contexts that are open together."""
        span = self._spans.setdefault(name, _Span())
        if span.n_open == 0:
            span.began = self._clock()
        span.n_open += 1
        try:
            yield
        finally:
            span.n_open -= 1
            if span.n_open == 0:
                span.seconds += self._clock() - span.began

    def seconds(self) -> dict[str, float]:
        """Return the seconds per name, in the order of first use."""
        return {name: span.seconds for name, span in self._spans.items()}
