"""Loading base models."""

import json
import shutil

import pytest

import toy_model
from evolcoder.errors import TrainError
from evolcoder.training.base import BaseModel, load, load_tokenizer, save_whole
from evolcoder.training.batches import TokenizedRow
from evolcoder.training.checkpoints import whole_weights
from evolcoder.training.folder import CardNotes
from evolcoder.training.recipe import recipe_of
from evolcoder.training.sft import TrainingJob, check_tokens, train
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


def without_a_weight(base):
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    del model.model.layers[1].mlp
    model.save_pretrained(base)


def without_tokens(base):
    for path in base.glob("*token*"):
        path.unlink()


def bert(base, name):
    kind = getattr(transformers, name)
    config = transformers.BertConfig(
        vocab_size=600, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4,
    )  # fmt: skip
    kind(config).save_pretrained(base)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_a_weight, "lacks model.layers.1.mlp.down_proj.weight, .*random weights"),
        (without_tokens, "its tokenizer knows no words"),
        (lambda base: bert(base, "BertModel"), "lacks cls.predictions.bias, .* and 3 more"),
        (lambda base: bert(base, "BertForMaskedLM"), "is a BertForMaskedLM, whose tokens see"),
    ],
)
def test_a_base_that_would_train_something_else_is_refused(toy_base, tmp_path, damage, said):
    """A loader takes each of them, and fills up what is missing at random."""
    base = shutil.copytree(toy_base, tmp_path / "base")
    damage(base)
    with pytest.raises(TrainError, match=said):
        load(str(base), SMALL, on_gpu=False)


def row(*tokens):
    return TokenizedRow(tuple(tokens[:-1]), tokens[-1:], "line 1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab_size": 9}, "a token 9, .* of 9 tokens"),
        ({"n_positions": 4}, "at most 4 tokens, .* 5"),
    ],
)
def test_rows_that_a_base_has_no_embedding_for_are_refused(tmp_path, change, said):
    """A token or a position beyond its tables; torch would end with an index out of range."""
    sizes = {"vocab_size": 12, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**{**sizes, **change}))
    base = BaseModel("base", model, None)
    with pytest.raises(TrainError, match=said):
        check_tokens(base, [row(1, 2, 3, 4, 9)])
    assert check_tokens(base, [row(1, 2, 3)]) == ""


def test_rows_beyond_what_a_base_was_made_for_are_told(toy_base):
    """Rotated positions have no end, so they are trained on."""
    base = load(str(toy_base), SMALL, on_gpu=False)
    note = check_tokens(base, [row(*[5] * 513), row(1, 2)])
    assert note.startswith("1 of 2 rows have more than the 512 tokens that the base was made for")
    assert check_tokens(base, [row(*[5] * 512)]) == ""


@pytest.mark.train
@pytest.mark.parametrize("changes", [{}, {"method": "lora", "merge": True}])
def test_a_base_that_is_an_adapter_is_trained_on(toy_base, tmp_path, changes):
    """Its weights are merged first, and the result is a model of its own."""

    def trained(name, base, **changes):
        wanted = {"steps": 3, "batch_rows": 8, "learning_rate": 1e-2, "warmup_steps": 0, **changes}
        rows, recipe = toy_model.lessons(), recipe_of("small", wanted)
        return train(TrainingJob(str(base), tmp_path / name, recipe, rows, (), CardNotes(), ()))

    trained("adapter", toy_base, method="lora")
    merged = trained("merged", toy_base, method="lora", merge=True, save_dtype="float32")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    again = trained("again", tmp_path / "adapter", **changes)
    plain = trained("plain", tmp_path / "merged", **changes)
    assert again.first_loss == pytest.approx(plain.first_loss, rel=1e-5)
    assert again.first_loss < merged.first_loss
    _, found = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "again", output_loading_info=True
    )
    assert not any(found.values())
    with pytest.raises(TrainError, match="a second one would be loaded without it"):
        trained("apart", tmp_path / "adapter", method="lora")
