"""Read calls and expected answers out of an assert-style test, where it consists of nothing else.

Promises: the test is parsed and never run; what comes out means the same as the test does. A test
with anything beyond `assert f(literals) == literal` gives None and has to be run.

>>> plain_checks("assert add(1, 2) == 3", "add", None)
[((1, 2), 3)]
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

Check = tuple[tuple[Any, ...], Any]
"""Arguments and the expected answer."""
_WITHOUT_EFFECT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Pass)


class _NotPlainError(Exception):
    """The test does more than compare calls with literals."""


def plain_checks(test: str, entry_point: str, check: str | None) -> list[Check] | None:
    """Return the checks of a test in order, or None where it has to be run."""
    try:
        body = ast.parse(test).body
        if check is None:
            return list(_checks(body, entry_point)) or None
        return list(_checks(*_check_function(body, check))) or None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, _NotPlainError):
        return None


def _check_function(body: Sequence[ast.stmt], name: str) -> tuple[Sequence[ast.stmt], str]:
    """Find the function that holds the asserts, and the name that it calls the candidate by."""
    found: ast.FunctionDef | None = None
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            found = statement
        elif not isinstance(statement, _WITHOUT_EFFECT) and not _is_note(statement):
            raise _NotPlainError
    if found is None or found.decorator_list or len(found.args.args) != 1:
        raise _NotPlainError
    return found.body, found.args.args[0].arg


def _checks(body: Sequence[ast.stmt], function: str) -> Iterator[Check]:
    for statement in body:
        if isinstance(statement, ast.Assert):
            if not _always_holds(statement.test):
                yield _check(statement.test, function)
        elif (isinstance(statement, ast.FunctionDef) and statement.name == function) or (
            not isinstance(statement, _WITHOUT_EFFECT) and not _is_note(statement)
        ):
            raise _NotPlainError


def _check(test: ast.expr, function: str) -> Check:
    match test:
        case ast.Compare(
            left=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]),
            ops=[ast.Eq()],
            comparators=[expected],
        ) if name == function:
            return tuple(map(ast.literal_eval, arguments)), ast.literal_eval(expected)
    raise _NotPlainError


def _is_note(statement: ast.stmt) -> bool:
    """Whether a statement only says something: a docstring, or a literal given a name."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="METADATA")], value=value):
            ast.literal_eval(value)
            return True
    return False


def _always_holds(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and test.value is True
