"""A sample that cannot be judged gets an error as its verdict, and the evaluation continues.

Covers every step in this process between an answer and its stored verdict: each step raises an
exception once, and only the sample that it affects gets an error.
"""

import json

import pytest

from evolcoder.app.evaluation_files import write_results
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.bench.samples import SampleFormat
from evolcoder.errors import BudgetReached, SandboxError, StoreError
from evolcoder.evaluation.results import result_of
from evolcoder.evaluation.runner import Evaluation
from evolcoder.evaluation.store import EvalStore
from evolcoder.grading.problem_checks import ReferenceChecks
from evolcoder.sample_errors import UNJUDGED
from small_bench import ADD, fenced, small_bench

DOUBLE = "def double(x):\n    return x * 2.0 if x != 'a' else 'aa'\n"
"""Correct, but not byte-identical."""
LAST = "def last(items):\n    return [10**5000, items]\n"
"""Wrong, so that the verdict shows it."""
ANSWERS = {"small/0": DOUBLE, "small/1": ADD, "small/2": LAST}
STEPS = {
    "the program is extracted": "evolcoder.bench.function_bench.python_program",
    "an answer is parsed": "evolcoder.bench.extract.tree_of",
    "the test is parsed": "evolcoder.grading.asserts.parse_asserts",
    "the test is prepared": "evolcoder.grading.problem_checks.AssertTest.of",
    "calls are prepared": "evolcoder.grading.problem_checks.CallTest.from_lines",
    "arguments are encoded": "evolcoder.grading.calls.encode_calls",
    "the candidate runs": "evolcoder.grading.calls.Program",
    "answers are split": "evolcoder.grading.calls._lines",
    "an answer is decoded": "evolcoder.grading.answers.decode",
    "an answer is compared": "evolcoder.grading.answers.compare",
    "an answer is shown": "evolcoder.grading.answers.safe_repr",
    "a verdict is built": "evolcoder.grading.calls.verdict",
    "a verdict is converted to facts": "evolcoder.evaluation.runner._base_passed",
}


class Once:
    """Wraps a function, and raises on the first call."""

    def __init__(self, real, error):
        self.real, self.error, self.times = real, error, 0

    def __call__(self, *args, **named):
        self.times += 1
        if self.times == 1:
            raise self.error
        return self.real(*args, **named)


def once(monkeypatch, path, error):
    owner, _, name = path.rpartition(".")
    module = _found(owner)
    fake = Once(getattr(module, name), error)
    monkeypatch.setattr(module, name, fake)
    return fake


def _found(path):
    import importlib

    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        owner, _, name = path.rpartition(".")
        return getattr(_found(owner), name)


@pytest.fixture(scope="module")
def controls(sandbox, tmp_path_factory):
    """The reference checks of this file, measured once."""
    kept = ReferenceChecks(tmp_path_factory.mktemp("controls") / "controls.db", sandbox.sandbox, "")
    for problem in small_bench().problems():
        sandbox.runner.run(kept.finding(problem))
    yield kept
    kept.close()


def graded(sandbox, controls, folder, answers=ANSWERS):
    """Grade an answer to each problem; return the result and the verdicts."""
    bench = small_bench()
    with EvalStore.create(folder, {"model": "stored"}) as store:
        store.add_samples(
            "small",
            [Sample.of(id, 0, fenced(code), PromptForm.ANSWER) for id, code in answers.items()],
        )
        store.db.flush()
        one = Evaluation(store, bench, generator=None, n=1, in_flight=4, problems=bench.problems())
        try:
            sandbox.runner.run(one.run(sandbox.sandbox, controls))
        finally:
            store.db.flush()
        result = result_of(store, bench, faults={}, partial=False)
        assert one.progress.done == len(answers) == result.n_samples
        found = {judged.problem: judged for judged in store.verdicts("small")}
        n_passed = sum(judged.passed for judged in found.values())
        assert one.progress.stored or one.progress.passed == n_passed
        return result, found


def test_without_a_failure_two_of_three_pass(sandbox, controls, tmp_path):
    """The baseline of the tests below."""
    result, found = graded(sandbox, controls, tmp_path / "e")
    assert [one.passed for one in found.values()] == [True, True, False]
    assert "16610 bits" in found["small/2"].facts["got"]
    assert not any(UNJUDGED in note for note in result.notes)


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_is_the_outcome_of_that_sample(
    sandbox, controls, tmp_path, monkeypatch, step
):
    """Its verdict is an error and counts as not passed; other samples have their own verdicts."""
    told = once(monkeypatch, STEPS[step], RuntimeError(f"while {step}"))
    result, found = graded(sandbox, controls, tmp_path / "e")
    assert told.times
    (odd,) = [one for one in found.values() if one.is_unjudged]
    assert (odd.passed, odd.facts["kind"]) == (False, "error")
    assert odd.facts["detail"].startswith(f"{UNJUDGED}: RuntimeError: while {step}")
    assert {id: one.passed for id, one in found.items() if one is not odd} == {
        id: id != "small/2" for id in found if id != odd.problem
    }
    assert (UNJUDGED, 1) in result.kinds
    (note,) = [note for note in result.notes if UNJUDGED in note]
    assert note.startswith(f"1 samples {UNJUDGED} and count as not passed, such as {odd.problem}, ")
    assert result.withheld == ""
    assert round(3 * result.scores[0].value) == sum(one.passed for one in found.values())
    again, _ = graded(sandbox, controls, tmp_path / "e")
    assert (again.kinds, told.times >= 1) == (result.kinds, True)


@pytest.mark.parametrize(
    "error",
    [ValueError(10**5000), RecursionError(), MemoryError(), KeyError("\ud800\x00"), StopIteration(),
     UnicodeError("x"), ZeroDivisionError(), ExceptionGroup("g", [TypeError("inner")])],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_any_exception_becomes_a_verdict(sandbox, controls, tmp_path, monkeypatch, error):
    """Any exception, even one without a message, can be stored and shown."""
    once(monkeypatch, "evolcoder.grading.answers.compare", error)
    result, found = graded(sandbox, controls, tmp_path / "e")
    (odd,) = [one for one in found.values() if one.is_unjudged]
    assert odd.facts["detail"].isprintable()
    json.dumps(result.as_plain()).encode("ascii")


def test_facts_that_cannot_be_stored_are_the_outcome_of_that_sample(
    sandbox, controls, tmp_path, monkeypatch
):
    """A verdict that cannot be stored is replaced by an error."""
    bench = small_bench()
    with EvalStore.create(tmp_path / "e", {}) as store:
        store.add_samples("small", [Sample.of("small/1", 0, fenced(ADD), PromptForm.ANSWER)])
        store.db.flush()
        once(monkeypatch, "evolcoder.evaluation.store.json.dumps", TypeError("no JSON"))
        one = Evaluation(
            store, bench, generator=None, n=1, in_flight=1, problems=bench.problems()[1:2]
        )
        sandbox.runner.run(one.run(sandbox.sandbox, controls))
        store.db.flush()
        (judged,) = store.verdicts("small")
    assert judged.is_unjudged
    assert "TypeError: no JSON" in judged.facts["detail"]


@pytest.mark.parametrize("error", [BudgetReached("end"), StoreError("full")])
@pytest.mark.parametrize("step", ["an answer is compared", "a verdict is built"])
def test_limits_and_database_errors_end_the_evaluation(
    sandbox, controls, tmp_path, monkeypatch, step, error
):
    """Limits and database errors are not a sample's outcome; earlier verdicts stay stored."""
    once(monkeypatch, STEPS[step], error)
    with pytest.raises(type(error)):
        graded(sandbox, controls, tmp_path / "e")
    _, found = graded(sandbox, controls, tmp_path / "e")
    assert [one.passed for one in found.values()] == [True, True, False]


@pytest.mark.parametrize("error", [SandboxError("a worker ended"), OSError(24, "Too many files")])
def test_a_failure_of_sandbox_or_machine_is_tried_again(
    sandbox, controls, tmp_path, monkeypatch, error
):
    """It is stored as a failure, not a verdict, and the next run retries it."""
    once(monkeypatch, "evolcoder.grading.answers.compare", error)
    with pytest.raises(AssertionError):
        graded(sandbox, controls, tmp_path / "e")
    result, found = graded(sandbox, controls, tmp_path / "e")
    assert [one.passed for one in found.values()] == [True, True, False]
    assert result.notes == ()


@pytest.mark.parametrize(
    "step",
    ["the test is parsed", "a verdict is built", "answers are split", "arguments are encoded"],
)
def test_a_reference_that_cannot_be_judged_is_a_fault_of_its_problem(
    sandbox, tmp_path, monkeypatch, step
):
    """The self-check continues, and lists the problem."""
    once(monkeypatch, STEPS[step], RuntimeError("odd"))
    controls, bench = ReferenceChecks(tmp_path / "c.db", sandbox.sandbox, ""), small_bench()
    with EvalStore.create(tmp_path / "e", {"model": "stored"}) as store:
        one = Evaluation(store, bench, generator=None, n=1, in_flight=2, problems=bench.problems())
        faults = sandbox.runner.run(one.check(controls))
        again = sandbox.runner.run(one.check(controls))
    controls.close()
    ((_, fault),) = faults.items()
    assert f"error: {UNJUDGED}: RuntimeError: odd" in fault
    assert again == {}


def test_samples_are_written_also_where_a_program_cannot_be_taken_out(
    sandbox, controls, tmp_path, monkeypatch
):
    """The exported file has an empty program in its place."""
    graded(sandbox, controls, tmp_path / "e")
    once(monkeypatch, STEPS["the program is extracted"], RuntimeError("odd"))
    with EvalStore.read(tmp_path / "e") as store:
        result = result_of(store, small_bench(), faults={}, partial=False)
        paths = write_results(store, [small_bench()], [result], layout=SampleFormat.EVALPLUS)
    programs = [json.loads(line)["solution"] for line in paths[0].read_text().splitlines()]
    assert [bool(program) for program in programs] == [False, True, True]
