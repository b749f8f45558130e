"""Embeddings are unit vectors, and each text is embedded once."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from deduplication.hashing import Hashing
from evolcoder.deduplication import minilm
from evolcoder.deduplication.embedders import MINILM, CachedEmbedder, open_embedder
from evolcoder.deduplication.minilm_bfloat16 import Bfloat16MiniLM, is_fast_here
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
    for name in minilm.FILES:
        (home / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="wrong checksum"):
        minilm.fetch(tmp_path)


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


@needs_minilm
def test_bfloat16_vectors_are_near_the_exact_ones():
    """Cosines differ by less than 0.01, in every language and length, and vectors have length 1."""
    pytest.importorskip("torch")
    texts = [
        "Sort a list.",
        "",
        "Напиши функцию, которая сортирует список.",
        "编写一个函数，返回列表中最大的数。",
        "a\ud800\x00b",
        "word " * 2000,
        *(f"Write a program for case {n}: {'numbers and text, ' * n}" for n in range(40)),
    ]
    exact = minilm.MiniLM(MODELS / MINILM).embed(texts)
    rounded = Bfloat16MiniLM(MODELS / MINILM).embed(texts)
    assert rounded.dtype == np.float32
    assert np.allclose(np.linalg.norm(rounded, axis=1), 1, atol=1e-5)
    assert np.abs(exact @ exact.T - rounded @ rounded.T).max() < 0.01
    assert not np.array_equal(exact, rounded)


def test_bfloat16_is_for_processors_that_multiply_it(tmp_path):
    """Without its instructions, or where nothing is known of the processor, vectors are exact."""
    pytest.importorskip("torch")
    cpuinfo = tmp_path / "cpuinfo"
    assert not is_fast_here(cpuinfo)
    for flags, is_fast in (
        ("avx2 avx512f", False),
        ("avx512f avx512_bf16", True),
        ("amx_bf16", True),
    ):
        cpuinfo.write_text(f"processor : 0\nflags\t\t: fpu {flags} sse\n")
        assert is_fast_here(cpuinfo) is is_fast


class Rounding(Hashing):
    """Rounds its vectors."""

    suffix = " rounded"

    def embed(self, texts):
        """Vectors with few digits."""
        return super().embed(texts).round(1)


def test_rounded_vectors_are_stored_apart_and_exact_ones_serve(tmp_path):
    """An exact vector serves who may round; a rounded one never serves who may not."""
    path, rounding, exact = tmp_path / "e.db", Rounding(), Hashing()
    CachedEmbedder(Hashing(), path).embed(["one"])
    rows = CachedEmbedder(rounding, path).embed(["two", "one"])
    assert rounding.asked == ["two"]
    assert np.array_equal(rows[1], Hashing().embed(["one"])[0])
    found = CachedEmbedder(exact, path).embed(["one", "two"])
    assert exact.asked == ["two"]
    assert np.array_equal(found, Hashing().embed(["one", "two"]))
    again = Rounding()
    CachedEmbedder(again, path).embed(["one", "two"])
    assert again.asked == []
