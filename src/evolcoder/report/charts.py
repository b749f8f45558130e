"""Draws the figures of reports as SVG, with matplotlib.

Guarantees: the same figure gives the same bytes; parts differ by colour and by hatching or marker;
text and lines take the colour of the page, in light and dark; the SVG has no script and no address.
matplotlib is imported late: it is heavy and optional.

>>> svg(Chart("lines", ("0", "1"), (Series("tokens", (20, 31)),), "tokens"))   # doctest: +SKIP
'<svg ...'
"""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evolcoder.errors import ConfigError
from evolcoder.report.content import Chart, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Colour that stands for the page's text colour; replaced in the SVG."""
COLORS = ("#4c8dc9", "#d98a3d", "#4aa37a", "#b7679f", "#8a8a8a", "#c2b23a")
"""Colours that people with colour blindness tell apart, readable on white and on dark grey."""
HATCHES = ("", "////", "....", "xxxx", "----", "oo")
MARKERS = ("o", "s", "^", "D", "v", "P")
POINT_MARKERS = ("o", "^", "s", "D", "v", "p", "+", "x", "*", "1", "2", "3")
WIDTH = 7.2
"""Width in inches of 72 points; the page scales it."""
LABEL_HEIGHT = 0.065
"""Height of a number at the end of a line, as a share of the axis."""
LEGEND_CHARS = 80
"""Characters of names that fit in a row of the legend, signs included."""
PAGE_COLORS = (
    "<style>svg{color:#1c1c1c}@media (prefers-color-scheme:dark){svg{color:#e6e6e6}}</style>"
)
"""Text colours by the reader's colour scheme; the SVG is shown as an image, apart from the page."""
SETTINGS: Any = {  # keys of matplotlib, whose type lists them all
    "svg.fonttype": "none",
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


def svg(chart: Chart) -> str:
    """Draw a figure; ConfigError if matplotlib is missing."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - heavy and optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; run: pip install "
            "'evolcoder[report]', or use --markdown or --json, which need nothing more"
        ) from error
    n = len(chart.categories)
    tall = {"lines": 3.0, "scatter": 5.0}
    row = max(0.34, 0.17 * len(chart.series)) if chart.kind == "points" else 0.34
    height = tall.get(chart.kind, 0.9 + row * max(2, n))
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        {"stacked": _stacked, "lines": _lines, "points": _points,
         "scatter": _scatter}[chart.kind](axes, chart)  # fmt: skip
        if len(chart.series) > 1:
            longest = max(len(one.name) for one in chart.series) + 8
            axes.legend(
                frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0),
                ncols=max(1, min(4, LEGEND_CHARS // longest)),
            )  # fmt: skip
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(out.getvalue())


def _stacked(axes: "Axes", chart: Chart) -> None:
    """Draw horizontal bars, the first category on top, with the total at the end."""
    places = range(len(chart.categories))
    left = [0.0 for _ in places]
    for at, series in enumerate(chart.series):
        values = [value or 0.0 for value in series.values]
        axes.barh(
            places, values, left=left, height=0.7, label=series.name, edgecolor=INK, linewidth=0.4,
            color=COLORS[at % len(COLORS)], hatch=HATCHES[at % len(HATCHES)],
        )  # fmt: skip
        left = [one + more for one, more in zip(left, values, strict=True)]
    for place, total in zip(places, left, strict=True):
        _write(axes, _number(total), total, place)
    _label_rows(axes, chart)
    if all(float(total).is_integer() for total in left):  # counts have no halves
        axes.locator_params(axis="x", integer=True)


def _lines(axes: "Axes", chart: Chart) -> None:
    """Draw values over ordered categories, with their ranges as bands."""
    ends: list[tuple[float, int]] = []
    for at, series in enumerate(chart.series):
        places = [n for n, value in enumerate(series.values) if value is not None]
        color = COLORS[at % len(COLORS)]
        values = [series.values[n] for n in places]
        axes.plot(places, values, marker=MARKERS[at % 6], color=color, label=series.name)  # type: ignore[arg-type]
        sides = tuple(zip(series.low, series.high, strict=True))
        banded = [n for n in places if sides and None not in sides[n]]
        if banded:
            low, high = zip(*(sides[n] for n in banded), strict=True)
            axes.fill_between(banded, low, high, color=color, alpha=0.2, linewidth=0)
        if places:
            ends.append((series.values[places[-1]] or 0.0, places[-1]))
    axes.set_xticks(range(len(chart.categories)), chart.categories)
    if chart.has_zero:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(chart.axis)
    _write_ends(axes, ends)


def _write_ends(axes: "Axes", ends: Sequence[tuple[float, int]]) -> None:
    """Write the last value of each line right of it, apart from those below."""
    bottom, top = axes.get_ylim()
    least = -float("inf")
    for value, place in sorted(ends):
        least = max(value, least + LABEL_HEIGHT * (top - bottom))
        _write(axes, _number(value), place, least)


def _points(axes: "Axes", chart: Chart) -> None:
    """Draw one row for each category: a marker, and its range as a line."""
    for at, series in enumerate(chart.series):
        offset = 0.8 / len(chart.series) * (at - (len(chart.series) - 1) / 2)
        for place, value in enumerate(series.values):
            if value is None:
                continue
            low, high = _ends(series, place, value)
            axes.errorbar(
                value, place + offset, xerr=[[value - low], [high - value]], capsize=3,
                marker=MARKERS[at % 6], color=COLORS[at % len(COLORS)], linestyle="none",
                label=series.name if place == 0 else None,
            )  # fmt: skip
            _write(axes, _number(value), high, place + offset)
    _label_rows(axes, chart)
    axes.set_ylim(len(chart.categories) - 0.5, -0.5)


def _scatter(axes: "Axes", chart: Chart) -> None:
    """Draw points in a plane, one marker for each series, hollow so that those below show."""
    for at, series in enumerate(chart.series):
        axes.plot(
            series.x, series.values, marker=POINT_MARKERS[at % len(POINT_MARKERS)], markersize=4,  # type: ignore[arg-type]
            linestyle="none", markerfacecolor="none", markeredgewidth=0.8,
            color=COLORS[at % len(COLORS)], label=series.name,
        )  # fmt: skip
    axes.set_xlabel("first component")
    axes.set_ylabel(chart.axis)


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


def _label_rows(axes: "Axes", chart: Chart) -> None:
    axes.set_yticks(range(len(chart.categories)), chart.categories)
    axes.invert_yaxis()
    axes.set_xlabel(chart.axis)
    axes.margins(x=0.12)
    if axes.dataLim.x0 >= 0:
        axes.set_xlim(left=0)
    else:
        axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")


def _for_page(drawn: str) -> str:
    """Leave out what stands before the SVG, and let ink take the page's colour."""
    found = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    head, rest = found.split(">", 1)
    return f"{head}>{PAGE_COLORS}{rest}"
