"""Three ways of being a double: the same text, nearly the same words, the same meaning.

Promises: bands only bring candidates; what a sieve calls likeness is measured on the two texts
themselves: equality, the exact Jaccard index of their shingles, the cosine of their vectors.

| kind | likeness | 1.0 means |
| --- | --- | --- |
| exact | equal folded texts | always |
| near | Jaccard index of runs of three words | the same runs |
| meaning | cosine of embeddings | the same direction |
"""

from collections import OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evolcoder.dedup.corpus import Shelf
from evolcoder.dedup.lsh import Bands
from evolcoder.dedup.shingles import fold, jaccard, shingles
from evolcoder.dedup.vector_index import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

REMEMBERED_CHARS = 8 << 20
"""Texts whose shingles are at hand, by their length: those that many others are compared with."""


class Kind(StrEnum):
    """How a double is like its match. Values are stored and reported; never rename one."""

    EXACT = "exact"
    NEAR = "near"
    MEANING = "meaning"


class Sieve(Protocol):
    """One way of being a double."""

    kind: Kind
    """Which one."""
    threshold: float
    """Least likeness of a double."""
    bands: Bands
    """Who may be alike."""

    def likeness(self, one: int, other: int) -> float:
        """Measure how alike two entries are, from 0 to 1."""
        ...


class Exact:
    """Equal folded texts."""

    kind = Kind.EXACT
    threshold = 1.0

    def __init__(self, shelf: Shelf) -> None:
        self._digests = shelf.digests()
        self.bands = Bands(self._digests[:, :1])

    def likeness(self, one: int, other: int) -> float:
        """Compare all 128 bits; a band knows half of them."""
        return float(np.array_equal(self._digests[one], self._digests[other]))


class Near:
    """Many shingles in common."""

    kind = Kind.NEAR

    def __init__(self, shelf: Shelf, keys: "NDArray[np.uint64]", threshold: float) -> None:
        self.threshold = threshold
        self.bands = Bands(keys)
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


class Meaning:
    """Vectors that point the same way."""

    kind = Kind.MEANING

    def __init__(self, vectors: Vectors, threshold: float, seed: int) -> None:
        self.threshold = threshold
        self.bands = Bands(vectors.keys(threshold, seed))
        self._vectors = vectors

    def likeness(self, one: int, other: int) -> float:
        """Compute the cosine."""
        return self._vectors.cosine(one, other)
