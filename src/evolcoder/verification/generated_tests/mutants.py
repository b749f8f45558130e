r"""Break a Python program a little: mutants, each one edit away from it.

Promises: every mutant parses, differs from the program and from every other mutant (compared as
`ast.unparse` writes them), is named by its kind and line, and is drawn evenly over the kinds; equal
random numbers draw equal mutants. Only what the entry point can reach is changed; docstrings,
annotations, decorators and what an exception says are left alone. A source that is not Python, too
long or nested too deep has no mutants.
Does not promise that a mutant behaves otherwise: `i <= n` may do what `i < n` does.

>>> from random import Random
>>> [(m.name, m.source) for m in mutants("def f(x):\n    return x + 1", Random(0), limit=1)]
[('arithmetic:2', 'def f(x):\n    return x - 1')]

The changes that can be made to a Python tree, one node at a time; none of them is made here.

Promises: docstrings, annotations, decorators and what an exception says are left alone.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from random import Random

from evolcoder.code.python_ast import compiles, is_main_guard, parse, reachable


class Mutation(StrEnum):
    """What was changed. Values are stored; never rename one."""

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
    """Where a node hangs in its tree."""

    holder: ast.AST
    """The node above."""
    field: str
    """The field of it."""
    index: int | None
    """The place in that field, where it is a list."""
    node: ast.AST
    """What hangs there."""

    def put(self, node: ast.AST | None) -> None:
        """Hang another node there."""
        if self.index is None:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.index] = node


@dataclass(frozen=True, slots=True)
class TreeEdit:
    """One change of a tree, not made yet."""

    kind: Mutation
    """What is changed."""
    place: MutationSite
    """Where."""
    new: ast.AST
    """What hangs there instead."""

    @property
    def line(self) -> int:
        """The line of the changed node, or of the one that holds it."""
        return int(getattr(self.place.node, "lineno", getattr(self.place.holder, "lineno", 1)))


_LEFT_ALONE = {
    "annotation",
    "returns",
    "decorator_list",
    "format_spec",
    "type_params",
    "exc",
    "msg",
}


def _places(tree: ast.Module, roots: Sequence[ast.stmt]) -> Iterator[MutationSite]:
    """Walk what may be changed, in source order."""
    kept = {id(root) for root in roots}
    stack = [
        MutationSite(tree, "body", index, node)
        for index, node in enumerate(tree.body)
        if id(node) in kept
    ][::-1]
    while stack:
        place = stack.pop()
        if _is_remark(place.node):
            continue
        yield place
        below: list[MutationSite] = []
        for name, value in ast.iter_fields(place.node):
            if name in _LEFT_ALONE:
                continue
            if isinstance(value, ast.AST):
                below.append(MutationSite(place.node, name, None, value))
            elif isinstance(value, list):
                below += [
                    MutationSite(place.node, name, index, node)
                    for index, node in enumerate(value)
                    if isinstance(node, ast.AST)
                ]
        stack += below[::-1]


def _is_remark(node: ast.AST) -> bool:
    """Tell what a program says but does not do: docstrings, imports."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal)


def edits_of(tree: ast.Module, roots: Sequence[ast.stmt]) -> Iterator[TreeEdit]:
    """Find every change of what hangs below these statements, in source order."""
    for place in _places(tree, roots):
        for propose in (_operators, _constants, _branches, _statements, _boundaries, _returns):
            yield from propose(place)


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


def _operators(place: MutationSite) -> Iterator[TreeEdit]:
    kind, others = _OPERATORS.get(type(place.node), (Mutation.ARITHMETIC, ()))
    left = getattr(place.holder, "left", None)
    formats = isinstance(place.node, ast.Mod) and (
        isinstance(left, ast.Constant) and isinstance(left.value, str)
    )
    if not formats:
        for other in others:
            yield TreeEdit(kind, place, other())
    if isinstance(place.node, ast.UnaryOp):
        if isinstance(place.node.op, ast.Not):
            yield TreeEdit(Mutation.BOOLEAN, place, place.node.operand)
        elif isinstance(place.node.op, ast.USub):
            yield TreeEdit(Mutation.ARITHMETIC, place, place.node.operand)


def _constants(place: MutationSite) -> Iterator[TreeEdit]:
    if not isinstance(place.node, ast.Constant):
        return
    value = place.node.value
    if isinstance(value, bool):
        yield TreeEdit(Mutation.TRUTH, place, ast.Constant(not value))
    elif isinstance(value, int | float):
        for other in (value + 1, value - 1):
            yield TreeEdit(Mutation.NUMBER, place, ast.Constant(other))
    elif isinstance(value, str):
        yield TreeEdit(Mutation.STRING, place, ast.Constant("" if value else "x"))
        yield TreeEdit(Mutation.STRING, place, ast.Constant(value + "x"))


def _branches(place: MutationSite) -> Iterator[TreeEdit]:
    """Negate a condition, or take an else away."""
    node = place.node
    if isinstance(place.holder, ast.comprehension) and place.field == "ifs":
        yield TreeEdit(Mutation.CONDITION, place, _not(node))
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        test = MutationSite(node, "test", None, node.test)
        yield TreeEdit(Mutation.CONDITION, test, _not(node.test))
    if isinstance(node, ast.If) and node.orelse:
        yield TreeEdit(Mutation.ELSE, place, ast.If(node.test, node.body, []))
    if isinstance(node, ast.IfExp):
        yield TreeEdit(Mutation.ELSE, place, node.body)


def _statements(place: MutationSite) -> Iterator[TreeEdit]:
    """Take a statement away; an assignment that makes a name stays, since all would then fail."""
    node = place.node
    writes = isinstance(node, ast.Assign) and not any(
        isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        for target in node.targets
        for part in ast.walk(target)
    )
    guard = isinstance(node, ast.If) and not node.orelse
    removable = ast.Expr | ast.AugAssign | ast.Break | ast.Continue | ast.Delete
    if writes or guard or isinstance(node, removable):
        yield TreeEdit(Mutation.STATEMENT, place, ast.Pass())
    if isinstance(node, ast.Break):
        yield TreeEdit(Mutation.STATEMENT, place, ast.Continue())
    elif isinstance(node, ast.Continue):
        yield TreeEdit(Mutation.STATEMENT, place, ast.Break())


def _boundaries(place: MutationSite) -> Iterator[TreeEdit]:
    """Move an end of a range, a slice or an index by one."""
    node = place.node
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


def _returns(place: MutationSite) -> Iterator[TreeEdit]:
    """Give back another value than the one that was worked out."""
    node = place.node
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
    """What was changed."""
    line: int
    """The line of the original where it was."""
    source: str
    """The whole changed program, as `ast.unparse` writes it: without comments."""

    @property
    def name(self) -> str:
        """Kind and line, for a reader."""
        return f"{self.kind}:{self.line}"


def mutants(
    source: str, rng: Random, *, limit: int = 20, entry_point: str | None = None
) -> tuple[Mutant, ...]:
    """Draw at most `limit` mutants of a program, as many of each kind as there are."""
    if limit < 1 or (tree := parse(source)) is None:
        return ()
    if entry_point is not None:
        roots = reachable(tree, entry_point)
    else:
        roots = [node for node in tree.body if not is_main_guard(node)]
    seen, made = {ast.unparse(tree)}, []
    for edit in _evenly(edits_of(tree, roots), rng):
        changed = _changed(tree, edit)
        if changed is not None and changed not in seen:
            seen.add(changed)
            made.append(Mutant(edit.kind, edit.line, changed))
        if len(made) == limit:
            break
    return tuple(made)


def _evenly(edits: Iterator[TreeEdit], rng: Random) -> Iterator[TreeEdit]:
    """Deal out edits, one of each kind in turn, the kinds and what they hold shuffled."""
    by_kind: dict[Mutation, list[TreeEdit]] = {}
    for edit in edits:
        by_kind.setdefault(edit.kind, []).append(edit)
    hands = [by_kind[kind] for kind in sorted(by_kind)]
    rng.shuffle(hands)
    for hand in hands:
        rng.shuffle(hand)
    for deal in zip_longest(*hands):
        yield from (edit for edit in deal if edit is not None)


def _changed(tree: ast.Module, edit: TreeEdit) -> str | None:
    edit.place.put(edit.new)
    try:
        changed = ast.unparse(tree)
    except (ValueError, RecursionError):
        return None
    finally:
        edit.place.put(edit.place.node)
    return changed if compiles(changed) else None
