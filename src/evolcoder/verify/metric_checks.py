"""Checks of a row that measure: its shape, how hard it is, whether it keeps the bound it asks for.

Promises: each is a `RowCheck` and leaves one verdict, seeded by the task's id. Kinds are: of SHAPE
`measured`; of DIFFICULTY `measured` and `not_measured`; of BOUND `holds`, `ruled_out`, `undecided`
and `not_measured`, where `said` tells why.

>>> check = Bounded(sandbox, seed=config.seed, memory_mb=512)   # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'ruled_out'
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolcoder.code.callables import Form, fitting, subject_of
from evolcoder.code.reading import parse
from evolcoder.engine.base import Role
from evolcoder.ids import seed_for
from evolcoder.records import JSON, Check, Response, RowVerdict, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import code_blocks
from evolcoder.verify.complexity.bound_parser import asked
from evolcoder.verify.complexity.check import measure
from evolcoder.verify.complexity.fit import HOLDS, RULED_OUT, UNDECIDED
from evolcoder.verify.complexity.verdict import NOT_MEASURED, Measured
from evolcoder.verify.generated_tests.runner import outcomes
from evolcoder.verify.metrics import count_constraints, shape_of
from evolcoder.verify.pass_rate import Difficulty, difficulty

MEASURED = "measured"
COUNTING_S = 60.0
"""Processor seconds for all runs of one function; the budget of counts ends them far earlier."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """Measures lengths, branches and constraints; the score is the complexity of the program."""

    judge: Role | None
    """Counts constraints; None counts none."""
    seed: int
    """Root of all randomness."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        return Check.SHAPE

    async def __call__(
        self, task: Task, response: Response, _before: Mapping[Check, RowVerdict]
    ) -> RowVerdict:
        """Measure a row."""
        constraints = None
        if self.judge is not None:
            constraints = await count_constraints(self.judge, task, seed=self.seed)
        program = python_program(response.text)
        shape = shape_of(task, response, program=program, constraints=constraints)
        return RowVerdict.of(
            response, self.check, MEASURED, score=shape.complexity, detail={**shape.numbers()}
        )


@dataclass(frozen=True, slots=True)
class Rated:
    """Measures how often a model passes the row's sound checks; the score is the pass rate."""

    model: Role
    """Who is asked."""
    sandbox: Sandbox
    """Runs its programs."""
    limits: Limits
    """What one of them may use."""
    samples: int
    """Answers to draw."""
    seed: int
    """Root of all randomness."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        return Check.DIFFICULTY

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, RowVerdict]
    ) -> RowVerdict:
        """Draw samples of a task that has sound checks."""
        wanted = subject_of(response.text, task.instruction)

        async def passes(answer: str, checks: Sequence[str]) -> bool:
            found = fitting(answer, wanted) if wanted else None
            return found is not None and all(
                await outcomes(self.sandbox, found.source, found.entry_point, checks, self.limits)
            )

        found = await difficulty(
            task,
            sound_checks(before) if wanted else (),
            model=self.model,
            passes=passes,
            k=self.samples,
            seed=self.seed,
        )
        return RowVerdict.of(
            response, self.check, found.kind, score=found.rate, detail=_told_of(found)
        )


@dataclass(frozen=True, slots=True)
class Bounded:
    """Measures growth where a task asks for a bound; the score is the exponent that decided it."""

    sandbox: Sandbox
    """Runs the function."""
    seed: int
    """Root of all randomness."""
    memory_mb: int
    """Memory for it."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        return Check.BOUND

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, RowVerdict]
    ) -> RowVerdict:
        """Measure what a task bounds."""
        bounds = asked(task.instruction)
        subject = subject_of(response.text, task.instruction)
        if not bounds or subject is None or subject.form is not Form.FUNCTION:
            why = "no function to measure" if bounds else "the task asks for no bound"
            return RowVerdict.of(response, self.check, NOT_MEASURED, detail={"said": why})
        found = await measure(
            self.sandbox,
            subject.source,
            subject.entry_point,
            bounds,
            checks=[*sound_checks(before), *(one.code for one in code_blocks(response.text))],
            limits=Limits(COUNTING_S, 4 * COUNTING_S, self.memory_mb),
            seed=seed_for(self.seed, "bound", task.id),
        )
        deciding = _deciding(found)
        return RowVerdict.of(
            response,
            self.check,
            deciding.kind,
            score=round(deciding.fit.exponent, 3) if deciding.fit else None,
            detail={
                "said": f"{deciding.bound.text} {deciding.bound.resource}: {deciding.why}",
                "bounds": [_told(one) for one in found],
            },
        )


def sound_checks(before: Mapping[Check, RowVerdict]) -> tuple[str, ...]:
    """Return the checks that stood their own test, which the check `tests` left."""
    verdict = before.get(Check.TESTS)
    if verdict is None or verdict.kind not in {"passed", "failed"}:
        return ()
    checks = verdict.detail.get("checks")
    return tuple(map(str, checks)) if isinstance(checks, list | tuple) else ()


def python_program(text: str) -> str | None:
    """Return the first fenced block of an answer that reads as Python, or None."""
    blocks = [block for block in code_blocks(text) if block.language in {None, "python"}]
    return next((block.code for block in blocks if parse(block.code) is not None), None)


def _deciding(found: Sequence[Measured]) -> Measured:
    """Return the finding for all bounds: one that is missed, else one that is open, else any."""
    for kind in (RULED_OUT, UNDECIDED, NOT_MEASURED, HOLDS):
        for one in found:
            if one.kind == kind:
                return one
    raise ValueError("there are no bounds")


def _told(one: Measured) -> dict[str, JSON]:
    told: dict[str, JSON] = {
        "bound": one.bound.text,
        "resource": one.bound.resource.value,
        "kind": one.kind,
        "why": one.why,
        "shape": one.shape,
    }
    if one.fit is not None:
        told |= {
            "excess": [round(value, 3) for value in (one.fit.low, one.fit.excess, one.fit.high)],
            "step": round(one.fit.step, 3),
        }
    return told


def _told_of(found: Difficulty) -> dict[str, JSON]:
    told: dict[str, JSON] = {"model": found.model, "n": found.n, "passed": found.n_passed}
    if found.why:
        return {**told, "said": found.why}
    return {**told, "interval": [round(found.low, 4), round(found.high, 4)]}
