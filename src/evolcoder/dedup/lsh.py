"""Which kept entries share a band with an entry: the candidates for being its double.

Promises: memory is 8 bytes per entry and band, and one more number per bucket; an entry that
shares no band with anybody costs nothing. A bucket holds kept entries alone, so that a thousand
copies are a thousand looks at one entry. Says who may be alike, never who is.
"""

from array import array
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    """One number per entry and band; alike entries have one of them in common: (n, b)."""

LEAST_RECALL = 0.99
"""Share of pairs exactly at the threshold that have to share a band."""


class Bands:
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
