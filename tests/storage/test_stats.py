"""The counts of a run are those of its records, however they are counted."""

import random

import pytest

import toys
from evolcoder.records import Drop, Reason, Response, Stage, Task, TokenCounts, Usage
from evolcoder.storage.pending import pool_size
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import CLEAN_META, SEEDS_META, VERIFY_META, funnel

MADE = Usage("server#toy", 1, 2, 1)
ANSWERS = "SELECT round, COUNT(*) FROM responses WHERE model IS NOT NULL GROUP BY round"
VERIFIED = """
    SELECT r.round, COUNT(*), COUNT(k.round) FROM responses r
    LEFT JOIN kept k ON k.round = r.round AND k.ordinal = r.ordinal
    WHERE r.model IS NOT NULL OR ? GROUP BY r.round
"""
CLEANED = """
    SELECT k.round, COUNT(*) FROM kept k JOIN responses r USING (round, ordinal) GROUP BY k.round
"""


def fill(store, *, given, verify_seeds, reanswered):
    """Some seeds came with responses, a model answered the others; a third of all is dropped."""
    rng = random.Random(f"{given} {verify_seeds}")
    seeds = [Task.seed(text, ordinal=n, language="python") for n, text in enumerate(toys.tasks(30))]
    own = [Response.to(seed, "x", made=None) for seed in seeds if rng.random() < given]
    known = set() if reanswered else {one.ordinal for one in own}
    store.add_seeds(seeds)
    store.add_seeds([] if reanswered else own, unverified=verify_seeds)
    facts = {"source": "x", "format": "alpaca", "n_rows": 30, "n_answers": len(own)}
    store.set_meta(SEEDS_META, facts)
    store.set_meta(VERIFY_META, {"checks": ["runs"], "seeds": verify_seeds})
    store.set_meta(CLEAN_META, {"n_rows": 0, "dropped": {}, "embedder": None})
    store.open_round(0, 30 - len(known))
    children = [
        one.child(f"{one.instruction} 2", round=1, heuristic="deepen", language=None, made=MADE)
        for one in seeds
    ]
    store.open_round(1, 30)
    for task in (*seeds, *children):
        if task.round or task.ordinal not in known:
            response = Response.to(task, "y", made=MADE)
            store.add(task)
            store.add(response, unverified=True)
        elif verify_seeds:
            response = next(one for one in own if one.ordinal == task.ordinal)
        else:
            continue
        if rng.random() < 0.3:
            head = (task.id, task.round, task.ordinal, task.heuristic)
            store.drop_kept(Drop(Stage.VERIFY, Reason.DOES_NOT_RUN, *head, "", "", MADE))
        elif rng.random() < 0.8:  # the others wait
            store.keep(response)
    store.db.flush()
    return 30 - len(known)


@pytest.mark.parametrize("given", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("verify_seeds", [False, True])
@pytest.mark.parametrize("reanswered", [False, True])
def test_counts_by_index_are_those_of_the_rows(tmp_path, given, verify_seeds, reanswered):
    """Whichever seeds came with responses, whether these are verified, or replaced by a model's."""
    config = toys.config(respond={"reanswer_seeds": reanswered})
    with RunStore.create(tmp_path / "run", config) as store:
        pool = fill(store, given=given, verify_seeds=verify_seeds, reanswered=reanswered)
        lines = {(line.stage, line.round): line for line in funnel(store)}
        answers, cleaned = dict(store.db.read(ANSWERS)), dict(store.db.read(CLEANED))
        verified = {row[0]: row[1:] for row in store.db.read(VERIFIED, (verify_seeds,))}
        assert pool_size(store, 0, max_failures=None) == pool
        for stage, expected in (
            (Stage.RESPOND, {n: answers.get(n, 0) for n in (0, 1) if n or pool}),
            (Stage.CLEAN, cleaned),
        ):
            found = {n: line.kept for (which, n), line in lines.items() if which is stage}
            assert found == expected
        found = {n: (one.entered, one.kept) for (s, n), one in lines.items() if s is Stage.VERIFY}
        assert found == verified
        store.set_meta(SEEDS_META, {"source": "x", "format": "alpaca", "n_rows": 30})
        store.db.flush()  # as of an earlier version, which did not count answers
        assert {(line.stage, line.round): line for line in funnel(store)} == lines


@pytest.mark.parametrize("n_models", [0, 1, 2, 4, 7])
def test_what_was_paid_for_is_summed_by_model(tmp_path, n_models):
    """However many models there are."""
    with RunStore.create(tmp_path / "run", toys.config()) as store:
        names = [f"server#{n}" for n in range(n_models)]
        for n, name in enumerate(names * 3):
            store.add_call(name, TokenCounts(n, 2 * n))
        store.db.flush()
        expected = {
            name: (3, sum(range(n, 3 * n_models, n_models)), 2 * sum(range(n, 3 * n_models, n_models)))
            for n, name in enumerate(names)
        }  # fmt: skip
        assert list(store.calls_by_model().items()) == list(expected.items())
