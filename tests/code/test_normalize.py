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


SENTENCE = "Count the harbour pilots whose ledger begins with an even tide."
WORDS = tuple(SENTENCE.lower().rstrip(".").split())
SHAPES = {
    "Cyrillic letters": SENTENCE.translate(str.maketrans("aeopcC", "\u0430\u0435\u043e\u0440\u0441\u0421")),
    "Greek letters": SENTENCE.translate(str.maketrans("oivaT", "\u03bf\u03b9\u03bd\u03b1\u03a4")),
    "small capitals": SENTENCE.translate(str.maketrans("adehnr", "\u1d00\u1d05\u1d07\u029c\u0274\u0280")),
    "accents": SENTENCE.replace("e", "e\u0301").replace("o", "\u00f6"),
    "full width": "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in SENTENCE),
    "joiners": "\u2060".join(SENTENCE),
    "variation selectors": "\ufe0f".join(SENTENCE),
    "signs of direction": "\u202e" + "\u061c".join(SENTENCE) + "\u202c",
    "tags of Unicode": "\U000e0020".join(SENTENCE),
    "entities of invisible signs": SENTENCE.replace("t", "t&#8203;&shy;"),
    "escaped twice for HTML": SENTENCE.replace("h", "&amp;#104;"),
    "other tags": "".join(f"<font color=red>{word}</font> " for word in SENTENCE.split()),
    "code points": SENTENCE.replace("e", "\\u0065").replace(" ", "\\u0020"),
    "an address": SENTENCE.replace(" ", "%20").replace(".", "%2E"),
}  # fmt: skip
"""Forms of a sentence in which each word is the same."""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_form_that_leaves_the_words_gives_the_same_words(shape):
    """Look-alikes, invisible characters, escapes and tags do not make other words."""
    assert read(SHAPES[shape]).words == WORDS


LAYOUTS = {
    "numbers": "1. Count the harbour pilots\n2. whose ledger begins\n3. with an even tide.",
    "numbers and bars": "  8 | Count the harbour pilots\n  9 | whose ledger\n 10 | begins with an even tide.",
    "a word before comments": "REM Count the harbour pilots whose\nREM ledger begins with an even tide.",
    "divided words": "Count the har-\nbour pilots whose led-\n   ger begins with an even tide.",
    "divided words of a comment": "# Count the har-\n# bour pilots whose ledger begins\n# with an even tide.",
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_lines_add_can_be_left_out(layout):
    """Numbers, a word before each line and divided words are left out of the second reading."""
    assert read(LAYOUTS[layout]).relaid == WORDS


def test_plain_text_has_no_second_reading():
    assert read("Count the pilots\nand sort them.\n\n- 3 tides\n- 7 tides").relaid == ()


@pytest.mark.parametrize("text", ["vector<int> or List<String>", "a < b and c > d", "Map<K, V>"])
def test_types_and_comparisons_are_no_tags(text):
    """Only the usual tags count without their ends."""
    assert read(text).prose == text


@pytest.mark.parametrize(
    "text",
    [
        "> ```python\n> def f(a):\n>     return a * 7 + 1\n> ```",
        '{"code": "def f(a):\\n    return a * 7 + 1"}',
        "```\n>>> def f(a):\n...     return a * 7 + 1\n...\n>>> f(1)\n8\n```",
        "```\n1 def f(a):\n2     return a * 7 + 1\n```",
    ],
)
def test_code_in_other_notations_has_its_statements(text):
    """Quotations, JSON, sessions and numbered lines hold the code that they show."""
    assert statements("def f(a):\n    return a * 7 + 1", "python") <= read(text).statements
