"""Prompts for the evolver and the judge.

Text that does not depend on the task comes first, so that a server's prefix cache is used. The
prompts are written for this project.

>>> messages = build(heuristic, task.instruction, hint=None)   # doctest: +SKIP
"""

from functools import lru_cache

from evolcoder.config.load import TASK_PLACEHOLDER
from evolcoder.engine.base import Message
from evolcoder.evolution.heuristics import ExampleForm, Heuristic, TaskContents
from evolcoder.evolution.translations import keep_sentence
from evolcoder.records import Reason
from evolcoder.text import is_unspaced

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
"""Sentence added to the prompt after a candidate was rejected for the reason."""

WHOLE_TASK_HINTS: dict[Reason, str] = {
    **HINTS,
    Reason.EMPTY: "Write out the whole task, with what must be done on top of it.",
    Reason.EQUAL_TO_PARENT: "Write the task above once more and add a requirement to it.",
    Reason.JUDGED_EQUAL: "Write the task above once more and add a requirement to it.",
    Reason.SOLVED: "Write no solution and no explanation, only what the task asks for.",
    Reason.TOO_LONG: "Write fewer sentences, and repeat the data and code of the task.",
    Reason.TRUNCATED: "Write fewer sentences, and repeat the data and code of the task.",
    Reason.SHORTENED: "Keep every requirement of the task above, and add to them.",
    Reason.MISSING_INPUT: "Repeat the data or code that the task works on, word for word.",
    Reason.NO_BAIT: "End with the code block.",
}
"""The same for the style `rewrite`, whose answers are whole tasks."""

CODE_FIRST = "Show the code first."
"""Added to a hint if a distractor is requested: small models otherwise forget the code."""

JUDGE = """Here are two programming tasks.

First: {parent}

Second: {child}

Does the second ask for anything that the first does not? Answer with one word, YES or NO."""


N_SHOWN_WORDS = 4
"""Words of an example's answer that it is asked to begin with."""


def build(
    heuristic: Heuristic,
    instruction: str,
    hint: Reason | None,
    style: str = "append",
    *,
    opening: str = "",
    begin: str = "",
) -> tuple[Message, ...]:
    """Return the chat that asks for a harder task; `hint` is why the last candidate was rejected.

    With an `opening`, the model is asked by `begin` to begin its answer so, as in each worked
    example. Every turn repeats the template: given only once, models of 1.5B soon solve the task
    instead.
    """
    prompt = heuristic.template.replace(TASK_PLACEHOLDER, instruction)
    is_whole = style == "rewrite" and heuristic.form is ExampleForm.TASK
    hints = WHOLE_TASK_HINTS if is_whole else HINTS
    if hint is not None and heuristic.language != "en":
        prompt = f"{prompt}\n\n{keep_sentence(heuristic.language)}"
    elif hint is not None and hint in hints:
        prompt = f"{prompt}\n\n{hints[hint]}"
        if heuristic.holds is TaskContents.BAIT and not is_whole:
            prompt = f"{prompt} {CODE_FIRST}"
    if opening:
        prompt = begin.format(prompt=prompt, opening=opening)
    turns = _example_turns(heuristic, begin if opening else "")
    return (*turns, Message("user", prompt))


def for_judge(parent: str, child: str) -> tuple[Message, ...]:
    """Return the messages that ask whether a task asks for more than its parent."""
    return (Message("user", JUDGE.format(parent=parent, child=child)),)


@lru_cache(maxsize=64)
def _example_turns(heuristic: Heuristic, begin: str) -> tuple[Message, ...]:
    turns: list[Message] = []
    for example in heuristic.examples:
        prompt = heuristic.template.replace(TASK_PLACEHOLDER, example.task)
        if begin:
            prompt = begin.format(prompt=prompt, opening=_shown_opening(example.answer))
        turns.append(Message("user", prompt))
        turns.append(Message("assistant", example.answer))
    return tuple(turns)


def _shown_opening(answer: str) -> str:
    """Return the beginning of a worked example's answer, up to the comma in unspaced scripts."""
    if is_unspaced(answer[0]):
        return answer[: max(answer.find("，"), answer.find("、")) + 1] or answer[:N_SHOWN_WORDS]
    return " ".join(answer.split()[:N_SHOWN_WORDS])
