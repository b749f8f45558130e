"""Verdicts cannot be forged: what deceives a naive grader does not pass here."""

import pytest

from attacks import naive
from attacks.forgeries import FORGERIES, TEST, WRONG
from driver import QUICK
from evolcoder.grade.asserts import AssertTest, grade_asserts
from evolcoder.grade.calls import CallChecks, grade_calls
from evolcoder.sandbox.base import Kind

CHECKS = CallChecks.of("add", inputs=[(1, 2), (2, 2)], expected=[3, 4])


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_the_attack_deceives_a_naive_grader(sandbox, forgery):
    """Every row is a real attack: a grader as people write it says passed."""
    source = naive.program(forgery.grader, forgery.source, forgery.test, **forgery.with_grader)
    execution = sandbox.run(source)
    assert execution.stdout.startswith(b"PASSED"), (execution.stdout, execution.stderr)


@pytest.mark.parametrize("forgery", [f for f in FORGERIES if f.test == TEST][::20], ids=str)
def test_a_naive_grader_is_no_fool(sandbox, forgery):
    """A wrong answer without a trick fails, so that it is the trick which deceives."""
    source = naive.program(forgery.grader, WRONG, forgery.test, **forgery.with_grader)
    assert sandbox.run(source).stdout.startswith(b"FAILED")


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_a_test_that_runs_apart_is_not_deceived(sandbox, forgery):
    """A forgery never passes an assert-style test that is run."""
    test = AssertTest.of(("add",), forgery.test, check=None)
    assert test.calls is None
    verdict = sandbox.grade(grade_asserts, forgery.source, test)
    assert not verdict.passed, verdict


@pytest.mark.parametrize("forgery", [f for f in FORGERIES if f.test == TEST], ids=str)
def test_a_comparison_outside_is_not_deceived(sandbox, forgery):
    """A forgery never passes where this process compares."""
    verdict = sandbox.grade(grade_calls, forgery.source, CHECKS)
    assert not verdict.passed, verdict


def test_an_honest_candidate_passes_both(sandbox):
    """The graders that refuse every forgery accept a right answer."""
    honest = "def add(a, b):\n    return a + b\n"
    test = AssertTest.of(("add",), TEST, check=None)
    assert sandbox.grade(grade_asserts, honest, test).kind is Kind.PASSED
    assert sandbox.grade(grade_calls, honest, CHECKS).kind is Kind.PASSED
    naively = naive.program(naive.FILES, honest, TEST)
    assert sandbox.run(naively, QUICK).stdout.startswith(b"PASSED")
