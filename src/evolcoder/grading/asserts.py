"""Parses assert-style tests of Python programs, and runs them in a separate process.

A test that only compares calls with literals is not run: this process compares the answers. Such a
test is parsed into calls and expected values, equivalent to the test. A test with anything beyond
the assertions below gives None and has to be run. Arithmetic on literals counts as a literal.

    assert f(literals) == literal           assert f(literals) is True
    assert f(literals)                      assert abs(f(literals) - literal) < literal
    assert not f(literals)

Guarantees: a test that is run never enters the candidate's process, and it only compares plain
data. A test that asserts nothing, or never calls the candidate, never passes.
Does not detect in-place changes of arguments: the candidate receives copies.

>>> parse_equality_asserts("assert add(1, 2) == 3", "add", None)
[((1, 2), 3)]
>>> test = AssertTest.of(("add",), "assert add(1, 2) == 3", check=None)
>>> verdict = await grade_asserts(sandbox, source, test, Limits())   # doctest: +SKIP
"""

import ast
import builtins
import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from evolcoder.bench.comparators import Comparator
from evolcoder.grading.calls import CallTest, ParsedAssert, grade_calls
from evolcoder.grading.verdicts import exit_verdict, verdict
from evolcoder.safe_codec import NotPlainError
from evolcoder.sandbox.base import (
    Asserts,
    Kind,
    Limits,
    Program,
    Sandbox,
    Separation,
    Status,
    Verdict,
)
from evolcoder.sandbox.job import read_finding

_WITHOUT_EFFECT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Pass)

_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_MAX_NUMBER = 10**15
"""Largest operand of arithmetic other than powers."""
_MAX_OPERAND = 1000
"""Largest base, exponent, text length and repetition count."""


class _UnsupportedTestError(Exception):
    """The test does more than compare calls with literals."""


def parse_equality_asserts(
    test: str, entry_point: str, check: str | None
) -> list[tuple[tuple[Any, ...], Any]] | None:
    """Return (arguments, expected value) pairs of a test that only uses `==`, else None."""
    found = parse_asserts(test, entry_point, check)
    if found is None or any(one.oracle is not Comparator.SAME for one in found):
        return None
    return [(one.arguments, one.expected) for one in found]


def parse_asserts(test: str, entry_point: str, check: str | None) -> list[ParsedAssert] | None:
    """Return the assertions of a test in order, or None if the test has to be run."""
    try:
        tree = ast.parse(test)
        body, name = (
            (tree.body, entry_point) if check is None else _check_function(tree.body, check)
        )
        found = list(_asserts(body, name))
        if any(one.oracle is Comparator.NEAR for one in found) and _rebinds(tree, "abs"):
            return None
        return found or None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, _UnsupportedTestError):
        return None


def _check_function(body: Sequence[ast.stmt], name: str) -> tuple[Sequence[ast.stmt], str]:
    """Return the body of the function with the asserts, and its parameter's name."""
    found: ast.FunctionDef | None = None
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            found = statement
        elif not isinstance(statement, _WITHOUT_EFFECT) and not _is_no_op(statement, name):
            raise _UnsupportedTestError
    if found is None or found.decorator_list or len(found.args.args) != 1:
        raise _UnsupportedTestError
    return found.body, found.args.args[0].arg


def _asserts(body: Sequence[ast.stmt], function: str) -> Iterator[ParsedAssert]:
    for statement in body:
        if isinstance(statement, ast.Assert):
            if not _is_assert_true(statement.test):
                yield _parse_assert(statement.test, function)
        elif (isinstance(statement, ast.FunctionDef) and statement.name == function) or (
            not isinstance(statement, _WITHOUT_EFFECT) and not _is_no_op(statement, function)
        ):
            raise _UnsupportedTestError


def _parse_assert(test: ast.expr, function: str) -> ParsedAssert:
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
    """Return the arguments of a call of the function."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name == function:
            return tuple(map(_value, arguments))
    raise _UnsupportedTestError


def _value(node: ast.expr) -> Any:  # noqa: ANN401 - plain data
    """Evaluate an expression of literals; refuse operands above the limits."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.literal_eval(_ConstantFolder().visit(copy.deepcopy(node)))


class _ConstantFolder(ast.NodeTransformer):
    """Replaces arithmetic on small literals with its result."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Fold the operands, then the operation."""
        left, right = (ast.literal_eval(self.visit(side)) for side in (node.left, node.right))
        operation = _ARITHMETIC.get(type(node.op))
        are_numbers = isinstance(left, int | float) and isinstance(right, int | float)
        is_power = isinstance(node.op, ast.Pow)
        most = _MAX_NUMBER if are_numbers and not is_power else _MAX_OPERAND
        if operation is None or max(_magnitude(left), _magnitude(right)) > most:
            raise _UnsupportedTestError
        try:
            return ast.parse(repr(operation(left, right)), mode="eval").body
        except ArithmeticError:
            raise _UnsupportedTestError from None


def _magnitude(value: object) -> float:
    return abs(value) if isinstance(value, int | float) else len(repr(value))


def _is_no_op(statement: ast.stmt, function: str) -> bool:
    """Whether a statement has no effect on the test: a docstring, or a literal bound to a name."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Name(id=name)):
            return hasattr(builtins, name)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name != function:
            ast.literal_eval(value)
            return True
    return False


def _rebinds(tree: ast.Module, name: str) -> bool:
    """Whether a test may rebind a builtin's name."""
    for node in ast.walk(tree):
        bound = {getattr(node, field, None) for field in ("name", "asname", "arg")}
        if bound & {name, "*"} or (
            isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        ):
            return True
    return False


def _is_assert_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and test.value is True


NO_FINDING = "the test ended without a result"


@dataclass(frozen=True, slots=True)
class AssertTest:
    """An assert-style test and the candidate's names that it calls."""

    entry_points: tuple[str, ...]
    """Names defined by the candidate that the test may call; the test defines all others."""
    test: str = field(repr=False)
    """Source of the test; the entry points are its globals."""
    check: str | None
    """A function of the test that is called with the first entry point (HumanEval's `check`), or
    None if the asserts are at the top level (MBPP)."""
    calls: CallTest | None = field(repr=False)
    """The same test as calls and expected answers, if it can be expressed that way."""

    @classmethod
    def of(cls, entry_points: tuple[str, ...], test: str, *, check: str | None) -> "AssertTest":
        """Parse the test once, for all candidates."""
        found = parse_asserts(test, entry_points[0], check) if entry_points else None
        calls = None
        with suppress(NotPlainError):  # a literal is not plain data, so the test has to be run
            calls = CallTest.from_asserts(entry_points[0], found) if found else None
        return cls(entry_points, test, check, calls)


async def grade_asserts(sandbox: Sandbox, source: str, test: AssertTest, limits: Limits) -> Verdict:
    """Run the test against the candidate, or raise SandboxError."""
    if test.calls is not None:
        return await grade_calls(sandbox, source, test.calls, limits)
    task = Asserts(test.entry_points, test.test, test.check)
    execution = await sandbox.run(Program("python", source, task), limits)
    if execution.status is not Status.FINISHED:
        return exit_verdict(execution, Separation.PROXY)
    found = read_finding(execution.answers)
    if found is None:
        return verdict(Kind.ERROR, Separation.PROXY, execution, detail=NO_FINDING)
    kind, check, expected, got, detail = found
    return verdict(
        kind,
        Separation.PROXY,
        execution,
        check=check,
        expected=expected,
        got=got,
        detail=detail,
    )
