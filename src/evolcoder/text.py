"""Plain text work that every stage shares: words, overlap, fenced code, the language named.

Nothing here judges; it only finds.

>>> words("Sort the list, please.")
['sort', 'the', 'list', 'please']
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['+#][^\W_]*)*", re.UNICODE)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")

STOP_WORDS = frozenset(
    """a an the and or but if then else so of in on at to for from by with without as is are was
    were be been being it its this that these those there here you your i me my we our us they them
    their he she his her do does did done doing have has had can could will would shall should may
    might must not no yes also just only very too more most some any all each every which who whom
    whose what when where why how about into over under again once than such own same both few other
    please using use used ensure make sure following given""".split()
)

LANGUAGES: dict[str, tuple[str, ...]] = {
    "python": ("python", "python3", "py", "pandas", "numpy", "django", "flask"),
    "javascript": ("javascript", "js", "node.js", "nodejs", "jquery"),
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
"""Language -> the names that tasks and fences give it."""

_ALIASES = {alias: language for language, aliases in LANGUAGES.items() for alias in aliases}
_AMBIGUOUS = frozenset({"go", "c", "r", "d", "swift", "shell", "sh", "cs", "py", "js", "ts", "pl"})
_AMBIGUOUS_NAMED = re.compile(
    r"\b(?:in|using|a|an|the|this|simple|following)\s+(C|R|D|Go|Swift|[Ss]hell)"
    r"(?=\s+(?:function|program|code|script|struct|class|method|language|routine)|\s*[.,:;\n]|$)"
)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced part of an answer."""

    language: str | None
    """Language of the fence, if it is one that we know."""
    code: str
    """What stands between the fences."""
    closed: bool
    """Whether the closing fence is there."""


def clean(text: str) -> str:
    """Make a string that any encoder takes: lone surrogates and NUL become U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def normalise(text: str) -> str:
    """Lower the case and reduce everything but letters, digits, and `+ #` in words to one blank."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """Split into lower-case words; `c++` and `c#` stay whole."""
    return _WORD.findall(text.lower())


def content_words(text: str) -> set[str]:
    """Return the distinct words that are not stop words."""
    return {word for word in words(text) if word not in STOP_WORDS}


def jaccard(a: Iterable[str], b: Iterable[str]) -> float:
    """Share of common members in all members of two collections; two empty ones are equal."""
    first, second = set(a), set(b)
    union = len(first | second)
    return len(first & second) / union if union else 1.0


def one_line(text: str, width: int) -> str:
    """Fold white space and shorten to a width in characters."""
    folded = _SPACE.sub(" ", text).strip()
    return folded if len(folded) <= width else folded[: width - 1] + "…"


def code_blocks(text: str) -> list[CodeBlock]:
    """Find fenced code; a fence that never closes ends with the text."""
    blocks: list[CodeBlock] = []
    start: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if start is None:
            start = fence
        elif fence[1].startswith(start[1]) and not fence[2]:
            blocks.append(_block(start, text[start.end() : fence.start()], closed=True))
            start = None
    if start is not None:
        blocks.append(_block(start, text[start.end() :], closed=False))
    return blocks


def without_code(text: str) -> str:
    """Return the prose around fenced code."""
    kept, end, start = [], 0, None
    for fence in _FENCE.finditer(text):
        if start is None:
            start = fence
            kept.append(text[end : fence.start()])
        elif fence[1].startswith(start[1]) and not fence[2]:
            end, start = fence.end(), None
    if start is None:
        kept.append(text[end:])
    return "".join(kept)


def language_of(name: str) -> str | None:
    """Return the language that a name or fence tag stands for."""
    return _ALIASES.get(name.lower())


def named_language(text: str) -> str | None:
    """Return the programming language that a task names, or None; fences count as naming."""
    named = Counter(
        _ALIASES[word]
        for word in re.findall(r"[a-z][\w+#]*(?:\.js)?", text.lower())
        if word in _ALIASES and word not in _AMBIGUOUS
    )
    named.update(_ALIASES[found.lower()] for found in _AMBIGUOUS_NAMED.findall(text))
    named.update(block.language for block in code_blocks(text) if block.language)
    if not named:
        return None
    return max(named, key=lambda language: (named[language], -text.lower().find(language)))


def longest_repeat(text: str, *, width: int = 40, least: int = 4) -> str:
    """Return a line or a phrase of `width` characters that fills the end of a text, or ''.

    A model that loops says one thing over and over until it is cut off; prose and code repeat too,
    so only a repeat of at least `least` times in a row counts.
    """
    tail = text[-2000:]
    for size in range(1, min(width * 5, len(tail) // least) + 1):
        unit = tail[-size:]
        if unit.strip() and len(unit.strip()) > 2 and tail.endswith(unit * least):
            if size * least >= width:
                return unit.strip()
            if tail.endswith(unit * (width // size + 1)):
                return unit.strip()
    return ""


def _block(start: re.Match[str], code: str, *, closed: bool) -> CodeBlock:
    return CodeBlock(language_of(start[2]) if start[2] else None, code.strip("\n"), closed)
