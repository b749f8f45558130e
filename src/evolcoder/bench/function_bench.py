"""Benchmarks that ask for a Python function: HumanEval, MBPP, and their extended versions.

Promises: a program is the problem's prompt and what the model gave, so that imports and stub of the
prompt are there and the model's own function overrides the stub, as the authors of WizardCoder had
it. A whole program is left as it is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evolcoder.bench.base import (
    Asked,
    AssertChecks,
    CallChecks,
    Candidate,
    Form,
    Found,
    Problem,
    Sample,
)
from evolcoder.bench.extract import Extract, continued, python_program

_FUTURE = re.compile(r"^from\s+__future__\s+import\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FunctionBench:
    """A benchmark of Python functions, read into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    ask_as: Callable[[Problem], Asked]
    """How a problem is said to a model."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def ask(self, problem: Problem) -> Asked:
        """Say the problem to a model."""
        return self.ask_as(problem)

    def candidate(self, problem: Problem, sample: Sample) -> Candidate:
        """Take the program out of a sample."""
        extract = self._extract(problem, sample)
        found = extract.found if extract.code.strip() else Found.NOTHING
        program = _program(problem.prompt, sample.form, extract)
        return Candidate(sample.problem, sample.index, program, found, extract.cut, sample.fault)

    def _extract(self, problem: Problem, sample: Sample) -> Extract:
        names = entry_points(problem)
        if sample.form is Form.ANSWER:
            return python_program(sample.text, names, problem.prompt)
        if sample.form is Form.CONTINUATION:
            return continued(problem.prompt, sample.text, names, self.ask_as(problem).stops)
        return Extract(sample.text, Found.WHOLE, ())


def entry_points(problem: Problem) -> tuple[str, ...]:
    """Return the names that a program for this problem defines."""
    if isinstance(problem.checks, AssertChecks):
        return problem.checks.entry_points
    return (problem.checks.entry_point,) if isinstance(problem.checks, CallChecks) else ()


def _program(prompt: str, form: Form, extract: Extract) -> str:
    if not extract.code.strip():
        return ""
    if form is Form.PROGRAM or (form is Form.ANSWER and _FUTURE.search(extract.code)):
        return extract.code
    if form is Form.COMPLETION or extract.found in {Found.BODY, Found.WHOLE}:
        return prompt + extract.code
    return f"{prompt}\n{extract.code}"
