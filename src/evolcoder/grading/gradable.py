"""Which problems of a benchmark can be graded on this machine, and why the others are left out.

Libraries that tests in other languages import (javatuples, Test::Deep, luaunit) are looked up in
the sandbox; those of Python problems come from a folder of the user's.

>>> await ungradable(problems, sandbox.requirements)   # doctest: +SKIP
{'HumanEval_0_has_close_elements': 'cannot be graded here: ...'}
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evolcoder.bench.base import Bench, HarnessChecks, Problem, ProgramChecks, UnittestChecks
from evolcoder.bench.ds1000 import installed, known_failures, missing_versions
from evolcoder.errors import BenchError
from evolcoder.grading.sealed import harness_programs
from evolcoder.sandbox.requirements import Requirements

SHOWN = 3
"""Problems that an error message lists."""


def failing_references(bench: Bench, packages: Sequence[Path]) -> dict[str, str]:
    """Return problem -> why it is left out: nothing can judge it, or its reference fails here."""
    left_out = {one.id: one.left_out for one in bench.problems() if one.left_out}
    if not _needs_libraries(bench):
        return left_out
    known = known_failures(installed(packages))
    return left_out | {
        problem: f"their references fail here: {one.why}" for problem, one in known.items()
    }


MOST_LEFT_OUT = 0.1
"""Share of a benchmark's problems above which failing references are the set-up's fault."""
_NO_MODULE = re.compile(r"No module named '(\w+)")
_NO_NETWORK = re.compile(
    r"gaierror|URLError|ConnectionError|Max retries|Network is unreachable|Name or service"
    r"|Temporary failure in name resolution|getaddrinfo|PermissionError.*socket|MaxRetry"
)


def left_out_here(bench: Bench, faults: Mapping[str, str]) -> dict[str, str]:
    """Return the faults that leave problems out, with their group of reasons: id -> why.

    References that use libraries fail where one is missing or newer, or without a network. If those
    are few, the others are scored; none of them if they are many.
    """
    loose = {one.id for one in bench.problems() if isinstance(one.checks, UnittestChecks)}
    found = {id: _group_of(why) for id, why in faults.items() if id in loose}
    return found if len(found) <= MOST_LEFT_OUT * len(loose) else {}


def _group_of(fault: str) -> str:
    module = _NO_MODULE.search(fault)
    if module is not None:
        return f"their references need {module[1]}, which is not installed"
    if _NO_NETWORK.search(fault):
        return "their references need a network"
    return "their references fail with the libraries here"


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
