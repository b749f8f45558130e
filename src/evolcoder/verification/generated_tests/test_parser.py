r"""The single checks in a text that a model wrote as tests, each with the set-up that it needs.

Promises: nothing is run, and no text is an error. Every check is source of its own, calls the entry
point, and asserts something that is not true by its form; a wrong one can be left out without the
others. A definition of the entry point that came along is left out, since that is the solution
again. Tests come as asserts, test functions, classes of unittest, loops over cases, or prints with
the expected output behind them; all are read.
Does not promise that a check is right: that is what agreement is for.

>>> checks_in("```python\nassert f(1) == 2\nassert True\n```", "f")
('assert f(1) == 2',)

What a statement of a test asserts, written as a plain statement that needs no test library.

Promises: nothing is run. Methods of unittest, `pytest.raises`, loops over cases and `try` blocks
become `assert`, `for` and `try`; messages are left out. A statement that asserts nothing, or what
is always true, gives None.

>>> import ast
>>> ast.unparse(asserted(ast.parse("self.assertEqual(f(2), 4)").body[0]))
'assert f(2) == 4'
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from evolcoder.code.python_ast import compiles, is_main_guard, parse
from evolcoder.text import code_blocks

_Make = Callable[[Sequence[ast.expr]], ast.expr]


def asserted(node: ast.stmt) -> ast.stmt | None:
    """Return what a statement asserts, or None."""
    match node:
        case ast.Assert(test=test):
            return _holding(test)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=args)):
            return _of_method(name, args)
        case ast.With(items=[ast.withitem(context_expr=ast.Call() as raises)], body=body):
            return _raising(raises, body)
        case ast.For(orelse=[]) | ast.Try(finalbody=[]):
            return node if _has_assertion(node) else None
    return None


def _holding(test: ast.expr) -> ast.stmt | None:
    return None if _always_holds(test) else ast.Assert(test, None)


def _compared(operator: Callable[[], ast.cmpop]) -> _Make:
    return lambda args: ast.Compare(args[0], [operator()], [args[1]])


def _with_none(operator: Callable[[], ast.cmpop]) -> _Make:
    return lambda args: ast.Compare(args[0], [operator()], [ast.Constant(None)])


def _close(args: Sequence[ast.expr]) -> ast.expr:
    apart = ast.BinOp(args[0], ast.Sub(), args[1])
    return ast.Compare(_call("abs", [apart]), [ast.Lt()], [ast.Constant(1e-6)])


def _call(name: str, args: list[ast.expr]) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), args, [])


_EQUAL = (2, _compared(ast.Eq))
_METHODS: dict[str, tuple[int, _Make]] = {
    "assertEqual": _EQUAL,
    "assertEquals": _EQUAL,
    "assertListEqual": _EQUAL,
    "assertDictEqual": _EQUAL,
    "assertTupleEqual": _EQUAL,
    "assertSetEqual": _EQUAL,
    "assertNotEqual": (2, _compared(ast.NotEq)),
    "assertIs": (2, _compared(ast.Is)),
    "assertIn": (2, _compared(ast.In)),
    "assertNotIn": (2, _compared(ast.NotIn)),
    "assertGreater": (2, _compared(ast.Gt)),
    "assertLess": (2, _compared(ast.Lt)),
    "assertTrue": (1, lambda args: args[0]),
    "assertFalse": (1, lambda args: ast.UnaryOp(ast.Not(), args[0])),
    "assertIsNone": (1, _with_none(ast.Is)),
    "assertIsNotNone": (1, _with_none(ast.IsNot)),
    "assertAlmostEqual": (2, _close),
}
"""Methods of unittest, the arguments that matter, and what they assert."""


def _of_method(name: str, args: Sequence[ast.expr]) -> ast.stmt | None:
    if name == "assertRaises" and len(args) > 1:
        call = ast.Expr(ast.Call(args[1], list(args[2:]), []))
        return _must_raise(args[0], [call])
    n_args, make = _METHODS.get(name, (len(args) + 1, None))
    return _holding(make(args)) if make is not None and len(args) >= n_args else None


def _raising(raises: ast.Call, body: Sequence[ast.stmt]) -> ast.stmt | None:
    name = raises.func.attr if isinstance(raises.func, ast.Attribute) else ""
    if name not in {"raises", "assertRaises", "assertRaisesRegex"} or not raises.args:
        return None
    return _must_raise(raises.args[0], body)


def _must_raise(kind: ast.expr, body: Sequence[ast.stmt]) -> ast.stmt:
    handler = ast.ExceptHandler(kind, None, [ast.Pass()])
    refused = ast.Assert(ast.Constant(value=False), None)
    return ast.Try(list(body), [handler], [refused], [])


def _has_assertion(node: ast.stmt) -> bool:
    return any(
        isinstance(part, ast.Assert) and not _always_holds(part.test) for part in ast.walk(node)
    )


def _always_holds(test: ast.expr) -> bool:
    """Whether an assertion cannot fail, by its form."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=elements):
            return bool(elements)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()]):
            return ast.dump(left) == ast.dump(test.comparators[0])
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(map(_always_holds, values))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(map(_always_holds, values))
    return False


MAX_CHECKS = 10
"""Most checks that are taken from one text."""
MAX_CHARS = 1000
"""Longest check."""
_TRIES = 30
"""Lines that are given up at the end of a text that was cut off, and that are read one by one."""
_PRINTED = re.compile(
    r"^([ \t]*)print\((.+)\)[ \t]*#[ \t]*"
    r"(?:(?:expected|output|result|should|must|be|print|return|is)(?:s|ed)?\b[ \t]*|[:=>-]+[ \t]*)*"
    r"(.+?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ASSERT_LINE = re.compile(r"^[ \t]*(assert\b.+)$", re.MULTILINE)


def checks_in(text: str, entry_point: str) -> tuple[str, ...]:
    """Read the checks out of a text, in its order, each once."""
    found: dict[str, None] = {}
    for tree in _trees(text):
        for check in _checks(_without_entry(tree.body, entry_point), ()):
            source = ast.unparse(ast.fix_missing_locations(ast.Module(list(check), [])))
            # What returns in its set-up could leave before it asserts; alone it does not compile.
            if len(source) <= MAX_CHARS and _calls(check, entry_point) and compiles(source):
                found[source] = None
            if len(found) == MAX_CHECKS:
                return tuple(found)
    return tuple(found)


def _trees(text: str) -> Iterator[ast.Module]:
    """Parse every piece of code in a text, as far as it parses."""
    blocks = [block.code for block in code_blocks(text) if block.language in {None, "python"}]
    for written in blocks or [text]:
        lines = _PRINTED.sub(_as_assert, written).split("\n")
        tree, n_read = _longest(lines)
        rest = _ASSERT_LINE.findall("\n".join(lines[n_read:]))[:_TRIES]
        single = [node for one in map(parse, rest) if one is not None for node in one.body]
        yield ast.Module([*tree.body, *single], [])


def _longest(lines: Sequence[str]) -> tuple[ast.Module, int]:
    """Parse as many lines from the first on as can be; return their number as well."""
    for n_lines in range(len(lines), max(0, len(lines) - _TRIES), -1):
        if (tree := parse("\n".join(lines[:n_lines]))) is not None:
            return tree, n_lines
    return ast.Module([], []), 0


def _as_assert(printed: re.Match[str]) -> str:
    """Read `print(f(2))  # 4` as `assert f(2) == 4`, where both sides are whole."""
    line, (indent, shown, expected) = printed[0], printed.groups()
    try:
        ast.literal_eval(expected)
        ast.parse(f"f({shown})", mode="eval")
        ast.parse(shown.strip(), mode="eval")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return line
    return f"{indent}assert {shown} == {expected}"


def _without_entry(body: Sequence[ast.stmt], entry_point: str) -> list[ast.stmt]:
    """Leave out what defines or imports the entry point, and test libraries."""
    return [node for node in body if entry_point not in _bound(node)]


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement of a set-up."""

    node: ast.stmt
    """It."""
    bound: frozenset[str]
    """Names that it gives a meaning."""
    used: frozenset[str]
    """Names that it reads."""


def _checks(body: Sequence[ast.stmt], before: Sequence[_Step]) -> Iterator[tuple[ast.stmt, ...]]:
    """Go through the statements of a test, and pair each that asserts with its set-up."""
    set_up = list(before)
    for node in body:
        if (inner := _held(node)) is not None:
            yield from _checks(inner, set_up)
        elif (claim := asserted(node)) is not None:
            yield (*_needed(set_up, claim), claim)
        elif not _is_print(node):
            set_up.append(_Step(node, _bound(node), _used(node)))


def _held(node: ast.stmt) -> Sequence[ast.stmt] | None:
    """Return the statements of what holds tests and is none itself, or None.

    A `try` that catches failed assertions is such: what it holds is read, and it is left out.
    """
    if _is_test(node) or is_main_guard(node):
        return node.body  # type: ignore[attr-defined,no-any-return]
    if isinstance(node, ast.Try) and any(_swallows(handler) for handler in node.handlers):
        return node.body
    return None


def _swallows(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (
        isinstance(handler.type, ast.Name)
        and handler.type.id in {"AssertionError", "Exception", "BaseException"}
    )


def _is_print(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "print"
    )


def _is_test(node: ast.stmt) -> bool:
    """Whether a statement holds tests: a function without arguments, a class of such methods."""
    if isinstance(node, ast.FunctionDef):
        return node.name.lower().startswith("test") and len(node.args.args) <= 1
    return isinstance(node, ast.ClassDef) and any(map(_is_test, node.body))


def _needed(set_up: Sequence[_Step], claim: ast.stmt) -> list[ast.stmt]:
    """Walk back from a claim and keep what makes or changes the names that it needs."""
    made = frozenset[str]().union(*(step.bound for step in set_up))
    wanted, kept = set(_used(claim) & made), []
    for step in reversed(set_up):
        used = step.used & made
        if step.bound & wanted or (not isinstance(step.node, _MAKERS) and used & wanted):
            kept.append(step.node)
            if isinstance(step.node, ast.Assign):
                wanted -= step.bound
            wanted |= used
    return kept[::-1]


_MAKERS = (ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
"""Statements that change nothing but the names that they bind."""


def _used(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement reads."""
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return frozenset(part.id for part in names if isinstance(part.ctx, ast.Load))


def _bound(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement gives a meaning."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return frozenset((node.name,))
    if isinstance(node, ast.Import | ast.ImportFrom):
        return frozenset((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return frozenset(
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )


def _calls(check: Iterable[ast.stmt], entry_point: str) -> bool:
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Name)
        and part.func.id == entry_point
        for node in check
        for part in ast.walk(node)
    )
