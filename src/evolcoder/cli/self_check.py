"""`evolcoder eval --check`: tests that benchmarks can be graded on this machine.

Guarantees: results are cached, so that an evaluation does not repeat the check. No model is called
and no folder is created.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from evolcoder.app import evaluate
from evolcoder.app.evaluate import open_benches
from evolcoder.app.evaluation_options import EvaluationOptions
from evolcoder.bench.base import Bench
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.evaluation.runner import EvaluationProgress, self_check
from evolcoder.grading import gradable

MAX_NAMED = 3
"""Problems named per fault."""


def main(args: argparse.Namespace) -> int:
    """Check the given benchmarks; exit code 1 if one cannot be scored on this machine."""
    options = EvaluationOptions.of(vars(args))
    benches = open_benches(options)
    found = run_cancellable(_check(benches, options))
    if args.json:
        output.print_json(found, indent=1)
    refused = {}
    for bench in benches:
        left_out = gradable.left_out_here(bench, found[bench.name])
        faults = {one: why for one, why in found[bench.name].items() if one not in left_out}
        refused[bench.name] = faults
        if not args.json:
            print(f"{f'{bench.name} ':<18}{_faults_text(faults)}")
            known = gradable.failing_references(bench, options.packages)
            for line in _left_out({**known, **left_out}):
                print(f"  {line}")
    return 1 if any(refused.values()) and not args.partial else 0


async def _check(benches: Sequence[Bench], args: EvaluationOptions) -> dict[str, dict[str, str]]:
    """Return benchmark -> problem -> why the problem cannot be graded here."""
    found = {}
    async with AsyncExitStack() as stack:
        sandbox = await evaluate.start_sandbox(benches, args, stack)
        controls = stack.enter_context(evaluate.open_reference_checks(sandbox, args))
        for bench in benches:
            progress, problems = EvaluationProgress(), evaluate.select_problems(bench, args)
            known_failures = await gradable.ungradable(problems, sandbox.requirements)
            async with evaluate.show_evaluation(bench.name, progress):
                faults = await self_check(
                    [problem for problem in problems if problem.id not in known_failures],
                    controls,
                    in_flight=evaluate.max_in_flight(sandbox),
                    progress=progress,
                )
            found[bench.name] = {**known_failures, **faults}
    return found


def _left_out(known: Mapping[str, str]) -> list[str]:
    """Name the problems that are left out of scores, one line per reason."""
    return [
        f"{sum(why == one for one in known.values())} left out, {why}: "
        + ", ".join(problem for problem, one in known.items() if one == why)
        for why in dict.fromkeys(known.values())
    ]


def _faults_text(faults: dict[str, str]) -> str:
    if not faults:
        return "passes on this machine"
    lines = []
    for why in dict.fromkeys(faults.values()):
        problems = [problem for problem, fault in faults.items() if fault == why]
        more = f" and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        lines.append(f"\n  {', '.join(problems[:MAX_NAMED])}{more}: {why}")
    count = "1 problem fails" if len(faults) == 1 else f"{len(faults)} problems fail"
    return f"{count} on this machine{''.join(lines)}"
