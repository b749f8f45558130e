"""Prompts of the evolver and the judge."""

import pytest

from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, TaskContents
from evolcoder.evolution.prompts import CODE_FIRST, HINTS, build, for_judge
from evolcoder.records import Reason


@pytest.mark.parametrize("heuristic", BUILT_IN, ids=lambda one: one.name)
def test_constant_text_comes_first(heuristic):
    """Two tasks share all turns but the last, so a prefix cache is used."""
    one, two = build(heuristic, "Sort it.", None), build(heuristic, "Print it.", None)
    assert one[:-1] == two[:-1]
    assert one[-1] != two[-1]
    assert [m.role for m in one] == ["user", "assistant"] * len(heuristic.examples) + ["user"]


def test_a_placeholder_in_a_task_is_not_replaced():
    """Braces in a task stay as they are."""
    (message,) = build(Heuristic("x", 1.0, "Do: {task}"), "print {task} and {0}", None)
    assert message.content == "Do: print {task} and {0}"


def test_a_violation_becomes_a_hint_at_the_end():
    """The next request names the problem of the last candidate."""
    (plain,) = build(Heuristic("x", 1.0, "Do: {task}"), "a", None)
    (hinted,) = build(Heuristic("x", 1.0, "Do: {task}"), "a", Reason.SOLVED)
    assert hinted.content == f"{plain.content}\n\n{HINTS[Reason.SOLVED]}"


def test_a_hint_about_a_distractor_mentions_the_code():
    """The code is requested again, not only the requirement."""
    bait = Heuristic("x", 1.0, "Do: {task}", holds=TaskContents.BAIT)
    (hinted,) = build(bait, "a", Reason.EMPTY)
    assert hinted.content == f"Do: a\n\n{HINTS[Reason.EMPTY]} {CODE_FIRST}"


def test_a_reason_without_a_hint_repeats_the_prompt():
    """Not every reason has a hint."""
    heuristic = BUILT_IN[0]
    assert build(heuristic, "a", Reason.LOOPING) == build(heuristic, "a", None)


def test_the_judge_sees_both_tasks_unchanged():
    """Braces in tasks are not interpreted."""
    (message,) = for_judge("old {x}", "new {y}")
    assert "old {x}" in message.content
    assert "new {y}" in message.content
