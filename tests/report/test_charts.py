"""Figures are drawn whatever is missing in their values."""

import re
from xml.etree import ElementTree as ET

import pytest

from evolcoder.report import render
from evolcoder.report.charts import MOST_ROWS, svg
from evolcoder.report.content import Chart, ReportContent, ReportSection, ReportTable, Series
from evolcoder.visible import visible

LONG = "a name that is longer than any heuristic, model or benchmark has today"
FIGURES = [
    Chart("stacked", (LONG, "b"), (Series("kept", (2.0, 1.0)), Series(LONG, (1.0, 0.0))), "rows"),
    Chart("points", ("a", LONG), (Series("x", (None, 2.0)), Series("y", (1.0, 3.0))), "points"),
    Chart("lines", tuple(f"round {n}" for n in range(6)),
          (Series("x", tuple(map(float, range(6)))), Series("y", (4.0,) * 6)), "tokens of a task"),
    Chart("scatter", (), tuple(Series(n, (0.1, 0.9), x=(0.2, 0.7)) for n in "abcdefg"), "second"),
    Chart("lines", ("0:00", "0:10", "0:20"),
          (Series("x", (1.0, 2.0, 3.0)), Series(LONG, (4.0,) * 3), Series("y", (5.0,) * 3, axis="grams")),
          "metres", across="minutes"),
]  # fmt: skip
"""A figure of each kind, with what takes much room."""


def texts(drawn):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize("chart", FIGURES, ids=lambda chart: chart.kind)
def test_figures_name_everything_at_both_widths(chart, is_narrow):
    """Rows, positions, series and axis have their names, broken into lines where they are long."""
    drawn = svg(chart, is_narrow=is_narrow)
    shown = texts(drawn)
    named = chart.series if not any(one.axis for one in chart.series) else chart.series[:2]
    axes = (chart.axis, chart.across, *(one.axis for one in chart.series))
    names = (*chart.categories, *(one.name for one in named), *axes)
    assert [name for name in names if name not in " ".join(shown)] == []
    assert max(map(len, shown)) < (43 if is_narrow else 80)
    width = float(re.search(r'width="([\d.]+)pt"', drawn)[1])
    assert width < (300 if is_narrow else 540)


@pytest.mark.parametrize(
    "name", ["\x00\x1b[31m", "\u202eabc", "漢字 heuristic", "a $x_{$ b $", "<b>&"]
)
@pytest.mark.parametrize("kind", ["stacked", "points", "lines", "scatter"])
def test_names_in_figures_are_data(kind, name):
    """An image with a control character is broken, and a dollar is no formula; no warning."""
    x = (1.0, 2.0) if kind == "scatter" else ()
    series = (Series(name, (1.0, 2.0), x=x), Series("b", (1.0, 2.0), x=x))
    drawn = svg(Chart(kind, (name, "b"), series, "rows"))
    shown = {one.text for one in ET.fromstring(drawn).iter() if one.tag.endswith("text")}
    assert visible(name) in shown


@pytest.mark.parametrize("n", [6, 30])
def test_positions_of_narrow_figures_are_upright_and_few(n):
    """Names of rounds that do not fit side by side stand upright, and of many a part is named."""
    categories = tuple(f"round {at}" for at in range(n))
    chart = Chart("lines", categories, (Series("x", tuple(map(float, range(n)))),), "tokens")
    upright = re.findall(r"rotate\(-90[^>]*>(round \d+)<", svg(chart, is_narrow=True))
    assert upright[0] == "round 0"
    assert len(upright) == min(n, 10)


@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize("kind", ["stacked", "points"])
def test_a_figure_of_many_rows_ends_and_says_how_many_more_there_are(kind, is_narrow):
    """It is no taller than with one row more than its most, and the others are in the table."""

    def drawn(n):
        names = tuple(f"name {at}" for at in range(n))
        values, low = tuple(float(at + 1) for at in range(n)), tuple(map(float, range(n)))
        chart = Chart(kind, names, (Series("x", values, low, values), Series("y", values)), "rows")
        return svg(chart, is_narrow=is_narrow)

    def height(figure):
        return float(re.search(r'height="([\d.]+)pt"', figure)[1])

    whole, cut = drawn(MOST_ROWS), drawn(200)
    assert "more, in the table" not in whole
    assert [one for one in texts(cut) if "more" in one] == [
        f"and {200 - MOST_ROWS} more, in the table"
    ]
    assert f"name {MOST_ROWS - 1}" in texts(whole)
    assert f"name {MOST_ROWS}" not in texts(cut)
    assert height(whole) < height(cut) < height(whole) * (MOST_ROWS + 2) / MOST_ROWS
    many = tuple(Series(f"s{at}", tuple(map(float, range(200)))) for at in range(8))
    of_many = svg(Chart(kind, tuple(map(str, range(200))), many, "rows"), is_narrow=is_narrow)
    assert height(of_many) < 2 * height(whole)


@pytest.mark.parametrize("kind", ["stacked", "points", "lines", "scatter"])
def test_no_two_series_of_a_figure_look_the_same(kind):
    """In marker or in hatching, for as many as a loop of several benchmarks has."""
    n = 7 if kind == "stacked" else 12
    x = (1.0, 2.0) if kind == "scatter" else ()
    series = tuple(Series(f"s{at}", (1.0, 2.0), x=x) for at in range(n))
    drawn = svg(Chart(kind, ("a", "b"), series, "rows"))
    names = [f"s{at}" for at in range(n)]
    assert [one for one in names if one not in texts(drawn)] == []
    entries = re.split(r"<text", drawn[drawn.index('id="legend') :])[:n]
    looks = [tuple(re.findall(r'href="(#\w+)"|fill: ([^;]*);', entry)) for entry in entries]
    assert len(set(looks)) == n


def test_a_figure_with_many_parts_stays_small():
    """Every hatching is of lines, so that a page of figures has room for its records."""
    parts = tuple(Series(f"part {n}", (1.0,)) for n in range(6))
    assert len(svg(Chart("stacked", ("a",), parts, "rows"))) < 20_000


def test_a_map_of_thousands_of_points_stays_small():
    """Points of one look share its rule; each has its place."""
    drawn = svg(_map(2_000))
    assert drawn.count("<use ") >= 2_000
    assert len(drawn) < 130 * 2_000
    places = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', drawn)
    assert len(set(places)) >= 2_000


def _map(n):
    x = tuple(float(at % 97) for at in range(n))
    return Chart("scatter", (), (Series("seeds", tuple(map(float, range(n))), x=x),), "second")


def test_a_page_of_many_figures_stays_small():
    """Narrow figures are left out first, then figures; each keeps its table."""
    table = ReportTable(("n",), ((1,),))
    sections = tuple(ReportSection(f"map-{at}", "Map", "c", table, _map(1_500)) for at in range(12))
    page = render.html(ReportContent("r", "s", (), sections))
    assert len(page) < 5_000_000
    assert page.count("<img") == page.count("<table>") == 12
    assert 0 < page.count("<source") < 12


def test_a_line_without_ranges_in_places_is_drawn():
    """Two runs side by side have other rounds: a value may be there without its range."""
    series = Series("tokens", (20.0, 31.0, None), low=(10.0, None, None), high=(30.0, None, None))
    drawn = svg(Chart("lines", ("0", "1", "2"), (series,), "tokens"))
    assert "31" in texts(drawn)


def test_counts_have_whole_numbers_on_their_axis():
    """Two records are 0, 1 and 2, and shares keep their fractions."""
    counts = svg(Chart("stacked", ("a", "b"), (Series("kept", (2.0, 1.0)),), "records"))
    assert {"0", "1", "2"} <= set(texts(counts))
    assert not [text for text in texts(counts) if "." in text]
    shares = svg(Chart("stacked", ("a", "b"), (Series("kept", (0.5, 0.25)),), "share"))
    assert [text for text in texts(shares) if "." in text]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (2_345_678, "2,345,678"), (359.56, "360"), (33.5, "33.5"), (0.1234, "0.123")],
)
@pytest.mark.parametrize("kind", ["stacked", "lines", "points"])
def test_numbers_in_figures_have_no_exponent(kind, value, shown):
    """A bar of a million rows has its number as the table does, and so has its axis."""
    drawn = svg(Chart(kind, ("a", "b"), (Series("rows", (0.0, float(value))),), "rows"))
    assert shown in texts(drawn)
    assert not [text for text in texts(drawn) if re.search(r"\de[+\d]", text)]
