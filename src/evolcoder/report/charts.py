"""Draws the figures of reports as SVG, with matplotlib.

Guarantees: the same figure gives the same bytes; parts differ by colour and by hatching or marker;
text and lines take the colour of the page, in light and dark; the SVG has no script and no address.
A narrow figure has the numbers and names of the wide one, and is legible on a phone as it is.
matplotlib is imported late: it is heavy and optional.

>>> svg(Chart("lines", ("0", "1"), (Series("tokens", (20, 31)),), "tokens"))   # doctest: +SKIP
'<svg ...'
"""

import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import fill
from typing import TYPE_CHECKING, Any

from evolcoder.errors import ConfigError
from evolcoder.report.content import Chart, Series
from evolcoder.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Colour that stands for the page's text colour; replaced in the SVG."""
COLORS = ("#4c8dc9", "#d98a3d", "#4aa37a", "#b7679f", "#8a8a8a", "#c2b23a")
"""Colours that people with colour blindness tell apart, readable on white and on dark grey."""
HATCHES = ("", "////", "----", "xxxx", "||||", "\\\\\\\\", "++++")
"""Lines alone: dots and rings are drawn as curves, a hundred kilobytes for each pattern."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
"""More than colours, so that what shares a colour has another marker."""
POINT_MARKERS = ("o", "^", "s", "D", "v", "p", "+", "x", "*", "1", "2", "3")
MOST_ROWS, MOST_MARKERS = 30, 96
"""Most bars or rows, and markers in rows, that are drawn: the first ones, and a line says how many
more rows the table has."""
SIGN_CHARS = 8
"""Width of a sign and its gaps in the legend, in characters."""
NAME_LINES = 3
"""Most lines of a name; the table has all of it."""
LINE = 0.19
"""Height of a line of text in inches."""
DARK = "@media screen and (prefers-color-scheme:dark)"
PAGE_COLORS = f"<style>svg{{color:#1c1c1c}}{DARK}{{svg{{color:#e6e6e6}}}}</style>"
"""Text colours by the reader's colour scheme; the SVG is shown as an image, apart from the page."""
SHARED = 20
"""Points of one look from which on they share a rule, which halves a map of thousands."""
_STYLES = re.compile(r' style="([^"]*)"(?=/>)')
SETTINGS: Any = {  # keys of matplotlib, whose type lists them all
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "evolcoder",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "axes.formatter.limits": (-5, 12),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes of a figure, in inches of 72 points, which the page scales, and in characters."""

    width: float
    """Width of the figure."""
    heights: tuple[float, float]
    """Heights of lines over rounds and of points in a plane, without further rows of a legend."""
    chars: int
    """Characters in a row of the legend, signs included, or of positions under the axis."""
    label_chars: int
    """Characters of a row's name before it is broken."""
    n_ticks: int | None
    """Most intervals of an axis of numbers; None: as many as matplotlib chooses."""
    n_markers: int
    """Markers of a line before only each second, third and so on is drawn."""
    names_above: bool
    """Whether rows have their names above them rather than to their left."""


WIDE = _Layout(7.2, (3.0, 5.0), 80, 32, None, 40, names_above=False)
NARROW = _Layout(3.8, (2.8, 3.8), 38, 40, 4, 20, names_above=True)
PANEL = 0.7
"""Height of a further panel of lines, as a share of the first one's."""
STEPS = (1, 2, 3, 4, 6, 12, 30)
"""Evenly spaced numbers from one that is named to the next."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Places of rows, the first one on top: row n lies between n - 0.5 and n + 0.5."""

    names: tuple[str, ...]
    """Their names, broken into lines."""
    height: float
    """Height of a row in inches."""
    body: float
    """Share of a row that its bar or its markers take, at the bottom if the name is above."""
    below: float
    """How far the middle of the bar or the markers is below the middle of the row."""


def _rows_of(chart: Chart, layout: _Layout) -> _Rows:
    """Arrange the rows of a figure."""
    names = tuple(_broken(one, layout.label_chars) for one in chart.categories)
    n_lines = max((one.count("\n") + 1 for one in names), default=1)
    body = max(0.24, 0.16 * len(chart.series)) if chart.kind == "points" else 0.24
    if not layout.names_above:
        height = max(body + 0.1, LINE * n_lines)
        return _Rows(names, height, body / height, 0.0)
    height = body + LINE * n_lines + 0.1
    return _Rows(names, height, body / height, 0.5 - body / height / 2)


def _broken(name: str, chars: int) -> str:
    """Break a name into lines of so many characters; what does not fit is left out."""
    return fill(name, chars, max_lines=NAME_LINES, placeholder="…")


def svg(chart: Chart, *, is_narrow: bool = False) -> str:
    """Draw a figure, for a phone if it is narrow; ConfigError if matplotlib is missing.

    Names are data: control characters are made visible, and dollars begin no formula.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - heavy and optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; run: pip install "
            "'evolcoder[report]', or use --markdown or --json, which need nothing more"
        ) from error
    chart = replace(
        chart,
        categories=tuple(map(visible, chart.categories)),
        series=tuple(replace(one, name=visible(one.name)) for one in chart.series),
    )
    chart = _first_rows(chart)
    layout = NARROW if is_narrow else WIDE
    rows = _rows_of(chart, layout)
    lines, plane = layout.heights
    panels = _panels(chart)
    height = {"lines": lines * (1 + PANEL * (len(panels) - 1)), "scatter": plane}.get(
        chart.kind, 0.9 + rows.height * max(1, len(chart.categories))
    )
    for panel in panels:
        height += _legend(panel, layout)[1]
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # The reader's fonts draw the text; matplotlib's only measure it.
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        figure = Figure(figsize=(layout.width, height), layout="constrained")
        every = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        n_drawn = 0
        for axes, panel in zip(every, panels, strict=True):
            if panel.kind in {"stacked", "points"}:
                (_stacked if panel.kind == "stacked" else _points)(axes, panel, rows)
                _label_rows(axes, panel, rows, layout)
            elif panel.kind == "lines":
                _lines(axes, panel, layout, n_drawn)
            else:
                _scatter(axes, panel, layout)
            _add_legend(axes, panel, layout)
            n_drawn += len(panel.series)
        if chart.across:
            every[-1].set_xlabel(fill(chart.across, layout.chars))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(out.getvalue())


def _panels(chart: Chart) -> list[Chart]:
    """Split lines by what they count: one figure for each axis, drawn one below the other."""
    names = dict.fromkeys(one.axis or chart.axis for one in chart.series)
    return [
        replace(
            chart,
            axis=axis,
            series=tuple(one for one in chart.series if (one.axis or chart.axis) == axis),
        )
        for axis in names
    ] or [chart]


def _legend(chart: Chart, layout: _Layout) -> tuple[int, float]:
    """Return the columns of a legend, and the height in inches of its rows below the first."""
    names = [_broken(one.name, layout.chars - SIGN_CHARS) for one in chart.series]
    n_columns = max(1, min(4, layout.chars // (max(map(len, names), default=0) + SIGN_CHARS)))
    if len(names) < 2:
        return n_columns, 0.0
    n_lines = sum(one.count("\n") + 1 for one in names)
    return n_columns, LINE * (n_lines / n_columns - 1)


def _add_legend(axes: "Axes", chart: Chart, layout: _Layout) -> None:
    """Name the series above a figure, if there are several."""
    if len(chart.series) < 2:
        return
    signs, given = axes.get_legend_handles_labels()
    axes.legend(
        signs, [_broken(one, layout.chars - SIGN_CHARS) for one in given],
        frameon=False, fontsize=9, loc="lower left", ncols=_legend(chart, layout)[0],
        bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, columnspacing=1.2,
    )  # fmt: skip


def _first_rows(chart: Chart) -> Chart:
    """Leave out the bars or rows of a figure that would make it too tall to be read."""
    n_each = len(chart.series) if chart.kind == "points" else 1
    most = max(1, min(MOST_ROWS, MOST_MARKERS // max(1, n_each)))
    n_more = len(chart.categories) - most
    if chart.kind not in {"stacked", "points"} or n_more <= 0:
        return chart

    def first(part: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return (*part[:most], None) if part else ()

    series = [
        Series(one.name, first(one.values), first(one.low), first(one.high)) for one in chart.series
    ]
    names = (*chart.categories[:most], f"and {n_more:,} more, in the table")
    return replace(chart, categories=names, series=tuple(series))


def _stacked(axes: "Axes", chart: Chart, rows: _Rows) -> None:
    """Draw horizontal bars, the first category on top, with the total at the end."""
    places = [n + rows.below for n in range(len(chart.categories))]
    left = [0.0 for _ in places]
    for at, series in enumerate(chart.series):
        values = [value or 0.0 for value in series.values]
        axes.barh(
            places, values, left=left, height=rows.body, label=series.name, edgecolor=INK,
            linewidth=0.4, color=COLORS[at % len(COLORS)], hatch=HATCHES[at % len(HATCHES)],
        )  # fmt: skip
        left = [one + more for one, more in zip(left, values, strict=True)]
    for at, (place, total) in enumerate(zip(places, left, strict=True)):
        if any(series.values[at] is not None for series in chart.series):
            _write(axes, _number(total), total, place)
    if all(float(total).is_integer() for total in left):  # counts have no halves
        axes.locator_params(axis="x", integer=True)


def _lines(axes: "Axes", chart: Chart, layout: _Layout, n_drawn: int) -> None:
    """Draw values over ordered categories, with their ranges as bands.

    Looks are those after the first `n_drawn`, which panels above have.
    """
    ends: list[tuple[float, int]] = []
    for at, series in enumerate(chart.series, n_drawn):
        places = [n for n, value in enumerate(series.values) if value is not None]
        color = COLORS[at % len(COLORS)]
        values = [series.values[n] for n in places]
        axes.plot(
            places, values, marker=MARKERS[at % len(MARKERS)], color=color, label=series.name,  # type: ignore[arg-type]
            markevery=1 + len(places) // layout.n_markers,
        )  # fmt: skip
        sides = tuple(zip(series.low, series.high, strict=True))
        banded = [n for n in places if sides and None not in sides[n]]
        if banded:
            low, high = zip(*(sides[n] for n in banded), strict=True)
            axes.fill_between(banded, low, high, color=color, alpha=0.2, linewidth=0)
        if places:
            ends.append((series.values[places[-1]] or 0.0, places[-1]))
    _label_positions(axes, chart, layout)
    if chart.has_zero:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(fill(chart.axis, layout.label_chars))
    _write_ends(axes, ends, layout)


def _label_positions(axes: "Axes", chart: Chart, layout: _Layout) -> None:
    """Name positions, upright where they would touch each other side by side, and few of many.

    Numbers are evenly spaced and need no more names than fit side by side.
    """
    names = chart.categories
    step = -(-len(names) // (layout.chars // 3)) or 1
    if chart.across:
        least = len(names) * (max(map(len, names), default=0) + 2) / layout.chars
        step = next((one for one in STEPS if one >= least), len(names))
    axes.set_xticks(range(0, len(names), step), names[::step])
    if sum(len(one) + 2 for one in names[::step]) > layout.chars and not chart.across:
        axes.tick_params(axis="x", rotation=90)


def _write_ends(axes: "Axes", ends: Sequence[tuple[float, int]], layout: _Layout) -> None:
    """Write the last value of each line right of it, apart from those below."""
    bottom, top = axes.get_ylim()
    height = LINE / layout.heights[0] * (top - bottom)
    least = -float("inf")
    for value, place in sorted(ends):
        least = max(value, least + height)
        _write(axes, _number(value), place, least)


def _points(axes: "Axes", chart: Chart, rows: _Rows) -> None:
    """Draw one row for each category: a marker, and its range as a line."""
    for at, series in enumerate(chart.series):
        offset = rows.body / len(chart.series) * (at - (len(chart.series) - 1) / 2)
        known = [
            (n + rows.below + offset, value, *_ends(series, n, value))
            for n, value in enumerate(series.values)
            if value is not None
        ]
        for place, value, low, high in known:
            axes.errorbar(
                value, place, xerr=[[value - low], [high - value]], capsize=3,
                marker=MARKERS[at % len(MARKERS)], color=COLORS[at % len(COLORS)], linestyle="none",
                label=series.name if place == known[0][0] else None,
            )  # fmt: skip
            _write(axes, _number(value), high, place)


def _scatter(axes: "Axes", chart: Chart, layout: _Layout) -> None:
    """Draw points in a plane, one marker for each series, hollow so that those below show."""
    for at, series in enumerate(chart.series):
        axes.plot(
            series.x, series.values, marker=POINT_MARKERS[at % len(POINT_MARKERS)], markersize=4,  # type: ignore[arg-type]
            linestyle="none", markerfacecolor="none", markeredgewidth=0.8,
            color=COLORS[at % len(COLORS)], label=series.name,
        )  # fmt: skip
    axes.set_xlabel("first component")
    axes.set_ylabel(chart.axis)
    axes.locator_params(nbins=layout.n_ticks or "auto")


def _number(value: float) -> str:
    """Format a number at the end of a bar or line, without an exponent where it is large."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write(axes: "Axes", text: str, x: float, y: float) -> None:
    """Write a number right of a place."""
    axes.annotate(
        text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9,
        annotation_clip=False,
    )  # fmt: skip


def _ends(series: Series, place: int, value: float) -> tuple[float, float]:
    low = series.low[place] if series.low else None
    high = series.high[place] if series.high else None
    return value if low is None else low, value if high is None else high


def _label_rows(axes: "Axes", chart: Chart, rows: _Rows, layout: _Layout) -> None:
    """Name rows and their axis, once everything is drawn."""
    places = range(len(rows.names))
    if layout.names_above:
        axes.set_yticks([])
        for place, name in zip(places, rows.names, strict=True):
            above = place + rows.below - rows.body / 2 - 0.03 / rows.height
            axes.annotate(
                name, (0, above), xycoords=axes.get_yaxis_transform(), va="bottom",
                xytext=(3, 0), textcoords="offset points", annotation_clip=False,
            )  # fmt: skip
    else:
        axes.set_yticks(places, rows.names)
    axes.set_ylim(max(1, len(places)) - 0.5, -0.5)
    axes.set_xlabel(fill(chart.axis, layout.chars))
    axes.margins(x=0.12)
    if layout.n_ticks:
        axes.locator_params(axis="x", nbins=layout.n_ticks)
    if axes.dataLim.x0 >= 0:
        axes.set_xlim(left=0)
    else:
        axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")


def _for_page(drawn: str) -> str:
    """Leave out what stands before the SVG, and let ink take the page's colour."""
    found = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    found = re.sub(r'( [xy]="-?\d+\.\d\d)\d+"', r'\1"', found)
    shared = [style for style, n in Counter(_STYLES.findall(found)).items() if n >= SHARED]
    classes = {style: f"s{at}" for at, style in enumerate(shared)}
    found = _STYLES.sub(
        lambda one: f' class="{classes[one[1]]}"' if one[1] in classes else one[0], found
    )
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    head, rest = found.split(">", 1)
    return f"{head}>{PAGE_COLORS}{f'<style>{rules}</style>' if rules else ''}{rest}"
