r"""Parses model-written tests into single checks, each with the set-up that it needs.

Nothing is run and no text is an error. Every check is self-contained source that calls the entry
point and asserts something that is not vacuously true, so a wrong check can be removed alone.
Definitions and imports of the entry point are ignored, since they repeat the solution. Accepted
forms: asserts, test functions, unittest classes, loops over cases, `try` blocks, and prints
followed by the expected output. unittest methods and `pytest.raises` become plain `assert` and
`try` statements; messages are dropped.
A check is not guaranteed to be right: agreement decides that (`runner`).

>>> parse_checks("```python\nassert f(1) == 2\nassert True\n```", "f")
('assert f(1) == 2',)
>>> import ast
>>> ast.unparse(to_assertion(ast.parse("self.assertEqual(f(2), 4)").body[0]))
'assert f(2) == 4'
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from evolcoder.code.python_ast import compiles, expression_of, is_literal, is_main_guard, parse
from evolcoder.programming_language import code_blocks

_MakeExpr = Callable[[Sequence[ast.expr]], ast.expr]


def to_assertion(node: ast.stmt) -> ast.stmt | None:
    """Return a statement as a plain assertion, or None if it asserts nothing that can fail."""
    match node:
        case ast.Assert(test=test):
            return _assertion(test)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=args)):
            return _from_method(name, args)
        case ast.With(items=[ast.withitem(context_expr=ast.Call() as raises)], body=body):
            return _from_raises(raises, body)
        case ast.For(orelse=[]) | ast.Try(finalbody=[]):
            return node if _has_assertion(node) else None
    return None


def _assertion(test: ast.expr) -> ast.stmt | None:
    return None if _is_vacuous(test) else ast.Assert(test, None)


def _comparison(operator: Callable[[], ast.cmpop]) -> _MakeExpr:
    return lambda args: ast.Compare(args[0], [operator()], [args[1]])


def _comparison_with_none(operator: Callable[[], ast.cmpop]) -> _MakeExpr:
    return lambda args: ast.Compare(args[0], [operator()], [ast.Constant(None)])


def _almost_equal(args: Sequence[ast.expr]) -> ast.expr:
    difference = ast.BinOp(args[0], ast.Sub(), args[1])
    absolute = ast.Call(ast.Name("abs", ast.Load()), [difference], [])
    return ast.Compare(absolute, [ast.Lt()], [ast.Constant(1e-6)])


_EQUAL = (2, _comparison(ast.Eq))
_METHODS: dict[str, tuple[int, _MakeExpr]] = {
    "assertEqual": _EQUAL,
    "assertEquals": _EQUAL,
    "assertListEqual": _EQUAL,
    "assertDictEqual": _EQUAL,
    "assertTupleEqual": _EQUAL,
    "assertSetEqual": _EQUAL,
    "assertNotEqual": (2, _comparison(ast.NotEq)),
    "assertIs": (2, _comparison(ast.Is)),
    "assertIn": (2, _comparison(ast.In)),
    "assertNotIn": (2, _comparison(ast.NotIn)),
    "assertGreater": (2, _comparison(ast.Gt)),
    "assertLess": (2, _comparison(ast.Lt)),
    "assertTrue": (1, lambda args: args[0]),
    "assertFalse": (1, lambda args: ast.UnaryOp(ast.Not(), args[0])),
    "assertIsNone": (1, _comparison_with_none(ast.Is)),
    "assertIsNotNone": (1, _comparison_with_none(ast.IsNot)),
    "assertAlmostEqual": (2, _almost_equal),
}
"""unittest methods: the number of arguments used, and the expression they assert."""


def _from_method(name: str, args: Sequence[ast.expr]) -> ast.stmt | None:
    if name == "assertRaises" and len(args) > 1:
        call = ast.Expr(ast.Call(args[1], list(args[2:]), []))
        return _must_raise(args[0], [call])
    n_args, make = _METHODS.get(name, (len(args) + 1, None))
    return _assertion(make(args)) if make is not None and len(args) >= n_args else None


def _from_raises(raises: ast.Call, body: Sequence[ast.stmt]) -> ast.stmt | None:
    name = raises.func.attr if isinstance(raises.func, ast.Attribute) else ""
    if name not in {"raises", "assertRaises", "assertRaisesRegex"} or not raises.args:
        return None
    return _must_raise(raises.args[0], body)


def _must_raise(kind: ast.expr, body: Sequence[ast.stmt]) -> ast.stmt:
    handler = ast.ExceptHandler(kind, None, [ast.Pass()])
    failure = ast.Assert(ast.Constant(value=False), None)
    return ast.Try(list(body), [handler], [failure], [])


def _has_assertion(node: ast.stmt) -> bool:
    return any(
        isinstance(part, ast.Assert) and not _is_vacuous(part.test) for part in ast.walk(node)
    )


def _is_vacuous(test: ast.expr) -> bool:
    """Whether an assertion cannot fail, judged by its form."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=elements):
            return bool(elements)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()]):
            return ast.dump(left) == ast.dump(test.comparators[0])
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(map(_is_vacuous, values))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(map(_is_vacuous, values))
    return False


MAX_CHECKS = 10
"""Most checks taken from one text."""
MAX_CHARS = 1000
"""Longest check."""
_MAX_DROPPED_LINES = 30
"""Most lines dropped from the end of a truncated text, and most asserts parsed from the rest."""
_PRINTED = re.compile(
    r"^([ \t]*)print\((.+)\)[ \t]*#[ \t]*"
    r"(?:(?:expected|output|result|should|must|be|print|return|is)(?:s|ed)?\b[ \t]*|[:=>-]+[ \t]*)*"
    r"(.+?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ASSERT_LINE = re.compile(r"^[ \t]*(assert\b.+)$", re.MULTILINE)


def parse_checks(text: str, entry_point: str) -> tuple[str, ...]:
    """Return the distinct checks in a text, in order."""
    found: dict[str, None] = {}
    for tree in _trees(text):
        body = [node for node in tree.body if entry_point not in _bound_names(node)]
        for check in _checks(body, ()):
            source = ast.unparse(ast.fix_missing_locations(ast.Module(list(check), [])))
            # A `return` in the set-up could skip the assertion; it does not compile here.
            if len(source) <= MAX_CHARS and _calls(check, entry_point) and compiles(source):
                found[source] = None
            if len(found) == MAX_CHECKS:
                return tuple(found)
    return tuple(found)


def _trees(text: str) -> Iterator[ast.Module]:
    """Parse every code block in a text as far as possible, then single asserts after the error."""
    blocks = [block.code for block in code_blocks(text) if block.language in {None, "python"}]
    for code in blocks or [text]:
        lines = _PRINTED.sub(_print_to_assert, code).split("\n")
        tree, n_parsed = _parse_longest_prefix(lines)
        rest = _ASSERT_LINE.findall("\n".join(lines[n_parsed:]))[:_MAX_DROPPED_LINES]
        single = [node for one in map(parse, rest) if one is not None for node in one.body]
        yield ast.Module([*tree.body, *single], [])


def _parse_longest_prefix(lines: Sequence[str]) -> tuple[ast.Module, int]:
    """Return the tree of the longest prefix that parses, and its number of lines."""
    for n_lines in range(len(lines), max(0, len(lines) - _MAX_DROPPED_LINES), -1):
        if (tree := parse("\n".join(lines[:n_lines]))) is not None:
            return tree, n_lines
    return ast.Module([], []), 0


def _print_to_assert(printed: re.Match[str]) -> str:
    """Turn `print(f(2))  # 4` into `assert f(2) == 4` if both sides are complete expressions."""
    line, (indent, shown, expected) = printed[0], printed.groups()
    is_whole = expression_of(f"f({shown})") is not None and expression_of(shown) is not None
    return f"{indent}assert {shown} == {expected}" if is_whole and is_literal(expected) else line


@dataclass(frozen=True, slots=True)
class _SetUpStep:
    """A statement of a set-up."""

    node: ast.stmt
    """The statement."""
    bound: frozenset[str]
    """Names that it binds."""
    used: frozenset[str]
    """Names that it reads."""


def _checks(
    body: Sequence[ast.stmt], before: Sequence[_SetUpStep]
) -> Iterator[tuple[ast.stmt, ...]]:
    """Yield every assertion of a test after the set-up statements that it needs."""
    set_up = list(before)
    for node in body:
        if (inner := _container_body(node)) is not None:
            yield from _checks(inner, set_up)
        elif (claim := to_assertion(node)) is not None:
            yield (*_needed(set_up, claim), claim)
        elif not _is_print(node):
            set_up.append(_SetUpStep(node, _bound_names(node), _used_names(node)))


def _container_body(node: ast.stmt) -> Sequence[ast.stmt] | None:
    """Return the body of a test function, test class, main guard or assertion-catching `try`.

    Such a `try` would hide failures, so only its body is used. None for other statements.
    """
    if _is_test(node) or is_main_guard(node):
        return node.body  # type: ignore[attr-defined,no-any-return]
    if isinstance(node, ast.Try) and any(_catches_assertions(one) for one in node.handlers):
        return node.body
    return None


def _catches_assertions(handler: ast.ExceptHandler) -> bool:
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
    """Whether a statement is a test function (at most `self` as argument) or a class of them."""
    if isinstance(node, ast.FunctionDef):
        return node.name.lower().startswith("test") and len(node.args.args) <= 1
    return isinstance(node, ast.ClassDef) and any(map(_is_test, node.body))


def _needed(set_up: Sequence[_SetUpStep], claim: ast.stmt) -> list[ast.stmt]:
    """Return the set-up statements that bind or change names the claim depends on (a slice)."""
    made = frozenset[str]().union(*(step.bound for step in set_up))
    wanted, kept = set(_used_names(claim) & made), []
    for step in reversed(set_up):
        used = step.used & made
        if step.bound & wanted or (not isinstance(step.node, _PURE_BINDINGS) and used & wanted):
            kept.append(step.node)
            if isinstance(step.node, ast.Assign):
                wanted -= step.bound
            wanted |= used
    return kept[::-1]


_PURE_BINDINGS = (
    ast.Assign,
    ast.AnnAssign,
    ast.FunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
)
"""Statements whose only effect is to bind names."""


def _used_names(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement reads."""
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return frozenset(part.id for part in names if isinstance(part.ctx, ast.Load))


def _bound_names(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement binds."""
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
