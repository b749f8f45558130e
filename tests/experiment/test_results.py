"""Verdicts become outcomes: by arm, by benchmark, and by the original benchmark's own checks."""

from evolcoder.experiment.interfaces import Training
from evolcoder.experiment.results import StoredSample, entries


def training(arm, key):
    return Training(arm, 0, key, "data", 1, 1, None)


def kept(problem, model, passed, base, *, number=0):
    return StoredSample(problem, model, number, "", "answer", passed, base, "")


def test_a_problem_without_added_checks_and_an_empty_answer_count_on_the_base():
    """Samples without a base verdict count by all checks, or as failed if they were not run."""
    rows = [
        kept("plus", "a", passed=False, base=True),
        kept("plus", "b", passed=False, base=None),
        kept("plain", "a", passed=True, base=None),
        kept("plain", "b", passed=False, base=None),
    ]
    models = [training("seed", "a"), training("merge-0..1", "b")]
    first, second = entries(models, {"mbpp+": rows})
    assert first.outcomes["mbpp+ base"] == {0: {"plus": [True], "plain": [True]}}
    assert second.outcomes["mbpp+ base"] == {0: {"plus": [False], "plain": [False]}}


def test_a_benchmark_that_adds_no_checks_has_no_base():
    """Its verdicts are the only ones."""
    rows = [kept("plain", "a", passed=True, base=None)]
    assert list(entries([training("seed", "a")], {"humaneval": rows})[0].outcomes) == ["humaneval"]
