"""Renders a report as one HTML file without external resources, or as Markdown.

Texts of models and data sets are data: escaped everywhere, control and bidirectional characters
made visible. The page allows no script but its own, by its hash, and no request. The HTML stays
under `MAX_BYTES`: records are left out from the end, and the page says how many.

>>> path.write_text(html(report), encoding="utf-8")   # doctest: +SKIP
"""

import base64
import difflib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from evolcoder.errors import ConfigError
from evolcoder.report import charts
from evolcoder.report.content import Cell, Record, Report, Section, Text
from evolcoder.text import CodeBlock, code_blocks, visible

if TYPE_CHECKING:
    from jinja2 import Template

MAX_BYTES = 4_500_000
"""Most bytes of records; figures and tables add less than half a megabyte."""
MAX_TABLE_ROWS = 2_000
"""Most rows of a table on a page; JSON has them all."""
MARKED_WORDS = 1_500
"""Longest text, in words and gaps, in which changes are marked."""
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def markdown(report: Report) -> str:
    """Render a report for a pull request: headings, captions, tables, notes; no figures."""
    lines = [f"# {_cell(report.title)}", "", _cell(report.summary), ""]
    lines += [f"- **{name}**: {_cell(value)}" for name, value in report.facts if value]
    for section in report.sections:
        lines += ["", f"## {section.title}", "", _cell(section.caption)]
        if section.table and section.table.rows:
            lines += ["", _row(section.table.columns), _row(["---"] * len(section.table.columns))]
            lines += [_row(row) for row in section.table.rows[:MAX_TABLE_ROWS]]
        lines += [f"\n{_cell(note)}" for note in section.notes]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(_cell(one) for one in cells)} |"


def _cell(value: Cell) -> str:
    """Format a value as one line of Markdown."""
    if value is None:
        return ""
    plain = visible(number(value))
    return re.sub(r"([|\\`*_\[\]<>#])", r"\\\1", " ".join(plain.split()))


def number(value: Cell) -> str:
    """Format a value for people: thousands separated, floats with up to four digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value


def html(report: Report) -> str:
    """Render a report as a page; ConfigError if jinja2 or matplotlib is missing."""
    template = _template()
    left, sections = MAX_BYTES, []
    for section in report.sections:
        shown: list[dict[str, object]] = []
        for record in section.records:
            plain = _record(record)
            left -= sum(len(str(text)) for text in plain.values())
            if left < 0:
                break
            shown.append(plain)
        sections.append(_section(section, shown))
    script = files("evolcoder.data").joinpath("report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    plain_report = replace(report, title=visible(report.title), summary=visible(report.summary))
    return template.render(
        report=plain_report,
        facts=[(name, visible(value)) for name, value in report.facts if value],
        sections=sections,
        script=script,
        digest=digest,
    )


def _template() -> "Template":
    try:
        import jinja2  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigError(
            "an HTML report needs jinja2, which is not installed; run: pip install "
            "'evolcoder[report]', or use --markdown or --json, which need nothing more"
        ) from error
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    source = files("evolcoder.data").joinpath("report.html").read_text(encoding="utf-8")
    return environment.from_string(source)


def _section(section: Section, records: list[dict[str, object]]) -> dict[str, object]:
    table = section.table
    image = ""
    if section.chart is not None:
        drawn = charts.svg(section.chart).encode()
        image = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
    rows = table.rows[:MAX_TABLE_ROWS] if table else ()
    return {
        "name": section.name,
        "title": section.title,
        "caption": visible(section.caption),
        "image": image,
        "columns": table.columns if table else (),
        "rows": [[_shown(value) for value in row] for row in rows],
        "n_rows_left_out": len(table.rows) - len(rows) if table else 0,
        "is_open": section.is_open or section.chart is None,
        "notes": [visible(note) for note in section.notes],
        "records": records,
        "n_left_out": len(section.records) - len(records),
        "filters": _filters(section.records),
    }


def _shown(value: Cell) -> dict[str, object]:
    is_number = isinstance(value, int | float)
    sort = value if is_number else ""
    return {"text": visible(number(value)), "is_number": is_number, "sort": sort}


def _filters(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the values of each fact of the records, for those with more than one."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in record.facts:
            found.setdefault(name, {})[visible(value)] = None
    return {name: sorted(values) for name, values in found.items() if len(values) > 1}


def _record(record: Record) -> dict[str, object]:
    return {
        "id": visible(record.id),
        "facts": [(name, visible(value)) for name, value in record.facts],
        "texts": [
            {"title": text.title, "html": _text_html(text), "left_out": text.n_left_out}
            for text in record.texts
        ],
        "notes": [visible(note) for note in record.notes],
    }


def _text_html(text: Text) -> object:
    """Return a text as escaped HTML with changes marked or code highlighted."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    body = visible(text.body)
    if text.is_answer:
        return Markup("".join(answer_html(body)))  # noqa: S704 - escaped below
    if text.before is not None:
        return Markup("".join(changes_html(visible(text.before), body)))  # noqa: S704
    return Markup(escape(body))  # noqa: S704


def changes_html(before: str, after: str) -> Iterator[str]:
    """Mark the words that `after` adds, and those of `before` that it lacks."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    if max(len(old), len(new)) > MARKED_WORDS:
        yield escape(after)
        return
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        gone, come = escape("".join(old[a:b])), escape("".join(new[c:d]))
        if kind == "equal":
            yield come
        else:
            yield f"<del>{gone}</del>" if gone else ""
            yield f"<ins>{come}</ins>" if come else ""


def answer_html(text: str) -> Iterator[str]:
    """Escape a text and highlight the code in its fences."""
    at = 0
    for block in code_blocks(text):
        start = text.find(block.code, at) if block.code.strip() else -1
        if start < 0:
            continue
        yield escape(text[at:start])
        yield f"<code>{code_html(block)}</code>"
        at = start + len(block.code)
    yield escape(text[at:])


def code_html(block: CodeBlock) -> str:
    """Return code as escaped HTML, highlighted if its language is known."""
    from pygments import highlight  # noqa: PLC0415 - slow import
    from pygments.formatters import HtmlFormatter  # noqa: PLC0415
    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        lexer = get_lexer_by_name(block.language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(block.code)
    found: str = highlight(block.code, lexer, HtmlFormatter(nowrap=True))
    return found if block.code.endswith("\n") else found.removesuffix("\n")
