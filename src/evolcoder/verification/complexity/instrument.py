"""Rewrite a program so that work hidden in C is counted: calls, searches, copies.

Promises: the program computes what it computed, and every call of something that is not its own
function, every `in` and `==`, every slice, sum of sequences and unpacking passes through a hook
that `inside/counting` brings; what only an interpreter could follow (`eval`) is named.

>>> print(ast.unparse(rewritten(ast.parse("y = sorted(xs)"), "H").tree))
y = H.call(1, sorted, xs)
"""

import ast
from dataclasses import dataclass
from typing import cast

_LEFT = {"super", "locals", "globals", "vars", "dir"}
"""Functions that look at the frame that calls them."""
_UNSEEN = {"eval", "exec", "compile", "__import__"}
"""Functions whose work nobody can foresee."""
_SUMS = ast.Add | ast.Mult | ast.Mod
_SETS = {ast.Sub: "-", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A program with hooks in it."""

    tree: ast.Module
    """The program."""
    unseen: tuple[str, ...]
    """Names that it uses and that no hook can follow."""


def rewritten(tree: ast.Module, hooks: str) -> Rewritten:
    """Put hooks into a tree, which is changed; `hooks` is the name of what brings them."""
    visitor = _Hooks(hooks, _own_functions(tree))
    tree = ast.fix_missing_locations(cast("ast.Module", visitor.visit(tree)))
    return Rewritten(tree, tuple(sorted(visitor.unseen)))


def _own_functions(tree: ast.Module) -> set[str]:
    """Return names that stand for functions of the program and for nothing else."""
    functions = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }
    rebound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    return functions - rebound - {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


class _Hooks(ast.NodeTransformer):
    """Puts the hooks in."""

    def __init__(self, hooks: str, own: set[str]) -> None:
        self._hooks = hooks
        self._own = own
        self.unseen: set[str] = set()

    def _hook(self, name: str, at: ast.AST, *operands: ast.expr) -> ast.Call:
        line = ast.Constant(getattr(at, "lineno", 1))
        hook = ast.Attribute(ast.Name(self._hooks, ast.Load()), name, ast.Load())
        return ast.Call(hook, [line, *operands], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _UNSEEN:
            self.unseen.add(name)
        if name in _LEFT | _UNSEEN | self._own:
            return node
        call = self._hook("call", node, node.func, *node.args)
        call.keywords = node.keywords
        return call

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        (op,), (right,) = node.ops, node.comparators
        if isinstance(op, ast.In):
            return self._hook("contains", node, node.left, right)
        if isinstance(op, ast.NotIn):
            return ast.UnaryOp(ast.Not(), self._hook("contains", node, node.left, right))
        if isinstance(op, ast.Eq | ast.NotEq) and not isinstance(right, ast.Constant):
            return ast.Compare(node.left, [op], [self._hook("against", node, right)])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, _SUMS):
            return self._hook("value", node, node)
        sign = _SETS.get(type(node.op))
        if sign is None:
            return node
        return self._hook("sets", node, ast.Constant(sign), node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            old = ast.Name(node.target.id, ast.Load())
            node.value = self._hook("grown", node, old, node.value)
        else:
            node.value = self._hook("value", node, node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        last = isinstance(node.slice, ast.UnaryOp)
        if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Slice):
            return self._hook("value", node, node)
        if isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Slice):
            node.value = self._hook("touch", node, node.value)
        if isinstance(node.ctx, ast.Del) and not last:
            node.value = self._hook("touch", node, node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                part.value = self.visit(part.value)
        return self._hook("value", node, node)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.value = self._hook("value", node, node.value)
        return node

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.expr:
        self.generic_visit(node)
        node.value = self._hook("value", node, node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        starred = [
            part
            for target in node.targets
            for part in ast.walk(target)
            if isinstance(part, ast.Starred)
        ]
        if starred:
            node.value = self._hook("value", node, node.value)
        return node
