"""Fills the viewer's templates; every text becomes escaped HTML without control characters.

The environment passes each string through `visible` and Jinja escapes it, whatever template it is
in. Marked-up texts come from the report's own functions, which do both.

>>> Pages().render("sources.html", sources=[])   # doctest: +SKIP
'<!DOCTYPE html>...'
"""

import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from evolcoder.errors import ConfigError, UserError
from evolcoder.programming_language import CodeBlock
from evolcoder.report.render import answer_html, changes_html, code_html, named_html, number
from evolcoder.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.responses import Response

TEXT_CHARS = 20_000
"""Most characters of a text that a page shows; the rest is one click away."""
NUMBER_DIGITS = 18
"""Most digits of a number in an address; SQLite holds such numbers."""
INSTALL = "run: pip install 'evolcoder[view]'"
_WORD = re.compile(r"\w+")


class Pages:
    """The templates of the viewer."""

    def __init__(self) -> None:
        """ConfigError if jinja2 is missing."""
        self._environment = _environment()

    def render(self, name: str, **values: Any) -> str:  # noqa: ANN401 - whatever a template shows
        """Fill a template."""
        return self._environment.get_template(name).render(**values)


def whole_number(text: str) -> int | None:
    """Read a number of an address; None for what is none, or longer than `NUMBER_DIGITS`.

    >>> whole_number("12"), whole_number("9" * 5000), whole_number("-1"), whole_number("٣")
    (12, None, None, None)
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS
    return int(text) if is_number else None


def plain_text(part: str, texts: Mapping[str, str]) -> "Response":
    """Return one of a record's texts as a page of plain text; UserError if it is not there."""
    from starlette.responses import PlainTextResponse  # noqa: PLC0415 - optional

    if not texts.get(part):
        raise UserError(
            f"there is no text {part!r} here, but {', '.join(filter(texts.get, texts))}"
        )
    return PlainTextResponse(visible(texts[part]))


def static(name: str) -> bytes:
    """Return a style or script."""
    return files("evolcoder.data").joinpath("view").joinpath(name).read_bytes()


def _environment() -> "Environment":
    try:
        import jinja2  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigError(f"the viewer needs jinja2, which is not installed; {INSTALL}") from error
    folder = files("evolcoder.data").joinpath("view")

    def source(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    made = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown,
        loader=jinja2.FunctionLoader(source), trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "number": number, "named": named_html, "answer": _answer, "code": _code,
        "changes": _changes, "marked": _marked, "cut": _cut,
        "path": lambda text: quote(text, safe=""), "query": _query,
        "json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }  # fmt: skip
    return made


def _shown(value: object) -> object:
    """Make a string visible; marked-up text is already."""
    return visible(value) if type(value) is str else value


def _markup(html: str) -> object:
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    return Markup(html)  # noqa: S704 - escaped by the callers


def _cut(text: str) -> str:
    """Return the beginning of a text."""
    return text[:TEXT_CHARS]


def _answer(text: str) -> object:
    """Highlight the code in an answer's fences."""
    return _markup("".join(answer_html(visible(text[:TEXT_CHARS]))))


def _code(text: str, language: str = "python") -> object:
    """Highlight a program."""
    return _markup(code_html(CodeBlock(language, visible(text[:TEXT_CHARS]), True, language)))  # noqa: FBT003


def _changes(text: str, before: str) -> object:
    """Mark the words that differ from an earlier text."""
    old, new = (visible(one[:TEXT_CHARS]) for one in (before, text))
    return _markup("".join(changes_html(old, new)))


def _marked(text: str, query: str) -> object:
    """Mark searched words."""
    words = {word.casefold() for word in _WORD.findall(query)}
    if not words:
        return _markup(escape(visible(text)))
    pattern = re.compile(
        "|".join(map(re.escape, sorted(words, key=len, reverse=True))), re.IGNORECASE
    )
    parts, at, shown = [], 0, visible(text)
    for found in pattern.finditer(shown):
        parts += [escape(shown[at : found.start()]), f"<mark>{escape(found[0])}</mark>"]
        at = found.end()
    return _markup("".join([*parts, escape(shown[at:])]))


def _query(values: dict[str, object], **more: object) -> str:
    """Return the query of an address; empty values are left out."""
    pairs = {name: value for name, value in {**values, **more}.items() if value not in (None, "")}
    return f"?{urlencode(pairs)}" if pairs else "?"
