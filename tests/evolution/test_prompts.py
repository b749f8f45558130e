"""What the evolver is asked."""

import pytest

from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, TaskContents
from evolcoder.evolution.prompts import CODE_FIRST, HINTS, build, for_judge
from evolcoder.records import Reason


@pytest.mark.parametrize("heuristic", BUILT_IN, ids=lambda one: one.name)
def test_what_does_not_change_stands_first(heuristic):
    """Two tasks share all turns but the last: a prefix cache reads them once."""
    one, two = build(heuristic, "Sort it.", None), build(heuristic, "Print it.", None)
    assert one[:-1] == two[:-1]
    assert one[-1] != two[-1]
    assert [m.role for m in one] == ["user", "assistant"] * len(heuristic.examples) + ["user"]


def test_a_task_that_holds_the_placeholder_is_not_filled_in_twice():
    """Braces in a task are the task's own."""
    (message,) = build(Heuristic("x", 1.0, "Do: {task}"), "print {task} and {0}", None)
    assert message.content == "Do: print {task} and {0}"


def test_a_fault_becomes_a_hint_at_the_end():
    """The next candidate is told what was wrong with the last."""
    (plain,) = build(Heuristic("x", 1.0, "Do: {task}"), "a", None)
    (hinted,) = build(Heuristic("x", 1.0, "Do: {task}"), "a", Reason.SOLVED)
    assert hinted.content == f"{plain.content}\n\n{HINTS[Reason.SOLVED]}"


def test_a_hint_about_a_bait_reminds_of_the_code():
    """What is asked for again is the code too, and not the demand alone."""
    bait = Heuristic("x", 1.0, "Do: {task}", holds=TaskContents.BAIT)
    (hinted,) = build(bait, "a", Reason.EMPTY)
    assert hinted.content == f"Do: a\n\n{HINTS[Reason.EMPTY]} {CODE_FIRST}"


def test_a_fault_without_a_hint_asks_again_as_before():
    """Not every fault can be spoken about."""
    heuristic = BUILT_IN[0]
    assert build(heuristic, "a", Reason.LOOPING) == build(heuristic, "a", None)


def test_the_judge_sees_both_tasks_as_they_are():
    """Braces in tasks do no harm."""
    (message,) = for_judge("old {x}", "new {y}")
    assert "old {x}" in message.content
    assert "new {y}" in message.content
