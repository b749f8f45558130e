r"""Extracts a definition from a program together with its dependencies.

The extracted statements, in the program's order, bind every name that the definition reaches and
that the program binds at top level. Annotations and docstrings are removed, since annotations often
name types that snippets do not import; missing imports of well-known names are added.

>>> parts = parts_of(ast.parse("import re\nx = 1\ndef f():\n    return x\nprint(f())"))
>>> [part.source for part in dependencies_of("f", parts)]
['x = 1', 'def f():\n    return x']
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_BINDING = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
)
_IMPLIED_IMPORTS = {
    **{name: f"import {name}" for name in "math re itertools collections functools string".split()},
    **{name: f"import {name}" for name in "heapq bisect random datetime operator sys".split()},
    **dict.fromkeys(
        ("Counter", "defaultdict", "deque", "OrderedDict"),
        "from collections import Counter, defaultdict, deque, OrderedDict",
    ),
    "reduce": "from functools import reduce",
}
"""Name -> the import that snippets often omit."""


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A top-level statement that binds names."""

    source: str
    """Its source after unparsing."""
    binds: frozenset[str]
    """Names that it binds."""
    uses: frozenset[str]
    """Names that it reads anywhere."""
    modules: frozenset[str]
    """Top-level modules that it imports."""


def parts_of(tree: ast.Module) -> tuple[SourcePart, ...]:
    """Return the top-level statements that only bind names, without those that read input."""
    return tuple(
        _part(node) for node in tree.body if isinstance(node, _BINDING) and not _reads_input(node)
    )


def dependencies_of(name: str, parts: Sequence[SourcePart]) -> tuple[SourcePart, ...]:
    """Return the parts that a name depends on, in order, after imports that the program omits."""
    binders: dict[str, list[int]] = {}
    for n, part in enumerate(parts):
        for bound in part.binds:
            binders.setdefault(bound, []).append(n)
    wanted, chosen, waiting = {name}, set[int](), [name]
    while waiting:
        new = set(binders.get(waiting.pop(), ())) - chosen
        chosen |= new
        used = {one for n in new for one in parts[n].uses} - wanted
        wanted |= used
        waiting += used
    kept = [parts[n] for n in sorted(chosen)]
    unbound = sorted(wanted - binders.keys())
    imports = dict.fromkeys(_IMPLIED_IMPORTS[one] for one in unbound if one in _IMPLIED_IMPORTS)
    return (*(_part(ast.parse(line).body[0]) for line in imports), *kept)


def _part(node: ast.stmt) -> SourcePart:
    found = _AnnotationStripper().visit(node)
    inside = list(ast.walk(found))
    uses = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    modules = {name for one in inside for name in _imported(one)}
    return SourcePart(
        ast.unparse(ast.fix_missing_locations(found)),
        frozenset(_bound(found)),
        frozenset(uses),
        frozenset(modules),
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    else:
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                yield one.id


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield (node.module or ".").split(".")[0]


def _reads_input(node: ast.stmt) -> bool:
    """Whether an assignment calls `input` or `open`."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return any(isinstance(call, ast.Name) and call.id in {"input", "open"} for call in calls)


class _AnnotationStripper(ast.NodeTransformer):
    """Removes annotations and docstrings."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """Remove the docstring and all annotations of a function."""
        self.generic_visit(node)
        node.returns = None
        body = node.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - a name that ast calls

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Replace the annotation by `object`: the name must stay a field of its class."""
        self.generic_visit(node)
        node.annotation = ast.Name("object", ast.Load())
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Remove the annotation of a parameter."""
        node.annotation = None
        return node
