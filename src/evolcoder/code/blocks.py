r"""Which program an answer holds, in which language; or why it holds none that can be looked at.

Promises: any text ends in a `Found`, in time that grows with its length alone. The language is that
of the fence; where a fence names none, the first that the task names, and where the program is not
of that language, the others that it names (`instead`). Of an answer with several languages the
program is the part in the task's language, else the longest. Several blocks of one language may
be parts of one program or versions of it, so there are several ways to read them, best first.
Prose with code between its lines and no fence is not taken apart.

>>> found("```python\nx = 1\n```", []).sources
('x = 1',)
"""

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evolcoder.code.python_ast import tree_of
from evolcoder.text import CodeBlock, code_blocks, code_lines, has_code

MOST_CHARS = 200_000
"""Longest text that is looked at."""
_GUESSED_CHARS = 20_000
"""Longest source whose language is guessed by parsing it."""
_BESIDE = frozenset({"bash", "sql", "css", "html"})
"""Languages of commands, data and pages; beside another language they are not the program."""
_MARKS: Mapping[str, re.Pattern[str]] = {
    "php": re.compile(r"\s*<\?php"),
    "html": re.compile(r"\s*<(?:!DOCTYPE|html|head|body|div|form|script|table|ul|p|h\d)\b", re.I),
    "bash": re.compile(r"\s*#!.*\b(?:ba|z)?sh\b"),
    "python": re.compile(r"\s*#!.*\bpython"),
}
"""Beginnings that leave no doubt."""
_REMARK = re.compile(r"\s*(?:#|//|/\*|\*|--|<!--|;;)")
_PROSE = re.compile(r"\s*[A-Z][\w',]*(?: [\w'`,():-]+){4,}.*[.:!?]\s*$")
_SHOWS_OUTPUT = re.compile(r"^[^\n`]*\boutput\b[^\n`]*:?[ \t]*\n\s*```[ \t]*\n", re.I | re.M)
"""Words right before a fence of no language by which it holds what a program prints."""
_TELLING = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.For, ast.Assign)


@dataclass(frozen=True, slots=True)
class FoundProgram:
    """The program of an answer."""

    language: str | None
    """Its language, if it is known."""
    sources: tuple[str, ...] = field(repr=False)
    """Ways to read the program out of the answer, best first; empty where there is none."""
    instead: tuple[str, ...]
    """Other languages that it may be of, where only the task says which."""
    beside: tuple[str, ...]
    """Other languages that the answer has blocks in."""
    why: str
    """Why there is no program; else empty."""


def found(text: str, named: Sequence[str]) -> FoundProgram:
    """Find the program of an answer to a task that names these languages, the main one first."""
    language = named[0] if named else None
    if len(text) > MOST_CHARS:
        return _none(language, "too_long")
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    if len(blocks) == 1 and _is_output(text, blocks[0]):
        return _none(language, "shows_output")
    return _in_blocks(blocks, named) if blocks else _unfenced(text, named)


def _is_output(text: str, block: CodeBlock) -> bool:
    """Tell whether a fence of no language holds what a program prints, and not the program."""
    told = block.language is None and _SHOWS_OUTPUT.search(text) is not None
    return told and not code_lines(block.code)


def _in_blocks(blocks: list[CodeBlock], named: Sequence[str]) -> FoundProgram:
    by_language: dict[str, list[str]] = {}
    for block in blocks:
        if block.language is not None:
            by_language.setdefault(block.language, []).append(_flush(block.code))
    if not by_language:
        return _unnamed([_flush(block.code) for block in blocks], named)
    main = named[0] if named and named[0] in by_language else _longest(by_language)
    beside = tuple(sorted(by_language.keys() - {main}))
    return FoundProgram(main, _readings(by_language[main]), (), beside, "")


def _unnamed(codes: list[str], named: Sequence[str]) -> FoundProgram:
    """Say of which language code may be that no fence names."""
    longest = max(codes, key=len)
    marked = _mark(longest)
    may_be = [marked] if marked else named or _guess(longest)
    if not may_be:
        return _none(None, "language_unknown")
    return FoundProgram(may_be[0], _readings(codes), tuple(may_be[1:]), (), "")


def _longest(by_language: dict[str, list[str]]) -> str:
    """Name the language with most code, those that stand beside programs last."""
    sizes = {name: sum(map(len, codes)) for name, codes in by_language.items()}
    return max(sizes, key=lambda name: (name not in _BESIDE, sizes[name]))


def _readings(codes: list[str]) -> tuple[str, ...]:
    """Read blocks as parts of one program, then as versions: the longest, and the last."""
    return tuple(dict.fromkeys(("\n\n".join(codes), max(codes, key=len), codes[-1])))


def _mark(code: str) -> str | None:
    return next((name for name, mark in _MARKS.items() if mark.match(code)), None)


def _unfenced(text: str, named: Sequence[str]) -> FoundProgram:
    language = named[0] if named else None
    if _mark(text) is None and not has_code(text):
        return _none(language, "no_code")
    if _mark(text) is None and not _is_all_code(text):
        return _none(language, "among_prose" if code_lines(text) else "no_code")
    return _unnamed([_flush(text.strip("\n"))], named)


def _is_all_code(text: str) -> bool:
    """Tell whether no line reads as a sentence and most read as code."""
    lines = [line for line in text.splitlines() if line.strip()]
    bare = [line for line in lines if not _REMARK.match(line)]
    if any(_PROSE.match(line) for line in bare):
        return False
    known = set(code_lines(text))
    n_code = sum(line[:1].isspace() or line.strip() in known for line in bare)
    return 2 * n_code >= len(bare) > 0


def _guess(source: str) -> list[str]:
    """Recognise Python, which reads least like anything else once it parses."""
    if len(source) > _GUESSED_CHARS:
        return []
    tree = tree_of(source)
    if tree is None:
        return []
    return ["python"] if any(isinstance(node, _TELLING) for node in tree.body) else []


def _flush(code: str) -> str:
    """Take away the margin that a list or quotation gave to all lines."""
    return textwrap.dedent(code)


def _none(language: str | None, why: str) -> FoundProgram:
    return FoundProgram(language, (), (), (), why)
