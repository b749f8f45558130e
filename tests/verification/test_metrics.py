"""Lengths, branches and constraints: counted alike everywhere, and no task talks its way to more."""

import asyncio

import pytest

from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.records import Response, Task, Usage
from evolcoder.verification.metrics import count_constraints, cyclomatic, n_tokens, shape_of

TASK = Task.seed(
    "Sort a list, keep equal entries in order, and reject None.", ordinal=0, language=None
)


def counted(answer, task=TASK, seed=0):
    """What a judge with this answer brings; {word} is the word that it was told to begin with."""

    def said(request):
        asked = request.messages[-1].content
        return answer.replace("{word}", asked.split()[-2])

    judge = Role(ScriptedEngine(said), "judge", Sampling(0.0, 1.0, 64))
    return asyncio.run(count_constraints(judge, task, seed=seed))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1", 1),
        ("if a:\n    b\nelif c:\n    d\nelse:\n    e", 3),
        ("for x in y:\n    while x:\n        pass", 3),
        ("try:\n    a\nexcept A:\n    b\nexcept B:\n    c", 3),
        ("x = a and b or c", 3),
        ("x = [a for a in b if a for c in a]", 4),
        ("x = a if b else c\nassert x", 3),
        (
            "match a:\n    case 1:\n        b\n    case [x] if x:\n        c\n    case _:\n        d",
            3,
        ),
        ("def f(", None),
        ("(" * 5000, None),
    ],
)
def test_cyclomatic_complexity_is_mccabes(source, expected):
    """One, and one for each place where the program may branch; no number for what is no Python."""
    assert cyclomatic(source) == expected


def test_tokens_are_counted_without_a_tokenizer():
    """Letters, digits and marks are told apart, blanks are not counted."""
    assert n_tokens("total_1 +=  f(x)\n") == 9
    assert n_tokens("") == 0


@pytest.mark.parametrize("answer", ["{word} 3", "{word}: 3\n", "**{word} 3**"])
def test_a_number_in_due_form_counts(answer):
    """What the judge was asked for is read, with a mark around it or not."""
    assert counted(answer) == 3


@pytest.mark.parametrize(
    "answer",
    ["3", "N000000 3", "CONSTRAINTS 3", "{word} many", "I think {word} 3 or 4", "{word} 99", ""],
)
def test_anything_else_is_no_number(answer):
    """A judge that obeys the task, chats, or counts what there is no room for brings no number."""
    assert counted(answer) is None


def test_the_word_cannot_be_known_by_a_task():
    """The word that vouches for the judge depends on seed and task."""
    words = set()

    def said(request):
        words.add(request.messages[-1].content.split()[-2])
        return ""

    judge = Role(ScriptedEngine(said), "judge", Sampling(0.0, 1.0, 64))
    for seed in range(5):
        asyncio.run(count_constraints(judge, TASK, seed=seed))
    assert len(words) == 5


def test_real_tokens_are_told_only_where_they_are_one_answers():
    """The engine's count of several attempts together is no length of an answer."""
    once, twice = (Usage("m", 10, 40, attempts) for attempts in (1, 2))
    shapes = [
        shape_of(TASK, Response.to(TASK, "if a: b", made=made), program="if a: b")
        for made in (once, twice, None)
    ]
    assert [shape.engine_tokens for shape in shapes] == [40, None, None]
    assert shapes[1].numbers() == {"task_tokens": 14, "answer_tokens": 4, "complexity": 2}
