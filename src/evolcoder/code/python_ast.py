"""Parses untrusted Python source without running it.

Any text, including huge or deeply nested ones, gives a tree or None, never an exception or a
warning. `parse` also rejects sources over `MAX_CHARS`, and trees that cannot be unparsed.

>>> tree_of("x = 1") is None, tree_of("x = ") is None
(False, True)
>>> literal_of("[1, 'a']")
[1, 'a']
"""

import ast
import symtable
import warnings
from collections.abc import Iterator
from typing import Any


def tree_of(code: str) -> ast.Module | None:
    """Parse Python without syntax warnings; None if it does not parse."""
    for _ in range(PARSE_TRIES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        except SystemError:
            continue
    return None


def expression_of(code: str) -> ast.expr | None:
    """Parse one Python expression; None if it is anything else."""
    match tree_of(code.strip()):
        case ast.Module(body=[ast.Expr(value=expression)]):
            return expression
    return None


def literal_of(source: str | ast.expr) -> Any:  # noqa: ANN401 - any literal
    """Evaluate a Python literal, given as text or tree; raises ValueError for anything else.

    That includes what looks like a literal and is none: `{{}}` (a set of a dict), a text that is
    too deep or too long.
    """
    for _ in range(PARSE_TRIES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.literal_eval(source)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(f"not a literal: {type(error).__name__}") from None
        except SystemError:
            continue
    raise ValueError("not a literal")


def is_literal(source: str | ast.expr) -> bool:
    """Whether a text or tree is a Python literal."""
    try:
        literal_of(source)
    except ValueError:
        return False
    return True


PARSE_TRIES = 3
"""CPython 3.11 takes a parse that a finalizer begins within another for an internal error."""
MAX_CHARS = 60_000
"""Longest source that `parse` accepts; responses have a few thousand characters."""
MAX_NODES = 40_000
"""Most nodes of a tree that `parse` accepts."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(source: str) -> ast.Module | None:
    """Parse a source; None if it is not Python, too long, too large or too deeply nested."""
    if len(source) > MAX_CHARS:
        return None
    tree = tree_of(source)
    if tree is None:
        return None
    try:
        ast.unparse(tree)
    except (ValueError, RecursionError, MemoryError):
        return None
    return tree if sum(1 for _ in ast.walk(tree)) <= MAX_NODES else None


def compiles(source: str) -> bool:
    """Whether a source compiles; it is not run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "source", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def definitions(tree: ast.Module) -> dict[str, Definition]:
    """Return the top-level functions and classes by name; later definitions replace earlier."""
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in _names(node.test)


def reachable(tree: ast.Module, entry_point: str) -> list[ast.stmt]:
    """Return the top-level statements that an entry point depends on by name, in source order.

    If the entry point is not defined, these are all statements but the main guard.
    """
    body = [node for node in tree.body if not is_main_guard(node)]
    binders: dict[str, list[int]] = {}
    for place, node in enumerate(body):
        for name in _bound(node):
            binders.setdefault(name, []).append(place)
    first = entry_point.partition(".")[0]
    if first not in binders:
        return body
    wanted, reached, waiting = {first}, set[int](), [first]
    while waiting:
        found = set(binders.get(waiting.pop(), ())) - reached
        reached |= found
        names = {name for place in found for name in _free_names(body[place])} - wanted
        wanted |= names
        waiting += names
    return [body[place] for place in sorted(reached)]


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _free_names(node: ast.stmt) -> set[str]:
    """Return the free names of a statement, without parameters and local variables."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return _names(node)
    try:
        whole = symtable.symtable(ast.unparse(node), "source", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return _names(node)
    names, tables = set[str](), [whole]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        symbols = [symbol for symbol in table.get_symbols() if symbol.is_referenced()]
        names |= {one.get_name() for one in symbols if table is whole or one.is_global()}
    return names


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
