"""`evolcoder eval`: samples from a model or a file, graded in the sandbox, scored with intervals.

Everything that the user can get wrong is looked at before anything is asked or run. The folder of
an evaluation is resumed by the same command; what has a verdict is not asked or run again.

`evolcoder eval --compare A B`: two evaluations on the same problems, paired.
"""

import argparse
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from evolcoder.app import evaluate, models, provenance
from evolcoder.app.evaluate import EvaluationPlan, plan_of
from evolcoder.app.progress import shown_text
from evolcoder.bench.base import Bench, Problem
from evolcoder.bench.prompts import TEMPLATES
from evolcoder.bench.samples import SampleFormat
from evolcoder.bench.scores import PairedComparison, compare
from evolcoder.cli import output, self_check
from evolcoder.cli.cancellation import until_told
from evolcoder.errors import BenchError, BudgetReached
from evolcoder.evaluation.results import BenchmarkResult, outcomes_of, result_of
from evolcoder.evaluation.runner import Evaluation, SampleGenerator
from evolcoder.evaluation.store import DB_NAME, EvalStore
from evolcoder.grading import benchmark_requirements
from evolcoder.sandbox.base import Sandbox
from evolcoder.sandbox.pool import LEVELS
from evolcoder.sandbox.requirements import CheckedSandbox

MOST_NAMED = 12
"""Problems that changed which are named on the terminal; all are in the JSON."""


def compare_folders(first: Path, second: Path, *, as_json: bool) -> int:
    """Compare every benchmark that both folders have verdicts on."""
    with EvalStore.read(first) as before, EvalStore.read(second) as after:
        shared = [name for name in before.benches() if name in after.benches()]
        if not shared:
            raise BenchError(f"{first} and {second} have no benchmark in common")
        found = {
            name: compare(outcomes_of(before, name), outcomes_of(after, name), k=1)
            for name in shared
        }
    if as_json:
        output.print_json({name: asdict(one) for name, one in found.items()}, indent=1)
        return 0
    print(f"A  {first}\nB  {second}")
    for name, one in found.items():
        _show(name, one)
    return 0


def _show(name: str, one: PairedComparison) -> None:
    change = 100 * (one.second - one.first)
    low, high = 100 * one.interval.low, 100 * one.interval.high
    print(
        f"\n{name}: pass@{one.k} {100 * one.first:.1f} % -> {100 * one.second:.1f} %, "
        f"{change:+.1f} points ({low:+.1f} to {high:+.1f}), p = {one.p_value:.3f} ({one.test})"
    )
    print(f"  {one.n_shared} problems in both, {one.n_left_out} in one alone")
    for title, problems in (("B is better at", one.gained), ("B is worse at", one.lost)):
        more = f" and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        named = ", ".join(problems[:MOST_NAMED]) or "none"
        print(f"  {title} {len(problems)}: {named}{more}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("--bench", metavar="NAME,...", help="such as humaneval+,mbpp+,mbpp-dev,humaneval-rs,ds1000")
    add("--model", metavar="SPEC", help=f"who answers: {models.FORMS}")
    add("--samples", type=Path, metavar="FILE", help="grade these samples; no model is asked")
    add("--compare", type=Path, nargs=2, metavar=("A", "B"), help="two evaluations, paired")
    add("--n", type=int, default=1, help="samples of each problem (1)")
    add("--temperature", type=float, default=0.0, help="0 for greedy (0)")
    add("--top-p", type=float, default=0.95, help="nucleus bound (0.95)")
    add("--max-tokens", type=int, default=1024, help="longest answer in tokens (1024)")
    add("--template", default="chat", help=f"one of {', '.join(TEMPLATES)} (chat)")
    add("--system", default="", help="system message of the chat template")
    add("--seed", type=int, default=0, help="root of all randomness")
    add("--out", type=Path, metavar="DIR", help="the evaluation's folder; an existing one goes on")
    add("--data-dir", type=Path, metavar="DIR", help="read benchmark data here and fetch nothing")
    add("--packages", type=Path, action="append", default=[], metavar="DIR",
        help="a folder of Python packages that programs may import (DS-1000)")  # fmt: skip
    add("--sandbox", default="strict", metavar="LEVEL", help=f"one of {', '.join(LEVELS)} (strict)")
    add("--workers", type=int, metavar="N", help="programs at a time (cores and one more)")
    add("--limit", type=int, metavar="N", help="the first N problems only; a partial score")
    add("--partial", action="store_true", help="score what there is, and say what is missing")
    add("--no-grade", action="store_true", help="generate only; the same command without it grades")
    add("--no-ask", action="store_true", help="grade what was generated, and ask for no more")
    add("--check", action="store_true", help="run the benchmarks' own references here, and stop")
    add(
        "--write-samples",
        choices=list(SampleFormat),
        help="write the programs in this layout as well",
    )
    add("--max-usd", type=float, metavar="X", help="most money, by the price table")
    add("--max-tokens-paid", type=int, metavar="N", help="most tokens paid for")
    add("--cache", metavar="FILE", help="completion cache that runs share")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Evaluate, resume or compare."""
    if args.check:
        return self_check.main(args)
    if args.compare:
        return compare_folders(*args.compare, as_json=args.json)
    plan = plan_of(args)
    results, limit = until_told(_run(plan, args))
    if args.no_grade:
        return _tell_generated(plan, args, limit)
    with EvalStore.read(plan.folder) as store:
        paths = evaluate.write(store, plan.benches, results, layout=args.write_samples)
        evaluate.show(store, results, paths, as_json=args.json)
    if limit is not None:
        raise limit
    return 0 if all(result.scores for result in results) else 1


def _tell_generated(
    plan: EvaluationPlan, args: argparse.Namespace, limit: BudgetReached | None
) -> int:
    """Say what was generated."""
    with EvalStore.read(plan.folder) as store:
        counts = {bench.name: store.count(bench.name, args.n) for bench in plan.benches}
    told = {"folder": str(plan.folder), "samples": counts}
    if args.json:
        output.print_json(told, indent=1)
    else:
        print(_lines(counts, plan.folder))
    if limit is not None:
        raise limit
    return 0


def _lines(counts: dict[str, int], folder: Path) -> str:
    lines = [f"{name:<18}{n:>7} samples, not graded" for name, n in counts.items()]
    return "\n".join([*lines, f"they are in {folder}; the same command without --no-grade grades"])


async def _run(
    plan: EvaluationPlan, args: argparse.Namespace
) -> tuple[list[BenchmarkResult], BudgetReached | None]:
    """Go through all benches; return their results, and the limit that ended them early."""
    async with AsyncExitStack() as stack:
        sandbox = None if args.no_grade else await evaluate.sandbox_for(plan.benches, args, stack)
        ungradable = await _ungradable(plan, args, sandbox) if sandbox else {}
        opened = await _open_model(plan, args, stack)
        store = stack.enter_context(EvalStore.create(plan.folder, plan.settings))
        provenance.record_evaluation(store, plan.template, plan.sampling)
        asker = _asker(plan, args, store, opened, stack) if opened else None
        results, limit = [], None
        for bench in plan.benches:
            reading = plan.readings.get(bench.name)
            if reading is not None:
                store.add_samples(bench.name, reading.samples)
                store.db.flush()
            lacking = ungradable.get(bench.name, {})
            problems = [p for p in _looked_at(bench, args, store) if p.id not in lacking]
            evaluation = Evaluation(
                store, bench, asker=asker, n=args.n, problems=problems,
                in_flight=_in_flight(plan, args, has_model=asker is not None),
            )  # fmt: skip
            faults: dict[str, str] = {}
            try:
                faults = await _evaluate(evaluation, bench, sandbox, args)
            except BudgetReached as reached:
                limit = reached
            partial = args.partial or args.limit is not None
            store.db.flush()
            left_out = store.without_verdict(bench.name, _wanted(plan, bench, lacking))
            excused = benchmark_requirements.excused(bench, args.packages)
            excused |= {problem: lacking[problem] for problem in left_out}
            result = result_of(store, bench, faults=faults, excused=excused, partial=partial)
            notes = [
                *(reading.notes if reading else ()),
                *benchmark_requirements.notes(bench, args.packages),
            ]
            results.append(result.with_notes(notes))
            if limit is not None:
                break
        return results, limit


async def _evaluate(
    evaluation: Evaluation,
    bench: Bench,
    sandbox: Sandbox | None,
    args: argparse.Namespace,
) -> dict[str, str]:
    """Check a bench, then generate and grade; return the problems that cannot be believed here."""
    line = evaluate.line(bench.name, evaluation.progress)
    if sandbox is None:
        async with shown_text(line):
            await evaluation.generate()
        return {}
    with evaluate.controls_of(sandbox, args) as controls:
        async with shown_text(line):
            faults = await evaluation.check(controls)
            if faults and not args.partial:
                raise BenchError(_refusal(bench.name, faults))
            await evaluation.run(sandbox, controls)
        return faults


async def _open_model(
    plan: EvaluationPlan, args: argparse.Namespace, stack: AsyncExitStack
) -> models.OpenedModels | None:
    """Open the model, unless nothing is to be asked or every sample is there already."""
    if not args.model or args.no_ask or _n_missing(plan, args) == 0:
        return None
    opened = await models.open_one(args.model, plan.config)
    stack.push_async_callback(opened.engine.aclose)
    return opened


async def _ungradable(
    plan: EvaluationPlan, args: argparse.Namespace, sandbox: CheckedSandbox
) -> dict[str, dict[str, str]]:
    """Return by bench the problems that lack something here: id -> why.

    Refuses, before a model is asked, where too few problems are left.
    """
    found = {}
    for bench in plan.benches:
        problems = evaluate.problems_of(bench, args)
        found[bench.name] = await benchmark_requirements.ungradable(problems, sandbox.requirements)
        wanted = _wanted(plan, bench, (problem.id for problem in problems))
        lacking = _wanted(plan, bench, found[bench.name])
        if lacking and (plan.folder / DB_NAME).exists():
            with EvalStore.read(plan.folder) as store:
                lacking = store.without_verdict(bench.name, lacking)
        why = {problem: found[bench.name][problem] for problem in lacking}
        benchmark_requirements.refuse(bench.name, why, len(wanted), partial=args.partial)
    return found


def _wanted(plan: EvaluationPlan, bench: Bench, problems: Iterable[str]) -> list[str]:
    """Return those of some problems that are graded: where samples are read, those with one."""
    reading = plan.readings.get(bench.name)
    there = None if reading is None else {sample.problem for sample in reading.samples}
    return [problem for problem in problems if there is None or problem in there]


def _looked_at(bench: Bench, args: argparse.Namespace, store: EvalStore) -> list[Problem]:
    """Return the problems that this time is about: where nobody is asked, those with a sample."""
    problems = evaluate.problems_of(bench, args)
    if not args.no_ask:
        return problems
    there = store.problems(bench.name)
    return [problem for problem in problems if problem.id in there]


def _n_missing(plan: EvaluationPlan, args: argparse.Namespace) -> int:
    """Count the samples that are still to be drawn."""
    wanted: int = args.n * sum(len(evaluate.problems_of(bench, args)) for bench in plan.benches)
    if not (plan.folder / DB_NAME).exists():
        return wanted
    with EvalStore.read(plan.folder) as store:
        return wanted - sum(store.count(bench.name, args.n) for bench in plan.benches)


def _asker(
    plan: EvaluationPlan,
    args: argparse.Namespace,
    store: EvalStore,
    opened: models.OpenedModels,
    stack: AsyncExitStack,
) -> SampleGenerator:
    prices = models.prices_of(plan.config, [opened])
    meter = models.open_meter(plan.config, store, prices)
    purse = models.ModelFactory(plan.config, meter, prices, stack)
    return SampleGenerator(purse.role(opened, plan.sampling, args.system), plan.template, args.seed)


def _in_flight(plan: EvaluationPlan, args: argparse.Namespace, *, has_model: bool) -> int:
    """Return how many samples may be in work: enough for the model and for the sandbox."""
    return evaluate.in_flight(args) + (plan.config.traffic.concurrency if has_model else 0)


def _refusal(bench: str, faults: dict[str, str]) -> str:
    shown = "; ".join(f"{problem}: {fault}" for problem, fault in list(faults.items())[:3])
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return (
        f"{bench} does not pass its own check here, so it gives no score: {shown}{more}. "
        f"--partial leaves these {len(faults)} problems out"
    )
