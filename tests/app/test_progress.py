"""What is shown while a command works: counts, tokens, time so far and time left."""

import io
import sys
import time
from collections import Counter

import pytest

from evolcoder.app import progress
from evolcoder.app.progress import Work, fitted, remaining_s, shown
from evolcoder.app.train import _TrainingProgress
from evolcoder.config.load import BudgetConfig
from evolcoder.engine.budget import Budget, Spending
from evolcoder.pipeline import RoundCounts
from evolcoder.records import Stage
from evolcoder.training.folder import LoggedStep


@pytest.mark.parametrize(
    ("done", "left", "in_flight", "slots", "expected"),
    [
        (0, 8, 4, None, None),
        (8, 0, 0, None, None),
        (1, 7, 1, None, 10 * 6.5 / 1.5),  # one after another: nearly seven times as long again
        (1, 7, 7, None, 10 * 3.5 / 4.5),  # all at once: the others are half done
        (1, 7, 7, 2, 10 * 6 / 2),  # all asked, but a model in this process makes two at a time
    ],
)
def test_the_time_left_knows_what_runs_at_the_same_time(done, left, in_flight, slots, expected):
    """After 10 s."""
    found = remaining_s(Work("", done, left, in_flight, slots), 10.0)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("width", [80, 200])
def test_a_line_is_broken_between_its_parts(width):
    """No row is wider than the terminal, and no part is torn."""
    parts = [f"part {at} of some length" for at in range(12)]
    rows = fitted(" · ".join(parts), width).split("\n")
    assert max(map(len, rows)) <= width
    assert " · ".join(rows) == " · ".join(parts)


def test_a_run_shows_tokens_before_its_first_task_is_done():
    """Stages are counted, an engine that streams is counted token by token, prompts are told of."""

    class Streaming:
        n_streamed, n_reading = 0, 2

    engine = Streaming()
    budget = Budget(BudgetConfig(), Spending())
    counts = RoundCounts(round=1, pool=8, in_flight=3, active=Counter({Stage.EVOLVE: 2}))
    tokens = progress.TokenSpeed(budget, [engine, engine])  # one engine of two roles
    text = progress._run_text(counts, budget, tokens, "")
    assert text == "round 1: 0/8 done, 0 kept · evolving 2 · reading 2 prompts"
    engine.n_streamed, engine.n_reading = 1200, 0
    counts.active[Stage.VERIFY] = 1
    text = progress._run_text(counts, budget, tokens, "")
    assert "evolving 2, verifying 1 · 1,200 tokens, " in text


def test_answers_that_wait_for_the_sandbox_are_not_half_done():
    """78 of 387 tasks took a minute, and two programs run at a time: four minutes are left."""
    waiting = RoundCounts(pool=387, done=78, in_flight=309, active=Counter({Stage.VERIFY: 309}))
    asking = RoundCounts(pool=387, done=78, in_flight=309, active=Counter({Stage.RESPOND: 309}))
    by_two, without_sandbox = (progress._work_of(waiting, None, n) for n in (2, 0))
    assert remaining_s(by_two, 60.0) == pytest.approx(60 * 308 / 79)
    assert without_sandbox == progress._work_of(asking, None, 2)


def test_without_a_terminal_a_line_comes_now_and_then(capsys, monkeypatch):
    """Also while the work blocks; the last line is the state at the end."""
    monkeypatch.setattr(progress, "PLAIN_S", 0.05)
    done = 0
    with shown(lambda: f"{done} done", lambda: Work("x", done, 10 - done)):
        time.sleep(0.12)  # as work that gives nothing back to an event loop
        done = 5
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("0 done · 0s")
    assert lines[-1] == "5 done · 0s, about 0s left"


def test_what_fails_at_once_is_told_by_its_error_alone(capsys):
    """A progress line next to a one-line error says nothing."""
    with pytest.raises(ValueError, match="wrong"), shown(lambda: "0 done"):
        raise ValueError("wrong")
    assert capsys.readouterr().err == ""


def test_a_time_left_that_has_passed_is_not_shown(monkeypatch):
    """The last program of many may take a hundred times as long as the others."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    work = Work("grading", 0, 20)
    clock = progress._Clock(lambda: work)
    clock.text()
    now, work = 19.0, Work("grading", 19, 1, 1)
    assert clock.text() == "19s, about 0s left"
    now = 60.0
    assert clock.text() == "1m00s"
    now, work = 62.0, Work("grading", 20, 19, 19)
    assert "left" in clock.text()


def test_training_counts_no_loading_into_the_time_left():
    """The first step starts the clock, and gives no estimate yet."""
    shown_now = _TrainingProgress()
    assert shown_now.work().name != "training"
    names = []
    for step in (1, 2, 4):
        shown_now.take(LoggedStep(step, 8, 1.0, 1e-5, 1.0, 0.1))
        work = shown_now.work()
        names.append(work.name)
        assert (work.done, work.left) == (step - 1, 8 - step)
    assert {*names} == {"training"}


def test_the_cursor_stays_visible(monkeypatch):
    """Ctrl-Z and SIGKILL leave a terminal as it is then, so a hidden cursor would stay hidden."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with shown(lambda: "at work"):
        during = terminal.getvalue()
    assert "\x1b[?25l" in during
    assert during.rfind("\x1b[?25h") > during.rfind("\x1b[?25l")
