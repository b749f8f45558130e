"""Checkpoints of several processes: what one number of them writes, another number reads."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import toy_model
from evolcoder.training import checkpoints
from evolcoder.training.completions import COMPLETIONS_NAME
from evolcoder.training.folder import last_checkpoint, read_log
from evolcoder.training.launch import (
    CONFIG_NAME,
    EXIT_LOST,
    SHARED_NAME,
    Nodes,
    end_of,
    launch_command,
    launcher_config,
)
from evolcoder.training.recipe import recipe_of
from jsonl import write_jsonl
from late import torch

pytestmark = pytest.mark.train
SHARDED = Path(__file__).with_name("sharded_on_cpu.py")
BLOCKED = Path(__file__).with_name("blocked_path.py")
STEPS = Path(__file__).with_name("checkpoint_steps.py")
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def steps(n_processes, mode, base, checkpoint):
    """The losses after a checkpoint, and the number of weights that are gathered."""
    run = ["-m", "torch.distributed.run", "--nproc-per-node", str(n_processes)]
    start = [*run, "--master-port", str(free_port())] if n_processes > 1 else []
    command = [sys.executable, *start, str(STEPS), mode, str(base), str(checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENV)
    *losses, n_weights = re.search(r"^losses (.+)$", done.stdout, re.MULTILINE)[1].split()
    return [float(loss) for loss in losses], int(n_weights)


def test_a_checkpoint_continues_on_another_number_of_processes(toy_base, tmp_path):
    """Sharded by two it continues on one and three, and that of one process on two."""
    two, one = tmp_path / "two", tmp_path / "one"
    expected, n_weights = steps(2, "save", toy_base, two)
    assert steps(1, "save", toy_base, one) == (pytest.approx(expected, rel=1e-5), n_weights)
    for n_processes, checkpoint in ((1, two), (3, two), (2, one)):
        losses, _ = steps(n_processes, "load", toy_base, checkpoint)
        assert losses == pytest.approx(expected, rel=1e-5), (n_processes, checkpoint)
    assert checkpoints.is_sharded(two)
    assert not checkpoints.is_sharded(tmp_path)


ROWS = "rows.jsonl"
FAST = [
    *("--set", "batch_rows=8", "--set", "steps=12", "--set", "learning_rate=3e-3"),
    *("--set", "warmup_steps=2", "--set", "micro_tokens=256", "--set", "save_every=3"),
]


def train_command(folder, base, out, *options, n_processes):
    """The command of a training; several processes share the processor, each with its shard."""
    rows = [
        {"instruction": one.row.task.instruction, "output": one.row.response.text}
        for one in toy_model.lessons()
    ]
    write_jsonl(folder / ROWS, rows)
    arguments = [str(folder / ROWS), "--base", str(base), "--out", str(out), *FAST, *options]
    if n_processes == 1:
        return [sys.executable, "-m", "evolcoder.cli.main", "train", *arguments]
    return on_shards(folder / CONFIG_NAME, arguments, n_processes, Nodes(port=free_port()))


def on_shards(path, arguments, n_processes, nodes):
    """The command that starts the processes of one machine, without its GPUs."""
    config = yaml.safe_load(launcher_config(recipe_of("small", {}), n_processes, nodes))
    config |= {"mixed_precision": "no", "main_process_port": nodes.port}
    path.write_text(yaml.safe_dump(config))
    command = launch_command(path, arguments)
    at = command.index("evolcoder.cli.main")
    return [*command[: at - 1], str(SHARDED), *command[at + 1 :]]


def losses_of(out):
    return [step.loss for step in read_log(out)]


@pytest.fixture(scope="module")
def alone(toy_base, tmp_path_factory):
    """A training in one process: its folder and losses."""
    folder = tmp_path_factory.mktemp("alone")
    command = train_command(folder, toy_base, folder / "out", n_processes=1)
    subprocess.run(command, check=True, env=ENV, capture_output=True)
    return folder / "out", losses_of(folder / "out")


def test_shards_train_as_one_process_does(alone, toy_base, tmp_path):
    """Two processes with a shard each have its losses, and write the whole model."""
    from safetensors.torch import load_file

    folder, expected = alone
    options = ["--validation", str(tmp_path / ROWS), "--log-completions", "1"]
    command = train_command(tmp_path, toy_base, tmp_path / "out", *options, n_processes=2)
    subprocess.run(command, check=True, env=ENV, capture_output=True)
    assert losses_of(tmp_path / "out") == pytest.approx(expected, rel=1e-4)
    ours, theirs = (load_file(one / "model.safetensors") for one in (tmp_path / "out", folder))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-2) for name in ours)
    lines = (tmp_path / "out" / COMPLETIONS_NAME).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 13))


def on_two_machines(folder, base, outs):
    """Two launchers that stand for two machines, each with one process; what they end with."""
    arguments = train_command(folder, base, outs[0], n_processes=1)[4:]
    port = free_port()
    processes = []
    for rank, out in enumerate(outs):
        nodes = Nodes(2, rank, "127.0.0.1", port)
        given = [str(out) if one == str(outs[0]) else one for one in arguments]
        command = on_shards(folder / nodes.config_name, given, 1, nodes)
        start = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE, text=True)
        processes.append(start)
    said = [process.communicate(timeout=200)[1] for process in processes]
    return [process.returncode for process in processes], said


def test_two_machines_train_as_one_process_does(alone, toy_base, tmp_path):
    """Each starts its own processes, and they share the folder of the model."""
    out = tmp_path / "out"
    codes, said = on_two_machines(tmp_path, toy_base, [out, out])
    assert codes == [0, 0], said
    assert losses_of(out) == pytest.approx(alone[1], rel=1e-4)
    assert not (out / SHARED_NAME).exists()


def test_machines_without_a_common_folder_are_refused(toy_base, tmp_path):
    """Before the base is loaded, in one line of machine 0."""
    outs = [tmp_path / "here", tmp_path / "there"]
    codes, said = on_two_machines(tmp_path, toy_base, outs)
    assert codes == [2, 2], said
    assert "process 1 does not see what process 0 writes there" in said[0]
    assert "Traceback" not in "".join(said)
    assert not (outs[0] / "model.safetensors").exists()


def test_one_process_continues_what_two_began(alone, toy_base, tmp_path):
    """From the last checkpoint, with the losses of an undisturbed training."""
    out = tmp_path / "out"
    command = train_command(tmp_path, toy_base, out, n_processes=2)
    process = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(losses_of(out)) < 8:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode
    assert last_checkpoint(out / "checkpoints").name in {"checkpoint-6", "checkpoint-9"}
    command = train_command(tmp_path, toy_base, out, n_processes=1)
    subprocess.run(command, check=True, env=ENV, capture_output=True)
    assert losses_of(out) == pytest.approx(alone[1], rel=1e-4)


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_checkpoint_that_cannot_be_written_ends_all_processes(toy_base, tmp_path, n_processes):
    """With one line; the checkpoint before is complete, and the training continues from it."""
    out = tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = train_command(tmp_path, toy_base, out, n_processes=n_processes)
    done = subprocess.run(
        command, env=ENV, capture_output=True, text=True, preexec_fn=limit, timeout=120, check=False
    )
    assert done.returncode == 2
    assert re.search(r"evolcoder: .*checkpoint-3: cannot be written: .+", only_line(done.stderr))
    assert last_checkpoint(out / "checkpoints") is None


def only_line(said):
    """The one line that says why a training failed."""
    assert "Traceback" not in said
    lines = [one for one in said.splitlines() if one.startswith("evolcoder: ")]
    (line,) = [one for one in lines if "24 of 24 rows " not in one]
    return line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("checkpoints/checkpoint-3/state", "checkpoint-3: cannot be written: "),  # all processes
        ("checkpoints/checkpoint-3/scheduler.pt", "checkpoint-3: cannot be written: "),  # one
        ("checkpoints/checkpoint-3/rng_state_1.pth", "checkpoint-3: cannot be written: "),  # other
        ("train-log.jsonl", "train-log.jsonl: "),
        ("completions.jsonl", "completions.jsonl: "),
        ("model.safetensors", "the model cannot be written: "),
    ],
)
def test_a_file_that_cannot_be_written_ends_all_processes_with_one_line(
    toy_base, tmp_path, name, said
):
    """Whichever process writes it, and whatever the others wait for then."""
    out = tmp_path / "out"
    options = ["--validation", str(tmp_path / ROWS), "--log-completions", "1"]
    options += ["--set", "steps=4"]
    command = train_command(tmp_path, toy_base, out, *options, n_processes=2)
    at = command.index(str(SHARDED))
    command[at : at + 1] = [str(BLOCKED), str(out / name)]
    done = subprocess.run(
        command, env=ENV, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 2, done.stderr[-3000:]
    assert said in only_line(done.stderr)


@pytest.mark.parametrize(
    ("codes", "said", "code"),
    [
        ({0: 2, 1: -15}, "", 2),
        ({0: 2, 1: -9}, "", 2),
        ({1: 2, 0: EXIT_LOST}, "", 2),
        ({0: 130, 1: -9}, "", 130),
        ({0: 1, 1: -15}, "", 1),
        ({0: EXIT_LOST, 1: -9}, "process 1 of the training was ended by SIGKILL, as when", 1),
        ({1: -11, 0: -15}, "process 1 of the training was ended by SIGSEGV", 1),
        ({0: 1, 1: -9}, "process 1 of the training was ended by SIGKILL, as when", 1),
        ({0: -15, 1: EXIT_LOST}, "process 0 of the training was ended by SIGTERM", 1),
        ({0: EXIT_LOST, 1: EXIT_LOST}, "another process of the training has ended", 1),
    ],
)
def test_the_launcher_names_what_no_process_says(codes, said, code):
    """It ends the others by signals itself, which are no causes."""
    text, found = end_of(codes)
    assert (text.startswith(said), bool(text), found) == (True, bool(said), code)


def test_a_process_that_is_killed_ends_the_others(toy_base, tmp_path):
    """The launcher says which one, in one line."""
    out = tmp_path / "out"
    command = train_command(tmp_path, toy_base, out, n_processes=2)
    process = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(losses_of(out)) < 2:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        pid for pid in children if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes()
    ]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "process 1 of the training was ended by SIGKILL" in only_line(said)


def test_gathered_weights_are_those_of_the_model(toy_base):
    """In another dtype, each once: the output layer shares the table of tokens."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(toy_base)
    weights = checkpoints.whole_weights(model, "bfloat16")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert sum(weight.numel() for weight in weights.values()) == model.num_parameters()
