r"""Instruments Python source so that it counts its work and can be stopped by a work limit.

The same program on the same input does the same work on every machine and under any load. Every
iteration of a loop or comprehension and every call of a function or lambda costs one unit. A range
or permutations passed to a call cost their length; powers, shifts and accumulated products cost
according to their size, since C code does that work. An endless loop in Python always exceeds its
limit: the unit of an iteration is spent outside of what the loop's body can catch.
Other work in C, and code run by `exec`, is not counted. The functions that spend units are provided
by the runner (`decontamination.execution.sandbox_prefilter`).

>>> print(counted("def f(n):\n    return [m for m in range(n)]"))
def f(n):
    _spend_()
    return [m for m in range(n) if _spend_()]
"""

import ast

from evolcoder.code.python_ast import tree_of

SPEND, RANGED = "_spend_", "_ranged_"
"""Functions that instrumented code calls: spend one unit, and spend the length of an iterable."""
POWER, SHIFT, FACTOR = "_power_", "_shift_", "_factor_"
"""Functions that replace powers, shifts and factors of products, whose results may be huge."""
LONG_ITERABLES = frozenset(
    "range permutations combinations combinations_with_replacement product".split()
)
"""Calls whose results C code may iterate over."""
CONSUMERS = frozenset("list tuple set frozenset sorted".split())
"""Calls that iterate over their argument."""
MAX_PLAIN_EXPONENT = 8
"""Largest literal exponent that is not instrumented."""


def counted(source: str) -> str | None:
    """Return the instrumented program; None if it does not parse or cannot be unparsed."""
    tree = tree_of(source)
    if tree is None:
        return None
    try:
        return ast.unparse(ast.fix_missing_locations(_Instrumenter().visit(tree)))
    except (RecursionError, ValueError):  # ValueError: a number too long to unparse
        return None


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [*arguments], [])


class _Instrumenter(ast.NodeTransformer):
    """Inserts the calls that spend work."""

    def _body(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.For | ast.AsyncFor | ast.While
        )
        node.body.insert(0, ast.Expr(_call(SPEND)))
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _body  # noqa: N815 - names that ast calls
    visit_For = visit_AsyncFor = visit_While = _body  # noqa: N815 - names that ast calls

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Spend one unit before the body; the call returns True."""
        self.generic_visit(node)
        node.body = ast.BoolOp(ast.And(), [_call(SPEND), node.body])
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Spend one unit per member, as a condition that is always true."""
        self.generic_visit(node)
        node.ifs.insert(0, _call(SPEND))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Spend the length of arguments that C code may iterate over."""
        self.generic_visit(node)
        is_consumer = _name_of(node) in CONSUMERS
        node.args = [
            _call(RANGED, one)
            if _name_of(one) in LONG_ITERABLES or (is_consumer and isinstance(one, ast.Name))
            else one
            for one in node.args
        ]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Replace powers and shifts, whose cost is unbounded."""
        self.generic_visit(node)
        return _power_or_shift(node.op, node.left, node.right) or node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Replace powers and shifts, and charge factors of accumulated products."""
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        before = ast.Name(node.target.id, ast.Load())
        if isinstance(node.op, ast.Mult):
            node.value = _call(FACTOR, before, node.value)
            return node
        replacement = _power_or_shift(node.op, before, node.value)
        return ast.Assign([node.target], replacement) if replacement else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Charge factors of products of the form `x = x * y` and `x = y * x`."""
        self.generic_visit(node)
        match node:
            case ast.Assign([ast.Name(name)], ast.BinOp(ast.Name(one), ast.Mult()) as made) if (
                one == name
            ):
                made.right = _call(FACTOR, made.left, made.right)
            case ast.Assign([ast.Name(name)], ast.BinOp(_, ast.Mult(), ast.Name(one)) as made) if (
                one == name
            ):
                made.left = _call(FACTOR, made.right, made.left)
        return node


def _name_of(node: ast.expr) -> str:
    """Return the last part of a called function's name; empty for other expressions."""
    if not isinstance(node, ast.Call):
        return ""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _power_or_shift(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.Call | None:
    """Return the call that replaces a power or a left shift; None for other operators."""
    if isinstance(op, ast.LShift):
        return _call(SHIFT, left, right)
    if isinstance(op, ast.Pow) and not _is_small_literal(right):
        return _call(POWER, left, right)
    return None


def _is_small_literal(exponent: ast.expr) -> bool:
    return (
        isinstance(exponent, ast.Constant)
        and isinstance(exponent.value, int | float)
        and exponent.value <= MAX_PLAIN_EXPONENT
    )
