r"""Mutates a Python program: each mutant is one edit away from the original.

Every mutant parses and differs from the program and from every other mutant (compared after
`ast.unparse`); its name is its kind and line. Mutants are drawn evenly over the kinds, and the same
random generator state draws the same mutants. Only code reachable from the entry point is changed;
docstrings, annotations, decorators and raised exceptions are not. A source that is not Python, too
long or nested too deeply has no mutants.
A mutant may be equivalent to the original: `i <= n` may behave as `i < n` does.

>>> from random import Random
>>> [(m.name, m.source) for m in mutants("def f(x):\n    return x + 1", Random(0), limit=1)]
[('arithmetic:2', 'def f(x):\n    return x - 1')]
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from random import Random

from evolcoder.code.python_ast import compiles, is_main_guard, parse, reachable


class Mutation(StrEnum):
    """Kind of a mutation. Values are stored; never rename one."""

    ARITHMETIC = "arithmetic"
    COMPARISON = "comparison"
    BOOLEAN = "boolean"
    NUMBER = "number"
    STRING = "string"
    TRUTH = "truth"
    CONDITION = "condition"
    ELSE = "else"
    STATEMENT = "statement"
    BOUNDARY = "boundary"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class MutationSite:
    """Position of a node in its tree."""

    parent: ast.AST
    """Parent of the node."""
    field: str
    """Field of the parent."""
    index: int | None
    """Index in the field, if it is a list."""
    node: ast.AST
    """The node."""

    def put(self, node: ast.AST | None) -> None:
        """Replace the node in the tree."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


@dataclass(frozen=True, slots=True)
class TreeEdit:
    """A possible edit of a tree."""

    kind: Mutation
    """Kind of the edit."""
    site: MutationSite
    """Position of the node to replace."""
    new: ast.AST
    """Its replacement."""

    @property
    def line(self) -> int:
        """Line of the replaced node, or of its parent."""
        return int(getattr(self.site.node, "lineno", getattr(self.site.parent, "lineno", 1)))


_UNCHANGED_FIELDS = {
    "annotation",
    "returns",
    "decorator_list",
    "format_spec",
    "type_params",
    "exc",
    "msg",
}


def _sites(tree: ast.Module, roots: Sequence[ast.stmt]) -> Iterator[MutationSite]:
    """Yield the nodes that may be changed, in source order."""
    kept = {id(root) for root in roots}
    stack = [
        MutationSite(tree, "body", index, node)
        for index, node in enumerate(tree.body)
        if id(node) in kept
    ][::-1]
    while stack:
        site = stack.pop()
        if _has_no_effect(site.node):
            continue
        yield site
        children: list[MutationSite] = []
        for name, value in ast.iter_fields(site.node):
            if name in _UNCHANGED_FIELDS:
                continue
            if isinstance(value, ast.AST):
                children.append(MutationSite(site.node, name, None, value))
            elif isinstance(value, list):
                children += [
                    MutationSite(site.node, name, index, node)
                    for index, node in enumerate(value)
                    if isinstance(node, ast.AST)
                ]
        stack += children[::-1]


def _has_no_effect(node: ast.AST) -> bool:
    """Whether a statement is a docstring, import or scope declaration, which is never mutated."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal)


def find_edits(tree: ast.Module, roots: Sequence[ast.stmt]) -> Iterator[TreeEdit]:
    """Yield every possible edit below these statements, in source order."""
    for site in _sites(tree, roots):
        for propose in (_operators, _constants, _branches, _statements, _boundaries, _returns):
            yield from propose(site)


_OPERATORS: dict[type[ast.AST], tuple[Mutation, tuple[type[ast.AST], ...]]] = {
    ast.Add: (Mutation.ARITHMETIC, (ast.Sub,)),
    ast.Sub: (Mutation.ARITHMETIC, (ast.Add,)),
    ast.Mult: (Mutation.ARITHMETIC, (ast.Add,)),
    ast.Div: (Mutation.ARITHMETIC, (ast.Mult, ast.FloorDiv)),
    ast.FloorDiv: (Mutation.ARITHMETIC, (ast.Div, ast.Mult)),
    ast.Mod: (Mutation.ARITHMETIC, (ast.FloorDiv,)),
    ast.Pow: (Mutation.ARITHMETIC, (ast.Mult,)),
    ast.LShift: (Mutation.ARITHMETIC, (ast.RShift,)),
    ast.RShift: (Mutation.ARITHMETIC, (ast.LShift,)),
    ast.BitAnd: (Mutation.ARITHMETIC, (ast.BitOr,)),
    ast.BitOr: (Mutation.ARITHMETIC, (ast.BitAnd,)),
    ast.BitXor: (Mutation.ARITHMETIC, (ast.BitOr,)),
    ast.Lt: (Mutation.COMPARISON, (ast.LtE, ast.GtE)),
    ast.LtE: (Mutation.COMPARISON, (ast.Lt, ast.Gt)),
    ast.Gt: (Mutation.COMPARISON, (ast.GtE, ast.LtE)),
    ast.GtE: (Mutation.COMPARISON, (ast.Gt, ast.Lt)),
    ast.Eq: (Mutation.COMPARISON, (ast.NotEq,)),
    ast.NotEq: (Mutation.COMPARISON, (ast.Eq,)),
    ast.In: (Mutation.COMPARISON, (ast.NotIn,)),
    ast.NotIn: (Mutation.COMPARISON, (ast.In,)),
    ast.Is: (Mutation.COMPARISON, (ast.IsNot,)),
    ast.IsNot: (Mutation.COMPARISON, (ast.Is,)),
    ast.And: (Mutation.BOOLEAN, (ast.Or,)),
    ast.Or: (Mutation.BOOLEAN, (ast.And,)),
}


def _operators(site: MutationSite) -> Iterator[TreeEdit]:
    kind, others = _OPERATORS.get(type(site.node), (Mutation.ARITHMETIC, ()))
    left = getattr(site.parent, "left", None)
    formats = isinstance(site.node, ast.Mod) and (
        isinstance(left, ast.Constant) and isinstance(left.value, str)
    )
    if not formats:
        for other in others:
            yield TreeEdit(kind, site, other())
    if isinstance(site.node, ast.UnaryOp):
        if isinstance(site.node.op, ast.Not):
            yield TreeEdit(Mutation.BOOLEAN, site, site.node.operand)
        elif isinstance(site.node.op, ast.USub):
            yield TreeEdit(Mutation.ARITHMETIC, site, site.node.operand)


def _constants(site: MutationSite) -> Iterator[TreeEdit]:
    if not isinstance(site.node, ast.Constant):
        return
    value = site.node.value
    if isinstance(value, bool):
        yield TreeEdit(Mutation.TRUTH, site, ast.Constant(not value))
    elif isinstance(value, int | float):
        for other in (value + 1, value - 1):
            yield TreeEdit(Mutation.NUMBER, site, ast.Constant(other))
    elif isinstance(value, str):
        yield TreeEdit(Mutation.STRING, site, ast.Constant("" if value else "x"))
        yield TreeEdit(Mutation.STRING, site, ast.Constant(value + "x"))


def _branches(site: MutationSite) -> Iterator[TreeEdit]:
    """Negate a condition or remove an else branch."""
    node = site.node
    if isinstance(site.parent, ast.comprehension) and site.field == "ifs":
        yield TreeEdit(Mutation.CONDITION, site, _not(node))
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        test = MutationSite(node, "test", None, node.test)
        yield TreeEdit(Mutation.CONDITION, test, _not(node.test))
    if isinstance(node, ast.If) and node.orelse:
        yield TreeEdit(Mutation.ELSE, site, ast.If(node.test, node.body, []))
    if isinstance(node, ast.IfExp):
        yield TreeEdit(Mutation.ELSE, site, node.body)


def _statements(site: MutationSite) -> Iterator[TreeEdit]:
    """Remove a statement; not an assignment that binds a name, since every check would fail."""
    node = site.node
    writes = isinstance(node, ast.Assign) and not any(
        isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        for target in node.targets
        for part in ast.walk(target)
    )
    guard = isinstance(node, ast.If) and not node.orelse
    removable = ast.Expr | ast.AugAssign | ast.Break | ast.Continue | ast.Delete
    if writes or guard or isinstance(node, removable):
        yield TreeEdit(Mutation.STATEMENT, site, ast.Pass())
    if isinstance(node, ast.Break):
        yield TreeEdit(Mutation.STATEMENT, site, ast.Continue())
    elif isinstance(node, ast.Continue):
        yield TreeEdit(Mutation.STATEMENT, site, ast.Break())


def _boundaries(site: MutationSite) -> Iterator[TreeEdit]:
    """Shift an end of a range or a slice by one."""
    node = site.node
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if isinstance(node, ast.Call) and called and getattr(node.func, "id", "") == "range":
        ends = [
            MutationSite(node, "args", index, argument)
            for index, argument in enumerate(node.args[:2])
            if not isinstance(argument, ast.Starred)
        ]
    elif isinstance(node, ast.Slice):
        parts = (("lower", node.lower), ("upper", node.upper))
        ends = [MutationSite(node, name, None, end) for name, end in parts if end is not None]
    else:
        return
    for end in ends:
        for other in (ast.Add(), ast.Sub()):
            assert isinstance(end.node, ast.expr)
            yield TreeEdit(Mutation.BOUNDARY, end, ast.BinOp(end.node, other, ast.Constant(1)))


def _returns(site: MutationSite) -> Iterator[TreeEdit]:
    """Return a value other than the computed one."""
    node = site.node
    if not isinstance(node, ast.Return | ast.Yield) or node.value is None:
        return
    value = MutationSite(node, "value", None, node.value)
    if isinstance(node.value, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield TreeEdit(Mutation.RETURN, value, _not(node.value))
    elif isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
        yield TreeEdit(Mutation.RETURN, value, ast.Tuple(node.value.elts[::-1], ast.Load()))
    elif not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield TreeEdit(Mutation.RETURN, value, ast.Constant(None))


def _not(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.expr)
    return ast.UnaryOp(ast.Not(), node)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program that is one edit away from another."""

    kind: Mutation
    """Kind of the edit."""
    line: int
    """Line of the edit in the original."""
    source: str
    """The whole mutated program as `ast.unparse` writes it, without comments."""

    @property
    def name(self) -> str:
        """Kind and line."""
        return f"{self.kind}:{self.line}"


def mutants(
    source: str, rng: Random, *, limit: int = 20, entry_point: str | None = None
) -> tuple[Mutant, ...]:
    """Draw at most `limit` mutants of a program, evenly over the kinds."""
    if limit < 1 or (tree := parse(source)) is None:
        return ()
    if entry_point is not None:
        roots = reachable(tree, entry_point)
    else:
        roots = [node for node in tree.body if not is_main_guard(node)]
    seen, made = {ast.unparse(tree)}, []
    for edit in _round_robin(find_edits(tree, roots), rng):
        changed = _apply(tree, edit)
        if changed is not None and changed not in seen:
            seen.add(changed)
            made.append(Mutant(edit.kind, edit.line, changed))
        if len(made) == limit:
            break
    return tuple(made)


def _round_robin(edits: Iterator[TreeEdit], rng: Random) -> Iterator[TreeEdit]:
    """Yield one edit of each kind in turn, with the kinds and the edits of each kind shuffled."""
    by_kind: dict[Mutation, list[TreeEdit]] = {}
    for edit in edits:
        by_kind.setdefault(edit.kind, []).append(edit)
    groups = [by_kind[kind] for kind in sorted(by_kind)]
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    for turn in zip_longest(*groups):
        yield from (edit for edit in turn if edit is not None)


def _apply(tree: ast.Module, edit: TreeEdit) -> str | None:
    """Return the source of the edited tree, or None if it does not compile; restores the tree."""
    edit.site.put(edit.new)
    try:
        changed = ast.unparse(tree)
    except (ValueError, RecursionError):
        return None
    finally:
        edit.site.put(edit.site.node)
    return changed if compiles(changed) else None
