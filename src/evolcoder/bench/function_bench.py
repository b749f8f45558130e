"""Benchmarks that ask for a Python function: HumanEval, MBPP, and their extended versions.

Promises: a program is the problem's prompt and what the model gave, so that imports and stub of the
prompt are there and the model's own function overrides the stub, as the authors of WizardCoder had
it. A whole program is left as it is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    CandidateProgram,
    ExtractedProgram,
    Problem,
    PromptForm,
    PromptSettings,
    Sample,
)
from evolcoder.bench.extract import Extraction, continued, python_program

_FUTURE = re.compile(r"^from\s+__future__\s+import\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FunctionBench:
    """A benchmark of Python functions, read into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    ask_as: Callable[[Problem], PromptSettings]
    """How a problem is said to a model."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def ask(self, problem: Problem) -> PromptSettings:
        """Say the problem to a model."""
        return self.ask_as(problem)

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Take the program out of a sample."""
        extract = self._extract(problem, sample)
        found = extract.found if extract.code.strip() else ExtractedProgram.NOTHING
        program = _program(problem.prompt, sample.form, extract)
        return CandidateProgram(
            sample.problem, sample.index, program, found, extract.cut, sample.fault
        )

    def _extract(self, problem: Problem, sample: Sample) -> Extraction:
        names = entry_points(problem)
        if sample.form is PromptForm.ANSWER:
            return python_program(sample.text, names, problem.prompt)
        if sample.form is PromptForm.CONTINUATION:
            return continued(problem.prompt, sample.text, names, self.ask_as(problem).stops)
        return Extraction(sample.text, ExtractedProgram.WHOLE, ())


def entry_points(problem: Problem) -> tuple[str, ...]:
    """Return the names that a program for this problem defines."""
    if isinstance(problem.checks, AssertChecks):
        return problem.checks.entry_points
    return (problem.checks.entry_point,) if isinstance(problem.checks, CallChecks) else ()


def _program(prompt: str, form: PromptForm, extract: Extraction) -> str:
    if not extract.code.strip():
        return ""
    if form is PromptForm.PROGRAM or (form is PromptForm.ANSWER and _FUTURE.search(extract.code)):
        return extract.code
    if form is PromptForm.COMPLETION or extract.found in {
        ExtractedProgram.BODY,
        ExtractedProgram.WHOLE,
    }:
        return prompt + extract.code
    return f"{prompt}\n{extract.code}"
