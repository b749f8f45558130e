"""`evolcoder eval --check`: whether benchmarks hold on this machine, before any model is graded.

Promises: what it finds is kept, so that an evaluation does not look again; nobody is asked, and no
folder is made.
"""

import argparse
from collections.abc import Sequence
from contextlib import AsyncExitStack

from evolcoder.app import evaluate
from evolcoder.app.evaluate import EvaluationOptions, benches_of
from evolcoder.app.progress import shown_text
from evolcoder.bench.base import Bench
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.errors import ConfigError
from evolcoder.evaluation.runner import EvaluationProgress, self_check
from evolcoder.grading import benchmark_requirements

SHOWN = 3
"""Problems with the same fault that are named."""


def main(args: argparse.Namespace) -> int:
    """Check all benchmarks that are named; exit code 1 if one gives no score here."""
    if args.model or args.samples or args.compare:
        raise ConfigError("--check looks at benchmarks alone; it takes no model and no samples")
    options = EvaluationOptions.of(vars(args))
    found = run_cancellable(_checked(benches_of(options), options))
    if args.json:
        output.print_json(found, indent=1)
    else:
        for name, faults in found.items():
            print(f"{name:<18}{_told(faults)}")
    return 1 if any(found.values()) and not args.partial else 0


async def _checked(benches: Sequence[Bench], args: EvaluationOptions) -> dict[str, dict[str, str]]:
    """Return of every benchmark what is wrong here: problem -> in words."""
    found = {}
    async with AsyncExitStack() as stack:
        sandbox = await evaluate.sandbox_for(benches, args, stack)
        controls = stack.enter_context(evaluate.controls_of(sandbox, args))
        for bench in benches:
            progress, problems = EvaluationProgress(), evaluate.problems_of(bench, args)
            lacking = await benchmark_requirements.ungradable(problems, sandbox.requirements)
            async with shown_text(evaluate.progress_line(bench.name, progress)):
                faults = await self_check(
                    [problem for problem in problems if problem.id not in lacking],
                    controls,
                    in_flight=evaluate.in_flight(args),
                    progress=progress,
                )
            found[bench.name] = {**lacking, **faults}
    return found


def _told(faults: dict[str, str]) -> str:
    if not faults:
        return "holds on this machine"
    lines = []
    for why in dict.fromkeys(faults.values()):
        problems = [problem for problem, fault in faults.items() if fault == why]
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        lines.append(f"\n  {', '.join(problems[:SHOWN])}{more}: {why}")
    many = "1 problem does" if len(faults) == 1 else f"{len(faults)} problems do"
    return f"{many} not hold on this machine{''.join(lines)}"
