"""What detectors found of the planted leaks, by kind and detector, and how much of it is true.

Promises: recall counts planted rows for which the planted problem itself is named. Precision counts
rows that have a hit: true are those that were planted, and those whose real row is named by
`data/natural.json`, made by reading, as solving a problem that the hit names.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from beside.table import markdown
from cleaning.planted import DATA, KINDS, Row

Pair = tuple[str, str]
"""Id of a row, id of a problem."""
FLOORS = {
    "verbatim": 0.98,
    "renamed": 0.98,
    "reordered": 0.98,
    "paraphrased": 0.85,
    "algorithm": 0.90,
}
"""Kind -> the part that all detectors together are to find."""
PRECISION = 0.97


def natural() -> frozenset[Pair]:
    """Read which real rows solve which problems, by the id of the row."""
    found = json.loads((DATA / "natural.json").read_text(encoding="utf-8"))
    return frozenset((row, problem) for problem, rows in found.items() for row in rows)


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
    true = {row for row, problem in pairs if _is_true(by_id[row], problem, known)}
    return len(true) / len(flagged) if flagged else float("nan")


def _is_true(row: Row, problem: str, known: frozenset[Pair]) -> bool:
    return bool(row.problem) or (row.source, problem) in known


def table(rows: Sequence[Row], found: Mapping[str, Iterable[Pair]]) -> str:
    """Make the table: a line for every detector and for all of them together."""
    known = natural()
    every = {name: set(pairs) for name, pairs in found.items()}
    if len(every) > 1:
        every["together"] = set().union(*every.values())
    lines = []
    for name, pairs in every.items():
        shares = recall(rows, pairs)
        cells = [f"{100 * shares[kind]:.1f}" if kind in shares else "" for kind in KINDS]
        lines.append(
            [name, *cells, f"{100 * precision(rows, pairs, known):.1f}", f"{len(pairs):,}"]
        )
    return markdown(["detector", *KINDS, "precision", "hits"], lines)
