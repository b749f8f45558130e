"""`train --report-to` shows the figures of each step in TensorBoard and in Weights & Biases."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from evolcoder.errors import TrainError
from evolcoder.training.folder import read_log
from evolcoder.training.trackers import TRACKERS, check_tracker, open_tracker
from jsonl import write_jsonl

NEEDED = {name: f"needs {name}: `make trackers` installs it" for name in TRACKERS}
STEPS = 3


def needs(name):
    return pytest.mark.skipif(find_spec(name) is None, reason=NEEDED[name])


def train(folder, base, tracker, *, steps=STEPS, **environment):
    """Run the command in `folder`, without an account."""
    rows = folder / "rows.jsonl"
    tasks = [
        {"instruction": f"Write answer_{n}.", "output": f"def answer():\n    return {n}"}
        for n in range(8)
    ]
    write_jsonl(rows, tasks)
    program = "import sys; from evolcoder.cli.main import main; sys.exit(main())"
    options = ["--base", base, "--out", "out", "--report-to", tracker, "--validation", rows]
    for one in (f"steps={steps}", "learning_rate=0.001", "warmup_steps=1", "save_every=1"):
        options += ["--set", one]
    own = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-c", program, "train", rows, *map(str, options)],
        check=False,
        cwd=folder,
        env={**own, "HOME": str(folder), "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.train
@needs("tensorboard")
def test_tensorboard_has_every_step(toy_base, tmp_path):
    """Losses of steps and of held-out rows are those of the folder's own log."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = train(tmp_path, toy_base, "tensorboard")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    log = read_log(tmp_path / "out")
    shown = {one.step: one.value for one in events.Scalars("train/loss")}
    assert shown == pytest.approx({one.step: one.loss for one in log}, rel=1e-4)
    assert len(shown) == STEPS
    assert "eval/loss" in events.Tags()["scalars"]


@pytest.mark.train
@needs("wandb")
def test_wandb_keeps_its_run_in_the_models_folder(toy_base, tmp_path):
    """Offline there is a run to send, nothing lies elsewhere, and the command to send it is shown."""
    done = train(tmp_path, toy_base, "wandb", WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (stored,) = run.glob("run-*.wandb")
    assert b"train/loss" in stored.read_bytes()
    assert b"eval/loss" in stored.read_bytes()
    assert f"wandb sync out/wandb/{run.name}" in done.stderr
    assert not (tmp_path / "wandb").exists()
    assert len(read_log(tmp_path / "out")) == STEPS


@pytest.mark.train
@needs("wandb")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "wandb login"),
        ({"WANDB_API_KEY": "short"}, "API key"),
        ({"WANDB_MODE": ""}, "mode"),
        ({"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "wandb"),
    ],
    ids=["no account", "a wrong key", "a wrong setting", "no server"],
)
def test_what_wandb_lacks_is_one_line_before_the_training(toy_base, tmp_path, environment, said):
    """The same command trains once that is set right."""
    done = train(tmp_path, toy_base, "wandb", **environment)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert last.startswith("evolcoder: --report-to wandb: "), done.stderr
    assert said in last
    assert not read_log(tmp_path / "out")
    run_id = (tmp_path / "out" / "wandb" / "run-id").read_text().strip()
    assert train(tmp_path, toy_base, "wandb", WANDB_MODE="offline").returncode == 0
    assert list((tmp_path / "out" / "wandb").glob(f"offline-run-*-{run_id}"))


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_one_line(monkeypatch, name):
    """It is looked for before anything else."""
    monkeypatch.setattr("evolcoder.training.trackers.find_spec", lambda _: None)
    with pytest.raises(TrainError, match=f"pip install {name}"):
        check_tracker(name)


def test_the_environment_is_as_before(monkeypatch, tmp_path):
    """TensorBoard's folder is set for one training only, whatever happens in it."""
    monkeypatch.setattr("evolcoder.training.trackers.find_spec", lambda _: True)
    name = "TENSORBOARD_LOGGING_DIR"
    for before in (None, "elsewhere"):
        monkeypatch.delenv(name, raising=False) if before is None else monkeypatch.setenv(
            name, before
        )
        with pytest.raises(TrainError), open_tracker("tensorboard", tmp_path, print):
            assert os.environ[name] == str(tmp_path / "tensorboard")
            raise TrainError("out of memory")
        assert os.environ.get(name) == before


def test_no_tracker_changes_nothing(tmp_path):
    """Without one, no folder is made."""
    with open_tracker(None, tmp_path / "out", print):
        pass
    assert not Path(tmp_path, "out").exists()
