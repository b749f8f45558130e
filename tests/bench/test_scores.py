"""pass@k, intervals and comparisons, against brute force and published figures."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.bench.base import AssertChecks, Problem
from evolcoder.bench.scores import (
    bootstrap,
    compare,
    grouped,
    mcnemar,
    pass_at_k,
    score,
    wilson,
    withhold,
)
from evolcoder.errors import BenchError


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_pass(samples, data):
    """The estimator equals enumerating every set of k samples."""
    k = data.draw(st.integers(1, len(samples)))
    draws = list(itertools.combinations(samples, k))
    assert pass_at_k(len(samples), sum(samples), k) == pytest.approx(
        sum(map(any, draws)) / len(draws)
    )


@pytest.mark.parametrize(("n", "k"), [(1, 2), (0, 1), (3, 0)])
def test_pass_at_k_needs_k_samples(n, k):
    """Fewer samples than k give a one-line error."""
    with pytest.raises(BenchError, match=f"pass@{k} needs at least {k} samples"):
        pass_at_k(n, 0, k)


@pytest.mark.parametrize(
    ("n_passed", "n", "low", "high"),
    [
        (98, 164, 0.5211, 0.6696),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
    ],
)
def test_wilson_gives_known_intervals(n_passed, n, low, high):
    """Values of Wilson's formula at 95 %; unlike normal intervals, they stay within 0 and 1."""
    interval = wilson(n_passed, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson_contains_the_share(n_passed, n):
    """The share is within its interval."""
    n_passed = min(n_passed, n)
    interval = wilson(n_passed, n)
    assert 0 <= interval.low <= n_passed / n <= interval.high <= 1


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(0, 6))
def test_mcnemar_equals_enumeration(n_gained, n_lost):
    """Enumerating all outcomes of the coins gives the same p-value."""
    n = n_gained + n_lost
    falls = [sum(coins) for coins in itertools.product((0, 1), repeat=n)]
    as_lopsided = sum(abs(heads - n / 2) >= abs(n_gained - n / 2) for heads in falls)
    assert mcnemar(n_gained, n_lost) == pytest.approx(as_lopsided / len(falls))


@pytest.mark.parametrize(("changes", "p"), [((0, 6), 0.03125), ((1, 9), 0.021484375), ((0, 0), 1)])
def test_mcnemar_gives_hand_values(changes, p):
    """2 * (1/2)**6, 2 * (1 + 10) / 2**10, and no change at all."""
    assert mcnemar(*changes) == p


def test_a_score_of_single_samples_has_wilsons_interval():
    """98 of 164 is 59.8 with an interval of 52.1 to 67.0."""
    outcomes = {f"p{i}": [i < 98] for i in range(164)}
    found = score(outcomes, bench="humaneval", k=1)
    assert found.value == pytest.approx(98 / 164)
    assert found.interval == wilson(98, 164)
    assert (found.n_problems, found.n_samples) == (164, 164)


def test_a_score_of_several_samples_is_bootstrapped_over_problems():
    """The interval contains the value and is the same for the same seed."""
    outcomes = {f"p{i}": [i % 2 == 0, i % 3 == 0] for i in range(40)}
    found = score(outcomes, bench="toy", k=1, seed=3)
    assert found == score(outcomes, bench="toy", k=1, seed=3)
    assert found.interval.method == "bootstrap"
    assert found.interval.low < found.value < found.interval.high
    assert score(outcomes, bench="toy", k=2).value == 27 / 40


def test_a_bootstrap_interval_has_its_nominal_coverage():
    """Of the intervals of 10 times 60 coins, about 95 % contain the true share."""
    rng = random.Random(7)
    held = 0
    for _ in range(10):
        values = [float(rng.random() < 0.3) for _ in range(60)]
        interval = bootstrap(values, rng)
        held += interval.low <= 0.3 <= interval.high
    assert held >= 8


def test_samples_of_unequal_number_count_each_problem_once():
    """A problem with many samples has the same weight as one with a single sample."""
    found = score({"a": [True] * 9, "b": [False]}, bench="toy", k=1)
    assert found.value == 0.5
    assert found.interval.method == "bootstrap"


def test_nothing_graded_is_no_score():
    """Without outcomes there is a one-line error, not a zero."""
    with pytest.raises(BenchError, match="no sample was graded"):
        score({}, bench="toy", k=1)


def test_a_problem_without_samples_withholds_the_score():
    """The line counts missing and unjudged problems separately, and lists some."""
    wanted = [f"p{i}" for i in range(9)]
    given = withhold("toy", wanted=wanted, outcomes={"p0": [True], "p1": []}, unjudged=["p2"])
    assert given is not None
    assert given.why == (
        "7 problems have no sample (p1, p3, p4, p5, p6 and 2 more); "
        "1 problems could not be judged (p2)"
    )
    whole = {problem: [True] for problem in wanted}
    assert withhold("toy", wanted=wanted, outcomes=whole, unjudged=[]) is None


def test_a_comparison_of_single_samples_is_mcnemars():
    """Problems that differ are listed in both directions; unshared problems are counted."""
    first = {"a": [True], "b": [False], "c": [False], "d": [True], "x": [True]}
    second = {"d": [True], "c": [True], "b": [True], "a": [False], "y": [True], "z": [True]}
    found = compare(first, second, k=1)
    assert (found.gained, found.lost) == (("b", "c"), ("a",))
    assert (found.test, found.p_value) == ("mcnemar exact", 1.0)
    assert (found.first, found.second, found.n_shared, found.n_left_out) == (0.5, 0.75, 4, 3)


def test_a_comparison_of_several_samples_is_a_paired_bootstrap():
    """A constant gain on every problem is significant; identical samples are not."""
    first = {f"p{i}": [i % 3 == 0, False] for i in range(30)}
    second = {f"p{i}": [i % 3 == 0, True] for i in range(30)}
    gain = compare(first, second, k=1)
    assert gain.test == "paired bootstrap"
    assert gain.p_value < 0.001
    assert gain.interval.low == gain.interval.high == pytest.approx(0.5)
    same = compare(first, first, k=1)
    assert (same.p_value, same.gained, same.lost) == (1.0, (), ())


def test_sets_without_a_common_problem_do_not_compare():
    """A one-line error instead of a division by zero."""
    with pytest.raises(BenchError, match="no problem in common"):
        compare({"a": [True]}, {"b": [True]}, k=1)


def test_outcomes_split_by_group_without_loss():
    """Every problem is in each of its groups, and in no other."""

    def problem(id, library):
        groups = (("library", library), ("perturbation", "Origin"))
        return Problem(id, "", AssertChecks("", (), None), None, "", groups)

    problems = [problem("0", "Numpy"), problem("1", "Scipy"), problem("2", "Numpy")]
    parts = grouped(problems, {"0": [True], "1": [False]})
    assert parts == {
        ("library", "Numpy"): {"0": [True]},
        ("library", "Scipy"): {"1": [False]},
        ("perturbation", "Origin"): {"0": [True], "1": [False]},
    }
