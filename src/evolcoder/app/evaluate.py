"""What an evaluation prints and writes: a table of scores, and files of samples and verdicts."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evolcoder.bench.base import Bench, Candidate, Found, Problem, Sample
from evolcoder.bench.samples import Format, write_samples
from evolcoder.bench.scores import Score
from evolcoder.cli import output
from evolcoder.errors import UnjudgedError
from evolcoder.evaluation.results import GroupScore, Result
from evolcoder.evaluation.store import EvalStore
from evolcoder.sample_errors import judging
from evolcoder.storage.whole_files import write_whole

SCORES = "scores.json"
MOST_NAMED = 5
"""Problems that a line of the table names; the JSON names all."""
_SUFFIX = {Format.BIGCODE: ".generations.json", Format.MULTIPL_E: ""}


def write(
    store: EvalStore, benches: Sequence[Bench], results: Sequence[Result], *, layout: str | None
) -> list[Path]:
    """Write programs, verdicts and scores into the evaluation's folder."""
    folder, paths = store.folder, []
    done = {result.bench for result in results}
    for bench in benches:
        if bench.name not in done:
            continue
        for chosen in dict.fromkeys((Format.EVALPLUS, Format(layout or Format.EVALPLUS))):
            name = f"{bench.name}.{chosen}{_SUFFIX.get(chosen, '.jsonl')}"
            path = folder / "samples" / name
            candidates = _candidates(store, bench)
            write_samples(path, chosen, bench.problems(), candidates, inside=folder)
            paths.append(path)
        path = folder / "verdicts" / f"{bench.name}.jsonl"
        lines = (json.dumps(asdict(one)) for one in store.verdicts(bench.name))
        write_whole(path, "".join(f"{line}\n" for line in lines).encode(), inside=folder)
        paths.append(path)
    text = json.dumps([result.as_plain() for result in results], indent=1)
    write_whole(folder / SCORES, f"{text}\n".encode(), inside=folder)
    return [*paths, folder / SCORES]


def show(
    store: EvalStore, results: Sequence[Result], paths: Sequence[Path], *, as_json: bool
) -> None:
    """Print the scores."""
    if as_json:
        told = {
            "folder": str(store.folder),
            "results": [result.as_plain() for result in results],
            "paid": store.paid(),
        }
        output.print_json(told, indent=1)
        return
    counts = f"{'problems':>8}{'samples':>9}"
    print(f"{'benchmark':<18}{'':<22}{'score':>7}   {'95 % interval':<16}{counts}")
    for result in results:
        _show(result)
    print()
    for model, (n_requests, sent, received) in store.paid().items():
        print(f"asked {model} {n_requests} times: {sent:,} tokens sent, {received:,} received")
    for path in paths:
        print(f"wrote   {path}")


def _show(result: Result) -> None:
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


def _by_seal(result: Result) -> str:
    """Say whose tests ran in the candidate's process, by name as far as a line goes."""
    named = ", ".join(result.sealed[:MOST_NAMED])
    more = ", …" if len(result.sealed) > MOST_NAMED else ""
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


def _candidates(store: EvalStore, bench: Bench) -> list[Candidate]:
    return [
        _candidate(bench, problem, sample)
        for problem in bench.problems()
        for _, sample in sorted(store.samples(bench.name, problem.id).items())
    ]


def _candidate(bench: Bench, problem: Problem, sample: Sample) -> Candidate:
    """Take the program out of a sample; one that cannot be had is written as an empty one."""
    try:
        with judging():
            return bench.candidate(problem, sample)
    except UnjudgedError as error:
        return Candidate(sample.problem, sample.index, "", Found.NOTHING, (), str(error))
