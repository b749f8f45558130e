"""A process that waits with a training's packages imported, and then runs its command."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from evolcoder.app.standby import Standby
from evolcoder.app.steps import CLI, TrainSteps, run_step
from evolcoder.errors import StepFailed, UserError
from evolcoder.experiment.config import LoopConfig

ENOUGH_S = 120.0


def is_alive(pid):
    with suppress(OSError):
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.fixture
def standby():
    made = Standby()
    made.start()
    yield made
    made.close()


def test_it_runs_the_command_with_its_output_in_the_log(standby, tmp_path):
    """As if the command had been started, with its exit code; once."""
    log = tmp_path / "step.txt"
    waiting = standby._process.pid
    run_step([*CLI, "inspect", str(tmp_path), "--help"], log, standby=standby)
    text = log.read_text()
    assert text.startswith("$ ")
    assert "usage: evolcoder inspect" in text
    assert not is_alive(waiting)
    assert standby.take([*CLI, "doctor"], log) is None


def test_an_error_of_the_command_is_that_of_the_step(standby, tmp_path):
    """Exit code and last line arrive as from a process of its own."""
    with pytest.raises(UserError, match="holds no run"):
        run_step([*CLI, "inspect", str(tmp_path / "nothing")], tmp_path / "s.txt", standby=standby)


def test_it_ends_with_its_owner_or_when_closed(standby):
    """Used or not; starting twice starts one."""
    pid = standby._process.pid
    standby.start()
    assert standby._process.pid == pid
    standby.close()
    assert not is_alive(pid)
    standby.close()


def test_a_command_that_it_cannot_run_is_started_as_ever(standby, tmp_path):
    """It keeps waiting meanwhile."""
    pid = standby._process.pid
    run_step([sys.executable, "-c", "print('mine')"], tmp_path / "s.txt", standby=standby)
    assert "mine" in (tmp_path / "s.txt").read_text()
    assert standby._process.pid == pid
    assert is_alive(pid)


def test_where_it_died_the_command_is_started_as_ever(standby, tmp_path):
    """A standby is a help, never a condition."""
    standby._process.kill()
    standby._process.wait()
    run_step([*CLI, "inspect", "--help"], tmp_path / "s.txt", standby=standby)
    assert "usage: evolcoder inspect" in (tmp_path / "s.txt").read_text()


def test_a_step_that_is_stopped_ends_it(standby, tmp_path):
    """A time limit and Ctrl-C reach the command, wherever it is."""
    pid = standby._process.pid
    command = [sys.executable, "-m", "timeit", "-s", "import time", "time.sleep(999)"]
    with pytest.raises(StepFailed, match="timed out"):
        run_step(command, tmp_path / "s.txt", standby=standby, timeout_s=0.5)
    ends = time.monotonic() + ENOUGH_S
    while is_alive(pid) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not is_alive(pid)


@pytest.mark.parametrize(("command", "waits"), [
    ({}, True),
    ({"command": ["{python}", "mine.py", "{data}", "{out}"]}, False),
])  # fmt: skip
def test_a_loop_prepares_for_its_own_training_only(command, waits, tmp_path):
    """Nothing is imported for a user's own command."""
    config = LoopConfig.model_validate({"student": {"path": "weights"}, "train": command})
    steps = TrainSteps(tmp_path, config)
    steps.prepare()
    try:
        assert (steps._standby._process is not None) == waits
    finally:
        steps.close()
    assert steps._standby._process is None
