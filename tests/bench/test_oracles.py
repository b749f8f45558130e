"""The comparison rules of HumanEval+ and MBPP+, one law each."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.bench.comparators import Match, Oracle, compare

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


def match(output, expected, *, oracle=Oracle.EQUAL, inputs=(), atol=0.0):
    return compare(oracle, inputs=inputs, output=output, expected=expected, atol=atol)


@settings(deadline=None)
@given(PLAIN)
def test_every_plain_value_equals_itself(value):
    """Whatever the reference answers, the same answer passes exactly."""
    assert match(value, value) is Match.EXACT


@settings(deadline=None)
@given(PLAIN, PLAIN, st.sampled_from(Oracle), st.sampled_from([0.0, 1e-4]))
def test_no_answer_makes_a_rule_raise(output, expected, oracle, atol):
    """Every pair of plain values gets a match, whatever the rule."""
    assert compare(oracle, inputs=([1, 2],), output=output, expected=expected, atol=atol) in Match


@pytest.mark.parametrize("value", [True, 1, 1.0, 1 + 0j])
def test_numbers_of_equal_value_are_equal_whatever_their_type(value):
    """As `==` has it in Python, and so in EvalPlus."""
    assert match(value, 1) is Match.EXACT


@pytest.mark.parametrize(("output", "expected"), [([1], (1,)), ("1", 1), (None, False), ({}, [])])
def test_containers_and_strings_of_another_type_differ(output, expected):
    """A list is no tuple, None is not False."""
    assert match(output, expected) is Match.DIFFERENT


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        (0.3 + 5e-7, 0.3, Match.CLOSE),
        (0.3 + 5e-6, 0.3, Match.DIFFERENT),
        ([1.0, 2.0000001], [1.0, 2.0], Match.CLOSE),
        ([1.0, 2.0000001], (1.0, 2.0), Match.DIFFERENT),
        ([1.0], [1.0, 2.0], Match.DIFFERENT),
        ([1.0, 2.0000001], [1.0, 2], Match.DIFFERENT),
        ([1, 2.0000001], [1.0, 2.0], Match.CLOSE),
        (2, 2.0000001, Match.DIFFERENT),
        (math.inf, math.inf, Match.EXACT),
        (1e308, math.inf, Match.DIFFERENT),
        ([math.inf, 1.0000001], [math.inf, 1.0], Match.CLOSE),
        (math.nan, math.nan, Match.DIFFERENT),
        ([], [0.5], Match.DIFFERENT),
        (["a"], [0.5], Match.DIFFERENT),
        (10**400, 1.5, Match.DIFFERENT),
        ([10**400], [1.5], Match.DIFFERENT),
    ],
)
def test_float_answers_get_a_tolerance(output, expected, result):
    """1e-6 where the expected value is a float or holds only floats, and the types agree."""
    assert match(output, expected) is result


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        ([(1.0, 2.00001)], [(1.0, 2.0)], Match.CLOSE),
        ([[1.0], [2.0]], [[1.0, 1.0], [2.0, 2.0]], Match.DIFFERENT),
        (1 + 1.00001j, 1 + 1j, Match.CLOSE),
        ({"a": 1.00001}, {"a": 1.0}, Match.DIFFERENT),
        (3, 3.00001, Match.DIFFERENT),
    ],
)
def test_a_problem_may_name_its_own_tolerance(output, expected, result):
    """It reaches into nested lists of the same shape, and into nothing else."""
    assert match(output, expected, atol=1e-4) is result


def test_the_tolerance_does_not_stick():
    """A float answer leaves the next test of the same problem as strict as it was."""
    assert match(0.3 + 5e-7, 0.3) is Match.CLOSE
    assert match([1, 2.0000001], [1, 2.0]) is Match.DIFFERENT


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (1.0, Match.SPECIAL),
        (-1.0, Match.SPECIAL),
        (1.1, Match.DIFFERENT),
        (None, Match.DIFFERENT),
        ("1", Match.DIFFERENT),
        (1j, Match.DIFFERENT),
        (math.nan, Match.DIFFERENT),
        (1e200, Match.DIFFERENT),
    ],
)
def test_any_zero_of_the_polynomial_is_a_root(output, result):
    """x*x - 1 has two, and the expected value is not looked at."""
    given = match(output, 1.0, oracle=Oracle.ROOT, inputs=([-1, 0, 1],), atol=1e-4)
    assert given is result


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ((3, 1, 3), Match.SPECIAL),
        ([1, 3], Match.SPECIAL),
        ([1], Match.DIFFERENT),
        ([[1], [3]], Match.DIFFERENT),
        (None, Match.DIFFERENT),
    ],
)
def test_sets_compare_without_order(output, result):
    """Order, repetition and the kind of container do not matter."""
    assert match(output, (1, 3), oracle=Oracle.SAME_SET) is result


@pytest.mark.parametrize(
    ("output", "expected", "result"),
    [
        (True, object(), Match.SPECIAL),
        ("a match", object(), Match.SPECIAL),
        (None, None, Match.SPECIAL),
        (False, None, Match.SPECIAL),
        (True, None, Match.DIFFERENT),
        (False, object(), Match.DIFFERENT),
        (None, object(), Match.DIFFERENT),
    ],
)
def test_a_match_object_is_told_by_not_being_none(output, expected, result):
    """True and False stand for it, as programs that return a bool are right too."""
    assert match(output, expected, oracle=Oracle.NOT_NONE) is result


@pytest.mark.parametrize(
    ("output", "result"),
    [(33, Match.EXACT), (35, Match.SPECIAL), (34, Match.DIFFERENT), ("33", Match.DIFFERENT)],
)
def test_a_pyramid_has_two_readings(output, result):
    """Base 3 and 4: 33 with a slant height of 4, and 35 with a height of 4."""
    assert match(output, 33, oracle=Oracle.PYRAMID, inputs=(3, 4)) is result


@pytest.mark.parametrize(
    ("output", "result"), [(9, Match.EXACT), (18, Match.SPECIAL), (3, Match.DIFFERENT)]
)
def test_digits_may_be_compared_from_the_right(output, result):
    """12 and 399 are 2 + 7 apart when the longer is cut, and 3 + 8 + 7 with a zero in front."""
    assert match(output, 9, oracle=Oracle.PADDED_DIGITS, inputs=(12, 399)) is result


@pytest.mark.parametrize(
    ("oracle", "expected", "right", "wrong"),
    [
        (Oracle.TRUTH, True, [True, 1, "x", [0]], [False, 0, "", [], None]),
        (Oracle.TRUTH, False, [False, 0, "", {}, None], [True, -1, (0,)]),
        (Oracle.IDENTITY, True, [True], [1, 1.0, "x"]),
        (Oracle.IDENTITY, None, [None], [False, 0, ""]),
        (Oracle.NEAR, 0.5, [0.5, 0.5999, 0.4001], [0.6001, math.nan, "0.5", None, [0.5]]),
    ],
)
def test_assertions_without_equality_ask_for_what_they_say(oracle, expected, right, wrong):
    """Truth, identity and distance: equality neither suffices nor is needed."""
    assert all(match(one, expected, oracle=oracle, atol=0.1).passes for one in right)
    assert not any(match(one, expected, oracle=oracle, atol=0.1).passes for one in wrong)
