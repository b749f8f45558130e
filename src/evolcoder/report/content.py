"""What a report contains, as plain data: sections of figures, tables, records and notes.

HTML, Markdown and JSON are renderings of the same `ReportContent`, so they say the same. A figure
is a description of what is drawn; its numbers are the section's table. No I/O.

>>> ReportTable(("reason", "rows"), (("too_long", 3),)).as_plain()
[{'reason': 'too_long', 'rows': 3}]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

JOINT = ", "
"""Between the parts of a fact of a record; a filter offers each part."""
Cell = str | int | float | None
"""A value of a table; None is shown as an empty cell."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Columns and rows."""

    columns: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[Cell, ...], ...]
    """Values, one tuple for each row, as long as `columns`."""
    keys: tuple[str, ...] = ()
    """Columns that say what a row is about, alike in no two rows; empty for a list of evidence."""

    def as_plain(self) -> list[dict[str, Cell]]:
        """Return the rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind over the categories of a figure."""

    name: str
    """Label of the series."""
    values: tuple[float | None, ...]
    """One value for each category; None where nothing was measured."""
    low: tuple[float | None, ...] = ()
    """Lower ends of ranges; empty if there are none."""
    high: tuple[float | None, ...] = ()
    """Upper ends of ranges."""
    x: tuple[float, ...] = ()
    """Places across, for points in a plane; `values` are then the places upwards."""
    axis: str = ""
    """What the values of a line count, if not what the figure's axis says: it is drawn in a panel
    below, with the others of this axis."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure to be drawn."""

    kind: Literal["stacked", "lines", "points", "scatter"]
    """`stacked`: horizontal bars of parts; `lines`: values over ordered categories; `points`:
    values with ranges, one row for each category; `scatter`: points in a plane, one marker for
    each series."""
    categories: tuple[str, ...]
    """Labels of the bars, positions or rows."""
    series: tuple[Series, ...]
    """What is drawn."""
    axis: str
    """What the values count, with the unit."""
    has_zero: bool = True
    """Whether the axis of lines begins at zero."""
    across: str = ""
    """What the categories of lines count, with the unit, where they are evenly spaced numbers."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a record."""

    title: str
    """What the text is."""
    body: str
    """The text, shortened if `n_left_out` is not 0."""
    before: str | None = None
    """The text that it came from, to mark what is new; None: nothing is marked."""
    after: str | None = None
    """The text that was made from it, to mark what that one lacks; None: nothing is marked."""
    shared_with: str | None = None
    """The text that is compared, to mark the runs of words in both; None: nothing is marked."""
    is_answer: bool = False
    """Whether code in fences is highlighted."""
    n_left_out: int = 0
    """Characters left out at the end."""


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """A record with its texts."""

    id: str
    """Id, which `evolcoder inspect` takes."""
    facts: tuple[tuple[str, str], ...]
    """Name and value of what records are filtered and sorted by: round, heuristic, outcome.

    A value that has several parts, such as the detectors that found a leak, joins them by `JOINT`.
    """
    texts: tuple[Text, ...]
    """Its texts in the order of its life."""
    notes: tuple[str, ...] = ()
    """Verdicts and drops, one line each."""
    is_paired: bool = False
    """Whether texts but answers are shown two by two, side by side where there is room."""


@dataclass(frozen=True, slots=True)
class ReportSection:
    """One subject of a report."""

    name: str
    """Short name: the anchor in HTML and the key in JSON."""
    title: str
    """Heading."""
    caption: str
    """One sentence that says what is seen."""
    table: ReportTable | None = None
    """The numbers."""
    chart: Chart | None = None
    """The numbers as a figure."""
    records: tuple[ReportRecord, ...] = ()
    """Examples."""
    notes: tuple[str, ...] = ()
    """Further lines."""
    is_open: bool = False
    """Whether the table is shown without a click."""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """A report."""

    title: str
    """What it is about."""
    summary: str
    """The result in a sentence or two."""
    facts: tuple[tuple[str, str], ...]
    """Command, models, versions: name and value."""
    sections: tuple[ReportSection, ...]
    """The subjects in order."""

    def as_plain(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "title": self.title,
            "summary": self.summary,
            "facts": dict(self.facts),
            "sections": {section.name: _plain_section(section) for section in self.sections},
        }


def _plain_section(section: ReportSection) -> dict[str, Any]:
    return {
        "title": section.title,
        "caption": section.caption,
        "rows": section.table.as_plain() if section.table else [],
        "notes": list(section.notes),
        "records": [
            {
                "id": one.id,
                **dict(one.facts),
                "texts": {text.title: text.body for text in one.texts},
                "notes": list(one.notes),
            }
            for one in section.records
        ],
    }


def shortened(title: str, body: str, most: int, **more: Any) -> Text:  # noqa: ANN401 - of Text
    """Make a text of at most `most` characters."""
    return Text(title, body[:most], n_left_out=max(0, len(body) - most), **more)


def parts_of(parts: Mapping[str, Sequence[float]]) -> tuple[Series, ...]:
    """Make a series of each part that is not empty."""
    return tuple(
        Series(name, tuple(float(value) for value in values))
        for name, values in parts.items()
        if any(values)
    )


def bars(counts: Mapping[str, float], what: str) -> Chart:
    """Make a figure with a bar for each count of `what`."""
    series = Series(what, tuple(float(n) for n in counts.values()))
    return Chart("stacked", tuple(counts), (series,), what)


def share(part: float, whole: float) -> float | None:
    """Return a share rounded to four digits; None of nothing."""
    return round(part / whole, 4) if whole else None


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile of at least one value."""
    ordered = sorted(values)
    at = [q * (len(ordered) - 1) for q in (0.25, 0.5, 0.75)]
    low, middle, high = (
        ordered[int(x)] + (ordered[min(int(x) + 1, len(ordered) - 1)] - ordered[int(x)]) * (x % 1)
        for x in at
    )
    return round(low, 2), round(middle, 2), round(high, 2)


def compared(reports: Sequence[ReportContent]) -> ReportContent:
    """Put reports side by side: each number once for each report, named A, B and so on.

    Rows belong together where the keys of their tables are equal. Tables without keys, texts that
    are evidence or examples, and records are left out. Captions are those of the reports, each if
    they differ.
    """
    letters = tuple(chr(ord("A") + at) for at in range(len(reports)))
    names = dict.fromkeys(section.name for report in reports for section in report.sections)
    sections = []
    for name in names:
        found = [
            next((one for one in report.sections if one.name == name), None) for report in reports
        ]
        first = next(one for one in found if one is not None)
        tables = [one.table if one else None for one in found]
        if not any(table and table.keys and table.rows for table in tables):
            continue
        chart = _one_chart(letters, [one.chart if one else None for one in found])
        table = _one_table(letters, tables)
        caption = _one_caption(letters, [one.caption if one else None for one in found])
        sections.append(ReportSection(name, first.title, caption, table, chart, is_open=True))
    titles = [f"{letter}: {one.title}" for letter, one in zip(letters, reports, strict=True)]
    summaries = [f"{letter}: {one.summary}" for letter, one in zip(letters, reports, strict=True)]
    facts = tuple(
        (f"{letter}, {name}", value)
        for letter, report in zip(letters, reports, strict=True)
        for name, value in report.facts
    )
    return ReportContent("; ".join(titles), " ".join(summaries), facts, tuple(sections))


def _one_caption(letters: Sequence[str], captions: Sequence[str | None]) -> str:
    """Return what the reports say of a section: once if they say the same."""
    known = [(letter, one) for letter, one in zip(letters, captions, strict=True) if one]
    if len({one for _, one in known}) == 1:
        return known[0][1]
    return " ".join(f"{letter}: {one}" for letter, one in known)


def _one_table(letters: Sequence[str], tables: Sequence[ReportTable | None]) -> ReportTable:
    """Join tables by their keys."""
    keys = next(table.keys for table in tables if table and table.keys)
    values: dict[tuple[Cell, ...], dict[tuple[str, str], Cell]] = {}
    measured: dict[str, None] = {}
    for letter, table in zip(letters, tables, strict=True):
        for row in table.as_plain() if table else ():
            mine = values.setdefault(tuple(row.get(name) for name in keys), {})
            for name, value in row.items():
                if name not in keys and isinstance(value, int | float):
                    mine[name, letter] = value
                    measured[name] = None
    pairs = [(name, letter) for name in measured for letter in letters]
    columns = (*keys, *(f"{name} {letter}" for name, letter in pairs))
    rows = tuple((*key, *(mine.get(pair) for pair in pairs)) for key, mine in values.items())
    return ReportTable(columns, rows, keys)


MOST_SERIES = 6
"""Most series of a figure that is drawn of several: as many as there are colours."""


def _one_chart(letters: Sequence[str], charts: Sequence[Chart | None]) -> Chart | None:
    """Draw charts with lines or points together; None for other kinds, or too many series.

    Charts over numbers are drawn together only if these are spaced alike.
    """
    known = [chart for chart in charts if chart is not None]
    if not known or known[0].kind in {"stacked", "scatter"}:
        return None
    if sum(len(chart.series) for chart in known) > MOST_SERIES or not _have_one_scale(known):
        return None
    places = tuple(dict.fromkeys(name for chart in known for name in chart.categories))
    series = [
        _at_places(replace(one, name=f"{letter}: {one.name}"), chart.categories, places)
        for letter, chart in zip(letters, charts, strict=True) if chart is not None
        for one in chart.series
    ]  # fmt: skip
    return replace(known[0], categories=places, series=tuple(series))


def _have_one_scale(charts: Sequence[Chart]) -> bool:
    """Whether the numbers across, if charts have some, are spaced alike: all begin the longest."""
    longest = max((chart.categories for chart in charts), key=len)
    return len({chart.across for chart in charts}) == 1 and all(
        not chart.across or chart.categories == longest[: len(chart.categories)] for chart in charts
    )


def _at_places(one: Series, own: Sequence[str], places: Sequence[str]) -> Series:
    """Return a series over more categories than its own; None where it has no value."""
    parts = (
        dict(zip(own, part, strict=True)) if part else {}
        for part in (one.values, one.low, one.high)
    )
    values, low, high = (tuple(part.get(name) for name in places) for part in parts)
    return replace(one, values=values, low=low, high=high)
