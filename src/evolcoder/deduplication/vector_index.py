"""The vectors of all entries, on disk, and the keys that bring near ones together.

Promises: memory does not grow with the number of vectors. A key is the side of some random planes
on which a vector lies; the number of planes grows with the logarithm of the number of vectors, so
that far vectors seldom meet.
"""

import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from evolcoder.deduplication.corpus import Corpus
from evolcoder.deduplication.embedders import BATCH, Embedder
from evolcoder.deduplication.minhash import LEAST_RECALL
from evolcoder.ids import rng_for
from evolcoder.storage.atomic import temporary_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_PLANES = 6
AT_ONCE = 8192
"""Vectors that are multiplied at once."""


class VectorIndex:
    """One unit vector per entry, by its number."""

    def __init__(self, shelf: Corpus, embedder: Embedder, order: Sequence[int]) -> None:
        """Embed all entries in an order that does not depend on how they came."""
        with temporary_files():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-vectors-")  # noqa: SIM115 - held open
        self._n, self._width = len(order), 0
        for start in range(0, self._n, BATCH):
            numbers = order[start : start + BATCH]
            rows = embedder.embed(list(shelf.texts(numbers)))
            self._width = rows.shape[1]
            for number, row in zip(numbers, rows, strict=True):
                with temporary_files():
                    self._file.seek(4 * self._width * number)
                    self._file.write(row.astype(np.float32).tobytes())

    def close(self) -> None:
        """Let the vectors go."""
        with suppress(OSError):  # what did not fit was said when it was written
            self._file.close()

    def cosine(self, one: int, other: int) -> float:
        """Multiply two vectors, in double precision."""
        a, b = (self._read(number, 1)[0].astype(np.float64) for number in (one, other))
        return float(np.clip(a @ b, -1, 1))

    def keys(self, threshold: float, seed: int) -> "NDArray[np.uint64]":
        """Return one key per vector and band: (n, b)."""
        n_planes = max(LEAST_PLANES, min(32, math.ceil(math.log2(self._n + 1)) - 2))
        n_bands = _bands_for(threshold, n_planes)
        planes = _planes(self._width, n_bands * n_planes, seed)
        weights = np.uint64(1) << np.arange(n_planes, dtype=np.uint64)
        found = np.empty((self._n, n_bands), np.uint64)
        for start in range(0, self._n, AT_ONCE):
            rows = self._read(start, min(AT_ONCE, self._n - start))
            sides = (rows @ planes > 0).reshape(len(rows), n_bands, n_planes)
            found[start : start + len(rows)] = (sides * weights).sum(axis=2, dtype=np.uint64)
        return found

    def _read(self, start: int, n: int) -> "NDArray[np.float32]":
        size = 4 * self._width
        with temporary_files():
            self._file.seek(size * start)
            return np.frombuffer(self._file.read(size * n), np.float32).reshape(n, self._width)


def _bands_for(threshold: float, n_planes: int) -> int:
    """Return how many bands find nearly all pairs whose cosine is the threshold."""
    same_side = 1 - math.acos(threshold) / math.pi
    missed = 1 - same_side**n_planes
    return 1 if missed <= 0 else math.ceil(math.log(1 - LEAST_RECALL) / math.log(missed))


def _planes(width: int, n: int, seed: int) -> "NDArray[np.float32]":
    rng = rng_for(seed, "planes")
    numbers = [rng.gauss(0, 1) for _ in range(width * n)]
    return np.array(numbers, np.float32).reshape(width, n)
