"""Figures are drawn whatever is missing in their values."""

import re

import pytest

from evolcoder.report.charts import svg
from evolcoder.report.content import Chart, Series


def texts(drawn):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


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
