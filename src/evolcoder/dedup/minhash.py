"""MinHash: a short signature per text, whose bands bring near doubles together.

Promises: the same text and seed give the same keys, whatever else is hashed with it. `rensa` makes
the signatures (docs/decisions.md has the measurements); what it says is a candidate is checked by
the exact Jaccard index of the shingles before anything is dropped.
"""

from array import array
from typing import TYPE_CHECKING

import numpy as np
from rensa import RMinHash

from evolcoder.dedup.lsh import plan
from evolcoder.dedup.shingles import shingles
from evolcoder.ids import rng_for, seed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_VALUES = 128
"""Values in a signature."""
BATCH_CHARS = 1 << 20
BATCH = 1000
"""Texts that are hashed at once, by their length and number."""


class Signatures:
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
