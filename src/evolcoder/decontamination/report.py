"""The contamination report: as JSON, as text tables, and as an HTML section or page.

A report depends only on the set of findings. Detectors are counted separately, exclusively and
together; every hit is included with its evidence and mark. The HTML has no external resources and
no scripts, and shows row contents as escaped text. No I/O.

    report = report_of(hits, n_rows=len(rows), ran=[Detector.NGRAMS], drops=[DropRule.ANY])
    print(table(report))
    path.write_text(page(report, title="data.jsonl"))
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape

from evolcoder.decontamination import ngrams, substring
from evolcoder.decontamination.certificate import measurements
from evolcoder.decontamination.execution.search import MIN_AGREEMENT
from evolcoder.decontamination.hits import (
    Detector,
    DropRule,
    Hit,
    SpanMark,
    dropped,
    sort_hits,
)
from evolcoder.decontamination.llm_judge import Answer, JudgedPair
from evolcoder.sandbox.base import layers_text, missing_from
from evolcoder.text import natural_key
from evolcoder.visible import visible

Plain = dict[str, object]
Cells = tuple[str | float, ...]
FOUND_COLUMNS = ("detector", "benchmark", "rows", "exclusive", "problems", "weak or plain")
"""Columns of the findings; the last counts rows with only inconclusive hits."""
CHOICE_COLUMNS = ("--drop", "rows kept", "rows dropped", "problems left")
"""Columns of the effect of each drop rule."""
PARAMETERS: Mapping[Detector, Plain] = {
    Detector.NGRAMS: {
        "words": ngrams.WORDS,
        "min_bits": {side.value: bits for side, bits in ngrams.MIN_BITS.items()},
        "min_share": {side.value: share for side, share in ngrams.MIN_SHARE.items()},
    },
    Detector.SUBSTRING: {
        "words": substring.MIN_RUN_WORDS,
        "words_of_short_problems": substring.ANCHOR_WORDS,
        "min_specific_words": substring.MIN_SPECIFIC_WORDS,
        "tokens": substring.ANCHOR_TOKENS,
        "min_bits": substring.MIN_BITS,
    },
    Detector.EXECUTION: {"min_agreement": MIN_AGREEMENT},
}
"""Parameters of detectors that need no model."""
DECIDED = frozenset({Answer.MATCH.value, Answer.NO_MATCH.value})
"""Answers of a judge that say whether a row leaks a problem."""
PAGE_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ border: 1px solid #bbb; padding: .2rem .6rem; text-align: left; vertical-align: top }}
td {{ overflow-wrap: anywhere }}
</style>
</head>
<body>
<h1>{title}</h1>
{section}
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class ReportedHit:
    """Counts of one detector, or all together, in one benchmark, or in all."""

    detector: str
    """Name of the detector, or `together`."""
    benchmark: str
    """Name of the benchmark, or `all`."""
    n_rows: int
    """Rows with a hit."""
    n_alone: int
    """Of these, rows that no other detector found; for `together`, all of them."""
    n_items: int
    """Problems found in some row."""
    n_faint: int
    """Of the rows, detectors with only inconclusive hits: weak or plain passes."""


@dataclass(frozen=True, slots=True)
class DropChoice:
    """The effect of one choice of drop rules."""

    drop: str
    """The drop rules, as in `--drop`."""
    n_kept: int
    """Rows kept."""
    n_dropped: int
    """Rows dropped."""
    n_items_left: int
    """Problems that some kept row still contains by a conclusive hit of any detector."""


@dataclass(frozen=True, slots=True)
class SearchedBenchmark:
    """A benchmark that rows were compared with."""

    name: str
    """Its name on the command line."""
    n_problems: int
    """Its problems."""
    sha256: str
    """Digest of their texts as compared."""
    is_run: bool
    """Whether answers were run against its tests."""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in one data set."""

    n_rows: int
    """Rows processed."""
    ran: tuple[str, ...]
    """Detectors that ran, in canonical order."""
    models: tuple[tuple[str, str], ...]
    """Embedding and judge models, by detector."""
    drops: tuple[str, ...]
    """The drop rules in force."""
    dropped: tuple[str, ...]
    """Ids of the dropped rows, sorted."""
    found: tuple[ReportedHit, ...]
    """Counts by detector and benchmark."""
    choices: tuple[DropChoice, ...]
    """The effect of no drop rule (`none`) and of each choice."""
    verdicts: tuple[tuple[str, int], ...]
    """Number of judgements by kind, including unreadable answers and failures."""
    hits: tuple[Hit, ...]
    """All hits, in canonical order."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""
    missing: tuple[str, ...] = ()
    """Sandbox layers that were not active."""

    unjudged: tuple[tuple[str, str], ...] = ()
    """Rows on which a detector failed, with the error; its findings there are unknown."""
    benchmarks: tuple[SearchedBenchmark, ...] = ()
    """The benchmarks, in the order given."""
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    """Parameters of detectors that use a model, by detector."""

    def with_layers(self, layers: Sequence[str]) -> "Report":
        """Add the sandbox layers under which responses were executed."""
        missing = missing_from(layers) if layers else ()
        return replace(self, layers=tuple(layers), missing=missing)


def report_of(
    hits: Iterable[Hit],
    *,
    n_rows: int,
    ran: Iterable[Detector],
    drops: Sequence[DropRule],
    judged: Sequence[JudgedPair] = (),
    models: Iterable[tuple[Detector, str]] = (),
) -> Report:
    """Build a report."""
    evidence, detectors = sort_hits(hits), set(ran)
    order = [detector for detector in Detector if detector in detectors]
    return Report(
        n_rows=n_rows,
        ran=tuple(detector.value for detector in order),
        models=tuple(sorted((detector.value, name) for detector, name in models)),
        drops=tuple(drop.value for drop in DropRule if drop in drops),
        dropped=tuple(sorted(dropped(evidence, *drops))),
        found=tuple(_found(evidence, order)),
        choices=tuple(_choices(evidence, n_rows, order, drops)),
        verdicts=tuple(sorted(Counter(each.answer.value for each in judged).items())),
        hits=tuple(evidence),
    )


def as_dict(report: Report) -> Plain:
    """Convert a report to plain data for JSON, with every hit."""
    return asdict(report)


def table(report: Report) -> str:
    """Format the counts as two text tables."""
    found = [FOUND_COLUMNS, *(tuple(map(_shown, row)) for row in _rows_found(report))]
    choices = [CHOICE_COLUMNS, *(tuple(map(_shown, row)) for row in _rows_chosen(report))]
    notes = "\n".join(_notes(report))
    return "\n\n".join(filter(None, [_columns(found), _columns(choices), notes]))


def section(report: Report) -> str:
    """Format a report as a <section>: counts, and collapsed evidence by problem."""
    head = f"<h2>Leakage</h2>\n<p>{report.n_rows:,} rows; {len(report.dropped):,} dropped "
    head += f"({escape(', '.join(report.drops)) or 'none'}). Detectors: "
    head += f"{escape(', '.join(report.ran))}.</p>"
    notes = "".join(f"<p>{escape(line)}</p>" for line in _notes(report))
    counts = _html_table(FOUND_COLUMNS, _rows_found(report))
    choices = _html_table(CHOICE_COLUMNS, _rows_chosen(report))
    evidence = "\n".join(_details(item, hits) for item, hits in _by_item(report.hits))
    return visible(
        "\n".join(['<section id="leakage">', head, notes, counts, choices, evidence, "</section>"])
    )


def page(report: Report, *, title: str) -> str:
    """Format a report as a self-contained HTML page without scripts."""
    return PAGE_TEMPLATE.format(title=escape(visible(title, lines=False)), section=section(report))


def _rows_found(report: Report) -> list[Cells]:
    return [
        (f.detector, f.benchmark, f.n_rows, f.n_alone, f.n_items, f.n_faint) for f in report.found
    ]


def _rows_chosen(report: Report) -> list[Cells]:
    return [(c.drop, c.n_kept, c.n_dropped, c.n_items_left) for c in report.choices]


def _found(hits: Sequence[Hit], order: Sequence[Detector]) -> Iterable[ReportedHit]:
    for benchmark in ("all", *sorted({hit.benchmark for hit in hits})):
        here = [hit for hit in hits if benchmark in {"all", hit.benchmark}]
        rows: defaultdict[Detector, set[str]] = defaultdict(set)
        conclusive: defaultdict[Detector, set[str]] = defaultdict(set)
        for hit in here:
            rows[hit.detector].add(hit.row)
            if hit.mark is SpanMark.CONCLUSIVE:
                conclusive[hit.detector].add(hit.row)
        times = Counter(row for detectors in rows.values() for row in detectors)
        for detector in order:
            mine = rows[detector]
            items = {(h.benchmark, h.item) for h in here if h.detector is detector}
            n_alone = sum(times[row] == 1 for row in mine)
            n_faint = len(mine - conclusive[detector])
            yield ReportedHit(detector.value, benchmark, len(mine), n_alone, len(items), n_faint)
        items = {(h.benchmark, h.item) for h in here}
        n_faint = len(times.keys() - set().union(*conclusive.values()))
        yield ReportedHit("together", benchmark, len(times), len(times), len(items), n_faint)


def _choices(
    hits: Sequence[Hit], n_rows: int, order: Sequence[Detector], drops: Sequence[DropRule]
) -> Iterable[DropChoice]:
    known = {*order, DropRule.ANY, DropRule.NONE}
    known |= {DropRule.EXECUTION_ANY} if Detector.EXECUTION in order else set()
    single = [(drop,) for drop in DropRule if drop.value in known]
    given = tuple(drop for drop in DropRule if drop in drops)
    conclusive = [hit for hit in hits if hit.mark is SpanMark.CONCLUSIVE]
    wanted = [(DropRule.NONE,), *(one for one in single if one != (DropRule.NONE,))]
    for choice in wanted if given in wanted or not given else [*wanted, given]:
        dropped_rows = dropped(hits, *choice)
        left = {(h.benchmark, h.item) for h in conclusive if h.row not in dropped_rows}
        name = ",".join(drop.value for drop in choice)
        yield DropChoice(name, n_rows - len(dropped_rows), len(dropped_rows), len(left))


def _notes(report: Report) -> list[str]:
    judgements = ", ".join(f"{word} {n:,}" for word, n in report.verdicts)
    by = [f"{name}: by {model}" for name, model in report.models]
    by += [f"judge: {judgements}"] if judgements else []
    by += [f"execution: under {layers_text(report.layers)}"] if report.layers else []
    return [*by, *([unjudged_note(report)] if report.unjudged else [])]


def unjudged_note(report: Report) -> str:
    """Say how many rows a detector failed on, with one example."""
    row, why = report.unjudged[0]
    n_rows = len({row for row, _ in report.unjudged})
    return f"{n_rows:,} rows could not be judged by a detector, such as {row}: {why}"


def search_record(report: Report, known: Iterable[str]) -> Plain:
    """Return the part of a certificate that leak detection gives.

    `known` are the names of all benchmarks.
    """
    models = dict(report.models)
    return {
        "benchmarks": [asdict(one) for one in report.benchmarks],
        "detectors": [
            {
                "name": name,
                "parameters": PARAMETERS.get(Detector(name), {}) or report.parameters.get(name, {}),
                "model": models.get(name),
                "measured": measurements().get(name),
                "verdicts": dict(report.verdicts) if name == Detector.JUDGE.value else None,
            }
            for name in report.ran
        ],
        "drop": list(report.drops),
        "sandbox_layers": list(report.layers),
        "hits": [asdict(one) for one in report.found],
        "not_looked_for": list(_gaps(report, known)),
    }


def _gaps(report: Report, known: Iterable[str]) -> Iterable[str]:
    """Say in plain words what leak detection could not look for."""
    searched = {one.name for one in report.benchmarks}
    if missing := [name for name in known if name not in searched]:
        yield f"These benchmarks were not compared: {', '.join(missing)}."
    words = {
        Detector.NGRAMS: "Texts with an edit every few words, and code under other names",
        Detector.SUBSTRING: "Verbatim runs of a task's words",
        Detector.NEIGHBOURS: "Tasks in other words (this needs an embedding model)",
        Detector.JUDGE: "What a judge would say of the nearest tasks (this needs --judge)",
        Detector.EXECUTION: "Answers that solve a problem under another name or in another way",
    }
    for detector, what in words.items():
        if detector.value not in report.ran:
            yield f"{what}: `{detector.value}` did not run."
    if Detector.EXECUTION.value in report.ran:
        yield (
            "Only functions in Python that need nothing but the standard library were run; "
            "answers in other languages were compared by their text alone."
        )
        if texts_only := [one.name for one in report.benchmarks if not one.is_run]:
            yield f"By their text alone were compared: {', '.join(texts_only)}."
    if Detector.JUDGE.value in report.ran:
        yield "The judge was asked about the rows nearest to each problem alone."
        if n_open := sum(n for word, n in report.verdicts if word not in DECIDED):
            yield f"The judge decided nothing of {n_open:,} pairs of a row and a problem."
    if report.unjudged:
        yield unjudged_note(report) + "."
    if report.missing:
        yield f"The sandbox ran without these layers: {', '.join(report.missing)}."


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Align rows in columns, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_number = [column[-1].replace(",", "").isdigit() for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str | float]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _shown(cell: str | float) -> str:
    return cell if isinstance(cell, str) else f"{cell:,}"


def _by_item(hits: Iterable[Hit]) -> list[tuple[tuple[str, str], list[Hit]]]:
    found: defaultdict[tuple[str, str], list[Hit]] = defaultdict(list)
    for hit in hits:
        found[hit.benchmark, hit.item].append(hit)
    return sorted(found.items(), key=lambda one: (one[0][0], natural_key(one[0][1])))


def _details(item: tuple[str, str], hits: Sequence[Hit]) -> str:
    n_rows = len({hit.row for hit in hits})
    title = escape(f"{item[0]} {item[1]}: {n_rows} row{'s' * (n_rows != 1)}")
    cells = [
        (h.row, h.detector.value, h.part.value, h.side.value, h.score, h.mark.value, h.seen)
        for h in hits
    ]
    head = ("row", "detector", "part", "against", "score", "mark", "seen")
    return f"<details><summary>{title}</summary>\n{_html_table(head, cells)}\n</details>"
