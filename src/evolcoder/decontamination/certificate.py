"""The certificate of a cleaning: what went in and out, what was looked for and how well, what not.

One record, as JSON and as one page of Markdown. It depends on the data, the settings and the
benchmarks alone: the same cleaning gives the same bytes. Measured recall and precision are those
that `benchmarks/cleaning.py --store` wrote into the package; a detector without a measurement says
so. Imports no numpy. It does not promise that nothing is left: what could not be looked for is
listed in words.

>>> record = certificate(rows, searched=search_record(report))   # doctest: +SKIP
>>> path.write_text(page(record))   # doctest: +SKIP
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, TypeAlias

from evolcoder import markdown
from evolcoder.visible import visible

Plain = dict[str, object]
Json: TypeAlias = Any
"""A part of a certificate."""
MEASURED = "cleaning-measured.json"
"""File of the package with the stored measurements."""


@dataclass(frozen=True, slots=True)
class CleanedData:
    """One side of a cleaning."""

    name: str
    """The file, data set or run, as the user named it."""
    sha256: str | None
    """Digest of its bytes, or of the rows of a run; None for what is not a file."""
    n_rows: int | None
    """Its rows; None if they were not counted."""


def certificate(  # noqa: PLR0913 - all of it is certified
    *,
    version: str,
    source: CleanedData,
    kept: CleanedData | None,
    beside: Sequence[CleanedData],
    duplicates: Plain,
    dropped: Mapping[str, int],
    searched: Plain,
    gaps: Iterable[str],
) -> Plain:
    """Build a certificate; `searched` is empty if no benchmark was named."""
    empty: Plain = {"benchmarks": [], "detectors": [], "drop": [], "sandbox_layers": [], "hits": []}
    search = {**empty, **searched}
    not_looked_for = [*_list(search.pop("not_looked_for", [])), *gaps]
    if not searched:
        not_looked_for.insert(0, "No benchmark was named, so leaks were not looked for.")
    return {
        "evolcoder": version,
        "input": asdict(source),
        "output": None if kept is None else asdict(kept),
        "beside": [asdict(one) for one in beside],
        "rows": {
            "read": source.n_rows,
            "kept": (source.n_rows or 0) - sum(dropped.values()),
            "dropped": dict(sorted(dropped.items())),
        },
        "duplicates": duplicates,
        **search,
        "not_looked_for": not_looked_for,
    }


@cache
def measurements() -> Mapping[str, Plain]:
    """Return the stored recall and precision by detector."""
    text = (files("evolcoder") / "data" / MEASURED).read_text("utf-8")
    found: Mapping[str, Plain] = json.loads(text)["detectors"]
    return found


def page(record: Plain) -> str:
    """Format a certificate as one page of Markdown; what rows hold is text, whatever it says."""
    data: Json = record
    lines = ["# Certificate of a cleaning", "", f"By evolcoder {data['evolcoder']}.", "", "## Data"]
    lines += ["", *_table(["", "name", "rows", "SHA-256"], _data_rows(data)), "", "## Rows", ""]
    counts = [["read", data["rows"]["read"]], *sorted(data["rows"]["dropped"].items())]
    lines += [*_table(["rows", "number"], [*counts, ["kept", data["rows"]["kept"]]]), ""]
    lines += ["## Duplicates", "", *_parameters(data["duplicates"]), "", "## Leaks", ""]
    lines += _leaks(data) if data["detectors"] else ["Leaks were not looked for."]
    lines += ["", "## What could not be looked for", ""]
    lines += [f"- {one}" for one in data["not_looked_for"]] or ["Nothing is known."]
    return escape(visible("\n".join(lines)), quote=False) + "\n"


def _data_rows(data: Json) -> list[list[object]]:
    sides = [("in", data["input"]), *(("beside", one) for one in data["beside"])]
    sides += [("out", data["output"])] if data["output"] else []
    return [
        [side, one["name"], "" if (n := one["n_rows"]) is None else n, one["sha256"] or "no file"]
        for side, one in sides
    ]


def _leaks(data: Json) -> list[str]:
    benchmarks = [[one["name"], one["n_problems"], one["sha256"]] for one in data["benchmarks"]]
    lines = _table(["benchmark", "problems", "SHA-256 of its texts"], benchmarks)
    lines += ["", f"Rows were dropped by: {', '.join(data['drop'])}.", ""]
    for one in data["detectors"]:
        made = f" by {one['model']}" if one["model"] else ""
        lines += [f"### {one['name']}{made}", "", *_parameters(one["parameters"])]
        if one["verdicts"] is not None:
            lines += [
                "",
                f"Verdicts on pairs of a row and a problem: {_verdicts(one['verdicts'])}.",
            ]
        lines += ["", *_measured(one["measured"]), ""]
    hits = [
        [one["detector"], one["benchmark"], one["n_rows"], one["n_items"], one["n_faint"]]
        for one in data["hits"]
    ]
    head = ["detector", "benchmark", "rows", "problems", "weak or plain"]
    return [*lines, "### Hits", "", *_table(head, hits)]


def _verdicts(found: Json) -> str:
    return ", ".join(f"{word} {n:,}" for word, n in found.items()) or "none was asked for"


def _measured(found: Json) -> list[str]:
    if not found:
        return ["Its recall and precision are not measured."]
    shares = [
        [kind, f"{100 * n / of:.1f} % of {of:,}"] for kind, (n, of) in found["recall"].items()
    ]
    true, hit = found["precision"]
    precision = f"{100 * true / hit:.1f} % of {hit:,}" if hit else "no row was hit"
    return [
        f"Measured on {found['on']}:",
        "",
        *_table(["measured", "value"], [*([f"recall, {kind}", value] for kind, value in shares),
                                        ["precision", precision]]),
    ]  # fmt: skip


def _parameters(values: Json) -> list[str]:
    shown = [f"- {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return shown or ["No parameters."]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return markdown.table_lines(head, ([*map(_cell, row)] for row in rows))


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return markdown.cell(visible(text, lines=False))


def _list(value: object) -> list[str]:
    return list(value) if isinstance(value, list) else []
