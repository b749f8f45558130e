"""Intervals cover problems and training seeds, differences are paired, and numbers repeat."""

import random

import pytest

from evolcoder.bench.scores import bootstrap
from evolcoder.errors import BenchError
from evolcoder.experiment.intervals import Resampler

PROBLEMS = [f"p{n}" for n in range(60)]


def outcomes(passes):
    return {problem: [passes(n)] for n, problem in enumerate(PROBLEMS)}


def by_skill(*skills):
    """Training seeds that pass the easiest problems, each so many."""
    return {seed: outcomes(lambda n, skill=skill: n < skill) for seed, skill in enumerate(skills)}


def test_one_seed_has_the_interval_of_a_plain_bootstrap():
    """With one training seed the interval equals that of a score."""
    mine = Resampler(PROBLEMS, seed=0).estimate("a", by_skill(24))
    plain = bootstrap([1.0] * 24 + [0.0] * 36, random.Random(0))
    assert mine.value == 0.4
    assert abs(mine.low - plain.low) < 0.02
    assert abs(mine.high - plain.high) < 0.02


def test_seeds_that_disagree_widen_the_interval():
    """The same mean of three seeds is less certain where they differ."""
    resampler = Resampler(PROBLEMS, seed=0)
    agreeing, split = (
        resampler.estimate("a", by_skill(24, 24, 24)),
        resampler.estimate("a", by_skill(4, 24, 44)),
    )
    assert agreeing.value == pytest.approx(split.value)
    assert split.high - split.low > 1.3 * (agreeing.high - agreeing.low)
    assert (split.n_problems, split.n_seeds) == (60, 3)


def test_a_difference_is_paired_by_problem():
    """Arms that differ on four problems only have a narrow difference, despite wide intervals."""
    resampler = Resampler(PROBLEMS, seed=0)
    found = resampler.difference("a", by_skill(34), "b", by_skill(24))
    alone = resampler.estimate("a", by_skill(34))
    assert found.value == pytest.approx(10 / 60)
    assert found.low > 0
    assert found.p_value < 0.01
    assert found.high - found.low < alone.high - alone.low


def test_an_arm_beside_its_equal_differs_by_nothing():
    """Equal outcomes give a difference of zero with an empty interval."""
    found = Resampler(PROBLEMS, seed=0).difference("a", by_skill(24), "b", by_skill(24))
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1.0)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    """The same outcomes and seed give the same numbers."""
    arms = by_skill(10, 30)
    first, again = (Resampler(PROBLEMS, seed=3).estimate("a", arms) for _ in range(2))
    assert first == again
    assert first != Resampler(PROBLEMS, seed=4).estimate("a", arms)


def test_a_missing_verdict_is_an_error():
    """A problem without an outcome is an error, not a failure."""
    short = {0: {problem: [True] for problem in PROBLEMS[1:]}}
    with pytest.raises(BenchError, match="1 problems have no verdict"):
        Resampler(PROBLEMS, seed=0).estimate("a", short)
    with pytest.raises(BenchError, match="without problems"):
        Resampler([], seed=0)
