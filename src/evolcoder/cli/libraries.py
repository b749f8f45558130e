"""What the libraries of a folder mean for a benchmark whose harnesses import them (DS-1000)."""

from collections.abc import Sequence
from pathlib import Path

from evolcoder.bench.base import Bench, HarnessChecks
from evolcoder.bench.ds1000_references import installed, known_failures, missing_versions


def excused(bench: Bench, packages: Sequence[Path]) -> dict[str, str]:
    """Return problem -> why its reference is known to fail with the libraries that are here."""
    if not _needs_libraries(bench):
        return {}
    known = known_failures(installed(packages))
    return {problem: f"their references fail here: {one.why}" for problem, one in known.items()}


def notes(bench: Bench, packages: Sequence[Path]) -> list[str]:
    """Name the libraries that are not those of the data set's authors."""
    return missing_versions(packages) if _needs_libraries(bench) else []


def _needs_libraries(bench: Bench) -> bool:
    return any(isinstance(problem.checks, HarnessChecks) for problem in bench.problems())
