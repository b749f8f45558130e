"""Every sample is generated and graded once, and a failure is not a verdict."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from evolcoder.app.evaluate import broken_off_notes
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.bench.prompts import CHAT
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import BudgetReached, EngineError, Fault, RunFolderError, SandboxError
from evolcoder.evaluation.results import result_of
from evolcoder.evaluation.runner import FAILURES_IN_A_ROW, Evaluation, SampleGenerator
from evolcoder.evaluation.store import EvalStore
from finishing import Finishing
from small_bench import ADD, DOUBLE, LAST, fenced, right, small_bench

SETTINGS = {"model": "scripted"}


class Counted:
    """A scripted engine that counts requests, and fails for some."""

    def __init__(self, answer=right, fail_at=()):
        self.asked = Counter()
        self.fail_at = set(fail_at)
        self._engine = ScriptedEngine(answer)
        self.identity = "counted"

    async def complete(self, request):
        number = self.asked.total()
        self.asked[request.messages[-1].content, request.seed] += 1
        if number in self.fail_at:
            raise self.fail_at_with(number)
        return await self._engine.complete(request)

    def fail_at_with(self, number):
        return EngineError(f"failed at {number}", asked="counted", retryable=False)

    async def aclose(self):
        pass


class Broke(Counted):
    """An engine whose budget is reached."""

    def fail_at_with(self, number):
        return BudgetReached("no more money")


class Unreliable:
    """A sandbox that fails a given number of times for some programs."""

    def __init__(self, inner, word, times):
        self.inner, self.word, self.times = inner, word, times

    async def run(self, program, limits):
        if self.word in program.source and self.times:
            self.times -= 1
            raise SandboxError("a worker ended")
        return await self.inner.run(program, limits)


def evaluate(sandbox, controls, folder, *, engine=None, n=1, bench=None, box=None, grade=True):
    """Run an evaluation to its end; return its result."""
    bench = bench or small_bench()
    role = Role(engine, "toy", Sampling(0.5, 1.0, 200)) if engine else None
    generator = SampleGenerator(role, CHAT, 0) if role else None
    with EvalStore.create(folder, SETTINGS) as store:
        one = Evaluation(
            store, bench, generator=generator, n=n, in_flight=4, problems=bench.problems()
        )

        async def story():
            faults = await one.check(controls)
            await (one.run(box or sandbox.sandbox, controls) if grade else one.generate())
            return faults

        try:
            faults = sandbox.runner.run(story())
        finally:
            store.db.flush()
            assert one.progress.done + one.progress.failures <= max(one.progress.total, 3)
        return result_of(store, bench, faults=faults, partial=False)


def test_a_right_model_passes_everything(sandbox, controls, tmp_path):
    """Each problem is prompted n times, and every sample has one verdict."""
    engine = Counted()
    result = evaluate(sandbox, controls, tmp_path / "e", engine=engine, n=3)
    assert result.withheld == ""
    assert [(s.k, s.value, s.n_problems, s.n_samples) for s in result.scores] == [(1, 1.0, 3, 9)]
    assert engine.asked.total() == len(engine.asked) == 9


def test_base_and_full_verdicts_are_separate(sandbox, controls, tmp_path):
    """A program that is correct only on the original inputs passes the base checks only."""
    narrow = "def double(x):\n    return x + abs(x)\n"

    def answer(request):
        return fenced(narrow) if "`double`" in request.messages[-1].content else right(request)

    result = evaluate(sandbox, controls, tmp_path / "e", engine=Counted(answer))
    assert round(result.scores[0].value, 3) == 0.667
    with EvalStore.read(tmp_path / "e") as store:
        (double, *_) = store.verdicts("small")
    assert (double.passed, double.base_passed) == (False, True)


def test_a_second_run_repeats_no_request_and_no_grading(sandbox, controls, tmp_path):
    """Samples with a verdict are done; a higher n only generates the additional ones."""
    evaluate(sandbox, controls, tmp_path / "e", engine=Counted(), n=2)
    again = Counted()
    evaluate(sandbox, controls, tmp_path / "e", engine=again, n=2, box=Unreliable(None, "", 99))
    assert again.asked.total() == 0
    evaluate(sandbox, controls, tmp_path / "e", engine=again, n=3)
    assert again.asked.total() == 3


def test_generation_and_grading_can_be_separate_runs(sandbox, controls, tmp_path):
    """Without a sandbox samples are only stored; a later run grades them without requests."""
    evaluate(sandbox, controls, tmp_path / "e", engine=Counted(), grade=False)
    result = evaluate(sandbox, controls, tmp_path / "e")
    assert result.scores[0].value == 1.0


def explaining_bench():
    """The small benchmark, whose problems are explained first."""
    bench = small_bench()

    def ask(of):
        second = bench.prompt(of)

        def then(explanation):
            return replace(second, instruction=f"{second.instruction} It {explanation}.")

        return replace(second, instruction=f"Explain {of.id}.", then=then)

    return replace(bench, prompt_of=ask)


def explained(request):
    """Explain a problem, or answer it if the explanation is in the prompt."""
    asked = request.messages[-1].content
    if asked.startswith("Explain"):
        return f"is {asked[8:-1]}"
    assert "It is small/" in asked
    return right(request)


def test_a_prompt_of_two_steps_shows_the_second_only_the_first_answer(sandbox, controls, tmp_path):
    """The program is made from the explanation, and both are stored."""
    engine = Counted(explained)
    result = evaluate(sandbox, controls, tmp_path / "e", engine=engine, bench=explaining_bench())
    assert result.scores[0].value == 1.0
    assert engine.asked.total() == 6
    with EvalStore.read(tmp_path / "e") as store:
        assert store.first_step("small", "small/1", 0) == "is small/1"
        assert store.first_step("small", "small/1", 1) is None


def test_a_first_step_is_not_asked_again_when_the_second_fails(sandbox, controls, tmp_path):
    """What was computed is kept: only the missing second step is asked."""
    engine = Counted(explained, fail_at=[3])
    evaluate(sandbox, controls, tmp_path / "e", engine=engine, bench=explaining_bench())
    again = Counted(explained)
    result = evaluate(sandbox, controls, tmp_path / "e", engine=again, bench=explaining_bench())
    assert result.scores[0].value == 1.0
    assert again.asked.total() == 1


def test_a_sandbox_failure_is_no_verdict_and_is_retried(sandbox, controls, tmp_path):
    """The score is withheld with the reason, until the next run grades the sample."""
    box = Unreliable(sandbox.sandbox, "items[-1]", 1)
    result = evaluate(sandbox, controls, tmp_path / "e", engine=Counted(), box=box)
    assert result.scores == ()
    assert "1 problems could not be judged (small/2)" in result.withheld
    assert "a worker ended" in result.notes[0]
    assert dict(result.kinds) == {"passed": 2}
    result = evaluate(sandbox, controls, tmp_path / "e", engine=Counted())
    assert (result.withheld, result.scores[0].value, result.notes) == ("", 1.0, ())


def test_a_failed_request_is_no_verdict_and_is_retried(sandbox, controls, tmp_path):
    """Other samples continue; the next run only requests the failed one."""
    engine = Counted(fail_at=[1])
    result = evaluate(sandbox, controls, tmp_path / "e", engine=engine)
    assert "could not be judged" in result.withheld
    again = Counted()
    assert evaluate(sandbox, controls, tmp_path / "e", engine=again).scores[0].value == 1.0
    assert again.asked.total() == 1


def test_a_server_that_rejects_everything_ends_it(sandbox, controls, tmp_path):
    """After 20 consecutive failures it stops; a later run continues."""
    engine = Counted(fail_at=range(999))
    with pytest.raises(EngineError, match="failed at"):
        evaluate(sandbox, controls, tmp_path / "e", engine=engine, n=30)
    assert engine.asked.total() < 30
    again = Counted()
    assert evaluate(sandbox, controls, tmp_path / "e", engine=again, n=30).scores[0].value == 1.0
    assert again.asked.total() == 90


@pytest.mark.parametrize("fault", [Fault.SETUP, Fault.MOMENT])
def test_a_server_or_set_up_at_fault_ends_it_at_once(sandbox, controls, tmp_path, fault):
    """No sample is without a verdict for it; a later run asks for what is missing."""

    class Down(Counted):
        def fail_at_with(self, number):
            return EngineError("down", asked="counted", retryable=True, fault=fault)

    with pytest.raises(EngineError, match="down"):
        evaluate(sandbox, controls, tmp_path / "e", engine=Down(fail_at=[2]), n=3)
    again = Counted()
    result = evaluate(sandbox, controls, tmp_path / "e", engine=again, n=3)
    assert result.scores[0].value == 1.0
    assert 1 <= again.asked.total() < 9


def test_a_budget_stops_it_and_a_higher_one_resumes_it(sandbox, controls, tmp_path):
    """BudgetReached leaves the paid samples in the folder."""
    with pytest.raises(BudgetReached):
        evaluate(sandbox, controls, tmp_path / "e", engine=Broke(fail_at=range(2, 99)), n=3)
    again = Counted()
    assert evaluate(sandbox, controls, tmp_path / "e", engine=again, n=3).scores[0].value == 1.0
    assert again.asked.total() == 7


def test_answers_without_a_program_fail_and_are_counted_as_odd(sandbox, controls, tmp_path):
    """A sample without a program fails, and the share of such samples is reported."""
    engine = Counted(lambda request: "I would rather not.")
    result = evaluate(sandbox, controls, tmp_path / "e", engine=engine)
    assert result.scores[0].value == 0.0
    assert dict(result.odd) == {"nothing": 3}
    assert dict(result.kinds) == {"error": 3}


@pytest.mark.parametrize(
    ("bench", "problem", "word"),
    [
        (small_bench(broken=True), "small/1", "reference does not pass"),
        (small_bench(generous=True), "small/2", "stub passes"),
    ],
)
def test_controls_that_fail_are_named(sandbox, controls, tmp_path, bench, problem, word):
    """A reference that fails or a stub that passes excludes its problem from every score."""
    with EvalStore.create(tmp_path / "e", SETTINGS) as store:
        one = Evaluation(store, bench, generator=None, n=1, in_flight=2, problems=bench.problems())
        faults = sandbox.runner.run(one.check(controls))
        assert list(faults) == [problem]
        assert word in faults[problem]
        samples = [
            Sample.of(f"small/{n}", 0, c, PromptForm.PROGRAM)
            for n, c in enumerate([DOUBLE, ADD, LAST])
        ]
        store.add_samples("small", samples)
        sandbox.runner.run(one.run(sandbox.sandbox, controls))
        assert result_of(store, bench, faults=faults, partial=False).scores == ()
        partial = result_of(store, bench, faults=faults, partial=True)
        assert partial.scores[0].n_problems == 2
        assert any(problem in note for note in partial.notes)


def test_controls_are_measured_once(sandbox, controls, tmp_path):
    """A valid control is cached: the second check runs nothing."""
    bench = small_bench()

    async def look(box_times):
        controls._sandbox = Unreliable(sandbox.sandbox, "def", box_times)
        return [(await controls.finding(p)).fault for p in bench.problems()]

    assert sandbox.runner.run(look(0)) == ["", "", ""]
    controls._db.flush()
    assert sandbox.runner.run(look(99)) == ["", "", ""]


class Counting:
    """A sandbox that counts the programs that it runs."""

    def __init__(self, inner):
        self.inner, self.n = inner, 0

    async def run(self, program, limits):
        self.n += 1
        return await self.inner.run(program, limits)


def test_equal_programs_are_run_once_and_all_have_verdicts(sandbox, controls, tmp_path):
    """Ten samples with one program take one run; a failed run is not reused."""
    box = Counting(sandbox.sandbox)
    result = evaluate(sandbox, controls, tmp_path / "e", engine=Counted(), n=10, box=box)
    assert (result.n_samples, result.scores[0].value, box.n) == (30, 1.0, 3)
    box = Unreliable(sandbox.sandbox, "2 * x", 1)
    result = evaluate(sandbox, controls, tmp_path / "f", engine=Counted(), n=10, box=box)
    assert result.scores == ()
    assert evaluate(sandbox, controls, tmp_path / "f", n=10).scores[0].value == 1.0


def test_one_failure_of_a_reference_fails_no_later_sample(sandbox, controls, tmp_path):
    """Each sample of a problem would repeat a stored failure, and 20 in a row end the evaluation."""
    bench, box = small_bench(), sandbox.sandbox
    controls._sandbox = Unreliable(box, "def", 1)
    role = Role(Counted(lambda r: f"{right(r)}\n# {r.seed}"), "toy", Sampling(0.5, 1.0, 200))
    with EvalStore.create(tmp_path / "e", SETTINGS) as store:
        one = Evaluation(
            store,
            bench,
            generator=SampleGenerator(role, CHAT, 0),
            n=FAILURES_IN_A_ROW + 1,
            in_flight=1,
            problems=bench.problems()[:1],
        )
        sandbox.runner.run(one.run(box, controls))
    assert (one.progress.failures, one.progress.passed) == (1, FAILURES_IN_A_ROW)


@pytest.mark.parametrize(
    ("word", "requests", "notes"),
    [
        ("abort", 9, ["3 samples are incomplete (finish reason: abort 3)"]),
        ("content_filter", 9, ["3 samples are incomplete (finish reason: content_filter 3)"]),
        ("length", 3, []),
        ("end_turn", 3, []),
    ],
)
def test_a_sample_that_breaks_off_is_kept_and_noted(
    sandbox, controls, tmp_path, word, requests, notes
):
    """After three requests, with its finish reason; a truncated one after one."""
    counted = Counted()
    evaluate(sandbox, controls, tmp_path / "e", engine=Finishing(counted, word), grade=False)
    assert counted.asked.total() == len(counted.asked) == requests
    with EvalStore.read(tmp_path / "e") as store:
        assert store.finishes("small") == {word: 3}
        assert broken_off_notes(store, small_bench()) == notes


ONE = Sample.of("small/1", 0, "pass", PromptForm.ANSWER)


def test_folders_of_other_settings_and_in_use_are_refused(tmp_path):
    """Samples of two models are not mixed, and two processes do not share a folder."""
    with EvalStore.create(tmp_path / "e", SETTINGS) as store:
        store.add_samples("small", [ONE])
        with pytest.raises(RunFolderError, match="in use"):
            EvalStore.create(tmp_path / "e", SETTINGS)
    with pytest.raises(RunFolderError, match="other values of model"):
        EvalStore.create(tmp_path / "e", {"model": "other"})
    with pytest.raises(RunFolderError, match="holds no evaluation"):
        EvalStore.read(tmp_path / "nothing")


def test_an_evaluation_moves_to_another_server(tmp_path):
    """The model is compared, and not where it is served."""
    with EvalStore.create(tmp_path / "e", {"model": "http://127.0.0.1:1/v1#m", "seed": 0}):
        pass
    with EvalStore.create(tmp_path / "e", {"model": "http://host:2/v1#m", "seed": 0}) as store:
        store.add_samples("small", [ONE])
        assert store.meta("settings")["model"] == "http://host:2/v1#m"
    with pytest.raises(RunFolderError, match="other values of model"):
        EvalStore.create(tmp_path / "e", {"model": "http://host:2/v1#other", "seed": 0})


def test_cancelling_ends_it_at_once(sandbox, controls, tmp_path):
    """After Ctrl-C the folder can be resumed."""
    slow = Counted(lambda request: fenced("import time\ntime.sleep(5)\n" + ADD))

    async def story(one):
        task = asyncio.create_task(one.run(sandbox.sandbox, controls))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    bench = small_bench()
    generator = SampleGenerator(Role(slow, "toy", Sampling(0.5, 1.0, 200)), CHAT, 0)
    with EvalStore.create(tmp_path / "e", SETTINGS) as store:
        one = Evaluation(
            store, bench, generator=generator, n=1, in_flight=1, problems=bench.problems()
        )
        sandbox.runner.run(story(one))
    assert evaluate(sandbox, controls, tmp_path / "f", engine=Counted()).scores[0].value == 1.0


def test_the_models_that_answered_are_counted_over_all_sessions(tmp_path):
    """A server may answer with another model on another day."""
    for found in ({"m": 2}, {"m": 1, "fallback": 4}, {}):
        with EvalStore.create(tmp_path / "e", SETTINGS) as store:
            store.add_answered(found)
    with EvalStore.read(tmp_path / "e") as store:
        assert store.answered() == {"m": 3, "fallback": 4}
