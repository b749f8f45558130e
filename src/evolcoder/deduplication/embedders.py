"""Sentence embedders: texts to unit vectors, cached on disk.

The same text and model give the same vector regardless of batch and order, up to float32 rounding,
or that of bfloat16 where a caller allows it. `CachedEmbedder` stores each batch before the next
begins; a damaged cache is a one-line error. An embedder's `name` identifies the model and is
recorded in reports.

>>> embedder = CachedEmbedder(open_embedder("auto", home), path)   # doctest: +SKIP
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

from evolcoder.deduplication.minilm import MiniLM, fetch
from evolcoder.deduplication.minilm_bfloat16 import Bfloat16MiniLM, is_fast_here
from evolcoder.errors import ModelError
from evolcoder.storage.atomic import make_folder
from evolcoder.storage.database import BLOB, Columns, Database
from evolcoder.storage.sqlite_files import translate_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    """Unit vectors: (n, d)."""

GTE_LARGE = "thenlper/gte-large"
GTE_REVISION = "4bef63f39fcc5e2d6b0aae83089f307af4970164"
MINILM = "all-MiniLM-L6-v2"
BATCH = 256
"""Texts per batch; each batch is stored before the next."""
DIGESTS_PER_QUERY = 500
"""Digests per database query."""
MIGRATIONS = (
    """CREATE TABLE IF NOT EXISTS embeddings (
        digest BLOB PRIMARY KEY, row BLOB NOT NULL
    ) WITHOUT ROWID""",
)
REMEDY = "delete it to start a new one"
_INSERT = "INSERT OR IGNORE INTO embeddings VALUES (?, ?)"
_ROW = Columns(digest=BLOB, row=BLOB)


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their semantic similarity."""

    name: str
    """The model, with its revision or digest."""

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts: (n, d) float32 rows of length 1."""
        ...


def open_embedder(spec: str, folder: Path, *, may_round: bool = False) -> Embedder:
    """Open `auto`, a known name, a local folder or a Hub id; downloads go to `folder`.

    `auto` is gte-large if sentence-transformers is installed and can load it, else the packaged
    all-MiniLM-L6-v2; see the embedder's name. With `may_round` the latter computes in bfloat16
    where that is faster.
    """
    if spec == "auto":
        try:
            return SentenceTransformers(GTE_LARGE, GTE_REVISION)
        except ModelError:
            spec = MINILM
    if spec == MINILM:
        model = Bfloat16MiniLM if may_round and is_fast_here() else MiniLM
        return model(fetch(folder))
    return SentenceTransformers(spec, GTE_REVISION if spec == GTE_LARGE else None)


class SentenceTransformers:
    """A sentence-transformers model, from a folder or the Hub."""

    def __init__(self, spec: str, revision: str | None) -> None:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ModelError(
                f"{spec}: needs sentence-transformers, which is not installed; "
                f"run: pip install sentence-transformers, or use {MINILM}"
            )
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds

        try:
            self._model = SentenceTransformer(spec, revision=revision)
        except (OSError, ValueError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"cannot load embedding model {spec}: {lines[0]}") from error
        self.name = spec if revision is None else f"{spec}@{revision[:12]}"

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts; texts longer than the model's limit are truncated."""
        found = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(found, np.float32).reshape(len(texts), -1)


class CachedEmbedder:
    """Embeds only texts that are not in its cache on disk.

    Vectors of an embedder that rounds are stored apart, and exact ones are used where there are
    some.
    """

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.name = embedder.name
        self._suffix: str = getattr(embedder, "suffix", "")
        self._embedder = embedder
        self._path = path
        make_folder(path.parent, error=ModelError)
        self._open().close()

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts batch by batch, storing each new batch at once.

        A batch has texts of similar length, of which little is padding.
        """
        if not texts:
            return np.zeros((0, 0), np.float32)
        with closing(self._open()) as db:
            exact = [self._digest(text) for text in texts]
            known = dict(_known(db, list(dict.fromkeys(exact))))
            digests = [
                one if one in known or not self._suffix else self._digest(text, self._suffix)
                for one, text in zip(exact, texts, strict=True)
            ]
            known.update(_known(db, [one for one in dict.fromkeys(digests) if one not in known]))
            missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in known}
            for batch in _batches(sorted(missing, key=lambda one: len(missing[one])), BATCH):
                rows = self._embedder.embed([missing[digest] for digest in batch])
                new = [(d, row.tobytes()) for d, row in zip(batch, rows, strict=True)]
                db.write_all((_INSERT, values) for values in new)
                known.update(new)
            with translate_errors(self._path, REMEDY):
                return np.stack([np.frombuffer(known[digest], np.float32) for digest in digests])

    def _digest(self, text: str, suffix: str = "") -> bytes:
        whole = f"{self.name}{suffix}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(whole, digest_size=16).digest()

    def _open(self) -> Database:
        return Database(self._path, MIGRATIONS, remedy=REMEDY)


def _known(db: Database, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for batch in _batches(digests, DIGESTS_PER_QUERY):
        marks = ",".join("?" * len(batch))
        query = f"SELECT * FROM embeddings WHERE digest IN ({marks})"
        yield from db.each(_pair_from, query, batch)


def _pair_from(columns: Sequence[Any]) -> tuple[bytes, bytes]:
    digest, row = _ROW.validate(columns)
    return digest, row


def _batches(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (items[start : start + size] for start in range(0, len(items), size))
