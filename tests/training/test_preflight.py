"""What a training needs is checked before its first step."""

import json
import shutil
from types import SimpleNamespace

import pytest

from evolcoder.errors import TrainError
from evolcoder.training import preflight
from evolcoder.training.folder import ignore_step, locked, log_callback
from evolcoder.training.launch import check_master, nodes_of
from evolcoder.training.recipe import recipe_of
from late import torch


@pytest.mark.parametrize(
    ("preset", "changes", "n_steps", "gigabytes"),
    [
        # 7B: 14 GB as bfloat16, and three checkpoints of 84 GB at a time
        ("small", {}, 1000, 14 + 3 * 84),
        ("small", {}, 150, 14 + 84),
        ("small", {}, 100, 14),  # the last step writes no checkpoint
        ("small", {"save_dtype": "float32"}, 1, 28),
        ("small-lora", {}, 1000, 14 + 3 * 0.84),
        ("small-lora", {"merge": False}, 1, 0.14),
    ],
)
def test_the_disk_that_a_training_needs(preset, changes, n_steps, gigabytes):
    """From the weights, those that are trained, and the checkpoints that exist at a time."""
    recipe = recipe_of(preset, changes)
    n_trained = 7e7 if recipe.method == "lora" else 7e9
    need = preflight.disk_need(recipe, n_weights=7e9, n_trained=n_trained, n_steps=n_steps)
    assert need.total == pytest.approx(gigabytes * 1e9)


def test_a_disk_that_is_too_small_is_refused_with_numbers(tmp_path, monkeypatch):
    """What is needed, what is free, and what to change; an earlier session's files count as free."""
    recipe = recipe_of("small", {})
    need = preflight.disk_need(recipe, n_weights=7e9, n_trained=7e9, n_steps=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(need.total) - 5))
    with pytest.raises(TrainError, match=r"266\.0 GB .* 3 checkpoints of 84\.0 GB .*save_every"):
        preflight.check_disk(tmp_path / "not" / "there", need, recipe)
    (tmp_path / "checkpoint").write_bytes(b"12345")
    preflight.check_disk(tmp_path, need, recipe)


@pytest.mark.parametrize(("n_steps", "warmup"), [(1, 0), (9, 0), (10, 1), (11, 10), (1000, 10)])
def test_a_warm_up_does_not_fill_a_training(n_steps, warmup):
    """It is the recipe's in any training that is longer than it."""
    recipe = recipe_of("small", {})
    assert preflight.warmup_steps(recipe, n_steps) == warmup
    note = preflight.warmup_note(recipe, n_rows=15, n_steps=n_steps)
    assert bool(note) == (warmup != recipe.warmup_steps)
    assert not note or "15 rows make" in note


def test_a_number_of_steps_is_not_said_to_grow_with_smaller_batches():
    """Where the recipe has it, the rows and the batch do not make it."""
    note = preflight.warmup_note(recipe_of("small", {"steps": 5}), n_rows=1000, n_steps=5)
    assert note.startswith("steps=5 is no more than the warm-up of 10, which is shortened to 0")
    assert "batch_rows" not in note


@pytest.mark.parametrize(("n", "said"), [(0, "at least 1"), (4096, "--gpus 4096: torch finds")])
def test_gpus_that_are_not_there_are_refused(n, said):
    """Before any process is started."""
    with pytest.raises(TrainError, match=said):
        preflight.check_gpus(n)


def test_machines_without_gpus_are_refused(monkeypatch):
    """Several machines train on GPUs only."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TrainError, match="--nodes 2 with --gpus 1: torch finds no GPU here"):
        preflight.check_gpus(1, 2)


def test_a_first_machine_that_has_no_address_is_named():
    """Before anything waits for it."""
    with pytest.raises(TrainError, match=r"--master-addr no\.such\.machine\.invalid: no address"):
        check_master(nodes_of(2, 0, "no.such.machine.invalid"))
    check_master(nodes_of(2, 0, "127.0.0.1:4000"))


def test_weights_are_counted_from_headers(toy_base, tmp_path):
    """Without loading the base; what cannot be read is not known."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(toy_base)
    assert preflight.count_weights(str(toy_base)) == model.num_parameters()
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    assert preflight.count_weights(str(tmp_path)) is None
    assert preflight.count_weights("nobody/none") is None


def test_weights_in_two_layouts_are_counted_once(tmp_path):
    """Some bases hold the files of their makers' loader next to those that are read."""
    import torch
    from safetensors.torch import save_file

    tensors = {name: torch.zeros(10, 10) for name in ("a", "b")}
    parts = {name: f"model-{name}.safetensors" for name in tensors}
    for name, part in parts.items():
        save_file({name: tensors[name]}, tmp_path / part)
    save_file(tensors, tmp_path / "consolidated.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    assert preflight.count_weights(str(tmp_path)) == 200
    index.write_text("[]")
    assert preflight.count_weights(str(tmp_path)) is None
    save_file(tensors, tmp_path / "model.safetensors")
    assert preflight.count_weights(str(tmp_path)) == 200


def test_two_trainings_do_not_share_a_folder(tmp_path):
    """The second is refused while the first runs; no lock file stays next to the model."""
    out = tmp_path / "out"
    with locked(out), pytest.raises(TrainError, match="in use by another training"), locked(out):
        pass
    assert not out.exists()
    with locked(out):
        (out / "model.safetensors").touch()
    assert [one.name for one in out.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(("save_s", "saved"), [(0.0, True), (1.0, True), (60.0, False)])
def test_no_checkpoint_takes_longer_than_the_steps_that_are_left(save_s, saved, tmp_path):
    """Ten steps took ten seconds, and five are left; after the last one the model is saved."""
    pytest.importorskip("transformers")
    callback = log_callback(tmp_path, ignore_step, save_s=save_s)
    state = SimpleNamespace(global_step=0, max_steps=15, is_world_process_zero=False)
    callback.on_train_begin(None, state, None)
    callback.began -= 10.0
    for step, expected in ((10, saved), (15, False)):
        control = SimpleNamespace(should_save=True)
        state.global_step = step
        callback.on_step_end(None, state, control)
        assert control.should_save is expected
    control = SimpleNamespace(should_save=False)
    state.global_step = 10
    callback.on_step_end(None, state, control)
    assert control.should_save is False
