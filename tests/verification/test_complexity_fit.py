"""Fitting series of counts to complexity classes."""

import math
from random import Random

import pytest

from evolcoder.verification.complexity.bounds import GrowthClass, fit

SIZES = [round(8 * 2 ** (half / 2)) for half in range(17)]


def series(growth, noise=0.0, seed=1):
    rng = Random(seed)
    return {n: 5 * math.exp(growth.log_at(n)) * (1 + noise * rng.uniform(-1, 1)) for n in SIZES}


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_each_class_holds_for_itself_and_above(noise):
    """A series never misses its own class, and every class below it is ruled out."""
    polynomial = list(GrowthClass)[:7]
    for true in polynomial:
        for asked in polynomial:
            expected = "ruled_out" if asked.log_at(1e6) < true.log_at(1e6) else "holds"
            assert fit(series(true, noise), asked, Random(0)).kind == expected, (true, asked)


def test_much_noise_is_undecided():
    """If the interval contains both classes, neither is claimed."""
    assert fit(series(GrowthClass.N, noise=0.9), GrowthClass.N, Random(0)).kind == "undecided"


def test_few_sizes_are_undecided():
    """Four sizes are too few, however clear they look."""
    few = dict(list(series(GrowthClass.SQUARE).items())[-4:])
    assert fit(few, GrowthClass.ONE, Random(0)).kind == "undecided"


def test_a_jump_is_no_growth():
    """A count that jumps once and then stays constant is not steep."""
    jump = {n: 1.0 if n < 500 else 400.0 for n in SIZES}
    assert fit(jump, GrowthClass.N, Random(0)).kind != "ruled_out"


def test_same_numbers_same_fit():
    """Equal series and seeds give equal intervals."""
    noisy = series(GrowthClass.N, noise=0.2)
    assert fit(noisy, GrowthClass.N, Random(3)) == fit(noisy, GrowthClass.N, Random(3))
