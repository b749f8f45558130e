"""The benchmark interface: problems, their prompts, and the checks that a program must pass.

Guarantees: a benchmark deterministically turns its data into `Problem` records and a model's text
into a `CandidateProgram`. It never runs anything: a problem's `Checks` are plain data that a grader
interprets. Does not guarantee that references pass on this machine: that depends on library
versions.

    for problem in bench.problems():
        prompt = bench.prompt(problem)                 # a template turns it into messages
        candidate = bench.candidate(problem, sample)   # graded against problem.checks
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self

from evolcoder.bench.comparators import Comparator

MAX_CHARS = 1 << 20
"""Longest sample that is run."""


@dataclass(frozen=True, slots=True)
class CallChecks:
    """Call one function with every input and compare its answers with the reference's."""

    entry_point: str
    """Name of the function."""
    inputs: tuple[tuple[Any, ...], ...]
    """Positional arguments of every call, plain values; copy them, since a program may mutate."""
    n_base: int
    """How many inputs, from the first on, are from the original benchmark."""
    atol: float
    """Absolute tolerance; 0 for the comparator's default."""
    oracle: Comparator
    """How answers are compared."""
    reference: str
    """Complete program whose answers are the expected ones."""


@dataclass(frozen=True, slots=True)
class AssertChecks:
    """Run assert statements that call the candidate's functions by name."""

    test_source: str
    """Python that uses only the entry points of the program; any failure raises."""
    entry_points: tuple[str, ...]
    """Functions and classes of the program that the test uses."""
    check: str | None
    """A function of the test that is called with the first entry point; None if the asserts are at
    the top level."""


@dataclass(frozen=True, slots=True)
class ProgramChecks:
    """Compile and run `program + newline + tests` in another language; exit code 0 passes."""

    language: str
    """Canonical name of the language."""
    tests: str
    """Code appended to the program, including closing brackets that the prompt left open."""
    entry_point: str
    """Name of the function that the tests call."""
    sealed_tests: str = field(default="", repr=False)
    """The tests in a form whose checks the language's seal counts, for when they cannot be split
    into calls and values; empty if `tests` has that form."""


@dataclass(frozen=True, slots=True)
class HarnessChecks:
    """Pass the program as a string to a harness that inserts it into its own code."""

    harness: str
    """Python that defines the functions named in `calls`."""
    calls: tuple[str, ...]
    """Functions to call with the program's text, in order; each raises on failure."""
    library: str
    """Library that the harness needs, in the data set's spelling."""


@dataclass(frozen=True, slots=True)
class UnittestChecks:
    """Run the class `TestCases` of a unittest module that begins with the program."""

    test: str
    """Source that defines `TestCases`, appended to the program."""
    entry_point: str
    """Name of the function that the tests call."""
    libraries: tuple[str, ...]
    """Top-level modules that the problem uses."""


Checks = CallChecks | AssertChecks | ProgramChecks | HarnessChecks | UnittestChecks


@dataclass(frozen=True, slots=True)
class Problem:
    """One item of a benchmark."""

    id: str
    """The data set's id, such as `HumanEval/0`."""
    prompt: str
    """The data set's prompt, to be continued by a model."""
    checks: Checks
    """The checks that a program must pass."""
    reference: str | None
    """Complete program that must pass; None if the data set has none."""
    stub: str
    """Complete program that must fail: the negative control."""
    groups: tuple[tuple[str, str], ...]
    """Groups that are also scored separately, such as ("library", "Pandas")."""
    left_out: str = field(default="", repr=False)
    """Why no machine can judge it, such as a reference that fails; empty for nearly all."""
    wording: str = field(default="", repr=False)
    """What it asks for in words, for a search of leaks; empty if the prompt says it."""


class PromptForm(StrEnum):
    """What a sample's text contains."""

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
    """Index among the samples of the problem, from 0."""
    text: str
    """Generated text; empty if there is a fault."""
    form: PromptForm
    """A complete program, a completion (as is, or to be truncated), or a chat answer."""
    fault: str | None
    """Why it cannot be run (too large, not valid text); None for nearly all."""

    @classmethod
    def of(cls, problem: str, index: int, text: str, form: PromptForm) -> "Sample":
        """Build a sample; a text that cannot be run is replaced by its fault.

        In an answer with a fence, lone surrogates are replaced and NUL bytes removed.
        """
        if form is PromptForm.ANSWER and "```" in text:
            text = _UNENCODED.sub("\ufffd", text.replace("\x00", ""))
        fault = _fault_of(text)
        return cls(problem, index, "" if fault else text, form, fault)


_UNENCODED = re.compile("[\ud800-\udfff]")


def _fault_of(text: str) -> str | None:
    if len(text) > MAX_CHARS:
        return f"{len(text):,} characters; the limit is {MAX_CHARS:,}"
    if "\x00" in text:
        return "contains a NUL byte"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None


class ExtractedProgram(StrEnum):
    """Where the program was found in a sample."""

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
        """Whether the sample did not have the requested format."""
        return self not in {ExtractedProgram.WHOLE, ExtractedProgram.FENCE}


class ChosenBy(StrEnum):
    """The rule by which a program was chosen among an answer's blocks. Values are stored."""

    ONLY = "only"
    """No other block defines the function."""
    NOT_STUB = "not_stub"
    """The other blocks that define it are stubs or do not parse."""
    LAST = "last"
    """The last of several complete ones."""
    NOT_REJECTED = "not_rejected"
    """The last of those that the answer does not call wrong."""
    JOINED = "joined"
    """Joined from several blocks: imports, helpers, or a signature and its body."""
    FIRST = "first"
    """The first block; none defines the function with a body."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code extracted from an answer."""

    code: str
    """The program, or the function's body if `found` is BODY; empty if nothing was found."""
    found: ExtractedProgram
    """Where the code was found."""
    cut: tuple[str, ...]
    """Parts that were removed, in order."""
    chosen: ChosenBy = ChosenBy.ONLY
    """The rule by which the code was chosen among the answer's blocks."""


@dataclass(frozen=True, slots=True)
class CandidateProgram:
    """A program extracted from a sample, ready to be graded."""

    problem: str
    """Id of the problem."""
    index: int
    """Index of the sample."""
    program: str
    """Complete code to run before the checks; empty if there is a fault or no program was found."""
    found: ExtractedProgram
    """Where the program was found."""
    cut: tuple[str, ...]
    """Parts that were removed, such as `reasoning` or `main_guard`, in order."""
    fault: str | None
    """The sample's fault; a program with one is never run and never passes."""
    chosen: ChosenBy = ChosenBy.ONLY
    """The rule by which it was chosen among an answer's blocks."""

    @classmethod
    def of(
        cls,
        sample: Sample,
        program: str,
        found: ExtractedProgram,
        *,
        cut: tuple[str, ...] = (),
        chosen: ChosenBy = ChosenBy.ONLY,
    ) -> Self:
        """Build the program of a sample, with its problem, index and fault."""
        return cls(sample.problem, sample.index, program, found, cut, sample.fault, chosen)


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """A problem's texts from which a template builds a prompt."""

    instruction: str
    """A request for instruction-tuned models."""
    code: str
    """Code to be continued by base models."""
    language: str
    """Canonical name of the language."""
    stops: tuple[str, ...]
    """Stop sequences of a continuation."""
    after: str | None = None
    """Code after the gap that is to be filled; None if the code is continued at its end."""
    then: "Callable[[str], PromptSettings] | None" = field(default=None, repr=False)
    """Builds the next step's prompt from the answer to this one; None for the last step."""


class Bench(Protocol):
    """A benchmark whose data has been read; its methods do not raise."""

    @property
    def name(self) -> str:
        """The name on the command line."""
        ...

    def problems(self) -> Sequence[Problem]:
        """Return all problems in the data set's order, on which index-based sample files rely."""
        ...

    def prompt(self, problem: Problem) -> PromptSettings:
        """Return the texts from which a template builds the prompt."""
        ...

    def candidate(self, problem: Problem, sample: Sample) -> CandidateProgram:
        """Extract the program from a sample."""
        ...
