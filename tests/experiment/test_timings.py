"""Steps of a loop, as stored and as a table."""

import sqlite3

import pytest

from evolcoder.experiment.store import DB_NAME, MIGRATIONS, LoopStore, StoredStep
from evolcoder.experiment.timings import CONCURRENT, StepTimer, busy_share, table

STEPS = [
    StoredStep("serve", "main, round 1", 50.0, "", 0.1),
    StoredStep("evolve", "main, round 1", 100.0, "evolve 60.0 s, respond 90.0 s", 0.9),
    StoredStep("train", "seed, seed 0", 50.0, "", 1.0),
    StoredStep("grade", "seed, seed 0", 200.0, "", None),
]


def test_the_share_of_the_gpus_is_weighed_by_time_and_the_table_adds_up():
    """Steps without utilization count in the total time only."""
    assert busy_share(STEPS) == pytest.approx((5 + 90 + 50) / 200)
    lines = table(STEPS).splitlines()
    assert "| evolve | main, round 1 (evolve 60.0 s, respond 90.0 s) | 100.0 | 90 % |" in lines
    assert "| grade | seed, seed 0 | 200.0 | not known |" in lines
    assert lines[-1] == "| all | | 400.0 | 72 % |"
    assert busy_share(STEPS[3:]) is None


def test_a_step_beside_others_is_told_and_not_added():
    """Concurrent steps are excluded from the total."""
    beside = [*STEPS[:3], StoredStep("grade", "seed, seed 0", 90.0, CONCURRENT, 1.0)]
    lines = table(beside).splitlines()
    assert f"| grade | seed, seed 0 ({CONCURRENT}) | 90.0 | 100 % |" in lines
    assert lines[-1] == "| all | | 200.0 | 72 % |"


def test_a_step_that_fails_is_not_kept(tmp_path):
    """Only a successful step is stored; its start is reported."""
    said = []
    with LoopStore.create(tmp_path) as store:
        clock = StepTimer(store, said.append)
        with clock.timed("train", "seed, seed 0") as noted:
            noted.detail = "more"
        with pytest.raises(ZeroDivisionError), clock.timed("train", "merge-0..1, seed 0"):
            raise ZeroDivisionError
        (step,) = store.steps()
    assert (step.kind, step.name, step.detail) == ("train", "seed, seed 0", "more")
    assert said == ["train seed, seed 0", "train merge-0..1, seed 0"]


def test_steps_of_an_older_loop_are_read(tmp_path):
    """Steps of older databases have no utilization."""
    with sqlite3.connect(tmp_path / DB_NAME) as db:
        db.executescript(MIGRATIONS[0])
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO steps VALUES ('train', 'seed, seed 0', 7.5, '')")
    db.close()
    with LoopStore.create(tmp_path) as store:
        assert store.steps() == [StoredStep("train", "seed, seed 0", 7.5, "", None)]
