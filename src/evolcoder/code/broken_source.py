r"""Finds what parses of a text that is partly Python: a program within prose, or cut off.

Nothing is run. The number of tries is bounded, so hostile texts take linear time.

>>> parsing_part("Here it is:\ndef f():\n    return 1\nThat is all.", ("f",))
('def f():\n    return 1', 'That is all.')
"""

import ast
import re
import warnings
from collections.abc import Sequence

from evolcoder.code.python_ast import tree_of
from evolcoder.code.statements import binding
from evolcoder.code.top_level import SCOPES

MAX_TRIES = 24
"""Most times that a broken text is parsed; otherwise the work would be quadratic."""
MAX_PARSED = 4_000_000
"""Most characters parsed in search of one program."""
_CLOSERS = (")", "]", "}")
_MAY_BIND = re.compile(
    r"(?:async\s+def|def|class|from|import|@|[A-Za-z_]\w*\s*(?::[^=\n]*)?=(?!=))"
)


def parsing_part(source: str, names: Sequence[str], *, given: int = 0) -> tuple[str, str]:
    """Return the part of a broken text that parses and defines `names`, and the text after it.

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
    for begin, end in zip(tops, [*tops, len(lines)][1:], strict=True):
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
    if isinstance(node, (*SCOPES, ast.Lambda)):
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
    if not isinstance(last, SCOPES) or (names and last.name not in names):
        return False
    return isinstance(last.body[-1], ast.Return | ast.Raise)
