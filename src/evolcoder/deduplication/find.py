"""Duplicates: which entries are doubles of one that stays, and of which.

Promises: an entry is dropped only if it is itself alike to an entry that is kept (never by a
chain); the one that stays comes first in the order of precedence of `entries.Shelf`; of several
matches the most alike is named. Texts of which each names a programming language that the other
does not are doubles only if they are equal. The same entries and seed give the same drops in any
order of arrival. Memory is flat but for some 550 bytes per entry; time grows as n log n, plus one
comparison per pair that shares a band. A child and its own parent are never compared.

>>> entries = [Entry("a", "Sort the list."), Entry("b", "sort  the list.")]
>>> [(d.id, d.match, d.kind.value) for d in find(entries, Likeness(), seed=0)]
[('b', 'a', 'exact')]

Three ways of being a double: the same text, nearly the same words, the same meaning.

Promises: bands only bring candidates; what a sieve calls likeness is measured on the two texts
themselves: equality, the exact Jaccard index of their shingles, the cosine of their vectors.

| kind | likeness | 1.0 means |
| --- | --- | --- |
| exact | equal folded texts | always |
| near | Jaccard index of runs of three words | the same runs |
| meaning | cosine of embeddings | the same direction |
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evolcoder.deduplication.corpus import Corpus, Document
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.minhash import LshIndex, MinHasher, fold, jaccard, shingles
from evolcoder.deduplication.vector_index import VectorIndex
from evolcoder.text import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

REMEMBERED_CHARS = 8 << 20
"""Texts whose shingles are at hand, by their length: those that many others are compared with."""


class DuplicateKind(StrEnum):
    """How a double is like its match. Values are stored and reported; never rename one."""

    EXACT = "exact"
    NEAR = "near"
    MEANING = "meaning"


class Matcher(Protocol):
    """One way of being a double."""

    kind: DuplicateKind
    """Which one."""
    threshold: float
    """Least likeness of a double."""
    bands: LshIndex
    """Who may be alike."""

    def likeness(self, one: int, other: int) -> float:
        """Measure how alike two entries are, from 0 to 1."""
        ...


class ExactMatcher:
    """Equal folded texts."""

    kind = DuplicateKind.EXACT
    threshold = 1.0

    def __init__(self, shelf: Corpus) -> None:
        self._digests = shelf.digests()
        self.bands = LshIndex(self._digests[:, :1])

    def likeness(self, one: int, other: int) -> float:
        """Compare all 128 bits; a band knows half of them."""
        return float(np.array_equal(self._digests[one], self._digests[other]))


class NearMatcher:
    """Many shingles in common."""

    kind = DuplicateKind.NEAR

    def __init__(self, shelf: Corpus, keys: "NDArray[np.uint64]", threshold: float) -> None:
        self.threshold = threshold
        self.bands = LshIndex(keys)
        self._shelf = shelf
        self._at_hand: OrderedDict[int, tuple[frozenset[str], int]] = OrderedDict()
        self._chars = 0

    def likeness(self, one: int, other: int) -> float:
        """Compute the Jaccard index from the texts."""
        return jaccard(self._shingles(one), self._shingles(other))

    def _shingles(self, number: int) -> frozenset[str]:
        if number in self._at_hand:
            self._at_hand.move_to_end(number)
            return self._at_hand[number][0]
        text = self._shelf.read(number).text
        found = shingles(fold(text))
        self._at_hand[number] = found, len(text)
        self._chars += len(text)
        while self._chars > REMEMBERED_CHARS and len(self._at_hand) > 2:
            self._chars -= self._at_hand.popitem(last=False)[1][1]
        return found


class EmbeddingMatcher:
    """Vectors that point the same way."""

    kind = DuplicateKind.MEANING

    def __init__(self, vectors: VectorIndex, threshold: float, seed: int) -> None:
        self.threshold = threshold
        self.bands = LshIndex(vectors.keys(threshold, seed))
        self._vectors = vectors

    def likeness(self, one: int, other: int) -> float:
        """Compute the cosine."""
        return self._vectors.cosine(one, other)


SEEN_CHARS = 300
"""Longest text that a duplicate shows of an entry."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """What counts as a double; None where a kind is not looked for."""

    exact: bool = True
    """Whether equal texts are doubles."""
    near: float | None = 0.8
    """Least Jaccard index of shingles."""
    meaning: float | None = None
    """Least cosine of embeddings."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An entry that goes, and why."""

    number: int
    """The entry's place in the order of arrival, from 0."""
    id: str
    """The entry."""
    match: str
    """The entry that stays in its place."""
    match_number: int
    """The match's place in the order of arrival."""
    kind: DuplicateKind
    """How they are alike."""
    similarity: float
    """How much, from 0 to 1."""
    seen: str
    """The entry's text on one line, shortened."""
    match_seen: str
    """The match's text on one line, shortened."""


def find(
    entries: Iterable[Document],
    likeness: Similarity,
    *,
    seed: int,
    embedder: Embedder | None = None,
) -> Iterator[Duplicate]:
    """Find the doubles among entries, in the order of precedence; `meaning` needs an embedder."""
    with ExitStack() as stack:
        shelf = stack.enter_context(Corpus())
        signatures = MinHasher(likeness.near, seed) if likeness.near is not None else None
        for entry in entries:
            folded = shelf.add(entry)
            if signatures is not None:
                signatures.add(folded)
        if len(shelf) < 2:
            return
        order: list[int] = shelf.precedence().tolist()
        sieves: list[Matcher] = [ExactMatcher(shelf)] if likeness.exact else []
        if signatures is not None:
            sieves.append(NearMatcher(shelf, signatures.keys(), signatures.threshold))
        if likeness.meaning is not None and embedder is not None:
            vectors = VectorIndex(shelf, embedder, order)
            stack.callback(vectors.close)
            sieves.append(EmbeddingMatcher(vectors, likeness.meaning, seed))
        yield from _sift(shelf, order, sieves)


def _sift(shelf: Corpus, order: list[int], sieves: list[Matcher]) -> Iterator[Duplicate]:
    """Go through entries by precedence: each is a double of one that is kept, or is kept."""
    places = array("i", bytes(4 * len(order)))
    for place, number in enumerate(order):
        places[number] = place
        found = None if shelf.is_beside(number) else _match(shelf, number, places, sieves)
        if found is not None:
            yield found
            continue
        for sieve in sieves:
            sieve.bands.keep(number)


def _match(
    shelf: Corpus, number: int, places: "array[int]", sieves: list[Matcher]
) -> Duplicate | None:
    """Find the kept entry that an entry is most alike to, by the first sieve that has one."""
    for sieve in sieves:
        alike = [
            (likeness, -places[other], other)
            for other in sieve.bands.candidates(number)
            if not shelf.are_kin(number, other)
            and (likeness := sieve.likeness(number, other)) >= sieve.threshold
            and (sieve.kind is DuplicateKind.EXACT or not shelf.name_other_languages(number, other))
        ]
        if alike:
            likeness, _, other = max(alike)
            return _told(shelf, number, other, sieve.kind, likeness)
    return None


def _told(
    shelf: Corpus, number: int, other: int, kind: DuplicateKind, likeness: float
) -> Duplicate:
    mine, theirs = shelf.read(number), shelf.read(other)
    return Duplicate(
        number,
        mine.id,
        theirs.id,
        other,
        kind,
        round(likeness, 6),
        one_line(mine.text, SEEN_CHARS),
        one_line(theirs.text, SEEN_CHARS),
    )
