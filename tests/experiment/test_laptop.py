"""A loop on a machine without vLLM: its student is trained and asked on the processor."""

import json
from importlib.util import find_spec

import pytest
import yaml

import toy_model
import toys
from evolcoder.cli.main import main

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed"),
]


def test_a_loop_without_vllm_trains_and_scores_a_student(capsys, tmp_path, shared, monkeypatch):
    """The default commands of training and serving do, and the samples are those of the student."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "cache"))
    config = {
        "run": {
            "seeds": {"path": str(toys.seeds_file(tmp_path / "seeds.jsonl", 8))},
            "budget": {"rounds": 0},
            "verify": {"when": "never"},
            "evolver": {"model": "scripted:script.json"},
        },
        "student": {"path": str(toy_model.make_base(tmp_path / "toy"))},
        "train": {"batch": 4, "epochs": 1},
        "ask": {"limit": 2, "data_dir": str(shared), "max_tokens": 8},
        "dev": {"bench": None},
        "tests": ["humaneval"],
        "arms": [],
    }
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "script.json").write_text(json.dumps({"rules": []}))
    monkeypatch.chdir(tmp_path)
    assert main(["loop", "loop.yaml", "--out", "out", "--no-figures", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "vLLM is not installed" in err
    assert [step["kind"] for step in json.loads(out)["steps"]] == [
        "evolve", "train", "serve", "sample", "grade",
    ]  # fmt: skip
    evaluation = next((tmp_path / "out" / "evals").iterdir())
    assert main(["inspect", str(evaluation), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["model"].startswith("hf:")
    assert found["n_verdicts"] == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("student.path=nowhere/at-all/", "--base nowhere/at-all/: no such folder"),
        ("student.path=seeds.jsonl", "--base seeds.jsonl: is no model"),
        ("train.seeds=[0, 4294967296]", "recipe: seed: must be "),
        ("train.options=[--set, kernels=liger]", "kernels=liger"),
        ("train.options=[--set, foo=1]", "recipe: unknown key foo"),
    ],
)
def test_what_no_training_could_use_is_refused_before_a_round_is_paid_for(
    capsys, tmp_path, monkeypatch, override, said
):
    """Each training would fail after the first round; nothing is asked, and no folder is made."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    toys.seeds_file(tmp_path / "seeds.jsonl", 2)
    (tmp_path / "loop.yaml").write_text("student: {path: nowhere}")
    assert main(["loop", "loop.yaml", "--out", "out", "--set", override]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
