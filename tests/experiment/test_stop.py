"""Evolution ends when a paired test finds that a round did harm; every reason names the case."""

import pytest

from evolcoder.errors import BenchError
from evolcoder.experiment.config import DevConfig
from evolcoder.experiment.stop import (
    DevScore,
    StopRule,
    StopState,
    dev_ids,
    dev_outcomes,
    should_stop,
)

N = 100


def point(round, n_passed, *, from_end=False, n=1):
    """A round whose model passes so many of a hundred problems, the first or the last ones."""
    passed = range(N - n_passed, N) if from_end else range(n_passed)
    return DevScore(round, {f"p{i}": [i in passed] * n for i in range(N)})


def history(*passed):
    return [point(round, n) for round, n in enumerate(passed)]


TABLE = [
    # rounds' scores, rule, whether it stops, best round, words of the reason
    ((40,), StopRule(), False, 0, "round 0 is the first: 40.0 %"),
    ((40, 60), StopRule(), False, 1, "is better by 20.0 points than round 0 (p = 0.000)"),
    ((40, 43), StopRule(), False, 1, "is higher by 3.0 points than round 0, within noise"),
    ((40, 40), StopRule(), False, 0, "ties with round 0: kept"),
    ((40, 37), StopRule(), False, 0, "is lower by 3.0 points than round 0, within noise"),
    ((40, 20), StopRule(), True, 0, "is worse by 20.0 points than round 0 (p = 0.000): not kept"),
    ((40, 20), StopRule(patience=2), False, 0, "not kept"),
    ((40, 20, 22), StopRule(patience=2), True, 0, "2 rounds in a row did not help: stop, and keep"),
    ((40, 20, 41, 20), StopRule(patience=2), False, 2, "is worse by 21.0 points than round 2"),
    ((40, 60, 58, 40), StopRule(), True, 1, "1 round did not help: stop, and keep round 1"),
    ((40, 40), StopRule(strict=True), True, 0, "ties with round 0: kept; 1 round did not help"),
    ((40, 39), StopRule(strict=True), True, 0, "within noise (p = 1.000): kept; 1 round"),
    ((40, 41), StopRule(strict=True), False, 1, "within noise"),
    ((40, 34), StopRule(level=0.01), False, 0, "within noise (p = 0.031)"),
    ((40, 34), StopRule(level=0.05), True, 0, "is worse by 6.0 points than round 0 (p = 0.031)"),
]


@pytest.mark.parametrize(("passed", "rule", "stop", "best", "words"), TABLE)
def test_the_table_of_decisions(passed, rule, stop, best, words):
    """A round is kept unless it is proven worse than the best so far."""
    found = should_stop(history(*passed), rule)
    assert (found.stop, found.best) == (stop, best)
    assert words in found.reason


def test_a_slow_decline_is_held_against_the_best_and_not_against_the_last():
    """Dips that are each within noise add up to a proven loss."""
    found = should_stop(history(60, 57, 54, 51), StopRule(level=0.01))
    standings = [one.standing for one in found.judgements]
    assert standings == [StopState.FIRST, StopState.LOWER, StopState.LOWER, StopState.WORSE]
    assert (found.stop, found.best) == (True, 0)


def test_the_test_is_paired():
    """Equal scores on other problems tie; the same change of score is noise where many change."""
    swapped = should_stop([point(0, 50), point(1, 50, from_end=True)], StopRule())
    assert swapped.judgements[1].standing is StopState.TIE
    noisy = should_stop([point(0, 50), point(1, 40, from_end=True)], StopRule())
    clean = should_stop([point(0, 50), point(1, 40)], StopRule())
    assert noisy.judgements[1].standing is StopState.LOWER
    assert clean.judgements[1].standing is StopState.WORSE


def test_several_samples_are_held_together_by_a_paired_bootstrap():
    """With several samples per problem another test is used, and named."""
    found = should_stop([point(0, 40, n=3), point(1, 20, n=3)], StopRule())
    assert found.judgements[1].test == "paired bootstrap"
    assert found.stop


def test_what_comes_after_the_stop_is_not_judged():
    """A continued history is judged up to the round at which it would have ended."""
    found = should_stop(history(40, 20, 90), StopRule())
    assert [one.round for one in found.judgements] == [0, 1]
    assert found.best == 0


def test_rounds_on_other_problems_are_refused():
    """Two rounds that were not scored on the same problems cannot be compared."""
    other = DevScore(1, {f"q{i}": [True] for i in range(N)} | {"p0": [True]})
    with pytest.raises(BenchError, match="not scored on the same problems"):
        should_stop([point(0, 40), other], StopRule())
    with pytest.raises(BenchError, match="before a round was scored"):
        should_stop([], StopRule())


def test_a_dev_set_of_several_benchmarks_is_pooled():
    """A difference that no benchmark proves alone is proven on all their problems."""
    names = DevConfig(bench="one, two,one,three").benches
    assert names == ("one", "two", "three")
    rounds = [
        [{f"p{i}": [i < n_passed] for i in range(40)} for _ in names] for n_passed in (20, 24)
    ]
    alone = [DevScore(k, dev_outcomes({"one": found[0]})) for k, found in enumerate(rounds)]
    together = [
        DevScore(k, dev_outcomes(dict(zip(names, found, strict=True))))
        for k, found in enumerate(rounds)
    ]
    assert should_stop(alone, StopRule()).judgements[1].standing is StopState.HIGHER
    decided = should_stop(together, StopRule()).judgements[1]
    assert decided.standing is StopState.BETTER
    assert decided.test == "mcnemar exact"


def test_the_ids_of_a_pooled_dev_set_are_those_of_its_outcomes():
    """Problems are left out of each benchmark; ids of one benchmark stay as they are."""
    both = {"one": frozenset({"a"}), "two": frozenset({"a", "b"})}
    outcomes = {name: {id: [True] for id in ids} for name, ids in both.items()}
    assert dev_ids(both) == frozenset(dev_outcomes(outcomes))
    assert len(dev_ids(both)) == 3
    assert dev_ids({"one": frozenset({"a"})}) == {"a"}
    assert dev_ids({}) == frozenset()
    assert DevConfig(bench=None).benches == ()
