"""Text fits the width of a terminal."""

import unicodedata

import pytest

from evolcoder import terminal


@pytest.mark.parametrize(("cell", "width"), [
    ("ﾘｽﾄ", 3), ("リスト", 6), ("１２３", 6), ("한글", 4), (unicodedata.normalize("NFD", "한글"), 4),
    (unicodedata.normalize("NFD", "ガ"), 2), ("قَائِمَة", 5), ("सूची", 3), ("ação", 4),
])  # fmt: skip
def test_a_cell_of_a_table_is_as_wide_as_a_terminal_shows_it(cell, width):
    """Full-width digits, half-width kana, decomposed letters, and vowel signs."""
    assert terminal.cell_width(cell) == width
    assert terminal.cell_width(terminal.padded(cell, 9)) == 9


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        (
            "编写一个 Python 函数，返回最大值。",
            10,
            ["编写一个", "Python 函", "数，返回最", "大值。"],
        ),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("हिन्दी में", 6, ["हिन्दी", "में"]),
        ("", 5, []),
    ],
)
def test_lines_are_broken_by_the_cells_that_they_take(line, width, lines):
    """Wide characters take two cells, marks none."""
    assert terminal.wrapped(line, width) == lines
    assert all(terminal.cell_width(terminal.padded(part, width)) == width for part in lines)
