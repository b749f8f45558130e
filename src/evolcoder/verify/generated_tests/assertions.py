"""What a statement of a test asserts, written as a plain statement that needs no test library.

Promises: nothing is run. Methods of unittest, `pytest.raises`, loops over cases and `try` blocks
become `assert`, `for` and `try`; messages are left out. A statement that asserts nothing, or what
is always true, gives None.

>>> import ast
>>> ast.unparse(asserted(ast.parse("self.assertEqual(f(2), 4)").body[0]))
'assert f(2) == 4'
"""

import ast
from collections.abc import Callable, Sequence

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
