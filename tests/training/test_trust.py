"""A base from outside runs no code, unless the user allows it.

The kind: every way in which a model folder can bring code, as a pickle or as Python, in the place
of the weights, of an adapter's, of the configuration or of the tokenizer.
"""

import json
import pickle
import shutil

import pytest

from evolcoder.cli.main import main
from evolcoder.errors import TrainError
from evolcoder.training.base import PICKLES, TrustSettings, check_weights, load, load_tokenizer
from evolcoder.training.recipe import recipe_of
from late import torch, transformers

SMALL = recipe_of("small", {})
CODE = """
from pathlib import Path
Path({mark!r}).touch()
from transformers import PretrainedConfig, PreTrainedTokenizerFast, Qwen2ForCausalLM, Qwen2Config
class Config(Qwen2Config):
    model_type = "odd"
class Model(Qwen2ForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


class Bomb:
    """A pickle of it makes a file when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it-ran"


@pytest.fixture
def base(toy_base, tmp_path):
    shutil.copytree(toy_base, tmp_path / "base")
    return tmp_path / "base"


def change(path, **values):
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **values}))


def pickled(base, name):
    """Keep the weights as a pickle alone."""
    weights = transformers.AutoModelForCausalLM.from_pretrained(base).state_dict()
    (base / "model.safetensors").unlink()
    torch.save(weights, base / name)


def coded(base, mark, where):
    """Have the model's or the tokenizer's configuration ask for the folder's own code."""
    (base / "odd.py").write_text(CODE.format(mark=str(mark)))
    if where == "model":
        classes = {"AutoConfig": "odd.Config", "AutoModelForCausalLM": "odd.Model"}
        change(base / "config.json", model_type="odd", auto_map=classes)
    else:
        change(
            base / "tokenizer_config.json",
            tokenizer_class="Tokenizer", auto_map={"AutoTokenizer": [None, "odd.Tokenizer"]},
        )  # fmt: skip


@pytest.mark.parametrize("ending", PICKLES)
def test_pickled_weights_are_refused_by_name(base, ending):
    """The error names the file, and the flag that allows it."""
    (base / "model.safetensors").rename(base / f"pytorch_model{ending}")
    with pytest.raises(TrainError, match=rf"pytorch_model\{ending}.*--allow-pickled-weights"):
        load(str(base), SMALL, on_gpu=False)


def test_pickled_weights_are_read_where_they_are_trusted(base):
    """They are the same weights."""
    wanted = transformers.AutoModelForCausalLM.from_pretrained(base).state_dict()
    pickled(base, "pytorch_model.bin")
    found = load(str(base), SMALL, on_gpu=False, trust=TrustSettings(pickled_weights=True)).model
    assert all(torch.equal(wanted[name], weight) for name, weight in found.state_dict().items())


@pytest.mark.parametrize("is_trusted", [False, True])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin"])
def test_a_pickle_that_runs_something_runs_nothing(base, mark, is_trusted, name):
    """Trusted or not: trust is to read weights, and PyTorch's restricted reader reads no more."""
    if name.startswith("adapter"):
        (base / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1}))
    else:
        (base / "model.safetensors").unlink()
    (base / name).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(TrainError) as caught:
        load(str(base), SMALL, on_gpu=False, trust=TrustSettings(pickled_weights=is_trusted))
    assert is_trusted or name in str(caught.value)
    assert not mark.exists()


def test_an_index_cannot_lead_to_a_pickle(base):
    """Its name says safetensors, and what it names is looked at."""
    (base / "model.safetensors").rename(base / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "other.safetensors", "b": "evil.bin"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TrainError, match=r"evil\.bin"):
        check_weights(str(base), TrustSettings())
    for text in ("[]", "{}", "not JSON", '{"weight_map": 3}', "[" * 100_000):
        (base / "model.safetensors.index.json").write_text(text)
        with pytest.raises(TrainError, match="names no weights"):
            check_weights(str(base), TrustSettings())


def test_safetensors_beside_a_pickle_are_taken(base):
    """A folder with both, as many on the Hub, is not refused."""
    (base / "pytorch_model.bin").write_bytes(b"never read")
    (base / "training_args.bin").write_bytes(b"never read")
    load(str(base), SMALL, on_gpu=False)


@pytest.mark.parametrize("where", ["model", "tokenizer"])
def test_code_that_a_base_brings_is_not_run(base, mark, where):
    """The error names the flag, and there is no prompt on the terminal."""
    coded(base, mark, where)
    with pytest.raises(TrainError, match=r"Python code of its own.*--allow-remote-code"):
        load(str(base), SMALL, on_gpu=False)
    assert not mark.exists()


@pytest.mark.parametrize("where", ["model", "tokenizer"])
def test_code_that_a_base_brings_is_run_where_it_is_trusted(
    base, mark, where, monkeypatch, tmp_path
):
    """The flag does what its name says."""
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    coded(base, mark, where)
    load(str(base), SMALL, on_gpu=False, trust=TrustSettings(remote_code=True))
    assert mark.exists()


def test_code_that_is_not_needed_is_left_aside(base, mark):
    """A model that transformers knows itself is loaded by it."""
    (base / "odd.py").write_text(CODE.format(mark=str(mark)))
    change(base / "config.json", auto_map={"AutoModelForCausalLM": "odd.Model"})
    load(str(base), SMALL, on_gpu=False)
    assert not mark.exists()


DAMAGES = {
    "config.json": [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"model_type": "qwen2", "hidden_size": "x"}',
                    b'{"model_type": 3}', b'{"model_type": "qwen2", "num_attention_heads": 0}'],
    "tokenizer.json": [b"", b"{}", b"[" * 100_000, b'{"model": {"type": "odd"}}'],
    "tokenizer_config.json": [b"[]", b'{"tokenizer_class": 7}', b"[" * 100_000],
    "model.safetensors": [b"", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0[[[[[[[[", b"\x02\0\0\0\0\0\0\0{}"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data"),
    [(name, data) for name, every in DAMAGES.items() for data in every],
    ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
)
def test_a_damaged_base_is_one_line(base, name, data):
    """Whatever a loader raises."""
    (base / name).write_bytes(data)
    said = ""
    try:
        load(str(base), SMALL, on_gpu=False)
    except TrainError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 800


@pytest.mark.parametrize(
    "data", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"GGUF" + bytes(1000), b"\0" * 100]
)
def test_a_damaged_gguf_file_is_one_line(tmp_path, data):
    """No count in it is believed beyond what the file holds."""
    (tmp_path / "toy.gguf").write_bytes(data)
    with pytest.raises(TrainError, match="cannot be loaded") as caught:
        load_tokenizer(str(tmp_path / "toy.gguf"))
    assert "\n" not in str(caught.value)


def test_a_gguf_file_that_links_to_itself_is_no_such_file(tmp_path):
    """A link that leads nowhere is the user's mistake, in one line."""
    path = tmp_path / "loop.gguf"
    path.symlink_to(path)
    with pytest.raises(TrainError, match="no such file"):
        load_tokenizer(str(path))


def test_the_verb_has_a_flag_for_each(base, mark, tmp_path, capsys):
    """As typed: refused in one line, and nothing is written."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"instruction": "Add.", "output": "1 + 1"}))
    pickled(base, "pytorch_model.bin")
    command = ["train", str(rows), "--base", str(base), "--out", str(tmp_path / "out"),
               "--set", "steps=1", "--set", "batch_rows=1"]  # fmt: skip
    capsys.readouterr()
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "--allow-pickled-weights" in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert main([*command, "--allow-pickled-weights"]) == 0
    assert (tmp_path / "out" / "model.safetensors").exists()
