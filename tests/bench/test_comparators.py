"""The comparison rules of HumanEval+ and MBPP+."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.bench.comparators import Comparator, ComparisonResult, compare

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.complex_numbers(allow_nan=False)
    | st.booleans().map(lambda sign: 10**5000 if sign else -(10**400)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def match(output, expected, *, oracle=Comparator.EQUAL, inputs=(), atol=0.0):
    return compare(oracle, inputs=inputs, output=output, expected=expected, atol=atol)


@settings(deadline=None)
@given(PLAIN)
def test_every_plain_value_equals_itself(value):
    """A value equal to the reference's is an exact match."""
    assert match(value, value) is ComparisonResult.EXACT


@settings(deadline=None)
@given(PLAIN, PLAIN, st.sampled_from(Comparator), st.sampled_from([0.0, 1e-4]))
def test_no_answer_makes_a_rule_raise(output, expected, oracle, atol):
    """Every pair of plain values gives a result, for every comparator."""
    assert (
        compare(oracle, inputs=([1, 2],), output=output, expected=expected, atol=atol)
        in ComparisonResult
    )


@pytest.mark.parametrize("value", [True, 1, 1.0, 1 + 0j])
def test_numbers_of_equal_value_are_equal_whatever_their_type(value):
    """As in Python's `==`, and so in EvalPlus."""
    assert match(value, 1) is ComparisonResult.EXACT


@pytest.mark.parametrize(("output", "expected"), [([1], (1,)), ("1", 1), (None, False), ({}, [])])
def test_containers_and_strings_of_another_type_differ(output, expected):
    """A list differs from a tuple, None from False."""
    assert match(output, expected) is ComparisonResult.DIFFERENT


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        (0.3 + 5e-7, 0.3, ComparisonResult.CLOSE),
        (0.3 + 5e-6, 0.3, ComparisonResult.DIFFERENT),
        ([1.0, 2.0000001], [1.0, 2.0], ComparisonResult.CLOSE),
        ([1.0, 2.0000001], (1.0, 2.0), ComparisonResult.DIFFERENT),
        ([1.0], [1.0, 2.0], ComparisonResult.DIFFERENT),
        ([1.0, 2.0000001], [1.0, 2], ComparisonResult.DIFFERENT),
        ([1, 2.0000001], [1.0, 2.0], ComparisonResult.CLOSE),
        (2, 2.0000001, ComparisonResult.DIFFERENT),
        (math.inf, math.inf, ComparisonResult.EXACT),
        (1e308, math.inf, ComparisonResult.DIFFERENT),
        ([math.inf, 1.0000001], [math.inf, 1.0], ComparisonResult.CLOSE),
        (math.nan, math.nan, ComparisonResult.DIFFERENT),
        ([], [0.5], ComparisonResult.DIFFERENT),
        (["a"], [0.5], ComparisonResult.DIFFERENT),
        (10**400, 1.5, ComparisonResult.DIFFERENT),
        ([10**400], [1.5], ComparisonResult.DIFFERENT),
    ],
)
def test_float_answers_get_a_tolerance(output, expected, result):
    """1e-6 if the expected value is a float or contains only floats, and the types agree."""
    assert match(output, expected) is result


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        ([(1.0, 2.00001)], [(1.0, 2.0)], ComparisonResult.CLOSE),
        ([[1.0], [2.0]], [[1.0, 1.0], [2.0, 2.0]], ComparisonResult.DIFFERENT),
        (1 + 1.00001j, 1 + 1j, ComparisonResult.CLOSE),
        ({"a": 1.00001}, {"a": 1.0}, ComparisonResult.DIFFERENT),
        (3, 3.00001, ComparisonResult.DIFFERENT),
    ],
)
def test_a_problem_may_name_its_own_tolerance(output, expected, result):
    """It applies within nested lists of the same shape, and to nothing else."""
    assert match(output, expected, atol=1e-4) is result


def test_the_tolerance_does_not_carry_over():
    """A float answer does not loosen the next test of the same problem."""
    assert match(0.3 + 5e-7, 0.3) is ComparisonResult.CLOSE
    assert match([1, 2.0000001], [1, 2.0]) is ComparisonResult.DIFFERENT


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (1.0, ComparisonResult.SPECIAL),
        (-1.0, ComparisonResult.SPECIAL),
        (1.1, ComparisonResult.DIFFERENT),
        (None, ComparisonResult.DIFFERENT),
        ("1", ComparisonResult.DIFFERENT),
        (1j, ComparisonResult.DIFFERENT),
        (math.nan, ComparisonResult.DIFFERENT),
        (1e200, ComparisonResult.DIFFERENT),
    ],
)
def test_any_zero_of_the_polynomial_is_a_root(output, result):
    """x*x - 1 has two roots, and the expected value is ignored."""
    given = match(output, 1.0, oracle=Comparator.ROOT, inputs=([-1, 0, 1],), atol=1e-4)
    assert given is result


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ((3, 1, 3), ComparisonResult.SPECIAL),
        ([1, 3], ComparisonResult.SPECIAL),
        ([1], ComparisonResult.DIFFERENT),
        ([[1], [3]], ComparisonResult.DIFFERENT),
        (None, ComparisonResult.DIFFERENT),
    ],
)
def test_sets_compare_without_order(output, result):
    """Order, duplicates and the type of container are ignored."""
    assert match(output, (1, 3), oracle=Comparator.SAME_SET) is result


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        (True, object(), ComparisonResult.SPECIAL),
        ("a match", object(), ComparisonResult.SPECIAL),
        (None, None, ComparisonResult.SPECIAL),
        (False, None, ComparisonResult.SPECIAL),
        (True, None, ComparisonResult.DIFFERENT),
        (False, object(), ComparisonResult.DIFFERENT),
        (None, object(), ComparisonResult.DIFFERENT),
    ],
)
def test_a_bool_counts_as_a_match_object(output, expected, result):
    """Programs that return a bool are correct too."""
    assert match(output, expected, oracle=Comparator.NOT_NONE) is result


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (33, ComparisonResult.EXACT),
        (35, ComparisonResult.SPECIAL),
        (34, ComparisonResult.DIFFERENT),
        ("33", ComparisonResult.DIFFERENT),
    ],
)
def test_a_pyramid_has_two_readings(output, result):
    """Base 3 and 4: 33 with a slant height of 4, and 35 with a height of 4."""
    assert match(output, 33, oracle=Comparator.PYRAMID, inputs=(3, 4)) is result


@pytest.mark.parametrize(
    ("output", "result"),
    [(9, ComparisonResult.EXACT), (18, ComparisonResult.SPECIAL), (3, ComparisonResult.DIFFERENT)],
)
def test_digits_may_be_compared_from_the_right(output, result):
    """12 and 399 differ by 2 + 7 if 399 is truncated, and by 3 + 8 + 7 with a leading zero."""
    assert match(output, 9, oracle=Comparator.PADDED_DIGITS, inputs=(12, 399)) is result


@pytest.mark.parametrize(
    ("oracle", "expected", "right", "wrong"),
    [
        (Comparator.TRUTH, True, [True, 1, "x", [0]], [False, 0, "", [], None]),
        (Comparator.TRUTH, False, [False, 0, "", {}, None], [True, -1, (0,)]),
        (Comparator.IDENTITY, True, [True], [1, 1.0, "x"]),
        (Comparator.IDENTITY, None, [None], [False, 0, ""]),
        (Comparator.NEAR, 0.5, [0.5, 0.5999, 0.4001], [0.6001, math.nan, "0.5", None, [0.5]]),
    ],
)
def test_assertions_without_equality_have_their_own_comparator(oracle, expected, right, wrong):
    """Truth, identity and distance: equality is neither sufficient nor necessary."""
    assert all(match(one, expected, oracle=oracle, atol=0.1).passes for one in right)
    assert not any(match(one, expected, oracle=oracle, atol=0.1).passes for one in wrong)
