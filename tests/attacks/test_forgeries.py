"""Verdicts cannot be forged: what deceives a naive grader does not pass here."""

import pytest

from attacks.forgeries import FORGERIES, GRADERS, TEST, WRONG, Forgery
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.sandbox.base import Kind
from groups import by_promise

CHECKS = CallTest.of("add", inputs=[(1, 2), (2, 2)], expected=[3, 4])
HONEST = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize("forgery", by_promise(FORGERIES), ids=str)
def test_the_attack_deceives_a_naive_grader(sandbox, forgery):
    """Every row is a real attack: a grader as people write it says passed."""
    execution = sandbox.run(forgery.naively())
    assert execution.stdout.startswith(b"PASSED"), (execution.stdout, execution.stderr)


@pytest.mark.parametrize("grader", GRADERS)
def test_a_naive_grader_is_no_fool(sandbox, grader):
    """Without a trick it refuses what is wrong and accepts what is right."""
    plain = Forgery("plain", grader, WRONG, TEST)
    assert sandbox.run(plain.naively()).stdout.startswith(b"FAILED")
    assert sandbox.run(plain.naively(HONEST)).stdout.startswith(b"PASSED")


@pytest.mark.parametrize("forgery", by_promise(FORGERIES), ids=str)
def test_a_test_that_runs_apart_is_not_deceived(at_every_level, forgery):
    """A forgery never passes an assert-style test that is run."""
    test = AssertTest.of(("add",), forgery.test, check=None)
    assert test.calls is None
    verdict = at_every_level.grade(grade_asserts, forgery.source, test)
    assert not verdict.passed, verdict


@pytest.mark.parametrize("forgery", by_promise(f for f in FORGERIES if f.test == TEST), ids=str)
def test_a_comparison_outside_is_not_deceived(at_every_level, forgery):
    """A forgery never passes where this process compares."""
    verdict = at_every_level.grade(grade_calls, forgery.source, CHECKS)
    assert not verdict.passed, verdict


def test_an_honest_candidate_passes(at_every_level):
    """The graders that refuse every forgery accept a right answer."""
    test = AssertTest.of(("add",), TEST, check=None)
    assert at_every_level.grade(grade_asserts, HONEST, test).kind is Kind.PASSED
    assert at_every_level.grade(grade_calls, HONEST, CHECKS).kind is Kind.PASSED
