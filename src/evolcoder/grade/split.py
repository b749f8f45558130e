"""Read calls and expected answers out of an assert-style test, where it consists of nothing else.

Promises: the test is parsed and never run; what comes out means the same as the test does. A test
with anything beyond `assert f(literals) == literal` gives None and has to be run; arithmetic on
literals counts as a literal.

>>> plain_checks("assert add(1, 2) == 3", "add", None)
[((1, 2), 3)]
"""

import ast
import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Check = tuple[tuple[Any, ...], Any]
"""Arguments and the expected answer."""
_WITHOUT_EFFECT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Pass)

_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_LARGE = 10**15
"""Largest number that arithmetic is done on."""
_LIGHT = 1000
"""Largest base and exponent, and longest text that is repeated, and how often."""


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
            return tuple(map(_value, arguments)), _value(expected)
    raise _NotPlainError


def _value(node: ast.expr) -> Any:  # noqa: ANN401 - plain data
    """Work out an expression of literals; powers and products of large numbers are left alone."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.literal_eval(_Folded().visit(copy.deepcopy(node)))


class _Folded(ast.NodeTransformer):
    """Puts the result in place of arithmetic on short literals."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Work out one operation whose operands are literals by then."""
        left, right = (ast.literal_eval(self.visit(side)) for side in (node.left, node.right))
        work = _ARITHMETIC.get(type(node.op))
        plain = isinstance(left, int | float) and isinstance(right, int | float)
        most = _LARGE if plain and not isinstance(node.op, ast.Pow) else _LIGHT
        if work is None or max(_weight(left), _weight(right)) > most:
            raise _NotPlainError
        try:
            return ast.parse(repr(work(left, right)), mode="eval").body
        except ArithmeticError:
            raise _NotPlainError from None


def _weight(value: object) -> float:
    return abs(value) if isinstance(value, int | float) else len(repr(value))


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
