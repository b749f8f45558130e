"""Answers agree with what is expected as the benchmarks define it, and in no other way."""

import math

import pytest

from evolcoder.grade.compare import ORACLES, agrees


def says(oracle, expected, got, arguments=(), atol=0):
    return agrees(oracle, arguments, expected=expected, got=got, atol=atol)


@pytest.mark.parametrize(
    ("expected", "got", "right"),
    [
        (3, 3, True),
        (3, 4, False),
        (0.3, 0.1 + 0.2, True),
        ([0.3, 1.0], [0.1 + 0.2, 1.0], True),
        (0.3, 0.31, False),
        ([1, 2], (1, 2), False),
        ([1, 2], [1, 2, 3], False),
        (math.nan, math.nan, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (0.0, -0.0, True),
        (1.0, "1.0", False),
        (1.0, None, False),
        ("a", "a", True),
        (None, None, True),
        (None, 0, False),
        ([1.0, 2.0], [1.0, None], False),
        (10**400, 10**400 + 1, False),
        (1.0, 10**400, False),
        ({"a": 1.0}, {"a": 1.0}, True),
        (2.0, [2.0], False),
    ],
)
def test_equal_or_close_where_floats_are_expected(expected, got, right):
    """Floats are compared with a tolerance, everything else exactly; nothing raises."""
    assert says("equal", expected, got) is right


def test_a_tolerance_does_not_stick():
    """A float expected once makes no later comparison lenient."""
    assert says("equal", 1.0, 1.0 + 1e-9)
    assert not says("equal", "a", "b")
    assert not says("equal", [1, 2.0], [1 + 1e-9, 2.0])


def test_a_problems_own_tolerance_holds():
    """A problem that names a tolerance gets it, for numbers of the expected type."""
    assert says("equal", 1.0, 1.05, atol=0.1)
    assert not says("equal", 1.0, 1.2, atol=0.1)
    assert not says("equal", 1, 1.05, atol=0.1)


def test_an_assertions_equality_has_no_tolerance():
    """What was read out of a test is compared as the test would."""
    assert says("same", True, 1)
    assert not says("same", 0.3, 0.1 + 0.2)


@pytest.mark.parametrize(
    ("oracle", "arguments", "expected", "right", "wrong"),
    [
        ("same_members", (), (1, 2), [2, 1, 1], [1, 3]),
        ("found_or_not", (), True, "match", None),
        ("found_or_not", (), False, None, "match"),
        ("found_or_not", (), True, True, False),
        ("equal_or_zero", (), 7, 0, 8),
        ("root_of_polynomial", ([1, 2],), None, -0.5, 0.5),
        ("pyramid_surface", (3, 4), 33, 35, 60),
        ("digit_distance", (1, 23), 22, 4, 5),
    ],
)
def test_special_oracles_accept_right_and_refuse_wrong(oracle, arguments, expected, right, wrong):
    """Each comparison that a problem needs accepts its alternatives and no others."""
    atol = 1e-4
    assert says(oracle, expected, right, arguments, atol)
    assert not says(oracle, expected, wrong, arguments, atol)
    assert not says(oracle, expected, object(), arguments, atol) or oracle == "found_or_not"


def test_every_oracle_survives_every_kind_of_answer():
    """No answer makes a comparison raise."""
    odd = [None, 1, "x", [], {}, set(), 1j, b"", 10**400, math.nan, [[1]], {"a": []}]
    for oracle in ORACLES:
        for expected in odd:
            for got in odd:
                assert says(oracle, expected, got, ([1], 2), 1e-3) in {True, False}
