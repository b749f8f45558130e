"""Parsing complexity bounds from tasks.

Fitting series of counts to complexity classes.
"""

import math
from random import Random

import pytest

from evolcoder.verification.complexity.bounds import GrowthClass, Resource, fit, parse_bounds

TIME, SPACE = Resource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It must run in O(n) time.", [(TIME, GrowthClass.N)]),
        ("Do it in O(n log n).", [(TIME, GrowthClass.N_LOG_N)]),
        ("with O(n) time and O(1) extra space", [(TIME, GrowthClass.N), (SPACE, GrowthClass.ONE)]),
        ("Time complexity: O(N^2), space complexity: O(N).", [(TIME, GrowthClass.SQUARE), (SPACE, GrowthClass.N)]),
        ("use constant space", [(SPACE, GrowthClass.ONE)]),
        ("It must be done in linear time with logarithmic memory.", [(TIME, GrowthClass.N), (SPACE, GrowthClass.LOG)]),
        ("a space complexity of O(log n)", [(SPACE, GrowthClass.LOG)]),
        ("in O(len(xs)) steps", [(TIME, GrowthClass.N)]),
        ("in O(V + E) time", [(TIME, GrowthClass.N)]),
        ("in O(n + m) time", [(TIME, GrowthClass.N)]),
        ("in O(n*m) time", [(TIME, GrowthClass.SQUARE)]),
        ("in O(n log log n) time", [(TIME, None)]),
        ("in O(log n + k) time, k elements being returned", [(TIME, None)]),
        ("in O(log m + n) time", [(TIME, None)]),
        ("in O(log(m + n)) time", [(TIME, GrowthClass.LOG)]),
        ("in O(√n) time", [(TIME, GrowthClass.ROOT)]),
        ("in O(n**2) time", [(TIME, GrowthClass.SQUARE)]),
        ("in O(2^n) time", [(TIME, GrowthClass.EXPONENTIAL)]),
        ("Improve it from O(n^2) to O(n) time.", [(TIME, GrowthClass.N)]),
        ("Use O(n) time instead of O(n^2).", [(TIME, GrowthClass.N)]),
        ("Each operation must take O(1) time.", [(TIME, None)]),
        ("with O(1) lookup", [(TIME, None)]),
        ("Avoid O(n^2) comparisons.", []),
        ("Sort the list.", []),
        ("Print 'O(n' and (n).", []),
        ("", []),
    ],
)  # fmt: skip
def test_required_bounds_are_parsed(text, expected):
    """Class and resource of each; bounds that are only mentioned or to be avoided are ignored."""
    assert [(bound.resource, bound.growth) for bound in parse_bounds(text)] == expected


def test_an_average_is_no_worst_case():
    """Amortised and expected bounds are marked."""
    (bound,) = parse_bounds("It must take O(n) amortized time.")
    assert bound.average
    assert not parse_bounds("in O(n) time")[0].average


def test_long_texts_are_parsed_in_linear_time():
    """Unclosed brackets are no bound, and a bound is found after any number of words."""
    assert parse_bounds("O(" * 200_000) == parse_bounds("O(" * 2)
    assert parse_bounds("not " * 200_000 + "O(n) time") == parse_bounds("not " * 2 + "O(n) time")


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
