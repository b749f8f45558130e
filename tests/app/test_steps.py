"""A step is a process: what it ends with becomes the error that it stands for."""

import argparse
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from evolcoder.app import steps
from evolcoder.app.steps import EvalSteps, TrainSteps, fill_command, run_step
from evolcoder.cli import train
from evolcoder.cli.eval import parse_options
from evolcoder.cli.signals import Signals
from evolcoder.config.load import Config
from evolcoder.errors import BudgetReached, StepFailed, UserError
from evolcoder.experiment.config import AskConfig, LoopConfig, ServeConfig
from evolcoder.experiment.interfaces import Training
from evolcoder.grading import gradable
from evolcoder.training.recipe import recipe_of


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
    with pytest.raises(kind, match=r"^step: it went so \(log: "):
        run_step(command, tmp_path / "step.txt")
    assert (tmp_path / "step.txt").read_text().startswith(f"$ {sys.executable} -c")


def test_a_step_that_ends_well_raises_nothing_and_one_that_hangs_is_ended(tmp_path):
    """A bound in time is the user's, and what is over it is put away."""
    run_step(ends(0), tmp_path / "log" / "fine.txt")
    with pytest.raises(StepFailed, match=r"slow: timed out after 0\.5 s"):
        run_step([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "slow.txt", timeout_s=0.5)  # fmt: skip


FAMILY = """
import os, subprocess, sys, time
folder, code = sys.argv[1], sys.argv[2]
program = "import os, sys, time; open(sys.argv[1], 'w').close(); time.sleep(600)"
pids, places = [os.getpid()], [f"{folder}/beside", f"{folder}/apart"]
for place in places:
    args = [sys.executable, "-c", program, place]
    pids.append(subprocess.Popen(args, start_new_session=place.endswith("apart")).pid)
while not all(map(os.path.exists, places)):
    time.sleep(0.01)
open(f"{folder}/new", "w").write(" ".join(map(str, pids)))
os.rename(f"{folder}/new", f"{folder}/pids")
time.sleep(600) if code == "stay" else sys.exit(int(code))
"""


class Family:
    """A step with a child in its group and one in a session of its own, like torch's workers."""

    def __init__(self, folder):
        self.pids = folder / "pids"
        (folder / "family.py").write_text(FAMILY)
        self.command = [sys.executable, str(folder / "family.py"), str(folder)]

    def members(self):
        """Wait until all are there."""
        return within(60.0, lambda: self.pids.exists() and self.pids.read_text().split())

    def left(self):
        """Return who is alive."""
        alive = set()
        for pid in self.members():
            with suppress(OSError):
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                alive |= {pid} if state != "Z" else set()
        return alive


def within(seconds, seen):
    """Look until something is seen, so many seconds at most."""
    ends = time.monotonic() + seconds
    while not (found := seen()) and time.monotonic() < ends:
        time.sleep(0.02)
    return found


@pytest.fixture
def family(tmp_path):
    """A family of processes, of which none is left after a test that failed."""
    one = Family(tmp_path)
    yield one
    if one.pids.exists():
        for pid in one.left():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("code", [0, 1])
def test_nothing_that_a_step_started_outlives_it(tmp_path, family, code):
    """The GPU is free when a step has ended, also by a failure that its workers did not hear of."""
    with pytest.raises(StepFailed) if code else nullcontext():
        run_step([*family.command, str(code)], tmp_path / "step.txt")
    assert not family.left()


def test_what_a_step_started_ends_with_its_time(tmp_path, family):
    """When timeout_s is reported, no process writes into the step's folder any more."""
    with pytest.raises(StepFailed, match="timed out after 5 s"):
        run_step([*family.command, "stay"], tmp_path / "step.txt", timeout_s=5)
    assert not family.left()


def test_a_training_that_is_stopped_leaves_no_worker(tmp_path, family):
    """A failure of another step, or SIGTERM of the loop, stops a training with all its workers."""
    train = {"command": [*family.command, "stay"]}
    config = LoopConfig.model_validate({"student": {"path": "weights"}, "train": train})
    trainer, ended = TrainSteps(tmp_path, config), []

    def go():
        with pytest.raises(StepFailed) as failed:
            trainer.train(Training("seed", 3, "key", "data", 10, 100, None), tmp_path, tmp_path)
        ended.append(failed)

    thread = threading.Thread(target=go)
    thread.start()
    family.members()
    trainer.stop()
    thread.join()
    assert ended
    assert not family.left()


def test_a_step_that_is_being_started_is_not_lost(tmp_path, family, monkeypatch):
    """SIGTERM of the loop while it starts a step ends that step too, before the loop ends."""

    def start(*args, **kwargs):
        process = real(*args, **kwargs)
        family.members()
        signal.raise_signal(signal.SIGTERM)
        return process

    def interrupt(*_):
        raise KeyboardInterrupt

    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_step([*family.command, "stay"], tmp_path / "step.txt")
        assert signal.getsignal(signal.SIGTERM) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not family.left()


def test_a_training_on_several_gpus_ends_with_all_its_workers(tmp_path, family, monkeypatch):
    """SIGTERM or Ctrl-C while its launcher runs ends launcher and workers, before we end."""
    monkeypatch.setattr(train, "launch_command", lambda *_: [*family.command, "stay"])
    args = argparse.Namespace(out=tmp_path / "out", gpus=2, base="base")

    def tell():
        family.members()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    thread = threading.Thread(target=tell)
    thread.start()
    with pytest.raises(KeyboardInterrupt), Signals(is_process=False):
        train._launch(args, recipe_of("small", {}))
    thread.join()
    assert not family.left()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (os.kill, signal.SIGKILL),
        (os.killpg, signal.SIGKILL),
        (os.kill, signal.SIGINT),
        (os.killpg, signal.SIGINT),
        (os.killpg, signal.SIGHUP),
    ],
)
def test_nothing_that_a_step_started_outlives_the_loop(tmp_path, family, how, told):
    """SIGKILL of a loop or its group, Ctrl-C and a closed terminal end the step's whole family."""
    script = textwrap.dedent(f"""
        import signal
        from pathlib import Path
        from evolcoder.app.steps import run_step
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        run_step({[*family.command, "stay"]!r}, Path({str(tmp_path / "step.txt")!r}))
    """)
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.DEVNULL, process_group=0
    )
    assert family.members()
    how(owner.pid, told)
    owner.wait(timeout=30)
    assert within(10.0, lambda: not family.left())


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
    assert fill_command(["{x}", "{python}"], x=1) == ["1", sys.executable]


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
    monkeypatch.setattr(steps, "run_step", lambda command, *_, **__: commands.append(command))
    config = Config.model_validate({"evolver": {"model": "vllm:a"}, **changes})
    parts = {"evolver": config.evolver, "responder": config.responder}
    served = {role: "http://x#m" for role, part in parts.items() if (part.model or "").startswith("vllm:")}  # fmt: skip
    steps.RunSteps(tmp_path, ServeConfig()).evolve(config, tmp_path / "run-main", served)
    assert ("traffic.concurrency=1280" in commands[0]) == is_ours


def test_options_that_decide_a_sample_are_told(tmp_path):
    """A system prompt makes other samples; how many workers grade them does not."""
    for options, decided in (
        (["--system", "Be brief.", "--workers", "3"], {"system": "Be brief."}),
        (["--workers", "3"], {}),
    ):
        asked = AskConfig(options=options)
        assert EvalSteps(tmp_path, asked, ServeConfig(), parse_options).decided() == decided


def test_problems_that_cannot_be_graded_here_are_not_waited_for(tmp_path, shared, monkeypatch):
    """Neither are those beyond the limit."""
    steps_of = EvalSteps(
        tmp_path, AskConfig(data_dir=str(shared), limit=3), ServeConfig(), parse_options
    )
    problems = steps_of.select_problems("ds1000")
    assert len(problems) == 3
    known = {problems[1].id: "its reference fails here"}
    monkeypatch.setattr(gradable, "failing_references", lambda bench, packages: known)
    assert [one.id for one in steps_of.select_problems("ds1000")] == [
        problems[0].id,
        problems[2].id,
    ]
