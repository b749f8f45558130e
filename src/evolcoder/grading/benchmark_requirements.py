"""Checks the libraries that a benchmark's tests need beyond the language toolchains.

DS-1000's harnesses import Python packages from a folder of the user's. Libraries that tests in
other languages import (javatuples, Test::Deep, luaunit) are looked up in the sandbox.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evolcoder.bench.base import Bench, HarnessChecks, Problem, ProgramChecks
from evolcoder.bench.ds1000 import installed, known_failures, missing_versions
from evolcoder.errors import BenchError
from evolcoder.grading.sealed import harness_programs
from evolcoder.sandbox.requirements import Requirements

SHOWN = 3
"""Problems that an error message lists."""


def failing_references(bench: Bench, packages: Sequence[Path]) -> dict[str, str]:
    """Return problem -> why its reference is known to fail with the installed libraries."""
    if not _needs_libraries(bench):
        return {}
    known = known_failures(installed(packages))
    return {problem: f"their references fail here: {one.why}" for problem, one in known.items()}


def version_notes(bench: Bench, packages: Sequence[Path]) -> list[str]:
    """Return one line per library whose version differs from the data set authors' version."""
    return missing_versions(packages) if _needs_libraries(bench) else []


async def ungradable(problems: Sequence[Problem], requirements: Requirements) -> dict[str, str]:
    """Return problem -> why it cannot be graded on this machine, or raise SandboxError."""
    found = {}
    for problem in problems:
        if isinstance(checks := problem.checks, ProgramChecks):
            # Grading by calls runs neither the test nor the library that the test imports.
            sources = harness_programs(problem, checks) or (problem.prompt, checks.tests)
            lack = await requirements.first_missing(checks.language, *sources)
            if lack is not None:
                found[problem.id] = f"cannot be graded here: {lack.reason}"
    return found


def require_gradable(
    bench: str, lacking: Mapping[str, str], n_problems: int, *, partial: bool
) -> None:
    """Raise BenchError if no problem can be graded, or some cannot and `partial` is False."""
    if not lacking or (partial and len(lacking) < n_problems):
        return
    why = "; ".join(dict.fromkeys(lacking.values()))
    if len(lacking) == n_problems:
        raise BenchError(f"{bench} {why}")
    named = ", ".join(list(lacking)[:SHOWN])
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    raise BenchError(
        f"{bench}: {len(lacking)} of {n_problems} problems ({named}{more}) {why}; "
        f"use --partial to leave them out"
    )


def _needs_libraries(bench: Bench) -> bool:
    return any(isinstance(problem.checks, HarnessChecks) for problem in bench.problems())
