r"""What one definition needs of the program around it, and no more.

Promises: the parts that come out, in the program's order, bind every name that the definition
reaches and that the program binds at its margin. Annotations and docstrings are gone, since they
name types that snippets forget to import; well known names that were forgotten are imported.

>>> parts = parts_of(ast.parse("import re\nx = 1\ndef f():\n    return x\nprint(f())"))
>>> [part.source for part in needed("f", parts)]
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
_FORGOTTEN = {
    **{name: f"import {name}" for name in "math re itertools collections functools string".split()},
    **{name: f"import {name}" for name in "heapq bisect random datetime operator sys".split()},
    **dict.fromkeys(
        ("Counter", "defaultdict", "deque", "OrderedDict"),
        "from collections import Counter, defaultdict, deque, OrderedDict",
    ),
    "reduce": "from functools import reduce",
}
"""Name -> the import that snippets leave out."""


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A statement at the margin that binds names."""

    source: str
    """Its text, made anew."""
    binds: frozenset[str]
    """Names that it gives a value."""
    uses: frozenset[str]
    """Names that it reads anywhere in it."""
    modules: frozenset[str]
    """Top-level modules that it imports."""


def parts_of(tree: ast.Module) -> tuple[SourcePart, ...]:
    """Take the statements at the margin that only bind names; what prints or asks is left out."""
    return tuple(_part(node) for node in tree.body if isinstance(node, _BINDING) and _is_calm(node))


def needed(name: str, parts: Sequence[SourcePart]) -> tuple[SourcePart, ...]:
    """Return the parts that a name needs, in their order, with imports that were forgotten."""
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
    free = sorted(wanted - binders.keys())
    imports = dict.fromkeys(_FORGOTTEN[one] for one in free if one in _FORGOTTEN)
    return (*(_part(ast.parse(line).body[0]) for line in imports), *kept)


def _part(node: ast.stmt) -> SourcePart:
    bare = _Bare()
    found = bare.visit(node)
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


def _is_calm(node: ast.stmt) -> bool:
    """Whether a statement does not wait for a person or a file when it is loaded."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return True
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return not any(isinstance(call, ast.Name) and call.id in {"input", "open"} for call in calls)


class _Bare(ast.NodeTransformer):
    """Takes annotations and docstrings away."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """Bare a function and what is in it."""
        self.generic_visit(node)
        node.returns = None
        body = node.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - a name that ast calls

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Keep that a name is annotated, which makes it a field, but not with what."""
        self.generic_visit(node)
        node.annotation = ast.Name("object", ast.Load())
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Bare an argument."""
        node.annotation = None
        return node
