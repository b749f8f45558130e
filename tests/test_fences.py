"""Fenced code and lines that look like code are recognised."""

import pytest

from evolcoder import fences


def test_prose_is_what_stands_around_fences():
    """Code is removed; an unclosed fence removes the rest of the text."""
    assert fences.without_code("one\n```\nx\n```\ntwo").split() == ["one", "two"]
    assert fences.without_code("one\n```\nx").split() == ["one"]


@pytest.mark.parametrize(
    "line",
    ["def f(x):", "const a = 1;", "SELECT * FROM t", "#include <stdio.h>", "<li>one</li>",
     "x = 5", "p.info { color: red; }", "print(x)", "$total = 3", "    return f(x)", "y <- c(1, 2)"],
)  # fmt: skip
def test_lines_that_read_like_code_are_found(line):
    """Code without a fence is recognised."""
    assert fences.code_lines(f"Some words.\n{line}\nMore words.") == [line.strip()]
    assert fences.has_code(line)


@pytest.mark.parametrize(
    "line",
    ["Return the list, sorted.", "For each row, print it", "If it is empty, stop.", "Import it",
     "While this works, it is slow.", "The result is a tree", "- handle errors"],
)  # fmt: skip
def test_prose_is_not_taken_for_code(line):
    """English that begins like a statement is not code."""
    assert not fences.has_code(line)
