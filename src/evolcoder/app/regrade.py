"""Samples and verdicts of a loop: gathered from its evaluations, and graded again from results.

Promises: grading again reads texts alone, never a stored verdict; it grades what is stored and
nothing else, and asks nobody; what differs is named.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from evolcoder.app.evaluate import ParseOptions
from evolcoder.app.steps import EvalSteps
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.errors import StepFailed
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.experiment import results
from evolcoder.experiment.config import LoopConfig
from evolcoder.experiment.results import StoredSample

STORED = "stored"
"""Stands for the model where samples are graded again: nobody is asked."""


def kept(models: Mapping[str, Path], bench: str) -> Iterator[StoredSample]:
    """Read all samples of a benchmark with their verdicts; models: key -> evaluation's folder."""
    for key, folder in models.items():
        with EvalStore.read(folder) as store:
            for judged in store.verdicts(bench):
                sample = store.samples(bench, judged.problem)[judged.number]
                yield StoredSample(
                    judged.problem, key, judged.number, sample.text, sample.form,
                    judged.passed, judged.base_passed, judged.facts["kind"],
                )  # fmt: skip


def regraded(
    folder: Path,
    bench: str,
    config: LoopConfig,
    parse: ParseOptions,
    *,
    only: frozenset[str] | None = None,
    models: frozenset[str] | None = None,
) -> list[StoredSample]:
    """Grade the stored samples of a benchmark, or of some of its problems or models, again.

    They come back in the order in which they are stored, with what was found now; a text that
    several models wrote is run once.
    """
    stored = [
        one
        for one in results.samples(folder, bench)
        if (only is None or one.problem in only) and (models is None or one.model in models)
    ]
    texts: dict[str, dict[tuple[str, str], int]] = {}
    for one in stored:
        mine = texts.setdefault(one.problem, {})
        mine.setdefault((one.text, one.form), len(mine))
    samples = [
        Sample.of(problem, number, text, PromptForm(form))
        for problem, mine in texts.items()
        for (text, form), number in mine.items()
    ]
    with tempfile.TemporaryDirectory() as work:
        found = _verdicts(Path(work), bench, config, samples, parse)
    if lacking := texts.keys() - {problem for problem, _ in found}:
        raise StepFailed(f"{bench}: {min(lacking)} was not judged; is its data another one here?")
    verdicts = [(one, found[one.problem, texts[one.problem][one.text, one.form]]) for one in stored]
    return [
        replace(one, passed=now.passed, base_passed=now.base_passed, kind=str(now.facts["kind"]))
        for one, now in verdicts
    ]


def _verdicts(
    work: Path, bench: str, config: LoopConfig, samples: list[Sample], parse: ParseOptions
) -> dict[tuple[str, int], StoredVerdict]:
    """Grade samples whose number is another one for every problem, which makes no whole score."""
    options = (*config.ask.options, "--partial")
    ask = config.ask.model_copy(update={"options": options, "limit": None})
    steps, out = EvalSteps(work, ask, config.serve, parse), work / "eval"
    with EvalStore.create(out, steps.settings(out, STORED, [bench])) as store:
        store.add_samples(bench, samples)
    steps.grade(out, STORED, [bench])
    with EvalStore.read(out) as store:
        for problem, what in store.failures(bench):
            raise StepFailed(f"{bench}: {problem} could not be judged: {what}")
        return {(one.problem, one.number): one for one in store.verdicts(bench)}


def tabled(one: StoredSample) -> tuple[bool, bool | None]:
    """Return what tables take of a verdict."""
    return one.passed, one.base_passed
