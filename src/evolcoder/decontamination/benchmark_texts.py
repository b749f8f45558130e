"""A benchmark's problems as plain texts: what a training set must not hold.

Promises: every problem of every benchmark gives one item, with what there is of prompt, solution
and tests. Reads no file and knows no benchmark: the door hands the problems in.

    items = items_of("humaneval", bench.problems())
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    Checks,
    HarnessChecks,
    Problem,
    ProgramChecks,
)

MAX_CALLS = 20
"""Calls of a problem with thousands of inputs that are written out as its tests."""
MAX_CALL_CHARS = 400
"""Inputs longer than this are nobody's quotation."""


@dataclass(frozen=True, slots=True)
class BenchmarkText:
    """One problem of a benchmark in plain texts."""

    benchmark: str
    """Name of the benchmark, as on the command line."""
    id: str
    """Id of the problem in its benchmark."""
    language: str
    """Canonical name of the programming language."""
    entry_points: tuple[str, ...]
    """Names that its tests call; empty where it asks for no function."""
    prompt: str
    """What a model is given."""
    solution: str
    """Its canonical solution; empty where there is none."""
    tests: str
    """What a program must withstand, as source."""

    @property
    def wording(self) -> str:
        """The prompt in words: its docstring where it has one, up to the first sample call."""
        found = _DOCSTRING.findall(self.prompt)
        text = found[-1] if found else self.prompt
        said = _CALL.split(text, maxsplit=1)[0].strip()
        return said if len(said.split()) >= LEAST_WORDS else text.strip()


LEAST_WORDS = 3
"""With fewer words before its sample calls, a prompt is taken whole."""
_DOCSTRING = re.compile(r"(?:\"{3}|'{3})(.+?)(?:\"{3}|'{3})", re.DOTALL)
_CALL = re.compile(r"^\s*(?:assert\b|>>>)", re.MULTILINE)


def items_of(benchmark: str, problems: Iterable[Problem]) -> tuple[BenchmarkText, ...]:
    """Turn a benchmark's problems into texts."""
    return tuple(_item(benchmark, problem) for problem in problems)


def _item(benchmark: str, problem: Problem) -> BenchmarkText:
    language, names, tests = _checked(problem.checks)
    solution = problem.reference or ""
    return BenchmarkText(benchmark, problem.id, language, names, problem.prompt, solution, tests)


def _checked(checks: Checks) -> tuple[str, tuple[str, ...], str]:
    match checks:
        case AssertChecks(test_source=source, entry_points=names):
            return "python", names, source
        case CallChecks(entry_point=name, inputs=inputs):
            calls = (f"{name}({', '.join(map(repr, given))})" for given in inputs[:MAX_CALLS])
            return "python", (name,), "\n".join(c for c in calls if len(c) <= MAX_CALL_CHARS)
        case ProgramChecks(language=language, tests=tests, entry_point=name):
            return language, (name,), tests
        case HarnessChecks(harness=harness):
            return "python", (), harness
