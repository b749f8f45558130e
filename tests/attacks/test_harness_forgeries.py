"""A harness cannot be made to say that a wrong snippet is right."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from attacks.harness_forgeries import ANSWERS, COMPARISONS, RIGHT, HarnessForgery, checks_of, rows
from driver import QUICK
from evolcoder.grading.harness import grade_harness
from evolcoder.sandbox.base import Kind, Limits
from groups import by_promise

FORGERIES = list(rows())
PYTHON = str(Path(sys.executable).resolve())
ROOMY = Limits(cpu_s=20, wall_s=60)


at_strict = pytest.mark.parametrize("sandbox_with_pandas", ["strict"], indirect=True)
"""Where naive graders judge: to see that an attack is one, one level is enough."""


def needing(forgery):
    if forgery.library and find_spec(forgery.library) is None:
        pytest.skip(f"no {forgery.library} here")


@at_strict
@pytest.mark.parametrize("forgery", by_promise(FORGERIES), ids=str)
def test_the_attack_deceives_a_naive_harness(sandbox_with_pandas, forgery):
    """Every row is a real attack: a harness run as people run it says passed."""
    needing(forgery)
    execution = sandbox_with_pandas.run(forgery.naively(PYTHON), ROOMY)
    assert execution.stdout.endswith(b"PASSED\n"), (execution.stdout, execution.stderr)


@at_strict
@pytest.mark.parametrize("grader", ["inside", "exit", "marker"])
def test_a_naive_harness_accepts_right_and_rejects_wrong_answers(sandbox_with_pandas, grader):
    """Without a trick it refuses what is wrong and accepts what is right."""
    plain = HarnessForgery("plain", grader, "sum", "result = 1")
    assert sandbox_with_pandas.run(plain.naively(PYTHON)).stdout.endswith(b"FAILED\n")
    assert sandbox_with_pandas.run(plain.naively(PYTHON, RIGHT)).stdout.endswith(b"PASSED\n")


@pytest.mark.parametrize("forgery", by_promise(FORGERIES), ids=str)
def test_a_harness_that_runs_apart_is_not_deceived(sandbox_with_pandas, forgery):
    """No row passes where snippet and harness are two processes."""
    needing(forgery)
    limits = ROOMY if forgery.library else QUICK
    verdict = sandbox_with_pandas.grade(
        grade_harness, forgery.source, forgery.checks, limits=limits
    )
    assert not verdict.passed, verdict


@pytest.mark.parametrize("harness", COMPARISONS)
def test_every_toy_harness_accepts_what_is_right(sandbox_with_pandas, harness):
    """The harnesses that refuse every forgery accept a right answer."""
    needing(HarnessForgery("", "", harness, ""))
    answer = ANSWERS.get(harness, RIGHT)
    verdict = sandbox_with_pandas.grade(grade_harness, answer, checks_of(harness), limits=ROOMY)
    assert verdict.kind is Kind.PASSED, verdict
