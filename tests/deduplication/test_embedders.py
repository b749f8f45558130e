"""Embeddings are unit vectors, and each text is embedded once."""

import os
import random
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
    """A text embedded by this or an earlier process is taken from the cache."""
    first, second = Hashing(), Hashing()
    rows = CachedEmbedder(first, tmp_path / "e.db").embed(["one", "two", "one"])
    again = CachedEmbedder(second, tmp_path / "e.db").embed(["two", "three", "one"])
    assert (first.asked, second.asked) == (["one", "two"], ["three"])
    assert np.array_equal(rows[[1, 0]], again[[0, 2]])


def test_texts_of_similar_length_are_embedded_together(tmp_path):
    """Each batch has shorter texts than the next, so that little is padding; rows keep their order."""
    draw = random.Random(2)
    texts = [f"{n} {'word ' * draw.randrange(200)}" for n in range(600)]
    embedder = Hashing()
    rows = CachedEmbedder(embedder, tmp_path / "e.db").embed(texts)
    lengths = [len(text) for text in embedder.asked]
    assert lengths == sorted(lengths) != [len(text) for text in texts]
    assert np.array_equal(rows, Hashing().embed(texts))


def test_another_model_has_its_own_memory(tmp_path):
    """Models have separate cache entries."""
    other = Hashing()
    other.name = "other"
    CachedEmbedder(Hashing(), tmp_path / "e.db").embed(["one"])
    CachedEmbedder(other, tmp_path / "e.db").embed(["one"])
    assert other.asked == ["one"]


def test_no_texts_are_no_rows(tmp_path):
    """No texts: the embedder is not called."""
    assert len(CachedEmbedder(Hashing(), tmp_path / "e.db").embed([])) == 0


def test_odd_texts_are_remembered(tmp_path):
    """Lone surrogates, NUL and the empty string each have a vector."""
    odd = ["\ud800", "\x00", "", "x" * 100_000]
    assert CachedEmbedder(Hashing(), tmp_path / "e.db").embed(odd).shape == (4, 64)


def test_a_damaged_model_is_refused(tmp_path):
    """A file with a wrong checksum is named and not used."""
    home = tmp_path / MINILM
    home.mkdir()
    for name in embedders.FILES:
        (home / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="wrong checksum"):
        embedders.fetch(tmp_path)


def test_a_model_that_cannot_be_had_says_so(tmp_path):
    """An unknown spec, or a missing library or file, is a one-line error."""
    with pytest.raises(ModelError, match=r"needs sentence-transformers|cannot be had"):
        open_embedder(str(tmp_path / "nothing"), tmp_path)


@needs_minilm
def test_minilm_gives_the_published_vectors():
    """The numpy model reproduces the published one, with vectors of length 1."""
    texts = ["Sort a list.", "Order the items of a list.", "The cat sat on the mat."]
    rows = open_embedder(MINILM, MODELS).embed(texts)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose((rows @ rows.T)[0], [1, 0.82431, 0.01096], atol=1e-4)


@needs_minilm
def test_minilm_does_not_look_at_the_company():
    """A text's vector is the same alone and in a batch with longer texts."""
    model = open_embedder(MINILM, MODELS)
    together = model.embed(["Sort a list.", "word " * 2000, "", "a\ud800\x00b"])
    assert np.allclose(model.embed(["Sort a list."])[0], together[0], atol=1e-5)
    assert np.isfinite(together).all()
