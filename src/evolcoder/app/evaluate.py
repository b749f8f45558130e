"""Evaluates a model or a file of samples on benchmarks: plan and execution.

All options are validated before the first request or program. An evaluation resumes from its
folder. `evolcoder eval --check` runs the same programs in the same way as an evaluation does.

>>> plan = make_plan(options)   # doctest: +SKIP
>>> results, limit = await run_plan(plan, options)   # doctest: +SKIP
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from evolcoder.app import batches, models, provenance
from evolcoder.app.evaluation_options import (
    SAMPLE_FORMS,
    EvaluationOptions,
    bench_names,
    check_benches,
    check_options,
    config_of,
    sample_settings,
)
from evolcoder.app.progress import SEPARATOR, TokenSpeed, Work, show_text, slots_of
from evolcoder.bench.base import (
    Bench,
    Problem,
    ProgramChecks,
)
from evolcoder.bench.custom import is_custom
from evolcoder.bench.ds1000 import warm_modules
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import ENDINGS, EVALUATION_TEMPLATES, Template, template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.samples import SampleFile, read_samples
from evolcoder.bench.scores import PairedComparison, compare
from evolcoder.config.load import ClusterConfig, Config
from evolcoder.engine.base import Sampling, broke_off
from evolcoder.engine.registry import cache_file, cache_folder, digest_of
from evolcoder.errors import BenchError, BudgetReached, ConfigError
from evolcoder.evaluation.results import BenchmarkResult, outcomes_of, result_of
from evolcoder.evaluation.runner import Evaluation, EvaluationProgress, SampleGenerator
from evolcoder.evaluation.store import DB_NAME, EvalStore, comparable_settings
from evolcoder.grading import gradable
from evolcoder.grading.problem_checks import ReferenceChecks
from evolcoder.ids import content_id
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox import toolchains
from evolcoder.sandbox.base import Sandbox
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.sandbox.requirements import CheckedSandbox
from evolcoder.text import one_line


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """A validated evaluation."""

    benches: tuple[Bench, ...]
    """Benchmarks to evaluate."""
    sample_files: dict[str, SampleFile]
    """Samples read from `--samples`, by benchmark; empty if a model is evaluated."""
    template: Template
    """Prompt template."""
    sampling: Sampling
    """Sampling parameters."""
    config: Config
    """Traffic, budget, prices and cache."""
    folder: Path
    """The evaluation's folder."""
    settings: dict[str, object]
    """Settings that determine the samples; a folder accepts only equal ones."""


def open_benches(args: EvaluationOptions) -> tuple[Bench, ...]:
    """Read the benchmarks of `--bench`; raises ConfigError or BenchError."""
    check_benches(args)
    data = DataFolder(args.data_dir, cache_folder() / "benchmarks")
    if "ds1000" in (args.bench or ""):
        _check_packages(args)
    if "bigcodebench" in (args.bench or ""):
        _check_packages(args, "bigcodebench", "libraries")
    return tuple(bench_named(name, data) for name in bench_names(args))


def make_plan(args: EvaluationOptions) -> EvaluationPlan:
    """Validate the options and read the benchmarks; raises ConfigError or BenchError."""
    check_options(args)
    config = config_of(args)
    benches = open_benches(args)
    template = template_named(args.template, EVALUATION_TEMPLATES)
    template = replace(template, ending=ENDINGS[args.ending])
    _check_template(template, benches)
    sample_files = {b.name: _read_samples(args, b) for b in benches if args.samples}
    settings = {**sample_settings(args), **_extras(config), **_custom_files(args)}
    folder = args.out or _default_folder(benches, settings)
    if args.no_ask:
        _check_no_ask(args, folder)
    return EvaluationPlan(
        benches,
        sample_files,
        template,
        Sampling(args.temperature, args.top_p, args.max_tokens),
        config,
        folder,
        settings,
    )


def _check_template(template: Template, benches: Sequence[Bench]) -> None:
    """Raise ConfigError if a template fills a gap that a benchmark's prompts do not have."""
    for bench in benches if template.gap else ():
        if bench.prompt(bench.problems()[0]).after is None:
            raise ConfigError(
                f"--template {template.name} fills a gap, and the prompts of {bench.name} have "
                "none; use it with infilling-single, -multi, -span or -span-light"
            )


def _extras(config: Config) -> dict[str, object]:
    """Return the extras that `--set evolver.extra_body=…` gives the requests; empty if none."""
    plain = config.evolver.model_dump(mode="json")
    return {name: plain[name] for name in ("extra_body", "extra_headers") if name in plain}


def _custom_files(args: EvaluationOptions) -> dict[str, object]:
    """Return the digests of custom benchmarks; empty if there is none."""
    found = {name: digest_of(Path(name)) for name in bench_names(args) if is_custom(name)}
    return {"bench_files": found} if found else {}


def _default_folder(benches: Sequence[Bench], settings: Mapping[str, object]) -> Path:
    """Return the folder of an evaluation that the user did not name.

    A folder that an earlier version named, with the address of the server, is used on.
    """
    names = [bench.name for bench in benches]
    new, earlier = (
        Path("runs") / f"eval-{content_id('eval', [*names, one])[:8]}"
        for one in (comparable_settings(settings), settings)
    )
    return earlier if (earlier / DB_NAME).exists() and not new.exists() else new


def _check_packages(args: EvaluationOptions, bench: str = "ds1000", name: str = "ds1000") -> None:
    """Raise ConfigError if `--packages` does not provide a benchmark's libraries."""
    if args.no_grade or any((path / "numpy").is_dir() for path in args.packages):
        return
    requirements = files("evolcoder") / "data" / f"{name}-requirements.txt"
    raise ConfigError(
        f"{bench} needs its libraries in a folder: `make {name}` in a clone, or "
        f"pip install --target .{name} -r {requirements}; then pass --packages .{name}"
    )


def _check_no_ask(args: EvaluationOptions, folder: Path) -> None:
    """Raise ConfigError if `--no-ask` leaves nothing to do."""
    if args.no_grade or args.samples:
        raise ConfigError(
            "--no-ask grades the stored samples of --model; "
            "it cannot be combined with --no-grade or --samples"
        )
    if not (folder / DB_NAME).exists():
        raise ConfigError(f"--no-ask: {folder} holds no evaluation, so there is nothing to grade")


def _read_samples(args: EvaluationOptions, bench: Bench) -> SampleFile:
    assert args.samples is not None
    form = SAMPLE_FORMS[args.samples_are] if args.samples_are else None
    return read_samples(args.samples, bench.problems(), form=form)


async def start_sandbox(
    benches: Sequence[Bench], args: EvaluationOptions, stack: AsyncExitStack
) -> CheckedSandbox:
    """Start a sandbox with the languages of the benchmarks and the packages of the options.

    It is on this machine, or on the cluster that the options name.
    """
    checks = [problem.checks for bench in benches for problem in bench.problems()]
    languages = dict.fromkeys(c.language for c in checks if isinstance(c, ProgramChecks))
    packages, warm = [path.resolve() for path in args.packages], warm_modules(args.packages)
    cluster = config_of(args).cluster
    if cluster.address is not None:
        return await _start_on_cluster(cluster, args, (*languages,), stack)
    sandbox = await PoolSandbox.start(
        workers=args.workers,
        level=args.sandbox,
        languages=list(languages),
        packages=packages,
        warm=warm,
    )
    stack.push_async_callback(sandbox.aclose)
    return CheckedSandbox(sandbox, workers=sandbox.workers)


async def _start_on_cluster(
    config: ClusterConfig,
    args: EvaluationOptions,
    languages: tuple[str, ...],
    stack: AsyncExitStack,
) -> CheckedSandbox:
    from evolcoder.app import cluster  # noqa: PLC0415 - rarely needed

    packages = tuple(path.resolve() for path in args.packages)
    workers, warm = args.workers or config.sandboxes_per_node, tuple(warm_modules(args.packages))
    options = cluster.SandboxOptions(args.sandbox, workers, languages, packages, warm)
    sandbox = await cluster.start_sandbox(config, options, stack)
    return CheckedSandbox(sandbox, workers=sandbox.workers)


@contextmanager
def open_reference_checks(sandbox: Sandbox, args: EvaluationOptions) -> Iterator[ReferenceChecks]:
    """Open the cached results of references and stubs for the duration of a `with` block."""
    packages = [str(path.resolve()) for path in args.packages]
    path = cache_file("controls.db")
    references = ReferenceChecks(path, sandbox, json.dumps(packages), toolchains.fingerprint)
    try:
        yield references
    finally:
        references.close()


def select_problems(bench: Bench, args: EvaluationOptions) -> list[Problem]:
    """Return the first `--limit` problems, without those whose reference is known to fail here."""
    known_failures = gradable.failing_references(bench, args.packages)
    return [p for p in bench.problems()[: args.limit] if p.id not in known_failures]


def max_in_flight(sandbox: CheckedSandbox | None) -> int:
    """Return the limit of programs in flight: two per sandbox worker."""
    return 2 * sandbox.workers if sandbox is not None else 1


def show_evaluation(
    name: str, progress: EvaluationProgress, *waits: Callable[[], str]
) -> AbstractAsyncContextManager[None]:
    """Show a benchmark's progress during a block.

    `waits` say what the evaluation waits for, such as a batch.
    """

    def text() -> str:
        counts = {
            "passed": progress.passed,
            UNJUDGED: progress.unjudged,
            "without verdict": progress.failures,
        }
        parts = [
            f"{name}: {progress.phase or 'starting'}, {progress.done}/{progress.total}",
            ", ".join(f"{n} {what}" for what, n in counts.items() if n),
            *(wait() for wait in waits),
        ]
        return SEPARATOR.join(filter(None, parts))

    def work() -> Work:
        done, left = progress.done - progress.stored, progress.total - progress.done
        return Work(progress.phase, done, left, progress.in_flight)

    return show_text(text, work)


def nothing_shared(*sides: tuple[Path, EvalStore]) -> str:
    """Say that two evaluations have no benchmark in common, and which they have."""
    has = ", ".join(f"{path} has {' '.join(one.benches()) or 'none'}" for path, one in sides)
    return f"no benchmark in common: {has}"


def compare_folders(first: Path, second: Path, *, k: int = 1) -> dict[str, PairedComparison]:
    """Compare two evaluations on every benchmark that both have verdicts for, by its name.

    Raises BenchError if there is none.
    """
    with EvalStore.read(first) as before, EvalStore.read(second) as after:
        shared = [name for name in before.benches() if name in after.benches()]
        if not shared:
            raise BenchError(nothing_shared((first, before), (second, after)))
        return {
            name: compare(outcomes_of(before, name), outcomes_of(after, name), k=k)
            for name in shared
        }


async def run_plan(
    plan: EvaluationPlan, args: EvaluationOptions, engines: models.Engines | None = None
) -> tuple[list[BenchmarkResult], BudgetReached | None]:
    """Evaluate all benchmarks; return results and the budget limit that stopped early, if any.

    `engines` are open models by their spec in the config; they stay open.
    """
    async with AsyncExitStack() as stack:
        known = models.resume(stack, EvalStore.create, plan.folder / DB_NAME, plan.settings)
        sandbox = None if args.no_grade else await start_sandbox(plan.benches, args, stack)
        ungradable = await _ungradable(plan, args, sandbox) if sandbox else {}
        opened = await _open_model(plan, args, stack, engines or {})
        store = models.note_replaced(
            known or stack.enter_context(EvalStore.create(plan.folder, plan.settings))
        )
        provenance.record_evaluation(store, plan.config, plan.template, plan.sampling)
        generator, waits = None, []
        if opened is not None:
            generator, speed = _sample_generator(plan, args, store, opened, stack)
            waits = [speed.text, speed.cost_text, batches.progress([opened.engine])]
        in_flight = _in_flight(plan, sandbox, opened)
        session = _Session(plan, args, store, sandbox, generator, tuple(waits), in_flight)
        results = []
        for bench in plan.benches:
            result, limit = await session.evaluate(bench, ungradable.get(bench.name, {}))
            results.append(result)
            if limit is not None:
                return results, limit
        return results, None


@dataclass(frozen=True, slots=True)
class _Session:
    """What one run of a command evaluates its benchmarks with."""

    plan: EvaluationPlan
    """The benchmarks and settings."""
    args: EvaluationOptions
    """The options of the command."""
    store: EvalStore
    """The folder's samples and verdicts."""
    sandbox: CheckedSandbox | None
    """Grades samples; None if they are only generated."""
    generator: SampleGenerator | None
    """Generates samples; None if none is to be generated."""
    waits: tuple[Callable[[], str], ...]
    """What the progress shows of the model."""
    in_flight: int
    """Most samples in flight."""

    async def evaluate(
        self, bench: Bench, unmet: Mapping[str, str]
    ) -> tuple[BenchmarkResult, BudgetReached | None]:
        """Evaluate a benchmark without the problems `unmet` (id -> why they cannot be graded)."""
        store, args, limit = self.store, self.args, None
        sample_file = self.plan.sample_files.get(bench.name)
        if sample_file is not None:
            store.add_samples(bench.name, sample_file.samples, sample_file.finishes)
            store.db.flush()
        problems = [p for p in _problems_to_run(bench, args, store) if p.id not in unmet]
        faults: dict[str, str] = {}
        try:
            faults = await self._process(bench, problems)
        except BudgetReached as reached:
            limit = reached
        store.db.flush()
        excluded = store.without_verdict(bench.name, _graded(self.plan, bench, unmet))
        known_failures = gradable.failing_references(bench, args.packages)
        known_failures |= {problem: unmet[problem] for problem in excluded}
        known_failures |= gradable.left_out_here(bench, faults)
        if self.sandbox is not None and limit is None:
            checked = [*(problem.id for problem in problems), *unmet]
            store.exclude(bench.name, {*faults, *known_failures}, checked)
        result = result_of(
            store,
            bench,
            faults={one: why for one, why in faults.items() if one not in known_failures},
            known_failures=known_failures,
            partial=args.partial or args.limit is not None,
            n_asked=args.limit,
        )
        notes = [
            *(sample_file.notes if sample_file else ()),
            *broken_off_notes(store, bench),
            *gradable.version_notes(bench, args.packages),
        ]
        return result.with_notes(notes), limit

    async def _process(self, bench: Bench, problems: Sequence[Problem]) -> dict[str, str]:
        """Self-check a benchmark, then generate and grade; return faulty problems: id -> why.

        Without a sandbox, only generate.
        """
        evaluation = Evaluation(
            self.store,
            bench,
            generator=self.generator,
            n=self.args.n,
            in_flight=self.in_flight,
            problems=problems,
        )
        progress = show_evaluation(bench.name, evaluation.progress, *self.waits)
        if self.sandbox is None:
            async with progress:
                await evaluation.generate()
            return {}
        with open_reference_checks(self.sandbox, self.args) as references:
            async with progress:
                faults = await evaluation.check(references)
                left_out = gradable.left_out_here(bench, faults)
                if len(faults) > len(left_out) and not self.args.partial:
                    refused = {one: why for one, why in faults.items() if one not in left_out}
                    raise BenchError(_self_check_error(bench.name, refused))
                await evaluation.run(self.sandbox, references)
            return faults


def broken_off_notes(store: EvalStore, bench: Bench) -> list[str]:
    """Say how many samples broke off; they are graded as they came."""
    found = {word: n for word, n in store.finishes(bench.name).items() if word and broke_off(word)}
    if not found:
        return []
    words = ", ".join(f"{one_line(word, 40)} {n}" for word, n in found.items())
    return [f"{sum(found.values())} samples are incomplete (finish reason: {words})"]


async def _open_model(
    plan: EvaluationPlan, args: EvaluationOptions, stack: AsyncExitStack, engines: models.Engines
) -> models.OpenedModels | None:
    """Open the model; None if no samples are to be generated."""
    if not args.model or args.no_ask or _n_missing(plan, args) == 0:
        return None
    if args.model in engines:
        return models.with_extras(engines[args.model], plan.config.evolver)
    opened = await models.open_model(args.model, plan.config)
    stack.push_async_callback(opened.engine.aclose)
    return opened


async def _ungradable(
    plan: EvaluationPlan, args: EvaluationOptions, sandbox: CheckedSandbox
) -> dict[str, dict[str, str]]:
    """Return by benchmark the problems whose requirements are missing here: id -> why.

    Raises BenchError if the remaining problems give no score.
    """
    ungradable = {}
    for bench in plan.benches:
        problems = select_problems(bench, args)
        unmet = await gradable.ungradable(problems, sandbox.requirements)
        ungradable[bench.name] = unmet
        graded = _graded(plan, bench, (problem.id for problem in problems))
        lacking = _graded(plan, bench, unmet)
        if lacking and (plan.folder / DB_NAME).exists():
            with EvalStore.read(plan.folder) as store:
                lacking = store.without_verdict(bench.name, lacking)
        why = {problem: unmet[problem] for problem in lacking}
        gradable.require_gradable(bench.name, why, len(graded), partial=args.partial)
    return ungradable


def _graded(plan: EvaluationPlan, bench: Bench, problems: Iterable[str]) -> list[str]:
    """Filter problems to those that are graded; a sample file limits them to its own."""
    sample_file = plan.sample_files.get(bench.name)
    sampled = None if sample_file is None else {sample.problem for sample in sample_file.samples}
    return [problem for problem in problems if sampled is None or problem in sampled]


def _problems_to_run(bench: Bench, args: EvaluationOptions, store: EvalStore) -> list[Problem]:
    """Return the problems of this session; with `--no-ask`, only those with stored samples."""
    problems = select_problems(bench, args)
    if not args.no_ask:
        return problems
    sampled = store.problems(bench.name)
    return [problem for problem in problems if problem.id in sampled]


def _n_missing(plan: EvaluationPlan, args: EvaluationOptions) -> int:
    """Count the samples still to be generated."""
    needed: int = args.n * sum(len(select_problems(bench, args)) for bench in plan.benches)
    if not (plan.folder / DB_NAME).exists():
        return needed
    with EvalStore.read(plan.folder) as store:
        return needed - sum(store.count(bench.name, args.n) for bench in plan.benches)


def _sample_generator(
    plan: EvaluationPlan,
    args: EvaluationOptions,
    store: EvalStore,
    opened: models.OpenedModels,
    stack: AsyncExitStack,
) -> tuple[SampleGenerator, TokenSpeed]:
    """Return what generates samples, and the tokens that it receives."""
    prices = models.find_prices(plan.config, [opened])
    budget = models.open_budget(plan.config, store, prices)
    stack.callback(models.note_exceeded, budget)
    factory = models.ModelFactory(plan.config, budget, prices, stack)
    stack.callback(lambda: store.add_answered(factory.checks.answered))
    role = factory.role(opened, plan.sampling, args.system)
    speed = TokenSpeed(budget, [opened.engine])
    return SampleGenerator(role, plan.template, args.seed), speed


def _in_flight(
    plan: EvaluationPlan, sandbox: CheckedSandbox | None, opened: models.OpenedModels | None
) -> int:
    """Return the limit of samples in flight, for the sandbox and the model together."""
    if opened is None:
        return max_in_flight(sandbox)
    traffic = plan.config.traffic
    n_requests = slots_of([opened.engine]) or traffic.concurrency
    return max_in_flight(sandbox) + (batches.MAX_IN_FLIGHT if traffic.batch else n_requests)


def _self_check_error(bench: str, faults: dict[str, str]) -> str:
    shown = "; ".join(f"{problem}: {fault}" for problem, fault in list(faults.items())[:3])
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return (
        f"{bench}: no score, since its self-check fails on this machine: {shown}{more}; "
        f"pass --partial to exclude these {len(faults)} problems"
    )
