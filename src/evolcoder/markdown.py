r"""Tables in Markdown.

>>> print("\n".join(table_lines(["arm", "rows"], [["seed", "8"]], n_left=1)))
| arm | rows |
| --- | ---: |
| seed | 8 |
"""

from collections.abc import Iterable, Sequence

from evolcoder.text import one_line


def table_lines(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, n_left: int | None = None
) -> list[str]:
    """Return the lines of a table; columns after the first `n_left` are aligned to the right."""
    n = len(heads) if n_left is None else n_left
    rule = ["---"] * n + ["---:"] * (len(heads) - n)
    return [_row(heads), _row(rule), *map(_row, rows)]


def table_section(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a heading with a table; empty if the table has no rows."""
    cells = [[cell(one_line(str(value), 300)) for value in row] for row in rows]
    return "\n".join([f"## {title}\n", *table_lines(heads, cells)]) if cells else ""


def cell(text: str) -> str:
    """Escape a text of one line for a table."""
    return text.replace("|", "\\|")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
