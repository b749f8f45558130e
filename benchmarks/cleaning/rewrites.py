"""Rewrites a program with other names, or with its statements in another order.

The result computes the same. If nothing can be moved safely, there is no reordered program.
"""

import ast
import builtins
import difflib
from collections.abc import Iterator, Mapping

from evolcoder.code.python_ast import tree_of

_FREE = frozenset(dir(builtins))
_WORDS = "first second total value entry item current result data part left right step".split()
_CALM = (ast.Assign, ast.AugAssign, ast.AnnAssign)
_UNSAFE = (ast.Call, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr)
_HARMLESS = frozenset("len list set dict tuple sorted sum min max abs int str float range".split())


def renamed(source: str, names: Mapping[str, str] | None = None) -> str:
    """Give every name that a program binds another one, its functions' as in `names` or anew."""
    tree = _tree(source)
    kept = {alias.asname or alias.name for node in ast.walk(tree) for alias in _aliases(node)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    bound = [name for name in dict.fromkeys(_bound(tree)) if name not in _FREE | kept | keywords]
    fresh = {name: f"{_WORDS[n % len(_WORDS)]}_{n}" for n, name in enumerate(bound)}
    return ast.unparse(_Names({**fresh, **(names or {})}).visit(tree))


def reordered(source: str) -> str:
    """Swap statements that do not need each other, and the sides of choices; '' if none can be."""
    tree = _tree(source)
    changed = _Order()
    tree = ast.fix_missing_locations(changed.visit(tree))
    return ast.unparse(tree) if changed.n_moved else ""


def differ(one: str, other: str) -> float:
    """Say how unlike two programs are whatever their names are, from 0 to 1."""
    mine, theirs = _shape(one), _shape(other)
    return 1 - difflib.SequenceMatcher(None, mine, theirs, autojunk=False).ratio()


def _tree(source: str) -> ast.Module:
    tree = tree_of(source)
    if tree is None:
        raise ValueError(f"no Python: {source[:80]!r}")
    return tree


def _shape(source: str) -> list[str]:
    tree = _Bare().visit(_tree(source))
    return [
        repr(node.value) if isinstance(node, ast.Constant) else type(node).__name__
        for node in ast.walk(tree)
        if not isinstance(node, ast.Load | ast.Store | ast.Import | ast.ImportFrom | ast.alias)
    ]


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []


def _bound(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


class _Bare(ast.NodeTransformer):
    """Takes docstrings and annotations away."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


class _Names(_Bare):
    """Changes names, and takes docstrings and annotations away."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return super().visit_FunctionDef(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = self.names.get(node.arg, node.arg), None
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.names.get(name, name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self.names.get(name, name) for name in node.names]
        return node


class _Order(_Bare):
    """Swaps neighbours that share no name, and turns choices around."""

    def __init__(self) -> None:
        self.n_moved = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        super().visit_FunctionDef(node)
        for place in range(len(node.body) - 1):
            first, second = node.body[place : place + 2]
            if _swap(first, second):
                node.body[place : place + 2] = [second, first]
                self.n_moved += 1
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if node.orelse and not isinstance(node.orelse[0], ast.If):
            self.n_moved += 1
            return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        self.n_moved += 1
        return ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        sides = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
        turned = sides.get(type(node.ops[0]))
        if len(node.ops) > 1 or turned is None or _calls(node):
            return node
        self.n_moved += 1
        return ast.Compare(node.comparators[0], [turned()], [node.left])


def _swap(first: ast.stmt, second: ast.stmt) -> bool:
    """Whether two statements can change places."""
    if not (isinstance(first, _CALM) and isinstance(second, _CALM)):
        return False
    return not (_calls(first) or _calls(second) or _names(first) & _names(second))


def _calls(node: ast.AST) -> bool:
    """Whether something is called that could have an effect."""
    return any(
        isinstance(one, _UNSAFE)
        and not (
            isinstance(one, ast.Call)
            and isinstance(one.func, ast.Name)
            and one.func.id in _HARMLESS
        )
        for one in ast.walk(node)
    )


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - _HARMLESS
