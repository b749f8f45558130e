"""Finds semantic leaks: the rows nearest to each benchmark problem by embedding.

Returns the exact `k` nearest of all rows; memory is bounded by one block of rows plus the results.
Ties are broken by row id, so order and blocks do not matter. All pairs go to the judge, if any. On
its own, a pair is a hit only if it also shares the problem's rare words and has no contrasting word
(`even` for `odd`), or names the problem's function. The caller chooses the embedder, whose name is
reported.

    nearest = NearestRows(items, embedder)
    nearest.add_rows([(row.id, row.task), ...])      # repeatedly
    pairs = nearest.pairs()
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from evolcoder.code.normalize import words_of
from evolcoder.decontamination.hits import (
    SEEN_CHARS,
    BenchmarkText,
    Detector,
    Hit,
    RowField,
    TextSpan,
)
from evolcoder.decontamination.ngrams import Vocabulary
from evolcoder.deduplication.embedders import Embedder
from evolcoder.text import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

NEAREST = 5
"""Rows kept per problem."""
BATCH = 64
"""Texts embedded between two opportunities for cancellation."""
BLOCK = 1024
"""Rows compared per matrix product."""
DIGITS = 4
"""Digits of reported cosines."""
MARGIN = 1e-4
"""Bound of the rounding error of matrix products; cosines within it are recomputed exactly."""
MAX_CHARS = 4000
"""Maximum characters of a task that are embedded and shown to the judge."""


CONTRAST_WORDS = frozenset(
    """non not without no even odd largest smallest biggest longest shortest maximum minimum max min
    first last second third all any each both positive negative upper lower uppercase lowercase
    ascending descending sorted unique duplicate duplicates sum difference product average mean
    length count frequency index position greater less before after including excluding prefix
    suffix vowels consonants digits add remove replace merge swap reverse rotate""".split()
)
"""Words that distinguish similar problems: if they differ, only the judge decides."""
BASES = ("binary", "decimal", "hexadecimal", "octal", "celsius", "fahrenheit", "roman")
"""Units and notations whose order gives the direction of a conversion."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """A problem and one of its nearest rows."""

    item: BenchmarkText
    """The problem."""
    row: str
    """Id of the row."""
    task: str
    """The row's task, truncated."""
    cosine: float
    """Cosine, rounded."""
    coverage: float
    """Share of the problem's words, weighted by rarity, that the task contains."""
    names: bool
    """Whether the task contains the name of the problem's function, if that is distinctive."""
    agrees: bool
    """Whether task and problem have equal contrast words, and `BASES` in the same order."""


@dataclass(frozen=True, slots=True)
class SimilarityBounds:
    """Thresholds at which a pair is a hit without the judge."""

    cosine: float = 0.7
    """Minimum cosine, if the function is not named."""
    named_cosine: float = 0.55
    """Minimum cosine if the function is named."""
    named_coverage: float = 0.2
    """Minimum coverage if the function is named."""
    sum: float = 1.6
    """Minimum sum of cosine and coverage, if the function is not named."""

    def accepts(self, pair: NearPair) -> bool:
        """Whether a pair is a hit."""
        if pair.names and pair.cosine >= self.named_cosine and pair.coverage >= self.named_coverage:
            return True
        is_near = pair.cosine >= self.cosine and pair.cosine + pair.coverage >= self.sum
        return is_near and pair.agrees


def parameters() -> dict[str, object]:
    """Return the parameters of the search, as plain data."""
    return {"rows_per_problem": NEAREST, **asdict(SimilarityBounds())}


class NearestRows:
    """The nearest rows of every problem so far."""

    def __init__(
        self, items: Sequence[BenchmarkText], embedder: Embedder, k: int = NEAREST
    ) -> None:
        self._items = items
        self._embedder = embedder
        self._k = k
        self._queries: Floats | None = None
        self._near: list[list[tuple[float, str, str]]] = [[] for _ in items]
        self._vocabulary = Vocabulary(items)

    def prepare(self) -> Iterator[None]:
        """Embed the problems, yielding between batches; otherwise done by the first `add_rows`."""
        if self._queries is None:
            texts, found = [item.wording[:MAX_CHARS] for item in self._items], []
            for start in range(0, len(texts), BATCH):
                found.append(self._embedder.embed(texts[start : start + BATCH]))
                yield
            self._queries = np.concatenate(found) if found else self._embedder.embed([])

    def add_rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Compare rows, given as (id, task), with every problem."""
        deque(self.prepare(), maxlen=0)
        for start in range(0, len(rows), BLOCK):
            self._add_block(rows[start : start + BLOCK])

    def pairs(self) -> list[NearPair]:
        """Return every problem with its nearest rows, nearest first."""
        return [
            self._pair(at, row, task, -far)
            for at, near in enumerate(self._near)
            for far, row, task in near
        ]

    def _add_block(self, rows: Sequence[tuple[str, str]]) -> None:
        texts = [task[:MAX_CHARS] for _, task in rows]
        vectors = self._embedder.embed(texts)
        assert self._queries is not None
        cosines = self._queries @ vectors.T
        for at, near in enumerate(self._near):
            bound = -near[-1][0] if len(near) == self._k else -2.0
            least = max(bound, _nth_largest(cosines[at], self._k)) - MARGIN
            for other in map(int, np.flatnonzero(cosines[at] >= least)):
                far = -_product(self._queries[at], vectors[other])
                near.append((far, rows[other][0], texts[other]))
            near.sort()
            del near[self._k :]

    def _pair(self, at: int, row: str, task: str, cosine: float) -> NearPair:
        item = self._items[at]
        coverage = round(self._vocabulary.coverage(at, words_of(task)), DIGITS)
        return NearPair(
            item, row, task, round(cosine, DIGITS), coverage, _is_named(item, task),
            _contrast(item.wording) == _contrast(task),
        )  # fmt: skip


def _nth_largest(cosines: "Floats", n: int) -> float:
    """Return the n-th largest cosine of a block; smaller ones cannot be among the n nearest."""
    return -2.0 if len(cosines) <= n else float(np.partition(cosines, -n)[-n])


def _product(one: "Floats", other: "Floats") -> float:
    """Return a dot product in double precision, independent of the block."""
    return float(one.astype(np.float64) @ other.astype(np.float64))


def _is_named(item: BenchmarkText, task: str) -> bool:
    """Whether a task contains a function's name; one-word names are too common to count."""
    distinctive = [name for name in item.entry_points if re.search(r"[a-z0-9]_[a-z0-9]", name)]
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", task) for name in distinctive)


def _contrast(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    words = words_of(text)
    bases = tuple(dict.fromkeys(word for word in words if word in BASES))
    return CONTRAST_WORDS.intersection(words), bases


def neighbour_hits(pairs: Sequence[NearPair], bounds: SimilarityBounds) -> list[Hit]:
    """Return hits for the pairs within the bounds."""
    return [_hit(pair) for pair in pairs if bounds.accepts(pair)]


def _hit(pair: NearPair) -> Hit:
    named = ", and its function's name" if pair.names else ""
    seen = one_line(f"{pair.coverage:.0%} of its words{named}: {pair.task}", SEEN_CHARS)
    item = pair.item
    return Hit(
        pair.row, item.benchmark, item.id,
        Detector.NEIGHBOURS, RowField.TASK, TextSpan.PROMPT, seen, pair.cosine,
    )  # fmt: skip
