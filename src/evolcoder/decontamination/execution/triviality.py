r"""How much there is to a problem: what a few symbols solve, many solve who never saw it.

Promises: a count of the reference's own syntax, docstrings, annotations, imports and the bare
signature left out. A problem of at most `PLAIN` is plain: a row that passes it solves it, but tells
nothing about where it came from, since `return a + b` is in every collection of exercises.

>>> size_of("def add(a, b):\n    return a + b"), size_of("def f(s):\n    return len(s)")
(5, 4)
"""

import ast

from evolcoder.code.python_ast import tree_of

PLAIN = 5
"""Symbols of a reference that are too few to speak of a copy."""
_NOT_COUNTED = (ast.Module, ast.Load, ast.Store, ast.Del, ast.arguments, ast.arg, ast.FunctionDef)


def size_of(reference: str) -> int:
    """Count the symbols of a reference; 0 if it is no Python."""
    tree = tree_of(reference)
    return sum(map(_size_of_statement, tree.body)) if tree else 0


def is_plain(size: int) -> bool:
    """Whether a problem of this size is too plain for a pass to speak of a copy."""
    return size <= PLAIN


def _size_of_statement(node: ast.stmt) -> int:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0
    if isinstance(node, ast.FunctionDef):
        return sum(_size_of_statement(one) for one in node.body)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return 0
    return sum(not isinstance(one, _NOT_COUNTED) for one in ast.walk(node))
