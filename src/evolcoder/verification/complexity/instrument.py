"""Instruments a program so that work in C is counted: calls, searches, copies.

The program's results do not change. Every call of a function that is not its own, every `in` and
`==`, every slice, concatenation and unpacking goes through a hook of `op_counter.Hooks`. Calls that
cannot be followed (`eval`) are listed.

>>> print(ast.unparse(add_hooks(ast.parse("y = sorted(xs)"), "H").tree))
y = H.call(1, sorted, xs)
"""

import ast
from dataclasses import dataclass
from typing import cast

_FRAME_FUNCTIONS = {"super", "locals", "globals", "vars", "dir"}
"""Functions that inspect the calling frame and must be called directly."""
_UNKNOWN_COST = {"eval", "exec", "compile", "__import__"}
"""Functions whose cost cannot be determined."""
_CONCATENATIONS = ast.Add | ast.Mult | ast.Mod
_SET_OPERATORS = {ast.Sub: "-", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}


@dataclass(frozen=True, slots=True)
class HookedProgram:
    """An instrumented program."""

    tree: ast.Module
    """The program."""
    unseen: tuple[str, ...]
    """Functions of unknown cost that it calls."""


def add_hooks(tree: ast.Module, hooks: str) -> HookedProgram:
    """Instrument a tree in place; `hooks` is the global name of the `Hooks` object."""
    visitor = _Hooks(hooks, _own_functions(tree))
    tree = ast.fix_missing_locations(cast("ast.Module", visitor.visit(tree)))
    return HookedProgram(tree, tuple(sorted(visitor.unseen)))


def _own_functions(tree: ast.Module) -> set[str]:
    """Return names that only ever stand for functions of the program."""
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
    """Inserts the hooks."""

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
        if name in _UNKNOWN_COST:
            self.unseen.add(name)
        if name in _FRAME_FUNCTIONS | _UNKNOWN_COST | self._own:
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
        if isinstance(node.op, _CONCATENATIONS):
            return self._hook("value", node, node)
        sign = _SET_OPERATORS.get(type(node.op))
        if sign is None:
            return node
        return self._hook("sets", node, ast.Constant(sign), node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            old = ast.Name(node.target.id, ast.Load())
            node.value = self._hook("augmented", node, old, node.value)
        else:
            node.value = self._hook("value", node, node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        last = isinstance(node.slice, ast.UnaryOp)
        if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Slice):
            return self._hook("value", node, node)
        if isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Slice):
            node.value = self._hook("resized", node, node.value)
        if isinstance(node.ctx, ast.Del) and not last:
            node.value = self._hook("resized", node, node.value)
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
