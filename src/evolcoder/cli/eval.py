"""`evolcoder eval`: grades samples of a model or a file in the sandbox; scores have intervals.

Guarantees: all input is checked before the first request or program. The same command resumes an
evaluation; samples that have a verdict are neither generated nor graded again.

`evolcoder eval --compare A B` compares evaluations, paired by problem; `--plan A B` plans one.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from evolcoder.app import models
from evolcoder.app.evaluate import EvaluationPlan, make_plan, run_plan
from evolcoder.app.evaluation_files import write_results
from evolcoder.app.evaluation_options import (
    SAMPLE_FORMS,
    EvaluationOptions,
    check_model,
    check_no_asking,
    check_options,
)
from evolcoder.app.progress import print_note
from evolcoder.bench.base import ChosenBy
from evolcoder.bench.prompts import EVALUATION_TEMPLATES
from evolcoder.bench.samples import SampleFormat
from evolcoder.bench.scores import Score
from evolcoder.cli import output, prompt_variants, self_check, show, usage
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.cli.comparison import print_comparisons, print_plan
from evolcoder.cli.layout import labelled, print_folded
from evolcoder.cli.usage import RaisingParser
from evolcoder.config.load import Config
from evolcoder.errors import BudgetReached, ConfigError
from evolcoder.evaluation.results import BenchmarkResult, GroupScore
from evolcoder.evaluation.store import EvalStore
from evolcoder.sandbox.pool import LEVELS

BELOW = " " * 18
"""Under the column of benchmarks."""
TITLE = 20
"""Fewest cells of a score's name, so that a row fits 80 columns."""
MAX_SEALED_NAMED = 5
"""Sealed problems named in a line of the table; the JSON names all."""


MODES = ("--check", "--compare", "--plan", "--prompt-variants")
"""Flags each of which is a command of its own."""
STORED = frozenset({"compare", "plan", "effect", "json"})
USED = {
    "--check": (
        frozenset({
            "bench", "check", "cluster", "data_dir", "json", "limit", "packages", "partial",
            "sandbox", "set", "workers",
        }),
        "takes no model and no samples",
    ),
    "--compare": (STORED, "reads stored evaluations"),
    "--plan": (STORED, "reads stored evaluations"),
}  # fmt: skip
"""Flag -> arguments that go with it, and why any other one would have no effect."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("--bench", metavar="NAME,...",
        help="benchmarks, such as humaneval+,mbpp+,mbpp-dev,humaneval-rs,ds1000; FILE.jsonl is "
        "your own, with HumanEval's fields")  # fmt: skip
    add("--model", metavar="SPEC", help=f"model to evaluate: {models.SPEC_FORMS}")
    add("--samples", type=Path, metavar="FILE", help="grade these samples instead of generating")
    add("--samples-are", choices=list(SAMPLE_FORMS),
        help="what the samples' texts are; `answers`: of a chat model")  # fmt: skip
    add("--compare", type=Path, nargs="+", metavar="DIR",
        help="compare evaluation folders with the first, paired by problem")  # fmt: skip
    add("--plan", type=Path, nargs=2, metavar=("A", "B"),
        help="how many problems and samples a difference of two evaluations takes")  # fmt: skip
    add("--prompt-variants", action="store_true",
        help="evaluate under variants of the prompt, and show the spread")  # fmt: skip
    add("--effect", type=float, metavar="POINTS",
        help="the difference that --plan and --compare should decide (default: 3)")  # fmt: skip
    # Their defaults are those of EvaluationOptions: None tells what was not given.
    add("--n", type=int, help="samples per problem (default: 1)")
    add("--temperature", type=float, help="sampling temperature; 0 is greedy (default: 0)")
    add("--top-p", type=float, help="nucleus sampling threshold (default: 0.95)")
    add("--max-tokens", type=int, help="maximum answer length in tokens (default: 1024)")
    add("--template",
        help=f"prompt template: {', '.join(EVALUATION_TEMPLATES)} (default: chat)")  # fmt: skip
    add("--system", help="system message of the chat template")
    add("--seed", type=int, help="random seed (default: 0)")
    add("--out", type=Path, metavar="DIR",
        help="evaluation folder; an existing evaluation is resumed")  # fmt: skip
    add("--data-dir", type=Path, metavar="DIR",
        help="folder with benchmark data (default: download it)")  # fmt: skip
    add("--packages", type=Path, action="append", default=[], metavar="DIR",
        help="Python packages that programs may import (DS-1000; repeatable)")  # fmt: skip
    add("--sandbox", default="strict", metavar="LEVEL",
        help="minimum sandbox isolation; fail if unavailable: "
        f"{', '.join(LEVELS)} (default: strict)")  # fmt: skip
    usage.add_workers(add, " (default: cores + 1)")
    usage.add_cluster(add)
    add("--limit", type=int, metavar="N", help="only the first N problems; gives a partial score")
    add("--partial", action="store_true",
        help="score an incomplete evaluation, and report what is missing")  # fmt: skip
    add("--no-grade", action="store_true",
        help="generate only; to grade, run the same command without it")  # fmt: skip
    add("--no-ask", action="store_true", help="grade stored samples; generate no more")
    add("--check", action="store_true",
        help="check that reference solutions pass on this machine, then exit")  # fmt: skip
    add("--write-samples", choices=list(SampleFormat),
        help="also write the programs in this format")  # fmt: skip
    add("--max-usd", type=float, metavar="X", help="budget in USD, by the price table")
    add("--max-tokens-paid", type=int, metavar="N", help="budget in paid tokens")
    add("--batch", action="store_const", const=True,
        help="generate through the provider's batch endpoint, at half price")  # fmt: skip
    add("--cache", metavar="FILE", help="completion cache, shared between runs")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")


def parse_options(options: Sequence[str]) -> EvaluationOptions:
    """Parse command-line options of this verb, for verbs that pass them on."""
    parser = RaisingParser("ask.options")
    add_arguments(parser)
    return EvaluationOptions.of(vars(parser.parse_args(options)))


def main(args: argparse.Namespace) -> int:
    """Evaluate, resume or compare."""
    begun = time.monotonic()
    _check_modes(args)
    if args.check:
        return self_check.main(args)
    if args.compare:
        return print_comparisons(args.compare, effect=args.effect, as_json=args.json)
    if args.plan:
        return print_plan(*args.plan, effect=args.effect, as_json=args.json)
    if args.prompt_variants:
        return prompt_variants.main(args)
    if args.samples:
        check_no_asking(vars(args))
    options = EvaluationOptions.of(vars(args))
    check_options(options)
    check_model(options)
    plan = make_plan(options)
    results, limit = run_cancellable(run_plan(plan, options))
    if args.no_grade:
        return _print_generated(plan, options, limit, as_json=args.json)
    with EvalStore.read(plan.folder) as store:
        paths = write_results(store, plan.benches, results, layout=args.write_samples)
        _show_results(store, results, paths, plan.config, begun=begun, as_json=args.json)
    if limit is not None:
        raise limit
    return 0 if all(result.scores for result in results) else 1


def _check_modes(args: argparse.Namespace) -> None:
    """Raise ConfigError for flags that ask for different commands at once."""
    given = [flag for flag in MODES if getattr(args, flag.removeprefix("--").replace("-", "_"))]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]}: each is a command of its own; give one")
    if args.effect is not None and not args.compare and not args.plan:
        raise ConfigError("--effect: goes with --compare or --plan; leave it out")
    if not given or given[0] not in USED:
        return
    used, why = USED[given[0]]
    parser = RaisingParser("eval")
    add_arguments(parser)
    for name, default in vars(parser.parse_args([])).items():
        if name not in used and getattr(args, name) != default:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag}: not with {given[0]}, which {why}; leave it out")


def _print_generated(
    plan: EvaluationPlan, options: EvaluationOptions, limit: BudgetReached | None, *, as_json: bool
) -> int:
    """Print the number of generated samples."""
    with EvalStore.read(plan.folder) as store:
        counts = {bench.name: store.count(bench.name, options.n) for bench in plan.benches}
        for failures in filter(None, (store.failures(bench.name) for bench in plan.benches)):
            problem, what = failures[0]
            note = f"{len(failures)} samples were not generated, such as {problem}: {what}"
            print_note(note)
    if as_json:
        output.print_json({"folder": str(plan.folder), "samples": counts}, indent=1)
    else:
        for name, n in counts.items():
            print(f"{f'{name} ':<18}{n:>7} samples, not graded")
        print(f"stored in {plan.folder}; to grade them, run the same command without --no-grade")
    if limit is not None:
        raise limit
    return 0 if any(counts.values()) else 1


def _show_results(
    store: EvalStore,
    results: Sequence[BenchmarkResult],
    paths: Sequence[Path],
    config: Config,
    *,
    begun: float,
    as_json: bool,
) -> None:
    """Print the scores."""
    if as_json:
        plain = {
            "folder": str(store.folder),
            "results": [result.as_plain() for result in results],
            "paid": store.calls_by_model(),
            "possibly_billed": store.possible_calls_by_model(),
            "answered": store.answered(),
        }
        output.print_json(plain, indent=1)
        return
    counts = f"{'problems':>8}{'samples':>8}"
    titles = (_title(group) for result in results for group in result.groups)
    width = max([TITLE, *(len(title) + 1 for title in titles)])
    print(f"{'benchmark':<18}{'':<{width}}{'score':>7}   {'95 % interval':<15}{counts}")
    for result in results:
        _show_result(result, width)
    print()
    for line in show.billing_lines(store, config):
        print_folded(line)
    print(show.time_line(begun))
    for name, n in store.answered().items():
        print_folded(f"answered by {name}: {n}")
    for path in paths:
        print(labelled("wrote", str(path)))


def _show_result(result: BenchmarkResult, width: int) -> None:
    if result.withheld:
        print_folded(f"{f'{result.bench} ':<18}no score: {result.withheld}", len(BELOW))
    for score in result.scores:
        print(f"{f'{result.bench} ':<18}{_row(f'pass@{score.k}', score, width)}")
    for group in result.groups:
        _print_below(_row(_title(group), group.score, width))
    if result.n_samples:
        _print_below(_listed(result.kinds))
        if result.odd:
            n_odd = sum(n for _, n in result.odd)
            share = f"{100 * n_odd / result.n_samples:.1f} %"
            _print_below(f"unexpected format {n_odd} ({share}): {_listed(result.odd)}")
        if [name for name, _ in result.chosen if name != ChosenBy.ONLY]:
            _print_below(f"block chosen by {_listed(result.chosen)}")
        if result.n_cut_off:
            _print_below(f"cut off by the limit of tokens: {result.n_cut_off}")
        separation = f"separation from tests: {_listed(result.separations)}"
        inactive = f"; not active: {', '.join(result.missing)}" if result.missing else ""
        _print_below(f"{separation}{inactive}")
        if result.sealed:
            _print_below(_sealed_text(result))
    for note in result.notes:
        _print_below(f"note: {note}")


def _print_below(text: str) -> None:
    """Print what belongs to the benchmark above."""
    print_folded(f"{BELOW}{text}", len(BELOW))


def _sealed_text(result: BenchmarkResult) -> str:
    """Name some of the problems whose tests ran in the candidate's process."""
    named = ", ".join(result.sealed[:MAX_SEALED_NAMED])
    more = ", …" if len(result.sealed) > MAX_SEALED_NAMED else ""
    n_sealed = len(result.sealed)
    return f"{n_sealed} of {result.n_tested} tests by seal: {named}{more}"


def _row(title: str, score: Score, width: int) -> str:
    interval = "none"
    if score.interval is not None:
        interval = f"{100 * score.interval.low:.1f} to {100 * score.interval.high:.1f}"
    return (
        f"{title:<{width}}{100 * score.value:>6.1f} %  {interval:<15}{score.n_problems:>8}"
        f"{score.n_samples:>8}"
    )


def _title(group: GroupScore) -> str:
    return f"{group.kind} {group.name}" if group.kind != "base" else "pass@1, base tests"


def _listed(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts)
