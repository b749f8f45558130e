"""SIGINT and SIGTERM end any command at any instant: 130, one line, no traceback, nothing lost or left.

An instant is a place in the command, not a time: `interrupting.py` sends the signal at the nth call
of a function, from the first imports to the last line that is printed.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest

import toys
from evolcoder.cli import signals
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.cli.signals import Signals
from evolcoder.storage.run_store import RunStore
from groups import sampled

PROGRAM = Path(__file__).parents[1] / "interrupting.py"
FIRST_CALL = 300
"""Before it Python itself is still being set up to hear."""
PARTS = (0.0, 0.1, 0.55, 0.9)
"""Of all calls of a command: reading what it is asked, opening, working, writing."""
MARK = "EVOLCODER_TEST"
_marks = count()


class Commands:
    """Commands in a folder of their own, and what they come to when nothing disturbs them."""

    def __init__(self, folder, cache):
        self.folder = folder
        self.cache = cache
        toys.seeds_file(folder / "seeds.jsonl", 4)
        evolved = "Needs: a\nNew task: \\g<task> Also reject duplicate gzip ledgers and log each checksum."
        answer = "```python\ndef f(x):\n    return [x, 1]\n```"
        rules = [
            {"match": "Task: (?P<task>Write [^.]*\\.)", "answer": evolved},
            {"match": "", "answer": answer},
        ]
        rules = {"rules": rules}
        (folder / "script.json").write_text(json.dumps(rules))

    def __call__(self, command, told=""):
        """Run a command; return its exit code, what it said, and who is left of it."""
        mark = f"{os.getpid()}.{next(_marks)}"
        calls = self.folder / "calls"
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(calls), told, *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, start_new_session=True,
            env={**os.environ, "EVOLCODER_CACHE": str(self.cache), MARK: mark},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        out, err = process.communicate(timeout=120)
        return process.returncode, out.decode(), err.decode(), left(mark)

    def n_calls(self):
        return int((self.folder / "calls").read_text())


def left(mark):
    """Processes that were started with this mark and are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}\0".encode() in path.read_bytes():
                found.append(path.with_name("cmdline").read_bytes())
        except OSError:
            continue
    return [command for command in found if command]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    return Commands(folder, folder / "cache")


RUN = ["run", "--seeds", "seeds.jsonl", "--model", "scripted:script.json", "--sandbox", "processes"]
VERIFY = ["verify", "seeds.jsonl", "--sandbox", "processes", "--workers", "1"]
KINDS = {
    "run": ([*RUN, "--out", "OUT"], (signal.SIGINT, signal.SIGTERM)),
    "verify": ([*VERIFY, "--out", "OUT"], (signal.SIGTERM,)),
    "clean": (["clean", "seeds.jsonl", "--out", "OUT"], (signal.SIGINT,)),
    "dry run": ([*RUN, "--out", "OUT", "--dry-run"], (signal.SIGTERM,)),
    "inspect": (["inspect", "made", "--drops"], (signal.SIGINT,)),
    "export": (["export", "made", "--out", "OUT"], (signal.SIGTERM,)),
}


RESUMING = ("run", "verify")


def placed(command, out):
    return [out if word == "OUT" else word for word in command]


@pytest.fixture(scope="module")
def totals(commands):
    """The calls of each command, counted once, when nothing disturbs it."""
    found = {}

    def total(name):
        if "made" not in found:
            assert commands([*RUN, "--out", "made"])[0] == 0
            found["made"] = 0
        if name not in found:
            code, _, err, _ = commands(placed(KINDS[name][0], f"whole-{name}"))
            assert code == 0, err
            assert name not in RESUMING or rows(commands.folder / f"whole-{name}")
            found[name] = commands.n_calls()
        return found[name]

    return total


def check_interrupted(result, *, may_be_done=False):
    code, _, err, still_there = result
    if code != 0 or not may_be_done:
        assert code == 130, err
        assert err.splitlines()[-1].startswith("evolcoder: interrupted")
    for word in ("Traceback", "Exception", "Error", "Warning", "ignored"):
        assert word not in err, err
    assert still_there == []


@pytest.mark.e2e
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", KINDS)
def test_a_signal_at_any_instant_ends_a_command_in_one_line(commands, totals, name, part):
    """With 130, without traceback or process left; what goes on goes on to the same end."""
    command, told = KINDS[name]
    at = FIRST_CALL + int(part * (totals(name) - FIRST_CALL))
    for number in told:
        out = f"{name}-{part}-{number}"
        # Answers that are in the cache by then make it shorter.
        may_be_done = part == PARTS[-1]
        result = commands(placed(command, out), f"{number.name}@{at}")
        check_interrupted(result, may_be_done=may_be_done)
        if name in RESUMING:
            code, _, err, _ = commands(placed(command, out))
            assert code == 0, err
            assert rows(commands.folder / out) == rows(commands.folder / f"whole-{name}")


def rows(folder):
    with RunStore.read(folder) as store:
        return [*store.rows(), *store.drops()]


@pytest.mark.e2e
@pytest.mark.parametrize("part", PARTS)
def test_an_evaluation_ends_in_one_line_and_goes_on(tmp_path, shared, commands, part):
    """While it reads, checks itself, grades and writes; no worker stays, and no verdict is lost."""
    command = ["eval", "--bench", "humaneval", "--data-dir", shared, "--limit", "4", "--json"]
    command += ["--samples", shared / "samples/wizardcoder-15b-humaneval-greedy.jsonl.gz"]
    command += ["--sandbox", "processes", "--workers", "2"]
    fresh = Commands(tmp_path, tmp_path / "cache")
    code, whole, err, _ = fresh([*command, "--out", "whole"])
    assert code == 0, err
    at = FIRST_CALL + int(part * (fresh.n_calls() - FIRST_CALL))
    fresh.cache = tmp_path / "another"
    check_interrupted(fresh([*command, "--out", "cut"], f"SIGINT@{at}"))
    code, again, err, _ = fresh([*command, "--out", "cut"])
    assert code == 0, err
    told = [json.loads(text)["results"][0] for text in (whole, again)]
    assert told[0]["scores"] == told[1]["scores"]
    assert told[0]["kinds"] == told[1]["kinds"]


@pytest.mark.parametrize("between", [1, 3000])
@pytest.mark.parametrize("part", sampled([0.55, 0.1, 0.9], 3))
def test_a_second_signal_ends_at_once_and_as_cleanly(commands, totals, part, between):
    """Whether it comes right behind the first or while the first is being handled."""
    at = FIRST_CALL + int(part * (totals("verify") - FIRST_CALL))
    out = f"twice-{part}-{between}"
    told = f"SIGINT@{at},SIGTERM@{at + between}"
    check_interrupted(commands(placed(KINDS["verify"][0], out), told))
    code, _, err, _ = commands(placed(KINDS["verify"][0], out))
    assert code == 0, err
    assert rows(commands.folder / out) == rows(commands.folder / "whole-verify")


async def forever():
    await asyncio.Event().wait()


async def told_and_waits():
    signal.raise_signal(signal.SIGTERM)
    await forever()


async def told_and_computes():
    signal.raise_signal(signal.SIGINT)
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        pass


async def told_in_another_task():
    async with asyncio.TaskGroup() as group:
        group.create_task(told_and_computes())
        group.create_task(forever())


@pytest.mark.parametrize("story", [told_and_waits, told_and_computes, told_in_another_task])
def test_a_coroutine_is_cancelled_or_else_interrupted(monkeypatch, caplog, story):
    """Where it waits it is cancelled; where it only computes it is interrupted a moment later.

    Nothing is logged of what it leaves, however late that is collected.
    """
    monkeypatch.setattr(signals, "CANCEL_GRACE_S", 0.05)
    gc.collect()  # what other tests left
    caplog.clear()
    cleaned = []

    async def with_an_end():
        try:
            await story()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_cancellable(with_an_end())
    assert cleaned == [True]
    gc.collect()
    assert caplog.text == ""


def test_a_signal_between_two_waits_is_not_slept_over():
    """The loop is woken where the signal came before it began to wait."""

    async def story():
        threading.Timer(
            0.02, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
        ).start()
        await forever()

    with pytest.raises(KeyboardInterrupt):
        run_cancellable(story())


class Told:
    """Hears of a signal where nothing can be raised."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_in_a_destructor_is_raised_after_it(capsys):
    """It is neither lost nor printed."""
    with pytest.raises(KeyboardInterrupt), Signals(is_process=False):
        Told()
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            pass
    assert capsys.readouterr().err == ""


def test_signals_that_are_ignored_stay_ignored():
    """`nohup` and shells' background jobs ignore some; that is for them to say."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals(is_process=False):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_caller_in_process_gets_its_handlers_back():
    """A command that was run from a program leaves the program's own handlers."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    with Signals(is_process=False):
        assert signal.getsignal(signal.SIGINT) != before[0][0]
    assert ([signal.getsignal(number) for number in numbers], sys.unraisablehook) == before
