r"""Fenced code in Markdown, and lines that look like code outside of it.

Nothing is parsed as a program: `programming_language` names the language of a block.

>>> without_code("Sort it:\n```python\nsorted(x)\n```")
'Sort it:\n'
"""

import re

from evolcoder.text import remembered

_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*"
    # attributes as in Pandoc, R Markdown and MyST: {.python .numberLines}, {r}, {code-cell} python
    r"(?:\{[ \t]*(?:#[\w-]+[ \t]+)?(?:code-cell\}[ \t]*|code-block\}[ \t]*)?\.?)?"
    r"(?:lang(?:uage)?-)?((?!(?:title|file|filename|name|caption|lines|linenums|hl_lines)=)"
    r"[\w+#.-]*|)[^\n]*$",
    re.MULTILINE,
)
_TRIPLE_QUOTES = re.compile(r"\"{3}|'{3}")
DEEPER = 4
"""A closing fence is indented by fewer characters more than the opening one."""
MAX_INNER_FENCES = 50
"""Fences after the opening one among which its closing one is searched."""
_QUOTED = re.compile(r"`[^`\n]{3,}`")
_CODE_LINE = re.compile(
    r"^[ \t]*(?:"
    r"(?:def|class|import|from|return|for|while|if|elif|else|try|except|with|switch|case)\b.*[:{(;)]"
    r"|(?:const|let|var|public|private|static|func|fn|function|void|int|double|float|char|bool"
    r"|string|String|auto|my|local|using|namespace|package|struct|val)\b.*[;{(=]"
    r"|(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH)\b.*"
    r"|\#include.*|</?\w[^>\n]*>.*|\$\w+\s*=.*|[\w.\[\]]+\s*(?:[-+*/]?=|<-)\s*\S.*|[\w.]+\(.*\);?"
    r"|[.\#\w][\w .\#-]*\{.*|[{}\])]+;?"
    r")[ \t]*$",
    re.MULTILINE,
)


def fences(text: str) -> tuple[tuple[re.Match[str], re.Match[str] | None], ...]:
    """Return the opening and the closing fence of each block; None if it is not closed.

    A fence does not close a block if it is much further indented than the opening one, or within a
    docstring: examples in docstrings have fences too. If nothing else closes the block, they do,
    and so does a shorter fence than the opening one, which models write by mistake.
    """
    return _found_fences(text) if "```" in text or "~~~" in text else ()


@remembered
def _found_fences(text: str) -> tuple[tuple[re.Match[str], re.Match[str] | None], ...]:
    found, fences = [], list(_FENCE.finditer(text))
    has_docstrings = '"""' in text or "'''" in text
    at = 0
    while at < len(fences):
        start = fences[at]
        closing = _closing(text if has_docstrings else "", fences, at)
        found.append((start, None if closing is None else fences[closing]))
        if closing is None:
            break
        at = closing + 1
    return tuple(found)


def _closing(text: str, fences: list[re.Match[str]], at: int) -> int | None:
    """Return the place of the fence that closes the block which begins at the fence `at`.

    `text` is empty if it has no docstrings.
    """
    start, fallback, n_inner = fences[at], None, 0
    quotes = _OpenDocstring()
    end = start.end()
    for place in range(at + 1, min(len(fences), at + 1 + MAX_INNER_FENCES)):
        fence = fences[place]
        quotes.read(text[end : fence.start()])
        end = fence.end()
        begins = fallback is not None and not (quotes.is_open and n_inner % 2 == 0)
        if fence[2] and begins:
            return fallback  # another block begins; a tagged fence closes none in a docstring
        n_inner += fence[1][0] == start[1][0]
        if fence[2] or fence[1][0] != start[1][0]:
            continue
        is_long = len(fence[1]) >= len(start[1])
        if is_long and not quotes.is_open and _indent(fence) < _indent(start) + DEEPER:
            return place
        if fallback is None:
            fallback = place
    return fallback


class _OpenDocstring:
    """Whether the text read so far ends within a string of three quotes."""

    def __init__(self) -> None:
        self._quote = ""

    @property
    def is_open(self) -> bool:
        return bool(self._quote)

    def read(self, text: str) -> None:
        for quote in _TRIPLE_QUOTES.findall(text):
            if not self._quote:
                self._quote = quote
            elif quote == self._quote:
                self._quote = ""


def _indent(fence: re.Match[str]) -> int:
    return fence.start(1) - fence.start()


def before_bare_fence(text: str) -> str:
    """Return the text before the first fence if that has no language tag; else ''."""
    fence = _FENCE.search(text)
    return text[: fence.start()] if fence and not fence[2] else ""


def without_code(text: str) -> str:
    """Return the text outside fenced code."""
    kept, at = [], 0
    for start, end in fences(text):
        kept.append(text[at : start.start()])
        at = end.end() if end else len(text)
    return "".join([*kept, text[at:]])


def only_block(text: str) -> str:
    r"""Return the only fenced block of a text with its fences; '' if it has none or several.

    >>> only_block("Sure:\n```py\nx = 1\n```\nIt sets x.")
    '```py\nx = 1\n```'
    """
    match fences(text):
        case ((start, end),) if end is not None:
            return text[start.start() : end.end()].strip("\n")
    return ""


def has_code(text: str) -> bool:
    """Return whether an answer has code: a fence, a back-quoted part or a line like code."""
    return "```" in text or _QUOTED.search(text) is not None or _CODE_LINE.search(text) is not None


def code_lines(text: str) -> list[str]:
    """Return the lines outside of fences that look like code, stripped."""
    if "\n" not in text:
        # A search would try every character of the line, but can match only at its beginning.
        return [text.strip()] if _CODE_LINE.match(text) else []
    return [found.strip() for found in _CODE_LINE.findall(text)]
