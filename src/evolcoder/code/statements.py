r"""Top-level statements of a Python source: what a function needs, and which are stubs.

Guarantees: nothing is run; any text gives a result, in bounded time; kept statements keep their
text. Names that a program only finds by a string (`globals()["helper"]`) are not seen, so a source
with such look-ups keeps all its definitions.

>>> needed("def f():\n    return K\n\nprint(f())\nK = 1\n", ("f",)).source
'def f():\n    return K\n\nK = 1\n'
"""

import ast
import builtins
import re
import symtable
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evolcoder.code.python_ast import is_main_guard, tree_of

MAX_TRIES = 24
"""Most times that a broken text is parsed; otherwise the work would be quadratic."""
MAX_PARSED = 4_000_000
"""Most characters parsed in search of one program."""
MAX_STATEMENTS = 4000
"""Most top-level statements of a source that is pruned."""

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BRANCHES = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try, ast.With, ast.Match)
_CLOSERS = (")", "]", "}")
_LOOK_UPS = frozenset({"globals", "locals", "vars", "eval", "exec", "getattr", "__import__"})
_EFFECTS = frozenset(
    "setrecursionlimit set_int_max_str_digits stack_size seed filterwarnings simplefilter"
    " setlocale getcontext setcontext".split()
)
"""Calls that change how a function runs, such as `sys.setrecursionlimit`."""
_ENDS = frozenset({"input", "exit", "quit", "breakpoint", "_exit", "main", "testmod", "help"})
"""Calls that wait, end the program or run tests."""
_TODO = re.compile(
    r"#[^\n]*(?:\.\.\.|…|\btodo\b|\b(?:your|the) (?:code|implementation|solution|logic)\b[^\n]*"
    r"\b(?:here|goes)\b|\bimplement(?:ation)?\b|\brest of\b)",
    re.IGNORECASE,
)
"""Comments that stand for code which is not there."""
_MAY_BIND = re.compile(
    r"(?:async\s+def|def|class|from|import|@|[A-Za-z_]\w*\s*(?::[^=\n]*)?=(?!=))"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """A source without the statements that a function does not need."""

    source: str
    """The statements that are kept, with their text."""
    cut: tuple[str, ...]
    """What was removed: `main_guard`, `usage`."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Top-level statements that share lines, most often one."""

    begin: int
    """First line, from 0."""
    end: int
    """Line after the last one."""
    nodes: tuple[ast.stmt, ...]
    """The statements."""
    binds: frozenset[str]
    """Names that they bind."""
    uses: frozenset[str]
    """Global names that they use."""
    changes: frozenset[str] = frozenset()
    """Names whose value they change, and calls of `_EFFECTS`."""


def needed(source: str, names: Sequence[str], *, given: str = "") -> Pruned:
    """Remove what defines nothing that `names` need; unchanged if that cannot be told.

    Statements above the definition stay, unless they wait, end the program, test or only print.
    `given` is code at the source's beginning that always stays.
    """
    tree = tree_of(source)
    if tree is None or not names or not 0 < len(tree.body) <= MAX_STATEMENTS:
        return Pruned(source, ())
    lines = source.split("\n")
    pieces = _pieces(tree, lines)
    last = _definition(pieces, names)
    if last is None:
        return Pruned(source, ())
    pieces, superseded = _without_redefinitions(pieces, names, last)
    pieces = _with_changes(pieces, names)
    wanted = _wanted(pieces, names)
    n_given = given.count("\n")
    kept: list[_Piece | _Text] = []
    cut = ["usage"] if superseded else []
    for piece in pieces:
        if piece.begin < n_given or _is_kept(piece, wanted, names, is_after=piece.begin > last):
            kept.append(piece)
        elif parts := _needed_of_guard(piece, wanted, lines):
            kept.append(parts)
        else:
            cut.append("main_guard" if _is_guard(piece) else "usage")
    if not cut and all(isinstance(piece, _Piece) for piece in kept):
        return Pruned(source, ())
    return Pruned(_joined(pieces, kept, lines), tuple(dict.fromkeys(cut)))


def without_last_comments(source: str) -> str:
    """Remove comments below the last statement."""
    tree = tree_of(source)
    if tree is None or not tree.body:
        return source
    lines = source.split("\n")
    end = tree.body[-1].end_lineno or len(lines)
    return "\n".join(lines[:end]) + "\n" if any(map(str.strip, lines[end:])) else source


def unbound(source: str) -> set[str]:
    """Return the names that a source uses and neither it nor Python defines."""
    tree = tree_of(source)
    if tree is None:
        return set()
    pieces = _pieces(tree, source.split("\n"))
    used = {name for piece in pieces for name in piece.uses}
    return used - {name for piece in pieces for name in piece.binds} - set(dir(builtins))


def binding(source: str, names: set[str]) -> str:
    """Return the statements of a source that bind some of the names, with what these need.

    Stubs do not count, and what only prints or tests is not among them.
    """
    tree = tree_of(source)
    if tree is None or len(tree.body) > MAX_STATEMENTS:
        return ""
    lines = source.split("\n")
    pieces = [piece for piece in _pieces(tree, lines) if not _is_guard(piece)]
    pieces = [piece for piece in pieces if not any(map(is_stub, piece.nodes))]
    found = {name for piece in pieces for name in piece.binds} & names
    pieces = _with_changes(pieces, tuple(found))
    wanted = _wanted(pieces, tuple(found))
    kept = [piece for piece in pieces if _binds_or_changes(piece, wanted)] if found else []
    return "\n".join("\n".join(lines[piece.begin : piece.end]) for piece in kept)


def bound_names(source: str) -> set[str]:
    """Return the names that the top level of a source binds."""
    tree = tree_of(source)
    return {name for node in tree.body for name in _bound(node)} if tree is not None else set()


def is_whole(source: str, names: Sequence[str]) -> bool:
    """Whether a source parses and defines every name, no function of them as a stub only."""
    tree = tree_of(source)
    if tree is None:
        return False
    found = {
        name
        for node in tree.body
        if not is_stub(node) and not _is_foreign(node)
        for name in _bound(node)
    }
    if not found.issuperset(names):
        return False
    comments = _TODO.search(source) is not None
    return not comments or not any(
        isinstance(node, _SCOPES) and node.name in names and _is_short(node, source)
        for node in tree.body
    )


def _is_foreign(node: ast.stmt) -> bool:
    """Whether a statement imports from what is no module of the standard library."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] not in sys.stdlib_module_names
    return isinstance(node, ast.Import)


def _is_short(node: ast.stmt, source: str) -> bool:
    """Whether comments say that a function's code is missing, and it neither branches nor returns.

    A function with a loop or branch may have such words in a comment on what it does.
    """
    text = "\n".join(source.split("\n")[node.lineno - 1 : node.end_lineno])
    if _TODO.search(text) is None:
        return False
    return not any(
        isinstance(one, _BRANCHES)
        or (
            isinstance(one, ast.Return | ast.Yield)
            and not isinstance(one.value, ast.Constant | type(None))
        )
        for one in ast.walk(node)
    )


def is_stub(node: ast.stmt) -> bool:
    """Whether a function has no code of its own, or ellipses in place of some."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = [line for line in node.body if not _is_empty(line)]
    return not body or any(map(_is_ellipsis, _own_nodes(node)))


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes within a function, but not those of functions and classes within it."""
    nodes = list(ast.iter_child_nodes(scope))
    while nodes:
        node = nodes.pop()
        yield node
        if not isinstance(node, _SCOPES):
            nodes += ast.iter_child_nodes(node)


def _is_empty(line: ast.stmt) -> bool:
    if isinstance(line, ast.Raise):
        return "NotImplemented" in ast.dump(line)
    return isinstance(line, ast.Pass) or (
        isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    )


def _is_ellipsis(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr | ast.Return) else None
    return isinstance(value, ast.Constant) and value.value is ...


def without_stubs(source: str, names: set[str]) -> str:
    """Remove the stubs of functions that are defined elsewhere."""
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    pieces = _pieces(tree, lines)
    kept = [
        piece
        for piece in pieces
        if not (len(piece.nodes) == 1 and is_stub(piece.nodes[0]) and piece.binds <= names)
    ]
    return source if len(kept) == len(pieces) else _joined(pieces, kept, lines)


def parsing_part(source: str, names: Sequence[str], *, given: int = 0) -> tuple[str, str]:
    """Return what parses of a broken text that defines `names`, and the text after it.

    Prose above the definition is removed line by line, and everything from the first broken
    top-level statement below it. The definition itself may only lose what follows a complete
    `return`. The first `given` lines stay. Returns two empty texts if that is not enough.
    """
    lines = source.split("\n")
    head = _first_head(lines, names, given)
    end = len(lines)
    n_tries = max(2, min(MAX_TRIES, MAX_PARSED // (1 + len(source))))
    for _ in range(n_tries):
        text = "\n".join(lines[:end])
        error = _error_line(text)
        if error is None:
            is_cut_inside = end < len(lines) and not _begins_top(lines[end])
            if is_cut_inside and not _ends_with_return(text, names):
                return "", ""
            return (text, "\n".join(lines[end:])) if head is not None else ("", "")
        if head is None:
            return "", ""
        error = min(error, end - 1)
        if error < head:
            begin = max(_top_before(lines, error), given)
            after = min(_top_after(lines, error), head)
            if begin >= after:
                return "", ""
            del lines[begin:after]
            head, end = head - (after - begin), end - (after - begin)
            continue
        begin = _top_before(lines, error)
        end = begin if begin > head else error
        if end <= head + (0 if given else 1):
            return "", ""
    return "", ""


def defining_parts(source: str, names: set[str]) -> str:
    """Return the top-level chunks of a text that need not parse which bind some of the names."""
    lines, found = source.split("\n"), []
    tops = [at for at, line in enumerate(lines) if _begins_top(line)][:MAX_TRIES]
    for begin, end in zip(tops, [*tops[1:], len(lines)], strict=True):
        if _MAY_BIND.match(lines[begin]):
            chunk = "\n".join(lines[begin:end])
            if part := binding(chunk, names):
                found.append(part)
    return "\n".join(found)


def _first_head(lines: Sequence[str], names: Sequence[str], given: int) -> int | None:
    """Return the line that defines the first of `names`; with a given prompt, its last line."""
    if given:
        return given
    heads = [re.compile(rf"(?:(?:async\s+)?def|class)\s+{re.escape(n)}\b|{re.escape(n)}\s*[:=]")
             for n in names]  # fmt: skip
    return next((at for at, line in enumerate(lines) if any(h.match(line) for h in heads)), None)


def _begins_top(line: str) -> bool:
    return line[:1].strip() != "" and not line.startswith(_CLOSERS)


def _top_before(lines: Sequence[str], at: int) -> int:
    return next((n for n in range(at, -1, -1) if _begins_top(lines[n])), 0)


def _top_after(lines: Sequence[str], at: int) -> int:
    return next((n for n in range(at + 1, len(lines)) if _begins_top(lines[n])), len(lines))


def _error_line(text: str) -> int | None:
    """Return the line, from 0, where a text stops being Python; None if it is Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        return max((error.lineno or 1) - 1, 0)
    except (ValueError, RecursionError, MemoryError):
        return 0
    outside = [node for node in tree.body if _returns_outside(node)]
    return outside[0].lineno - 1 if outside else None


def _returns_outside(node: ast.AST) -> bool:
    """Whether a `return` or `yield` stands outside of a function, which only compiling notices."""
    if isinstance(node, (*_SCOPES, ast.Lambda)):
        return False
    if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
        return True
    return any(map(_returns_outside, ast.iter_child_nodes(node)))


def is_program(source: str) -> bool:
    """Whether a source is Python and no `return` stands outside of a function."""
    try:
        return _error_line(source) is None
    except RecursionError:
        return False


def is_body(source: str) -> bool:
    """Whether a source is the body of a function: Python with a `return` outside of functions."""
    tree = tree_of(source)
    return tree is not None and any(map(_returns_outside, tree.body))


def _ends_with_return(text: str, names: Sequence[str]) -> bool:
    """Whether the last statement is a function of `names` that ends by `return` or `raise`."""
    tree = tree_of(text)
    last = tree.body[-1] if tree is not None and tree.body else None
    if not isinstance(last, _SCOPES) or (names and last.name not in names):
        return False
    return isinstance(last.body[-1], ast.Return | ast.Raise)


def _pieces(tree: ast.Module, lines: Sequence[str]) -> list[_Piece]:
    groups: list[tuple[int, int, list[ast.stmt]]] = []
    for node in tree.body:
        decorators = getattr(node, "decorator_list", [])
        begin = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        end = node.end_lineno or node.lineno
        if groups and begin < groups[-1][1]:
            groups[-1] = groups[-1][0], max(end, groups[-1][1]), [*groups[-1][2], node]
        else:
            groups.append((begin, end, [node]))
    return [
        _Piece(
            begin,
            end,
            tuple(nodes),
            frozenset(name for node in nodes for name in _bound(node)),
            frozenset(_used("\n".join(lines[begin:end]), nodes)),
        )
        for begin, end, nodes in groups
    ]


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a top-level statement binds, also within its blocks."""
    if isinstance(node, _SCOPES):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (one.asname or one.name.partition(".")[0] for one in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.AnnAssign) and node.value is None:
        return
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _used(text: str, nodes: Iterable[ast.stmt]) -> set[str]:
    """Return the global names that statements use, without parameters and local variables."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = [symtable.symtable(text, "source", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = (part for node in nodes for part in ast.walk(node))
        return {part.id for part in found if isinstance(part, ast.Name)}
    names, whole = set[str](), tables[0]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        symbols = table.get_symbols()
        names |= {
            one.get_name()
            for one in symbols
            if (one.is_referenced() and table is whole)
            or (one.is_global() and (one.is_referenced() or one.is_declared_global()))
        }
    return names


def _definition(pieces: Sequence[_Piece], names: Sequence[str]) -> int | None:
    """Return the first line of the last piece that defines one of `names`."""
    found = [piece.begin for piece in pieces if not piece.binds.isdisjoint(names)]
    return max(found, default=None)


def _without_redefinitions(
    pieces: Sequence[_Piece], names: Sequence[str], last: int
) -> tuple[list[_Piece], bool]:
    """Remove stubs of `names` below a complete definition."""
    seen, kept = set[str](), []
    for piece in pieces:
        if any(map(_is_foreign, piece.nodes)) and not piece.binds.isdisjoint(seen):
            continue
        names_here = piece.binds.intersection(names)
        is_again = len(piece.nodes) == 1 and is_stub(piece.nodes[0]) and names_here <= seen
        if names_here and is_again:
            continue
        if not any(map(is_stub, piece.nodes)):
            seen |= names_here
        kept.append(piece)
    return kept, len(kept) < len(pieces) and last >= 0


def first_definitions(source: str, names: Sequence[str], begin: int) -> str:
    """Remove functions of `names` from line `begin` on that stand below a complete one."""
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    pieces, seen, kept = _pieces(tree, lines), set[str](), []
    for piece in pieces:
        here = piece.binds.intersection(names)
        is_function = len(piece.nodes) == 1 and isinstance(piece.nodes[0], _SCOPES)
        if here and is_function and here <= seen and piece.begin >= begin:
            continue
        if not any(map(is_stub, piece.nodes)):
            seen |= here
        kept.append(piece)
    return source if len(kept) == len(pieces) else _joined(pieces, kept, lines)


def _wanted(pieces: Sequence[_Piece], names: Sequence[str]) -> set[str]:
    """Return the names that `names` need, directly or not."""
    by_name: dict[str, list[_Piece]] = {}
    for piece in pieces:
        if not _is_guard(piece):
            for name in {"*"} if "*" in piece.binds else piece.binds | piece.changes:
                by_name.setdefault(name, []).append(piece)
    wanted = set(names)
    todo = [*names, "*", *_EFFECTS]
    while todo:
        for piece in by_name.pop(todo.pop(), ()):
            todo += piece.uses - wanted
            wanted |= piece.uses
    if wanted & _LOOK_UPS:
        wanted |= {
            name
            for piece in pieces
            if all(isinstance(node, (*_SCOPES, ast.Assign)) for node in piece.nodes)
            for name in piece.binds
        }
    return wanted


def _binds_or_changes(piece: _Piece, wanted: set[str]) -> bool:
    """Whether a piece binds a wanted name, or changes what one holds or how a module works."""
    if not piece.binds.isdisjoint(wanted) or "*" in piece.binds:
        return not _is_guard(piece)
    return not _is_guard(piece) and not piece.changes.isdisjoint(wanted | _EFFECTS)


def _with_changes(pieces: Sequence[_Piece], names: Sequence[str]) -> list[_Piece]:
    """Add to pieces what they change, also by a call of another function or by a decorator.

    A call that mentions `names` is a usage, so it does not count; neither does one that prints.
    """
    modules = {name for piece in pieces if _is_import(piece) for name in piece.binds}
    effects = _effects_of_functions(pieces, names)
    own = {name for piece in pieces for name in piece.binds} - modules
    found = []
    for piece in pieces:
        changes = set[str]()
        for node in piece.nodes:
            if isinstance(node, _SCOPES):
                registries = _registered(node) & own - piece.binds
                changes |= registries.union(*(effects.get(one, ()) for one in registries))
                continue
            parts = list(ast.walk(node))
            changes.update(name for part in parts for name in _changed(part))
            if _may_set_up(piece, parts, names):
                changes |= _changed_by_calls(parts, effects, modules) & own
        found.append(replace(piece, changes=frozenset(changes)))
    return found


def _is_import(piece: _Piece) -> bool:
    return all(isinstance(node, ast.Import | ast.ImportFrom) for node in piece.nodes)


def _registered(node: _Scope) -> set[str]:
    """Return the names to which a definition may be added: those of its decorators and bases."""
    bases = list[ast.expr]()
    if isinstance(node, ast.ClassDef):
        bases = [*node.bases, *(one.value for one in node.keywords)]
    return {name for one in [*node.decorator_list, *bases] for name in _root(one)}


def _may_set_up(piece: _Piece, parts: Sequence[ast.AST], names: Sequence[str]) -> bool:
    """Whether calls of a statement may be there for their effect: it neither tests nor prints."""
    if not piece.uses.isdisjoint(names) or any(isinstance(one, ast.Assert) for one in parts):
        return False
    return _called(parts).isdisjoint({"print", *_ENDS})


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


def _scopes(pieces: Sequence[_Piece]) -> Iterator[tuple[_Piece, _Scope]]:
    """Yield the functions and classes of pieces."""
    for piece in pieces:
        yield from ((piece, node) for node in piece.nodes if isinstance(node, _SCOPES))


def _effects_of(parts: Sequence[ast.AST], piece: _Piece) -> frozenset[str]:
    """Return the global names that a function itself changes, and `_ARGUMENTS`."""
    stated = {name for one in parts if isinstance(one, ast.Global) for name in one.names}
    parameters = {one.arg for one in parts if isinstance(one, ast.arg)} - {"self", "cls"}
    changed = {name for one in parts for name in _changed(one)}
    arguments = set() if parameters.isdisjoint(changed) else {_ARGUMENTS}
    return frozenset(stated | changed & piece.uses | arguments)


_ARGUMENTS = "()"
"""Among the names that a function changes: those of its arguments."""


def _effects_of_functions(
    pieces: Sequence[_Piece], names: Sequence[str]
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
        if not (piece.uses.isdisjoint(names) and called.isdisjoint(_ENDS)):
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
    """Yield names whose value a node changes: `x[0] = 1`, `x.a = 1`, `x.append(1)`."""
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(
        node.ctx, ast.Store | ast.Del
    ):
        yield from _root(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in _EFFECTS:
            yield node.func.attr
        elif node.func.attr in _CHANGING:
            yield from _root(node.func)
    elif (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _EFFECTS
    ):
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


def _is_kept(piece: _Piece, wanted: set[str], names: Sequence[str], *, is_after: bool) -> bool:
    if _binds_or_changes(piece, wanted):
        return True
    return not is_after and not any(_is_demonstration(node, names) for node in piece.nodes)


def _is_demonstration(node: ast.stmt, names: Sequence[str]) -> bool:
    """Whether a statement above the function only waits, ends, tests, prints or is a lone word."""
    if isinstance(node, ast.Assert) or (isinstance(node, ast.AnnAssign) and node.value is None):
        return True
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Name | ast.Attribute):
            return True
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "print":
            return True
    if isinstance(node, (*_SCOPES, ast.Import, ast.ImportFrom)):
        return False
    inside = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    called_names = {
        one.func.id if isinstance(one.func, ast.Name) else one.func.attr
        for one in inside
        if isinstance(one.func, ast.Name | ast.Attribute)
    }
    return not called_names.isdisjoint({*_ENDS, *names})


def _is_guard(piece: _Piece) -> bool:
    return len(piece.nodes) == 1 and is_main_guard(piece.nodes[0])


def _needed_of_guard(piece: _Piece, wanted: set[str], lines: Sequence[str]) -> "_Text | None":
    """Return the needed statements of a main guard without the guard."""
    if not _is_guard(piece) or piece.binds.isdisjoint(wanted):
        return None
    node = piece.nodes[0]
    assert isinstance(node, ast.If)
    begin, end = node.body[0].lineno - 1, node.body[-1].end_lineno or node.lineno
    if begin <= node.lineno - 1:
        return None
    text = textwrap.dedent("\n".join(lines[begin:end]))
    part = binding(text, wanted)
    return _Text(piece.begin, piece.end, part) if part else None


@dataclass(frozen=True, slots=True)
class _Text:
    """Text in place of a piece."""

    begin: int
    end: int
    text: str


def _joined(pieces: Sequence[_Piece], kept: Sequence[_Piece | _Text], lines: Sequence[str]) -> str:
    """Join pieces with the blank lines and comments above them."""
    above, at = {}, 0
    for piece in pieces:
        above[piece.begin] = at
        at = piece.end
    parts, at = [], 0
    for one in kept:
        begin = above.get(one.begin, one.begin)
        # Comments above a piece stay only if what is above them stays too.
        lead = lines[begin : one.begin] if begin == at else [""]
        text = one.text if isinstance(one, _Text) else "\n".join(lines[one.begin : one.end])
        parts += [*lead, text]
        at = one.end
    return "\n".join(parts).rstrip() + "\n"
