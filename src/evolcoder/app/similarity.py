"""Measures how similar a run's rows are to benchmark problems; stores the result with the run.

A stored result is used again while rows, benchmarks, embedder and bounds are the same. The database
of the run is only read, so a run may go on meanwhile; the result covers the rows there are.

>>> found = measure_similarity(folder, SimilarityOptions(("humaneval", "mbpp")))   # doctest: +SKIP
>>> found.rounds[0].mean   # doctest: +SKIP
0.4123
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evolcoder.app.blocking import run_blocking
from evolcoder.app.detectors import open_cached_embedder, open_judge, read_benches
from evolcoder.app.models import Engines, asked_of
from evolcoder.config.load import Config, load
from evolcoder.credentials import without_logins
from evolcoder.decontamination.hits import benchmark_texts
from evolcoder.decontamination.judge_scores import (
    DIFFICULTY,
    LIKENESS,
    SCORED_PROBLEMS,
    SCORED_ROWS,
    ScoreKind,
    ScoreQuestion,
    ask_scores,
    difficulty_questions,
    round_scores,
    spread,
)
from evolcoder.decontamination.similarity import (
    FILE_NAME,
    RoundMeasure,
    TaskSimilarity,
    compare_rounds,
    rows_digest,
    settings_of,
    with_measures,
)
from evolcoder.errors import ConfigError, UserError
from evolcoder.ids import content_id
from evolcoder.records import Row
from evolcoder.storage import atomic
from evolcoder.storage.run_store import CONFIG_NAME, RunStore
from evolcoder.text import json_text
from evolcoder.verification.measures import RowMeasures, measured

MEASURES = ("task_tokens", "answer_tokens", "complexity", "pass_rate")
"""Measures of complexity, by their names in `RowMeasures`."""


@dataclass(slots=True)
class SimilarityOptions:
    """What rows are compared with."""

    against: tuple[str, ...]
    """Names of the benchmarks."""
    data_dir: Path | None = None
    """Folder of their files; None: that of the run's config, else they are downloaded."""
    embedder: str | None = None
    """Spec of the embedder; None: that of the run's config."""
    judge: str | None = None
    """Spec of a model that scores tasks from 1 to 10; None: none is asked."""
    engines: Engines | None = None
    """Models opened by the caller, by spec."""
    n_compared: int = field(default=0, init=False)
    """Rows compared so far, for the display of progress."""
    is_judging: bool = field(default=False, init=False)
    """Whether the model is being asked, for the same."""

    def progress(self) -> str:
        """Say what is done now."""
        if self.is_judging:
            return f"asking {without_logins(str(self.judge))} for scores"
        if not self.n_compared:
            return "reading rows and benchmarks"
        return f"comparing with {', '.join(self.against)}, {self.n_compared:,} rows read"

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows and count them."""
        for self.n_compared, row in enumerate(rows, 1):
            yield row


def measure_similarity(folder: Path, options: SimilarityOptions) -> TaskSimilarity:
    """Return the similarity of a run's rows, measured unless a stored result still holds.

    Raises ConfigError without benchmarks, BenchError or ModelError if one is unavailable, and
    UserError for a run without rows or a damaged result.
    """
    if not options.against:
        raise ConfigError("no benchmark is named; name some, such as humaneval,mbpp")
    with RunStore.read(folder) as store:
        config = load(folder / CONFIG_NAME, ())
        digest, n_rows = rows_digest(store.rows())
        if not n_rows:
            raise UserError(f"{folder}: no row was kept, so there is nothing to compare")
        own = Path(config.clean.data_dir) if config.clean.data_dir else None
        benches = read_benches(options.against, options.data_dir or own)
        items = [item for one in benches for item in benchmark_texts(one.name, one.problems())]
        spec = options.embedder or config.clean.embedder
        embedder = open_cached_embedder(spec, may_round=True)
        settings = settings_of(items, embedder, rows=digest, n_rows=n_rows, seed=config.seed)
        stored = TaskSimilarity.read(folder)
        found = stored
        if found is None or found.settings != settings:
            rows = options.counted(store.rows())
            found = compare_rounds(rows, items, embedder, seed=config.seed, n_rows=n_rows)
            found = with_measures(found, settings, _by_round(measured(store.rows(), n_rows)))
        if options.judge:
            texts = {(one.benchmark, one.id): one.wording for one in items}
            options.is_judging = True
            found = run_blocking(_judged(found, store, texts, config, options))
    if found != stored:
        path = folder / FILE_NAME
        atomic.write_text(path, json_text(found.as_plain()) + "\n", inside=folder, error=UserError)
    return found


async def _judged(
    found: TaskSimilarity,
    store: RunStore,
    texts: Mapping[tuple[str, str], str],
    config: Config,
    options: SimilarityOptions,
) -> TaskSimilarity:
    """Return a result with the scores of a model; `texts` are those of problems.

    What the model answered before comes from the cache of completions.
    """
    spec = str(options.judge)
    async with AsyncExitStack() as stack:
        role = await open_judge(spec, config, stack, options.engines)
        judge = json.dumps({**asked_of(config.judge, spec, role), "prompts": [DIFFICULTY, LIKENESS],
                            "rows": SCORED_ROWS, "problems": SCORED_PROBLEMS})  # fmt: skip
        digest = content_id("judge of tasks", [judge])
        name = f"{role.identity} ({digest[:8]})"
        if found.judge == name:
            return found
        questions = difficulty_questions(_tasks_by_round(store))
        questions += _pairs(found, store, texts)
        scores = await ask_scores(questions, role, seed=config.seed)
    judged = tuple(round_scores(questions, scores, seed=config.seed))
    return replace(found, scores=judged, judge=name)


def _tasks_by_round(store: RunStore) -> dict[int, list[tuple[str, str]]]:
    """Return id and text of at most SCORED_ROWS tasks of each round."""
    sizes = Counter(row.task.round for row in store.rows())
    chosen = {round: spread(n, SCORED_ROWS) for round, n in sizes.items()}
    found: dict[int, list[tuple[str, str]]] = {round: [] for round in sizes}
    seen = Counter[int]()
    for row in store.rows():
        round = row.task.round
        if seen[round] in chosen[round]:
            found[round].append((row.task.id, row.task.instruction))
        seen[round] += 1
    return found


def _pairs(
    found: TaskSimilarity, store: RunStore, texts: Mapping[tuple[str, str], str]
) -> Iterator[ScoreQuestion]:
    """Yield at most SCORED_PROBLEMS problems of each benchmark with their nearest row by round."""
    problems: dict[str, list[str]] = {}
    for benchmark, problem in texts:
        problems.setdefault(benchmark, []).append(problem)
    chosen = {
        (benchmark, ids[at])
        for benchmark, ids in problems.items()
        for at in spread(len(ids), SCORED_PROBLEMS)
    }
    for one in found.neighbours:
        place = one.benchmark, one.problem
        task = store.task(one.rows[0]) if place in chosen else None
        if task is not None:
            yield ScoreQuestion(ScoreKind.LIKENESS, one.benchmark, one.round, one.problem,
                                texts[place], task.instruction)  # fmt: skip


def _by_round(rows: list[RowMeasures]) -> Iterator[RoundMeasure]:
    """Yield the quartiles of each measure of each round."""
    for round in sorted({one.round for one in rows}):
        mine = [one for one in rows if one.round == round]
        for name in MEASURES:
            values = [value for one in mine if (value := getattr(one, name)) is not None]
            if values:
                low, median, high = map(float, np.percentile(values, (25, 50, 75)).round(4))
                yield RoundMeasure(round, name, len(values), low, median, high)
