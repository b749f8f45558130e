"""Untrusted source gives a tree or None, whatever else happens in the process."""

import ast

import pytest

from evolcoder.code.python_ast import expression_of, is_literal, literal_of, tree_of

NO_LITERALS = [
    "",
    "x",
    "f(1)",
    "{{}}",
    "{{1}: 2}",
    "[{{}}]",
    "[1, 2",
    "1; 2",
    "9" * 5000,
    "\0",
    "\ud800",
    "-" * 900 + "1",
    "1+" * 900 + "1j",
    "[" * 199 + "]" * 198,
    "(" * 100_000,
]
"""Texts of which `ast.literal_eval` raises five kinds of exceptions."""


class _Parsing:
    """Garbage whose finalizer parses, as the formatting of a traceback does."""

    def __init__(self):
        self.me = self

    def __del__(self):
        ast.parse("x = [1, (2, 3)]")


def test_a_finalizer_that_parses_disturbs_no_parse():
    """CPython before 3.12 raises SystemError for a parse within another."""
    code = "".join(f"a{n} = a{n + 1}\n" for n in range(4000))
    for _ in range(5):
        _Parsing()
        assert tree_of(code) is not None


@pytest.mark.parametrize("text", NO_LITERALS, ids=lambda text: ascii(text)[:20])
def test_what_is_no_literal_is_a_value_error(text):
    """So that no text of a model or a file raises what a caller does not expect."""
    assert not is_literal(text)
    with pytest.raises(ValueError, match="not a literal"):
        literal_of(text)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", [r'"\d"', "'a'", "[1, {'b': (2.5, None)}]", " {1, 2}", "b'x'"])
def test_a_literal_is_evaluated_without_a_warning(text):
    """An invalid escape is a warning of CPython that a user cannot act on."""
    tree = expression_of(text)
    assert tree is not None
    assert literal_of(text) == literal_of(tree)
    assert repr(literal_of(text)) == repr(literal_of(repr(literal_of(text))))


@pytest.mark.parametrize("text", ["a = 1", "a; b", "import a", "", "a)", "pass"])
def test_a_statement_is_no_expression(text):
    """Nor are two expressions."""
    assert expression_of(text) is None
    assert expression_of("f(1)\n") is not None
