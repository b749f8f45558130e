"""What the flags of `evolcoder eval` say of grading: the sandbox, the controls, which problems.

Promises: checking a benchmark and evaluating with it run the same programs in the same way.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager

from evolcoder.bench.base import Bench, Problem, ProgramChecks
from evolcoder.bench.ds1000_references import warm_modules
from evolcoder.engine.registry import cache_file
from evolcoder.evaluation.runner import Progress
from evolcoder.grading import benchmark_requirements
from evolcoder.grading.reference_checks import Controls
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox import toolchains
from evolcoder.sandbox.base import Sandbox
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.sandbox.requirements import CheckedSandbox


async def sandbox_for(
    benches: Sequence[Bench], args: argparse.Namespace, stack: AsyncExitStack
) -> CheckedSandbox:
    """Start the sandbox that an evaluation's flags ask for."""
    checks = [problem.checks for bench in benches for problem in bench.problems()]
    languages = dict.fromkeys(c.language for c in checks if isinstance(c, ProgramChecks))
    sandbox = await PoolSandbox.start(
        workers=args.workers,
        level=args.sandbox,
        languages=list(languages),
        packages=[path.resolve() for path in args.packages],
        warm=warm_modules(args.packages),
    )
    stack.push_async_callback(sandbox.aclose)
    return CheckedSandbox(sandbox)


@contextmanager
def controls_of(sandbox: Sandbox, args: argparse.Namespace) -> Iterator[Controls]:
    """Open what this machine knows of references and stubs."""
    packages = [str(path.resolve()) for path in args.packages]
    path = cache_file("controls.db")
    controls = Controls(path, sandbox, json.dumps(packages), toolchains.fingerprint)
    try:
        yield controls
    finally:
        controls.close()


def problems_of(bench: Bench, args: argparse.Namespace) -> list[Problem]:
    """Return the problems that are asked and graded."""
    excused = benchmark_requirements.excused(bench, args.packages)
    return [p for p in bench.problems()[: args.limit] if p.id not in excused]


def in_flight(args: argparse.Namespace) -> int:
    """Return how many programs may be in work: enough for the sandbox."""
    workers: int = args.workers or len(os.sched_getaffinity(0)) + 1
    return 2 * workers


def line(name: str, progress: Progress) -> Callable[[], str]:
    """Return what says how far a benchmark is."""

    def text() -> str:
        said = f"{name}: {progress.phase}, {progress.done}/{progress.total}"
        if progress.passed:
            said += f", {progress.passed} passed"
        if progress.unjudged:
            said += f", {progress.unjudged} {UNJUDGED}"
        return said + (f", {progress.failures} not judged" if progress.failures else "")

    return text
