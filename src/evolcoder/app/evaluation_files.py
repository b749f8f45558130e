"""Writes the files of an evaluation: programs, verdicts and scores.

>>> write_results(store, benches, results, layout=None)[-1].name   # doctest: +SKIP
'scores.json'
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evolcoder.bench.base import Bench, CandidateProgram, ExtractedProgram, Problem, Sample
from evolcoder.bench.samples import SampleFormat, write_samples
from evolcoder.errors import UnjudgedError
from evolcoder.evaluation.results import BenchmarkResult
from evolcoder.evaluation.store import EvalStore
from evolcoder.sample_errors import judging
from evolcoder.storage.atomic import write_whole

SCORES = "scores.json"
_SUFFIX = {SampleFormat.BIGCODE: ".generations.json", SampleFormat.MULTIPL_E: ""}


def write_results(
    store: EvalStore,
    benches: Sequence[Bench],
    results: Sequence[BenchmarkResult],
    *,
    layout: str | None,
) -> list[Path]:
    """Write programs, verdicts and scores into the evaluation's folder; return the files.

    Programs are written in EvalPlus format, and in `layout` too if it is given.
    """
    folder, paths = store.folder, []
    done = {result.bench for result in results}
    for bench in benches:
        if bench.name not in done:
            continue
        for format in dict.fromkeys(
            (SampleFormat.EVALPLUS, SampleFormat(layout or SampleFormat.EVALPLUS))
        ):
            name = f"{bench.name}.{format}{_SUFFIX.get(format, '.jsonl')}"
            path = folder / "samples" / name
            candidates = _candidates(store, bench)
            write_samples(path, format, bench.problems(), candidates, inside=folder)
            paths.append(path)
        path = folder / "verdicts" / f"{bench.name}.jsonl"
        lines = (json.dumps(asdict(verdict)) for verdict in store.verdicts(bench.name))
        write_whole(path, "".join(f"{line}\n" for line in lines).encode(), inside=folder)
        paths.append(path)
    text = json.dumps([result.as_plain() for result in results], indent=1)
    write_whole(folder / SCORES, f"{text}\n".encode(), inside=folder)
    return [*paths, folder / SCORES]


def _candidates(store: EvalStore, bench: Bench) -> list[CandidateProgram]:
    return [
        _candidate(bench, problem, sample)
        for problem in bench.problems()
        for _, sample in sorted(store.samples(bench.name, problem.id).items())
    ]


def _candidate(bench: Bench, problem: Problem, sample: Sample) -> CandidateProgram:
    """Extract the program of a sample; an empty one if extraction fails."""
    try:
        with judging():
            return bench.candidate(problem, sample)
    except UnjudgedError as error:
        return CandidateProgram(
            sample.problem, sample.index, "", ExtractedProgram.NOTHING, (), str(error)
        )
