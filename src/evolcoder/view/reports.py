"""The viewer's pages of loops and of cleaned files: their reports, with links to rows.

A report is made in a thread, again when its files change, and its figures when they are asked for.

>>> pages = ReportPages(sources, shown, page=render, data_dir=None)   # doctest: +SKIP
>>> routes = pages.routes()
"""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evolcoder.errors import EvolcoderError, UserError
from evolcoder.report import charts, cleaning, loop
from evolcoder.report.content import Cell, ReportContent, ReportSection
from evolcoder.report.render import records_html
from evolcoder.view.cleaned import CleanedFile, RowTexts
from evolcoder.view.latest import Latest
from evolcoder.view.pages import TEXT_CHARS, plain_text, whole_number
from evolcoder.view.sources import AnySource, ReportSource

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

MAX_ROWS = 500
"""Most rows of a table on a page; the report has more."""
MAX_CELL = 500
"""Most characters of a cell."""


class ShownReport:
    """A loop or a cleaned file, with its report."""

    def __init__(self, source: ReportSource, data_dir: Path | None) -> None:
        self.source = source
        self._data_dir = data_dir
        self._content = Latest(self._read)
        self._figures: dict[tuple[object, str, bool], bytes] = {}
        self.cleaned = CleanedFile(source, data_dir) if source.kind == "cleaned" else None

    def content(self, *, wait_s: float | None = None) -> ReportContent | None:
        """Return the report; None while it is made for the first time."""
        return self._content.get(self.source.signature(), wait_s=wait_s)

    def summary(self, *, wait_s: float) -> str:
        """Return the report's summary for a list, or an empty string.

        A list does not have the report of a loop made: that takes a minute for a large one.
        """
        content = self._content.known if self.source.kind == "loop" else self.content(wait_s=wait_s)
        return content.summary if content else ""

    def _read(self) -> ReportContent:
        if self.source.kind == "loop":
            return loop.report_of(self.source.path)
        return cleaning.report_of(self.source.path, self._data_dir)

    def figure(self, name: str, *, is_narrow: bool) -> bytes:
        """Draw the figure of a section as SVG; UserError if there is none."""
        content = self.content()
        key = self.source.signature(), name, is_narrow
        if key not in self._figures:
            found = (
                next((one for one in content.sections if one.name == name), None)
                if content
                else None
            )
            if found is None or found.chart is None:
                raise UserError("there is no such figure")
            self._figures = {one: svg for one, svg in self._figures.items() if one[0] == key[0]}
            self._figures[key] = charts.svg(found.chart, is_narrow=is_narrow).encode()
        return self._figures[key]


class ReportPages:
    """Answers requests about loops and cleaned files."""

    def __init__(
        self, sources: Sequence[AnySource], page: Callable[..., "Response"], data_dir: Path | None
    ) -> None:
        """`page` fills a template by its name; `sources` are all that the viewer shows."""
        self._page = page
        self.shown = {
            one.key: ShownReport(one, data_dir) for one in sources if isinstance(one, ReportSource)
        }
        self._others = [one for one in sources if not isinstance(one, ReportSource)]

    def routes(self) -> list["Route"]:
        """Return the addresses of these pages."""
        from starlette.routing import Route  # noqa: PLC0415 - optional

        found = [
            Route("/cleaned/{key}/rows", self.rows),
            Route("/cleaned/{key}/row/{number}", self.row),
            Route("/cleaned/{key}/row/{number}/texts", self.texts),
            Route("/cleaned/{key}/row/{number}/text/{part}", self.text),
        ]
        for kind in ("loop", "cleaned"):
            found += [
                Route(f"/{kind}/{{key}}", self.report),
                Route(f"/{kind}/{{key}}/live", self.live),
                Route(f"/{kind}/{{key}}/figure/{{name}}", self.figure),
            ]
        return found

    def _of(self, request: "Request") -> ShownReport:
        kind = request.url.path.split("/")[1]
        found = self.shown.get(request.path_params["key"])
        if found is None or found.source.kind != kind:
            raise UserError("this viewer was not started with such a folder or file")
        return found

    def report(self, request: "Request") -> "Response":
        """Show the report of a loop or a cleaned file."""
        one = self._of(request)
        return self._page("report.html", source=one.source, **self._values(one))

    def live(self, request: "Request") -> "Response":
        """Return the report alone."""
        one = self._of(request)
        return self._page("report_live.html", source=one.source, **self._values(one))

    def _values(self, one: ShownReport) -> dict[str, Any]:
        """Return what a page shows; what is wrong with the folder is shown as well."""
        wrong = ""
        content = None
        try:
            content = one.content()
        except EvolcoderError as error:
            wrong = str(error)
        sections = (
            [] if content is None else [self._section(one, part) for part in content.sections]
        )
        inside = list(self._inside(one.source)) if one.source.kind == "loop" else []
        has_figures = importlib.util.find_spec("matplotlib") is not None
        return {"content": content, "sections": sections, "wrong": wrong, "inside": inside,
                "has_figures": has_figures}  # fmt: skip

    def _inside(self, source: ReportSource) -> Iterator[AnySource]:
        """Yield the runs and evaluations that lie in a loop's folder."""
        above = os.path.realpath(source.path)
        for other in self._others:
            if os.path.realpath(other.folder).startswith(f"{above}{os.sep}"):
                yield other

    def _section(self, one: ShownReport, section: ReportSection) -> dict[str, Any]:
        """Prepare a section for the page: cells with their links."""
        table = section.table
        link = self._link(one.source, section)
        rows = [
            [(_short(value), isinstance(value, int | float), link(name, value))
             for name, value in zip(table.columns, row, strict=True)]
            for row in table.rows[:MAX_ROWS]
        ] if table else []  # fmt: skip
        return {
            "name": section.name, "title": section.title, "caption": section.caption,
            "chart": section.chart is not None, "columns": table.columns if table else (),
            "rows": rows, "n_left_out": len(table.rows) - len(rows) if table else 0,
            "notes": section.notes, "is_open": section.is_open or section.chart is None,
        }  # fmt: skip

    def _link(self, source: ReportSource, section: ReportSection) -> Callable[[str, Cell], str]:
        """Return what finds the address of the row that a cell names; empty for other cells."""
        if source.kind == "cleaned":
            return lambda name, value: _cleaned_link(source, section.name, name, value)
        run = next(
            (one for one in self._inside(source) if section.name.startswith(f"{one.name}-")), None
        )
        if run is None or not section.name.endswith("nearest"):
            return lambda _name, _value: ""
        return lambda name, value: (
            f"/run/{run.key}/row/{quote(str(value), safe='')}" if name == "row" else ""
        )

    def figure(self, request: "Request") -> "Response":
        """Return a figure as SVG."""
        from starlette.responses import Response  # noqa: PLC0415 - optional

        is_narrow = bool(request.query_params.get("narrow"))
        drawn = self._of(request).figure(request.path_params["name"], is_narrow=is_narrow)
        return Response(drawn, media_type="image/svg+xml")

    def rows(self, request: "Request") -> "Response":
        """Show a page of the rows that cleaning dropped."""
        one = self._of(request)
        given = request.query_params
        reason, text = given.get("reason", ""), given.get("after", "")
        page = _cleaned(one).page(reason, after=whole_number(text) or 0)
        return self._page("cleaned_rows.html", source=one.source, page=page, reason=reason)

    def row(self, request: "Request") -> "Response":
        """Show a row of a cleaned file: why it was dropped, and its texts."""
        one, number = self._of(request), _row_number(request)
        return self._page(
            "cleaned_row.html", source=one.source, number=number, drop=_cleaned(one).drop(number),
            **_texts_values(_cleaned(one).texts(number)),
        )  # fmt: skip

    def texts(self, request: "Request") -> "Response":
        """Return the texts of a row alone."""
        one, number = self._of(request), _row_number(request)
        return self._page(
            "cleaned_texts.html", source=one.source, number=number,
            drop=_cleaned(one).drop(number), **_texts_values(_cleaned(one).texts(number)),
        )  # fmt: skip

    def text(self, request: "Request") -> "Response":
        """Return a whole text of a row, or of the row that was kept instead."""
        number, part = _row_number(request), request.path_params["part"]
        texts = _cleaned(self._of(request)).texts(number)
        if texts is None:
            raise UserError("the texts are being read; load the page again in a moment")
        return plain_text(part, {
            "task": texts.task, "answer": texts.answer, "kept-answer": texts.kept_answer,
        })  # fmt: skip


def _row_number(request: "Request") -> int:
    """Return the number of a row that an address names; UserError if it names none."""
    text = request.path_params["number"]
    number = whole_number(text)
    if number is None:
        raise UserError(f"{text[:40]!r} is no number of a row")
    return number


def _cleaned(one: ShownReport) -> CleanedFile:
    if one.cleaned is None:
        raise UserError("this is no cleaned file")
    return one.cleaned


def _texts_values(texts: RowTexts | None) -> Mapping[str, Any]:
    leaks = records_html(texts.leaks) if texts else []
    return {"texts": texts, "leaks": leaks, "limit": TEXT_CHARS}


def _short(value: Cell) -> Cell:
    return f"{value[:MAX_CELL]}…" if isinstance(value, str) and len(value) > MAX_CELL else value


def _cleaned_link(source: ReportSource, section: str, name: str, value: Cell) -> str:
    """Return the address of what a cell names: a row, or the rows dropped for a reason."""
    rows = f"/cleaned/{source.key}/row"
    if section == "rows" and name == "rows" and value not in ("read", "kept"):
        return f"{rows}s?reason={quote(str(value), safe='')}"
    number = str(value).removeprefix("row ")
    if section in ("leaks", "duplicates") and name in ("row", "kept row") and number.isdigit():
        return f"{rows}/{number}"
    return ""
