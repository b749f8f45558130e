"""Measures how like a run's rows are to benchmark problems, and stores the result with the run.

A stored result is used again while rows, benchmarks, embedder and bounds are the same. The database
of the run is only read, so a run may go on meanwhile; the result covers the rows there are.

>>> found = measure_similarity(folder, SimilarityOptions(("humaneval", "mbpp")))   # doctest: +SKIP
>>> found.rounds[0].mean   # doctest: +SKIP
0.4123
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evolcoder.app.detectors import open_cached_embedder, read_benches
from evolcoder.config.load import load
from evolcoder.decontamination.hits import benchmark_texts
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
    n_compared: int = field(default=0, init=False)
    """Rows compared so far, for the display of progress."""

    def progress(self) -> str:
        """Say what is done now."""
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
        embedder = open_cached_embedder(options.embedder or config.clean.embedder)
        settings = settings_of(items, embedder, rows=digest, n_rows=n_rows, seed=config.seed)
        stored = TaskSimilarity.read(folder)
        if stored is not None and stored.settings == settings:
            return stored
        rows = options.counted(store.rows())
        found = compare_rounds(rows, items, embedder, seed=config.seed, n_rows=n_rows)
        found = with_measures(found, settings, _by_round(measured(store.rows(), n_rows)))
    path = folder / FILE_NAME
    atomic.write_text(path, json_text(found.as_plain()) + "\n", inside=folder, error=UserError)
    return found


def _by_round(rows: list[RowMeasures]) -> Iterator[RoundMeasure]:
    """Yield the quartiles of each measure of each round."""
    for round in sorted({one.round for one in rows}):
        mine = [one for one in rows if one.round == round]
        for name in MEASURES:
            values = [value for one in mine if (value := getattr(one, name)) is not None]
            if values:
                low, median, high = map(float, np.percentile(values, (25, 50, 75)).round(4))
                yield RoundMeasure(round, name, len(values), low, median, high)
