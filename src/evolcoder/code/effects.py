"""Finds what top-level statements change: values of names, registries, settings of modules.

A call such as `cache.update(...)`, or a decorator that registers a definition, changes a name that
other statements read; what needs that name needs the call or the definition too.

>>> pieces = pieces_of(tree, lines)   # doctest: +SKIP
>>> with_changes(pieces, ("f",))[1].changes   # doctest: +SKIP
frozenset({'cache'})
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from evolcoder.code.top_level import SCOPES, Piece, Scope, is_import

EFFECTS = frozenset(
    "setrecursionlimit set_int_max_str_digits stack_size seed filterwarnings simplefilter"
    " setlocale getcontext setcontext".split()
)
"""Calls that change how a function runs, such as `sys.setrecursionlimit`."""
ENDS = frozenset(
    "input exit quit breakpoint _exit abort kill main testmod help open parse_args"
    " parse_known_args".split()
)
"""Calls that wait, end the program, run tests or need files or arguments that are not there."""


def with_changes(pieces: Sequence[Piece], names: Sequence[str]) -> list[Piece]:
    """Add to pieces what they change, also by a call of another function or by a decorator.

    A call that mentions `names` is a usage, so it does not count; neither does one that prints.
    """
    modules = {name for piece in pieces if is_import(piece) for name in piece.binds}
    effects = _effects_of_functions(pieces, names)
    own = {name for piece in pieces for name in piece.binds} - modules
    found = []
    for piece in pieces:
        changes = set[str]()
        for node in piece.nodes:
            if isinstance(node, SCOPES):
                registries = _registered(node) & own - piece.binds
                changes |= registries.union(*(effects.get(one, ()) for one in registries))
                continue
            parts = list(ast.walk(node))
            changes.update(name for part in parts for name in _changed(part))
            if _may_set_up(piece, parts, names):
                changes |= _changed_by_calls(parts, effects, modules) & own
        found.append(replace(piece, changes=frozenset(changes)))
    return found


def _registered(node: Scope) -> set[str]:
    """Return the names to which a definition may be added: those of its decorators and bases."""
    bases = list[ast.expr]()
    if isinstance(node, ast.ClassDef):
        bases = [*node.bases, *(one.value for one in node.keywords)]
    return {name for one in [*node.decorator_list, *bases] for name in _root(one)}


def _may_set_up(piece: Piece, parts: Sequence[ast.AST], names: Sequence[str]) -> bool:
    """Whether calls of a statement may be there for their effect: it neither tests nor prints."""
    if not piece.uses.isdisjoint(names) or any(isinstance(one, ast.Assert) for one in parts):
        return False
    return _called(parts).isdisjoint({"print", *ENDS})


def _called(parts: Iterable[ast.AST]) -> set[str]:
    """Return the names of the functions and methods that nodes call."""
    called = (one.func for one in parts if isinstance(one, ast.Call))
    return {
        one.id if isinstance(one, ast.Name) else one.attr
        for one in called
        if isinstance(one, ast.Name | ast.Attribute)
    }


def _changed_by_calls(
    parts: Iterable[ast.AST], effects: Mapping[str, frozenset[str]], modules: set[str]
) -> set[str]:
    """Return the names that calls of a program's functions or of modules' functions may change."""
    changes = set[str]()
    for call in parts:
        if not isinstance(call, ast.Call):
            continue
        root = next(_root(call.func), "")
        changes |= effects.get(root, frozenset())
        takes = _ARGUMENTS in effects.get(root, ())
        if takes or root in modules or root in {"setattr", "delattr"}:
            values = (one.value if isinstance(one, ast.Starred) else one for one in call.args)
            changes.update(name for one in values for name in _root(one))
    return changes


def _scopes(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Scope]]:
    """Yield the functions and classes of pieces."""
    for piece in pieces:
        yield from ((piece, node) for node in piece.nodes if isinstance(node, SCOPES))


def _effects_of(parts: Sequence[ast.AST], piece: Piece) -> frozenset[str]:
    """Return the global names that a function itself changes, and `_ARGUMENTS`."""
    stated = {name for one in parts if isinstance(one, ast.Global) for name in one.names}
    parameters = {one.arg for one in parts if isinstance(one, ast.arg)} - {"self", "cls"}
    changed = {name for one in parts for name in _changed(one)}
    arguments = set() if parameters.isdisjoint(changed) else {_ARGUMENTS}
    return frozenset(stated | changed & piece.uses | arguments)


_ARGUMENTS = "()"
"""Among the names that a function changes: those of its arguments."""


def _effects_of_functions(
    pieces: Sequence[Piece], names: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Return the global names that each function changes, itself or by the functions it calls.

    Functions that call one of `names` or wait for input are tests of it, so they are left out.
    """
    own: dict[str, frozenset[str]] = {}
    callers: dict[str, set[str]] = {}
    tests = list[str]()
    for piece, node in _scopes(pieces):
        parts = list(ast.walk(node))
        own[node.name] = _effects_of(parts, piece)
        called = _called(parts)
        for name in called:
            callers.setdefault(name, set()).add(node.name)
        if not (piece.uses.isdisjoint(names) and called.isdisjoint(ENDS)):
            tests.append(node.name)
    while tests:
        name = tests.pop()
        if own.pop(name, None) is not None:
            tests += callers.get(name, ())
    todo = list(own)
    while todo:
        name = todo.pop()
        for caller in callers.get(name, set()) & own.keys():
            if not own[name] <= own[caller]:
                own[caller] |= own[name]
                todo.append(caller)
    return own


def _changed(node: ast.AST) -> Iterator[str]:
    """Yield names whose value a node changes: `x[0] = 1`, `x.append(1)`, `del x`."""
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(
        node.ctx, ast.Store | ast.Del
    ):
        yield from _root(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
        yield node.id
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in EFFECTS:
            yield node.func.attr
        elif node.func.attr in _CHANGING:
            yield from _root(node.func)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EFFECTS:
        yield node.func.id


_CHANGING = frozenset(
    "append extend insert add update setdefault push appendleft extendleft remove discard pop"
    " clear sort reverse register".split()
)
"""Methods that change their object."""


def _root(node: ast.expr) -> Iterator[str]:
    """Yield the name at the beginning of `x.a[0].b`."""
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    if isinstance(inner, ast.Name):
        yield inner.id
