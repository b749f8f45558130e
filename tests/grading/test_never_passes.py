"""Nothing passes without being checked."""

import pytest

from driver import QUICK
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, decode_answer, grade_calls, run_calls
from evolcoder.sandbox.base import Kind, Separation

HONEST = "def add(a, b):\n    return a + b\n"
RUN = "for a, b in ((1, 2), (2, 2)):\n    assert add(a, b) == a + b\n"


def asserts(sandbox, source, test, check=None):
    return sandbox.grade(grade_asserts, source, AssertTest.of(("add",), test, check=check))


def calls(sandbox, source, *expected, inputs=None):
    inputs = inputs or [(1, 2), (2, 2)][: len(expected)]
    return sandbox.grade(grade_calls, source, CallTest.of("add", inputs=inputs, expected=expected))


@pytest.mark.parametrize(
    ("test", "check"),
    [
        ("", None),
        ("x = 1", None),
        ("assert True", None),
        ("add(1, 2)", None),
        ("if False:\n    assert add(1, 2) == 3", None),
        ("def check(candidate):\n    assert True\n", "check"),
        ("assert add(1,", None),
        ("# assert add(1, 2) == 3", None),
    ],
)
def test_a_test_without_checks_is_no_test(sandbox, test, check):
    """Empty, skipped, vacuous and broken tests have the verdict `no_tests`."""
    assert asserts(sandbox, HONEST, test, check).kind is Kind.NO_TESTS


@pytest.mark.parametrize(
    "test",
    [
        "import unittest\nadd(1, 2)\nraise unittest.SkipTest('assert')",
        "add(1, 2)\nraise SystemExit(0)\nassert True",
        "add(1, 2)\nimport os\nos._exit(0)\nassert True",
        "assert add(1, 2) == 3\nimport ctypes\nctypes.string_at(0)",
    ],
)
def test_a_test_that_ends_early_is_not_passed(sandbox, test):
    """Skipping and exiting never pass, not even from within the test."""
    assert asserts(sandbox, HONEST, test + "\nfor x in (): pass").kind is not Kind.PASSED


def test_a_missing_check_function_is_not_passed(sandbox):
    """A test whose check function is missing does not pass."""
    assert not asserts(sandbox, HONEST, RUN, "check").passed


def test_no_inputs_are_no_tests(sandbox):
    """Zero calls do not pass."""
    assert calls(sandbox, HONEST).kind is Kind.NO_TESTS


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("", Kind.ERROR),
        ("x = 1", Kind.ERROR),
        ("def add(", Kind.COMPILE_ERROR),
        ("a\0b", Kind.COMPILE_ERROR),
        ("\ud800", Kind.COMPILE_ERROR),
        ("add = 3", Kind.ERROR),
        ("def add(a): return 3", Kind.ERROR),
        ("1 / 0", Kind.ERROR),
        ("def add(a, b): return 1 / 0", Kind.ERROR),
        ("def add(a, b): return a - b", Kind.FAILED),
        ("def add(a, b): assert False", Kind.ERROR),
        ("def add(a, b): return bytearray(600 << 20) and 3", Kind.MEMORY),
        ("def add(a, b):\n    while True: pass", Kind.TIMEOUT),
        ("def add(a, b):\n    while True: print('x' * 999)", Kind.TIMEOUT),  # output is discarded
        ("import os\ndef add(a, b): os.kill(os.getpid(), 9)", None),
        ("import os\ndef add(a, b): os.abort()", Kind.ERROR),
        ("import ctypes\ndef add(a, b): ctypes.string_at(0)", Kind.ERROR),
        ("import sys\nsys.setrecursionlimit(10**9)\ndef add(a, b): return add(a, b)", None),
        ("def add(a, b):\n    while True: yield 1", Kind.FAILED),
    ],
)
def test_both_graders_give_the_same_kind_of_verdict(sandbox, source, kind):
    """Both graders give the same kind of verdict for the same kind of failure."""
    for verdict in (calls(sandbox, source, 3, 4), asserts(sandbox, source, RUN)):
        assert verdict.kind is kind or (kind is None and not verdict.passed), verdict


def test_a_failed_verdict_has_the_check_and_both_values(sandbox):
    """A failed verdict contains the check's number, the expected value and the answer."""
    verdict = calls(sandbox, HONEST, 3, 5)
    assert (verdict.kind, verdict.check, verdict.expected, verdict.got) == (
        Kind.FAILED,
        1,
        "5",
        "4",
    )
    assert verdict.outcomes == (True, False)
    verdict = asserts(sandbox, HONEST, "x = 1\nassert add(x, 2) == 3\nassert add(2, 2) == 5")
    assert (verdict.check, verdict.expected, verdict.got) == (1, "assert add(2, 2) == 5", "4")


def test_every_verdict_has_its_separation(sandbox):
    """`PARENT` for comparison in this process, `PROXY` for a test in a separate process."""
    assert calls(sandbox, HONEST, 3).separation is Separation.PARENT
    assert asserts(sandbox, HONEST, RUN).separation is Separation.PROXY
    assert asserts(sandbox, HONEST, "assert add(1, 2) == 3").separation is Separation.PARENT


def test_answers_of_a_reference_come_back_as_plain_data(sandbox):
    """A reference runs like any program, and its answers are data."""
    source = "def f(x):\n    return {x: (x, [x])} if x else 1 / 0"
    answers, _ = sandbox.runner.run(
        run_calls(sandbox.sandbox, source, "f", [(1,), (0,)], limits=QUICK)
    )
    assert [(a.kind, a.value) for a in map(decode_answer, answers)] == [
        ("value", {1: (1, [1])}),
        ("raise", "ZeroDivisionError: division by zero"),
    ]


def test_iterators_and_objects_stay_in_their_process(sandbox):
    """A test may iterate over a generator and call methods; both return plain data."""
    source = "class Box:\n    def __init__(self, x): self.x = x\n    def get(self): return self.x\n"
    source += "def add(a, b):\n    return Box(a + b)\ndef count(n):\n    yield from range(n)\n"
    test = AssertTest.of(
        ("add", "count"),
        "assert add(1, 2).get() == 3\nassert list(count(3)) == [0, 1, 2]",
        check=None,
    )
    assert sandbox.grade(grade_asserts, source, test).kind is Kind.PASSED


def test_mutated_arguments_do_not_reach_the_test(sandbox):
    """A candidate only changes copies of its arguments."""
    source = "def add(a, b):\n    a.clear()\n    return 0"
    verdict = asserts(
        sandbox, source, "given = [1]\nassert add(given, 0) == 0\nassert given == [1]"
    )
    assert verdict.kind is Kind.PASSED


YES = (
    "class Yes:\n    __bool__ = __eq__ = lambda *_: True\n    __abs__ = __sub__ = lambda s, *_: s\n"
)
YES += "    __lt__ = lambda *_: True\n    __hash__ = None\n"


@pytest.mark.parametrize(
    "test",
    [
        "assert add(1, 2)",
        "assert not add(1, 2)",
        "assert add(1, 2) is True",
        "assert abs(add(1, 2) - 3) < 1e-6",
        "assert add(1, 2) == 3",
    ],
)
def test_an_object_that_equals_everything_does_not_pass(sandbox, test):
    """Every assertion about an answer is evaluated on plain data outside the sandbox."""
    verdict = asserts(sandbox, f"{YES}def add(a, b):\n    return Yes()\n", test)
    assert (verdict.kind, verdict.separation) == (Kind.FAILED, Separation.PARENT)


@pytest.mark.parametrize(
    ("answer", "test"),
    [
        ("a + b", "assert add(1, 2)"),
        ("a - 1", "assert not add(1, 2)"),
        ("a < b", "assert add(1, 2) is True"),
        ("a + b + 1e-7", "assert abs(add(1, 2) - 3) < 1e-6"),
    ],
)
def test_a_right_answer_passes_by_every_assertion(sandbox, answer, test):
    """The same assertions pass for correct answers."""
    assert asserts(sandbox, f"def add(a, b):\n    return {answer}\n", test).passed
