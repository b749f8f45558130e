"""Answers of small models are parsed into tasks."""

import time

import pytest

from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.parse import append_addition, attachment, parse, restore_attachment

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
WHOLE, ADDS, BAITS = BY_NAME["specialise"], BY_NAME["constrain"], BY_NAME["misdirect"]
PARENT = "Write a function that sorts numbers."
NEW = "Write a function that sorts version strings by their numeric parts."


@pytest.mark.parametrize(
    "answer",
    [
        NEW,
        f"  {NEW}\n\n",
        f"New task: {NEW}",
        f"**New Task:** {NEW}",
        f"### Harder task\n{NEW}",
        f"Rewritten programming problem: {NEW}",
        f'"{NEW}"',
        f"“{NEW}”",
        f"```\n{NEW}\n```",
        f"Sure! {NEW}",
        f"Certainly! Here is a harder task:\n\n{NEW}",
        f"Here's the rewritten version:\n{NEW}",
        f"Common: numbers\nRarer: versions\nNew task: {NEW}",
        f"{NEW}<|im_end|>",
        f"{NEW}\n\nSolution:\nUse sorted().",
        f"{NEW}\n\n### Explanation\nIt is harder.",
        f"{NEW}\n\nNote: this is harder.",
        f"{NEW}\n\nHere is the code:\n```python\nx\n```",
        f"{NEW}\n\nThis version requires more steps.",
        f"{NEW}\n\nTask: Write something else.",
        f"{NEW}\n---\nAnother one",
        NEW[0].lower() + NEW[1:],
    ],
)
def test_wrapping_and_tails_are_removed(answer):
    """Greetings, labels, quotes, fences, plans, solutions, comments and second tasks."""
    assert parse(answer, PARENT, WHOLE).text == NEW


def test_the_removed_tail_is_returned():
    """A task that is complete before a truncated tail is not truncated."""
    parsed = parse(f"{NEW}\n\nSolution:\nUse sor", PARENT, WHOLE)
    assert parsed.tail.strip().startswith("Solution:")
    assert parse(NEW, PARENT, WHOLE).tail == ""


def test_a_solution_alone_is_not_removed():
    """Without a task before the tail, the rules see the whole text."""
    assert parse("Solution:\nUse sorted().", PARENT, WHOLE).text == "Solution:\nUse sorted()."


def test_a_heading_of_the_parents_own_is_no_tail():
    """Text of the parent stays."""
    parent = "Explain this.\nOutput:\n3"
    assert parse("Explain why.\nOutput:\n3", parent, WHOLE).text == "Explain why.\nOutput:\n3"


def test_words_that_only_begin_like_a_label_stay():
    """`Questions` within a sentence is not a label."""
    asked = "Task lists are stored in SQL: write a query that counts the open ones."
    assert parse(asked, PARENT, WHOLE).text == asked


def test_an_addition_is_inserted_between_prose_and_data():
    """The parent's prose and data do not change."""
    parsed = parse("Skip numbers below 0.", "Sort the list\n\nx = [3, 1]", ADDS)
    assert parsed.text == "Sort the list. Skip numbers below 0.\n\nx = [3, 1]"
    assert parsed.addition == "Skip numbers below 0."


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("Do it", "Do it. Also that."),
        ("Why?", "Why? Also that."),
        ("Fix this:\n\nfoo()", "Fix this:\n\nfoo()\n\nAlso that."),
        (
            "Do it.\n\nThe function must take a list.\n\nx = 1",
            "Do it.\n\nThe function must take a list. Also that.\n\nx = 1",
        ),
        (
            "Find the verbs.\n\nThe sun is warm today.",
            "Find the verbs. Also that.\n\nThe sun is warm today.",
        ),
    ],
)
def test_additions_find_the_end_of_the_prose(parent, child):
    """Further sentences about the task are prose; everything else is data."""
    assert append_addition(parent, "Also that.") == child


def test_a_whole_task_instead_of_an_addition_is_accepted():
    """A model that repeats the task and adds to it does not duplicate it."""
    answer = "Write a function that sorts numbers, the even ones first."
    parsed = parse(answer, PARENT, ADDS)
    assert (parsed.text, parsed.addition) == (answer, None)


def test_another_task_with_the_parents_opening_does_not_replace_it():
    """A shared opening alone is no repetition: most of the parent's words must be there."""
    parent = "Write a function that merges two sorted linked lists into one."
    parsed = parse("Write a function that counts vowels.", parent, ADDS)
    assert parsed.text == f"{parent} Write a function that counts vowels."


def test_an_empty_answer_stays_empty():
    """It does not become the parent again."""
    assert parse(" \n", PARENT, ADDS).text == ""
    assert parse("```python\nx = 1\n```", PARENT, BAITS).text == ""


@pytest.mark.parametrize(
    "answer",
    [
        "```python\nx = 1\n```\nDemand: Sort equal numbers too.",
        "Here is code:\n```python\nx = 1\n```\n**Demand:** Sort equal numbers too.",
        "```python\nx = 1\n```\nSort equal numbers too.",
        "Demand: Sort equal numbers too.\n```python\nx = 1\n```\nThat code is wrong.",
    ],
)
def test_distractor_and_requirement_are_separated(answer):
    """They come in either order, labelled or not."""
    parsed = parse(answer, PARENT, BAITS)
    assert parsed.distractor is not None
    assert (parsed.distractor.language, parsed.distractor.code) == ("python", "x = 1")
    assert parsed.text == f"{PARENT} Sort equal numbers too."


def test_the_parents_own_code_is_no_distractor():
    """A distractor must be new."""
    parent = "Fix it.\n```python\nx = 1\n```"
    assert parse("```python\nx = 1\n```\nDemand: Be quick.", parent, BAITS).distractor is None


def test_missing_data_that_a_task_refers_to_is_restored():
    """A child that says `the given list` without it gets it back; one without a reference does not."""
    parent = "Sort the list.\n\nx = [3, 1, 2]"
    assert restore_attachment("Sort the given list twice.", parent) == (
        "Sort the given list twice.\nx = [3, 1, 2]"
    )
    assert restore_attachment("Sort any pair of names.", parent) == "Sort any pair of names."
    own = "Sort the given list.\ny = [9, 8]"
    assert restore_attachment(own, parent) == own


def test_words_of_the_prose_do_not_count_as_data():
    """Code that is only mentioned in the prose is restored."""
    parent = 'Edit this code so that "menu" is wider.\n.menu { width: 3em }'
    child = 'Edit this code so that "menu" is wider than its neighbour.'
    assert restore_attachment(child, parent) == f"{child}\n.menu {{ width: 3em }}"


def test_the_attachment_is_the_text_after_the_prose():
    """The first line is always prose."""
    assert attachment("Sort it.\n\nx = 1\ny = 2") == "x = 1\ny = 2"
    assert attachment("Sort it.") == ""


def cpu_s(hard, heuristic):
    """Processor seconds that one answer and one parent take, at their best of three."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        parse(hard, PARENT, heuristic)
        parse(PARENT, hard, heuristic)
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize("piece", ["New task: ", "```", "#", "\n", "sure "])
@pytest.mark.parametrize("heuristic", [WHOLE, ADDS, BAITS], ids=lambda one: one.name)
def test_hostile_answers_are_parsed_in_linear_time(piece, heuristic):
    """Sixteen times as long takes far less than the 256 times of a pattern that runs away."""
    n = 60_000 // len(piece)
    short, long = cpu_s(piece * (n // 16), heuristic), cpu_s(piece * n, heuristic)
    assert long < 64 * max(short, 0.0005)
