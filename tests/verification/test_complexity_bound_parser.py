"""Bounds, read out of what tasks say."""

import pytest

from evolcoder.verification.complexity.bound_parser import GrowthClass, Resource, asked

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
        ("in O(n*m) time", [(TIME, None)]),
        ("in O(n log log n) time", [(TIME, None)]),
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
def test_what_is_demanded_is_read(text, expected):
    """Class and resource of each demand, and none of what is only told of or to be avoided."""
    assert [(bound.resource, bound.growth) for bound in asked(text)] == expected


def test_an_average_is_no_worst_case():
    """Amortised and expected bounds are marked as such."""
    (bound,) = asked("It must take O(n) amortized time.")
    assert bound.average
    assert not asked("in O(n) time")[0].average


def test_a_long_text_holds_no_more_than_a_short_one():
    """Brackets without end are no bound, and a bound stands out behind any number of words."""
    assert asked("O(" * 200_000) == asked("O(" * 2)
    assert asked("not " * 200_000 + "O(n) time") == asked("not " * 2 + "O(n) time")
