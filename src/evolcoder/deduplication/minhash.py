"""MinHash: a short signature per text, whose bands bring near doubles together.

Promises: the same text and seed give the same keys, whatever else is hashed with it. `rensa` makes
the signatures (docs/decisions.md has the measurements); what it says is a candidate is checked by
the exact Jaccard index of the shingles before anything is dropped.

What makes two texts look alike: folded text, runs of three words, and how many they share.

Promises: white space, case and the ways in which Unicode writes one character make no difference.
A word is a run of ASCII letters, digits and underscores (`c++` and `c#` are words), or one other
letter, so that scripts without blanks have shingles too; punctuation counts for exact likeness
alone. A text of fewer than three words is one shingle, whole.

>>> jaccard(shingles(fold("Sort the  list x.")), shingles(fold("sort the list y")))
0.3333333333333333

Which kept entries share a band with an entry: the candidates for being its double.

Promises: memory is 8 bytes per entry and band, and one more number per bucket; an entry that
shares no band with anybody costs nothing. A bucket holds kept entries alone, so that a thousand
copies are a thousand looks at one entry. Says who may be alike, never who is.
"""

import re
import unicodedata
from array import array
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import numpy as np
from rensa import RMinHash

from evolcoder.ids import rng_for, seed_for
from evolcoder.text import clean

WIDTH = 3
"""Words in a shingle."""
_WORD = re.compile(r"[a-z0-9_]+[+#]*|\w")


def fold(text: str) -> str:
    """Reduce a text to what equal texts have in common."""
    text = clean(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


def shingles(folded: str) -> frozenset[str]:
    """Return the runs of words of a folded text; never none."""
    words = _WORD.findall(folded)
    if len(words) < WIDTH:
        return frozenset((" ".join(words) or folded,))
    return frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def jaccard(one: AbstractSet[str], other: AbstractSet[str]) -> float:
    """Return the share of all shingles that both have."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    """One number per entry and band; alike entries have one of them in common: (n, b)."""

LEAST_RECALL = 0.99
"""Share of pairs exactly at the threshold that have to share a band."""


class LshIndex:
    """Kept entries by band."""

    def __init__(self, keys: "Keys") -> None:
        n, self._n_bands = keys.shape
        buckets = np.empty((n, self._n_bands), np.int32)
        n_buckets = 0
        for band in range(self._n_bands):
            buckets[:, band], n_buckets = _buckets(keys[:, band], n_buckets)
        self._buckets = buckets
        self._is_shared = buckets.max(axis=1) >= 0
        self._heads = array("i", b"\xff" * (4 * n_buckets))
        self._nexts = array("i", bytes(4 * n * self._n_bands))

    def candidates(self, number: int) -> set[int]:
        """Find the kept entries that share a band with this one."""
        found: set[int] = set()
        for band, bucket in self._shared(number):
            other = self._heads[bucket]
            while other >= 0:
                found.add(other)
                other = self._nexts[other * self._n_bands + band]
        return found

    def keep(self, number: int) -> None:
        """Make an entry a candidate for those that come later."""
        for band, bucket in self._shared(number):
            self._nexts[number * self._n_bands + band] = self._heads[bucket]
            self._heads[bucket] = number

    def _shared(self, number: int) -> list[tuple[int, int]]:
        if not self._is_shared[number]:
            return []
        row = self._buckets[number].tolist()
        return [(band, bucket) for band, bucket in enumerate(row) if bucket >= 0]


def plan(agreement: float, most: int) -> tuple[int, int]:
    """Choose bands and values per band for pairs that agree in a value so probably.

    As many values per band as leave a recall of `LEAST_RECALL`: fewer would bring candidates that
    are nothing, more would lose doubles.
    """
    for width in range(most, 1, -1):
        n_bands = most // width
        if 1 - (1 - agreement**width) ** n_bands >= LEAST_RECALL:
            return n_bands, width
    return most, 1


def _buckets(column: "Keys", start: int) -> tuple["NDArray[np.int32]", int]:
    """Give every key that several entries have a number, from `start`; -1 to one that is alone."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    is_shared = counts > 1
    numbers = np.where(is_shared, np.cumsum(is_shared) - 1 + start, -1).astype(np.int32)
    return numbers[inverse], start + int(is_shared.sum())


if TYPE_CHECKING:
    from numpy.typing import NDArray

N_VALUES = 128
"""Values in a signature."""
BATCH_CHARS = 1 << 20
BATCH = 1000
"""Texts that are hashed at once, by their length and number."""


class MinHasher:
    """The keys of all texts, in the order in which they are added."""

    def __init__(self, threshold: float, seed: int) -> None:
        self.threshold = threshold
        self.n_bands, self._width = plan(threshold, N_VALUES)
        self._seed = seed_for(seed, "minhash")
        rng = rng_for(seed, "bands")
        factors = [rng.getrandbits(64) | 1 for _ in range(self._width)]
        self._factors = np.array(factors, np.uint64)
        self._keys = array("Q")
        self._waiting: list[frozenset[str]] = []
        self._waiting_chars = 0

    def add(self, folded: str) -> None:
        """Hash one more text."""
        self._waiting.append(shingles(folded))
        self._waiting_chars += len(folded)
        if self._waiting_chars > BATCH_CHARS or len(self._waiting) >= BATCH:
            self._hash()

    def keys(self) -> "NDArray[np.uint64]":
        """Return one key per text and band: (n, b)."""
        self._hash()
        return np.frombuffer(self._keys, np.uint64).reshape(-1, self.n_bands)

    def _hash(self) -> None:
        if not self._waiting:
            return
        digests = RMinHash.digests_from_token_sets(self._waiting, N_VALUES, self._seed)
        values = np.array(digests, np.uint64)[:, : self.n_bands * self._width]
        mixed = values.reshape(len(values), self.n_bands, self._width) * self._factors
        self._keys.frombytes(mixed.sum(axis=2, dtype=np.uint64).tobytes())
        self._waiting, self._waiting_chars = [], 0
