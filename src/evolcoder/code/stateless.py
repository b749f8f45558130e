r"""Finds Python programs that keep nothing from one call of a function to the next.

Calls of such a program may run in any order, and in several processes. The check only reads the
source and errs on the careful side: it accepts imports of modules without settings, functions
without decorators, and constants.

>>> keeps_no_state("def f(n):\n    return sum(range(n))")
True
>>> keeps_no_state("seen = []\ndef f(n):\n    seen.append(n)\n    return len(seen)")
False
"""

import ast
import warnings

_MODULES = frozenset(
    "__future__ bisect cmath collections copy fractions functools heapq itertools math numbers"
    " operator re string typing".split()
)
"""Modules whose functions depend on their arguments alone."""
_BUILTINS = frozenset(
    "breakpoint compile delattr eval exec exit getattr globals help id input locals memoryview open"
    " quit setattr vars".split()
)
"""Built-in functions by which a program may reach what it must not change, or the world outside."""
_IMMUTABLE = (
    ast.Constant,
    ast.Name,
    ast.Tuple,
    ast.UnaryOp,
    ast.BinOp,
    ast.operator,
    ast.unaryop,
    ast.Load,
)
"""Parts of expressions whose value cannot change where no name stands for one that can."""


def keeps_no_state(source: str) -> bool:
    """Whether each call of the source's functions depends on its arguments alone, by its text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return all(map(_is_constant, tree.body)) and not any(map(_may_keep, nodes))


def _is_constant(statement: ast.stmt) -> bool:
    """Whether a top-level statement binds nothing that can change."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        is_named = all(isinstance(target, ast.Name) for target in targets)
        return is_named and (statement.value is None or _is_immutable(statement.value))
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    kinds = ast.FunctionDef | ast.Import | ast.ImportFrom | ast.Pass
    return isinstance(statement, kinds)


def _is_immutable(value: ast.expr) -> bool:
    """Whether an expression is made of numbers, texts, tuples and names."""
    return all(isinstance(one, _IMMUTABLE) for one in ast.walk(value))


def _may_keep(node: ast.AST) -> bool:
    """Whether a part of a program may keep something from call to call."""
    match node:
        case ast.Global() | ast.ClassDef():
            found = True
        case ast.Import(names=names):
            found = not all(_is_pure(one.name) for one in names)
        case ast.ImportFrom(module=module, level=level):
            found = level > 0 or not _is_pure(module or "")
        case ast.Attribute(attr=name, ctx=context):
            found = name.startswith("_") or not isinstance(context, ast.Load)
        case ast.Name(id=name):
            found = name in _BUILTINS or name.startswith("__")
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            found = bool(node.decorator_list) or not _has_immutable_defaults(node.args)
        case ast.Lambda():
            found = not _has_immutable_defaults(node.args)
        case _:
            found = False
    return found


def _is_pure(module: str) -> bool:
    return module.partition(".")[0] in _MODULES


def _has_immutable_defaults(arguments: ast.arguments) -> bool:
    return all(map(_is_immutable, [*arguments.defaults, *filter(None, arguments.kw_defaults)]))
