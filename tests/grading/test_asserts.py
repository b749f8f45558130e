"""A test is parsed into calls only if these are equivalent to it."""

import pytest

from evolcoder.bench.comparators import Comparator
from evolcoder.grading.asserts import parse_asserts, parse_equality_asserts


def test_asserts_of_literals_become_calls():
    """Calls and literal expected values come out in order."""
    test = "import math\nassert f([1, (2, -3.5)], {'a': None}) == {1}\nassert f() == 'x', 'why'\n"
    assert parse_equality_asserts(test, "f", None) == [
        (([1, (2, -3.5)], {"a": None}), {1}),
        ((), "x"),
    ]


def test_the_check_function_of_humaneval_is_parsed():
    """Metadata, docstrings and `assert True` are ignored."""
    test = "METADATA = {'a': 1}\ndef check(candidate):\n    assert True, 'x'\n"
    test += "    assert candidate(1) == 2\n    assert candidate(3) == 4, 'y'\n    assert True\n"
    assert parse_equality_asserts(test, "f", "check") == [((1,), 2), ((3,), 4)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3 * 19", 57),
        ("3 * 2053 * 2053", 12_644_427),
        ("(3 + 5 + 7, 3 * 5 * 7)", (15, 105)),
        ("2.0 / 3.0", 2.0 / 3.0),
        ("[1, 0 ** 0]", [1, 1]),
        ("'a' + 'b' * 3", "abbb"),
        ("{-2 - 1: [1] * 2}", {-3: [1, 1]}),
        ("-(2 + 1)", -3),
        ("1 + 2j", 1 + 2j),
    ],
)
def test_arithmetic_on_literals_is_a_literal(written, value):
    """Constant expressions are folded."""
    assert parse_equality_asserts(
        f"assert f({written}) == 1\nassert f(2) == {written}", "f", None
    ) == [
        ((value,), 1),
        ((2,), value),
    ]


@pytest.mark.parametrize(
    "written", ["2 ** 5000", "'a' * 10**9", "1 / 0", "[1] + 2", "7 % 2", "10**9 * 'a'"]
)
def test_arithmetic_that_is_costly_or_fails_is_left_to_the_test(written):
    """No test in a data set can stall the parser."""
    assert parse_equality_asserts(f"assert f({written}) == 1", "f", None) is None


@pytest.mark.parametrize(
    "test",
    [
        "",
        "pass",
        "assert f(1)",
        "assert not f(1)",
        "assert f(1) == g(1)",
        "assert f(1) is 2",
        "assert f(1) != 2",
        "assert 1 < f(1) < 3",
        "assert f(x) == 2",
        "assert f(*[1]) == 2",
        "assert f(a=1) == 2",
        "assert abs(f(1) - 2) < 1e-6",
        "assert set(f(1)) == {2}",
        "for x in (1,):\n    assert f(x) == 2",
        "if True:\n    assert f(1) == 2",
        "f = 1\nassert f(1) == 2",
        "x = g()\nassert f(1) == 2",
        "x\nassert f(1) == 2",
        "f = lambda x: 2\nassert f(1) == 2",
        "def f(x): return 2\nassert f(1) == 2",
        "raise ValueError\nassert f(1) == 2",
        "assert f(1) == 2\nprint('done')",
        "assert f(1) == 1 +",
        "assert g(1) == 2",
        "class T: pass\nassert f(1) == 2",
    ],
)
def test_anything_more_has_to_be_run(test):
    """A test with any other statement is not parsed."""
    assert parse_equality_asserts(test, "f", None) is None


@pytest.mark.parametrize("note", ["'why'", "FIX = 'more'", "x = [1, 2]", "print", "import math"])
def test_statements_without_effect_are_ignored(note):
    """Assignments of literals and bare names of builtins have no effect."""
    assert parse_equality_asserts(f"{note}\nassert f(1) == 2", "f", None) == [((1,), 2)]
    test = f"{note}\ndef check(g):\n    {note}\n    assert g(1) == 2"
    assert parse_equality_asserts(test, "f", "check") == [((1,), 2)]


@pytest.mark.parametrize(
    ("test", "expected", "oracle", "atol"),
    [
        ("f(1)", True, Comparator.TRUTH, 0),
        ("not f(1)", False, Comparator.TRUTH, 0),
        ("f(1) is True", True, Comparator.IDENTITY, 0),
        ("f(1) is False", False, Comparator.IDENTITY, 0),
        ("f(1) is None", None, Comparator.IDENTITY, 0),
        ("abs(f(1) - 2.0 / 4) < 1e-6", 0.5, Comparator.NEAR, 1e-6),
        ("f(1) == 2", 2, Comparator.SAME, 0),
    ],
)
def test_other_assertions_about_one_call_become_calls_with_their_own_rule(
    test, expected, oracle, atol
):
    """Truth, identity and nearness are compared outside the candidate's process too."""
    assert parse_asserts(f"assert {test}, 'why'", "f", None) == [((1,), expected, oracle, atol)]


@pytest.mark.parametrize(
    "test",
    [
        "def abs(x): return 0\nassert abs(f(1) - 2) < 1e-6",
        "from numpy import *\nassert abs(f(1) - 2) < 1e-6",
        "from numpy import fabs as abs\nassert abs(f(1) - 2) < 1e-6",
        "abs = 1\nassert abs(f(1) - 2) < 1e-6",
        "assert abs(f(1) - 2) <= 1e-6",
        "assert abs(f(1) + 2) < 1e-6",
        "assert abs(f(1) - x) < 1e-6",
        "assert abs(f(1) - 2) < x",
        "assert f(1) is not True",
        "assert f(1) is ()",
        "assert not not f(1)",
        "assert f",
        "assert f(1) and f(2)",
        "assert tuple(f(1)) == (2,)",
    ],
)
def test_other_assertions_have_to_be_run(test):
    """Assertions of other forms are not parsed."""
    assert parse_asserts(test, "f", None) is None


@pytest.mark.parametrize(
    "body",
    [
        "return",
        "global candidate\n    assert candidate(1) == 2",
        "candidate = 3",
        "assert f(1) == 2",
    ],
)
def test_a_check_function_that_does_more_has_to_be_run(body):
    """Only a body of plain assertions on the parameter is parsed."""
    assert parse_equality_asserts(f"def check(candidate):\n    {body}\n", "f", "check") is None


def test_a_missing_check_function_is_left_for_the_run_to_find():
    """Without a function of that name, the result is None."""
    assert parse_equality_asserts("assert f(1) == 2", "f", "check") is None
