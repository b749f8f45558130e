"""Recipes: presets by name, errors of one line.

Several GPUs: the launcher's configuration, and the same losses on two as on one.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

import toy_model
from evolcoder.errors import ConfigError, TrainError
from evolcoder.training.folder import read_log
from evolcoder.training.launch import launcher_config, nodes_of
from evolcoder.training.recipe import PRESETS, recipe_of
from late import torch


def test_wizardcoder_is_as_published():
    """Batch, rate, schedule, warm-up and length are the paper's."""
    recipe = recipe_of("wizardcoder", {})
    assert (recipe.batch_rows, recipe.learning_rate, recipe.schedule) == (512, 2e-5, "cosine")
    assert (recipe.warmup_steps, recipe.max_length) == (30, 2048)
    assert (recipe.epochs, recipe.steps) == (3.0, None)
    assert recipe.template == "wizardcoder"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    """A preset can be taken as it is, and changed."""
    assert recipe_of(preset, {"steps": 200}).steps == 200


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("wizzard", {}, "known are wizardcoder, small, small-lora"),
        ("small", {"learning_rat": 1}, "unknown key learning_rat; did you mean learning_rate?"),
        ("small", {"epochs": -1}, "epochs"),
        ("small", {"merge": True}, "merge: needs method lora, not full"),
        ("small", {"learning_rate": 1e300}, "learning_rate: must be at most"),
        ("small", {"weight_decay": 1e300}, "weight_decay: must be at most"),
        ("small", {"max_grad_norm": 1e300}, "max_grad_norm: must be at most"),
        ("small", {"lora_rank": 10**6}, "lora_rank: must be at most"),
        ("small", {"seed": 2**32}, "seed: must be at most 4294967295"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(preset, changes, said):
    """An error names the key and the value."""
    with pytest.raises((ConfigError, TrainError)) as caught:
        recipe_of(preset, changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("preset", "kind"), [("small", "FSDP"), ("small-lora", "MULTI_GPU")])
def test_the_launcher_understands_its_config(preset, kind, tmp_path):
    """Accelerate reads every key: full weights are sharded, adapters are copied."""
    from accelerate.commands.config.config_args import load_config_from_file

    path = tmp_path / "accelerate.yaml"
    path.write_text(launcher_config(recipe_of(preset, {}), 4))
    config = load_config_from_file(str(path))
    assert (config.distributed_type, config.num_processes) == (kind, 4)
    assert config.fsdp_config.get("fsdp_version", 2) == 2


def test_several_machines_are_told_apart(tmp_path):
    """Each has its number, and all know where the first one listens."""
    nodes = nodes_of(4, 2, "10.0.0.7:4000")
    config = yaml.safe_load(launcher_config(recipe_of("small", {}), 8, nodes))
    assert (config["num_machines"], config["num_processes"], config["machine_rank"]) == (4, 32, 2)
    assert (config["main_process_ip"], config["main_process_port"]) == ("10.0.0.7", 4000)
    assert nodes.config_name != nodes_of(4, 1, "10.0.0.7").config_name
    assert nodes_of(1, None, None).n_nodes == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((2, None, "host"), "--node-rank 0 to 1"),
        ((2, 0, None), "--master-addr HOST"),
        ((2, 2, "host"), "--node-rank 2: of 2 machines"),
        ((2, -1, "host"), "--node-rank -1"),
        ((0, None, None), "--nodes 0: at least 1"),
        ((1, 1, None), "need --nodes"),
        ((2, 0, "host:no"), "HOST:PORT"),
        ((2, 0, ":80"), "HOST:PORT"),
        ((2, 0, "host:99999"), "HOST:PORT"),
    ],
)
def test_machines_that_make_no_sense_are_refused(given, said):
    """One line says how to start the command."""
    with pytest.raises(TrainError, match=re.escape(said)):
        nodes_of(*given)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["small", "small-lora"])
def test_two_gpus_give_the_losses_of_one(preset, toy_base, tmp_path):
    """FSDP2 and copies take the same steps as one GPU, but for rounding in bf16."""
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    rows = tmp_path / "rows.jsonl"
    pairs = [
        {"instruction": one.row.task.instruction, "output": one.row.response.text}
        for one in toy_model.lessons()
    ]
    rows.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    curves = []
    for n_gpus in ("1", "2"):
        out = tmp_path / n_gpus
        verb = ["-m", "evolcoder.cli.main", "train", str(rows), "--base", str(toy_base)]
        values = ["batch_rows=8", "steps=12", "learning_rate=0.003", "warmup_steps=2"]
        flags = [part for value in values for part in ("--set", value)]
        command = [sys.executable, *verb, "--out", str(out), "--preset", preset, *flags]
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1" if n_gpus == "2" else "0"}
        subprocess.run([*command, "--gpus", n_gpus], env=env, check=True)
        curves.append([step.loss for step in read_log(out)])
        assert (out / "model.safetensors").exists()
    assert curves[1] == pytest.approx(curves[0], rel=2e-2)
