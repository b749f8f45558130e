"""Grades samples of a problem that were judged by hand."""

import asyncio

from evolcoder.bench.base import Sample
from evolcoder.grading.problem_checks import ProblemTest, ReferenceChecks


def graded(bench, id, samples, driver, folder):
    """Return the verdicts on the samples (form, text, expected kind) of a problem."""
    problem = next(one for one in bench.problems() if one.id == id)
    controls = ReferenceChecks(folder / "controls.db", driver.sandbox, "")

    async def judge():
        assert (await controls.finding(problem)).fault == ""
        test = ProblemTest.of(problem, await controls.measurement(problem))
        programs = [
            bench.candidate(problem, Sample.of(id, n, text, form)).program
            for n, (form, text, _) in enumerate(samples)
        ]
        return await asyncio.gather(*(test.grade(driver.sandbox, text) for text in programs))

    try:
        return driver.runner.run(judge())
    finally:
        controls.close()
