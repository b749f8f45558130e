"""A step is a process: what it ends with becomes the error that it stands for."""

import json
import sys

import pytest

from evolcoder.cli import steps
from evolcoder.cli.steps import TrainSteps, filled, run_step
from evolcoder.config import Config
from evolcoder.errors import BudgetReached, StepFailed, UserError
from evolcoder.loop.parts import Training
from evolcoder.loop.settings import LoopConfig, ServeConfig


def ends(code, said="it went so"):
    return [sys.executable, "-c", f"import sys; print({said!r}); sys.exit({code})"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, StepFailed),
        (2, UserError),
        (3, BudgetReached),
        (130, KeyboardInterrupt),
        (-9, StepFailed),
    ],
)
def test_an_exit_code_becomes_its_error(tmp_path, code, kind):
    """The last words of a step are in the message, and all of them in its log."""
    command = ends(code) if code >= 0 else [*ends(0)[:2], "import os; print('it went so', flush=True); os.kill(os.getpid(), 9)"]  # fmt: skip
    with pytest.raises(kind, match=r"^step: it went so \(all of it in "):
        run_step(command, tmp_path / "step.txt")
    assert (tmp_path / "step.txt").read_text().startswith(f"$ {sys.executable} -c")


def test_a_step_that_ends_well_raises_nothing_and_one_that_hangs_is_ended(tmp_path):
    """A bound in time is the user's, and what is over it is put away."""
    run_step(ends(0), tmp_path / "log" / "fine.txt")
    with pytest.raises(StepFailed, match=r"slow: not done within 0\.5 s"):
        run_step([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "slow.txt", timeout_s=0.5)  # fmt: skip


def test_a_training_is_told_its_seed_and_steps(tmp_path):
    """What decides a model is in its command; steps are named only where they are set."""
    script = "import json, sys; json.dump(sys.argv[1:], open(sys.argv[1], 'w'))"
    train = {"command": ["{python}", "-c", script, "{out}", "{base}", "{data}", "{seed}"]}
    config = LoopConfig.model_validate({"student": {"path": "weights"}, "train": train})
    for n_steps in (None, 7):
        one = Training("seed", 3, "key", "data", 10, 100, n_steps)
        TrainSteps(tmp_path, config).train(one, tmp_path / "rows", tmp_path / "out")
        told = json.loads((tmp_path / "out").read_text())
        assert told[1:4] == ["weights", str(tmp_path / "rows"), "3"]
        assert told[4:] == ([] if n_steps is None else ["--set", "steps=7"])
    assert filled(["{x}", "{python}"], x=1) == ["1", sys.executable]


def test_only_servers_that_we_start_are_asked_as_hard_as_they_can_be():
    """Requests in flight grow with the GPUs, up to a bound; a server of the user's is let alone."""
    said = ServeConfig(gpus=2).traffic
    assert said == ("--set", "traffic.concurrency=2560", "--set", "traffic.seeds=false")
    assert ServeConfig(gpus=8, seeds=True).traffic[1::2] == (
        "traffic.concurrency=4096", "traffic.seeds=true",
    )  # fmt: skip
    assert ServeConfig(command=()).traffic == ()


@pytest.mark.parametrize(
    ("changes", "is_ours"),
    [
        ({}, True),
        ({"responder": {"model": "vllm:b"}}, True),
        ({"responder": {"model": "openai:c"}}, False),
        ({"verify": {"tester": "openai:c"}}, False),
    ],
)
def test_a_run_is_hurried_where_every_model_is_served_for_it(
    tmp_path, monkeypatch, changes, is_ours
):
    """One model elsewhere, and run.traffic rules for all of them."""
    commands = []
    monkeypatch.setattr(steps, "run_step", lambda command, _: commands.append(command))
    config = Config.model_validate({"evolver": {"model": "vllm:a"}, **changes})
    parts = {"evolver": config.evolver, "responder": config.responder}
    served = {role: "http://x#m" for role, part in parts.items() if (part.model or "").startswith("vllm:")}  # fmt: skip
    steps.RunSteps(tmp_path, ServeConfig()).evolve(config, tmp_path / "run-main", served)
    assert ("traffic.concurrency=1280" in commands[0]) == is_ours
