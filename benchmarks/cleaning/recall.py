"""Recall of the detectors on planted leaks by kind, and their precision.

Recall counts planted rows for which the planted problem itself is named. Precision counts rows with
a hit. True are planted rows, and those whose real row does what a problem of the hit asks, as
reading found (`data/natural.json`: the `same` exercise, or another one with a `function` that does
it). Unread rows count as false.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cleaning.planted import DATA, KINDS, Row
from harness.table import markdown

Pair = tuple[str, str]
"""Id of a row, id of a problem."""
FLOORS = {
    "verbatim": 0.98,
    "renamed": 0.98,
    "reordered": 0.98,
    "paraphrased": 0.85,
    "algorithm": 0.90,
}
"""Kind -> the part that all detectors together are to find; execution, of other algorithms."""
PRECISION = 0.97
READ = ("same", "function")
"""How a reader related a real row's task to a problem that its answer solves."""


def natural(*names: str) -> frozenset[Pair]:
    """Return which real rows were read to solve which problems; `same` leaves `function` out."""
    found = json.loads((DATA / "natural.json").read_text(encoding="utf-8"))
    return frozenset(
        (row, problem)
        for problem, rows in found.items()
        for row, name in rows.items()
        if name in (names or READ)
    )


def recall(rows: Sequence[Row], found: Iterable[Pair]) -> dict[str, float]:
    """Return the part of the planted rows that was found, by kind."""
    pairs = set(found)
    shares = {}
    for kind in KINDS:
        mine = [row for row in rows if row.kind == kind]
        if mine:
            shares[kind] = sum((row.id, row.problem) in pairs for row in mine) / len(mine)
    return shares


def precision(rows: Sequence[Row], found: Iterable[Pair], known: frozenset[Pair]) -> float:
    """Return the part of the rows with a hit that is true; NaN where nothing was found."""
    by_id = {row.id: row for row in rows}
    pairs = set(found)
    flagged = {row for row, _ in pairs}
    true = {row for row, problem in pairs if is_true(by_id[row], problem, known)}
    return len(true) / len(flagged) if flagged else float("nan")


def is_true(row: Row, problem: str, known: frozenset[Pair]) -> bool:
    """Whether a hit is right: on a planted row any, on a real one what was read as such."""
    return bool(row.problem) or (row.source, problem) in known


def table(rows: Sequence[Row], found: Mapping[str, Iterable[Pair]]) -> str:
    """Make the table in percent: a line for every detector."""
    counted = (natural(), natural("same"), frozenset[Pair]())
    sizes = Counter(row.kind for row in rows)
    lines = []
    for name, some in found.items():
        pairs = set(some)
        shares = recall(rows, pairs)
        cells = [_percent(shares[kind]) if kind in shares else "" for kind in KINDS]
        parts = [_percent(precision(rows, pairs, known)) for known in counted]
        lines.append([name, *cells, *parts, f"{len({row for row, _ in pairs}):,}"])
    kinds = [f"{kind} ({sizes[kind]})" for kind in KINDS]
    return markdown(["detector", *kinds, "precision", "same", "raw", "rows"], lines)


def aims(
    rows: Sequence[Row],
    ways: Mapping[str, tuple[set[Pair], set[Pair]]],
    known: frozenset[Pair],
) -> str:
    """Hold against the floors, for each way of counting, all that was found and what ran."""
    lines = []
    for way, (together, running) in ways.items():
        for kind, floor in FLOORS.items():
            ran = kind == "algorithm"
            share = recall(rows, running if ran else together).get(kind)
            title = f"{way}: {kind}{', by execution' if ran else ''}"
            lines += [] if share is None else [_aim(title, floor, share)]
        lines.append(_aim(f"{way}: precision", PRECISION, precision(rows, together, known)))
    return markdown(["aim", "at least", "reached", ""], lines)


def _aim(title: str, floor: float, value: float) -> list[str]:
    met = "met" if value >= floor else "**missed**"
    return [title, _percent(floor), _percent(value), met]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
