"""Leaks by nearness in meaning: every problem is a query, and its nearest rows are found.

Promises: the `k` nearest of all rows, exactly, however many there are; memory holds one block of
rows and what is near; equal nearness is decided by the row's id, so that order and blocks of rows
decide nothing. A pair is a hit of its own only where nearness comes with the problem's rare words
and no word that turns it into another (`even` for `odd`), or with its function's name; all pairs
are for the judge. Which model embeds is the caller's choice, and
is reported by its name.

    near = Neighbours(items, embedder)
    near.look([(row.id, row.task), ...])      # again and again
    pairs = near.pairs()
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evolcoder.code.normalize import words_of
from evolcoder.decontamination.benchmark_texts import BenchmarkText
from evolcoder.decontamination.hits import SEEN_CHARS, Detector, Hit, RowField, TextSpan
from evolcoder.decontamination.ngrams import Vocabulary
from evolcoder.deduplication.embedders import Embedder
from evolcoder.text import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

NEAREST = 5
"""Rows that are kept per problem."""
PIECE = 64
"""Texts that are embedded before somebody else may have a say."""
BLOCK = 1024
"""Rows that are embedded and compared at once."""
DIGITS = 4
"""Digits of a cosine that are reported."""
MARGIN = 1e-4
"""How far a product of whole blocks may be off; what it lets through is multiplied again alone."""
MAX_CHARS = 4000
"""Characters of a task that are embedded and shown to the judge."""


POLES = frozenset(
    """non not without no even odd largest smallest biggest longest shortest maximum minimum max min
    first last second third all any each both positive negative upper lower uppercase lowercase
    ascending descending sorted unique duplicate duplicates sum difference product average mean
    length count frequency index position greater less before after including excluding prefix
    suffix vowels consonants digits add remove replace merge swap reverse rotate""".split()
)
"""Words by which near problems differ: where one has another than the other, a judge decides."""
BASES = ("binary", "decimal", "hexadecimal", "octal", "celsius", "fahrenheit", "roman")
"""Words whose order says which way something is converted."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """A problem and a row near to it."""

    item: BenchmarkText
    """The problem."""
    row: str
    """Id of the row."""
    task: str
    """The row's task, shortened."""
    cosine: float
    """How near the two are, rounded."""
    coverage: float
    """Part of the problem's words, by their rarity, that the task has."""
    names: bool
    """Whether the task names the problem's function, where that name is telling."""
    agrees: bool
    """Whether task and problem have the same of `POLES`, and name bases in the same order."""


@dataclass(frozen=True, slots=True)
class SimilarityBounds:
    """When a pair is a hit without a judge."""

    cosine: float = 0.7
    """Nearness that is needed in any case."""
    named: float = 0.55
    """Nearness that is enough where the function's name is in the task."""
    told: float = 0.2
    """Part of the problem's rare words that the task must have beside that name."""
    sum: float = 1.6
    """Least sum of nearness and of the part of the problem's rare words that the task has."""

    def holds(self, pair: NearPair) -> bool:
        """Whether a pair is near enough."""
        if pair.names and pair.cosine >= self.named and pair.coverage >= self.told:
            return True
        is_near = pair.cosine >= self.cosine and pair.cosine + pair.coverage >= self.sum
        return is_near and pair.agrees


class NearestRows:
    """The nearest rows of every problem, so far."""

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
        """Embed the problems, a piece between any two yields; whoever looks first waits for it."""
        if self._queries is None:
            texts, found = [item.wording[:MAX_CHARS] for item in self._items], []
            for start in range(0, len(texts), PIECE):
                found.append(self._embedder.embed(texts[start : start + PIECE]))
                yield
            self._queries = np.concatenate(found) if found else self._embedder.embed([])

    def look(self, rows: Sequence[tuple[str, str]]) -> None:
        """Hold rows, given as (id, task), against every problem."""
        deque(self.prepare(), maxlen=0)
        for start in range(0, len(rows), BLOCK):
            self._look_at(rows[start : start + BLOCK])

    def pairs(self) -> list[NearPair]:
        """Return every problem with its nearest rows, nearest first."""
        return [
            self._pair(at, row, task, -far)
            for at, near in enumerate(self._near)
            for far, row, task in near
        ]

    def _look_at(self, rows: Sequence[tuple[str, str]]) -> None:
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
            _poles(item.wording) == _poles(task),
        )  # fmt: skip


def _nth_largest(cosines: "Floats", n: int) -> float:
    """Return the n-th largest cosine of a block: no smaller one can be among the n nearest."""
    return -2.0 if len(cosines) <= n else float(np.partition(cosines, -n)[-n])


def _product(one: "Floats", other: "Floats") -> float:
    """Multiply two vectors in double precision, the same in any company."""
    return float(one.astype(np.float64) @ other.astype(np.float64))


def _is_named(item: BenchmarkText, task: str) -> bool:
    """Whether a task has a function's name; one of a single word may be anybody's."""
    telling = [name for name in item.entry_points if re.search(r"[a-z0-9]_[a-z0-9]", name)]
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", task) for name in telling)


def _poles(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    said = words_of(text)
    bases = tuple(dict.fromkeys(word for word in said if word in BASES))
    return POLES.intersection(said), bases


def hits_of(pairs: Sequence[NearPair], bounds: SimilarityBounds) -> list[Hit]:
    """Return the pairs that are leaks without a judge's word."""
    return [_hit(pair) for pair in pairs if bounds.holds(pair)]


def _hit(pair: NearPair) -> Hit:
    named = ", and its function's name" if pair.names else ""
    seen = one_line(f"{pair.coverage:.0%} of its words{named}: {pair.task}", SEEN_CHARS)
    item = pair.item
    return Hit(
        pair.row, item.benchmark, item.id,
        Detector.NEIGHBOURS, RowField.TASK, TextSpan.PROMPT, seen, pair.cosine,
    )  # fmt: skip
