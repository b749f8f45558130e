"""`evolcoder eval --check`: whether benchmarks hold on this machine, before any model is graded.

Promises: what it finds is kept, so that an evaluation does not look again; nobody is asked, and no
folder is made. The sandbox and the controls are those of every evaluation.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager

from evolcoder.bench.base import Bench, Problem, ProgramChecks
from evolcoder.bench.ds1000_references import warm_modules
from evolcoder.cli import libraries
from evolcoder.cli.plan import benches_of
from evolcoder.cli.progress import shown_text
from evolcoder.cli.stopping import until_told
from evolcoder.engine.models import cache_folder
from evolcoder.errors import ConfigError
from evolcoder.evaluate.story import Progress, self_check
from evolcoder.grade.controls import Controls
from evolcoder.sandbox.pool import PoolSandbox


def main(args: argparse.Namespace) -> int:
    """Check all benchmarks that are named; exit code 1 if one gives no score here."""
    if args.model or args.samples or args.compare:
        raise ConfigError("--check looks at benchmarks alone; it takes no model and no samples")
    found = until_told(_checked(benches_of(args), args))
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for name, faults in found.items():
            print(f"{name:<18}{_told(faults)}")
    return 1 if any(found.values()) and not args.partial else 0


async def _checked(benches: Sequence[Bench], args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return of every benchmark what is wrong here: problem -> in words."""
    found = {}
    async with AsyncExitStack() as stack:
        sandbox = await sandbox_for(benches, args, stack)
        controls = stack.enter_context(controls_of(sandbox, args))
        for bench in benches:
            progress = Progress()
            async with shown_text(line(bench.name, progress)):
                found[bench.name] = await self_check(
                    problems_of(bench, args), controls, in_flight=in_flight(args), progress=progress
                )
    return found


def _told(faults: dict[str, str]) -> str:
    if not faults:
        return "holds on this machine"
    lines = [f"\n  {problem}: {fault}" for problem, fault in faults.items()]
    many = "1 problem does" if len(faults) == 1 else f"{len(faults)} problems do"
    return f"{many} not hold on this machine{''.join(lines)}"


async def sandbox_for(
    benches: Sequence[Bench], args: argparse.Namespace, stack: AsyncExitStack
) -> PoolSandbox:
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
    return sandbox


@contextmanager
def controls_of(sandbox: PoolSandbox, args: argparse.Namespace) -> Iterator[Controls]:
    """Open what this machine knows of references and stubs."""
    packages = [str(path.resolve()) for path in args.packages]
    controls = Controls(cache_folder() / "controls.db", sandbox, json.dumps(packages))
    try:
        yield controls
    finally:
        controls.close()


def problems_of(bench: Bench, args: argparse.Namespace) -> list[Problem]:
    """Return the problems that are asked and graded."""
    excused = libraries.excused(bench, args.packages)
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
        return said + (f", {progress.failures} not judged" if progress.failures else "")

    return text
