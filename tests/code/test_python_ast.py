"""Untrusted source gives a tree or None, whatever else happens in the process."""

import ast

from evolcoder.code.python_ast import tree_of


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
