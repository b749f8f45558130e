"""Figures are drawn whatever is missing in their values."""

import re

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
