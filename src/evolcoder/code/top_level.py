"""Splits the top level of a Python source into statements with their lines and names.

Nothing is run. Statements that share a line form one piece, so pieces can be removed and joined
by whole lines.

>>> pieces_of(ast.parse("x = y"), ["x = y"])[0].uses
frozenset({'y'})
"""

import ast
import symtable
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evolcoder.code.python_ast import is_main_guard

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Piece:
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
    """Names whose value they change, and calls of `EFFECTS`."""


def pieces_of(tree: ast.Module, lines: Sequence[str]) -> list[Piece]:
    """Split a source into pieces, in its order; `changes` is filled by `effects.with_changes`."""
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
        Piece(
            begin,
            end,
            tuple(nodes),
            frozenset(name for node in nodes for name in bound(node)),
            frozenset(_used("\n".join(lines[begin:end]), nodes)),
        )
        for begin, end, nodes in groups
    ]


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a top-level statement binds, also within its blocks."""
    if isinstance(node, SCOPES):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (one.asname or one.name.partition(".")[0] for one in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.AnnAssign) and node.value is None:
        return
    for child in ast.iter_child_nodes(node):
        yield from bound(child)


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


def is_import(piece: Piece) -> bool:
    """Whether a piece consists of imports."""
    return all(isinstance(node, ast.Import | ast.ImportFrom) for node in piece.nodes)


def is_guard(piece: Piece) -> bool:
    """Whether a piece is `if __name__ == "__main__":`."""
    return len(piece.nodes) == 1 and is_main_guard(piece.nodes[0])


@dataclass(frozen=True, slots=True)
class Replacement:
    """Text in place of a piece."""

    begin: int
    end: int
    text: str


def joined(
    pieces: Sequence[Piece], kept: Sequence[Piece | Replacement], lines: Sequence[str]
) -> str:
    """Join the kept ones of `pieces`, with the blank lines and comments above them."""
    above, at = {}, 0
    for piece in pieces:
        above[piece.begin] = at
        at = piece.end
    parts, at = [], 0
    for one in kept:
        begin = above.get(one.begin, one.begin)
        # Comments above a piece stay only if what is above them stays too.
        lead = lines[begin : one.begin] if begin == at else [""]
        text = one.text if isinstance(one, Replacement) else "\n".join(lines[one.begin : one.end])
        parts += [*lead, text]
        at = one.end
    return "\n".join(parts).rstrip() + "\n"
