"""One SVG figure per question, readable in black and white and byte-for-byte reproducible.

Each arm is a row with its own marker and interval; the control's interval is a hatched band behind
them, so nothing depends on colour. Needs matplotlib, imported late.

>>> draw(table, file)   # doctest: +SKIP
"""

from typing import Any, BinaryIO

from evolcoder.errors import ConfigError
from evolcoder.experiment.tables import Table, TableRow
from evolcoder.text import visible

MARKERS = {
    "student": "x", "seed": "o", "seed-reanswered": "s",
    "round": "^", "merge": "D", "other": "P",
}  # fmt: skip
"""Kind of arm -> marker."""
STYLE: Any = {
    "svg.hashsalt": "evolcoder",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(table: Table, file: BinaryIO) -> None:
    """Draw a table: one panel per benchmark, one row per arm."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - heavy and optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; run: pip install 'evolcoder[figures]'"
        ) from error
    with mpl.rc_context(STYLE):
        height = 1.3 + 0.32 * len(table.lines)
        figure = Figure(figsize=(2.2 + 2.1 * len(table.benches), height), layout="constrained")
        panels = figure.subplots(1, len(table.benches), sharey=True, squeeze=False)[0]
        for bench, panel in zip(table.benches, panels, strict=True):
            _panel(panel, table, bench)
        names = [visible(line.arm, lines=False) for line in table.lines]
        panels[0].set_yticks(range(len(table.lines)), names)
        panels[0].invert_yaxis()
        figure.suptitle(table.question.title, fontsize=10)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "evolcoder"})


def _panel(panel: Any, table: Table, bench: str) -> None:  # noqa: ANN401 - a foreign library's
    control = next((line for line in table.lines if line.arm == line.control), None)
    if control is not None:
        band = control.cells[bench].estimate
        panel.axvspan(
            100 * band.low, 100 * band.high, facecolor="none", edgecolor="0.75", hatch="///", lw=0
        )
    for place, line in enumerate(table.lines):
        estimate = line.cells[bench].estimate
        left, right = estimate.value - estimate.low, estimate.high - estimate.value
        panel.errorbar(
            100 * estimate.value, place, xerr=[[100 * left], [100 * right]], capsize=2,
            fmt=_marker(line), color="black", markersize=5, elinewidth=1,
            markerfacecolor="white" if line is control else "black",
        )  # fmt: skip
    panel.set_title(visible(bench, lines=False), fontsize=9)
    panel.set_xlabel("pass@1, %")


def _marker(line: TableRow) -> str:
    base = line.arm.rpartition("/")[2].partition("@")[0].partition("+")[0].partition("~")[0]
    kind = base if base in MARKERS else base.partition("-")[0]
    return MARKERS.get(kind, MARKERS["other"])
