"""The problems of benchmarks as plain texts, for the contamination detectors.

Every problem gives one item with its prompt, solution and tests, as far as they exist. No I/O; the
caller provides the problems.

    items = benchmark_texts("humaneval", bench.problems())
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
"""Maximum number of calls that are written out as a problem's tests."""
MAX_CALL_CHARS = 400
"""Maximum length of such a call; longer inputs are not quoted in practice."""
MIN_WORDS = 3
"""If there are fewer words before the first example call, the whole prompt is used."""
_DOCSTRING = re.compile(r"(?:\"{3}|'{3})(.+?)(?:\"{3}|'{3})", re.DOTALL)
_CALL = re.compile(r"^\s*(?:assert\b|>>>)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BenchmarkText:
    """One problem of a benchmark as plain text."""

    benchmark: str
    """Command-line name of the benchmark."""
    id: str
    """Id of the problem."""
    language: str
    """Canonical name of the programming language."""
    entry_points: tuple[str, ...]
    """Functions that its tests call; empty if it asks for none."""
    prompt: str
    """The prompt."""
    solution: str
    """The canonical solution; empty if there is none."""
    tests: str
    """Source of the tests."""

    @property
    def wording(self) -> str:
        """The prompt's prose: its docstring, if any, up to the first example call."""
        found = _DOCSTRING.findall(self.prompt)
        text = found[-1] if found else self.prompt
        prose = _CALL.split(text, maxsplit=1)[0].strip()
        return prose if len(prose.split()) >= MIN_WORDS else text.strip()


def benchmark_texts(benchmark: str, problems: Iterable[Problem]) -> tuple[BenchmarkText, ...]:
    """Convert the problems of a benchmark."""
    return tuple(_item(benchmark, problem) for problem in problems)


def _item(benchmark: str, problem: Problem) -> BenchmarkText:
    language, names, tests = _test_facts(problem.checks)
    solution = problem.reference or ""
    return BenchmarkText(benchmark, problem.id, language, names, problem.prompt, solution, tests)


def _test_facts(checks: Checks) -> tuple[str, tuple[str, ...], str]:
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
