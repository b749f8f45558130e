"""Similarity of the tasks of a run to benchmark problems, round by round.

For each problem the five nearest rows of every round by the embedder of the leak search, so that
one sees whether later rounds are only more like the benchmark. Means have a bootstrap interval over
problems; the change since the first round is paired by problem. A round with more rows has nearer
ones by chance alone, so the number of rows is part of the result. Nearness is no proof of a leak:
`n_leaks` counts problems with a row that the leak search by neighbours would report.

The same rows, problems and embedder give the same numbers. Memory is bounded by one block of rows.

>>> found = compare_rounds(rows, items, embedder, seed=0)   # doctest: +SKIP
>>> [(one.round, one.benchmark, one.mean) for one in found.rounds]   # doctest: +SKIP
[(0, 'humaneval', 0.412), (1, 'humaneval', 0.437)]
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from evolcoder.bench.scores import CONFIDENCE
from evolcoder.decontamination.hits import BenchmarkText
from evolcoder.decontamination.nearest import (
    BLOCK,
    MAX_CHARS,
    NEAREST,
    NearestRows,
    NearPair,
    SimilarityBounds,
)
from evolcoder.deduplication.embedders import Embedder
from evolcoder.errors import UserError
from evolcoder.ids import rng_for
from evolcoder.input_files import read_text
from evolcoder.records import Row
from evolcoder.value_faults import first_fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE_NAME = "similarity.json"
"""Name of the stored result in the folder of a run."""
MAX_FILE_MB = 256
MAP_ROWS, MAP_PROBLEMS = 1_200, 300
"""Most rows and problems on the map of the tasks."""
N_RESAMPLES = 2_000
DIGITS = 4


@dataclass(frozen=True, slots=True)
class ProblemNeighbours:
    """A problem and its nearest rows of one round."""

    benchmark: str
    """Command-line name of the benchmark."""
    problem: str
    """Id of the problem."""
    round: int
    """The round; 0 for seeds."""
    rows: tuple[str, ...]
    """Ids of the rows, nearest first."""
    cosines: tuple[float, ...]
    """Their cosines."""
    is_leak: bool
    """Whether the leak search by neighbours would report one of the rows."""


@dataclass(frozen=True, slots=True)
class RoundSimilarity:
    """Similarity of one round to one benchmark."""

    benchmark: str
    """Command-line name of the benchmark."""
    round: int
    """The round; 0 for seeds."""
    n_rows: int
    """Rows of the round."""
    n_problems: int
    """Problems of the benchmark."""
    nearest: float
    """Cosine of the nearest row, averaged over problems."""
    mean: float
    """Mean cosine of the five nearest rows, averaged over problems."""
    low: float
    """Lower end of the 95 % interval of `mean` over problems."""
    high: float
    """Upper end."""
    change: float | None
    """`mean` less that of the first round, paired by problem; None for the first round."""
    change_low: float | None
    """Lower end of the 95 % interval of `change`."""
    change_high: float | None
    """Upper end."""
    n_above: int
    """Problems whose nearest row has a cosine of at least the leak search's bound."""
    n_leaks: int
    """Problems with a row that the leak search by neighbours would report."""


@dataclass(frozen=True, slots=True)
class RoundMeasure:
    """A measure of the rows of one round."""

    round: int
    """The round; 0 for seeds."""
    measure: str
    """`task_tokens`, `answer_tokens`, `complexity` or `pass_rate`."""
    n_rows: int
    """Rows that have the measure."""
    low: float
    """Lower quartile."""
    median: float
    """Median."""
    high: float
    """Upper quartile."""


@dataclass(frozen=True, slots=True)
class RoundScore:
    """Scores of one round by a model, from 1 to 10."""

    kind: str
    """`difficulty` of tasks, or `likeness` of problems and their nearest rows."""
    benchmark: str
    """Command-line name of the benchmark; empty for a difficulty."""
    round: int
    """The round; 0 for seeds."""
    n: int
    """Tasks or pairs with a score."""
    n_unreadable: int
    """Tasks or pairs whose answer could not be read, or that the server rejected."""
    mean: float | None
    """Mean score; None without any."""
    low: float | None
    """Lower end of its 95 % interval, over rows or problems."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A task or a problem on the map."""

    group: str
    """The round, or the name of the benchmark."""
    id: str
    """Id of the row or problem."""
    x: float
    """Coordinate on the first principal component of the tasks' embeddings."""
    y: float
    """Coordinate on the second."""


@dataclass(frozen=True, slots=True)
class TaskSimilarity:
    """Similarity and complexity of a run's rows by round."""

    settings: Mapping[str, Any]
    """What decides the result: rows, benchmarks, embedder and bounds."""
    rounds: tuple[RoundSimilarity, ...]
    """By benchmark, then by round."""
    measures: tuple[RoundMeasure, ...]
    """Complexity of the rounds."""
    neighbours: tuple[ProblemNeighbours, ...]
    """Every problem with its nearest rows of every round."""
    points: tuple[MapPoint, ...]
    """The map of the tasks: rows spread evenly over the run, and problems."""
    explained: float
    """Share of the variance of the tasks' embeddings that the map shows."""
    scores: tuple[RoundScore, ...] = ()
    """Scores by a model; empty if none was asked."""
    judge: str = ""
    """What was asked for them: the model, its parameters and the prompts; empty if none was."""

    @classmethod
    def read(cls, folder: Path) -> "TaskSimilarity | None":
        """Read the stored result of a run; None if there is none. A damaged one is a UserError."""
        path = folder / FILE_NAME
        if not path.exists():
            return None
        text = read_text(path, max_mb=MAX_FILE_MB, error=UserError)
        try:
            found: TaskSimilarity = _STORED.validate_python(json.loads(text))
        except (ValueError, RecursionError) as error:
            what = first_fault(error) if isinstance(error, ValidationError) else "is not JSON"
            raise UserError(f"{path}: damaged ({what}); delete it and measure again") from error
        return found

    def as_plain(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return asdict(self)


_STORED = TypeAdapter(TaskSimilarity)


def rows_digest(rows: Iterable[Row]) -> tuple[str, int]:
    """Return a digest of what a result depends on in rows, and their number."""
    digest, n_rows = hashlib.sha256(), 0
    for n_rows, row in enumerate(rows, 1):  # noqa: B007
        scores = [one.score for one in row.verdicts]
        digest.update(f"{json.dumps([row.task.id, row.response.id, scores])}\n".encode())
    return digest.hexdigest(), n_rows


def compare_rounds(
    rows: Iterable[Row],
    items: Sequence[BenchmarkText],
    embedder: Embedder,
    *,
    seed: int,
    n_rows: int,
) -> TaskSimilarity:
    """Compare about `n_rows` rows, ordered by round, with problems.

    Settings and measures of the result are empty; the caller adds them.
    """
    neighbours: list[ProblemNeighbours] = []
    sizes: dict[int, int] = {}
    every = max(1, -(-n_rows // MAP_ROWS))
    shown: list[tuple[str, str, str]] = []
    for round, group in groupby(rows, key=lambda row: row.task.round):
        near = NearestRows(items, embedder)
        size = 0
        while block := list(islice(group, BLOCK)):
            near.add_rows([(row.task.id, row.task.instruction) for row in block])
            at = range(size, size + len(block))
            shown += [_shown(row) for n, row in zip(at, block, strict=True) if n % every == 0]
            size += len(block)
        sizes[round] = size
        neighbours += _neighbours(round, near.pairs())
    points, explained = _map(shown, items, embedder)
    return TaskSimilarity(
        {}, tuple(_rounds(neighbours, sizes, seed)), (), tuple(neighbours), points, explained
    )


def _shown(row: Row) -> tuple[str, str, str]:
    return f"round {row.task.round}", row.task.id, row.task.instruction[:MAX_CHARS]


def _neighbours(round: int, pairs: Sequence[NearPair]) -> Iterator[ProblemNeighbours]:
    bounds = SimilarityBounds()
    for item, near in groupby(pairs, key=lambda pair: (pair.item.benchmark, pair.item.id)):
        found = list(near)
        yield ProblemNeighbours(
            *item,
            round,
            tuple(pair.row for pair in found),
            tuple(pair.cosine for pair in found),
            any(map(bounds.accepts, found)),
        )


def _rounds(
    neighbours: Sequence[ProblemNeighbours], sizes: Mapping[int, int], seed: int
) -> Iterator[RoundSimilarity]:
    """Average over problems, by benchmark and round."""
    by_place: dict[tuple[str, int], list[ProblemNeighbours]] = {}
    for one in neighbours:
        by_place.setdefault((one.benchmark, one.round), []).append(one)
    bound, first = SimilarityBounds().cosine, next(iter(sizes))
    for benchmark in dict.fromkeys(one.benchmark for one in neighbours):
        earliest = _means(by_place[benchmark, first])
        draws = draws_of(len(earliest), seed, benchmark)
        for round, n_rows in sizes.items():
            found = by_place[benchmark, round]
            means, nearest = _means(found), [one.cosines[0] for one in found]
            low, mean, high = interval_of(means, draws)
            change = (None, None, None) if round == first else interval_of(means - earliest, draws)
            yield RoundSimilarity(
                benchmark, round, n_rows, len(found), round_to(fmean(nearest)), mean, low, high,
                change[1], change[0], change[2],
                sum(cosine >= bound for cosine in nearest), sum(one.is_leak for one in found),
            )  # fmt: skip


def _means(found: Sequence[ProblemNeighbours]) -> "NDArray[np.float64]":
    """Return the mean cosine of each problem's nearest rows, (n,)."""
    return np.array([fmean(one.cosines) for one in found])


def draws_of(n: int, seed: int, name: str) -> "NDArray[np.int64]":
    """Draw problems with replacement, (N_RESAMPLES, n): the same for all rounds of a benchmark."""
    rng = np.random.default_rng(rng_for(seed, "similarity", name).getrandbits(64))
    return rng.integers(0, n, (N_RESAMPLES, n))


def interval_of(
    values: "NDArray[np.float64] | Sequence[float]", draws: "NDArray[np.int64]"
) -> tuple[float, float, float]:
    """Return the percentile interval of a mean around it: (low, mean, high)."""
    values = np.asarray(values, dtype=np.float64)
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values[draws].mean(axis=1), (outside, 100 - outside))
    return round_to(low), round_to(values.mean()), round_to(high)


def round_to(value: float | np.floating[Any]) -> float:
    """Round to the digits of cosines, under a name that rounds of evolution do not hide."""
    return round(float(value), DIGITS)


def _map(
    shown: Sequence[tuple[str, str, str]], items: Sequence[BenchmarkText], embedder: Embedder
) -> tuple[tuple[MapPoint, ...], float]:
    """Place tasks by the two principal components of their embeddings, and problems among them."""
    if len(shown) < 3:
        return (), 0.0
    vectors = embedder.embed([text for _, _, text in shown]).astype(np.float64)
    center = vectors.mean(axis=0)
    axes, explained = _components(vectors - center)
    every = max(1, -(-len(items) // MAP_PROBLEMS))
    problems = [(one.benchmark, one.id, one.wording[:MAX_CHARS]) for one in items[::every]]
    more = embedder.embed([text for _, _, text in problems]).astype(np.float64)
    places = (np.concatenate([vectors, more]) - center) @ axes
    named = [*shown, *problems]
    points = [
        MapPoint(group, id, round_to(x), round_to(y))
        for (group, id, _), (x, y) in zip(named, places, strict=True)
    ]
    return tuple(points), round_to(explained)


def _components(centered: "NDArray[np.float64]") -> tuple["NDArray[np.float64]", float]:
    """Return the two principal axes, (d, 2), and their share of the variance.

    The sign of an axis is that of its largest entry, so that it does not depend on the solver.
    """
    values, vectors = np.linalg.eigh(centered.T @ centered)
    axes = vectors[:, ::-1][:, :2]
    largest = axes[np.abs(axes).argmax(axis=0), [0, 1]]
    total = float(values.sum())
    return axes * np.sign(largest), float(values[-2:].sum()) / total if total else 0.0


def with_measures(
    found: TaskSimilarity, settings: Mapping[str, Any], measures: Iterable[RoundMeasure]
) -> TaskSimilarity:
    """Return a result with its settings and the complexity of the rounds."""
    return replace(found, settings=dict(settings), measures=tuple(measures))


def settings_of(
    items: Sequence[BenchmarkText], embedder: Embedder, *, rows: str, n_rows: int, seed: int
) -> dict[str, Any]:
    """Return what decides a result, as plain data."""
    texts: dict[str, list[tuple[str, str]]] = {}
    for item in items:
        texts.setdefault(item.benchmark, []).append((item.id, item.wording))
    return {
        "version": 2,  # 1: no complexity of answers without a fence
        "rows": rows,
        "n_rows": n_rows,
        "benchmarks": {
            name: hashlib.sha256(json.dumps(found).encode()).hexdigest()
            for name, found in texts.items()
        },
        "embedder": embedder.name,
        "rows_per_problem": NEAREST,
        "bounds": asdict(SimilarityBounds()),
        "seed": seed,
    }
