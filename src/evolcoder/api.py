"""The public API: the commands of the command line as functions on `Row` objects.

Functions block, also inside a running event loop (a notebook), and have `_async` versions. An
interrupted call keeps everything that was paid for; the same call resumes. Progress goes to stderr.
`rows` arguments accept `Row` objects, a path or Hub id in any supported format, or a
`datasets.Dataset`.

>>> import evolcoder as ec
>>> run = ec.evolve("seeds.jsonl", model="qwen2.5-coder-0.5b", out="runs/a")   # doctest: +SKIP
>>> rows = ec.verify(run.rows(), checks=["runs"]).kept   # doctest: +SKIP
>>> ec.export(ec.dedup(rows).kept, "out", format="trl")   # doctest: +SKIP
"""

import json
import os
import tempfile
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from evolcoder.app.arguments import check_types, checked
from evolcoder.app.blocking import async_twin, blocking_twin
from evolcoder.config import load as configs
from evolcoder.config.overrides import override
from evolcoder.engine.base import Engine
from evolcoder.errors import ConfigError
from evolcoder.ids import content_id
from evolcoder.records import Row
from evolcoder.results import Decontaminated, Deduplicated, EvaluationResult, Run, Verified
from evolcoder.sandbox.base import LevelName
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore

if TYPE_CHECKING:
    from datasets import Dataset

    from evolcoder.bench.scores import PairedComparison
    from evolcoder.config.schema import ExportFormat
    from evolcoder.decontamination.similarity import TaskSimilarity
    from evolcoder.training.folder import TrainingOutcome

Rows: TypeAlias = "Iterable[Row] | str | os.PathLike[str] | Dataset | Run | Verified | Deduplicated | Decontaminated"  # noqa: E501
"""Input of the functions: `Row` objects or rows in any supported format, a path or Hub id, a
Dataset, a run, or the result of another function."""


def _names(given: str | Sequence[str]) -> list[str]:
    if not isinstance(given, Iterable):
        raise ConfigError(f"{given!r} is no name; give one or a list of names")
    return [given] if isinstance(given, str) else list(given)


def _is_source(rows: object) -> bool:
    return isinstance(rows, str | os.PathLike)


def read(rows: Rows, *, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Read rows from a path or Hub id (in any seed format), a Dataset, or an iterable of rows.

    A DataFrame, an Arrow table, a `Run`, a result with `kept` rows and a list of tasks as text are
    read too. `columns` names the columns of other formats, such as
    `{"instruction": "q", "response": "a"}`. Raises SeedsError for a file that cannot be read, or if
    less than nine rows in ten can, and ConfigError for what holds no rows.

    >>> ec.read("data.jsonl")[0].task.instruction   # doctest: +SKIP
    """
    from evolcoder.seeds.memory import rows_in_memory
    from evolcoder.seeds.rows import check_columns, read_rows

    named = check_columns(columns or {})
    if _is_source(rows):
        return list(read_rows(os.fspath(cast("str", rows)), named))
    if isinstance(rows, Run):
        return rows.rows()
    if isinstance(rows, Verified | Deduplicated | Decontaminated):
        return rows.kept
    return rows_in_memory(rows, named)


@checked
def to_dataset(rows: Rows, format: "ExportFormat" = "messages") -> "Dataset":
    """Convert rows to a `datasets.Dataset` with the columns of an export format, lineage included.

    Raises ConfigError for an unknown format, or if the package `datasets` is not installed.

    >>> ec.to_dataset(rows, "trl").column_names[:2]   # doctest: +SKIP
    ['prompt', 'completion']
    """
    from evolcoder.exports.formats import FORMATS

    try:
        from datasets import Dataset
    except ImportError as error:
        raise ConfigError("to_dataset needs datasets; run: pip install datasets") from error
    _check_format(format)
    return Dataset.from_list([FORMATS[format].columns(row) for row in read(rows)])


def _check_format(format: str) -> None:
    from evolcoder.exports.formats import FORMATS

    if format not in FORMATS:
        raise ConfigError(f"format {format!r}: known formats: {', '.join(FORMATS)}")


@checked
def export(
    rows: Rows,
    out: str | os.PathLike[str],
    format: "ExportFormat | Sequence[ExportFormat]" = "messages",
    *,
    license: str = "unknown",
    title: str = "evolcoder",
    name: str = "evolcoder",
    validation: float = 0.0,
    failing: bool = False,
) -> list[Path]:
    """Write rows as training data; return the data files.

    Each format gets its own folder under `out`, with a data set card and configuration files for
    LLaMA-Factory, axolotl and TRL, in which the data set is called `name`. `validation` is the
    share of lineages that get a file of their own. Rows with the verdict that their program ended
    in an error, or printed something else than the response says, are left out, unless `failing`.
    Raises ConfigError for an unknown format.

    >>> ec.export(rows, "out", format="trl")   # doctest: +SKIP
    [PosixPath('out/trl/data.jsonl')]
    """
    from evolcoder.app import provenance
    from evolcoder.exports import write
    from evolcoder.exports.formats import shown_wrong
    from evolcoder.exports.write import CardFacts

    formats = cast("list[ExportFormat]", _names(format))
    for one in formats:
        _check_format(one)
    kept = [row for row in read(rows) if failing or not shown_wrong(row)]
    facts = CardFacts(title, license, "", "", (), (), tuple(sorted(provenance.versions().items())))
    values = {"name": name, "validation": validation}
    options = configs.load_values({f"export.{key}": value for key, value in values.items()}).export
    written = write.export(lambda _: kept, formats, Path(out), facts, options)
    return [one.path for one in written]


@checked
async def evolve_async(
    seeds: "Rows | None" = None,
    *,
    model: str | Engine | None = None,
    responder: str | Engine | None = None,
    judge: str | Engine | None = None,
    rounds: int | None = None,
    style: Literal["auto", "append", "rewrite"] | None = None,
    preset: Literal["wizardcoder", "strong"] | None = None,
    candidates: int | None = None,
    out: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    target: int | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    max_hours: float | None = None,
    seed: int | None = None,
    sandbox: LevelName | None = None,
    retry_rejected: bool = False,
    config: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Run:
    """Evolve seeds into harder tasks with answers, in rounds (Code Evol-Instruct).

    What is not given is as in `config`, a YAML file, or else as in `evolcoder run`: the bundled
    seeds, a small local model, one round. `settings` sets any config key.

    `model`, `responder` (default: `model`) and `judge` are model specs (a known name, `FILE.gguf`,
    `openai:NAME`, `http://HOST/v1#NAME`) or your own `Engine`. `style` says whether the evolver
    writes sentences to `append` or is to `rewrite` the whole task (default: `auto`, by the model's
    size or measured). `preset="wizardcoder"` takes the paper's methods, template and sampling,
    and `preset="strong"` verifies more. `candidates` is the number of answers to each task, of
    which the one that agrees with most others when run is kept.
    `out` is the run folder; an existing one is resumed. `columns` are those of the seeds, as in
    `read`. `limit` uses only the first N seeds; `target` stops at N evolved rows. `max_usd`
    (dollars), `max_tokens` and `max_hours` are budget limits. `sandbox` is the minimum isolation.
    `retry_rejected` asks again for rows that a model server rejected or failed at.

    Returns a `Run`; if a budget limit stopped it, `Run.stopped` says which, and `Run.why_empty()`
    says why it kept nothing. Raises UserError (wrong
    values or files), EngineError (a model failed permanently) or SandboxError.

    >>> run = ec.evolve("seeds.jsonl", model="http://localhost:8000/v1#qwen", rounds=2,
    ...                 out="runs/a", max_hours=8)   # doctest: +SKIP
    >>> run.stats()[0].entered, run.stats()[0].kept   # doctest: +SKIP
    (8, 8)
    """
    from evolcoder.app.evolve import default_folder, evolve_run

    engines = _Engines()
    overrides = {
        "preset": preset,
        "respond.candidates": candidates,
        "evolve.style": style,
        "evolver.model": engines.spec(model),
        "responder.model": engines.spec(responder),
        "judge.model": engines.spec(judge),
        "budget.rounds": rounds,
        "seeds.columns": dict(columns) if columns and _is_source(seeds) else None,
        "seeds.limit": limit,
        "budget.target": target,
        "budget.max_usd": max_usd,
        "budget.max_tokens": max_tokens,
        "budget.max_hours": max_hours,
        "seed": seed,
        "verify.sandbox": sandbox,
        **(settings or {}),
    }
    if seeds is not None:
        given = seeds if _is_source(seeds) else read(seeds, columns=columns)
        overrides["seeds.path"] = _source(given, Path("runs") if out is None else Path(out).parent)
    loaded = configs.load_values(overrides, config)
    folder = default_folder(loaded) if out is None else Path(out)
    reached = await evolve_run(loaded, folder, engines.opened, retry_rejected=retry_rejected)
    return Run(folder, str(reached or ""))


evolve = blocking_twin(evolve_async)


@checked
async def verify_async(
    rows: Rows,
    *,
    checks: str | Sequence[str] | None = None,
    model: str | Engine | None = None,
    out: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    sandbox: LevelName | None = None,
    workers: int | None = None,
    retry_rejected: bool = False,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    config: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Verified:
    """Check every row by running its answer in the sandbox; of a run folder, the rows that it kept.

    `checks` are any of `runs` (the default), `tests`, `bait`, `bound`, `difficulty` and `shape`;
    `tests` and `difficulty` need a `model`, which writes tests and further answers; for `bound` it
    writes inputs. `out` is a run
    folder; an existing one is resumed. `columns` are those of the rows, as in `read`. `workers` is
    the number of concurrent programs. `retry_rejected` checks rows again whose checks a model
    server, the sandbox or the check itself failed at, or that lacked the tools of a language.
    `max_usd`, `max_tokens`, `config` and `settings` are as in `evolve`.

    Rows keep their lineage. Raises UserError, EngineError or SandboxError.

    >>> ec.verify("data.jsonl", checks=["runs"]).kept[0].verdicts[0].kind   # doctest: +SKIP
    'ran'
    """
    from evolcoder.app import verify as verification

    engines = _Engines()
    overrides = {
        "evolver.model": engines.spec(model),
        "verify.checks": None if checks is None else _names(checks),
        "verify.sandbox": sandbox,
        "budget.rounds": 0,
        "verify.when": "always",
        "verify.seeds": True,
        "budget.max_usd": max_usd,
        "budget.max_tokens": max_tokens,
        "seed": seed,
        **(settings or {}),
    }
    if _is_source(rows) and (run := Path(os.fspath(cast("str", rows))) / DB_NAME).exists():
        if out is not None or config is not None or columns:
            raise ConfigError("a run is verified in its folder; leave out out, config and columns")
        for key in ("budget.rounds", "verify.when", "verify.seeds"):  # those of the run stay
            del overrides[key]
        reached = await verification.verify_run(
            configs.load_values(overrides, run.with_name(CONFIG_NAME)), run.parent,
            workers=workers, engines=engines.opened, retry_rejected=retry_rejected,
            has_named_model=model is not None,
        )  # fmt: skip
        with RunStore.read(run.parent) as store:
            return Verified.read(store, None, str(reached or ""))
    if checks is None and config is None and not (settings and "verify.checks" in settings):
        overrides["verify.checks"] = ["runs"]
    originals = read(rows, columns=columns)
    if _is_source(rows) and columns:
        overrides["seeds.columns"] = dict(columns)
    with tempfile.TemporaryDirectory(prefix="evolcoder-") as temporary:
        folder = Path(out) if out is not None else Path(temporary, "verified")
        parent = Path(temporary) if out is None else folder.parent
        overrides["seeds.path"] = _source(rows if _is_source(rows) else originals, parent)
        loaded = configs.load_values(overrides, config)
        if verification.needs_model(loaded.verify) and model is None and config is None:
            names = ", ".join(sorted(verification.MODEL_CHECKS & set(loaded.verify.checks)))
            raise ConfigError(f"checks {names} need a model; set model=")
        reached = await verification.verify_rows(
            loaded, folder, workers=workers, engines=engines.opened, retry_rejected=retry_rejected,
            has_named_model=model is not None,
        )  # fmt: skip
        with RunStore.read(folder) as store:
            return Verified.read(store, originals, str(reached or ""))


verify = blocking_twin(verify_async)


@checked
def dedup(
    rows: Rows,
    *,
    exact: bool = True,
    near: float | None = 0.8,
    meaning: float | None = None,
    compare: Literal["task", "row"] = "task",
    embedder: str | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Deduplicated:
    """Drop exact, near (MinHash) and semantic (embedding) duplicates.

    `near` is the minimum Jaccard similarity of word 3-grams and `meaning` the minimum cosine
    similarity, both from 0 to 1; None disables the method. `compare` selects tasks alone, or tasks
    with their answers; rows without a task are not compared. `columns` are those of the rows, as in
    `read`. Of duplicates the verified row is kept, then the row of the earlier round.
    Raises ConfigError for wrong values.

    >>> len(ec.dedup(rows, near=0.8).kept)   # doctest: +SKIP
    978
    """
    from evolcoder.app.detectors import embedder_for
    from evolcoder.deduplication.files import is_readable, similarity_of
    from evolcoder.deduplication.find import Document, find_duplicates

    overrides = {
        "clean.exact": exact,
        "clean.near": near,
        "clean.meaning": meaning,
        "clean.compare": compare,
        "clean.embedder": embedder,
    }
    config = configs.load_values(overrides, nulls={"clean.near", "clean.meaning"}).clean
    originals = read(rows, columns=columns)
    readable = [number for number, row in enumerate(originals) if is_readable(row)]
    documents = (Document.of(originals[number], compare) for number in readable)
    duplicates = find_duplicates(
        documents, similarity_of(config), seed=seed, embedder=embedder_for(config)
    )
    dropped = {readable[duplicate.number]: duplicate for duplicate in duplicates}
    return Deduplicated(
        [row for number, row in enumerate(originals) if number not in dropped],
        [(originals[number], duplicate) for number, duplicate in sorted(dropped.items())],
    )


dedup_async = async_twin(dedup)


@checked
async def decontaminate_async(
    rows: Rows,
    *,
    against: str | Sequence[str] = ("humaneval+", "mbpp+"),
    detectors: str | Sequence[str] = ("ngrams", "substring", "neighbours", "execution"),
    judge: str | None = None,
    drop: str | Sequence[str] = ("any",),
    data_dir: str | os.PathLike[str] | None = None,
    sandbox: LevelName = "strict",
    workers: int | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Decontaminated:
    """Drop rows that contain benchmark problems, found by text, meaning and execution.

    `against` names benchmarks. `detectors` are any of `ngrams`, `substring`, `neighbours` and
    `execution`. `judge` is the spec of a model that judges the nearest neighbours.
    `drop` names the detectors whose hits drop a row. `data_dir` is a folder of benchmark files,
    downloaded by default. `workers` is the number of concurrent programs. `columns` are those of
    the rows, as in `read`.

    Raises ConfigError for unknown names; BenchError, ModelError or SandboxRefusedError if a
    benchmark, model or sandbox is unavailable.

    >>> ec.decontaminate(rows, against=["humaneval+", "mbpp+"]).hits[:3]   # doctest: +SKIP
    """
    from evolcoder.app.detectors import find_leaks, options_from_config
    from evolcoder.decontamination.hits import Detector
    from evolcoder.deduplication.files import is_readable, with_all_turns

    config = configs.load_values(
        {
            "clean.against": _names(against),
            "clean.detectors": _names(detectors),
            "clean.drop": _names(drop),
            "clean.data_dir": None if data_dir is None else os.fspath(data_dir),
            "verify.sandbox": sandbox,
            "seed": seed,
        }
    )
    options = replace(options_from_config(config), workers=workers, judge=judge)
    if judge is not None:
        options = replace(options, detectors=options.detectors | {Detector.JUDGE})
    originals = read(rows, columns=columns)
    searched = (with_all_turns(row) for row in originals if is_readable(row))
    report = await find_leaks(searched, options, config)
    dropped = set(report.dropped)
    return Decontaminated(
        [row for row in originals if row.task.id not in dropped],
        [row for row in originals if row.task.id in dropped],
        list(report.hits),
        report,
    )


decontaminate = blocking_twin(decontaminate_async)


@checked
def similarity(
    run: Run | str | os.PathLike[str],
    against: str | Sequence[str] = ("humaneval", "mbpp"),
    *,
    data_dir: str | os.PathLike[str] | None = None,
    embedder: str | None = None,
    judge: str | Engine | None = None,
) -> "TaskSimilarity":
    """Measure how near a run's tasks are to benchmark problems, next to complexity, by round.

    `against` names benchmarks. For each of their problems the five nearest rows of every round are
    found by `embedder` (default: that of the run's config, `clean.embedder`). `data_dir` is a
    folder of benchmark files, downloaded by default. The result is stored in the run's folder and
    measured again only if rows or settings differ; `evolcoder report` shows it.

    `judge`, a model spec or an `Engine`, also scores tasks from 1 to 10: how difficult at most 100
    of each round are, and how alike at most 50 problems of each benchmark and their nearest rows
    are (`scores`, with 95 % intervals). No question is sent twice.

    Raises UserError for a folder without rows, BenchError or ModelError if a benchmark or a model
    is unavailable, EngineError if the judge fails permanently, BudgetReached at the run's limits.

    >>> found = ec.similarity("runs/a", against=["humaneval", "mbpp"])   # doctest: +SKIP
    >>> [(one.benchmark, one.round, one.mean) for one in found.rounds][:1]   # doctest: +SKIP
    [('humaneval', 0, 0.4123)]
    """
    from evolcoder.app.similarity import SimilarityOptions, measure_similarity

    folder = run.folder if isinstance(run, Run) else Path(run)
    named = tuple(_names(against))
    engines = _Engines()
    options = SimilarityOptions(
        named, None if data_dir is None else Path(data_dir), embedder,
        judge=engines.spec(judge), engines=engines.opened,
    )  # fmt: skip
    return measure_similarity(folder, options)


similarity_async = async_twin(similarity)


@checked
async def evaluate_async(
    bench: str | Sequence[str],
    *,
    model: str | Engine | None = None,
    samples: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    packages: Sequence[str | os.PathLike[str]] = (),
    data_dir: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
    **options: Any,  # noqa: ANN401 - the fields of EvaluationOptions
) -> EvaluationResult:
    """Score a model, or a file of samples, on benchmarks (`humaneval+`, `mbpp+`, `ds1000` ...).

    Give `model`, a spec or an `Engine`, or `samples`, a file. `out` is the evaluation's folder; an
    existing one is resumed. `packages` are folders of Python packages that programs may import.
    `data_dir` is a folder of benchmark files, downloaded by default. `options` are fields of
    `EvaluationOptions`: `n` samples per problem; `temperature`, `top_p`, `max_tokens`, `template`,
    `system`, `seed`; `limit`, the first N problems, with `partial=True` to score them; `sandbox`;
    `workers`; `max_usd`; and others. `settings` sets any config key.

    Raises UserError, BenchError (a benchmark that fails its self-check), EngineError or
    SandboxError; a sandbox failure never counts as a wrong answer.

    >>> a = ec.evaluate("humaneval+", model="qwen2.5-coder-0.5b")   # doctest: +SKIP
    >>> a.pass_at_1, a.interval   # doctest: +SKIP
    """
    from evolcoder.app import evaluate as evaluation
    from evolcoder.app.evaluation_files import write_results
    from evolcoder.app.evaluation_options import EvaluationOptions
    from evolcoder.evaluation.store import EvalStore

    engines = _Engines()
    known = {name for name in EvaluationOptions.__slots__ if name != "set"}
    for name in options:
        if name not in known:
            raise ConfigError(
                f"evaluate: unknown option {name!r}; known: {', '.join(sorted(known))}"
            )
    check_types("evaluate", options, EvaluationOptions.__annotations__)
    args = EvaluationOptions(
        bench=bench if isinstance(bench, str) else ",".join(bench),
        model=engines.spec(model),
        samples=None if samples is None else Path(samples),
        out=None if out is None else Path(out),
        packages=tuple(map(Path, packages)),
        data_dir=None if data_dir is None else Path(data_dir),
        set=tuple(override(key, value) for key, value in (settings or {}).items()),
        **options,
    )
    plan = evaluation.make_plan(args)
    results, reached = await evaluation.run_plan(plan, args, engines.opened)
    if not args.no_grade:
        with EvalStore.read(plan.folder) as store:
            write_results(store, plan.benches, results, layout=None)
    return EvaluationResult(plan.folder, tuple(results), str(reached or ""))


evaluate = blocking_twin(evaluate_async)


def compare(
    first: EvaluationResult | str | os.PathLike[str],
    second: EvaluationResult | str | os.PathLike[str],
    *,
    bench: str | None = None,
    k: int = 1,
) -> "PairedComparison":
    """Compare two evaluations, or their folders, paired on the problems graded in both.

    `bench` is the benchmark (default: the first shared one). With one sample per problem the test
    is McNemar's exact test, with several a paired bootstrap. Raises BenchError if the evaluations
    share no benchmark or problem.

    >>> ec.compare(a, b).p_value   # doctest: +SKIP
    0.031
    """
    from evolcoder.app.evaluate import compare_folders
    from evolcoder.errors import BenchError

    before, after = (
        result.folder if isinstance(result, EvaluationResult) else Path(result)
        for result in (first, second)
    )
    found = compare_folders(before, after, k=k)
    if bench is not None and bench not in found:
        raise BenchError(f"{before} and {after} do not have the benchmark {bench} in common")
    return found[bench or next(iter(found))]


compare_async = async_twin(compare)


@checked
def train(
    rows: Rows,
    base: str,
    out: str | os.PathLike[str],
    *,
    preset: str = "small",
    columns: Mapping[str, str] | None = None,
    validation: "Rows | None" = None,
    log_completions: int = 0,
    report_to: Literal["tensorboard", "wandb"] | None = None,
    **recipe: Any,  # noqa: ANN401 - the fields of Recipe
) -> "TrainingOutcome":
    """Fine-tune a base model on rows into the folder `out`; needs the extra `train`.

    `base` is a folder, a Hub id, `FILE.gguf` or a known name. `columns` are those of the rows, as
    in `read`. The rows of `validation` are not trained on; their loss is measured after every tenth
    of the steps, and the first `log_completions` of their tasks are completed in
    `completions.jsonl`. `report_to` names a tracker that gets the figures of each step. `recipe`
    overrides fields of the preset, such as `epochs=1` or `method="lora"`. Progress is printed on
    stderr; an interrupted training resumes from its last checkpoint. Raises TrainError.

    >>> ec.train(rows, "qwen2.5-coder-0.5b", "models/a", epochs=1).last_loss   # doctest: +SKIP
    0.41
    """
    from evolcoder.app import train as training
    from evolcoder.seeds.rows import check_columns
    from evolcoder.training.recipe import recipe_of

    with tempfile.TemporaryDirectory(prefix="evolcoder-") as temporary:
        given = [rows] if validation is None else [rows, validation]
        named = columns or {}
        if not all(map(_is_source, given)):  # rows in memory have our columns
            given, named = [read(one, columns=columns) for one in given], {}
        data, *held = (_source(one, Path(temporary)) for one in given)
        return training.train_model(
            [data], base, Path(out), recipe=recipe_of(preset, recipe),
            columns=check_columns(named), validation=held,
            n_completions=log_completions, report_to=report_to,
        )  # fmt: skip


train_async = async_twin(train)


@dataclass(slots=True)
class _Engines:
    """The caller's engines, by the spec that represents them in the config."""

    opened: "dict[str, Any]" = field(default_factory=dict)

    def spec(self, model: str | Engine | None) -> str | None:
        """Return the spec of a model; an engine is registered under a spec of its identity."""
        if model is None or isinstance(model, str):
            return model
        lacks = [name for name in ("identity", "complete", "aclose") if not hasattr(model, name)]
        if lacks or isinstance(model, type):
            what = f"lacks {', '.join(lacks)}" if lacks else "is a class; give an instance"
            raise ConfigError(
                f"model: {model!r:.60} is neither a spec nor an engine: it {what}; an engine has "
                "`identity`, `async complete(request)` and `async aclose()`"
            )
        from evolcoder.app.given_engine import GivenEngine
        from evolcoder.app.models import OpenedModels

        name = str(getattr(model, "model", "") or "model")
        spec = f"engine:{model.identity}#{name}"
        self.opened[spec] = OpenedModels(GivenEngine(model), name)
        return spec


def _source(rows: Rows, folder: Path) -> str:
    """Return the path or Hub id of rows; rows in memory are written to a file in `folder`.

    The file is named by a hash of its content, so that equal rows resume the same run.
    """
    if _is_source(rows):
        return os.fspath(cast("str", rows))
    lines = list(_lines(read(rows)))
    path = folder / f"rows-{content_id('rows', lines)[:8]}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.open_text(path) as file:
        file.writelines(lines)
    return str(path)


def _lines(rows: Iterable[Row]) -> Iterator[str]:
    """Serialise rows as JSON lines, lineage included."""
    from evolcoder.exports.formats import lineage

    for row in rows:
        record = {"instruction": row.task.instruction, "output": row.response.text, **lineage(row)}
        yield json.dumps(record) + "\n"
