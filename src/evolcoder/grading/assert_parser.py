"""Read calls and expected answers out of an assert-style test, where it consists of nothing else.

Promises: the test is parsed and never run; what comes out means the same as the test does. A test
with anything beyond the assertions below gives None and has to be run; arithmetic on literals
counts as a literal.

    assert f(literals) == literal           assert f(literals) is True
    assert f(literals)                      assert abs(f(literals) - literal) < literal
    assert not f(literals)

>>> plain_checks("assert add(1, 2) == 3", "add", None)
[((1, 2), 3)]
"""

import ast
import builtins
import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evolcoder.bench.comparators import Comparator


class ParsedAssert(NamedTuple):
    """One assertion."""

    arguments: tuple[Any, ...]
    """What the function is called with."""
    expected: Any
    """What its answer is held against."""
    oracle: Comparator
    """How."""
    atol: float
    """With what tolerance; 0 where there is none."""


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


def plain_checks(
    test: str, entry_point: str, check: str | None
) -> list[tuple[tuple[Any, ...], Any]] | None:
    """Return arguments and answers of a test that asks for equality alone, else None."""
    found = read_checks(test, entry_point, check)
    if found is None or any(one.oracle is not Comparator.SAME for one in found):
        return None
    return [(one.arguments, one.expected) for one in found]


def read_checks(test: str, entry_point: str, check: str | None) -> list[ParsedAssert] | None:
    """Return the checks of a test in order, or None where it has to be run."""
    try:
        tree = ast.parse(test)
        where = (tree.body, entry_point) if check is None else _check_function(tree.body, check)
        found = list(_checks(*where))
        if any(one.oracle is Comparator.NEAR for one in found) and _binds(tree, "abs"):
            return None
        return found or None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, _NotPlainError):
        return None


def _check_function(body: Sequence[ast.stmt], name: str) -> tuple[Sequence[ast.stmt], str]:
    """Find the function that holds the asserts, and the name that it calls the candidate by."""
    found: ast.FunctionDef | None = None
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            found = statement
        elif not isinstance(statement, _WITHOUT_EFFECT) and not _is_note(statement, name):
            raise _NotPlainError
    if found is None or found.decorator_list or len(found.args.args) != 1:
        raise _NotPlainError
    return found.body, found.args.args[0].arg


def _checks(body: Sequence[ast.stmt], function: str) -> Iterator[ParsedAssert]:
    for statement in body:
        if isinstance(statement, ast.Assert):
            if not _always_holds(statement.test):
                yield _check(statement.test, function)
        elif (isinstance(statement, ast.FunctionDef) and statement.name == function) or (
            not isinstance(statement, _WITHOUT_EFFECT) and not _is_note(statement, function)
        ):
            raise _NotPlainError


def _check(test: ast.expr, function: str) -> ParsedAssert:
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[expected]):
            return ParsedAssert(_arguments(left, function), _value(expected), Comparator.SAME, 0.0)
        case ast.Compare(
            left=left, ops=[ast.Is()], comparators=[ast.Constant(value=bool() | None as expected)]
        ):
            return ParsedAssert(_arguments(left, function), expected, Comparator.IDENTITY, 0.0)
        case ast.Compare(
            left=ast.Call(
                func=ast.Name(id="abs"),
                args=[ast.BinOp(left=left, op=ast.Sub(), right=expected)],
                keywords=[],
            ),
            ops=[ast.Lt()],
            comparators=[ast.Constant(value=int() | float() as atol)],
        ):
            return ParsedAssert(_arguments(left, function), _value(expected), Comparator.NEAR, atol)
        case ast.UnaryOp(op=ast.Not(), operand=left):
            return _truth(_arguments(left, function), expected=False)
    return _truth(_arguments(test, function), expected=True)


def _truth(arguments: tuple[Any, ...], *, expected: bool) -> ParsedAssert:
    return ParsedAssert(arguments, expected, Comparator.TRUTH, 0.0)


def _arguments(node: ast.expr, function: str) -> tuple[Any, ...]:
    """Return what a call of the function is given."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name == function:
            return tuple(map(_value, arguments))
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


def _is_note(statement: ast.stmt, function: str) -> bool:
    """Whether a statement only says something: a docstring, or a literal given another name."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Name(id=name)):
            return hasattr(builtins, name)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name != function:
            ast.literal_eval(value)
            return True
    return False


def _binds(tree: ast.Module, name: str) -> bool:
    """Whether a test could give a builtin's name to something else."""
    for node in ast.walk(tree):
        given = {getattr(node, word, None) for word in ("name", "asname", "arg")}
        if given & {name, "*"} or (
            isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        ):
            return True
    return False


def _always_holds(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and test.value is True
