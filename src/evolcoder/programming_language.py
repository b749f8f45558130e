r"""Programming languages: their names in tasks and fences, fenced code, and code by its looks.

Names are found and not judged. One that is also a word, such as `Go` or `C`, counts where its
sentence makes it a language.

>>> named_language("Port this Java class to Go.")
'java'
>>> code_blocks("```py\nprint(1)\n```")[0].language
'python'
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from evolcoder.fences import fences
from evolcoder.text import words

LANGUAGES: dict[str, tuple[str, ...]] = {
    "python": (
        "python",
        "python3",
        "py",
        "pandas",
        "numpy",
        "django",
        "flask",
        "tensorflow",
        "keras",
    ),
    "javascript": ("javascript", "js", "node.js", "nodejs", "jquery", "react", "reactjs"),
    "typescript": ("typescript", "ts"),
    "java": ("java",),
    "cpp": ("c++", "cpp"),
    "csharp": ("c#", "csharp", "cs"),
    "go": ("golang", "go"),
    "rust": ("rust", "rs"),
    "php": ("php",),
    "ruby": ("ruby", "rb"),
    "perl": ("perl", "pl"),
    "lua": ("lua",),
    "r": ("r",),
    "julia": ("julia", "jl"),
    "swift": ("swift",),
    "bash": ("bash", "shell", "sh", "zsh"),
    "scala": ("scala",),
    "racket": ("racket",),
    "d": ("d",),
    "c": ("c",),
    "kotlin": ("kotlin", "kt"),
    "haskell": ("haskell", "hs"),
    "sql": ("sql", "mysql", "postgresql", "sqlite"),
    "html": ("html",),
    "css": ("css",),
}
"""Language -> its names in tasks and fences."""
AUXILIARY = frozenset({"bash", "sql", "css", "html"})
"""Languages of shell commands, queries and pages; not the program if there is another language."""

_ALIASES = {alias: language for language, aliases in LANGUAGES.items() for alias in aliases}
_AMBIGUOUS = frozenset(
    {
        "go",
        "c",
        "r",
        "d",
        "swift",
        "shell",
        "sh",
        "cs",
        "py",
        "js",
        "ts",
        "pl",
        "rs",
        "rb",
        "jl",
        "hs",
        "kt",
    }
)
_AMBIGUOUS_NAMED = re.compile(
    r"\b(?:in|using|a|an|the|this|simple|following)\s+(C|R|D|Go|Swift|[Ss]hell)"
    r"(?=\s+(?:function|program|code|script|struct|class|method|language|routine|to|that|which|for"
    r"|using|with|and)\b|\s*[.,:;?\n]|$)"
)
_CONVERTED_TO = re.compile(
    r"\b(?:[Cc]onvert|[Pp]ort|[Tt]ranslat|[Tt]ranspil|[Mm]igrat|[Rr]ewrit)\w{0,3}\b[^\n]{0,80}?"
    r"\b(?:in)?to\s+(C|R|D|Go|Swift|Shell)\b(?![+#])"
)
_NAMED_ELSEWHERE = re.compile(
    r"(?:\bна(?: языке)? |\b(?:en|em|auf) |لغة |用 ?|使用 ?"
    r"|\b(?:funzion[ei]|programm[ai]|class[ei]|codice|script|metod[oi]|[Ss]crivi) in )"
    r"(C|R|D|Go|Swift|Shell)(?![A-Za-z+#])"
    r"|(?<![A-Za-z])(?<![、,，])(?<![、,，] )(C|R|D|Go|Swift|Shell)"
    r"(?= ?(?:语言|語言|言語|언어|で|으?로[ ,]|में[ ,]|भाषा))"
)
"""The same in other languages."""
_MAY_BE_NAMED = re.compile(r"\s(?:C|R|D|Go|Swift|[Ss]hell)\b")
"""Necessary condition of both, searched ten times as fast."""
_PLAIN_ALIASES = {name: own for name, own in _ALIASES.items() if name not in _AMBIGUOUS}

_SIGNS = {
    language: re.compile(pattern, re.MULTILINE)
    for language, pattern in {
        "python": r"^[ \t]*(?:(?:async )?def \w+\([^\n]*:|from [\w.]+ import \w|elif [^\n]*:[ \t]*$"
        r"|import (?:numpy|pandas|os|sys|re|math|json|random|collections|itertools)\b"
        r"|class \w+(?:\([\w., ]*\))?:|>>> )",
        "cpp": r"\#include <(?:\w+|bits/\S+)>|\bstd::|using namespace std",
        "c": r"\#include <\w+\.h>",
        "csharp": r"^using System\b|\bConsole\.(?:Write|Read)",
        "java": r"\bSystem\.out\.|^import java|public static void main|\bString\[\] ",
        "rust": r"\bfn \w+\([^\n{]{0,200}\{|\blet mut |\bprintln!",
        "swift": r"\bfunc \w+\([^\n>]{0,200}-> ?[^\n{]{0,80}\{",
        "go": r"^package \w+[ \t]*$|^func [^\n{]{1,200}\{|\bfmt\.\w+\(",
        "kotlin": r"\bfun \w+\([^\n{=]{0,200}[{=]",
        "php": r"<\?php|^[ \t]*\$\w+ = .*;[ \t]*$",
        "typescript": r"\bfunction \w+\([^)\n]{0,200}: (?:number|string|boolean|any)\b"
        r"|^interface \w+ \{",
        "javascript": r"\bfunction ?\w{0,80}\([^)\n]{0,200}\) ?\{|\bconsole\.log\("
        r"|^[ \t]*(?:const|let) \w+ ?=|\bdocument\.\w+\(",
        "sql": r"\bSELECT\b[^;]{1,200}\bFROM\b|\bCREATE TABLE\b|\bINSERT INTO\b",
        "html": r"<(?:!DOCTYPE html|html|body|div|form|table|head|ul)\b[^>\n]{0,200}>",
        "css": r"^[.#]?\w[^\n{;=()]{0,200}\{\s{0,20}[\w-]+ ?:[^;{}\n]{1,200};",
        "bash": r"^\#!.*\b(?:ba|z)?sh\b",
        "ruby": r"^[ \t]*def \w+[?!]?(?:\([\w, ]*\))?[ \t]*$",
    }.items()
}
"""Lines that only one language has, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block of an answer."""

    language: str | None
    """Language of the fence tag, if known."""
    code: str
    """Text between the fences."""
    closed: bool
    """Whether the closing fence is present."""
    tag: str = ""
    """The fence's tag in lower case; empty if it has none."""


def code_blocks(text: str) -> list[CodeBlock]:
    """Find fenced code; an unclosed fence extends to the end of the text."""
    blocks = []
    for start, end in fences(text):
        code = text[start.end() : end.start() if end else len(text)].strip("\n")
        language = language_of(start[2]) if start[2] else None
        blocks.append(CodeBlock(language, code, end is not None, start[2].lower()))
    return blocks


def language_of(name: str) -> str | None:
    """Return the language of a name or fence tag; None if unknown."""
    return _ALIASES.get(name.lower())


def named_languages(text: str, found: Iterable[str] | None = None) -> Counter[str]:
    """Count how often a text names each programming language, fence tags included.

    "SQL injection" does not count as naming SQL. `found` are the text's words, if already known.
    """
    all_words = words(text) if found is None else found
    named = Counter([_PLAIN_ALIASES[word] for word in all_words if word in _PLAIN_ALIASES])
    if "sql" in named and (attacks := text.lower().count("sql injection")):
        named["sql"] -= attacks
        named = +named
    if _MAY_BE_NAMED.search(text):
        named.update(_ALIASES[name.lower()] for name in _AMBIGUOUS_NAMED.findall(text))
        named.update(_ALIASES[name.lower()] for name in _CONVERTED_TO.findall(text))
    if not named or not text.isascii():
        found_names = _NAMED_ELSEWHERE.findall(text)
        named.update({_ALIASES[(one or other).lower()]: 1 for one, other in found_names})
    if "```" in text or "~~~" in text:
        named.update(block.language for block in code_blocks(text) if block.language)
    return named


def named_language(text: str) -> str | None:
    """Return the programming language that a task names most, the first if tied, or None.

    One that names none has that of the code it shows.
    """
    named = named_languages(text)
    if len(named) < 2:
        return next(iter(named), None) or language_of_code(text)
    all_words = words(text)
    first = {_ALIASES[w]: -at for at, w in reversed([*enumerate(all_words)]) if w in _ALIASES}
    return max(named, key=lambda name: (named[name], first.get(name, -len(all_words))))


def language_of_code(text: str) -> str | None:
    """Return the language of the code in a text by unmistakable lines; None if unsure."""
    return next((name for name, sure in _SIGNS.items() if sure.search(text)), None)
