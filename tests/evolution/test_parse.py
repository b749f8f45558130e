"""What small models send back becomes a task, or is left for the rules."""

import pytest

from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.parse import appended, attachment, parse, with_attachment

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
def test_wrapping_and_tails_are_taken_off(answer):
    """Greetings, labels, quotes, fences, plans, solutions, comments and second tasks go."""
    assert parse(answer, PARENT, WHOLE).text == NEW


def test_what_was_cut_off_is_told():
    """A task that is whole before its tail is not cut off, even if the tail is."""
    parsed = parse(f"{NEW}\n\nSolution:\nUse sor", PARENT, WHOLE)
    assert parsed.tail.strip().startswith("Solution:")
    assert parse(NEW, PARENT, WHOLE).tail == ""


def test_a_solution_alone_is_not_cut_to_nothing():
    """Where no task stands before the tail, the rules see the whole."""
    assert parse("Solution:\nUse sorted().", PARENT, WHOLE).text == "Solution:\nUse sorted()."


def test_a_heading_of_the_parents_own_is_no_tail():
    """What the parent says already stays."""
    parent = "Explain this.\nOutput:\n3"
    assert parse("Explain why.\nOutput:\n3", parent, WHOLE).text == "Explain why.\nOutput:\n3"


def test_words_that_only_begin_like_a_label_stay():
    """`Questions` within a sentence is not a label."""
    asked = "Task lists are stored in SQL: write a query that counts the open ones."
    assert parse(asked, PARENT, WHOLE).text == asked


def test_an_addition_stands_behind_the_prose_and_before_the_data():
    """Wording and data of the parent stay as they are."""
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
    """Further sentences that speak of the task are prose, all else is data."""
    assert appended(parent, "Also that.") == child


def test_a_whole_task_in_place_of_an_addition_is_taken_as_it_is():
    """A model that repeats the task before adding to it does not get it twice."""
    answer = "Write a function that sorts numbers, the even ones first."
    parsed = parse(answer, PARENT, ADDS)
    assert (parsed.text, parsed.addition) == (answer, None)


def test_another_task_with_the_parents_opening_does_not_take_its_place():
    """Four words in common are no repeat: what else the parent asks for must be there too."""
    parent = "Write a function that merges two sorted linked lists into one."
    parsed = parse("Write a function that counts vowels.", parent, ADDS)
    assert parsed.text == f"{parent} Write a function that counts vowels."


def test_an_empty_answer_stays_empty():
    """Nothing added is nothing, not the parent again."""
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
def test_code_and_demand_are_told_apart(answer):
    """A bait and a demand come in either order, labelled or not."""
    parsed = parse(answer, PARENT, BAITS)
    assert parsed.bait is not None
    assert (parsed.bait.language, parsed.bait.code) == ("python", "x = 1")
    assert parsed.text == f"{PARENT} Sort equal numbers too."


def test_the_parents_own_code_is_no_bait():
    """A bait must be new."""
    parent = "Fix it.\n```python\nx = 1\n```"
    assert parse("```python\nx = 1\n```\nDemand: Be quick.", parent, BAITS).bait is None


def test_data_that_a_task_speaks_of_is_put_back():
    """A child that says `the given list` and lost it gets it back; one that needs none does not."""
    parent = "Sort the list.\n\nx = [3, 1, 2]"
    assert with_attachment("Sort the given list twice.", parent) == (
        "Sort the given list twice.\nx = [3, 1, 2]"
    )
    assert with_attachment("Sort any pair of names.", parent) == "Sort any pair of names."
    own = "Sort the given list.\ny = [9, 8]"
    assert with_attachment(own, parent) == own


def test_words_of_the_prose_are_no_sign_that_the_data_is_there():
    """Code that is named in the sentence about it must still be shown."""
    parent = 'Edit this code so that "menu" is wider.\n.menu { width: 3em }'
    child = 'Edit this code so that "menu" is wider than its neighbour.'
    assert with_attachment(child, parent) == f"{child}\n.menu {{ width: 3em }}"


def test_data_is_what_stands_behind_the_prose():
    """One line of prose is the least."""
    assert attachment("Sort it.\n\nx = 1\ny = 2") == "x = 1\ny = 2"
    assert attachment("Sort it.") == ""


@pytest.mark.parametrize(
    "hard", ["New task: " * 20_000, "```" * 20_000, "#" * 60_000, "\n" * 60_000, "sure " * 20_000]
)
@pytest.mark.parametrize("heuristic", [WHOLE, ADDS, BAITS], ids=lambda one: one.name)
def test_hostile_answers_are_parsed_in_linear_time(hard, heuristic):
    """No answer makes a pattern run away."""
    parse(hard, PARENT, heuristic)
    parse(PARENT, hard, heuristic)
