"""Embeddings: unit vectors, and nothing embedded twice."""

import os
from pathlib import Path

import numpy as np
import pytest

from deduplication.hashing import Hashing
from evolcoder.deduplication import embedders
from evolcoder.deduplication.embedders import MINILM, CachedEmbedder, open_embedder
from evolcoder.errors import ModelError

MODELS = Path(os.environ.get("EVOLCODER_CACHE", Path.home() / ".cache" / "evolcoder")) / "models"
needs_minilm = pytest.mark.skipif(
    not (MODELS / MINILM / "model.safetensors").is_file(), reason="no all-MiniLM-L6-v2 here"
)


def test_nothing_is_embedded_twice(tmp_path):
    """A text that was embedded, in this process or an earlier one, is never asked for again."""
    first, second = Hashing(), Hashing()
    rows = CachedEmbedder(first, tmp_path / "e.db").embed(["one", "two", "one"])
    again = CachedEmbedder(second, tmp_path / "e.db").embed(["two", "three", "one"])
    assert (first.asked, second.asked) == (["one", "two"], ["three"])
    assert np.array_equal(rows[[1, 0]], again[[0, 2]])


def test_another_model_has_its_own_memory(tmp_path):
    """What one model embedded is not taken for another's."""
    other = Hashing()
    other.name = "other"
    CachedEmbedder(Hashing(), tmp_path / "e.db").embed(["one"])
    CachedEmbedder(other, tmp_path / "e.db").embed(["one"])
    assert other.asked == ["one"]


def test_no_texts_are_no_rows(tmp_path):
    """Nothing to embed asks nobody."""
    assert len(CachedEmbedder(Hashing(), tmp_path / "e.db").embed([])) == 0


def test_odd_texts_are_remembered(tmp_path):
    """Lone surrogates, NUL and emptiness have a row each."""
    odd = ["\ud800", "\x00", "", "x" * 100_000]
    assert CachedEmbedder(Hashing(), tmp_path / "e.db").embed(odd).shape == (4, 64)


def test_a_damaged_model_is_refused(tmp_path):
    """A file whose digest is another is named and not used."""
    home = tmp_path / MINILM
    home.mkdir()
    for name in embedders.FILES:
        (home / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="wrong checksum"):
        embedders.fetch(tmp_path)


def test_a_model_that_cannot_be_had_says_so(tmp_path):
    """A spec that is no known model, without its library or files, is the user's one line."""
    with pytest.raises(ModelError, match=r"needs sentence-transformers|cannot be had"):
        open_embedder(str(tmp_path / "nothing"), tmp_path)


@needs_minilm
def test_minilm_gives_the_published_vectors():
    """The numpy model's products are those of the published one, and its rows have length 1."""
    texts = ["Sort a list.", "Order the items of a list.", "The cat sat on the mat."]
    rows = open_embedder(MINILM, MODELS).embed(texts)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose((rows @ rows.T)[0], [1, 0.82431, 0.01096], atol=1e-4)


@needs_minilm
def test_minilm_does_not_look_at_the_company():
    """A text's row is the same alone and among longer ones; odd texts have a row too."""
    model = open_embedder(MINILM, MODELS)
    together = model.embed(["Sort a list.", "word " * 2000, "", "a\ud800\x00b"])
    assert np.allclose(model.embed(["Sort a list."])[0], together[0], atol=1e-5)
    assert np.isfinite(together).all()
