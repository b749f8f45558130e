"""Loading base models."""

import pytest

import toy_model
from evolcoder.errors import TrainError
from evolcoder.training.base import load, load_tokenizer, save_whole
from evolcoder.training.checkpoints import whole_weights
from evolcoder.training.recipe import recipe_of
from late import torch, transformers

SMALL = recipe_of("small", {})


def test_a_gguf_file_becomes_the_model_that_it_was_made_from(toy_base, tmp_path):
    """De-quantized, it gives the logits of its original, and can be saved and loaded again."""
    file = toy_model.write_gguf(toy_base, tmp_path / "toy.gguf")
    base = load(str(file), SMALL, on_gpu=False)
    ids = torch.tensor([[5, 6, 7, 8]])
    original = transformers.AutoModelForCausalLM.from_pretrained(toy_base)
    torch.testing.assert_close(base.model(ids).logits, original(ids).logits)
    base.model.save_pretrained(tmp_path / "saved")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    torch.testing.assert_close(again(ids).logits, original(ids).logits)


def test_a_gguf_file_brings_its_tokenizer(toy_base, tokenizer, tmp_path):
    """Same tokens, and the end that the file names."""
    file = toy_model.write_gguf(toy_base, tmp_path / "toy.gguf")
    found = load_tokenizer(str(file))
    assert found.encode("Write a function `f`.") == tokenizer.encode("Write a function `f`.")
    assert found.eos_token == "<|im_end|>"


def test_full_weights_are_float32(toy_base, tmp_path):
    """Also where the folder holds bfloat16: small steps would be lost in it."""
    transformers.AutoModelForCausalLM.from_pretrained(toy_base).bfloat16().save_pretrained(tmp_path)
    toy_model.make_tokenizer(tmp_path)
    model = load(str(tmp_path), SMALL, on_gpu=True).model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("spec", "said"),
    [("nowhere/at-all/", "no such folder"), ("nothing.gguf", "no such file")],
)
def test_a_base_that_is_not_there_is_one_line(spec, said, monkeypatch):
    """The error names the given spec, and the accepted ones."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TrainError, match=said):
        load_tokenizer(spec)


def test_gathered_weights_are_saved_in_their_dtype(toy_base, tmp_path):
    """Those of a sharded training are float32; the folder loads as bfloat16, with equal values."""
    base = load(str(toy_base), SMALL, on_gpu=False)
    original = transformers.AutoModelForCausalLM.from_pretrained(toy_base)
    save_whole(base, whole_weights(base.model, "bfloat16"), tmp_path, "bfloat16")
    found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert found.dtype == torch.bfloat16
    weights = zip(original.parameters(), found.parameters(), strict=True)
    assert all(torch.equal(old.bfloat16(), new) for old, new in weights)
    assert load_tokenizer(str(tmp_path)).eos_token == "<|im_end|>"
