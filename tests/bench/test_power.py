"""Plans are as powerful as they say, and pooled comparisons stratify and correct."""

import random

import pytest

from evolcoder.bench.power import N_SAMPLES, POWER, bench_of, holm, plan, pooled, spread_of
from evolcoder.bench.scores import compare, mcnemar
from evolcoder.errors import BenchError


def rates(rng, n, effect):
    """Pass rates of n problems for two models; the second is better by `effect` on average."""
    for _ in range(n):
        base = rng.betavariate(0.8, 0.8)
        change = rng.gauss(effect, 0.15)
        yield base, min(1.0, max(0.0, base + change))


def drawn(rng, pairs, n_samples):
    """Outcomes of both models, drawn from their pass rates."""
    sides = ({}, {})
    for number, pair in enumerate(pairs):
        for side, rate in zip(sides, pair, strict=True):
            side[f"p/{number}"] = [rng.random() < rate for _ in range(n_samples)]
    return sides


def is_found(first, second):
    """A two-sided paired z-test at 5 %."""
    changes = [sum(second[p]) / len(second[p]) - sum(first[p]) / len(first[p]) for p in first]
    mean = sum(changes) / len(changes)
    deviation = (sum((one - mean) ** 2 for one in changes) / len(changes) ** 2) ** 0.5
    return deviation > 0 and abs(mean) / deviation > 1.96


@pytest.mark.parametrize("n_samples", [1, 5])
def test_a_planned_size_finds_the_difference_as_often_as_it_says(n_samples):
    """Experiments of the planned size are drawn from the population that the plan was made from."""
    rng = random.Random(n_samples)
    population = list(rates(rng, 3000, 0.08))
    effect = sum(after - before for before, after in population) / len(population)
    stored = drawn(rng, rng.choices(population, k=400), 20)
    size = next(one for one in plan(*stored, effect=effect) if one.n_samples == n_samples)
    n_tries = 200
    found = sum(
        is_found(*drawn(rng, rng.choices(population, k=size.n_problems), n_samples))
        for _ in range(n_tries)
    )
    assert abs(found / n_tries - POWER) < 0.1


def test_the_effect_that_is_smallest_for_a_size_is_planned_with_that_size():
    """Problems and effect are two sides of the same formula."""
    rng = random.Random(1)
    stored = drawn(rng, list(rates(rng, 200, 0.05)), 10)
    for size in plan(*stored, effect=0.04):
        again = next(
            one
            for one in plan(*stored, effect=size.smallest_effect)
            if one.n_samples == size.n_samples
        )
        assert abs(again.n_problems - 200) <= 1


def test_more_samples_need_fewer_problems_and_never_less_than_the_models_differ():
    rng = random.Random(2)
    stored = drawn(rng, list(rates(rng, 300, 0.05)), 10)
    needed = [one.n_problems for one in plan(*stored, effect=0.03)]
    assert [one.n_samples for one in plan(*stored, effect=0.03)] == list(N_SAMPLES)
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] > spread_of(*stored).between * 60


def test_one_sample_per_problem_does_not_tell_what_more_samples_bring():
    """So only the number of problems is planned."""
    rng = random.Random(3)
    stored = drawn(rng, list(rates(rng, 300, 0.05)), 1)
    assert [one.n_samples for one in plan(*stored, effect=0.03)] == [1]


def test_equal_outcomes_promise_no_certainty():
    """Two models that pass the same ten problems may still differ."""
    same = {f"p/{n}": [True] for n in range(10)}
    assert spread_of(same, same).smallest_effect(10, 1) > 0.3


@pytest.mark.parametrize("effect", [0, -1, 1.5, float("nan")])
def test_an_effect_that_is_no_difference_is_refused(effect):
    with pytest.raises(BenchError, match="--effect"):
        plan({"a": [True]}, {"a": [False]}, effect=effect)


def test_sets_without_a_common_problem_are_refused():
    with pytest.raises(BenchError, match="no problem in common"):
        spread_of({"a": [True]}, {"b": [True]})


def test_holms_correction_is_that_of_the_textbook():
    """Multiplied by the number of those left, never falling, at most 1."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {
        "d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06,
    }  # fmt: skip
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}


def test_pooled_benchmarks_are_resampled_apart():
    """Strata whose problems all change by the same have no spread of their own."""
    before = pooled(
        {"one": {f"p/{n}": [False] for n in range(30)}, "two": {"q": [True], "r": [True]}}
    )
    after = pooled(
        {"one": {f"p/{n}": [True] for n in range(30)}, "two": {"q": [True], "r": [True]}}
    )
    assert {bench_of(id) for id in before} == {"one", "two"}
    found = compare(before, after, k=1, stratum=bench_of)
    assert found.test == "mcnemar exact"
    assert found.interval.low == found.interval.high == pytest.approx(30 / 32)
    loose = compare(before, after, k=1)
    assert loose.test == "mcnemar exact"
    assert loose.interval.low < loose.interval.high
    more = [{id: samples * 2 for id, samples in side.items()} for side in (before, after)]
    assert compare(*more, k=1, stratum=bench_of).test == "stratified paired bootstrap"


@pytest.mark.parametrize(("n_gained", "n_lost"), [(4, 0), (5, 1), (6, 0), (2, 7), (0, 0)])
def test_pooled_single_samples_are_tested_exactly(n_gained, n_lost):
    """A bootstrap of few discordant problems promises too much, whatever their benchmarks."""
    before = {f"p/{n}": [n < n_lost] for n in range(40)}
    after = {f"p/{n}": [n_lost <= n < n_lost + n_gained] for n in range(40)}
    halves = [
        pooled({"one": dict(found[:20:2]), "two": dict(found[1:20:2]), "three": dict(found[20:])})
        for found in (list(before.items()), list(after.items()))
    ]
    found = compare(*halves, k=1, stratum=bench_of)
    assert (len(found.gained), len(found.lost)) == (n_gained, n_lost)
    assert found.p_value == mcnemar(n_gained, n_lost)


def test_ids_of_one_benchmark_are_one_stratum():
    """A comparison of one benchmark is as it was."""
    one, other = {"Mbpp/1": [True], "Mbpp/2": [False]}, {"Mbpp/1": [True], "Mbpp/2": [True]}
    assert compare(one, other, k=1, stratum=bench_of) == compare(one, other, k=1)
