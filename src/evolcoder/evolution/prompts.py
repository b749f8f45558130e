"""What the evolver and the judge are asked, word for word.

Promises: what does not change between tasks stands first, so that a server with a prefix cache
reads it once. The words are our own.
"""

from functools import lru_cache

from evolcoder.config.load import TASK_PLACEHOLDER
from evolcoder.engine.base import Message
from evolcoder.evolution.heuristics import Heuristic, TaskContents
from evolcoder.records import Reason

HINTS: dict[Reason, str] = {
    Reason.EMPTY: "Leave no part out, and end with what must be done on top of the task.",
    Reason.EQUAL_TO_PARENT: "What you add must be more than the task says already.",
    Reason.JUDGED_EQUAL: "What you add must be more than the task says already.",
    Reason.SOLVED: "Write no solution and no explanation, only what is asked for.",
    Reason.NOT_A_TASK: "Begin as the task above does, as a request.",
    Reason.PROMPT_COPIED: "Say in concrete words what must be done, and nothing about it.",
    Reason.WRONG_LANGUAGE: "Keep the programming language of the task above, and name it.",
    Reason.TOO_LONG: "Use at most sixty words.",
    Reason.TRUNCATED: "Use at most sixty words.",
    Reason.BOILERPLATE: "Write plain sentences without headings or lists.",
    Reason.SEVERAL_TASKS: "Write one task, not several.",
    Reason.MISSING_INPUT: "Repeat the data or code that the task works on.",
    Reason.UNRELATED: "Stay with what the task above is about.",
    Reason.CONTRADICTS: "It must be possible to do both what the task asks and what is new.",
    Reason.NO_BAIT: "Say behind the code what it must do as well.",
    Reason.NO_BOUND: "Name the bound, such as O(n) time.",
}
"""What is added when an earlier candidate failed for that reason."""

CODE_FIRST = "Show the code first."
"""Stands behind a hint where a bait is asked for: without it a small model forgets the code."""

JUDGE = """Here are two programming tasks.

First: {parent}

Second: {child}

Does the second ask for anything that the first does not? Answer with one word, YES or NO."""


def build(heuristic: Heuristic, instruction: str, hint: Reason | None) -> tuple[Message, ...]:
    """Make the chat that asks for a harder task; a reason to try again becomes a last sentence.

    The instruction is said in every turn: said once, a model of 1.5B soon solves instead of asking.
    """
    asked = heuristic.template.replace(TASK_PLACEHOLDER, instruction)
    if hint is not None and hint in HINTS:
        asked = f"{asked}\n\n{HINTS[hint]}"
        if heuristic.holds is TaskContents.BAIT:
            asked = f"{asked} {CODE_FIRST}"
    return (*_shown(heuristic), Message("user", asked))


def for_judge(parent: str, child: str) -> tuple[Message, ...]:
    """Make the question that asks whether a task is more than its parent."""
    return (Message("user", JUDGE.format(parent=parent, child=child)),)


@lru_cache(maxsize=64)
def _shown(heuristic: Heuristic) -> tuple[Message, ...]:
    turns: list[Message] = []
    for example in heuristic.examples:
        turns.append(Message("user", heuristic.template.replace(TASK_PLACEHOLDER, example.task)))
        turns.append(Message("assistant", example.answer))
    return tuple(turns)
