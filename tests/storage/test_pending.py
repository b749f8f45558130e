"""Drops because a server rejected or failed at a request are taken back on demand."""

import pytest

import toys
from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task, Usage
from evolcoder.storage.pending import (
    NOT_FINAL,
    forget_unasked_bounds,
    pending_lineages,
    pool_size,
    reopen_asked,
)
from evolcoder.storage.run_store import RunStore

MADE = Usage("server#toy", 1, 2, 1)


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path / "run", toys.config()) as opened:
        seeds = [
            Task.seed(text, ordinal=n, language="python") for n, text in enumerate(toys.tasks(4))
        ]
        opened.add_seeds([*seeds, *(Response.to(seed, "x", made=None) for seed in seeds)])
        opened.seeds = seeds
        yield opened


def drop(store, ordinal, round, reason, stage=Stage.EVOLVE):
    store.add(Drop(stage, reason, store.seeds[ordinal].id, round, ordinal, None, "", "no", MADE))
    store.db.flush()


def child(store, ordinal, round):
    made = store.seeds[ordinal].child(
        f"harder {ordinal} {round}", round=round, heuristic="deepen", language=None, made=MADE
    )
    store.add(made)
    store.db.flush()
    return made


def reopened(store, stage=Stage.EVOLVE, *, unless_made_by=None):
    n = reopen_asked(store, stage, unless_made_by=unless_made_by)
    left = {(one.ordinal, one.round) for one in store.drops()}
    return n, left


@pytest.mark.parametrize("reason", Reason)
def test_only_what_a_server_would_not_answer_is_not_final(store, reason):
    """Every other drop says something of the row."""
    drop(store, 0, 1, reason)
    n, left = reopened(store)
    assert (n, left) == ((1, set()) if reason in NOT_FINAL else (0, {(0, 1)}))
    due = [one.head.ordinal for one in pending_lineages(store, 1, max_failures=None)]
    assert (0 in due) is (reason in NOT_FINAL)


@pytest.mark.parametrize("stage", list(Stage))
def test_a_stage_is_reopened_by_itself(store, stage):
    """Its models may have changed, and those of another stage not."""
    drop(store, 0, 1, Reason.REJECTED, stage)
    for other in set(Stage) - {stage}:
        assert reopened(store, other) == (0, {(0, 1)})
    assert reopened(store, stage) == (1, set())


def test_drops_of_the_same_model_may_stay(store):
    """In a folder of an earlier version, only the drop says which model was asked."""
    drop(store, 0, 1, Reason.FAILED)
    assert reopened(store, unless_made_by="server#toy") == (0, {(0, 1)})
    assert reopened(store, unless_made_by="other#toy") == (1, set())


def test_a_lineage_that_went_on_is_left_as_it_is(store):
    """Its parent was evolved in a later round; an answer of the seed itself is independent."""
    drop(store, 0, 1, Reason.REJECTED)
    child(store, 0, 2)
    drop(store, 1, 1, Reason.REJECTED)
    drop(store, 1, 2, Reason.TRUNCATED)
    drop(store, 2, 1, Reason.REJECTED)
    drop(store, 2, 2, Reason.FAILED)
    drop(store, 3, 0, Reason.REJECTED, Stage.RESPOND)
    child(store, 3, 1)
    assert reopened(store) == (2, {(0, 1), (1, 1), (1, 2), (3, 0)})
    assert reopened(store, Stage.RESPOND) == (1, {(0, 1), (1, 1), (1, 2)})


def test_a_child_whose_answer_was_rejected_is_only_answered_again(store):
    """The evolution is kept."""
    made = child(store, 0, 1)
    drop(store, 0, 1, Reason.REJECTED, Stage.RESPOND)
    assert reopened(store, Stage.RESPOND)[0] == 1
    due = next(pending_lineages(store, 1, max_failures=None))
    assert (due.child, due.response) == (made, None)


def test_a_reopened_drop_counts_no_longer_towards_max_failures(store):
    """The pool of the next round is stored anew."""
    drop(store, 0, 1, Reason.REJECTED)
    store.open_round(2, pool_size(store, 2, max_failures=1))
    store.db.flush()
    assert store.db.number("SELECT pool FROM rounds WHERE round = 2") == 3
    reopened(store)
    store.open_round(2, pool_size(store, 2, max_failures=1))
    store.db.flush()
    assert store.db.number("SELECT pool FROM rounds WHERE round = 2") == 4


BOUND = {"bounds": [{"kind": "not_measured", "why": "no_inputs"}]}
"""A reason in a bound is none of the verdict."""


@pytest.mark.parametrize(
    ("detail", "is_forgotten"),
    [
        ({"why": "no_inputs", **BOUND}, True),
        ({"why": "raises", **BOUND}, True),
        ({"why": "too_slow", **BOUND}, False),
        (BOUND, True),  # an earlier version gave no reason
        ({"why": "too_slow"}, True),  # an earlier version stored no bounds
        ({"why": "raises", **BOUND, "requests": 1}, False),
        ({"why": "raises", "bounds": [{"requests": 1}]}, True),
        ({"said": "the task states no complexity bound"}, False),
        ({"why": "no_bound", **BOUND}, False),
    ],
)
def test_a_bound_is_measured_again_if_a_tester_was_not_asked_and_may_help(
    store, detail, is_forgotten
):
    """What decides is a field of the verdict, and no text or part within it."""
    (lineage, *_) = store.seeds
    answer = Response.to(lineage, "x", made=None)
    store.add(CheckResult.of(answer, Check.BOUND, "not_measured", detail=detail))
    store.db.flush()
    assert forget_unasked_bounds(store) == is_forgotten
    assert len(store.verdicts(lineage)) == (not is_forgotten)
