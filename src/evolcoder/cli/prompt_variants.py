"""`evolcoder eval --prompt-variants`: the same model under small changes of its prompt.

Published scores of one model differ by up to 49 of 164 problems by a line break at the prompt's
end, so the spread says how much of a difference is the prompt's. Guarantees: each variant is an
evaluation in a folder of its own, `OUT/variant-NAME`, that resumes and can be compared like any
other. The first one is the prompt as the options say; one that asks the same as an earlier one is
not evaluated, and is named. Budgets hold for each variant.

>>> [one.name for one in variants_of(EvaluationOptions(template="completion"))]
['as-given', 'end-stripped', 'end-newline']
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolcoder.app import evaluate
from evolcoder.app.evaluate import make_plan, run_plan
from evolcoder.app.evaluation_files import write_results
from evolcoder.app.evaluation_options import EvaluationOptions, check_model, check_options
from evolcoder.bench.prompts import EVALUATION_TEMPLATES
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.errors import ConfigError
from evolcoder.evaluation.results import BenchmarkResult
from evolcoder.evaluation.store import EvalStore

SYSTEMS = {
    "system-assistant": "You are a helpful assistant.",
    "system-programmer": "You are an experienced programmer who writes correct Python code.",
}
"""Name of a variant -> its system message."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to put the same task."""

    name: str
    """Name in results, and of the folder."""
    options: EvaluationOptions
    """Options of its evaluation."""


def variants_of(options: EvaluationOptions) -> list[Variant]:
    """Return the variants of an evaluation's prompt, the given one first.

    Raw templates have no system message, and only instructions have another template.
    """
    base = options.out or Path("runs")
    changes: dict[str, dict[str, Any]] = {
        "as-given": {},
        "end-stripped": {"ending": "stripped"},
        "end-newline": {"ending": "newline"},
    }
    is_chat = not EVALUATION_TEMPLATES[options.template].raw
    if is_chat:
        changes["template-wizardcoder"] = {"template": "wizardcoder", "system": ""}
        changes |= {
            name: {"system": text} for name, text in SYSTEMS.items() if text != options.system
        }
        changes |= {"system-none": {"system": ""}} if options.system else {}
    return [
        Variant(name, replace(options, out=base / f"variant-{name}", **change))
        for name, change in changes.items()
    ]


def main(args: argparse.Namespace) -> int:
    """Evaluate every variant, and print scores with their spread; exit 1 if a score is missing."""
    options = EvaluationOptions.of(vars(args))
    check_options(options)
    if not options.model or options.no_grade:
        raise ConfigError("--prompt-variants asks a model and grades it: give --model")
    check_model(options)
    options = replace(options, out=options.out or default_folder(options))
    variants, same = distinct(variants_of(options))
    scores: dict[str, dict[str, float]] = {}
    is_whole = True
    for variant in variants:
        for result in _evaluated(variant, args.write_samples):
            is_whole &= bool(result.scores)
            for score in result.scores[:1]:
                scores.setdefault(result.bench, {})[variant.name] = score.value
    plain = {
        bench: {"scores": found, **spread_of(list(found.values())), "same_prompts": same}
        for bench, found in scores.items()
    }
    if args.json:
        output.print_json(plain, indent=1)
    else:
        _print(scores)
        for name, earlier in same.items():
            print(f"{name} has the same prompts as {earlier}, so it was not evaluated")
    return 0 if is_whole and scores else 1


def default_folder(options: EvaluationOptions) -> Path:
    """Return the folder for a model and its settings, next to that of `eval`."""
    folder = make_plan(options).folder
    return folder.with_name(f"{folder.name}-variants")


def distinct(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """Return the variants that ask something else than all earlier ones.

    The others are named: variant -> the earlier one.
    """
    kept: list[Variant] = []
    names: dict[object, str] = {}
    same = {}
    for variant in variants:
        asked = _asked(variant.options)
        if asked in names:
            same[variant.name] = names[asked]
        else:
            names[asked] = variant.name
            kept.append(variant)
    return kept, same


def _asked(options: EvaluationOptions) -> object:
    """Return all that a variant sends for the problems of its benchmarks."""
    plan = make_plan(options)
    prompts = [
        bench.prompt(problem)
        for bench in plan.benches
        for problem in evaluate.select_problems(bench, options)
    ]
    # a second prompt is known only after the answer to the first: one answer stands for all
    prompts += [prompt.then("answer") for prompt in prompts if prompt.then is not None]
    template = plan.template
    return options.system, template.form, *map(template.messages, prompts)


def _evaluated(variant: Variant, layout: str | None) -> Sequence[BenchmarkResult]:
    """Run one variant's evaluation, and write its results as `eval` does."""
    plan = make_plan(variant.options)
    results, limit = run_cancellable(run_plan(plan, variant.options))
    with EvalStore.read(plan.folder) as store:
        write_results(store, plan.benches, results, layout=layout)
    if limit is not None:
        raise limit
    return results


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """Return the lowest and highest of scores, and their difference."""
    low, high = min(values), max(values)
    return {"low": low, "high": high, "spread": high - low}


def _print(scores: dict[str, dict[str, float]]) -> None:
    for bench, found in scores.items():
        given, spread = found.get("as-given"), spread_of(list(found.values()))
        first = "no score" if given is None else f"{100 * given:.1f} %"
        low, high, points = (100 * spread[name] for name in ("low", "high", "spread"))
        print(
            f"{bench}: pass@1 {first} as given; {low:.1f} to {high:.1f} % under {len(found)} "
            f"prompt variants, a spread of {points:.1f} points"
        )
        for name, value in found.items():
            print(f"  {name:<24}{100 * value:>6.1f} %")
