r"""Finds the program in a response and its language, or the reason why there is none.

Every text gives a `FoundProgram`, in linear time. The language is that of the fence; a fence with
the tag of another language, such as `dockerfile`, holds no program. Code without a tag is in the
first language that the task names, with the others that it names as alternatives; that is an
assumption, and `is_stated` says so. In a response with several languages the program is the part in
the task's language, otherwise the longest part.
Several blocks of one language may be parts of one program or versions of it, so there are several
candidate sources, best first. Unfenced code between lines of prose is not extracted.

>>> find_program("```python\nx = 1\n```", []).sources
('x = 1',)
"""

import ast
import html
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from evolcoder.code.notations import as_written, indented_as_fences, usual_blanks
from evolcoder.code.python_ast import tree_of
from evolcoder.fences import code_lines, has_code
from evolcoder.programming_language import AUXILIARY, CodeBlock, code_blocks, language_of

MAX_CHARS = 200_000
"""Longest text that is searched."""
_MAX_GUESSED_CHARS = 20_000
"""Longest source that is parsed to guess its language."""
_SIGNATURES: Mapping[str, re.Pattern[str]] = {
    "php": re.compile(r"\s*<\?php"),
    "html": re.compile(r"\s*<(?:!DOCTYPE|html|head|body|div|form|script|table|ul|p|h\d)\b", re.I),
    "bash": re.compile(r"\s*#!.*\b(?:ba|z)?sh\b"),
    "python": re.compile(r"\s*#!.*\bpython"),
}
"""Unambiguous first characters of a program by language."""
_PLAIN_TAGS = frozenset("text txt plain plaintext none output out result results".split())
"""Tags that name no language."""
_FILE_TAG = re.compile(r"(python|py|c\+\+|cpp)(?:3(?:\.\d+)*|\d\d)|[\w-]+(?:\.[\w-]+)*\.(\w+)")
"""Tags that are the name of a file, or of a version."""
_VERSIONED_TAG = re.compile(r"(c(?=\d\d)|[a-z]{2,})[-_]?\d+(?:\.\d+)*")
"""Tags with the version of a language, but for Python, of which 2 is another."""
_OTHER_TAGS: Mapping[str, str] = {
    **dict.fromkeys(("cc", "cxx", "c++", "h++"), "cpp"),
    **dict.fromkeys(("mjs", "cjs", "node", "ecmascript", "javascript-node"), "javascript"),
    **dict.fromkeys(("mts", "cts"), "typescript"),
    **dict.fromkeys(("c-sharp", "csx"), "csharp"),
    **dict.fromkeys(("rscript", "rlang"), "r"),
    "ksh": "bash",
    "rkt": "racket",
    "dlang": "d",
}
"""Tags that name a language in a fence, and something else or nothing in a task."""
_TEMPLATE_TAGS = frozenset({"django"})
"""Tags of templates that are also a name by which a task means a language."""
_C_LIKE = re.compile(
    r"^[ \t]*(?:#include|using|import|package|public|private|class|struct|enum|interface|void|int"
    r"|const|let|var|func|fn|function|return|for|while|if|export|use|object|def|<\?php)\b"
    r"(?![^\n]*\b(?:do|then)\b[ \t]*$)",
    re.MULTILINE,
)
_SIGNS: Mapping[str, re.Pattern[str]] = {
    "python": re.compile(
        r"^[ \t]*(?:(?:async )?def |class \w+[^\n]*:|import \w|from [\w.]+ import |print\(|return\b"
        r"|(?:for|while|if|elif|with)\b[^\n]*:[ \t]*$|(?:else|try):[ \t]*$|@\w)",
        re.MULTILINE,
    ),
    "bash": re.compile(
        r"^[ \t]*(?:(?:if|for|while|case|function|echo|cd|export|set|local|read)\b|fi$|done$)"
        r"|\$[\w({]",
        re.MULTILINE,
    ),
    "ruby": re.compile(r"^[ \t]*(?:def|end|puts|require|class|module)\b", re.MULTILINE),
    "perl": re.compile(r"^[ \t]*(?:my|use|sub|print|foreach)\b", re.MULTILINE),
    "lua": re.compile(r"^[ \t]*(?:local|function|end|print)\b", re.MULTILINE),
    "r": re.compile(r"<-|\bfunction\(|\blibrary\("),
    "julia": re.compile(r"^[ \t]*(?:function|end|using|println|struct)\b", re.MULTILINE),
    "racket": re.compile(r"\(define|#lang"),
    **dict.fromkeys(
        "c cpp java csharp javascript typescript php d scala swift go rust kotlin".split(), _C_LIKE
    ),
}
"""What is in nearly every program of a language, and in few other texts."""
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|<!--|;;)")
_PROSE = re.compile(r"\s*[A-Z][\w',]*(?: [\w'`,():-]+){3} [\w'`,():-].*[.:!?]\s*$")
"""A sentence of five words; no part of it can match a long line in many ways."""
_SHOWS_OUTPUT = re.compile(r"^(?=[^\n`]*\boutput\b)[^\n`]*\n\s*```[ \t]*\n", re.I | re.M)
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
    is_stated: bool = True
    """Whether the response itself shows the language; otherwise the task's is assumed."""


_GLUED_END = re.compile(r"^(?P<code>[^\n]*[^`\s][ \t]*)(?P<fence>`{3,})[ \t]*$")
_GLUED_WITH_PROSE = re.compile(
    r"^(?P<code>[^\n]*[^`\s][ \t]*)(?<!`)(?P<fence>`{3,})[ \t]+(?P<after>(?:(?!```)[^\n])+)$"
)
"""A closing fence between code and prose."""
_COMMENTED_FENCE = re.compile(r"[ \t]*(?:#|//|\*)[ \t]*`{3,}")
_TICKS = re.compile(r"(?<![\"'`])`{3,}|(?<=[\"'])`{3,}(?![\"'])")
"""Ticks that are no string of their own."""
_GLUED_BEGIN = re.compile(r"^(?P<before>[^`\n]*\S)[ \t]*(?P<fence>`{3,})(?P<tag>[\w+#.-]*)[ \t]*$")
_ONE_LINE = re.compile(r"^[ \t]*(?P<fence>`{3,})(?P<code>[^`\n]+)(?P=fence)[ \t]*$")
_INLINE = re.compile(r"`{3}([^`\n]+)`{3}")
_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<rest>[^`\n]*)$")
_ENDED = re.compile(r"^[ \t]*(?P<fence>`{3,})[ \t]*(?P<after>(?!\w+[ \t]*$|\w+[:=])[^`\s][^`\n]*)$")
"""A fence with text after it, which is no tag: it closes a block."""
_CLOSED_AND_OPENED = re.compile(r"^`{6}(?P<tag>\w[\w+#.-]*)[ \t]*$")
_HEADER_CODE = re.compile(
    r"(?P<tag>[\w+#.-]*?)[ \t]*(?<![\w.-])(?P<code>(?:async[ \t]+)?(?:def|class)[ \t]+\w+[ \t]*[(:]"
    r".*|(?:import|from)[ \t]+\w.*|@\w.*|#include\b.*)"
)
_HAS_FENCE = re.compile(r"^[ \t>]*(?:`{3}|~{3})|`{3}[\w+#.-]*[ \t]*$", re.MULTILINE)
_MAY_GLUE = re.compile(r"[^\s`][ \t]*`{3}|`{3}[ \t]*\S|^[ \t]*\x27{3}\w", re.MULTILINE)
_TAGS = (
    (re.compile(r"<pre[^>\n]{0,200}>\s*<code[^>\n]{0,200}>(.*?)</code>\s*</pre>", re.DOTALL | re.I),
     re.compile(r"</code>\s*</pre>", re.I)),
    (re.compile(r"\\begin\{(?:lstlisting|verbatim|minted)\}"
                r"(?:\[[^\]\n]{0,500}\]|\{[^}\n]{0,500}\}){0,4}(.*?)"
                r"\\end\{(?:lstlisting|verbatim|minted)\}", re.DOTALL),
     re.compile(r"\\end\{(?:lstlisting|verbatim|minted)\}")),
    (re.compile(r"<(?P<t>code|python|solution_code)>(?=[^\n]{0,2000}\n)(.*?\n.*?)(?:</(?P=t)>|\Z)",
                re.DOTALL | re.I), None),
    (re.compile(r"\[(?P<t>PYTHON|CODE)\](.*?)(?:\[/(?P=t)\]|\Z)", re.DOTALL), None),
    (re.compile(r"^\[(?P<t>code|python)(?:=\w+)?\]\n(.*?)^\[/(?P=t)\]", re.DOTALL | re.MULTILINE),
     re.compile(r"^\[/(?:code|python)\]", re.MULTILINE)),
    (re.compile(r"^\[BEGIN\]\n(.*?)(?:^\[DONE\]|\Z)", re.DOTALL | re.MULTILINE), None),
    (re.compile(r"\A\s*(?P<t>`{1,2})(?!`)(?:\w+(?=\n))?([^`]*\n[^`]*)(?P=t)\s*\Z"), None),
    (re.compile(r"<pre[^>\n]{0,200}>(.*?)</pre>", re.DOTALL | re.I), re.compile("</pre>", re.I)),
    (re.compile(r"^\x27{3}(?:python|py)\n(.*?)^\x27{3}[ \t]*$", re.DOTALL | re.MULTILINE),
     re.compile(r"^\x27{3}[ \t]*$", re.MULTILINE)),
    (re.compile(r"^\{code(?::[^}\n]{0,100})?\}\n(.*?)^\{code\}", re.DOTALL | re.MULTILINE),
     re.compile(r"^\{code\}", re.MULTILINE)),
    (re.compile(r"\A\s*\"{3}(?:python|py)\n(.*)^\"{3}\s*\Z", re.DOTALL | re.MULTILINE), None),
    (re.compile(r"<(?P<t>parameter|arg_value|file_text)(?:[= ][^<>\n]{0,200})?>"
                r"(?=[^\n]{0,2000}\n)(.*?\n.*?)(?:</(?P=t)>|\Z)", re.DOTALL), None),
    (re.compile(r"^\[source[^\]\n]{0,100}\]\n(?P<t>-{4,})\n(.*?)^(?P=t)$",
                re.DOTALL | re.MULTILINE), re.compile(r"^-{4,}$", re.MULTILINE)),
    (re.compile(r"<(?P<t>(?!script\b|style\b)[A-Za-z][\w:.-]{0,40})(?:[= ][^<>\n]{0,200})?>"
                r"(?=\s{0,20}(?:(?:async )?def \w|from [\w.]+ import |import \w|class \w|@\w))"
                r"(.*?\n.*?)(?:</(?P=t)>|\Z)", re.DOTALL), None),
)  # fmt: skip
"""Other marks around code, which are read as fences where there is no fence, and their ends.

Text below the last end is not searched: every mark there would be followed to the text's end.
"""


def as_fences(text: str) -> str:
    r"""Write fences as they should be: each on a line of its own, and no code in its header.

    A closing fence may be glued to the code or be followed by prose, an opening one may follow
    prose; a block may be quoted by `>`, or be a field of JSON. Marks such as `<code>`, `[PYTHON]`
    or LaTeX's `lstlisting` become fences if the text has none. Any other text is unchanged.

    >>> as_fences("Sure: ```python\ndef f(): return 1```")
    'Sure:\n```python\ndef f(): return 1\n```'
    """
    text = as_written(text)
    if "```" not in text or not _HAS_FENCE.search(text):
        text = _tags_as_fences(text)
    if not _MAY_GLUE.search(text):
        return text
    lines: list[str] = []
    opened, quotes = "", 0
    for line in text.split("\n"):
        new = [line]
        if "```" in line and not (opened and quotes % 2):
            new, opened = _apart(line, opened)
        elif opened and line.strip() == opened:
            opened = ""
        if opened:
            quotes += line.count('"""') + line.count("\x27\x27\x27")
        else:
            quotes = 0
        lines += new
    return "\n".join(lines)


def _apart(line: str, opened: str) -> tuple[list[str], str]:
    """Split a line at its fence; return its lines and the fence that is open after it."""
    if opened:
        return _closed(line, opened)
    if found := _ONE_LINE.match(line):
        tag, _, code = found["code"].strip().partition(" ")
        if language_of(tag):
            return [f"{found['fence']}{tag}", code, found["fence"]], ""
    line = _INLINE.sub(r"`\1`", line)  # a header has no ticks
    if found := _OPENING.match(line):
        if header := _HEADER_CODE.fullmatch(found["rest"].rstrip()):
            opening = f"{found['indent']}{found['fence']}{header['tag']}"
            return [opening, f"{found['indent']}{header['code']}"], found["fence"]
        return [line], found["fence"]
    if line.count("```") == 1 and (found := _GLUED_BEGIN.match(line)):
        tag = found["tag"]
        if not tag or language_of(tag):
            return [found["before"], f"{found['fence']}{tag}"], found["fence"]
    return [line], ""


def _closed(line: str, opened: str) -> tuple[list[str], str]:
    """Split a line of an open block at the fence that closes it, if it does."""
    found = _GLUED_END.match(line)
    if found and not _COMMENTED_FENCE.match(line) and len(_TICKS.findall(line)) % 2:
        return [found["code"].rstrip(), opened], ""
    found = _GLUED_WITH_PROSE.match(line)
    if found and _is_outside_strings(found["code"]):
        return [found["code"].rstrip(), opened, found["after"]], ""
    if found := _CLOSED_AND_OPENED.match(line):
        return [opened, f"```{found['tag']}"], "```"
    found = _ENDED.match(line)
    if found and not language_of(found["after"].split()[0]):
        return [opened, found["after"]], ""
    found = _OPENING.match(line)
    return [line], opened if found is None or found["rest"].strip() else ""


def _is_outside_strings(code: str) -> bool:
    """Whether a line ends outside of strings and comments, as far as its signs tell."""
    is_comment = re.search(r"#|^[ \t]*(?://|\*)", code) is not None
    return not is_comment and not any(code.count(quote) % 2 for quote in "\"'")


def _tags_as_fences(text: str) -> str:
    for pattern, ending in _TAGS:
        ends = [found.end() for found in ending.finditer(text)] if ending else [len(text)]
        end = ends[-1] if ends else 0
        if pattern.search(text, 0, end):
            is_html = "<pre" in pattern.pattern
            return pattern.sub(partial(_fence_of, is_html=is_html), text[:end]) + text[end:]
    return text


def _fence_of(found: re.Match[str], *, is_html: bool) -> str:
    code = found[found.re.groups].strip("\n")
    return f"\n```\n{html.unescape(code) if is_html else code}\n```\n"


def find_program(text: str, named: Sequence[str]) -> FoundProgram:
    """Find the program of a response to a task that names these languages, the main one first."""
    language = named[0] if named else None
    if len(text) > MAX_CHARS:
        return _none(language, "too_long")
    text = as_fences(text)
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    if len(blocks) == 1 and _is_output(text, blocks[0]):
        return _none(language, "shows_output")
    return _fenced(blocks, named) if blocks else _unfenced(usual_blanks(text), named)


def _is_output(text: str, block: CodeBlock) -> bool:
    """Whether an untagged block shows a program's output rather than the program."""
    announced = block.language is None and _SHOWS_OUTPUT.search(text) is not None
    return announced and not code_lines(block.code)


def _fenced(blocks: list[CodeBlock], named: Sequence[str]) -> FoundProgram:
    by_language: dict[str, list[str]] = {}
    for block in blocks:
        # A list or quotation may indent the whole block.
        by_language.setdefault(_tagged(block), []).append(textwrap.dedent(block.code))
    untagged = by_language.pop("", [])
    known = {name: codes for name, codes in by_language.items() if language_of(name) == name}
    if not known:
        if plain := [*untagged, *by_language.pop(_PLAIN, [])]:
            return _untagged(plain, named if untagged else [])
        return _none(_longest(by_language), "language")
    main = named[0] if named and named[0] in known else _longest(known)
    others = tuple(sorted(by_language.keys() - {main, _PLAIN}))
    return FoundProgram(main, _candidates(known[main]), (), others, "")


_PLAIN = "plain text"


def _tagged(block: CodeBlock) -> str:
    """Return the language of a block's tag, the tag of one unknown to us, or an empty string."""
    if block.tag in _TEMPLATE_TAGS:
        return block.tag
    if block.language is not None or not block.tag:
        return block.language or ""
    if block.tag in _OTHER_TAGS:
        return _OTHER_TAGS[block.tag]
    if (named := _VERSIONED_TAG.fullmatch(block.tag)) and named[1] not in {"python", "py"}:
        return language_of(named[1]) or block.tag
    if named := _FILE_TAG.fullmatch(block.tag):
        end = named[1] or named[2]
        return language_of(end) or _OTHER_TAGS.get(end, block.tag)
    return _PLAIN if block.tag in _PLAIN_TAGS else block.tag


def _untagged(codes: list[str], named: Sequence[str]) -> FoundProgram:
    """Determine the language of code without a language tag."""
    longest = max(codes, key=len)
    recognised = _language_by_signature(longest)
    shown = [recognised] if recognised else [] if named else _guess(longest)
    languages = shown or named
    if not languages:
        return _none(None, "language_unknown")
    others = tuple(languages[1:])
    return FoundProgram(languages[0], _candidates(codes), others, (), "", is_stated=bool(shown))


def looks_like(language: str, source: str) -> bool:
    """Whether a text has what nearly every program of a language has; not in JSON or a log."""
    signs = _SIGNS.get(language)
    return signs is None or signs.search(source) is not None


_CODE_LIKE = re.compile(
    r"[=(){}]|^[ \t]*(?:import|from|def|class|if|for|while|return|print|else|try|with)\b|:\s*$",
    re.M,
)
_MARKED = re.compile(
    r"\A\s*(?:Traceback \(most recent|diff --git |--- \S|@@ -\d)|^[ \t│|]*[├└]", re.MULTILINE
)
"""A traceback, a patch, or a tree of files."""
_KEY_AND_VALUE = re.compile(
    r"(?!\s*(?:else|try|finally|return|lambda|if|for|while|class|def|print|match|case)\b)"
    r"\s*(?:- )?[\w./-]+:(?: +[^\s(){}].*)?|\s*- [^\s(){}].*|\s*#.*|---"
)


def is_data(source: str) -> bool:
    """Return whether a text is JSON, YAML, a table, a patch, a traceback or a tree of files.

    Only for a text that does not parse in the language of its fence: a few programs look alike.
    """
    if _MARKED.search(source) or _is_json(source):
        return True
    lines = [line for line in source.splitlines() if line.strip()]
    if lines and all(map(_REQUIREMENT.fullmatch, lines)) and tree_of(source) is None:
        return True
    if len(lines) < 2:
        return False
    if all(map(_is_json, lines)) or _is_yaml(lines) or _is_settings(lines):
        return True
    if any(map(_CODE_LIKE.search, lines)):
        return False
    counts = ([line.count(sign) for line in lines] for sign in ",\t;|")
    return any(min(found) > 0 and len(set(found)) == 1 for found in counts)


_REQUIREMENT = re.compile(
    r"\s*(?:[A-Za-z][\w.-]*(?:\[[\w,-]+\])?\s*(?:[=<>!~]=|[<>])\s*[\d.*]+(?:\w+)?(?:,.*)?|#.*)"
)
"""A line of `requirements.txt` with a version, which is no comparison of two names."""
_SECTION = re.compile(r"\s*\[[A-Za-z][\w. :\"'-]*\]\s*")
_SETTING = re.compile(r"\s*(?:[\w.-]+\s*[=:]\s*.*|[#;].*)")


def _is_settings(lines: Sequence[str]) -> bool:
    """Whether lines are settings under headings, as in INI and TOML."""
    if not _SECTION.fullmatch(lines[0]):
        return False
    return all(_SECTION.fullmatch(line) or _SETTING.fullmatch(line) for line in lines)


_COMMAND = re.compile(
    r"\s*(?:\$ .*|#.*|(?:[%>] )?(?:sudo )?(?:pip3?|python3?|npm|npx|yarn|pnpm|node|cd|ls|mkdir|git"
    r"|conda|apt|apt-get|brew|docker|docker-compose|curl|wget|source|export|poetry|uv|pytest|uvicorn"
    r"|gunicorn|flask|django-admin|streamlit|chmod|bash|virtualenv|cargo)(?: +[^=\s(].*)?)"
)


def is_shell(source: str) -> bool:
    """Return whether a text is nothing but commands of a shell.

    Only for a text that does not parse in the language of its fence.
    """
    lines = [line for line in source.splitlines() if line.strip()]
    is_command = [_COMMAND.fullmatch(line) is not None for line in lines]
    return all(is_command) and any(not line.lstrip().startswith("#") for line in lines)


def _is_yaml(lines: Sequence[str]) -> bool:
    n_values = sum(": " in line or line.lstrip().startswith("- ") for line in lines)
    return n_values > 0 and all(map(_KEY_AND_VALUE.fullmatch, lines))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


_PYTHON2: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^([^\S\n]*|.*:[^\S\n]+)print\s*>>\s*[\w.]+\s*,?(.*)$", re.M), r"\1print(\2)"),
    (
        re.compile(r"^([^\S\n]*|[^#'\"\n]*[:;][ \t]+)print[ \t]+(?![=.])([^\n;#]*[^\n;#\s])", re.M),
        r"\1print(\2)",
    ),
    (re.compile(r"^([^\S\n]*)print[ \t]*(['\"][^\n#]*)$", re.M), r"\1print(\2)"),
    (
        re.compile(r"\bexcept[ \t]+([\w.]+|\([^()\n]*\))[ \t]*,[ \t]*(\w+)[ \t]*:"),
        r"except \1 as \2:",
    ),
    (re.compile(r"\braise[ \t]+([\w.]+)[ \t]*,[ \t]*([^\n,]+)"), r"raise \1(\2)"),
    (re.compile(r"^([^\S\n]*)exec[ \t]+(?!\()([^\n]+)", re.M), r"\1exec(\2)"),
    (re.compile(r"<>"), "!="),
    (re.compile(r"`([^`\n]+)`"), r"repr(\1)"),
    (re.compile(r"(?<![\w.])0([0-7]+)\b"), r"0o\1"),
    (re.compile(r"(?<![\w.])(\d+|0x[\da-fA-F]+)[lL]\b"), r"\1"),
    (re.compile(r"\bu[rR](?=['\"])"), "r"),
)
"""What only Python 2 has, with its form in Python 3."""
_PYTHON3_NODES = (
    ast.JoinedStr,
    ast.AnnAssign,
    ast.NamedExpr,
    ast.Nonlocal,
    ast.Await,
    ast.AsyncFunctionDef,
    ast.Match,
)


def is_python2(source: str) -> bool:
    """Return whether a text that is no Python 3 is Python 2, and has nothing that only 3 has.

    >>> is_python2("print 'hello'"), is_python2("print f'{1}'"), is_python2("print 'hello")
    (True, False, False)
    """
    if len(source) > _MAX_GUESSED_CHARS or tree_of(source) is not None:
        return False
    for pattern, replacement in _PYTHON2:
        source = pattern.sub(replacement, source)
    tree = tree_of(source.expandtabs())
    if tree is None:
        return False
    return not any(
        isinstance(node, _PYTHON3_NODES) or _is_annotated(node) for node in ast.walk(tree)
    )


_NESTED_STRING = re.compile(
    r"(?<![\w\"'])(?P<prefix>[rR]?[fFtT][rR]?)(?P<quote>[\"'])"
    r"(?P<text>(?:[^{}\"'\\\n]|\\.|\{\{|\}\}|\{[^{}\n]{1,500}\}|(?!(?P=quote))[\"'])*)(?P=quote)"
)
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}\n]+)\}")


def is_newer_python(source: str) -> bool:
    """Return whether a text is Python but for strings that only Python 3.12 or later reads.

    Those are f-strings with their own quotes or a backslash in a field, and t-strings. Each field
    must be an expression.

    >>> is_newer_python('x = f"{a["b"]}"'), is_newer_python('x = f"{a["b"}"')
    (True, False)
    """
    if len(source) > _MAX_GUESSED_CHARS or tree_of(source) is not None:
        return False
    return tree_of(_NESTED_STRING.sub(_plain_string, source)) is not None


def _plain_string(found: re.Match[str]) -> str:
    """Return a string without fields for an f-string whose fields are expressions."""
    fields = [one[1].strip().rstrip("=") for one in _FIELD.finditer(found["text"]) if one[1]]
    parts = [field if tree_of(f"({field})") else _FORMAT.sub("", field) for field in fields]
    if not parts or any(tree_of(f"({part})") is None for part in parts):
        return found[0]
    return "''"


_FORMAT = re.compile(r"(?:![rsa])?(?::[^:\"']*)?$")
"""A field's conversion and format."""


def _is_annotated(node: ast.AST) -> bool:
    is_typed = isinstance(node, ast.arg) and node.annotation is not None
    return is_typed or (isinstance(node, ast.FunctionDef) and node.returns is not None)


def _longest(by_language: dict[str, list[str]]) -> str:
    """Return the language with the most code; an auxiliary one only if there is no other."""
    sizes = {name: sum(map(len, codes)) for name, codes in by_language.items()}
    return max(sizes, key=lambda name: (name not in AUXILIARY, sizes[name]))


def _candidates(codes: list[str]) -> tuple[str, ...]:
    """Return all blocks joined (parts of one program), the longest and the last (versions).

    Outlines of loops are left out if there are other blocks.
    """
    codes = [code for code in codes if not _is_outline(code)] or codes
    return tuple(dict.fromkeys(("\n\n".join(codes), max(codes, key=len), codes[-1])))


def _is_outline(code: str) -> bool:
    """Whether a Python text leaves out a step: an ellipsis outside of a function and a class."""
    tree = tree_of(code) if "..." in code else None
    bodies = [tree.body] if tree is not None else []
    for body in bodies:
        for one in body:
            value = one.value if isinstance(one, ast.Expr) else None
            if isinstance(value, ast.Constant) and value.value is ...:
                return True
            if isinstance(one, ast.For | ast.While | ast.If | ast.With | ast.Try):
                bodies.append(one.body)
    return False


def _language_by_signature(code: str) -> str | None:
    return next((name for name, start in _SIGNATURES.items() if start.match(code)), None)


def _unfenced(text: str, named: Sequence[str]) -> FoundProgram:
    language = named[0] if named else None
    recognised = _language_by_signature(text)
    if recognised is None and not has_code(text):
        return _none(language, "no_code")
    if recognised is None and not _is_all_code(text):
        blocks = code_blocks(indented_as_fences(text))
        if blocks and all(_is_all_code(block.code) for block in blocks):
            return _fenced(blocks, named)
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
