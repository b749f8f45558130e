"""`evolcoder eval`: samples from a model or a file, graded in the sandbox, scored with intervals.

Everything that the user can get wrong is looked at before anything is asked or run. The folder of
an evaluation is resumed by the same command; what has a verdict is not asked or run again.

`evolcoder eval --compare A B`: two evaluations on the same problems, paired.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evolcoder.app import evaluate, models
from evolcoder.app.evaluate import EvaluationOptions, EvaluationPlan, plan_of, run_plan
from evolcoder.bench.prompts import TEMPLATES
from evolcoder.bench.samples import SampleFormat
from evolcoder.bench.scores import PairedComparison, Score, compare
from evolcoder.cli import output, self_check
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.errors import BenchError, BudgetReached
from evolcoder.evaluation.results import BenchmarkResult, GroupScore, outcomes_of
from evolcoder.evaluation.store import EvalStore
from evolcoder.sandbox.pool import LEVELS

MOST_NAMED = 12
"""Problems that changed which are named on the terminal; all are in the JSON."""
MOST_SEALED = 5
"""Problems that a line of the table names; the JSON names all."""


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


def parsed(options: Sequence[str]) -> EvaluationOptions:
    """Read options as this verb does, of those that another one hands on."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return EvaluationOptions.of(vars(parser.parse_args(options)))


def main(args: argparse.Namespace) -> int:
    """Evaluate, resume or compare."""
    if args.check:
        return self_check.main(args)
    if args.compare:
        return compare_folders(*args.compare, as_json=args.json)
    options = EvaluationOptions.of(vars(args))
    plan = plan_of(options)
    results, limit = run_cancellable(run_plan(plan, options))
    if args.no_grade:
        return _tell_generated(plan, args, limit)
    with EvalStore.read(plan.folder) as store:
        paths = evaluate.write(store, plan.benches, results, layout=args.write_samples)
        _show_results(store, results, paths, as_json=args.json)
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


def _show_results(
    store: EvalStore, results: Sequence[BenchmarkResult], paths: Sequence[Path], *, as_json: bool
) -> None:
    """Print the scores."""
    if as_json:
        told = {
            "folder": str(store.folder),
            "results": [result.as_plain() for result in results],
            "paid": store.calls_by_model(),
        }
        output.print_json(told, indent=1)
        return
    counts = f"{'problems':>8}{'samples':>9}"
    print(f"{'benchmark':<18}{'':<22}{'score':>7}   {'95 % interval':<16}{counts}")
    for result in results:
        _show_result(result)
    print()
    for model, (n_requests, sent, received) in store.calls_by_model().items():
        print(f"asked {model} {n_requests} times: {sent:,} tokens sent, {received:,} received")
    for path in paths:
        print(f"wrote   {path}")


def _show_result(result: BenchmarkResult) -> None:
    if result.withheld:
        print(f"{result.bench:<18}no score: {result.withheld}")
    for score in result.scores:
        print(f"{result.bench:<18}{_row(f'pass@{score.k}', score)}")
    for group in result.groups:
        print(f"{'':<18}{_row(_title(group), group.score)}")
    if result.n_samples:
        print(f"{'':<18}{_listed(result.kinds)}")
        if result.odd:
            n_odd = sum(n for _, n in result.odd)
            share = f"{100 * n_odd / result.n_samples:.1f} %"
            print(f"{'':<18}odd answers {n_odd} ({share}): {_listed(result.odd)}")
        kept = f"kept from their verdicts by {_listed(result.separations)}"
        lacking = f"; not active: {', '.join(result.missing)}" if result.missing else ""
        print(f"{'':<18}{kept}{lacking}")
        if result.sealed:
            print(f"{'':<18}{_by_seal(result)}")
    for note in result.notes:
        print(f"{'':<18}note: {note}")


def _by_seal(result: BenchmarkResult) -> str:
    """Say whose tests ran in the candidate's process, by name as far as a line goes."""
    named = ", ".join(result.sealed[:MOST_SEALED])
    more = ", …" if len(result.sealed) > MOST_SEALED else ""
    return f"{len(result.sealed)} of {result.n_tested} tests by seal: {named}{more}"


def _row(title: str, score: Score) -> str:
    low, high = 100 * score.interval.low, 100 * score.interval.high
    between = f"{low:.1f} to {high:.1f}"
    return (
        f"{title:<22}{100 * score.value:>6.1f} %  {between:<16}{score.n_problems:>8}"
        f"{score.n_samples:>9}"
    )


def _title(group: GroupScore) -> str:
    return f"{group.kind} {group.name}" if group.kind != "base" else "pass@1, base tests"


def _listed(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts)
