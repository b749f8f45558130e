r"""Selects the top-level statements that a function needs, and recognises stubs.

Guarantees: nothing is run; any text gives a result, in bounded time; kept statements keep their
text. Names that a program only finds by a string (`globals()["helper"]`) are not seen, so a source
with such look-ups keeps all its definitions.

>>> needed("def f():\n    return K\n\nprint(f())\nK = 1\n", ("f",)).source
'def f():\n    return K\n\nK = 1\n'
"""

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evolcoder.code.effects import EFFECTS, ENDS, with_changes
from evolcoder.code.python_ast import tree_of
from evolcoder.code.top_level import (
    SCOPES,
    Piece,
    Replacement,
    bound,
    is_guard,
    is_import,
    joined,
    pieces_of,
)

MAX_STATEMENTS = 4000
"""Most top-level statements of a source that is pruned."""
_BRANCHES = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try, ast.With, ast.Match)
_ACTS = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
"""Without these an expression changes nothing."""
_OUTSIDE = frozenset({"environ", "stdin", "argv"})
"""Attributes of `os` and `sys` with what a program is given from outside."""
_LOOK_UPS = frozenset({"globals", "locals", "vars", "eval", "exec", "getattr", "__import__"})
_TODO = re.compile(
    r"^(?>[^\n#]*#)[^\n]*(?:\.\.\.|…|\btodo\b|\bimplement(?:ation)?\b|\brest of\b"
    r"|\b(?:your|the) (?:code|implementation|solution|logic)\b[^\n]{0,200}\b(?:here|goes)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""Comments that stand for code which is not there."""


_ELIDED = re.compile(
    r"^(?>[^\n#]*#)(?:(?=[^\n]*(?:\.\.\.|…))"
    r"[^\n]*\b(?:rest|existing|same|remaining|previous|unchanged|original)\b"
    r"|(?:[^\n]*#)?[ \t]*(?:the )?(?:rest|remainder) of (?:the |your )?"
    r"(?:function|code|implementation|body|logic))",
    re.IGNORECASE | re.MULTILINE,
)
"""Comments that stand for code shown elsewhere, whatever the function has besides."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A source without the statements that a function does not need."""

    source: str
    """The statements that are kept, with their text."""
    cut: tuple[str, ...]
    """What was removed: `main_guard`, `usage`."""


def needed(source: str, names: Sequence[str], *, given: str = "") -> Pruned:
    """Remove statements that `names` do not need; unchanged if that cannot be decided.

    Statements above the definition stay, unless they wait, end the program, test or only print, or
    read from outside what nothing uses.
    `given` is code at the source's beginning that always stays.
    """
    tree = tree_of(source)
    if tree is None or not names or not 0 < len(tree.body) <= MAX_STATEMENTS:
        return Pruned(source, ())
    lines = source.split("\n")
    pieces = pieces_of(tree, lines)
    last = _definition(pieces, names)
    if last is None:
        return Pruned(source, ())
    every = pieces
    pieces, superseded = _without_redefinitions(pieces, names, last)
    pieces = with_changes(pieces, names)
    wanted = _wanted(pieces, names)
    n_given = given.count("\n")
    kept: list[Piece | Replacement] = []
    cut = ["usage"] if superseded else []
    used, read = set(wanted), _read_from_outside(pieces)
    for piece in reversed(pieces):
        is_kept = _is_kept(piece, wanted, names, is_after=piece.begin > last)
        is_idle = piece.begin in read and piece.binds.isdisjoint(used)
        if piece.begin < n_given or (is_kept and not is_idle):
            kept.append(piece)
            used |= piece.uses
        elif parts := _needed_of_guard(piece, wanted, lines):
            kept.append(parts)
        else:
            cut.append("main_guard" if is_guard(piece) else "usage")
    if not cut and all(isinstance(piece, Piece) for piece in kept):
        return Pruned(source, ())
    return Pruned(joined(every, kept[::-1], lines), tuple(dict.fromkeys(reversed(cut))))


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
    return _lacking(pieces_of(tree, source.split("\n")))


def binding(source: str, names: set[str]) -> str:
    """Return the statements of a source that bind some of the names, with what these need.

    Stubs do not count, and what only prints or tests is not among them.
    """
    tree = tree_of(source)
    if tree is None or len(tree.body) > MAX_STATEMENTS:
        return ""
    lines = source.split("\n")
    pieces = [piece for piece in pieces_of(tree, lines) if not is_guard(piece)]
    pieces = [piece for piece in pieces if not any(map(is_stub, piece.nodes))]
    found = {name for piece in pieces for name in piece.binds} & names
    pieces = with_changes(pieces, tuple(found))
    wanted = _wanted(pieces, tuple(found))
    kept = [piece for piece in pieces if _binds_or_changes(piece, wanted)] if found else []
    return "\n".join("\n".join(lines[piece.begin : piece.end]) for piece in kept)


def bound_names(source: str) -> set[str]:
    """Return the names that the top level of a source binds."""
    tree = tree_of(source)
    return {name for node in tree.body for name in bound(node)} if tree is not None else set()


def is_whole(source: str, names: Sequence[str]) -> bool:
    """Whether a source parses and defines every name, no function of them as a stub only."""
    tree = tree_of(source)
    if tree is None:
        return False
    found = {
        name
        for node in tree.body
        if not is_stub(node) and not _is_foreign(node)
        for name in bound(node)
    }
    if not found.issuperset(names):
        return False
    comments = _TODO.search(source) is not None
    return not comments or not any(
        isinstance(node, SCOPES) and node.name in names and _is_short(node, source)
        for node in tree.body
    )


def _is_foreign(node: ast.stmt) -> bool:
    """Whether a statement imports from a module outside of the standard library."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] not in sys.stdlib_module_names
    return isinstance(node, ast.Import)


def _is_short(node: ast.stmt, source: str) -> bool:
    """Whether comments say that a function's code is missing, and it neither branches nor returns.

    A function with a loop or branch may have such words in a comment on what it does.
    """
    lines = source.split("\n")
    end = node.end_lineno or node.lineno
    while end < len(lines) and lines[end][:1].isspace():
        end += 1  # comments below the last statement
    text = "\n".join(lines[node.lineno - 1 : end])
    if _TODO.search(text) is None:
        return False
    return _ELIDED.search(text) is not None or not any(
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
        if not isinstance(node, SCOPES):
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


def without_imports(source: str, names: set[str]) -> str:
    """Remove imports of `names`, or `*`, alone from modules outside of the standard library.

    What these bind under another name is assigned, and a module of which only `names` are used
    becomes an object with them.
    """
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    pieces = pieces_of(tree, lines)
    kept: list[Piece | Replacement] = []
    for piece in pieces:
        texts = [_of_own_file(node, names, tree) for node in piece.nodes]
        if None in texts:
            kept.append(piece)
        elif text := "\n".join(filter(None, texts)):
            kept.append(Replacement(piece.begin, piece.end, text))
    return joined(pieces, kept, lines) if kept != pieces else source


def _of_own_file(node: ast.stmt, names: set[str], tree: ast.Module) -> str | None:
    """Return what replaces an import of another file of the answer; None for other statements."""
    if isinstance(node, ast.ImportFrom) and _is_foreign(node):
        if any(one.name not in names for one in node.names):
            return None
        renamed = [one for one in node.names if one.asname not in {None, one.name}]
        return "\n".join(f"{one.asname} = {one.name}" for one in renamed)
    if not isinstance(node, ast.Import) or len(node.names) != 1:
        return None
    module = node.names[0]
    name = module.asname or module.name
    if module.name.partition(".")[0] in sys.stdlib_module_names or not name.isidentifier():
        return None
    used = {
        one.attr
        for one in ast.walk(tree)
        if isinstance(one, ast.Attribute)
        and isinstance(one.value, ast.Name)
        and one.value.id == name
    }
    if not used or not used <= names:
        return None
    fields = ", ".join(f"{one}={one}" for one in sorted(used))
    return f"from types import SimpleNamespace\n{name} = SimpleNamespace({fields})"


def starred_imports(source: str) -> str:
    """Return the imports of all names of a module that a source has at its top level."""
    tree = tree_of(source)
    nodes = tree.body if tree is not None else []
    found = [one for one in nodes if isinstance(one, ast.ImportFrom) and one.names[0].name == "*"]
    return "\n".join(map(ast.unparse, found))


def without_stubs(source: str, names: set[str]) -> str:
    """Remove the stubs of functions that are defined elsewhere."""

    def is_left_out(piece: Piece) -> bool:
        return len(piece.nodes) == 1 and is_stub(piece.nodes[0]) and piece.binds <= names

    return _without(source, is_left_out)


def _without(source: str, is_left_out: Callable[[Piece], bool]) -> str:
    """Remove top-level pieces of a source that parses."""
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    pieces = pieces_of(tree, lines)
    kept = [piece for piece in pieces if not is_left_out(piece)]
    return source if len(kept) == len(pieces) else joined(pieces, kept, lines)


def _definition(pieces: Sequence[Piece], names: Sequence[str]) -> int | None:
    """Return the first line of the last piece that defines one of `names`."""
    found = [piece.begin for piece in pieces if not piece.binds.isdisjoint(names)]
    return max(found, default=None)


def _without_redefinitions(
    pieces: Sequence[Piece], names: Sequence[str], last: int
) -> tuple[list[Piece], bool]:
    """Remove stubs of `names` below a complete definition, and imports of what the source defines.

    Such imports are from modules that are not there, such as the file of the program itself.
    """
    own = {name for piece in pieces if not is_import(piece) for name in piece.binds}
    is_lacking = bool(_lacking(pieces))
    seen, kept = set[str](), []
    for piece in pieces:
        if is_import(piece) and any(map(_is_foreign, piece.nodes)):
            is_again = piece.binds <= own or not piece.binds.isdisjoint(seen)
            if is_again or ("*" in piece.binds and not is_lacking):
                continue
        names_here = piece.binds.intersection(names)
        is_again = len(piece.nodes) == 1 and is_stub(piece.nodes[0]) and names_here <= seen
        if names_here and is_again:
            continue
        if not any(map(is_stub, piece.nodes)):
            seen |= names_here
        kept.append(piece)
    return kept, len(kept) < len(pieces) and last >= 0


def _lacking(pieces: Sequence[Piece]) -> set[str]:
    used = {name for piece in pieces for name in piece.uses}
    return used - {name for piece in pieces for name in piece.binds} - set(dir(builtins))


def first_definitions(source: str, names: Sequence[str], begin: int) -> str:
    """Remove functions of `names` from line `begin` on that stand below a complete one."""
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    pieces, seen, kept = pieces_of(tree, lines), set[str](), []
    for piece in pieces:
        here = piece.binds.intersection(names)
        is_function = len(piece.nodes) == 1 and isinstance(piece.nodes[0], SCOPES)
        if here and is_function and here <= seen and piece.begin >= begin:
            continue
        if not any(map(is_stub, piece.nodes)):
            seen |= here
        kept.append(piece)
    return source if len(kept) == len(pieces) else joined(pieces, kept, lines)


def _wanted(pieces: Sequence[Piece], names: Sequence[str]) -> set[str]:
    """Return the names that `names` need, directly or not."""
    by_name: dict[str, list[Piece]] = {}
    for piece in pieces:
        if not is_guard(piece):
            for name in {"*"} if "*" in piece.binds else piece.binds | piece.changes:
                by_name.setdefault(name, []).append(piece)
    wanted = set(names)
    todo = [*names, "*", *EFFECTS]
    while todo:
        for piece in by_name.pop(todo.pop(), ()):
            todo += piece.uses - wanted
            wanted |= piece.uses
    if wanted & _LOOK_UPS:
        wanted |= {
            name
            for piece in pieces
            if all(isinstance(node, (*SCOPES, ast.Assign)) for node in piece.nodes)
            for name in piece.binds
        }
    return wanted


def _binds_or_changes(piece: Piece, wanted: set[str]) -> bool:
    """Whether a piece binds a wanted name, or changes what one holds or how a module works."""
    if not piece.binds.isdisjoint(wanted) or "*" in piece.binds:
        return not is_guard(piece)
    return not is_guard(piece) and not piece.changes.isdisjoint(wanted | EFFECTS)


def _is_kept(piece: Piece, wanted: set[str], names: Sequence[str], *, is_after: bool) -> bool:
    if _binds_or_changes(piece, wanted):
        return True
    return not is_after and not any(_is_demonstration(node, names) for node in piece.nodes)


def _read_from_outside(pieces: Sequence[Piece]) -> set[int]:
    """Return the first lines of assignments of what a program is given from outside.

    Tests give it no input, arguments or variables of the environment, so these may fail.
    """
    names, begins = set[str](), set[int]()
    for piece in pieces:
        if piece.binds and all(
            isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) for node in piece.nodes
        ):
            parts = (part for node in piece.nodes for part in ast.walk(node))
            reads = any(isinstance(one, ast.Attribute) and one.attr in _OUTSIDE for one in parts)
            if reads or not piece.uses.isdisjoint(names):
                names |= piece.binds
                begins.add(piece.begin)
    return begins


def _is_demonstration(node: ast.stmt, names: Sequence[str]) -> bool:
    """Whether a statement above the function only waits, ends, tests, prints or is a lone word."""
    if isinstance(node, ast.Assert) or (isinstance(node, ast.AnnAssign) and node.value is None):
        return True
    if isinstance(node, ast.ImportFrom) and node.level:
        return True  # a file of its own has no package
    if isinstance(node, ast.Expr):
        is_constant = isinstance(node.value, ast.Constant)
        if not is_constant and not any(isinstance(one, _ACTS) for one in ast.walk(node)):
            return True
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "print":
            return True
    if isinstance(node, (*SCOPES, ast.Import, ast.ImportFrom)):
        return False
    inside = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    called_names = {
        one.func.id if isinstance(one.func, ast.Name) else one.func.attr
        for one in inside
        if isinstance(one.func, ast.Name | ast.Attribute)
    }
    return not called_names.isdisjoint({*ENDS, *names})


def _needed_of_guard(piece: Piece, wanted: set[str], lines: Sequence[str]) -> "Replacement | None":
    """Return the needed statements of a main guard without the guard."""
    if not is_guard(piece) or piece.binds.isdisjoint(wanted):
        return None
    node = piece.nodes[0]
    assert isinstance(node, ast.If)
    begin, end = node.body[0].lineno - 1, node.body[-1].end_lineno or node.lineno
    if begin <= node.lineno - 1:
        return None
    text = textwrap.dedent("\n".join(lines[begin:end]))
    part = binding(text, wanted)
    return Replacement(piece.begin, piece.end, part) if part else None
