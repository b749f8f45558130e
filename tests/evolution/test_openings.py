"""A small model in this process completes sentences that are begun for it."""

import asyncio

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.openings import complete, openings_for
from evolcoder.records import Drop, Reason, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
SORT = Task.seed("Write a Python function that sorts a list.", ordinal=0, language="python")


def evolved(answer, heuristic, identity="gguf:toy", model="toy-0.5b"):
    """Evolve `SORT` with one answer for each request; returns the result and the last messages."""
    asked = []

    def said(request):
        asked.append(request.messages[-1])
        return answer if isinstance(answer, str) else answer[len(asked) - 1]

    engine = ScriptedEngine(said)
    engine.identity = identity
    role = Role(engine, model, Sampling(1.0, 0.9, 200))
    config = validate({"evolve": {"candidates": 1}}, where="test")
    told = evolve(
        SORT, round=1, heuristic=BY_NAME[heuristic], evolver=role, judge=None, config=config
    )
    return asyncio.run(told), asked


def test_the_model_completes_an_opening():
    """The opening is the last message, and the task has both; text after a line break is left out."""
    made, asked = evolved(" raise a ValueError that names its position.\nUse raise.", "constrain")
    opening = openings_for("constrain", SORT, round=1, seed=0)[0]
    assert (asked[-1].role, asked[-1].content) == ("assistant", opening)
    assert isinstance(made, Task), made
    assert made.instruction == (
        f"{SORT.instruction} {opening} raise a ValueError that names its position."
    )


@pytest.mark.parametrize(
    "answer", ["", " ", ".", "...", " the", "\n\nThe list is sorted.", "```python\nx = 1\n```"]
)
@pytest.mark.parametrize("heuristic", ["constrain", "deepen"])
def test_an_opening_that_is_not_completed_is_no_task(heuristic, answer):
    """Half a sentence demands nothing, whatever words the opening has."""
    made, _ = evolved(answer, heuristic)
    assert isinstance(made, Drop)
    assert made.reason is Reason.EMPTY


def test_a_sentence_does_not_end_at_an_abbreviation():
    """Nor is what stands in code, or a number, nothing."""
    assert complete("Skip", " blanks, e.g. Tab. It helps.") == "Skip blanks, e.g. Tab."
    assert complete("Then return", " `0`.") == "Then return `0`."


def test_a_distractor_is_written_before_its_demand_is_begun():
    """Two requests: the code, and the demand behind it; both are counted."""
    code = "```python\ndef f(x):\n    return sorted(x)\n```"
    made, asked = evolved(
        (f"{code}\nDemand: nothing", " be refused with a TypeError."), "misdirect"
    )
    assert isinstance(made, Task), made
    assert asked[-1].content.startswith(f"{code}\nDemand: ")
    assert "be refused with a TypeError." in made.instruction
    assert made.instruction.endswith(code)
    assert made.made is not None
    assert made.made.attempts == 2


@pytest.mark.parametrize(
    ("heuristic", "identity", "model"),
    [
        ("constrain", "scripted", "toy-0.5b"),
        ("constrain", "gguf:toy", "toy-7b"),
        ("specialise", "gguf:toy", "toy-0.5b"),
        ("complexity", "gguf:toy", "toy-0.5b"),
    ],
)
def test_others_begin_for_themselves(heuristic, identity, model):
    """Servers may not continue a message, large models need not, and whole tasks have no opening."""
    _, asked = evolved("It must take O(n) time.", heuristic, identity, model)
    assert [message.role for message in asked] == ["user"]


def test_openings_fit_the_task_and_say_something_new():
    """The noun is the task's own, each attempt has another one, and none repeats the task."""
    task = Task.seed(
        "Sum the entries of an array. If the array is empty, return 0.", ordinal=0, language=None
    )
    found = openings_for("constrain", task, round=1, seed=0)
    assert len(found) == len(set(found)) > 3
    assert "If the array is empty," not in found
    assert any("array" in opening for opening in found)
    german = Task.seed("Schreibe eine Funktion, die die Liste sortiert.", ordinal=0, language=None)
    assert openings_for("constrain", german, round=1, seed=0) == ()


@pytest.mark.parametrize(
    ("continuation", "text"),
    [
        (" be skipped.", "Blanks must be skipped."),
        (" be skipped, e.g. in names. Then sort.", "Blanks must be skipped, e.g. in names."),
        ("be skipped.", "Blanks must be skipped."),
        ("Blanks must be kept.", "Blanks must be kept."),
        (", if any, stay.\n\nmore", "Blanks must, if any, stay."),
    ],
)
def test_openings_and_continuations_are_joined(continuation, text):
    """With one blank between words, and once where the model repeats the opening."""
    assert complete("Blanks must", continuation) == text
