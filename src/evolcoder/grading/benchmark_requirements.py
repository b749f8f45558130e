"""What a benchmark's problems need beside the tools of their language, and what is not here.

Python packages for DS-1000's harnesses come from a folder; what tests in other languages import
(javatuples, Test::Deep, luaunit) is looked for in the sandbox.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evolcoder.bench.base import Bench, HarnessChecks, Problem, ProgramChecks
from evolcoder.bench.ds1000 import installed, known_failures, missing_versions
from evolcoder.errors import BenchError
from evolcoder.grading.sealed import harness_texts
from evolcoder.sandbox.requirements import Requirements

SHOWN = 3
"""Problems that a refusal names."""


def excused(bench: Bench, packages: Sequence[Path]) -> dict[str, str]:
    """Return problem -> why its reference is known to fail with the libraries that are here."""
    if not _needs_libraries(bench):
        return {}
    known = known_failures(installed(packages))
    return {problem: f"their references fail here: {one.why}" for problem, one in known.items()}


def notes(bench: Bench, packages: Sequence[Path]) -> list[str]:
    """Name the libraries that are not those of the data set's authors."""
    return missing_versions(packages) if _needs_libraries(bench) else []


async def ungradable(problems: Sequence[Problem], requirements: Requirements) -> dict[str, str]:
    """Return problem -> why nothing can be graded on it here, or raise SandboxError."""
    found = {}
    for problem in problems:
        if isinstance(checks := problem.checks, ProgramChecks):
            # What is graded by calls runs without the test and the library that it imports.
            sources = harness_texts(problem, checks) or (problem.prompt, checks.tests)
            lack = await requirements.first_missing(checks.language, *sources)
            if lack is not None:
                found[problem.id] = f"cannot be graded here: {lack.reason}"
    return found


def refuse(bench: str, lacking: Mapping[str, str], n_problems: int, *, partial: bool) -> None:
    """Raise BenchError where nothing would be graded, or less than a whole score needs."""
    if not lacking or (partial and len(lacking) < n_problems):
        return
    why = "; ".join(dict.fromkeys(lacking.values()))
    if len(lacking) == n_problems:
        raise BenchError(f"{bench} {why}")
    named = ", ".join(list(lacking)[:SHOWN])
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    raise BenchError(
        f"{bench}: {len(lacking)} of {n_problems} problems ({named}{more}) {why}; "
        f"--partial leaves them out"
    )


def _needs_libraries(bench: Bench) -> bool:
    return any(isinstance(problem.checks, HarnessChecks) for problem in bench.problems())
