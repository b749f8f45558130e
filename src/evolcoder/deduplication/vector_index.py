"""Embeddings of all documents, on disk, with LSH keys from random hyperplanes.

Memory is bounded regardless of the number of vectors. The number of hyperplanes per key grows with
the logarithm of the number of vectors, which keeps buckets small.
"""

import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from evolcoder.deduplication.corpus import Corpus
from evolcoder.deduplication.embedders import BATCH, Embedder
from evolcoder.deduplication.minhash import MIN_RECALL
from evolcoder.ids import rng_for
from evolcoder.storage.atomic import temporary_file_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_PLANES = 6
BLOCK = 8192
"""Vectors per matrix product."""


class VectorIndex:
    """One unit vector per document, by its number."""

    def __init__(self, corpus: Corpus, embedder: Embedder, order: Sequence[int]) -> None:
        """Embed all documents in `order`, which must not depend on the order of arrival."""
        with temporary_file_errors():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-vectors-")  # noqa: SIM115 - closed later
        self._n, self._width = len(order), 0
        for start in range(0, self._n, BATCH):
            numbers = order[start : start + BATCH]
            rows = embedder.embed(list(corpus.texts(numbers)))
            self._width = rows.shape[1]
            for number, row in zip(numbers, rows, strict=True):
                with temporary_file_errors():
                    self._file.seek(4 * self._width * number)
                    self._file.write(row.astype(np.float32).tobytes())

    def close(self) -> None:
        """Delete the vectors."""
        with suppress(OSError):  # a full disk was reported on writing
            self._file.close()

    def cosine(self, one: int, other: int) -> float:
        """Return the cosine of two vectors, in double precision."""
        a, b = (self._read(number, 1)[0].astype(np.float64) for number in (one, other))
        return float(np.clip(a @ b, -1, 1))

    def keys(self, threshold: float, seed: int) -> "NDArray[np.uint64]":
        """Return one key per vector and band: (n, b)."""
        n_planes = max(MIN_PLANES, min(32, math.ceil(math.log2(self._n + 1)) - 2))
        n_bands = _bands_for(threshold, n_planes)
        planes = _planes(self._width, n_bands * n_planes, seed)
        weights = np.uint64(1) << np.arange(n_planes, dtype=np.uint64)
        found = np.empty((self._n, n_bands), np.uint64)
        for start in range(0, self._n, BLOCK):
            rows = self._read(start, min(BLOCK, self._n - start))
            sides = (rows @ planes > 0).reshape(len(rows), n_bands, n_planes)
            found[start : start + len(rows)] = (sides * weights).sum(axis=2, dtype=np.uint64)
        return found

    def _read(self, start: int, n: int) -> "NDArray[np.float32]":
        size = 4 * self._width
        with temporary_file_errors():
            self._file.seek(size * start)
            return np.frombuffer(self._file.read(size * n), np.float32).reshape(n, self._width)


def _bands_for(threshold: float, n_planes: int) -> int:
    """Return the number of bands at which pairs at the threshold are found with `MIN_RECALL`."""
    same_side = 1 - math.acos(threshold) / math.pi
    missed = 1 - same_side**n_planes
    return 1 if missed <= 0 else math.ceil(math.log(1 - MIN_RECALL) / math.log(missed))


def _planes(width: int, n: int, seed: int) -> "NDArray[np.float32]":
    rng = rng_for(seed, "planes")
    numbers = [rng.gauss(0, 1) for _ in range(width * n)]
    return np.array(numbers, np.float32).reshape(width, n)
