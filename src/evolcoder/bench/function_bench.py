"""Benchmarks of Python functions: HumanEval, MBPP, and their extended versions.

Guarantees: a program is the problem's prompt followed by the model's code, so that the prompt's
imports are present and the model's function overrides the prompt's stub, as in WizardCoder's
evaluation. A complete program is left unchanged, but in BigCodeBench, whose own harness puts the
problem's imports and signature before programs too.

    FunctionBench("humaneval", problems, prompt_of).candidate(problem, sample)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    CandidateProgram,
    ExtractedProgram,
    Extraction,
    Problem,
    PromptForm,
    PromptSettings,
    Sample,
    UnittestChecks,
)
from evolcoder.bench.extract import cut_continuation, given_program, parses, python_program
from evolcoder.code.statements import is_whole

_FUTURE = re.compile(
    r"^from[ \t]+__future__[ \t]+import[ \t]+(?:\([^()]*\)|\w[\w, \t]*)(?:#.*)?$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class FunctionBench:
    """A benchmark of Python functions, loaded into memory."""

    name: str
    """The name on the command line."""
    items: tuple[Problem, ...]
    """All problems in the data set's order."""
    prompt_of: Callable[[Problem], PromptSettings]
    """Returns the texts of a problem's prompt."""

    def problems(self) -> Sequence[Problem]:
        """Return all problems."""
        return self.items

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts of a problem's prompt."""
        return self.prompt_of(problem)

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Extract the program from a sample."""
        extract = self._extract(problem, sample)
        found = extract.found if extract.code.strip() else ExtractedProgram.NOTHING
        is_calibrated = isinstance(problem.checks, UnittestChecks)
        program = _program(problem.prompt, sample.form, extract, is_calibrated=is_calibrated)
        return CandidateProgram.of(sample, program, found, cut=extract.cut, chosen=extract.chosen)

    def _extract(self, problem: Problem, sample: Sample) -> Extraction:
        names = entry_points(problem)
        if sample.form is PromptForm.ANSWER:
            return python_program(sample.text, names, problem.prompt)
        if sample.form is PromptForm.CONTINUATION:
            return cut_continuation(
                problem.prompt, sample.text, names, self.prompt_of(problem).stops
            )
        completes = sample.form is PromptForm.COMPLETION
        return given_program(sample.text, names, problem.prompt, completes=completes)


def entry_points(problem: Problem) -> tuple[str, ...]:
    """Return the names that a program for this problem must define."""
    if isinstance(problem.checks, AssertChecks):
        return problem.checks.entry_points
    one_function = CallChecks | UnittestChecks
    return (problem.checks.entry_point,) if isinstance(problem.checks, one_function) else ()


def undefined_functions(problem: Problem, program: str) -> list[str]:
    """Return the names that a valid program for this problem should define with a body."""
    if not parses(program):
        return []
    return [name for name in entry_points(problem) if not is_whole(program, (name,))]


def _program(
    prompt: str, form: PromptForm, extract: Extraction, *, is_calibrated: bool = False
) -> str:
    if not extract.code.strip():
        return ""
    if form is PromptForm.PROGRAM and not is_calibrated:
        return extract.code
    is_continued = form is PromptForm.COMPLETION or extract.found in {
        ExtractedProgram.BODY,
        ExtractedProgram.WHOLE,
    }
    if is_continued and form is not PromptForm.PROGRAM:
        return prompt + extract.code
    # A prompt without a description has no body either.
    stub = prompt if parses(prompt) else f"{prompt.rstrip()}\n    pass\n"
    # Python takes imports from __future__ only above all other statements.
    future = "".join(f"{line}\n" for line in _FUTURE.findall(extract.code))
    return f"{future}{stub}\n{_FUTURE.sub('', extract.code) if future else extract.code}"
