r"""Python rewritten so that it counts its own work, and can be ended by a count instead of a clock.

Promises: the same program on the same input does the same work on every machine, under any load.
Every turn of a loop or a comprehension and every entry of a function or lambda spends one unit; a
range or permutations that are given to a call spend their length, and a power, a shift or a product
that a name gathers what its digits take, since C works through these out of sight. What is endless
in Python spends for ever: the unit of a loop is spent outside of whatever the loop's body catches.
Does not count other work within C, nor what `exec` runs; the meter that it spends from is the
runner's (`decontamination.execution.sandbox_prefilter`).

>>> print(counted("def f(n):\n    return [m for m in range(n)]"))
def f(n):
    _spend_()
    return [m for m in range(n) if _spend_()]
"""

import ast

from evolcoder.code.python_ast import tree_of

SPEND, RANGED = "_spend_", "_ranged_"
"""Names that the rewritten program calls: a unit of work, and the work in a range."""
POWER, SHIFT, FACTOR = "_power_", "_shift_", "_factor_"
"""Names of what makes numbers that may be very long: powers, shifts, and factors of products."""
LONG = frozenset("range permutations combinations combinations_with_replacement product".split())
"""Calls whose members C may walk through."""
TAKERS = frozenset("list tuple set frozenset sorted".split())
"""Calls that walk through what a name stands for, once."""
PLAIN_POWER = 8
"""A literal exponent up to this is left as it is."""


def counted(source: str) -> str | None:
    """Rewrite a program; None if it is no Python, or none that can be written anew."""
    tree = tree_of(source)
    if tree is None:
        return None
    try:
        return ast.unparse(ast.fix_missing_locations(_Counted().visit(tree)))
    except (RecursionError, ValueError):  # the latter of a number too long to be written
        return None


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [*arguments], [])


class _Counted(ast.NodeTransformer):
    """Puts the spending in."""

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
        """Spend one unit, which is true, and go on."""
        self.generic_visit(node)
        node.body = ast.BoolOp(ast.And(), [_call(SPEND), node.body])
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Spend one unit for every member, which passes for a condition that holds."""
        self.generic_visit(node)
        node.ifs.insert(0, _call(SPEND))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Charge what something in C may walk through."""
        self.generic_visit(node)
        is_taker = _name_of(node) in TAKERS
        node.args = [
            _call(RANGED, one) if _name_of(one) in LONG or (is_taker and _is_name(one)) else one
            for one in node.args
        ]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Charge powers and shifts, which can take as long as one likes."""
        self.generic_visit(node)
        return _grown(node.op, node.left, node.right) or node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Do so where a name takes the result, and charge a product that it gathers."""
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        before = ast.Name(node.target.id, ast.Load())
        if isinstance(node.op, ast.Mult):
            node.value = _call(FACTOR, before, node.value)
            return node
        grown = _grown(node.op, before, node.value)
        return ast.Assign([node.target], grown) if grown else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Charge a product of which a name's own value is a factor, and that it takes."""
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
    """Return the last name of what a call calls; empty for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)


def _grown(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.Call | None:
    """Write the call that stands for a power or a shift; None for all else."""
    if isinstance(op, ast.LShift):
        return _call(SHIFT, left, right)
    return _call(POWER, left, right) if isinstance(op, ast.Pow) and not _is_plain(right) else None


def _is_plain(exponent: ast.expr) -> bool:
    return (
        isinstance(exponent, ast.Constant)
        and isinstance(exponent.value, int | float)
        and exponent.value <= PLAIN_POWER
    )
