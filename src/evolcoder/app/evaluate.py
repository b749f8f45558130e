"""Evaluates a model or a file of samples on benchmarks: options, plan, execution, result files.

All options are checked before a model is asked or a program runs. An evaluation resumes from its
folder. Checking a benchmark and evaluating with it run the same programs in the same way.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from evolcoder.app import models, provenance
from evolcoder.app.progress import shown_text
from evolcoder.bench.base import (
    Bench,
    CandidateProgram,
    ExtractedProgram,
    Problem,
    ProgramChecks,
    Sample,
)
from evolcoder.bench.ds1000 import warm_modules
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import Template, template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.samples import SampleFile, SampleFormat, read_samples, write_samples
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.engine.base import Sampling
from evolcoder.engine.registry import cache_file, cache_folder, digest_of
from evolcoder.errors import BenchError, BudgetReached, ConfigError, UnjudgedError
from evolcoder.evaluation.results import BenchmarkResult, result_of
from evolcoder.evaluation.runner import Evaluation, EvaluationProgress, SampleGenerator
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


def _candidates(store: EvalStore, bench: Bench) -> list[CandidateProgram]:
    return [
        _candidate(bench, problem, sample)
        for problem in bench.problems()
        for _, sample in sorted(store.samples(bench.name, problem.id).items())
    ]


def _candidate(bench: Bench, problem: Problem, sample: Sample) -> CandidateProgram:
    """Take the program out of a sample; one that cannot be had is written as an empty one."""
    try:
        with judging():
            return bench.candidate(problem, sample)
    except UnjudgedError as error:
        return CandidateProgram(
            sample.problem, sample.index, "", ExtractedProgram.NOTHING, (), str(error)
        )


FLAGS = {"max_usd": "budget.max_usd", "max_tokens_paid": "budget.max_tokens", "cache": "cache"}
"""Option -> the config key that it sets."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What an evaluation is asked to do; the options of `evolcoder eval` by their names."""

    bench: str | None = None
    """Names of benchmarks, by commas."""
    model: str | None = None
    """Spec of the model that answers."""
    samples: Path | None = None
    """A file of samples to grade; no model is asked."""
    n: int = 1
    """Samples of each problem."""
    temperature: float = 0.0
    """0 for greedy."""
    top_p: float = 0.95
    """Nucleus bound."""
    max_tokens: int = 1024
    """Longest answer in tokens."""
    template: str = "chat"
    """Name of a template of prompts."""
    system: str = ""
    """System message of the chat template."""
    seed: int = 0
    """Root of all randomness."""
    out: Path | None = None
    """The evaluation's folder; None: one named after what is asked."""
    data_dir: Path | None = None
    """Folder of benchmark data; None: it is fetched."""
    packages: Sequence[Path] = ()
    """Folders of Python packages that programs may import."""
    sandbox: str = "strict"
    """Minimum sandbox isolation."""
    workers: int | None = None
    """Programs at a time; None: one more than there are processors."""
    limit: int | None = None
    """The first so many problems alone; the score is partial."""
    partial: bool = False
    """Score what there is."""
    no_grade: bool = False
    """Generate only."""
    no_ask: bool = False
    """Grade what was generated, and generate no more."""
    max_usd: float | None = None
    """Most money, by the price table."""
    max_tokens_paid: int | None = None
    """Most tokens paid for."""
    cache: str | None = None
    """Completion cache that runs share."""
    set: Sequence[str] = ()
    """Config keys, each `key=value`."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "EvaluationOptions":
        """Take the options out of all that a command was given."""
        return cls(**{one.name: given[one.name] for one in fields(cls) if one.name in given})


ParseOptions = Callable[[Sequence[str]], EvaluationOptions]
"""Reads options as `evolcoder eval` does."""


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


def benches_of(args: EvaluationOptions) -> tuple[Bench, ...]:
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


def plan_of(args: EvaluationOptions) -> EvaluationPlan:
    """Check the flags and read the benchmarks, or say in one line what is wrong."""
    benches = benches_of(args)
    if bool(args.model) == bool(args.samples):
        raise ConfigError("give either --model SPEC or --samples FILE")
    if args.n > 1 and args.temperature == 0 and args.model:
        raise ConfigError(f"--n {args.n}: greedy samples are all alike; give a --temperature")
    readings = {bench.name: _reading(args.samples, bench) for bench in benches if args.samples}
    given = [
        f"{FLAGS[flag]}={json.dumps(getattr(args, flag))}" for flag in FLAGS if getattr(args, flag)
    ]
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


def _check_packages(args: EvaluationOptions) -> None:
    """Refuse DS-1000 without its libraries, which no program could import."""
    if args.no_grade or any((path / "numpy").is_dir() for path in args.packages):
        return
    needs = files("evolcoder") / "data" / "ds1000-requirements.txt"
    raise ConfigError(
        "ds1000 needs its libraries in a folder: `make ds1000` in a clone, or "
        f"pip install --target .ds1000 -r {needs}; then give --packages .ds1000"
    )


def _check_there_is_something(args: EvaluationOptions, folder: Path) -> None:
    """Refuse to ask for nothing where that leaves nothing to do."""
    if args.no_grade or args.samples:
        raise ConfigError(
            "--no-ask grades what --model has said already: "
            "it goes neither with --no-grade nor with --samples"
        )
    if not (folder / DB_NAME).exists():
        raise ConfigError(f"--no-ask: {folder} holds no evaluation, so there is nothing to grade")


def settings_of(args: EvaluationOptions) -> dict[str, object]:
    """Return what flags decide of the samples that an evaluation's folder holds."""
    if args.samples:
        path: Path = args.samples
        return {"samples": digest_of(path) if path.is_file() else str(path.resolve())}
    kept = ("model", "temperature", "top_p", "max_tokens", "template", "system", "seed")
    settings = {name: getattr(args, name) for name in kept}
    return {**settings, "model": without_logins(args.model)} if args.model else settings


def _reading(path: Path, bench: Bench) -> SampleFile:
    if not path.exists():
        raise BenchError(f"--samples {path}: there is no such file")
    return read_samples(path, bench.problems())


async def sandbox_for(
    benches: Sequence[Bench], args: EvaluationOptions, stack: AsyncExitStack
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
def controls_of(sandbox: Sandbox, args: EvaluationOptions) -> Iterator[ReferenceChecks]:
    """Open what this machine knows of references and stubs."""
    packages = [str(path.resolve()) for path in args.packages]
    path = cache_file("controls.db")
    controls = ReferenceChecks(path, sandbox, json.dumps(packages), toolchains.fingerprint)
    try:
        yield controls
    finally:
        controls.close()


def problems_of(bench: Bench, args: EvaluationOptions) -> list[Problem]:
    """Return the problems that are asked and graded."""
    known_failures = benchmark_requirements.failing_references(bench, args.packages)
    return [p for p in bench.problems()[: args.limit] if p.id not in known_failures]


def in_flight(args: EvaluationOptions) -> int:
    """Return how many programs may be in work: enough for the sandbox."""
    workers: int = args.workers or len(os.sched_getaffinity(0)) + 1
    return 2 * workers


def progress_line(name: str, progress: EvaluationProgress) -> Callable[[], str]:
    """Return what says how far a benchmark is."""

    def text() -> str:
        said = f"{name}: {progress.phase}, {progress.done}/{progress.total}"
        if progress.passed:
            said += f", {progress.passed} passed"
        if progress.unjudged:
            said += f", {progress.unjudged} {UNJUDGED}"
        return said + (f", {progress.failures} not judged" if progress.failures else "")

    return text


async def run_plan(
    plan: EvaluationPlan, args: EvaluationOptions, engines: models.Engines | None = None
) -> tuple[list[BenchmarkResult], BudgetReached | None]:
    """Go through all benches; return their results, and the limit that ended them early."""
    async with AsyncExitStack() as stack:
        sandbox = None if args.no_grade else await sandbox_for(plan.benches, args, stack)
        ungradable = await _ungradable(plan, args, sandbox) if sandbox else {}
        opened = await _open_model(plan, args, stack, engines or {})
        store = stack.enter_context(EvalStore.create(plan.folder, plan.settings))
        provenance.record_evaluation(store, plan.template, plan.sampling)
        generator = _asker(plan, args, store, opened, stack) if opened else None
        results, limit = [], None
        for bench in plan.benches:
            reading = plan.readings.get(bench.name)
            if reading is not None:
                store.add_samples(bench.name, reading.samples)
                store.db.flush()
            lacking = ungradable.get(bench.name, {})
            problems = [p for p in _looked_at(bench, args, store) if p.id not in lacking]
            evaluation = Evaluation(
                store, bench, generator=generator, n=args.n, problems=problems,
                in_flight=_in_flight(plan, args, has_model=generator is not None),
            )  # fmt: skip
            faults: dict[str, str] = {}
            try:
                faults = await _evaluate(evaluation, bench, sandbox, args)
            except BudgetReached as reached:
                limit = reached
            partial = args.partial or args.limit is not None
            store.db.flush()
            left_out = store.without_verdict(bench.name, _wanted(plan, bench, lacking))
            known_failures = benchmark_requirements.failing_references(bench, args.packages)
            known_failures |= {problem: lacking[problem] for problem in left_out}
            result = result_of(
                store, bench, faults=faults, known_failures=known_failures, partial=partial
            )
            notes = [
                *(reading.notes if reading else ()),
                *benchmark_requirements.version_notes(bench, args.packages),
            ]
            results.append(result.with_notes(notes))
            if limit is not None:
                break
        return results, limit


async def _evaluate(
    evaluation: Evaluation,
    bench: Bench,
    sandbox: Sandbox | None,
    args: EvaluationOptions,
) -> dict[str, str]:
    """Check a bench, then generate and grade; return the problems that cannot be believed here."""
    line = progress_line(bench.name, evaluation.progress)
    if sandbox is None:
        async with shown_text(line):
            await evaluation.generate()
        return {}
    with controls_of(sandbox, args) as controls:
        async with shown_text(line):
            faults = await evaluation.check(controls)
            if faults and not args.partial:
                raise BenchError(_refusal(bench.name, faults))
            await evaluation.run(sandbox, controls)
        return faults


async def _open_model(
    plan: EvaluationPlan, args: EvaluationOptions, stack: AsyncExitStack, engines: models.Engines
) -> models.OpenedModels | None:
    """Open the model, unless nothing is to be asked or every sample is there already."""
    if not args.model or args.no_ask or _n_missing(plan, args) == 0:
        return None
    if args.model in engines:
        return engines[args.model]
    opened = await models.open_one(args.model, plan.config)
    stack.push_async_callback(opened.engine.aclose)
    return opened


async def _ungradable(
    plan: EvaluationPlan, args: EvaluationOptions, sandbox: CheckedSandbox
) -> dict[str, dict[str, str]]:
    """Return by bench the problems that lack something here: id -> why.

    Refuses, before a model is asked, where too few problems are left.
    """
    found = {}
    for bench in plan.benches:
        problems = problems_of(bench, args)
        found[bench.name] = await benchmark_requirements.ungradable(problems, sandbox.requirements)
        wanted = _wanted(plan, bench, (problem.id for problem in problems))
        lacking = _wanted(plan, bench, found[bench.name])
        if lacking and (plan.folder / DB_NAME).exists():
            with EvalStore.read(plan.folder) as store:
                lacking = store.without_verdict(bench.name, lacking)
        why = {problem: found[bench.name][problem] for problem in lacking}
        benchmark_requirements.require_gradable(bench.name, why, len(wanted), partial=args.partial)
    return found


def _wanted(plan: EvaluationPlan, bench: Bench, problems: Iterable[str]) -> list[str]:
    """Return those of some problems that are graded: where samples are read, those with one."""
    reading = plan.readings.get(bench.name)
    there = None if reading is None else {sample.problem for sample in reading.samples}
    return [problem for problem in problems if there is None or problem in there]


def _looked_at(bench: Bench, args: EvaluationOptions, store: EvalStore) -> list[Problem]:
    """Return the problems that this time is about: where nobody is asked, those with a sample."""
    problems = problems_of(bench, args)
    if not args.no_ask:
        return problems
    there = store.problems(bench.name)
    return [problem for problem in problems if problem.id in there]


def _n_missing(plan: EvaluationPlan, args: EvaluationOptions) -> int:
    """Count the samples that are still to be drawn."""
    wanted: int = args.n * sum(len(problems_of(bench, args)) for bench in plan.benches)
    if not (plan.folder / DB_NAME).exists():
        return wanted
    with EvalStore.read(plan.folder) as store:
        return wanted - sum(store.count(bench.name, args.n) for bench in plan.benches)


def _asker(
    plan: EvaluationPlan,
    args: EvaluationOptions,
    store: EvalStore,
    opened: models.OpenedModels,
    stack: AsyncExitStack,
) -> SampleGenerator:
    prices = models.prices_of(plan.config, [opened])
    meter = models.open_meter(plan.config, store, prices)
    purse = models.ModelFactory(plan.config, meter, prices, stack)
    return SampleGenerator(purse.role(opened, plan.sampling, args.system), plan.template, args.seed)


def _in_flight(plan: EvaluationPlan, args: EvaluationOptions, *, has_model: bool) -> int:
    """Return how many samples may be in work: enough for the model and for the sandbox."""
    return in_flight(args) + (plan.config.traffic.concurrency if has_model else 0)


def _refusal(bench: str, faults: dict[str, str]) -> str:
    shown = "; ".join(f"{problem}: {fault}" for problem, fault in list(faults.items())[:3])
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return (
        f"{bench} does not pass its own check here, so it gives no score: {shown}{more}. "
        f"--partial leaves these {len(faults)} problems out"
    )
