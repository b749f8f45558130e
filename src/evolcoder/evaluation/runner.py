"""The story of an evaluation: every sample is generated if need be, and graded, at the same time.

Promises: one sample's life is one coroutine, a bounded number of them at once; what was generated
or graded is stored before the next step and never done again; a problem's checks are made ready
once for all of its samples and then let go of, and equal programs are run once; a failure of the
sandbox or of one request is kept apart and is no verdict. Whatever else goes wrong while a sample
is judged is its verdict: an error, which counts as not passed and is reported apart. Before
anything is asked or graded, the benchmark checks itself.

>>> await Evaluation(store, bench, judge, asker=None, n=1, in_flight=64).run()   # doctest: +SKIP
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
    Sample,
)
from evolcoder.bench.prompts import Template
from evolcoder.engine.base import Role
from evolcoder.errors import BudgetReached, EngineError, SandboxError, UnjudgedError
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.grading.problem_test import ProblemTest, ReferenceMeasurement
from evolcoder.grading.reference_checks import ReferenceChecks, ReferenceFinding
from evolcoder.ids import seed_for
from evolcoder.sample_errors import judging
from evolcoder.sandbox.base import Kind, Sandbox, Verdict

BARE_STUBS = 4
"""About so many stubs are run of problems that have no reference."""
FAILURES_IN_A_ROW = 20
"""So many requests or programs that fail one after the other mean that all of them will."""
NO_PROGRAM = "there is no program in the answer"


@dataclass(frozen=True, slots=True)
class SampleGenerator:
    """Who is asked for samples, and how."""

    role: Role
    """The model with its sampling."""
    template: Template
    """How a problem is put to it."""
    seed: int
    """Root of the draws' seeds."""

    async def ask(self, bench: Bench, problem: Problem, number: int) -> tuple[Sample, str]:
        """Draw one sample; return it with the way in which it finished."""
        seed = seed_for(self.seed, "sample", problem.id, number)
        said = await self.role.ask(self.template.messages(bench.ask(problem)), seed=seed)
        return Sample.of(problem.id, number, said.text, self.template.form), said.finish


@dataclass(slots=True)
class EvaluationProgress:
    """What has been done so far, for whoever shows it."""

    phase: str = ""
    """What is being done."""
    done: int = 0
    """Samples with a verdict, or problems that were checked."""
    total: int = 0
    """All of them."""
    passed: int = 0
    """Samples that passed."""
    failures: int = 0
    """Samples that no verdict was reached on."""
    unjudged: int = 0
    """Samples whose verdict says that they could not be judged."""


class Evaluation:
    """One benchmark, from its self-check to its last verdict."""

    def __init__(
        self,
        store: EvalStore,
        bench: Bench,
        *,
        asker: SampleGenerator | None,
        n: int,
        in_flight: int,
        problems: Sequence[Problem],
    ) -> None:
        self.progress = EvaluationProgress()
        self._store = store
        self._bench = bench
        self._asker = asker
        self._n = n
        self._in_flight = in_flight
        self._problems = problems
        self._limit: BudgetReached | None = None
        self._in_a_row = 0

    async def check(self, controls: ReferenceChecks) -> dict[str, str]:
        """Run references and stubs where that is still to be done: problem -> what is wrong."""
        return await self_check(
            self._problems, controls, in_flight=self._in_flight, progress=self.progress
        )

    async def generate(self) -> None:
        """Ask for the samples that are missing, and grade nothing."""
        await self._through(None, None)

    async def run(self, sandbox: Sandbox, controls: ReferenceChecks) -> None:
        """Generate and grade what is missing; raise BudgetReached when a limit ends it early."""
        await self._through(sandbox, controls)

    async def _through(self, sandbox: Sandbox | None, controls: ReferenceChecks | None) -> None:
        progress = self.progress
        works = ("generating" if self._asker else "", "grading" if sandbox else "")
        progress.phase = " and ".join(filter(None, works))
        progress.done = progress.passed = progress.failures = progress.unjudged = 0
        progress.total = self._n * len(self._problems)
        desks = (_ProblemGrader(problem, sandbox, controls) for problem in self._problems)
        await _all((life for desk in desks for life in self._lives(desk)), self._in_flight)
        self._store.db.flush()
        if self._limit is not None:
            raise self._limit

    def _lives(self, desk: "_ProblemGrader") -> Iterator[Awaitable[None]]:
        """Hand out the samples of a problem that still want something."""
        name, problem = self._bench.name, desk.problem
        samples = self._store.samples(name, problem.id)
        judged = self._store.judged_numbers(name, problem.id) if desk.sandbox else set(samples)
        self.progress.done += len(judged)
        numbers = range(self._n) if self._asker else sorted(samples)
        wanting = [number for number in numbers if number not in judged]
        desk.waiting = len(wanting)
        for number in wanting:
            yield self._live(desk, number, samples.get(number))

    async def _live(self, desk: "_ProblemGrader", number: int, sample: Sample | None) -> None:
        """Take one sample through generation and grading."""
        name, problem = self._bench.name, desk.problem
        if self._limit is not None:
            return
        try:
            sample = sample or await self._draw(problem, number)
            if desk.sandbox is not None:
                self.progress.passed += (await self._judge(desk, sample)).passed
            self.progress.done += 1
        except BudgetReached as limit:
            self._limit = limit
        except (EngineError, SandboxError) as error:
            self.progress.failures += 1
            self._store.add_failure(name, problem.id, number, str(error))
            self._in_a_row += 1
            if self._in_a_row >= FAILURES_IN_A_ROW:
                raise
        else:
            self._in_a_row = 0
        finally:
            desk.release()

    async def _judge(self, desk: "_ProblemGrader", sample: Sample) -> StoredVerdict:
        """Grade a sample and store its verdict; a failure at it is its verdict too."""
        name, found = self._bench.name, ExtractedProgram.NOTHING
        try:
            with judging():
                candidate = self._bench.candidate(desk.problem, sample)
                found = candidate.found
                judged = await desk.judge(candidate)
                self._store.add_verdict(name, judged)
        except UnjudgedError as error:
            self.progress.unjudged += 1
            judged = _unjudged(sample, found, error)
            self._store.add_verdict(name, judged)
        return judged

    async def _draw(self, problem: Problem, number: int) -> Sample:
        assert self._asker is not None
        sample, finish = await self._asker.ask(self._bench, problem, number)
        self._store.add_sample(self._bench.name, sample, finish)
        return sample


class _ProblemGrader:
    """Where the samples of one problem are graded: its checks are made ready once."""

    def __init__(
        self, problem: Problem, sandbox: Sandbox | None, controls: ReferenceChecks | None
    ) -> None:
        self.problem = problem
        self.sandbox = sandbox
        self.waiting = 0
        self._controls = controls
        self._test: asyncio.Future[ProblemTest] | None = None
        self._verdicts: dict[str, asyncio.Future[Verdict]] = {}

    def release(self) -> None:
        """Let go of the checks when the last sample is done."""
        self.waiting -= 1
        if self.waiting <= 0:
            for pending in (self._test, *self._verdicts.values()):
                if pending is not None:
                    pending.cancel()  # where those who waited were cancelled, nobody else would
            self._test = None
            self._verdicts.clear()

    async def judge(self, candidate: CandidateProgram) -> StoredVerdict:
        """Grade the program of a sample."""
        assert self.sandbox is not None
        if candidate.fault or not candidate.program.strip():
            return _unrun(candidate)
        verdict = await self._verdict(candidate.program)
        return _judged(self.problem, candidate, verdict)

    async def _verdict(self, program: str) -> Verdict:
        """Grade a program, once for all samples that hold it: it would end the same way again."""
        if program not in self._verdicts:
            self._verdicts[program] = asyncio.ensure_future(self._grade(program))
        return await asyncio.shield(self._verdicts[program])

    async def _grade(self, program: str) -> Verdict:
        assert self.sandbox is not None
        try:
            return await (await self._ready()).grade(self.sandbox, program)
        except BaseException:
            self._verdicts.pop(program, None)
            raise

    async def _ready(self) -> ProblemTest:
        if self._test is None:
            self._test = asyncio.ensure_future(self._make())
        return await asyncio.shield(self._test)

    async def _make(self) -> ProblemTest:
        assert self._controls is not None
        if self.problem.reference is None and not isinstance(self.problem.checks, ProgramChecks):
            return ProblemTest.of(self.problem, ReferenceMeasurement())
        return ProblemTest.of(self.problem, await self._controls.measurement(self.problem))


async def self_check(
    problems: Sequence[Problem],
    controls: ReferenceChecks,
    *,
    in_flight: int,
    progress: EvaluationProgress,
) -> dict[str, str]:
    """Run references and stubs where that is still to be done: problem -> what is wrong."""
    chosen = _controlled(problems)
    progress.phase, progress.total, progress.done = "checking itself", len(chosen), 0
    findings: dict[str, ReferenceFinding] = {}

    async def look(problem: Problem) -> None:
        findings[problem.id] = await controls.finding(problem)
        progress.done += 1

    await _all(map(look, chosen), in_flight)
    found = {problem.id: findings[problem.id] for problem in chosen}
    if found and all(one.stub.startswith(Kind.COMPILE_ERROR) for one in found.values()):
        return dict.fromkeys(found, "its stub does not compile: are the language's tools whole?")
    return {problem: one.fault for problem, one in found.items() if one.fault}


def _controlled(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems whose controls are run: those with a reference, and a few others.

    A stub alone says little and may take a compiler; some of them, spread evenly, say the same.
    """
    bare = [problem for problem in problems if problem.reference is None]
    few = {problem.id for problem in bare[:: max(1, len(bare) // BARE_STUBS)]}
    return [p for p in problems if p.reference is not None or p.id in few]


async def _all(lives: Iterator[Awaitable[None]], bound: int) -> None:
    """Run coroutines, at most so many at once; the iterator is asked only when there is room."""

    async def work() -> None:
        for life in lives:
            await life

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(bound):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _unrun(candidate: CandidateProgram) -> StoredVerdict:
    """Judge what cannot be run: such a sample is wrong, and its verdict says why."""
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


def _unjudged(sample: Sample, found: ExtractedProgram, error: UnjudgedError) -> StoredVerdict:
    """Make the verdict of a sample that could not be judged: it has not passed."""
    facts = {"kind": Kind.ERROR, "detail": str(error), "cut": (), "unjudged": True}
    return StoredVerdict(
        problem=sample.problem,
        number=sample.index,
        passed=False,
        base_passed=None,
        found=found.value,
        facts=facts,
    )


def _judged(problem: Problem, candidate: CandidateProgram, verdict: Verdict) -> StoredVerdict:
    execution = verdict.execution
    facts = {
        "kind": verdict.kind,
        "check": verdict.check,
        "expected": verdict.expected,
        "got": verdict.got,
        "detail": verdict.detail,
        "separation": verdict.separation,
        "cut": candidate.cut,
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


def _base_passed(problem: Problem, verdict: Verdict) -> bool | None:
    checks = problem.checks
    if not isinstance(checks, CallChecks) or checks.n_base == len(checks.inputs):
        return None
    base = verdict.outcomes[: checks.n_base]
    return verdict.passed or (len(base) == checks.n_base and all(base))
