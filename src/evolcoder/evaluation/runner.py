"""Runs an evaluation: generates missing samples and grades them concurrently.

Guarantees: each sample is one coroutine, with a bounded number at once. Each step's result is
stored before the next step and never computed again. A problem's test is parsed once for all its
samples, then released, and identical programs are run once. A failure of the sandbox or of a
request is stored separately and is not a verdict; the next run retries it. A server that
is down, or a set-up at fault, ends the run. Any other failure while
a sample is judged is its verdict: an error, which counts as not passed and is reported separately.
`check` runs the benchmark's references and stubs; call it before `run`.

>>> evaluation = Evaluation(  # doctest: +SKIP
...     store, bench, generator=None, n=1, in_flight=64, problems=bench.problems()
... )
>>> await evaluation.run(sandbox, controls)   # doctest: +SKIP
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass

from evolcoder.bench.base import (
    Bench,
    CallChecks,
    CandidateProgram,
    ExtractedProgram,
    Problem,
    ProgramChecks,
    PromptSettings,
    Sample,
)
from evolcoder.bench.function_bench import undefined_functions
from evolcoder.bench.prompts import Template
from evolcoder.concurrency import run_bounded
from evolcoder.engine.base import Role
from evolcoder.errors import BudgetReached, EngineError, SandboxError, UnjudgedError
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.grading.problem_checks import (
    ProblemTest,
    ReferenceChecks,
    ReferenceFinding,
    ReferenceMeasurement,
)
from evolcoder.ids import seed_for
from evolcoder.sample_errors import judging
from evolcoder.sandbox.base import Kind, Sandbox, Verdict

BARE_STUBS = 4
"""Approximate number of stubs to run of problems without a reference."""
FAILURES_IN_A_ROW = 20
"""Consecutive failed requests or programs after which the evaluation stops."""
NO_PROGRAM = "there is no program in the answer"


@dataclass(frozen=True, slots=True)
class SampleGenerator:
    """Generates samples with a model."""

    role: Role
    """The model with its sampling parameters."""
    template: Template
    """Prompt template."""
    seed: int
    """Root of the samples' seeds."""

    async def generate(
        self, prompt: PromptSettings, problem: Problem, number: int
    ) -> tuple[Sample, str]:
        """Generate one sample; return it with its finish reason. Raises EngineError."""
        text, finish = await self.answer(prompt, problem, number)
        return Sample.of(problem.id, number, text, self.template.form), finish

    async def answer(
        self, prompt: PromptSettings, problem: Problem, number: int
    ) -> tuple[str, str]:
        """Return the model's answer to one prompt, and its finish reason. Raises EngineError."""
        seed = seed_for(self.seed, "sample", problem.id, number)
        completion = await self.role.ask(self.template.messages(prompt), seed=seed)
        return completion.text, completion.finish


@dataclass(slots=True)
class EvaluationProgress:
    """Progress counters, updated during a run."""

    phase: str = ""
    """Current phase."""
    done: int = 0
    """Samples with a verdict, or problems that were checked."""
    total: int = 0
    """Number of all samples or problems."""
    stored: int = 0
    """Of `done`, those that an earlier session finished."""
    in_flight: int = 0
    """Samples or problems being worked on."""
    passed: int = 0
    """Samples that passed."""
    failures: int = 0
    """Samples without a verdict because of a failure."""
    unjudged: int = 0
    """Samples whose verdict is that judging failed."""


class Evaluation:
    """The evaluation of one benchmark."""

    def __init__(
        self,
        store: EvalStore,
        bench: Bench,
        *,
        generator: SampleGenerator | None,
        n: int,
        in_flight: int,
        problems: Sequence[Problem],
    ) -> None:
        self.progress = EvaluationProgress()
        self._store = store
        self._bench = bench
        self._generator = generator
        self._n = n
        self._in_flight = in_flight
        self._problems = problems
        self._limit: BudgetReached | None = None
        self._consecutive_failures = 0

    async def check(self, controls: ReferenceChecks) -> dict[str, str]:
        """Run references and stubs that are not cached; return problem -> fault."""
        return await self_check(
            self._problems, controls, in_flight=self._in_flight, progress=self.progress
        )

    async def generate(self) -> None:
        """Generate the missing samples without grading; raise BudgetReached at a limit."""
        await self._process_all(None, None)

    async def run(self, sandbox: Sandbox, controls: ReferenceChecks) -> None:
        """Generate and grade the missing samples; raise BudgetReached at a limit."""
        await self._process_all(sandbox, controls)

    async def _process_all(self, sandbox: Sandbox | None, controls: ReferenceChecks | None) -> None:
        progress = self.progress
        phases = ("generating" if self._generator else "", "grading" if sandbox else "")
        progress.phase = " and ".join(filter(None, phases))
        progress.done = progress.passed = progress.failures = progress.unjudged = 0
        progress.stored = 0
        progress.total = self._n * len(self._problems)
        if not self._generator:  # a file may have any number of samples of a problem
            counts = (self._store.n_samples(self._bench.name, one.id) for one in self._problems)
            progress.total = sum(counts)
        graders = (_ProblemGrader(problem, sandbox, controls) for problem in self._problems)
        jobs = (job for grader in graders for job in self._jobs(grader))
        await run_bounded(jobs, self._in_flight)
        self._store.db.flush()
        if self._limit is not None:
            raise self._limit

    def _jobs(self, grader: "_ProblemGrader") -> Iterator[Awaitable[None]]:
        """Yield a coroutine for each unfinished sample of a problem."""
        name, problem = self._bench.name, grader.problem
        samples = self._store.samples(name, problem.id)
        finished = self._store.judged_numbers(name, problem.id) if grader.sandbox else set(samples)
        self.progress.done += len(finished)
        self.progress.stored += len(finished)
        numbers = range(self._n) if self._generator else sorted(samples)
        unfinished = [number for number in numbers if number not in finished]
        grader.n_pending = len(unfinished)
        for number in unfinished:
            yield self._process(grader, number, samples.get(number))

    async def _process(self, grader: "_ProblemGrader", number: int, sample: Sample | None) -> None:
        """Generate and grade one sample."""
        name, problem = self._bench.name, grader.problem
        if self._limit is not None:
            return
        self.progress.in_flight += 1
        try:
            sample = sample or await self._generate(problem, number)
            if grader.sandbox is not None:
                verdict = await self._judge(grader, sample)
                self.progress.passed += verdict.passed
            self.progress.done += 1
        except BudgetReached as limit:
            self._limit = limit
        except (EngineError, SandboxError) as error:
            if isinstance(error, EngineError) and error.retryable:
                raise
            self.progress.failures += 1
            self._store.add_failure(name, problem.id, number, str(error))
            self._consecutive_failures += 1
            if self._consecutive_failures >= FAILURES_IN_A_ROW:
                raise
        else:
            self._consecutive_failures = 0
        finally:
            self.progress.in_flight -= 1
            grader.release()

    async def _judge(self, grader: "_ProblemGrader", sample: Sample) -> StoredVerdict:
        """Grade a sample and store its verdict; if judging fails, the verdict is that error."""
        name, found = self._bench.name, ExtractedProgram.NOTHING
        try:
            with judging():
                candidate = self._bench.candidate(grader.problem, sample)
                found = candidate.found
                verdict = await grader.judge(candidate)
                self._store.add_verdict(name, verdict)
        except UnjudgedError as error:
            self.progress.unjudged += 1
            verdict = _verdict_of_error(sample, found, error)
            self._store.add_verdict(name, verdict)
        return verdict

    async def _generate(self, problem: Problem, number: int) -> Sample:
        assert self._generator is not None
        prompt = self._bench.prompt(problem)
        if prompt.then is not None:
            prompt = prompt.then(await self._first_step(prompt, problem, number))
        sample, finish = await self._generator.generate(prompt, problem, number)
        self._store.add_sample(self._bench.name, sample, finish)
        return sample

    async def _first_step(self, prompt: PromptSettings, problem: Problem, number: int) -> str:
        """Return the answer to the first of two prompts, stored or new."""
        assert self._generator is not None
        stored = self._store.first_step(self._bench.name, problem.id, number)
        if stored is not None:
            return stored
        text, finish = await self._generator.answer(prompt, problem, number)
        self._store.add_first_step(self._bench.name, (problem.id, number), text, finish)
        return text


class _ProblemGrader:
    """Grades the samples of one problem; parses its test once and runs equal programs once."""

    def __init__(
        self, problem: Problem, sandbox: Sandbox | None, controls: ReferenceChecks | None
    ) -> None:
        self.problem = problem
        self.sandbox = sandbox
        self.n_pending = 0
        self._controls = controls
        self._test: asyncio.Future[ProblemTest] | None = None
        self._verdicts: dict[str, asyncio.Future[Verdict]] = {}

    def release(self) -> None:
        """Count one sample as done; after the last one, free the test and the verdicts."""
        self.n_pending -= 1
        if self.n_pending <= 0:
            for pending in (self._test, *self._verdicts.values()):
                if pending is not None:
                    pending.cancel()  # shielded, so cancelling the samples did not cancel it
            self._test = None
            self._verdicts.clear()

    async def judge(self, candidate: CandidateProgram) -> StoredVerdict:
        """Grade the program of a sample."""
        assert self.sandbox is not None
        if candidate.fault or not candidate.program.strip():
            return _verdict_without_run(candidate)
        verdict = await self._verdict(candidate.program)
        return _stored_verdict(self.problem, candidate, verdict)

    async def _verdict(self, program: str) -> Verdict:
        """Grade a program, once for all samples with the same program."""
        if program not in self._verdicts:
            self._verdicts[program] = asyncio.ensure_future(self._grade(program))
        return await asyncio.shield(self._verdicts[program])

    async def _grade(self, program: str) -> Verdict:
        assert self.sandbox is not None
        try:
            return await (await self._shared_test()).grade(self.sandbox, program)
        except BaseException:
            self._verdicts.pop(program, None)
            raise

    async def _shared_test(self) -> ProblemTest:
        if self._test is None:
            self._test = asyncio.ensure_future(self._make_test())
        return await asyncio.shield(self._test)

    async def _make_test(self) -> ProblemTest:
        assert self._controls is not None
        if self.problem.reference is None and not isinstance(self.problem.checks, ProgramChecks):
            return ProblemTest.of(self.problem, ReferenceMeasurement())
        try:
            measured = await self._controls.measurement(self.problem)
        except BaseException:
            self._test = None
            raise
        return ProblemTest.of(self.problem, measured)


async def self_check(
    problems: Sequence[Problem],
    controls: ReferenceChecks,
    *,
    in_flight: int,
    progress: EvaluationProgress,
) -> dict[str, str]:
    """Run references and stubs that are not cached; return problem -> fault.

    Raises SandboxError.
    """
    chosen = _problems_to_check(problems)
    progress.phase, progress.total, progress.done = "checking itself", len(chosen), 0
    progress.stored = 0
    findings: dict[str, ReferenceFinding] = {}

    async def check(problem: Problem) -> None:
        progress.in_flight += 1
        findings[problem.id] = await controls.finding(problem)
        progress.in_flight -= 1
        progress.done += 1

    await run_bounded(map(check, chosen), in_flight)
    found = {problem.id: findings[problem.id] for problem in chosen}
    if found and all(one.stub.startswith(Kind.COMPILE_ERROR) for one in found.values()):
        return dict.fromkeys(
            found, "its stub does not compile: is the language's toolchain complete?"
        )
    return {problem: one.fault for problem, one in found.items() if one.fault}


def _problems_to_check(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems with a reference, and a few others.

    A stub without reference is a weak check and may take a compiler, so an evenly spaced sample of
    them suffices.
    """
    bare = [problem for problem in problems if problem.reference is None]
    few = {problem.id for problem in bare[:: max(1, len(bare) // BARE_STUBS)]}
    return [p for p in problems if p.reference is not None or p.id in few]


def _verdict_without_run(candidate: CandidateProgram) -> StoredVerdict:
    """Build the verdict of a sample without a program that can be run: it has failed."""
    facts = {
        "kind": Kind.COMPILE_ERROR if candidate.fault else Kind.ERROR,
        "detail": candidate.fault or NO_PROGRAM,
        "cut": candidate.cut,
    }
    return StoredVerdict(
        problem=candidate.problem,
        number=candidate.index,
        passed=False,
        base_passed=None,
        found=candidate.found.value,
        facts=facts,
    )


def _verdict_of_error(
    sample: Sample, found: ExtractedProgram, error: UnjudgedError
) -> StoredVerdict:
    """Build the verdict of a sample that could not be judged: it has not passed."""
    facts = {"kind": Kind.ERROR, "detail": str(error), "cut": (), "unjudged": True}
    return StoredVerdict(
        problem=sample.problem,
        number=sample.index,
        passed=False,
        base_passed=None,
        found=found.value,
        facts=facts,
    )


def _stored_verdict(
    problem: Problem, candidate: CandidateProgram, verdict: Verdict
) -> StoredVerdict:
    execution = verdict.execution
    facts = {
        "kind": verdict.kind,
        "check": verdict.check,
        "expected": verdict.expected,
        "got": verdict.got,
        "detail": _detail(problem, candidate, verdict),
        "separation": verdict.separation,
        "cut": candidate.cut,
        "chosen": candidate.chosen,
        "cpu_s": round(execution.cpu_s, 4),
        "compile_s": round(execution.compile_s, 4),
        "peak_mb": round(execution.peak_mb, 1),
        "layers": execution.layers,
        "missing": execution.missing,
    }
    return StoredVerdict(
        candidate.problem,
        candidate.index,
        verdict.passed,
        _base_passed(problem, verdict),
        candidate.found.value,
        facts,
    )


def _detail(problem: Problem, candidate: CandidateProgram, verdict: Verdict) -> str:
    """Return what went wrong; first of all the function that the program does not define."""
    if verdict.passed:
        return verdict.detail
    lacking = undefined_functions(problem, candidate.program)
    if not lacking:
        return verdict.detail
    what = f"the program has no function {', '.join(lacking)} with a body"
    is_same = not verdict.detail or verdict.detail == f"KeyError: {lacking[0]!r}"
    return what if is_same else f"{what}; {verdict.detail}"


def _base_passed(problem: Problem, verdict: Verdict) -> bool | None:
    checks = problem.checks
    if not isinstance(checks, CallChecks) or checks.n_base == len(checks.inputs):
        return None
    base = verdict.outcomes[: checks.n_base]
    return verdict.passed or (len(base) == checks.n_base and all(base))
