"""Solutions in MultiPL-E's 18 languages, written for these tests, and their verdicts."""

import asyncio
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from driver import Driver, program_test, usable
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.bench.multipl_e import CONFIGURATIONS, LANGUAGES
from evolcoder.errors import SandboxRefusedError
from evolcoder.grading.sealed import grade_program
from evolcoder.sandbox.base import Kind, Limits, Separation
from evolcoder.sandbox.pool import PoolSandbox
from groups import by_language

ROOMY = Limits(cpu_s=10, wall_s=60, compile_s=120)
BRIEF = Limits(cpu_s=1, wall_s=60, compile_s=120)
KINDS = {
    "passes": Kind.PASSED,
    "is wrong": Kind.FAILED,
    "throws": Kind.ERROR,
    "does not parse": Kind.ERROR,
    "never ends": Kind.TIMEOUT,
    "ends early": Kind.FORGED,
    "does not compile": Kind.COMPILE_ERROR,
}
ANSWERS_ALL_THE_SAME = {"sh"}
"""Languages whose stub ends with an empty answer."""
FORMS = {"a completion": PromptForm.COMPLETION, "an answer": PromptForm.ANSWER}
HEADING = re.compile(r"^=== (\w+) (.*), as (.*)\n", re.MULTILINE)
EVERY = 240
"""One problem in so many is tested: the first of HumanEval, and two of MBPP."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One solution of the files in the folder."""

    code: str
    """MultiPL-E's code of the language."""
    problem: str
    """Id of the problem."""
    does: str
    """A key of KINDS."""
    form: PromptForm
    """Form of the sample."""
    text: str
    """Text of the sample."""

    def __str__(self):
        name = self.problem.split("_", 2)[2]
        return f"{self.code}-{name}-{self.does.replace(' ', '-')}"


def _written():
    for code in LANGUAGES:
        text = Path(__file__).with_name("multipl_e").joinpath(f"{code}.txt").read_text("utf-8")
        parts = HEADING.split(text)[1:]
        for problem, does, form, body in zip(*(parts[n::4] for n in range(4)), strict=True):
            yield Solution(code, problem, does, FORMS[form], body)


SOLUTIONS = list(_written())


@pytest.fixture(scope="module")
def polyglot():
    here = list(usable("strict", LANGUAGES.values()))
    with asyncio.Runner() as runner:
        try:
            pool = runner.run(PoolSandbox.start(workers=2, languages=here))
        except SandboxRefusedError as error:
            pytest.skip(str(error))
        yield Driver(runner, pool)
        runner.run(pool.aclose())


@pytest.fixture(scope="module")
def grade(polyglot):
    """Grade programs of one language concurrently, each with its tests and limits.

    Skips if the toolchain or a library that the tests import is missing.
    """

    async def together(code, cases):
        language, sandbox = LANGUAGES[code], polyglot.sandbox
        problems = {problem.id: problem for _, problem, _ in cases}
        tests = {
            id: await program_test(sandbox, language, problem.prompt, problem.checks.tests)
            for id, problem in problems.items()
        }
        graded = (
            grade_program(sandbox, program, tests[problem.id], limits)
            for program, problem, limits in cases
        )
        return await asyncio.gather(*graded)

    def graded(code, cases):
        texts = [text for program, problem, _ in cases for text in (program, problem.checks.tests)]
        polyglot.needs(LANGUAGES[code], *texts)
        return polyglot.runner.run(together(code, cases))

    return graded


@pytest.fixture(scope="module")
def judged(named, grade):
    """Grades all solutions of a language at once, and keeps the verdicts."""

    def case(bench, solution):
        problem = next(one for one in bench.problems() if one.id == solution.problem)
        sample = Sample.of(problem.id, 0, solution.text, solution.form)
        limits = BRIEF if solution.does == "never ends" else ROOMY
        return bench.candidate(problem, sample).program, problem, limits

    @cache
    def verdicts(code):
        bench = named(f"humaneval-{code}")
        solutions = [solution for solution in SOLUTIONS if solution.code == code]
        found = grade(code, [case(bench, solution) for solution in solutions])
        return dict(zip(solutions, found, strict=True))

    return verdicts


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_five_right_and_five_wrong_solutions(code):
    """Of the same five problems, in both forms, and wrong in at least three ways."""
    mine = [solution for solution in SOLUTIONS if solution.code == code]
    right = [solution for solution in mine if solution.does == "passes"]
    wrong = [solution for solution in mine if solution.does != "passes"]
    assert len(right) == len(wrong) == len({solution.problem for solution in right}) == 5
    assert {solution.problem for solution in right} == {solution.problem for solution in wrong}
    assert len({solution.does for solution in wrong}) >= 3
    for half in (right, wrong):
        assert {solution.form for solution in half} == set(FORMS.values())


@pytest.mark.parametrize("solution", by_language(SOLUTIONS, lambda one: one.code), ids=str)
def test_a_solution_is_judged_by_what_it_does(judged, solution):
    """Correct ones pass, in their form; wrong ones have their kind of verdict."""
    found = judged(solution.code)[solution]
    assert found.kind is KINDS[solution.does], (found, found.execution.stderr.decode())
    assert found.separation is Separation.PARENT
    if found.kind is Kind.FAILED:
        assert found.check is not None


@pytest.mark.toolchains
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_stubs_fail_when_they_are_called(named, grade, name):
    """They compile and end by themselves, most with an error: no stub passes or is forged."""
    code = name.partition("-")[2]
    some = named(name).problems()[::EVERY]
    found = grade(code, [(problem.stub, problem, ROOMY) for problem in some])
    kinds = {problem.id: verdict.kind for problem, verdict in zip(some, found, strict=True)}
    ends_in = Kind.FAILED if code in ANSWERS_ALL_THE_SAME else Kind.ERROR
    assert set(kinds.values()) == {ends_in}, kinds


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_control_is_one_of_these_solutions(named, code):
    """The reference that checks a language's toolchain is a correct solution of these files."""
    bench = named(f"humaneval-{code}")
    (problem,) = [one for one in bench.problems() if one.reference is not None]
    right = [
        bench.candidate(problem, Sample.of(problem.id, 0, one.text, one.form)).program
        for one in SOLUTIONS
        if (one.code, one.problem, one.does) == (code, problem.id, "passes")
    ]
    assert problem.reference in right
