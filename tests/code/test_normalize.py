"""Normalization of texts and code for leak detection."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.code.normalize import code_parts, code_tokens, lines, read, statements
from groups import first_quick

PROGRAM = """def {f}({a}, {b}):
    {c} = {a} * 3 + len({b})
    if {c} > 7:
        return [{c}, {a}]
    return {b}
"""
NAMES = st.lists(
    st.from_regex(r"[a-z]{2,5}_[a-z0-9]{1,4}", fullmatch=True), min_size=4, max_size=4, unique=True
)


@settings(max_examples=25)
@given(NAMES, NAMES)
def test_names_make_no_difference(one, other):
    """A renamed program has the same statements, lines and tokens."""
    a, b = (PROGRAM.format(**dict(zip("fabc", names, strict=True))) for names in (one, other))
    assert statements(a, "python") == statements(b, "python")
    assert lines(a, "python") == lines(b, "python")
    assert code_tokens(a, "python") == code_tokens(b, "python")


def test_a_redefined_library_name_is_a_user_defined_name():
    """A called `sum` is the library's; an assigned `sum` is the program's."""
    own, other = "sum = 0\nfor x in a:\n    sum += x", "s = 0\nfor x in a:\n    s += x"
    assert statements(own, "python") == statements(other, "python")
    assert statements("t = sum(a)", "python") != statements("t = f(a)", "python")


@given(st.permutations(["alpha = one * 2", "beta = two[3:]", "gamma = sorted(three)"]))
def test_the_order_of_statements_makes_no_difference(order):
    """Statements and lines are sets."""
    plain = "alpha = one * 2\nbeta = two[3:]\ngamma = sorted(three)"
    assert statements("\n".join(order), "python") == statements(plain, "python")
    assert lines("\n".join(order), "rust") == lines(plain, "rust")


def test_docstrings_comments_annotations_and_quotes_make_no_difference():
    """Everything that does not affect the computation is removed."""
    bare = "def f(a):\n    b = a['x']\n    return b"
    full = 'def f(a: dict) -> int:\n    """Say."""\n    # why\n    b: int = a["x"]  # take\n    return b'
    assert statements(bare, "python") == statements(full, "python")


def test_a_fence_at_the_end_of_a_line_is_recognised():
    """Responses often have text right before and after the code."""
    code = "def f(a):\n    return a"
    for text in (f"Use this: ```python\n{code}\n```", f"```python\n{code} ```\nIt is short."):
        assert code_parts(text) == [("python", code)]
    kept = f"```python\n{code}\ns = 'a```b'\n```"
    assert code_parts(kept) == [("python", f"{code}\ns = 'a```b'")]


def test_the_computation_makes_a_difference():
    """Operators, constants, attributes and repeated names are kept."""
    plain = statements("a = b.low(c + 1, c)", "python")
    for other in ("a = b.low(c - 1, c)", "a = b.low(c + 2, c)", "a = b.top(c + 1, c)"):
        assert statements(other, "python") != plain
    assert statements("a = b.low(c + 1, d)", "python") != plain


def test_broken_python_and_other_languages_are_compared_by_lines():
    """Code that does not parse is split into lines."""
    broken = "def f(:\n    total = total + depth * 3\n"
    assert "v0 = v0 + v1 * 3" in statements(broken, "python")
    assert "v0 = v0 + v1 * 3 ;" in statements("sum = sum + d * 3; // more", "javascript")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    """No text raises an error, and the result is deterministic."""
    assert read(text) == read(text)


BOMBS = {
    "one word": "a " * 500_000,
    "one letter": "a" * 1_000_000,
    "brackets": "(" * 300_000,
    "short brackets": "(" * 50_000 + ")" * 50_000,
    "operators": "-" * 90_000 + "1",
    "deep attributes": "a" + ".a" * 40_000,
    "sums": "1" + "+1" * 40_000,
    "open quotes": '"' * 500_001,
    "escaped quotes": '"\\' * 250_000,
    "open comments": "/*" * 300_000,
    "open docstrings": "'''\"\"\"" * 100_000,
    "fences": "```\n" * 100_000,
    "nested": "".join("  " * n + "if a:\n" for n in range(300)),
    "digits": "x = " + "9" * 90_000,
    "surrogates": "\ud800" * 1000,
    "nothing": "\x00\n" * 1000,
}


@pytest.mark.parametrize("name", first_quick(BOMBS))
def test_hostile_text_is_normalized_in_linear_time(name):
    """Hostile rows cost a few seconds of CPU time at most."""
    start = time.process_time()
    for language in ("python", "javascript"):
        read(f"```{language}\n{BOMBS[name]}\n```")
        statements(BOMBS[name], language)
    read(BOMBS[name])
    assert time.process_time() - start < 20
