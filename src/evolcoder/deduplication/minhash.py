"""Near-duplicate candidates: shingles, MinHash signatures, and an LSH index.

Texts are folded (Unicode NFC, case, white space) and split into word 3-grams. A word is a run of
ASCII letters, digits and underscores (with trailing `+` or `#`, as in `c++`), or a single other
letter, so that scripts without spaces have shingles too. Punctuation is ignored. A text of fewer
than three words is a single shingle.

Equal texts and seeds give equal keys, whatever else is hashed. `rensa` computes the signatures
(docs/decisions.md has the measurements). `LshIndex` only proposes candidates, which must be
confirmed with the exact Jaccard index; it takes 8 bytes per document and band, plus one number per
bucket. Buckets hold only kept documents, so a thousand copies cost one comparison each.

>>> jaccard(shingles(fold("Sort the  list x.")), shingles(fold("sort the list y")))
0.3333333333333333
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    """One key per document and band; similar documents share at least one: (n, b)."""

SHINGLE_WORDS = 3
"""Words per shingle."""
_WORD = re.compile(r"[a-z0-9_]+[+#]*|\w")
MIN_RECALL = 0.99
"""Minimum probability that a pair exactly at the threshold shares a band."""
N_VALUES = 128
"""Values per signature."""
BATCH_CHARS = 1 << 20
BATCH = 1000
"""Bounds of a hashing batch, in characters and texts."""


def fold(text: str) -> str:
    """Normalise Unicode, case and white space."""
    text = clean(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


def shingles(folded: str) -> frozenset[str]:
    """Return the word n-grams of a folded text; at least one."""
    words = _WORD.findall(folded)
    if len(words) < SHINGLE_WORDS:
        return frozenset((" ".join(words) or folded,))
    return frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def word_spans(folded: str) -> list[tuple[str, int, int]]:
    """Return the words of a folded text, each with its start and end."""
    return [(found[0], found.start(), found.end()) for found in _WORD.finditer(folded)]


def jaccard(one: AbstractSet[str], other: AbstractSet[str]) -> float:
    """Return the Jaccard index of two non-empty sets."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


class LshIndex:
    """LSH index over kept documents."""

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
        """Return the kept documents that share a band with this one."""
        found: set[int] = set()
        for band, bucket in self._shared(number):
            other = self._heads[bucket]
            while other >= 0:
                found.add(other)
                other = self._nexts[other * self._n_bands + band]
        return found

    def add(self, number: int) -> None:
        """Add a kept document."""
        for band, bucket in self._shared(number):
            self._nexts[number * self._n_bands + band] = self._heads[bucket]
            self._heads[bucket] = number

    def _shared(self, number: int) -> list[tuple[int, int]]:
        if not self._is_shared[number]:
            return []
        row = self._buckets[number].tolist()
        return [(band, bucket) for band, bucket in enumerate(row) if bucket >= 0]


def choose_bands(agreement: float, most: int) -> tuple[int, int]:
    """Choose (bands, values per band) for pairs whose signature values agree with this probability.

    Uses the most values per band that give a recall of `MIN_RECALL`: fewer give false candidates,
    more miss duplicates.
    """
    for width in range(most, 1, -1):
        n_bands = most // width
        if 1 - (1 - agreement**width) ** n_bands >= MIN_RECALL:
            return n_bands, width
    return most, 1


def _buckets(column: "Keys", start: int) -> tuple["NDArray[np.int32]", int]:
    """Assign numbers from `start` to keys that occur more than once; unique keys get -1."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    is_shared = counts > 1
    numbers = np.where(is_shared, np.cumsum(is_shared) - 1 + start, -1).astype(np.int32)
    return numbers[inverse], start + int(is_shared.sum())


class MinHasher:
    """Computes the LSH keys of texts, in the order added."""

    def __init__(self, threshold: float, seed: int) -> None:
        self.threshold = threshold
        self.n_bands, self._width = choose_bands(threshold, N_VALUES)
        self._seed = seed_for(seed, "minhash")
        rng = rng_for(seed, "bands")
        factors = [rng.getrandbits(64) | 1 for _ in range(self._width)]
        self._factors = np.array(factors, np.uint64)
        self._keys = array("Q")
        self._pending: list[frozenset[str]] = []
        self._pending_chars = 0

    def add(self, folded: str) -> None:
        """Add a text."""
        self._pending.append(shingles(folded))
        self._pending_chars += len(folded)
        if self._pending_chars > BATCH_CHARS or len(self._pending) >= BATCH:
            self._hash()

    def keys(self) -> "NDArray[np.uint64]":
        """Return one key per text and band: (n, b)."""
        self._hash()
        return np.frombuffer(self._keys, np.uint64).reshape(-1, self.n_bands)

    def _hash(self) -> None:
        if not self._pending:
            return
        digests = RMinHash.digests_from_token_sets(self._pending, N_VALUES, self._seed)
        values = np.array(digests, np.uint64)[:, : self.n_bands * self._width]
        mixed = values.reshape(len(values), self.n_bands, self._width) * self._factors
        self._keys.frombytes(mixed.sum(axis=2, dtype=np.uint64).tobytes())
        self._pending, self._pending_chars = [], 0
