r"""Finds the program in a response and its language, or the reason why there is none.

Every text gives a `FoundProgram`, in linear time. The language is that of the fence; without one it
is the first that the task names, with the others that it names as alternatives. In a response with
several languages the program is the part in the task's language, otherwise the longest part.
Several blocks of one language may be parts of one program or versions of it, so there are several
candidate sources, best first. Unfenced code between lines of prose is not extracted.

>>> find_program("```python\nx = 1\n```", []).sources
('x = 1',)
"""

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evolcoder.code.python_ast import tree_of
from evolcoder.text import CodeBlock, code_blocks, code_lines, has_code

MAX_CHARS = 200_000
"""Longest text that is searched."""
_MAX_GUESSED_CHARS = 20_000
"""Longest source that is parsed to guess its language."""
_AUXILIARY = frozenset({"bash", "sql", "css", "html"})
"""Languages of shell commands, queries and pages; not the program if there is another language."""
_SIGNATURES: Mapping[str, re.Pattern[str]] = {
    "php": re.compile(r"\s*<\?php"),
    "html": re.compile(r"\s*<(?:!DOCTYPE|html|head|body|div|form|script|table|ul|p|h\d)\b", re.I),
    "bash": re.compile(r"\s*#!.*\b(?:ba|z)?sh\b"),
    "python": re.compile(r"\s*#!.*\bpython"),
}
"""Unambiguous first characters of a program by language."""
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|<!--|;;)")
_PROSE = re.compile(r"\s*[A-Z][\w',]*(?: [\w'`,():-]+){4,}.*[.:!?]\s*$")
_SHOWS_OUTPUT = re.compile(r"^[^\n`]*\boutput\b[^\n`]*:?[ \t]*\n\s*```[ \t]*\n", re.I | re.M)
"""Text before an untagged fence that announces a program's output."""
_PROGRAM_STATEMENTS = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.For,
    ast.Assign,
)
"""Top-level statements that tell Python from prose that happens to parse."""


@dataclass(frozen=True, slots=True)
class FoundProgram:
    """The program of a response."""

    language: str | None
    """Its language, if known."""
    sources: tuple[str, ...] = field(repr=False)
    """Candidate sources, best first; empty without a program."""
    alternatives: tuple[str, ...]
    """Other possible languages, if only the task names languages."""
    other_languages: tuple[str, ...]
    """Languages of the response's other blocks."""
    why: str
    """Why there is no program; otherwise empty."""


def find_program(text: str, named: Sequence[str]) -> FoundProgram:
    """Find the program of a response to a task that names these languages, the main one first."""
    language = named[0] if named else None
    if len(text) > MAX_CHARS:
        return _none(language, "too_long")
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    if len(blocks) == 1 and _is_output(text, blocks[0]):
        return _none(language, "shows_output")
    return _fenced(blocks, named) if blocks else _unfenced(text, named)


def _is_output(text: str, block: CodeBlock) -> bool:
    """Whether an untagged block shows a program's output rather than the program."""
    announced = block.language is None and _SHOWS_OUTPUT.search(text) is not None
    return announced and not code_lines(block.code)


def _fenced(blocks: list[CodeBlock], named: Sequence[str]) -> FoundProgram:
    by_language: dict[str, list[str]] = {}
    for block in blocks:
        # A list or quotation may indent the whole block.
        if block.language is not None:
            by_language.setdefault(block.language, []).append(textwrap.dedent(block.code))
    if not by_language:
        return _untagged([textwrap.dedent(block.code) for block in blocks], named)
    main = named[0] if named and named[0] in by_language else _longest(by_language)
    others = tuple(sorted(by_language.keys() - {main}))
    return FoundProgram(main, _candidates(by_language[main]), (), others, "")


def _untagged(codes: list[str], named: Sequence[str]) -> FoundProgram:
    """Determine the language of code without a language tag."""
    longest = max(codes, key=len)
    recognised = _language_by_signature(longest)
    languages = [recognised] if recognised else named or _guess(longest)
    if not languages:
        return _none(None, "language_unknown")
    return FoundProgram(languages[0], _candidates(codes), tuple(languages[1:]), (), "")


def _longest(by_language: dict[str, list[str]]) -> str:
    """Return the language with the most code; an auxiliary one only if there is no other."""
    sizes = {name: sum(map(len, codes)) for name, codes in by_language.items()}
    return max(sizes, key=lambda name: (name not in _AUXILIARY, sizes[name]))


def _candidates(codes: list[str]) -> tuple[str, ...]:
    """Return all blocks joined (parts of one program), the longest and the last (versions)."""
    return tuple(dict.fromkeys(("\n\n".join(codes), max(codes, key=len), codes[-1])))


def _language_by_signature(code: str) -> str | None:
    return next((name for name, start in _SIGNATURES.items() if start.match(code)), None)


def _unfenced(text: str, named: Sequence[str]) -> FoundProgram:
    language = named[0] if named else None
    recognised = _language_by_signature(text)
    if recognised is None and not has_code(text):
        return _none(language, "no_code")
    if recognised is None and not _is_all_code(text):
        return _none(language, "among_prose" if code_lines(text) else "no_code")
    return _untagged([textwrap.dedent(text.strip("\n"))], named)


def _is_all_code(text: str) -> bool:
    """Whether no line looks like a sentence and at least half look like code."""
    lines = [line for line in text.splitlines() if line.strip()]
    uncommented = [line for line in lines if not _COMMENT.match(line)]
    if any(_PROSE.match(line) for line in uncommented):
        return False
    known = set(code_lines(text))
    n_code = sum(line[:1].isspace() or line.strip() in known for line in uncommented)
    return 2 * n_code >= len(uncommented) > 0


def _guess(source: str) -> list[str]:
    """Recognise Python by parsing: text in other languages rarely parses as Python."""
    if len(source) > _MAX_GUESSED_CHARS:
        return []
    tree = tree_of(source)
    if tree is None:
        return []
    is_program = any(isinstance(node, _PROGRAM_STATEMENTS) for node in tree.body)
    return ["python"] if is_program else []


def _none(language: str | None, why: str) -> FoundProgram:
    return FoundProgram(language, (), (), (), why)
