"""A prompt shows the worked examples that are most like its task."""

import asyncio

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.examples import examples_of, with_similar_examples
from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, WorkedExample
from evolcoder.programming_language import named_language
from evolcoder.records import Reason, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}


@pytest.mark.parametrize(
    ("task", "heuristic", "last"),
    [
        (
            "Make the links of a page red with CSS.",
            "constrain",
            "Make the buttons of a page blue with CSS.",
        ),
        (
            "Create an SQL query that counts the customers by city.",
            "constrain",
            "Create a SQL query that lists",
        ),
        ("Explain what a promise is in JavaScript.", "deepen", "Explain what a closure is"),
        (
            "Create a C++ program that prints all prime numbers.",
            "misdirect",
            "Write a C++ program to print the prime",
        ),
        (
            "Write a Java class for a stack.",
            "specialise",
            "Write a Python class for a bank account",
        ),
    ],
)
def test_the_last_example_is_most_like_the_task(task, heuristic, last):
    """As many as the heuristic has itself, and the same ones each time."""
    own = with_similar_examples(BY_NAME[heuristic], task)
    assert own.examples[-1].task.startswith(last)
    assert len(own.examples) == len(set(own.examples)) == len(BY_NAME[heuristic].examples)
    assert own == with_similar_examples(BY_NAME[heuristic], task)


def test_examples_of_a_user_are_shown_as_they_are():
    """Only built-in examples are chosen from."""
    mine = Heuristic("constrain", 1.0, "{task}", (WorkedExample("Sort.", "Sort twice."),))
    assert with_similar_examples(mine, "Sort the names.") is mine


@pytest.mark.parametrize("name", BY_NAME)
def test_every_example_is_a_good_answer(name):
    """Each passes all rules except the one against copying it."""
    assert len(examples_of(name)) >= len(BY_NAME[name].examples)
    for example in examples_of(name):
        told = Role(
            ScriptedEngine(lambda _, said=example.answer: said), "toy", Sampling(1.0, 0.9, 200)
        )
        task = Task.seed(example.task, ordinal=0, language=named_language(example.task))
        config = validate({"evolve": {"candidates": 1}}, where="test")
        made = asyncio.run(
            evolve(task, round=1, heuristic=BY_NAME[name], evolver=told, judge=None, config=config)
        )
        assert isinstance(made, Task) or made.reason is Reason.PROMPT_COPIED, (example, made)
