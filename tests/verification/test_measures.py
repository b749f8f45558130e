"""Measures of rows: which answers have a complexity."""

import pytest

from evolcoder.records import Response, Row, Task
from evolcoder.verification.measures import RowMeasures

LOOP = "def first(items):\n    for item in items:\n        if item:\n            return item"


def complexity_of(answer, language=None):
    task = Task.seed("Return the first item that is true.", ordinal=0, language=language)
    return RowMeasures.of(
        Row(task, Response.to(task, answer, made=None), parent_instruction=None)
    ).complexity


@pytest.mark.parametrize("language", [None, "python"])
@pytest.mark.parametrize(
    "answer",
    [LOOP, f"```python\n{LOOP}\n```", f"Here it is:\n\n```\n{LOOP}\n```\nDone.", f"{LOOP}\n\nprint(first([0, 1]))"],
    ids=["no fence, as in most seeds", "a fence", "a fence without a tag", "with usage"],
)  # fmt: skip
def test_a_python_program_has_a_complexity(answer, language):
    """It is that of the program, wherever it stands."""
    assert complexity_of(answer, language) == 3


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("Use the slicing operator [:] for it.", "python"),
        ("a, b", "python"),
        (
            "function first(items) {\n  for (const one of items) if (one) return one;\n}",
            "javascript",
        ),
        ("SELECT name FROM customers;", "sql"),
        ("key: value\nother: value", None),
        ("", None),
    ],
)
def test_what_is_no_python_has_none(answer, language):
    """Prose, data and programs in other languages."""
    assert complexity_of(answer, language) is None
