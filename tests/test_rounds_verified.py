"""Verification within a run loses nothing, requests nothing twice, and resumes identically."""

import asyncio
import random

import pytest

import toys
from evolcoder.errors import EngineError, SandboxError
from evolcoder.evolution.heuristics import resolve
from evolcoder.ids import rng_for
from evolcoder.pipeline import Pipeline, RoleModels
from evolcoder.records import Check, CheckResult, Reason, Stage
from evolcoder.storage.lineage import lineage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import VERIFY_META, funnel
from evolcoder.verification.pipeline import MAX_CONSECUTIVE_SANDBOX_FAILURES
from test_pipeline import Wayward, dump, open_store


class Rule:
    """A check that fails every fourth row, completes out of order, and raises on demand."""

    check = Check.RUNS

    def __init__(self, *, fail_after=None, error=None, ordinals=()):
        self.looked = []
        self._fail_after = fail_after
        self._error = error
        self._ordinals = ordinals
        self._rng = random.Random(5)

    async def __call__(self, task, response, before):
        for _ in range(self._rng.randrange(9)):
            await asyncio.sleep(0)
        at_fault = task.ordinal in self._ordinals
        if at_fault or (self._fail_after is not None and len(self.looked) >= self._fail_after):
            raise self._error
        self.looked.append(response.id)
        drawn = rng_for(0, task.id, "rule").randrange(4)
        kind = ("parse_error", "compile_error", "error", "passed")[drawn]
        return CheckResult.of(response, self.check, kind, detail={"said": f"drew {drawn}"})


def go(store, config, *, role=None, in_flight=4, check=None):
    role = role or toys.role()
    store.set_meta(VERIFY_META, {"checks": ["runs"]})
    rounds = Pipeline(
        store, config, RoleModels(role, role, None),
        heuristics=resolve(config.evolve), in_flight=in_flight, checks=[check or Rule()],
    )  # fmt: skip
    asyncio.run(rounds.run())


def full(store):
    verdicts = store.db.read("SELECT * FROM verdicts ORDER BY round, ordinal, check_name")
    return [*dump(store), *verdicts]


def test_in_is_kept_plus_dropped_at_the_stage(tmp_path):
    """Every response enters verification and leaves it kept or dropped."""
    config = toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "run", config, 60) as store:
        go(store, config)
        lines = {(line.stage, line.round): line for line in funnel(store)}
        rows = list(store.rows(min_round=1))
    for round in (1, 2):
        answered, verified = lines["respond", round], lines["verify", round]
        assert verified.entered == answered.kept
        assert verified.kept == sum(row.task.round == round for row in rows)
        assert set(verified.dropped) == {"does_not_parse", "does_not_compile"}
        assert verified.waiting == 0


def test_findings_drop_as_the_config_says(tmp_path):
    """A finding that is not in `verify.drop` does not drop its row."""
    for drop, kinds in (
        ([], {"parse_error", "compile_error", "error", "passed"}),
        (["does_not_parse", "does_not_compile", "does_not_run"], {"passed"}),
    ):
        config = toys.config(budget={"rounds": 1}, verify={"drop": drop})
        with open_store(tmp_path / str(len(drop)), config, 60) as store:
            go(store, config)
            found = [row.verdicts for row in store.rows(min_round=1)]
        assert {verdict.kind for (verdict,) in found} == kinds


def test_a_child_whose_answer_fails_is_dropped_with_it(tmp_path):
    """The next round starts from the parent, and the child is not a row."""
    config = toys.config(budget={"rounds": 2})
    with open_store(tmp_path / "run", config, 60) as store:
        go(store, config)
        failed = {drop.subject for drop in store.drops() if drop.stage is Stage.VERIFY}
        rows = list(store.rows())
        (step, *_) = [s for s in lineage(store, min(failed)) if s.task.id == min(failed)]
    assert failed
    assert not failed & {row.task.id for row in rows}
    assert not failed & {row.task.parent for row in rows}
    assert step.response
    assert [drop.reason in Reason for drop in step.drops] == [True]
    assert step.drops[0].detail.endswith(step.verdicts[0].detail["said"])


def test_concurrency_changes_no_verdict(tmp_path):
    """One record at a time and 256 at once give the same rows, drops and verdicts."""
    config = toys.config(budget={"rounds": 2})
    dumps = []
    for in_flight in (1, 256):
        with open_store(tmp_path / str(in_flight), config, 60) as store:
            go(store, config, role=Wayward().role(), in_flight=in_flight)
            dumps.append(full(store))
    assert dumps[0] == dumps[1]


def test_a_run_stopped_during_verification_requests_no_response_again(tmp_path):
    """Pending responses are verified on resume without a model request."""
    config = toys.config(budget={"rounds": 2})
    engine = Wayward()
    with open_store(tmp_path / "whole", config, 40) as store:
        go(store, config, role=engine.role())
        whole, n_calls = full(store), engine.calls
    dead, engine = EngineError("gone", asked="scripted", retryable=True), Wayward()
    looked = []
    with open_store(tmp_path / "cut", config, 40) as store:
        for after in (3, 11, 17):
            rule = Rule(fail_after=after, error=dead)
            with pytest.raises(EngineError, match="gone"):
                go(store, config, role=engine.role(), in_flight=1, check=rule)
            looked += rule.looked
        store.db.flush()
        (waiting,) = [line.waiting for line in funnel(store) if line.stage == "verify"]
        assert waiting == 1
        rule = Rule()
        go(store, config, role=engine.role(), check=rule)
        assert full(store) == whole
    assert engine.calls == n_calls
    assert len(looked + rule.looked) == len(set(looked + rule.looked))


def test_a_verdict_stored_before_a_kill_is_reused(tmp_path):
    """A verdict without an outcome is not computed again."""
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, 40) as store:
        go(store, config)
        whole = full(store)
        store.db.write("DELETE FROM kept WHERE round=1", ())
        store.db.write("DELETE FROM drops WHERE stage='verify'", ())
        store.db.flush()
        rule = Rule()
        go(store, config, check=rule)
        assert full(store) == whole
    assert rule.looked == []


def test_a_target_counts_rows_that_passed(tmp_path):
    """--target N gives N verified rows, the same at any concurrency."""
    config = toys.config(budget={"target": 21})
    chosen = []
    for in_flight in (1, 64):
        with open_store(tmp_path / str(in_flight), config, 40) as store:
            go(store, config, in_flight=in_flight)
            rows = list(store.rows(min_round=1, limit=21))
            chosen.append([row.task.id for row in rows])
    assert len(chosen[0]) == 21
    assert chosen[0] == chosen[1]


def test_a_program_that_crashes_the_sandbox_costs_one_verdict(tmp_path):
    """A sandbox failure on one row does not drop it and does not end the run."""
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, 40) as store:
        check = Rule(error=SandboxError("worker died twice"), ordinals=(7, 21))
        go(store, config, check=check)
        found = {row.task.ordinal: row.verdicts for row in store.rows(min_round=1)}
        assert [found[n][0].kind for n in (7, 21) if n in found] == ["not_run"] * 2
        events = store.db.read("SELECT COUNT(*) FROM events WHERE kind='sandbox'")
    assert events == [(2,)]


def test_a_sandbox_that_always_fails_ends_the_run(tmp_path):
    """A broken machine is not recorded as a fault of the rows."""
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, 40) as store:
        check = Rule(fail_after=0, error=SandboxError("worker died twice"))
        with pytest.raises(SandboxError):
            go(store, config, check=check, in_flight=1)
        store.db.flush()
        n = store.db.read("SELECT COUNT(*) FROM verdicts")[0][0]
    assert n == MAX_CONSECUTIVE_SANDBOX_FAILURES - 1


def test_rows_of_an_unverified_run_have_no_verdicts(tmp_path):
    """Without checks responses become rows at once, and there is no verification stage."""
    config = toys.config(budget={"rounds": 1})
    with open_store(tmp_path / "run", config, 20) as store:
        rounds = Pipeline(
            store, config, RoleModels(toys.role(), toys.role(), None),
            heuristics=resolve(config.evolve), in_flight=4,
        )  # fmt: skip
        asyncio.run(rounds.run())
        assert {row.verdicts for row in store.rows()} == {()}
        assert Stage.VERIFY not in {line.stage for line in funnel(store)}
    with RunStore.read(tmp_path / "run") as store:
        assert list(store.rows(min_round=1))
