"""Renders a report as one HTML file without external resources, or as Markdown.

Texts of models and data sets are data: escaped everywhere, control and bidirectional characters
made visible. The page allows no script but its own, by its hash, and no request. The HTML stays
under 5 MB: rows and records are left out from the end, and the page says how many; so are figures,
whose tables stay, and which are narrow ones first.

>>> path.write_text(html(report), encoding="utf-8")   # doctest: +SKIP
"""

import base64
import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from evolcoder.errors import ConfigError
from evolcoder.programming_language import CodeBlock, code_blocks
from evolcoder.report import charts
from evolcoder.report.content import JOINT, Cell, ReportContent, ReportRecord, ReportSection, Text
from evolcoder.visible import visible

if TYPE_CHECKING:
    from jinja2 import Template

MAX_BYTES = 4_800_000
"""Most bytes of figures, tables and records; what they leave of 5 MB is the page itself."""
MAX_TABLE_BYTES = 2_000_000
"""Most bytes of all tables."""
MAX_FIGURE_BYTES = 2_400_000
"""Most bytes of all figures."""
CELL_BYTES = 60
"""Bytes of a cell without its text."""
MAX_TABLE_ROWS = 2_000
"""Most rows of a table on a page; JSON has them all."""
MARKED_WORDS = 1_500
"""Longest text, in words and gaps, in which changes are marked."""
SHARED_WORDS = 3
"""Shortest run of words that is marked as shared."""
_WORDS = re.compile(r"\w+")
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def markdown(report: ReportContent) -> str:
    """Render a report for a pull request: headings, captions, tables, notes; no figures."""
    lines = [f"# {_cell(report.title)}", "", _cell(report.summary), ""]
    lines += [f"- **{name}**: {_cell(value)}" for name, value in report.facts if value]
    for section in report.sections:
        lines += ["", f"## {section.title}", "", _cell(section.caption)]
        if section.table and section.table.rows:
            lines += ["", _row(section.table.columns), _row(["---"] * len(section.table.columns))]
            lines += [_row(row) for row in section.table.rows[:MAX_TABLE_ROWS]]
        lines += [f"\n{_cell(note)}" for note in section.notes]
        if section.records:
            n = len(section.records)
            lines += ["", f"{n:,} with texts: in the page and in `--json`."]
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


def html(report: ReportContent) -> str:
    """Render a report as a page; ConfigError if jinja2 or matplotlib is missing."""
    template = _template()
    sections: list[dict[str, Any]] = []
    in_tables = MAX_TABLE_BYTES
    for section in report.sections:
        sections.append(_section(section, in_tables))
        in_tables -= sum(map(_row_bytes, sections[-1]["rows"]))
    in_figures = 0
    for name in ("image", "narrow_image"):  # where there is no narrow one, phones show the wide one
        for one in sections:
            if in_figures + len(one[name]) > MAX_FIGURE_BYTES:
                one[name] = ""
            in_figures += len(one[name])
    left = MAX_BYTES - (MAX_TABLE_BYTES - in_tables) - in_figures
    for section, shown in zip(report.sections, sections, strict=True):
        shown["records"] = list(_records(section, left))
        left -= sum(map(_record_bytes, shown["records"]))
        shown["n_left_out"] = len(section.records) - len(shown["records"])
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


def _section(section: ReportSection, in_tables: int) -> dict[str, Any]:
    """Prepare all of a section but its records; its table takes at most `in_tables` bytes."""
    table = section.table
    rows = []
    for row in table.rows[:MAX_TABLE_ROWS] if table else ():
        cells = [_shown(value) for value in row]
        in_tables -= _row_bytes(cells)
        if in_tables < 0:
            break
        rows.append(cells)
    return {
        "name": section.name,
        "title": section.title,
        "caption": visible(section.caption),
        "image": _image(section, is_narrow=False),
        "narrow_image": _image(section, is_narrow=True),
        "columns": table.columns if table else (),
        "rows": rows,
        "n_rows_left_out": len(table.rows) - len(rows) if table else 0,
        "is_open": section.is_open or not (section.chart or section.records),
        "notes": [named_html(note) for note in section.notes],
        "filters": _filters(section.records),
    }


def _image(section: ReportSection, *, is_narrow: bool) -> str:
    """Return the figure of a section as an address that holds it; empty if it has none."""
    if section.chart is None:
        return ""
    drawn = charts.svg(section.chart, is_narrow=is_narrow).encode()
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"


def _row_bytes(cells: Sequence[Mapping[str, object]]) -> int:
    return sum(CELL_BYTES + len(escape(str(cell["text"])).encode()) for cell in cells)


def _records(section: ReportSection, left: int) -> Iterator[dict[str, object]]:
    """Yield the records of a section that fit into so many bytes."""
    for record in section.records:
        plain = _record(record)
        left -= _record_bytes(plain)
        if left < 0:
            return
        yield plain


def records_html(records: Sequence[ReportRecord]) -> list[dict[str, object]]:
    """Return records as what a template shows: texts as escaped HTML, everything else visible."""
    return [_record(record) for record in records]


def _record_bytes(plain: Mapping[str, object]) -> int:
    return len(escape(str(plain["notes"])).encode()) + sum(
        len(str(plain[name]).encode()) for name in ("id", "facts", "texts")
    )


def _shown(value: Cell) -> dict[str, object]:
    is_number = isinstance(value, int | float)
    sort = value if is_number else ""
    return {"text": visible(number(value)), "is_number": is_number, "sort": sort}


def _filters(records: Sequence[ReportRecord]) -> dict[str, list[str]]:
    """Return the parts of each fact of the records, for those with more than one."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.facts:
            found.setdefault(name, set()).update(visible(value).split(JOINT))
    return {name: sorted(values) for name, values in found.items() if len(values) > 1}


def _record(record: ReportRecord) -> dict[str, object]:
    return {
        "id": visible(record.id),
        "facts": [(name, visible(value)) for name, value in record.facts],
        "texts": [
            {
                "title": text.title,
                "html": _text_html(text),
                "left_out": text.n_left_out,
                "is_answer": text.is_answer,
            }
            for text in record.texts
        ],
        "notes": [visible(note) for note in record.notes],
        "is_paired": record.is_paired,
    }


def named_html(text: str) -> object:
    """Return a text as escaped HTML in which what stands in backticks is code."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    shown = re.sub(r"`([^`\s][^`]*)`", r"<code>\1</code>", escape(visible(text)))
    return Markup(shown)  # noqa: S704 - escaped above


def _text_html(text: Text) -> object:
    """Return a text as escaped HTML with changes marked or code highlighted."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    body = visible(text.body)
    if text.is_answer:
        return Markup("".join(answer_html(body)))  # noqa: S704 - escaped below
    if text.shared_with is not None:
        return Markup("".join(_shared(body, visible(text.shared_with))))  # noqa: S704
    if text.before is not None:
        return Markup("".join(changes_html(visible(text.before), body, gone=False)))  # noqa: S704
    if text.after is not None:
        return Markup("".join(changes_html(body, visible(text.after), come=False)))  # noqa: S704
    return Markup(escape(body))  # noqa: S704


def changes_html(before: str, after: str, *, gone: bool = True, come: bool = True) -> Iterator[str]:
    """Mark the words that `after` adds, and those of `before` that it lacks.

    Without `gone` that is the text `after`, without `come` the text `before`.
    """
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    if max(len(old), len(new)) > MARKED_WORDS:
        yield escape(after if come else before)
        return
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        lost, added = escape("".join(old[a:b])), escape("".join(new[c:d]))
        if kind == "equal":
            yield added
        else:
            yield f"<del>{lost}</del>" if lost and gone else ""
            yield f"<ins>{added}</ins>" if added and come else ""


def _shared(text: str, other: str) -> Iterator[str]:
    """Mark the runs of at least `SHARED_WORDS` words that are in another text too."""
    spans = [found.span() for found in _WORDS.finditer(text)]
    mine = [text[start:end].lower() for start, end in spans]
    theirs = [word.lower() for word in _WORDS.findall(other)]
    if max(len(mine), len(theirs)) > MARKED_WORDS:
        yield escape(text)
        return
    at = 0
    blocks = difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    for start, _, size in blocks:
        if size >= SHARED_WORDS:
            first, end = spans[start][0], spans[start + size - 1][1]
            yield f"{escape(text[at:first])}<mark>{escape(text[first:end])}</mark>"
            at = end
    yield escape(text[at:])


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
    # Lexers take time with the square of the number of lines that hold blanks alone.
    code = "\n".join(line.rstrip(" \t") for line in block.code.split("\n"))
    found: str = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return found if code.endswith("\n") else found.removesuffix("\n")
