"""The story of a run: round after round, every lineage is evolved, answered and verified.

Promises: one record's life is one coroutine, a bounded number of them at once, so memory does not
grow with the number of tasks; every outcome goes to the store before the next step; what an
interruption left open is gone on with, an answer that waits for its checks without asking for it
again; in = kept + dropped in every stage of every finished round.
The rows are the same at any concurrency.

>>> await Rounds(store, config, cast, in_flight=64).run()   # doctest: +SKIP
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evolcoder.config.load import Config
from evolcoder.engine.base import Role
from evolcoder.errors import BudgetReached, EngineError, UnjudgedError
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import Heuristic, choose
from evolcoder.evolution.respond import respond
from evolcoder.records import Drop, Reason, Response, Stage, Task
from evolcoder.sample_errors import judging
from evolcoder.stage_timer import StageTimer
from evolcoder.storage import pending as pool
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SECONDS_META, SecondsFacts
from evolcoder.verification.pipeline import RowCheck, Verifier

MOST_ROUNDS = 100
"""Bound on the rounds of a run with a target."""
REJECTIONS_IN_A_ROW = 20
"""So many requests rejected one after the other mean that the server rejects all."""
CANDIDATES_PER_TARGET = 4


@dataclass(frozen=True, slots=True)
class RoleModels:
    """The models of a run."""

    evolver: Role
    """Makes tasks harder."""
    responder: Role
    """Answers them."""
    judge: Role | None
    """Says whether an evolution equals its parent, if anybody is asked."""


@dataclass(slots=True)
class RoundCounts:
    """What a run has done so far in this process, for whoever shows its progress."""

    round: int = 0
    """The round in work."""
    pool: int = 0
    """Lineages that go into it."""
    done: int = 0
    """Lineages with an outcome in it."""
    kept: int = 0
    """Answers kept in it."""
    in_flight: int = 0
    """Records in work."""
    verifying: int = 0
    """Of these, answers that are being checked."""
    drops: Counter[Reason] = field(default_factory=Counter)
    """Drops by reason, over all rounds."""


class Pipeline:
    """One run, from its first round to its last or to a limit."""

    def __init__(
        self,
        store: RunStore,
        config: Config,
        cast: RoleModels,
        *,
        heuristics: tuple[Heuristic, ...],
        in_flight: int,
        checks: Sequence[RowCheck] = (),
    ) -> None:
        self.tally = RoundCounts()
        self._spans = StageTimer()
        self._store = store
        self._config = config
        self._cast = cast
        self._heuristics = heuristics
        self._in_flight = in_flight
        self._verifier = Verifier(store, checks, config.verify.drop)
        self._stopped: BudgetReached | None = None
        self._rejected_in_a_row = 0

    async def run(self) -> None:
        """Go through all rounds; raise BudgetReached when a limit ends them early."""
        await self._round(0)
        for round in self._rounds():
            await self._round(round)
        self._store.db.flush()

    def accepted(self) -> int:
        """Count evolved rows with a kept answer."""
        query = "SELECT COUNT(*) FROM kept WHERE round > 0"
        return self._store.db.number(query)

    def _rounds(self) -> Iterator[int]:
        budget = self._config.budget
        if budget.target is None:
            yield from range(1, budget.rounds + 1)
            return
        for round in range(1, MOST_ROUNDS + 1):
            if self._target_met():
                return
            yield round
            self._store.db.flush()
            if not self._target_met() and self._begun() >= self._most_candidates():
                raise BudgetReached(
                    f"stopped at {self._begun()} candidates (budget.max_candidates) with "
                    f"{self.accepted()} of {budget.target} rows accepted"
                )

    async def _round(self, round: int) -> None:
        self._store.db.flush()
        max_failures = self._config.evolve.max_failures
        size = pool.size(self._store, round, max_failures=max_failures)
        self._store.open_round(round, size)
        todo = size if round else size + pool.n_waiting(self._store)
        self.tally.round, self.tally.pool = round, todo
        self.tally.done = self.tally.kept = 0
        self._spans = StageTimer()
        lineages = self._take(round, pool.waiting(self._store, round, max_failures=max_failures))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._in_flight, todo)):
                    group.create_task(self._work(round, lineages))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        self._note_seconds(round)
        if self._stopped is not None:
            self._store.db.flush()
            raise self._stopped

    def _note_seconds(self, round: int) -> None:
        """Add this session's seconds of a round to those of the sessions before."""
        found = self._spans.seconds()
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

    def _take(self, round: int, lineages: Iterator[pool.Lineage]) -> Iterator[pool.Lineage]:
        """Hand lineages out in order, until a limit is reached.

        Lineages that an interruption left open behind others that are done come first and whatever
        the count says, so that an interrupted run ends with the rows of an uninterrupted one.
        """
        gaps_until = pool.last_outcome(self._store, round) if round else -1
        begun, accepted = self._begun(), self.accepted()
        base = self.tally.kept
        for lineage in lineages:
            if self._stopped is not None:
                return
            if round and self._config.budget.target and lineage.head.ordinal > gaps_until:
                if begun >= self._most_candidates():
                    return
                if accepted + self.tally.kept - base >= self._config.budget.target:
                    return
            begun += lineage.child is None
            yield lineage

    async def _work(self, round: int, lineages: Iterator[pool.Lineage]) -> None:
        for lineage in lineages:
            self.tally.in_flight += 1
            try:
                await self._advance(round, lineage)
            except BudgetReached as limit:
                self._stopped = limit
                return
            finally:
                self.tally.in_flight -= 1
            self.tally.done += 1

    async def _advance(self, round: int, lineage: pool.Lineage) -> None:
        """Take one lineage through one round."""
        child = lineage.child
        if child is None:
            with self._spans.during(Stage.EVOLVE):
                made = await self._evolve(lineage.head, round)
            self._keep(made)
            if isinstance(made, Drop):
                return
            child = made
        answered: Response | Drop | None = lineage.response
        if answered is None:
            with self._spans.during(Stage.RESPOND):
                answered = await self._respond(child)
            self._keep(answered)
        if isinstance(answered, Response):
            await self._verify(child, answered)

    async def _evolve(self, task: Task, round: int) -> Task | Drop:
        heuristic = choose(self._heuristics, self._config.seed, task, round)
        try:
            with judging():
                return await evolve(
                    task,
                    round=round,
                    heuristic=heuristic,
                    evolver=self._cast.evolver,
                    judge=self._cast.judge,
                    config=self._config,
                )
        except UnjudgedError as error:
            head = (Stage.EVOLVE, Reason.UNJUDGED, task.id, round, task.ordinal)
            return Drop(*head, heuristic.name, "", str(error), None)

    async def _respond(self, task: Task) -> Response | Drop:
        try:
            with judging():
                return await respond(task, responder=self._cast.responder, config=self._config)
        except UnjudgedError as error:
            head = (Stage.RESPOND, Reason.UNJUDGED, task.id, task.round, task.ordinal)
            return Drop(*head, task.heuristic, "", str(error), None)

    async def _verify(self, task: Task, response: Response) -> None:
        """Make an answer a row, or drop it with its task."""
        self.tally.verifying += 1
        try:
            with self._spans.during(Stage.VERIFY):
                drop = await self._verifier.verify(task, response)
        finally:
            self.tally.verifying -= 1
        if drop is None:
            self.tally.kept += 1
        else:
            self.tally.drops[drop.reason] += 1

    def _keep(self, record: Task | Response | Drop) -> None:
        """Store what a step came to; an answer becomes a row when it was verified."""
        self._store.add(record, waits=True)
        if isinstance(record, Drop):
            self.tally.drops[record.reason] += 1
            self._count_rejection(record)
            return
        self._rejected_in_a_row = 0

    def _count_rejection(self, drop: Drop) -> None:
        """Stop when the server rejects everything: that is no fault of the records."""
        if drop.reason is not Reason.REJECTED:
            self._rejected_in_a_row = 0
            return
        self._rejected_in_a_row += 1
        if self._rejected_in_a_row >= REJECTIONS_IN_A_ROW:
            raise EngineError(
                f"{self._rejected_in_a_row} requests in a row were rejected",
                asked=self._cast.evolver.identity,
                got=drop.detail,
                retryable=False,
            )

    def _target_met(self) -> bool:
        target = self._config.budget.target
        return target is not None and self.accepted() >= target

    def _most_candidates(self) -> int:
        budget = self._config.budget
        return budget.max_candidates or CANDIDATES_PER_TARGET * (budget.target or 0)

    def _begun(self) -> int:
        """Count evolutions that were begun and have come to something."""
        query = """SELECT (SELECT COUNT(*) FROM tasks WHERE round > 0)
            + (SELECT COUNT(*) FROM drops WHERE stage = 'evolve')"""
        return self._store.db.number(query)
