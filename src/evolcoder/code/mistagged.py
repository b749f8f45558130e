r"""Says what a text is that does not parse as Python although its fence says so.

Only what is plainly something else is named: it has a line that no Python has (at its beginning,
so that strings do not count), and none that only Python has; for some languages, no definition and
no import of Python. Broken Python in any doubt stays
Python. Nothing is run; texts are searched in linear time.

>>> other_language("const f = x => x + 1;\nconsole.log(f(1));")
'javascript'
>>> other_language("def f(x)\n    return x"), other_language("x = 'function f() {")
('', '')
"""

import ast
import re
from collections.abc import Callable, Mapping

from evolcoder.code.python_ast import tree_of

MAX_CHARS = 20_000
"""Longest text that is judged."""
MIN_PROSE_WORDS = 6
"""Fewest words of prose."""
MIN_PSEUDOCODE_SHARE = 0.6
"""Minimum share of lines that begin with a keyword of pseudocode."""

_PYTHON = re.compile(
    r"""^[ \t]*(?:
      (?:async[ ])?def[ ]\w+[ ]*\(            # Ruby's need an `end`, see below
    | class[ ]\w+[^{\n;]*:[ \t]*(?:\#.*)?$
    | from[ ][\w.]+[ ]import\b
    | import[ ][\w.]+(?:[ ]as[ ]\w+)?(?:,[ ]*[\w.]+)*[ \t]*(?:\#.*)?$
    | (?:if|elif|while|for|with|try|except|finally|else|def|class)\b[^{}\n;$]*:[ \t]*(?:\#.*)?$
    | (?:elif|except)\b
    | (?:pass|break|continue)[ \t]*$
    | print[ ]*[(\"']
    | @\w[\w.]*(?:\(.*\))?[ \t]*\n[ \t]*(?:@|def|class|async)
    | [A-Za-z_][\w.]*[ ]*(?:[-+*/]|//)?=(?!=)[^;{>\n$]*(?<![,;{(\[|&\\=])[ \t]*$
    )
    | \"{3}|'{3}
    | \(self\b|\bdef[ ]*\(
    | (?<![\w\"'$])[rbf]{1,2}[\"']""",
    re.MULTILINE | re.VERBOSE | re.IGNORECASE,
)
"""What hardly any other text has: a statement of Python, an assignment without a semicolon, or one
of its strings."""
_COMMENT = re.compile(r"^[ \t]*#(?:[ \t]|$)", re.MULTILINE)
"""A comment of Python, and of few languages with braces."""

_DEFINES = re.compile(
    r"^[ \t]*(?:(?:async )?def \w+\([^\n]*\)(?: *->[^\n:]*)? *:|class \w+[^\n]*:"
    r"|from [\w.]+ import\b)|^import \w+[ \t]*$",
    re.MULTILINE,
)
"""What a text in one of the following languages does not have."""
_LINES: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "haskell": r"^[a-z]\w*'? :: [A-Z(\[a-z]|^module [A-Z][\w.]* .*\bwhere[ \t]*$",
        "matlab": r"^function (?:\[[\w, ]+\]|\w+) = \w+\([^\n]*\)[ \t]*;?[ \t]*$",
        "lua": r"^[ \t]*local (?:function \w+\(|\w+(?:, ?\w+)* = )",
        "julia": r"^function \w+\([^\n]*\)[ \t]*$(?=[\s\S]*^end[ \t]*$)(?=[\s\S]*^println\()",
        "r": r"^[ \t]*[A-Za-z][\w.]* <- (?:function\(|c\(|\w)",
        "perl": r"^[ \t]*(?:my|our) [$@%(]|^use strict;|^sub \w+ ?\{",
        "powershell": r"^[ \t]*(?:Get|Set|New|Remove|Write|Add|Import|Export|Invoke|Start|Stop)"
        r"-[A-Z]\w+|\| ?(?:Where|ForEach|Select|Sort)-Object\b",
        "scala": r"^case class \w+\(|^(?:sealed trait|trait|object) \w+[^:\n]*\{[ \t]*$",
        "elixir": r"^defmodule [\w.]+ do[ \t]*$",
        "erlang": r"^-module\(\w+\)\.",
        "prolog": r"^[a-z]\w*\([^\n]*\) ?:- ",
        "lisp": r"\A\s*(?:;[^\n]*\n\s*)*\((?:def\w*|let|ns|setq|lambda|require) ",
        "dockerfile": r"\A\s*(?:#[^\n]*\n\s*)*FROM [\w./:-]+(?: AS \w+)?[ \t]*$",
        "makefile": r"^(?!(?:else|try|finally):)(?:\.PHONY|[\w.-]+):[^\n:=]*\n\t\S",
        "latex": r"^[ \t]*\\(?:begin|documentclass|usepackage|section)\b[\[{]",
        "jinja": r"^[ \t]*\{%-? *(?:for|if|block|extends|set|include|macro) ",
        "http": r"\A\s*(?:(?:GET|POST|PUT|DELETE|PATCH|HEAD) /\S* HTTP/\d|HTTP/\d\S* \d{3}\b)",
        "url": r"\A\s*(?:https?://\S+\s*)+\Z",
        "solidity": r"^pragma solidity ",
        "proto": r"^syntax = \"proto\d\";|^message \w+ \{[ \t]*$",
        "graphql": r"^(?:query|mutation|schema|type) ?\w*[^\n:=]* ?\{[ \t]*$",
        "terraform": r"^(?:resource|variable|provider|module|output|data) \"[^\"\n]+\"[^\n]* \{",
        "verilog": r"^endmodule\b",
        "mermaid": r"\A\s*(?:(?:graph|flowchart) (?:TD|TB|LR|RL|BT)\b|(?:sequence|class)Diagram)",
        "plantuml": r"\A\s*@startuml\b",
        "assembly": r"^[ \t]*(?:section \.\w+|global _start|mov [a-z]{2,3}, ?\S+)[ \t]*$",
        "pascal": r"^end\.[ \t]*$",
        "visual basic": r"^[ \t]*End (?:Sub|Function|Module|If)[ \t]*$",
        "fortran": r"^[ \t]*(?:implicit none|end program\b.*|end subroutine\b.*)[ \t]*$",
    }.items()
}
"""Lines of further languages, in the order in which they are tried."""
_SETTINGS = re.compile(r"(?:(?:export )?[A-Z][A-Z0-9_]*=[^\s()\[\]{}\"']*|#[^\n]*)")

_TYPE = r"(?:[A-Za-z_]\w*(?:::\w+|<[^<>\n;()]{0,80}>|\[\])*[ *&]+)"
_BRACED: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "php": r"\A\s*<\?php\b",
        "cpp": r"^[ \t]*(?:#[ ]?include[ ]*<(?:iostream|vector|string|map|set|queue|algorithm|bits/"
        r"[\w.+]+|\w+)>|using namespace \w+;|template[ ]?<|std::\w+)",
        "c": r"^[ \t]*(?:#[ ]?include[ ]*[<\"][\w./]+\.h[>\"]|#define \w+|typedef struct\b"
        r"|(?:static |const )*(?:int|void|char|double|float|long|bool"
        r"|size_t)[ *]+\w+[ ]*\([^;\n]*\)"
        r"[ ]*\{?[ \t]*$)",
        "csharp": r"^[ \t]*(?:using System\b[\w.]*;|namespace \w[\w.]*[ ]?[{;\n]|Console\.\w+\()",
        "java": r"^[ \t]*(?:import java[\w.]*\.[\w*]+;|package [\w.]+;|System\.out\.\w+\("
        rf"|(?:public|private|protected) (?:static |final |abstract )*(?:class|interface"
        rf"|{_TYPE}\w+[ ]*"
        r"[(=;]))",
        "rust": r"^[ \t]*(?:(?:pub )?fn \w+[^\n]*\{|let mut \w+|use std::|println!\(|impl\b[^\n]*\{"
        r"|#\[derive)",
        "kotlin": r"^[ \t]*(?:(?:override |private )*fun \w+\([^\n]*[{=]|data class \w+\()",
        "swift": r"^[ \t]*(?:func \w+\([^\n]*:[^\n]*\)[^\n]*\{"
        r"|import (?:Foundation|UIKit|SwiftUI)[ \t]*$|guard let \w+)",
        "go": r"^[ \t]*(?:package \w+[ \t]*$|func (?:\(\w+ [*\w]+\) )?\w+\([^\n]*\{[ \t]*$"
        r"|fmt\.\w+\()",
        "typescript": r"^[ \t]*(?:export )?(?:interface \w+[^\n]*\{|type \w+ = [^\n]*;"
        r"|(?:const|let|function) \w+[^\n]*: (?:number|string|boolean|any|void)\b)",
        "javascript": r"^[ \t]*(?:(?:export (?:default )?)?(?:async )?function\b[ *]*\w*[ ]?"
        r"\([^\n]*\)[ ]?\{"
        r"|(?:export )?(?:const|let|var) [\w{\[][^\n]*=[ ]?[^\n]|console\.\w+\(|document\.\w+[.(]"
        r"|module\.exports\b|import [^\n]{1,200} from ['\"]|['\"]use strict['\"];"
        r"|\$\(['\"(]|class \w+(?: extends \w+)?[ ]\{[ \t]*$)",
    }.items()
}
"""Lines of languages with braces, in the order in which they are tried."""
_CPP_WORDS = re.compile(
    r"\b(?:std::|cout|cin|endl|nullptr|template ?<|vector<|string \w)|#include ?<\w+>"
)
_SQL = re.compile(
    r"\s*(?:SELECT\b[\s\S]+?\bFROM\b|SELECT\s+[\w*'(]|INSERT\s+(?:OR\s+\w+\s+)?INTO\b"
    r"|CREATE\s+(?:OR\s+REPLACE\s+|TEMP\w*\s+|UNIQUE\s+)*(?:TABLE|VIEW|INDEX|DATABASE"
    r"|SCHEMA|FUNCTION"
    r"|PROCEDURE|TRIGGER|USER)\b|UPDATE\s+\S+\s+SET\s+\S|DELETE\s+FROM\b|ALTER\s+(?:TABLE"
    r"|DATABASE)\b"
    r"|DROP\s+(?:TABLE|VIEW|INDEX|DATABASE)\b|WITH\s+(?:RECURSIVE\s+)?\w+\s+AS\s*\("
    r"|USE\s+(?!strict\b|warnings\b)\w+\s*(?:;|\Z)"
    r"|(?:BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION)\s*(?:;|\Z)|GRANT\s|EXPLAIN\s|SHOW\s+TABLES)",
    re.IGNORECASE,
)
_SQL_COMMENT = re.compile(r"--[^\n]*|/\*[\s\S]{0,500}?\*/")
_HTML = re.compile(r"\s*<(?:!DOCTYPE\b|!--|\?xml\b|[A-Za-z][\w-]*(?:\s[^<>]*)?/?>)", re.IGNORECASE)
_CSS_RULE = re.compile(
    r"\s*(?:/\*[\s\S]{0,500}?\*/\s*)*(?:@[\w-]+[^{};]*\{|[.#]?[A-Za-z*:][^{};=()\"']*\{)"
    r"\s*(?:/\*[\s\S]{0,500}?\*/\s*)*(?:[\w-]+\s*:[^{};=]+(?:;|\})|[.#]?[A-Za-z*][^{};=]*\{)"
)
_SHELL = re.compile(
    r"^[ \t]*(?:if \[\[? [^\n]*\]\]?[ ]*;?[ ]*(?:then)?[ \t]*$|then[ \t]*$|fi[ \t]*$"
    r"|done[ \t]*$|esac[ \t]*$"
    r"|for \w+ in [^\n]*; do\b|while [^\n]*; do\b|(?:echo|export|read|local|source"
    r"|exit)[ ][^(=\n]*\$[\w{(]"
    r"|echo[ ]+[\"'][^\n]*[\"'][ \t]*(?:>>?[^\n]*)?$|[A-Z_][A-Z0-9_]*=[\"']?\$[\w{(]"
    r"|sudo \w|set -[euxo])|^\w+\(\) \{[ \t]*$",
    re.MULTILINE,
)
_SHEBANG = re.compile(r"\A\s*#!.*\b(?:ba|z|da|k)?sh\b")
_RUBY = re.compile(
    r"^[ \t]*(?:def [\w.]+[?!]?(?:[ (][^:\n]*)?$|puts\b|require(?:_relative)? ['\"]"
    r"|class \w+(?: < [\w:]+)?[ \t]*$"
    r"|\w[\w.]*\.each\b[^\n]*\bdo\b|attr_\w+ :)",
    re.MULTILINE,
)
_NO_RUBY = re.compile(r":[ \t]*$|\(self\b|(?<!#)\{(?! ?\|)", re.MULTILINE)
_END = re.compile(r"^[ \t]*end[ \t]*$", re.MULTILINE)
_STEP = re.compile(
    r"\s*(?:\d+[.)] )?(?:BEGIN|END|IF|ELSE|ELSEIF|ENDIF|THEN|FOR|FOREACH|ENDFOR|NEXT|WHILE"
    r"|ENDWHILE|REPEAT"
    r"|UNTIL|FUNCTION|ENDFUNCTION|PROCEDURE|ALGORITHM|RETURN|SET|PRINT|INPUT|OUTPUT|READ"
    r"|DISPLAY|DECLARE"
    r"|CALL|START|STOP|DO)\b"
)
_SENTENCE = re.compile(
    r"\s*(?:[-*•] |\d+[.)] |#{1,6} )?[A-Z][\w',’-]*(?: [\w'’(\"/–-]+[\w'’)\",;:/.!?–-]*){2,}\s*"
)
_CODE_SIGNS = re.compile(r"[={}\[\]<>;\\|&@$%^~]|\w\(|\(\)|\w\.\w+\(")
_PATTERN = re.compile(r"\s*(?:r?/)?\^[^\n]*\$(?:/[gimsuy]*)?\s*")
_ONLY_PYTHON = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ImportFrom, ast.With, ast.Try,
)  # fmt: skip
"""Statements that are written so in Python alone."""


def other_language(source: str) -> str:
    """Return what a text plainly is that does not parse as Python; '' if it may be broken Python.

    A language, `shell`, `prose`, `pseudocode` or `regex`.
    """
    if len(source) > MAX_CHARS or not source.strip() or tree_of(source) is not None:
        return ""
    for name, is_it in _SURE.items():
        if is_it(source):
            return name
    if not _DEFINES.search(source):
        for name, line in _LINES.items():
            if line.search(source):
                return name
    if _PYTHON.search(source):
        return ""
    if _is_pseudocode(source):
        return "pseudocode"
    return "shell" if _SHELL.search(source) else _braced(source)


def is_plainly_python(source: str) -> bool:
    r"""Return whether a text that fails in the language of its fence is a program in Python.

    >>> is_plainly_python("def f(x):\n    return x"), is_plainly_python("x = 1")
    (True, False)
    """
    tree = tree_of(source) if len(source) <= MAX_CHARS else None
    return tree is not None and any(isinstance(node, _ONLY_PYTHON) for node in tree.body)


def _is_environment(source: str) -> bool:
    """Whether all lines set variables of an environment, and one has what no Python has."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return len(lines) > 1 and all(map(_SETTINGS.fullmatch, lines))


def _is_patch(source: str) -> bool:
    """Whether all lines are added, removed or kept, and there are both of the first."""
    lines = [line for line in source.splitlines() if line.strip()]
    signs = {line[:2] for line in lines}
    return {"+ ", "- "} <= signs <= {"+ ", "- ", "  "}


def _is_regex(source: str) -> bool:
    return _PATTERN.fullmatch(source) is not None


def _is_script(source: str) -> bool:
    return _SHEBANG.match(source) is not None


def _is_html(source: str) -> bool:
    return _HTML.match(source) is not None and source.rstrip().endswith(">")


def _is_ruby(source: str) -> bool:
    has_line = _RUBY.search(source) is not None and _END.search(source) is not None
    return has_line and _NO_RUBY.search(source) is None


def _is_sql(source: str) -> bool:
    """Whether all statements begin as only those of SQL do."""
    parts = [part for part in _SQL_COMMENT.sub("", source).split(";") if part.strip()]
    return bool(parts) and _SQL.match(parts[0]) is not None and not _PYTHON.search(parts[0])


def _is_prose(source: str) -> bool:
    """Whether all lines are words: sentences, items of a list and headings."""
    lines = [line for line in source.splitlines() if line.strip()]
    n_sentences = sum(_SENTENCE.fullmatch(line) is not None for line in lines)
    is_text = not _CODE_SIGNS.search(source) and not any(map(_STEP.match, lines))
    n_words = len(source.split())
    return (
        is_text
        and n_words >= MIN_PROSE_WORDS
        and 2 * n_sentences > len(lines)
        and not (_PYTHON.search(source))
    )


def _is_pseudocode(source: str) -> bool:
    lines = [line for line in source.splitlines() if line.strip()]
    n_steps = sum(_STEP.match(line) is not None for line in lines)
    return len(lines) > 1 and n_steps >= MIN_PSEUDOCODE_SHARE * len(lines)


def _braced(source: str) -> str:
    """Return the first language with braces of which a text has a line; '' if there is none."""
    if _COMMENT.search(source):
        return ""
    name = next((name for name, line in _BRACED.items() if line.search(source)), "")
    if not name and _CSS_RULE.match(source):
        return "css"
    return "cpp" if name == "c" and _CPP_WORDS.search(source) else name


_SURE: Mapping[str, Callable[[str], bool]] = {
    "environment": _is_environment,
    "patch": _is_patch,
    "regex": _is_regex,
    "shell": _is_script,
    "html": _is_html,
    "sql": _is_sql,
    "prose": _is_prose,
    "ruby": _is_ruby,
}
"""What is sure by all of a text, or by its beginning; in this order."""
