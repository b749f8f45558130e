"""Bounds, read out of what tasks say."""

import pytest

from evolcoder.verify.complexity.bound_parser import Growth, Resource, asked

TIME, SPACE = Resource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It must run in O(n) time.", [(TIME, Growth.N)]),
        ("Do it in O(n log n).", [(TIME, Growth.N_LOG_N)]),
        ("with O(n) time and O(1) extra space", [(TIME, Growth.N), (SPACE, Growth.ONE)]),
        ("Time complexity: O(N^2), space complexity: O(N).", [(TIME, Growth.SQUARE), (SPACE, Growth.N)]),
        ("use constant space", [(SPACE, Growth.ONE)]),
        ("It must be done in linear time with logarithmic memory.", [(TIME, Growth.N), (SPACE, Growth.LOG)]),
        ("a space complexity of O(log n)", [(SPACE, Growth.LOG)]),
        ("in O(len(xs)) steps", [(TIME, Growth.N)]),
        ("in O(V + E) time", [(TIME, Growth.N)]),
        ("in O(n + m) time", [(TIME, Growth.N)]),
        ("in O(n*m) time", [(TIME, None)]),
        ("in O(n log log n) time", [(TIME, None)]),
        ("in O(√n) time", [(TIME, Growth.ROOT)]),
        ("in O(n**2) time", [(TIME, Growth.SQUARE)]),
        ("in O(2^n) time", [(TIME, Growth.EXPONENTIAL)]),
        ("Improve it from O(n^2) to O(n) time.", [(TIME, Growth.N)]),
        ("Use O(n) time instead of O(n^2).", [(TIME, Growth.N)]),
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
