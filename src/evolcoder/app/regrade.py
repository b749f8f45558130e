"""Reads the samples of a loop's evaluations, and grades stored samples again.

Regrading uses only the stored texts, never a stored verdict, and generates no samples.

>>> regrade_samples(folder, "humaneval+", config, parse)   # doctest: +SKIP
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from evolcoder.app.evaluation_options import ParseOptions
from evolcoder.app.steps import EvalSteps
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.errors import StepFailed
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.experiment import results
from evolcoder.experiment.config import LoopConfig
from evolcoder.experiment.results import StoredSample

STORED = "stored"
"""Model name of the temporary evaluation that regrades; no model is opened."""


def stored_samples(models: Mapping[str, Path], bench: str) -> Iterator[StoredSample]:
    """Read all samples of a benchmark with their verdicts.

    `models` maps a model's key to its evaluation folder.
    """
    for key, folder in models.items():
        with EvalStore.read(folder) as store:
            for verdict in store.verdicts(bench):
                sample = store.samples(bench, verdict.problem)[verdict.number]
                yield StoredSample(
                    verdict.problem, key, verdict.number, sample.text, sample.form,
                    verdict.passed, verdict.base_passed, verdict.facts["kind"],
                )  # fmt: skip


def regrade_samples(
    folder: Path,
    bench: str,
    config: LoopConfig,
    parse: ParseOptions,
    *,
    only: frozenset[str] | None = None,
    models: frozenset[str] | None = None,
) -> list[StoredSample]:
    """Grade the stored samples of a benchmark again; return them, in order, with new verdicts.

    `only` and `models` restrict problems and models. Equal texts of several models are graded once.
    Raises StepFailed if a sample gets no verdict.
    """
    stored = [
        one
        for one in results.samples(folder, bench)
        if (only is None or one.problem in only) and (models is None or one.model in models)
    ]
    numbers: dict[str, dict[tuple[str, str], int]] = {}
    for one in stored:
        of_problem = numbers.setdefault(one.problem, {})
        of_problem.setdefault((one.text, one.form), len(of_problem))
    samples = [
        Sample.of(problem, number, text, PromptForm(form))
        for problem, of_problem in numbers.items()
        for (text, form), number in of_problem.items()
    ]
    with tempfile.TemporaryDirectory() as work:
        found = _grade(Path(work), bench, config, samples, parse)
    if missing := numbers.keys() - {problem for problem, _ in found}:
        raise StepFailed(
            f"{bench}: no verdict for {min(missing)}; benchmark data versions may differ"
        )
    pairs = [(one, found[one.problem, numbers[one.problem][one.text, one.form]]) for one in stored]
    return [
        replace(one, passed=new.passed, base_passed=new.base_passed, kind=str(new.facts["kind"]))
        for one, new in pairs
    ]


def _grade(
    work: Path, bench: str, config: LoopConfig, samples: list[Sample], parse: ParseOptions
) -> dict[tuple[str, int], StoredVerdict]:
    """Grade samples in a temporary evaluation; return verdicts by (problem, number).

    Problems have different numbers of samples, hence `--partial`.
    """
    options = (*config.ask.options, "--partial")
    ask = config.ask.model_copy(update={"options": options, "limit": None})
    steps, out = EvalSteps(work, ask, config.serve, parse), work / "eval"
    with EvalStore.create(out, steps.settings(out, STORED, [bench])) as store:
        store.add_samples(bench, samples)
    steps.grade(out, STORED, [bench])
    with EvalStore.read(out) as store:
        for problem, what in store.failures(bench):
            raise StepFailed(f"{bench}: {problem} could not be graded: {what}")
        return {(one.problem, one.number): one for one in store.verdicts(bench)}


def table_outcome(sample: StoredSample) -> tuple[bool, bool | None]:
    """Return the part of a verdict that result tables use."""
    return sample.passed, sample.base_passed
