"""What an evaluation prints and writes: a table of scores, and files of samples and verdicts.

What the user asked `evolcoder eval` to do, with everything that can be wrong looked at.

What the flags of `evolcoder eval` say of grading: the sandbox, the controls, which problems.

Promises: checking a benchmark and evaluating with it run the same programs in the same way.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from evolcoder.bench.base import (
    Bench,
    ExtractedProgram,
    Problem,
    ProgramChecks,
    Sample,
    TestedProgram,
)
from evolcoder.bench.ds1000 import warm_modules
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import Template, template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.samples import SampleFile, SampleFormat, read_samples, write_samples
from evolcoder.bench.scores import Score
from evolcoder.cli import output
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.engine.base import Sampling
from evolcoder.engine.registry import cache_file, cache_folder, digest_of
from evolcoder.errors import BenchError, ConfigError, UnjudgedError
from evolcoder.evaluation.results import BenchmarkResult, GroupScore
from evolcoder.evaluation.runner import EvaluationProgress
from evolcoder.evaluation.store import DB_NAME, EvalStore
from evolcoder.grading import benchmark_requirements
from evolcoder.grading.reference_checks import ReferenceChecks
from evolcoder.ids import content_id
from evolcoder.sample_errors import UNJUDGED, judging
from evolcoder.sandbox import toolchains
from evolcoder.sandbox.base import Sandbox
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.sandbox.requirements import CheckedSandbox
from evolcoder.storage.atomic import write_whole
from evolcoder.text import without_logins

SCORES = "scores.json"
MOST_NAMED = 5
"""Problems that a line of the table names; the JSON names all."""
_SUFFIX = {SampleFormat.BIGCODE: ".generations.json", SampleFormat.MULTIPL_E: ""}


def write(
    store: EvalStore,
    benches: Sequence[Bench],
    results: Sequence[BenchmarkResult],
    *,
    layout: str | None,
) -> list[Path]:
    """Write programs, verdicts and scores into the evaluation's folder."""
    folder, paths = store.folder, []
    done = {result.bench for result in results}
    for bench in benches:
        if bench.name not in done:
            continue
        for chosen in dict.fromkeys(
            (SampleFormat.EVALPLUS, SampleFormat(layout or SampleFormat.EVALPLUS))
        ):
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
    store: EvalStore, results: Sequence[BenchmarkResult], paths: Sequence[Path], *, as_json: bool
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


def _show(result: BenchmarkResult) -> None:
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


def _candidates(store: EvalStore, bench: Bench) -> list[TestedProgram]:
    return [
        _candidate(bench, problem, sample)
        for problem in bench.problems()
        for _, sample in sorted(store.samples(bench.name, problem.id).items())
    ]


def _candidate(bench: Bench, problem: Problem, sample: Sample) -> TestedProgram:
    """Take the program out of a sample; one that cannot be had is written as an empty one."""
    try:
        with judging():
            return bench.candidate(problem, sample)
    except UnjudgedError as error:
        return TestedProgram(
            sample.problem, sample.index, "", ExtractedProgram.NOTHING, (), str(error)
        )


FLAGS = {"max_usd": "budget.max_usd", "max_tokens_paid": "budget.max_tokens", "cache": "cache"}
"""Flag -> the config key that it sets."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """An evaluation, with all that the user said checked."""

    benches: tuple[Bench, ...]
    """What is evaluated."""
    readings: dict[str, SampleFile]
    """Samples read from a file, by bench; empty where a model is asked."""
    template: Template
    """How problems are put to a model."""
    sampling: Sampling
    """How answers are drawn."""
    config: Config
    """Traffic, budget, prices and cache."""
    folder: Path
    """Where it is kept."""
    settings: dict[str, object]
    """What decides the samples."""


def benches_of(args: argparse.Namespace) -> tuple[Bench, ...]:
    """Read the benchmarks that are named, or say in one line what is wrong."""
    if not args.bench:
        raise ConfigError("--bench is missing; name a benchmark such as humaneval+")
    if args.n < 1 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--n and --limit are at least 1")
    shelf = DataFolder(args.data_dir, cache_folder() / "benchmarks")
    if "ds1000" in args.bench:
        _check_packages(args)
    names = dict.fromkeys(name.strip() for name in args.bench.split(",") if name.strip())
    return tuple(bench_named(name, shelf) for name in names)


def plan_of(args: argparse.Namespace) -> EvaluationPlan:
    """Check the flags and read the benchmarks, or say in one line what is wrong."""
    benches = benches_of(args)
    if bool(args.model) == bool(args.samples):
        raise ConfigError("give either --model SPEC or --samples FILE")
    if args.n > 1 and args.temperature == 0 and args.model:
        raise ConfigError(f"--n {args.n}: greedy samples are all alike; give a --temperature")
    readings = {bench.name: _reading(args.samples, bench) for bench in benches if args.samples}
    given = [f"{FLAGS[flag]}={json.dumps(vars(args)[flag])}" for flag in FLAGS if vars(args)[flag]]
    settings = settings_of(args)
    named = [*(bench.name for bench in benches), settings]
    folder = args.out or Path("runs") / f"eval-{content_id('eval', named)[:8]}"
    if args.no_ask:
        _check_there_is_something(args, folder)
    return EvaluationPlan(
        benches,
        readings,
        template_named(args.template),
        Sampling(args.temperature, args.top_p, args.max_tokens),
        configs.load(None, [*given, *args.set]),
        folder,
        settings,
    )


def _check_packages(args: argparse.Namespace) -> None:
    """Refuse DS-1000 without its libraries, which no program could import."""
    if args.no_grade or any((path / "numpy").is_dir() for path in args.packages):
        return
    needs = files("evolcoder") / "data" / "ds1000-requirements.txt"
    raise ConfigError(
        "ds1000 needs its libraries in a folder: `make ds1000` in a clone, or "
        f"pip install --target .ds1000 -r {needs}; then give --packages .ds1000"
    )


def _check_there_is_something(args: argparse.Namespace, folder: Path) -> None:
    """Refuse to ask for nothing where that leaves nothing to do."""
    if args.no_grade or args.samples:
        raise ConfigError(
            "--no-ask grades what --model has said already: "
            "it goes neither with --no-grade nor with --samples"
        )
    if not (folder / DB_NAME).exists():
        raise ConfigError(f"--no-ask: {folder} holds no evaluation, so there is nothing to grade")


def settings_of(args: argparse.Namespace) -> dict[str, object]:
    """Return what flags decide of the samples that an evaluation's folder holds."""
    if args.samples:
        path: Path = args.samples
        return {"samples": digest_of(path) if path.is_file() else str(path.resolve())}
    kept = ("model", "temperature", "top_p", "max_tokens", "template", "system", "seed")
    settings = {name: vars(args)[name] for name in kept}
    return {**settings, "model": without_logins(args.model)} if args.model else settings


def _reading(path: Path, bench: Bench) -> SampleFile:
    if not path.exists():
        raise BenchError(f"--samples {path}: there is no such file")
    return read_samples(path, bench.problems())


async def sandbox_for(
    benches: Sequence[Bench], args: argparse.Namespace, stack: AsyncExitStack
) -> CheckedSandbox:
    """Start the sandbox that an evaluation's flags ask for."""
    checks = [problem.checks for bench in benches for problem in bench.problems()]
    languages = dict.fromkeys(c.language for c in checks if isinstance(c, ProgramChecks))
    sandbox = await PoolSandbox.start(
        workers=args.workers,
        level=args.sandbox,
        languages=list(languages),
        packages=[path.resolve() for path in args.packages],
        warm=warm_modules(args.packages),
    )
    stack.push_async_callback(sandbox.aclose)
    return CheckedSandbox(sandbox)


@contextmanager
def controls_of(sandbox: Sandbox, args: argparse.Namespace) -> Iterator[ReferenceChecks]:
    """Open what this machine knows of references and stubs."""
    packages = [str(path.resolve()) for path in args.packages]
    path = cache_file("controls.db")
    controls = ReferenceChecks(path, sandbox, json.dumps(packages), toolchains.fingerprint)
    try:
        yield controls
    finally:
        controls.close()


def problems_of(bench: Bench, args: argparse.Namespace) -> list[Problem]:
    """Return the problems that are asked and graded."""
    excused = benchmark_requirements.excused(bench, args.packages)
    return [p for p in bench.problems()[: args.limit] if p.id not in excused]


def in_flight(args: argparse.Namespace) -> int:
    """Return how many programs may be in work: enough for the sandbox."""
    workers: int = args.workers or len(os.sched_getaffinity(0)) + 1
    return 2 * workers


def line(name: str, progress: EvaluationProgress) -> Callable[[], str]:
    """Return what says how far a benchmark is."""

    def text() -> str:
        said = f"{name}: {progress.phase}, {progress.done}/{progress.total}"
        if progress.passed:
            said += f", {progress.passed} passed"
        if progress.unjudged:
            said += f", {progress.unjudged} {UNJUDGED}"
        return said + (f", {progress.failures} not judged" if progress.failures else "")

    return text
