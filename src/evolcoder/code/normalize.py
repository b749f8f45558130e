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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from evolcoder.code.notations import as_written, plain_code
from evolcoder.code.python_ast import tree_of
from evolcoder.programming_language import CodeBlock, code_blocks

MAX_PARSED = 100_000
"""Longest code in characters that is parsed; longer code is only tokenized."""
_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile(
    r"[\u00ad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Marks above letters, and characters that are not shown (Unicode's Default_Ignorable)."""
_PAIRS = (
    "\u0430a\u0435e\u043eo\u0440p\u0441c\u0443y\u0445x\u0456i\u0458j\u0455s\u04bbh\u0501d\u051bq"
    "\u051dw\u04cfl\u043ak\u0410A\u0412B\u0415E\u041aK\u041cM\u041dH\u041eO\u0420P\u0421C\u0422T"
    "\u0423Y\u0425X\u0406I\u0408J\u0405S\u04c0I\u03b1a\u03bfo\u03bdv\u03b9i\u03c1p\u03bak\u03c5u"
    "\u03c7x\u03c4t\u03f3j\u0391A\u0392B\u0395E\u0396Z\u0397H\u0399I\u039aK\u039cM\u039dN\u039fO"
    "\u03a1P\u03a4T\u03a5Y\u03a7X\u0131i\u0251a\u0261g\u0585o\u057du\u0570h\u1d00a\u0299b\u1d04c"
    "\u1d05d\u1d07e\ua730f\u0262g\u029ch\u026ai\u1d0aj\u1d0bk\u029fl\u1d0dm\u0274n\u1d0fo\u1d18p"
    "\u0280r\ua731s\u1d1bt\u1d1cu\u1d20v\u1d21w\u028fy\u1d22z"
)
_LOOK_ALIKES = str.maketrans(dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True)))
"""Letters of other scripts that look like Latin ones; in all words, so that equal texts stay so."""
_TAG = re.compile(r"</?([a-z][a-z\d-]{0,30})(?:[\s/][^<>\n]{0,200})?>", re.IGNORECASE)
_CLOSING_TAG = re.compile(r"</([a-z][a-z\d-]{0,30})\s*>", re.IGNORECASE)
_KNOWN_TAGS = frozenset(
    "p br b i em strong code pre tt span div li ul ol h1 h2 h3 h4 h5 h6 sub sup hr img wbr".split()
)
"""Tags also without their end; others count only if the text closes them, unlike `List<int>`."""
_MAX_UNESCAPED = 3
"""How many times a text may be escaped for HTML."""
_ESCAPED = re.compile(r"\\[nrt]")
_CODE_POINT = re.compile(r"\\u(0[\da-f]{3}|[1-9a-cef][\da-f]{3}|d[0-7][\da-f]{2})", re.IGNORECASE)
_IN_URL = re.compile(r"%(?:20|0a|2c|27|22)", re.IGNORECASE)
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])[-\u2010][ \t]*\n[ \t>#*/;%|]*(?=[^\W\d_])")
"""A word that is divided at the end of a line."""
_LEADING = re.compile(r"[ \t>#*/;%|]*([^\W_]+)(?:[.:)\]|]+|(?=\s)|$)[ \t|]*")
"""The first word of a line, which may be a number or the mark of a comment, such as `REM`."""
_PHRASE_END = re.compile(r"[.!?:;](?=\s|$)|\n[ \t]*\n|[\"'`]{3}")
PHRASE_WORDS = 16
"""Sentences and lines of fewer words are phrases."""
_MAX_DIGITS = 6
"""Numbers of lines have fewer digits."""
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
    relaid: tuple[str, ...] = ()
    """The words without what lines add: their numbers, a word before each of them, and hyphens at
    their ends; empty if that changes nothing."""

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
    return NormalizedText(_words(prose), tokens, found, prose, _words(_relaid(prose)))


def prose_of(text: str) -> str:
    """Undo what changes a text's form and not its words: entities, escapes, tags, look-alikes."""
    for _ in range(_MAX_UNESCAPED if "&" in text else 0):
        text = html.unescape(text)
    if "\\u" in text:
        text = _CODE_POINT.sub(lambda found: chr(int(found[1], 16)), text)
    if "%" in text and _IN_URL.search(text):
        text = unquote(text)
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKD", text))
        text = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    if "<" in text:
        known = _KNOWN_TAGS | {name.lower() for name in _CLOSING_TAG.findall(text)}
        text = _TAG.sub(lambda tag: " " if tag[1].lower() in known else tag[0], text)
    return _ESCAPED.sub(" ", text) if "\\" in text else text


def _relaid(prose: str) -> str:
    """Return a text without what its lines add; empty if they add nothing."""
    if "\n" not in prose:
        return ""
    text = _BROKEN_WORD.sub("", prose)
    lines = text.split("\n")
    first = [_LEADING.match(line) for line in lines]
    words = [found[1].lower() if found else "" for found in first]
    kept = [
        line[found.end() :] if found and _is_added(words, at) else line
        for at, (line, found) in enumerate(zip(lines, first, strict=True))
    ]
    relaid = "\n".join(kept)
    return "" if relaid == prose else relaid


def _is_added(words: Sequence[str], at: int) -> bool:
    """Whether the first word of a line is that of a neighbour too, or the number before or after.

    `words` are the first words of all lines.
    """
    word, near = words[at], (*words[max(0, at - 1) : at], *words[at + 1 : at + 2])
    if word.isdecimal() and len(word) < _MAX_DIGITS:
        return any(
            one.isdecimal() and len(one) < _MAX_DIGITS and abs(int(one) - int(word)) == 1
            for one in near
        )
    return word != "" and word in near


def words_of(text: str) -> tuple[str, ...]:
    """Split a text into lower-case words; a name in snake case is split into words."""
    return _words(prose_of(text))


def _words(prose: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(prose.lower()))


def code_parts(text: str) -> list[tuple[str, str]]:
    """Return the code blocks of a text as (language, code); without a fence, the whole text.

    Code in quotations, JSON or YAML counts as well, and prompts and numbers of lines do not.
    """
    parts = _parts(text)
    rewritten = as_written(text)
    if rewritten != text:
        parts += [part for part in _parts(rewritten) if part not in parts]
    plain = ((language, without_prompts(plain_code(code))) for language, code in parts)
    return [*dict.fromkeys(plain)]


def _parts(text: str) -> list[tuple[str, str]]:
    blocks = [(block.language or "python", block.code) for block in blocks_of(text)]
    return blocks or [("python", text)]


_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)")


def without_prompts(code: str) -> str:
    """Return what is typed in a session of Python's interpreter; other code is unchanged."""
    if ">>>" not in code:
        return code
    lines = code.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if not first.lstrip().startswith(">>>"):
        return code
    return "\n".join(_PROMPT.sub("", line) for line in lines if _PROMPT.match(line))


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
