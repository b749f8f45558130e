"""The contract with benchmarks: problems, how to ask them, and what a program must do to pass.

Promises: a bench turns data into `Problem` records and a model's text into a `Candidate`, always
the same way. It never runs anything: what a program has to withstand is a `Checks` record, plain
data that a grader reads. Does not promise that a reference passes here: library versions decide.

    for problem in bench.problems():
        asked = bench.ask(problem)                     # what a template turns into messages
        candidate = bench.candidate(problem, sample)   # what a grader runs against problem.checks
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from evolcoder.bench.comparators import Comparator

MAX_CHARS = 1 << 20
"""The longest text that is taken for a program."""


@dataclass(frozen=True, slots=True)
class CallChecks:
    """Call one function with every input and compare with what the reference answers."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[tuple[Any, ...], ...]
    """Positional arguments of every call, plain values; copy before use, a program may mutate."""
    n_base: int
    """How many of the first inputs are the original benchmark's own."""
    atol: float
    """Absolute tolerance; 0 leaves it to the oracle."""
    oracle: Comparator
    """How answers are compared."""
    reference: str
    """Whole program whose answers are the expected ones."""


@dataclass(frozen=True, slots=True)
class AssertChecks:
    """Run assert statements that call the candidate's functions by name."""

    test_source: str
    """Python that needs nothing from the program but the entry points; any failure raises."""
    entry_points: tuple[str, ...]
    """Names that the test takes from the program, functions or classes."""
    check: str | None
    """A function of the test to be called with the first entry point; None where the test does all
    at its top level."""


@dataclass(frozen=True, slots=True)
class ProgramChecks:
    """Compile and run `program + newline + tests` in another language; exit code 0 passes."""

    language: str
    """Canonical name of the language."""
    tests: str
    """What follows the program, closing brackets that the prompt left open included."""
    entry_point: str
    """Name of the function that the tests call."""


@dataclass(frozen=True, slots=True)
class HarnessChecks:
    """Hand the program as a string to a harness that runs it between its own lines."""

    harness: str
    """Python that defines the functions named in `calls`."""
    calls: tuple[str, ...]
    """Functions to call with the program's text, in order; each raises when it fails."""
    library: str
    """Library that the harness needs, as the data set names it."""


Checks = CallChecks | AssertChecks | ProgramChecks | HarnessChecks


@dataclass(frozen=True, slots=True)
class Problem:
    """One item of a benchmark."""

    id: str
    """The data set's own id, such as `HumanEval/0`."""
    prompt: str
    """What the data set gives a model to continue."""
    checks: Checks
    """What a program must withstand."""
    reference: str | None
    """Whole program that must pass; None where the data set brings none."""
    stub: str
    """Whole program that must not pass: the negative control."""
    groups: tuple[tuple[str, str], ...]
    """Names under which scores are reported apart, such as ("library", "Pandas")."""


class PromptForm(StrEnum):
    """What a sample's text is."""

    PROGRAM = "program"
    COMPLETION = "completion"
    CONTINUATION = "continuation"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated answer to a problem."""

    problem: str
    """Id of the problem."""
    index: int
    """Place among the samples of that problem, from 0."""
    text: str
    """What was generated."""
    form: PromptForm
    """A whole program, what follows the prompt (as it is, or to be cut), or a chat answer."""
    fault: str | None
    """Why it cannot be run at all (too large, not text); None for nearly all."""

    @classmethod
    def of(cls, problem: str, index: int, text: str, form: PromptForm) -> "Sample":
        """Make a sample; a text that no compiler could be given is left out, and its fault kept."""
        fault = _fault_of(text)
        return cls(problem, index, "" if fault else text, form, fault)


def _fault_of(text: str) -> str | None:
    if len(text) > MAX_CHARS:
        return f"{len(text):,} characters; at most {MAX_CHARS:,} are run"
    if "\x00" in text:
        return "holds a NUL byte"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None


class ExtractedProgram(StrEnum):
    """Where in a sample the program was."""

    WHOLE = "whole"
    FENCE = "fence"
    LATER_FENCE = "later_fence"
    OPEN_FENCE = "open_fence"
    CLOSING_FENCE = "closing_fence"
    NO_FENCE = "no_fence"
    AMID_PROSE = "amid_prose"
    BODY = "body"
    REPEATED_SIGNATURE = "repeated_signature"
    NO_ENTRY = "no_entry"
    NOTHING = "nothing"

    @property
    def is_odd(self) -> bool:
        """Whether the sample was not of the shape that was asked for."""
        return self not in {ExtractedProgram.WHOLE, ExtractedProgram.FENCE}


@dataclass(frozen=True, slots=True)
class CandidateProgram:
    """A program taken out of a sample, ready to be graded."""

    problem: str
    """Id of the problem."""
    index: int
    """Index of the sample."""
    program: str
    """All that is run before the checks; empty if there is a fault or nothing was found."""
    found: ExtractedProgram
    """Where the program was."""
    cut: tuple[str, ...]
    """What was taken away, such as `reasoning` or `main_guard`, in the order of cutting."""
    fault: str | None
    """The sample's fault: such a program is never run and never passes."""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """A problem as a template needs it."""

    instruction: str
    """The problem as a request to an instruction-tuned model."""
    code: str
    """The problem as code to be continued by a base model."""
    language: str
    """Canonical name of the language."""
    stops: tuple[str, ...]
    """Where a continuation ends."""


class Bench(Protocol):
    """A benchmark; reading its data may have raised BenchError, and nothing here raises."""

    @property
    def name(self) -> str:
        """Return the name on the command line."""
        ...

    def problems(self) -> Sequence[Problem]:
        """All problems in the data set's order, which index-based sample files follow."""
        ...

    def ask(self, problem: Problem) -> PromptSettings:
        """Say the problem to a model."""
        ...

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Take the program out of a sample."""
        ...
