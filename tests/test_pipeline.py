"""The pipeline loses no record and does not depend on the order of completion.

Time is counted while at least one context of a name is open.
"""

import asyncio
import dataclasses
import importlib
import random

import pytest

import toys
from evolcoder.engine.base import Completion, Role, Sampling
from evolcoder.engine.evidence import EvidenceEngine
from evolcoder.errors import BudgetReached, EngineError, Fault
from evolcoder.evolution.heuristics import resolve
from evolcoder.pipeline import Pipeline, RoleModels, StageTimer
from evolcoder.records import Reason, Response, Stage, Task
from evolcoder.sample_errors import UNJUDGED
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SEEDS_META, funnel


def open_store(path, config, n=20, *, answered=True):
    store = RunStore.create(path, config)
    seeds = [Task.seed(text, ordinal=i, language="python") for i, text in enumerate(toys.tasks(n))]
    answers = [Response.to(seed, "```python\npass\n```", made=None) for seed in seeds]
    store.add_seeds([*seeds, *(answers if answered else [])])
    store.set_meta(SEEDS_META, {"source": "toy", "format": "toy", "n_rows": n})
    return store


def go(store, config, *, role=None, in_flight=4):
    role = role or toys.role()
    cast = RoleModels(role, role, None)
    rounds = Pipeline(store, config, cast, heuristics=resolve(config.evolve), in_flight=in_flight)
    asyncio.run(rounds.run())
    return rounds


class Wayward:
    """The toy model with answers out of order, failing on demand."""

    identity = "scripted"

    def __init__(self, *, fail_after=None, error=None):
        self.calls = 0
        self._inner = toys.engine()
        self._fail_after = fail_after
        self._error = error
        self._rng = random.Random(3)

    async def complete(self, request) -> Completion:
        self.calls += 1
        for _ in range(self._rng.randrange(9)):
            await asyncio.sleep(0)
        if self._fail_after is not None and self.calls > self._fail_after:
            raise self._error
        return await self._inner.complete(request)

    async def aclose(self):
        pass

    def role(self):
        return Role(self, "toy", Sampling(1.0, 0.9, 512))


def dump(store):
    return [
        *((row.task, row.response) for row in store.rows()),
        *store.drops(),
    ]


def test_in_is_kept_plus_dropped_at_every_stage(tmp_path):
    """After a run nothing is pending, and every record is accounted for."""
    config = toys.config(budget={"rounds": 3})
    with open_store(tmp_path / "run", config) as store:
        go(store, config)
        lines = funnel(store)
    assert [(line.stage, line.round) for line in lines] == [
        ("seeds", 0), ("evolve", 1), ("respond", 1), ("evolve", 2), ("respond", 2),
        ("evolve", 3), ("respond", 3),
    ]  # fmt: skip
    assert all(line.entered == line.kept + line.n_dropped for line in lines)
    assert all(line.entered == 20 for line in lines if line.stage == "evolve")
    assert sum(line.n_dropped for line in lines) > 0


def test_concurrency_does_not_change_a_row(tmp_path):
    """One record at a time and 256 at once, completed out of order, give the same records."""
    config = toys.config(budget={"rounds": 2})
    dumps = []
    for in_flight in (1, 256):
        with open_store(tmp_path / str(in_flight), config, 60) as store:
            go(store, config, role=Wayward().role(), in_flight=in_flight)
            dumps.append(dump(store))
    assert dumps[0] == dumps[1]


def test_a_failed_evolution_leaves_its_parent_in_the_pool(tmp_path):
    """A failure in round 1 is retried in round 2 from the same parent."""
    config = toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "run", config, 60) as store:
        go(store, config)
        failed = {drop.ordinal for drop in store.drops() if drop.round == 1}
        again = {row.task.ordinal for row in store.rows(min_round=2) if row.task.ordinal in failed}
        parents = {
            row.task.parent == row.task.root
            for row in store.rows(min_round=2)
            if row.task.ordinal in again
        }
    assert again
    assert parents == {True}


def test_a_child_without_a_response_is_no_parent(tmp_path):
    """If the response was dropped, the next round starts from the parent."""
    config = toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "run", config, 60) as store:
        go(store, config)
        unanswered = {
            drop.subject for drop in store.drops() if drop.stage == "respond" and drop.round == 1
        }
        parents = {row.task.parent for row in store.rows(min_round=2)}
    assert unanswered
    assert not unanswered & parents


def test_a_lineage_is_not_retried_after_max_failures(tmp_path):
    """evolve.max_failures bounds the failed evolutions of a lineage."""
    config = toys.config(budget={"rounds": 4}, evolve={"max_failures": 1, "candidates": 1})
    with open_store(tmp_path / "run", config, 60) as store:
        go(store, config)
        failures = [drop.ordinal for drop in store.drops()]
        pools = [line.entered for line in funnel(store) if line.stage == "evolve"]
        later = {row.task.ordinal: row.task.round for row in store.rows(min_round=1)}
        for drop in store.drops():
            assert later.get(drop.ordinal, 0) < drop.round
    assert len(failures) == len(set(failures))
    assert pools == sorted(pools, reverse=True)
    assert pools[0] > pools[-1]


def test_seeds_without_answers_are_answered_in_round_0(tmp_path):
    """The export has a response for every seed that could be answered."""
    config = toys.config(budget={"rounds": 0})
    with open_store(tmp_path / "run", config, answered=False) as store:
        go(store, config)
        line = funnel(store)[1]
        assert (line.stage, line.round, line.entered, line.waiting) == ("respond", 0, 20, 0)
        assert len(list(store.rows())) == line.kept > 0


def test_a_stopped_run_resumes_where_it_stopped(tmp_path):
    """After a failure midway the resumed run has the rows of an uninterrupted one."""
    config = toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "whole", config, 40) as store:
        go(store, config)
        whole = dump(store)
    dead = EngineError("gone", asked="scripted", retryable=True)
    with open_store(tmp_path / "cut", config, 40) as store:
        for after in (7, 20, 31):
            with pytest.raises(EngineError, match="gone"):
                go(store, config, role=Wayward(fail_after=after, error=dead).role(), in_flight=9)
        store.db.flush()
        assert any(line.waiting for line in funnel(store))
        go(store, config)
        assert dump(store) == whole


def test_more_rounds_extend_a_finished_run(tmp_path):
    """A run of one round, extended to two, equals a run of two."""
    one, two = toys.config(budget={"rounds": 1}), toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "a", two) as store:
        go(store, two)
        whole = dump(store)
    with open_store(tmp_path / "b", one) as store:
        go(store, one)
        go(store, two)
        assert dump(store) == whole


def test_a_target_is_met_exactly_and_by_the_same_rows(tmp_path):
    """The first N rows in canonical order are the same at any concurrency."""
    config = toys.config(budget={"target": 33})
    chosen = []
    for in_flight in (1, 64):
        with open_store(tmp_path / str(in_flight), config) as store:
            go(store, config, role=Wayward().role(), in_flight=in_flight)
            rows = list(store.rows(min_round=1, limit=33))
            chosen.append([row.task.id for row in rows])
    assert len(chosen[0]) == 33
    assert chosen[0] == chosen[1]


def test_a_target_stopped_midway_is_met_by_the_same_rows(tmp_path):
    """An interruption that leaves gaps does not change which rows meet the target."""
    config = toys.config(budget={"target": 33})
    with open_store(tmp_path / "whole", config) as store:
        go(store, config)
        whole = [row.task.id for row in store.rows(min_round=1, limit=33)]
    dead = EngineError("gone", asked="scripted", retryable=True)
    with open_store(tmp_path / "cut", config) as store:
        for after in (15, 20, 25):
            with pytest.raises(EngineError):
                go(store, config, role=Wayward(fail_after=after, error=dead).role(), in_flight=16)
        go(store, config)
        assert [row.task.id for row in store.rows(min_round=1, limit=33)] == whole


def test_a_target_out_of_reach_stops_at_the_bound_on_candidates(tmp_path):
    """If nothing is ever kept, the run ends with BudgetReached."""
    config = toys.config(budget={"target": 10, "max_candidates": 50})
    mute = toys.ScriptedEngine(lambda request: "")
    role = Role(mute, "toy", Sampling(1.0, 0.9, 512))
    with open_store(tmp_path / "run", config) as store:
        with pytest.raises(BudgetReached, match=r"50 candidates .* 0 of 10 rows"):
            go(store, config, role=role)
        assert list(store.rows(min_round=1)) == []
        assert len(list(store.drops())) == 50


@pytest.mark.parametrize("n", [1, 60])
def test_a_server_that_rejects_everything_stops_the_run_without_a_drop(tmp_path, n):
    """Nothing is stored, so that the same command goes on when the set-up is fixed."""
    no = EngineError("unsupported parameter", asked="scripted", retryable=False)
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, n) as store:
        role = Wayward(fail_after=0, error=no).role()
        role = dataclasses.replace(role, engine=EvidenceEngine(role.engine))
        with pytest.raises(EngineError, match="run the same command again") as caught:
            go(store, config, role=role)
        assert caught.value.fault is Fault.SETUP
        store.db.flush()
        assert list(store.drops()) == []
        go(store, config)
        assert all(line.waiting == 0 for line in funnel(store))


def test_a_rejected_record_is_dropped_and_the_others_continue(tmp_path):
    """A rejected request costs one record, not the run."""

    class Picky(Wayward):
        async def complete(self, request):
            if "list 7." in request.messages[-1].content:
                raise EngineError("content filter", asked="scripted", retryable=False)
            return await super().complete(request)

    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config) as store:
        go(store, config, role=Picky().role())
        rejected = [drop for drop in store.drops() if drop.reason is Reason.REJECTED]
        assert [drop.ordinal for drop in rejected] == [7]
        assert "content filter" in rejected[0].detail
        assert all(line.waiting == 0 for line in funnel(store))


@pytest.mark.parametrize(
    ("step", "stage"),
    [
        ("evolcoder.evolution.evolver.parse", Stage.EVOLVE),
        ("evolcoder.evolution.respond.find_defect", Stage.RESPOND),
    ],
)
@pytest.mark.parametrize(
    "error", [ValueError(10**5000), RecursionError(), KeyError("\ud800")], ids=range(3)
)
def test_an_internal_error_on_a_completion_drops_that_lineage(
    tmp_path, monkeypatch, step, stage, error
):
    """It ends neither the round nor the run."""
    module, _, name = step.rpartition(".")
    module = importlib.import_module(module)
    real, times = getattr(module, name), []

    def once(*args, **named):
        times.append(1)
        if len(times) == 5:
            raise error
        return real(*args, **named)

    monkeypatch.setattr(module, name, once)
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, 12, answered=False) as store:
        go(store, config)
        (drop,) = [drop for drop in store.drops() if drop.reason is Reason.UNJUDGED]
        for line in funnel(store):
            assert line.waiting == 0
    assert drop.stage is stage
    assert drop.detail.startswith(f"{UNJUDGED}: {type(error).__name__}")
    assert len(times) > 12


def test_what_overlaps_counts_once_and_gaps_do_not_count():
    """Spans 0 to 3, 2 to 5 and 9 to 10 under one name count six seconds."""
    now = iter((0.0, 5.0, 9.0, 10.0))
    spans = StageTimer(lambda: next(now))
    first, second = spans.during("a"), spans.during("a")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    with spans.during("a"):
        pass
    assert spans.seconds() == {"a": 6.0}


def test_names_have_clocks_of_their_own():
    """Ending one name's context does not stop another's clock."""
    now = iter((0.0, 1.0, 4.0, 6.0))
    spans = StageTimer(lambda: next(now))
    with spans.during("evolve"), spans.during("respond"):
        pass
    assert spans.seconds() == {"evolve": 6.0, "respond": 3.0}
