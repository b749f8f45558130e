r"""Normalizes texts for leak detection: into words, code tokens and code statements.

Names, comments, docstrings, annotations, layout and the kind of quotes are removed, so that renamed
code gives the same result. Every step is linear in the text and accepts any text, including broken
and hostile code. Different code may normalize to the same form; the comparison has to weigh that.

>>> code_tokens("x = foo(y)  # call", "python") == code_tokens("total = foo( n )", "python")
True
>>> sorted(statements("def f(a, b):\n    return a * b + 1", "python"))
['Return BinOp BinOp Name v0 Mult Name v1 Add Constant 1']
"""

import ast
import builtins
import html
import keyword
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from evolcoder.code.python_ast import tree_of
from evolcoder.programming_language import CodeBlock, code_blocks

MAX_PARSED = 100_000
"""Longest code in characters that is parsed; longer code is only tokenized."""
_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_TAG = re.compile(
    r"</?(?:p|br|b|i|em|strong|code|pre|tt|span|div|li|ul|ol|h[1-6]|sub|sup)\b[^<>\n]{0,200}>",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\[nrt]")
_PHRASE_END = re.compile(r"[.!?:;](?=\s|$)|\n[ \t]*\n|[\"'`]{3}")
PHRASE_WORDS = 16
"""Sentences and lines of fewer words are phrases."""
MAX_WORD_CHARS = 20
"""Average length of a phrase's words, at most, in characters."""
_LATE_FENCE = re.compile(r"(?<=[^\s`])[ \t]*(?=```[\w+#.-]*[ \t\r]*$)", re.MULTILINE)
_TEXT = r'"(?:[^"\\\n]++|\\.)*+"?' + r"|'(?:[^'\\\n]++|\\.)*+'?"
_REST = (
    r"|(?P<name>[^\W\d]\w*+)|(?P<number>\d[\w.]*+)|(?P<end>\n)|(?P<sign>[=!<>+*/%&|^:-]=|[^\w\s])"
)
_HASH = r"(?P<comment>\#[^\n]*+|\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z))"
_SLASH = r"(?P<comment>//[^\n]*+|/\*.*?(?:\*/|\Z))"
_DASH = r"(?P<comment>--[^\n]*+)"
_SEMICOLON = r"(?P<comment>;[^\n]*+)"


def _lexer(comment: str) -> re.Pattern[str]:
    return re.compile(f"{comment}|(?P<text>{_TEXT}){_REST}", re.DOTALL)


_BY_HASH = _lexer(_HASH)
_BY_SLASH = _lexer(_SLASH)
_LEXERS = {
    **dict.fromkeys(
        ("c", "cpp", "csharp", "d", "go", "java", "javascript", "kotlin", "rust", "scala"),
        _BY_SLASH,
    ),
    **dict.fromkeys(("swift", "typescript", "php"), _BY_SLASH),
    **dict.fromkeys(("lua", "sql", "haskell"), _lexer(_DASH)),
    "racket": _lexer(_SEMICOLON),
}
"""Language -> lexer with its comment syntax; other languages use Python's."""

_KEYWORDS = frozenset(
    [
        *keyword.kwlist,
        *"""var let const function func fn public private static void boolean new this null
        undefined switch case do throw catch try foreach end then local begin self elsif unless use
        struct namespace template typename unsigned int float double char bool""".split(),
    ]
)
"""Reserved words of all languages together."""
_LIBRARY = frozenset(
    [
        *(name for name in dir(builtins) if not name.startswith("_")),
        *"""append extend insert pop remove sort reverse index count join split strip replace lower
        upper keys values items get add update startswith endswith isdigit isalpha format push
        length size println printf math re collections itertools functools heapq np pd""".split(),
    ]
)
"""Library names, which are kept unless a program redefines them."""


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text in its normal forms."""

    words: tuple[str, ...]
    """Lower-case words; a name in snake case is split into words."""
    tokens: tuple[tuple[str, ...], ...]
    """Tokens of each code block."""
    statements: frozenset[str]
    """Statements of all code."""
    prose: str = ""
    """The text without entities, tags and invisible characters."""

    def phrases(self) -> frozenset[tuple[str, ...]]:
        """Return the words of each short sentence, which may be wrapped, and of each short line."""
        parts = {*_PHRASE_END.split(self.prose), *self.prose.splitlines()}
        found = (_words(part) for part in parts if len(part) <= PHRASE_WORDS * MAX_WORD_CHARS)
        return frozenset(words for words in found if 0 < len(words) < PHRASE_WORDS)


def read(text: str) -> NormalizedText:
    """Normalize a task or a response; code is the fenced text, or the whole text without fences."""
    parts = code_parts(text)
    found = frozenset[str]().union(*(statements(code, language) for language, code in parts))
    tokens = tuple(code_tokens(code, language) for language, code in parts)
    prose = prose_of(text)
    return NormalizedText(_words(prose), tokens, found, prose)


def prose_of(text: str) -> str:
    """Undo what changes a text's form and not its words: entities, tags, invisible characters."""
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    return _ESCAPED.sub(" ", text) if "\\" in text else text


def words_of(text: str) -> tuple[str, ...]:
    """Split a text into lower-case words; a name in snake case is split into words."""
    return _words(prose_of(text))


def _words(prose: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(prose.lower()))


def code_parts(text: str) -> list[tuple[str, str]]:
    """Return the code blocks of a text as (language, code); without a fence, the whole text."""
    blocks = [(block.language or "python", block.code) for block in blocks_of(text)]
    return blocks or [("python", text)]


def blocks_of(text: str) -> list[CodeBlock]:
    """Find fenced code, also where a fence opens or closes at the end of a line."""
    return code_blocks(_LATE_FENCE.sub("\n", text))


def code_tokens(code: str, language: str) -> tuple[str, ...]:
    """Tokenize code; every user-defined name is `v`, so that matches may start anywhere."""
    return tuple("v" if name else word for word, name in _tokens(code, language) if word != "\n")


def statements(code: str, language: str) -> frozenset[str]:
    """Return the statements of code, with names numbered within each statement.

    For Python that does not parse, and for other languages, lines are used as statements.
    """
    tree = _tree(code) if language == "python" else None
    return lines(code, language) if tree is None else frozenset(_statements(tree))


_IGNORED_STARTS = frozenset(
    ["import", "from", "def", "class", "using", "package", "use", "require"]
)
"""First tokens of lines that do not contribute to a solution."""


def lines(code: str, language: str) -> frozenset[str]:
    """Return the lines of code as tokens, with names numbered within each line."""
    found: set[str] = set()
    line: list[str] = []
    names: dict[str, str] = {}
    for word, name in (*_tokens(code, language), ("\n", False)):
        if word != "\n":
            line.append(names.setdefault(word, f"v{len(names)}") if name else word)
            continue
        if len(line) > 1 and line[0] not in _IGNORED_STARTS:
            found.add(" ".join(line))
        line, names = [], {}
    return frozenset(found)


def _tokens(code: str, language: str) -> Iterator[tuple[str, bool]]:
    """Yield tokens, each with whether it is a user-defined name."""
    for found in _LEXERS.get(language, _BY_HASH).finditer(code):
        match found.lastgroup:
            case "name":
                yield found[0], _is_user_defined(found[0], code, found.start(), found.end())
            case "text":
                yield f'"{found[0][1:].rstrip(found[0][0])}"', False
            case "comment":
                continue
            case _:
                yield found[0], False


def _is_user_defined(name: str, code: str, start: int, end: int) -> bool:
    """Whether a name is user-defined; a library name is, unless it is called or an attribute."""
    if name in _KEYWORDS:
        return False
    return name not in _LIBRARY or (code[end : end + 1] != "(" and code[start - 1 : start] != ".")


def _tree(code: str) -> ast.Module | None:
    return None if len(code) > MAX_PARSED or not code.strip() else tree_of(code)


def _statements(tree: ast.Module) -> Iterator[str]:
    """Yield all statements, each without its body; not recursive."""
    known = _LIBRARY - _bound(tree)
    waiting: list[ast.stmt] = [*tree.body]
    while waiting:
        node = waiting.pop()
        text = _statement_text(node, waiting, known)
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_docstring and not isinstance(node, _IGNORED_STATEMENTS):
            yield text


def _bound(tree: ast.Module) -> set[str]:
    """Return the names that a program binds."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


_IGNORED_STATEMENTS = (
    ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass
)
"""Statements that do not contribute to a solution."""
_IGNORED_NODES = (ast.expr_context, ast.TypeIgnore, ast.alias)


def _statement_text(statement: ast.stmt, bodies: list[ast.stmt], known: frozenset[str]) -> str:
    """Return a statement's nodes in pre-order as words; nested statements go to `bodies`."""
    parts: list[str] = []
    names: dict[str, str] = {}
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt) and node is not statement:
            bodies.append(node)
            continue
        if isinstance(node, _IGNORED_NODES):
            continue
        parts.append("Assign" if isinstance(node, ast.AnnAssign) else type(node).__name__)
        parts.extend(_leaf(node, names, known))
        waiting.extend(reversed(_children(node)))
    return " ".join(parts)


def _children(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.AnnAssign):
        return [node.target] if node.value is None else [node.target, node.value]
    return list(ast.iter_child_nodes(node))


def _leaf(node: ast.AST, names: dict[str, str], known: frozenset[str]) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name) | ast.arg(arg=name):
            return (name if name in known else names.setdefault(name, f"v{len(names)}"),)
        case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
            return (name,)
        case ast.Constant(value=value):
            return (repr(value) if not isinstance(value, int | float) else _number(value),)
        case _:
            return ()


def _number(value: float) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer with more digits than Python converts
        return "huge"
