"""Leaks that people can judge: a row and the problem that it contains, with what they share marked.

A record is a row with a problem of a benchmark and all that detectors found between them, each in a
sentence. Problems come from files that are there already: nothing is downloaded for a report.

>>> sentence({"detector": "neighbours", "score": 0.83, "seen": "61% of its words"})
'The task is among the five nearest of the problem by meaning: cosine 0.83, 61% of its words.'
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.bench.custom import SUFFIX, custom_bench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import BENCHES, bench_named
from evolcoder.decontamination.hits import BenchmarkText, benchmark_texts
from evolcoder.engine.registry import cache_folder
from evolcoder.errors import BenchError
from evolcoder.report.content import (
    JOINT,
    Cell,
    Chart,
    ReportRecord,
    ReportSection,
    ReportTable,
    Text,
    bars,
    shortened,
)
from evolcoder.text import one_line

LEAKS = 60
"""Most leaks that are shown with their texts."""
TEXT_CHARS, SEEN_CHARS = 3_000, 300
LEAK_COLUMNS = ("row", "benchmark", "problem", "detector", "where", "score", "evidence")
DEFINITIONS = {
    "ngrams": "runs of words of a problem's prompt, solution or tests, also under other names",
    "substring": "a long run of a problem's words, or of its code, as it stands",
    "neighbours": "tasks near a problem by embedding that share its rare words, or name its "
    "function",
    "judge": "what a model finds about the nearest tasks",
    "execution": "answers that pass a problem's tests, whatever their text",
}
"""Detector -> what it looks for."""
ENDS = (".", "!", "?", "…")
"""How a sentence ends; evidence may end so by itself."""
NO_EVIDENCE = " Alone that is no evidence"
DOUBTS = {
    "weak": "the tests accept programs that are no solutions",
    "plain": "many write this short program by themselves",
}
"""Mark of a hit -> why it does not drop a row."""


@dataclass(frozen=True, slots=True)
class LeakedRow:
    """A row that was dropped as a leak."""

    name: str
    """Its id, or its number in the file."""
    hits: tuple[Mapping[str, Any], ...]
    """Findings, as `decontamination.hits.Hit` as plain data."""
    task: str
    """Its task; empty if it cannot be read."""
    answer: str
    """Its answer."""

    def by_problem(self) -> Iterator[tuple[tuple[str, str], list[Mapping[str, Any]]]]:
        """Yield benchmark and id of each problem with the findings about it."""
        found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for hit in self.hits:
            found.setdefault((str(hit.get("benchmark")), str(hit.get("item"))), []).append(hit)
        yield from found.items()


def sentence(hit: Mapping[str, Any]) -> str:
    """Say in a sentence why a finding counts."""
    part, side = hit.get("part", "task"), hit.get("side", "prompt")
    score, seen = _score(hit), one_line(str(hit.get("seen", "")), SEEN_CHARS)
    shared = f"runs of words: {seen}" if side == "prompt" else "statements, names aside"
    length = f"{score:.0f} words" if side == "prompt" else f"{score:.0f} bits of code"
    known = {
        "ngrams": f"The {part} has {score:.0%} of the {side}'s {shared}",
        "substring": f"The {part} and the {side} share a run of {length}: {seen}",
        "neighbours": "The task is among the five nearest of the problem by meaning: "
        f"cosine {score:.2f}, {seen}",
        "judge": f"A model finds that both ask for the same: {seen}",
        "execution": f"The answer passes the problem's tests: {seen}",
    }
    detector = str(hit.get("detector"))
    mark = str(hit.get("mark"))
    why = "" if "weak: " in seen else f": {DOUBTS.get(mark)}"  # that evidence says why
    doubt = f"{NO_EVIDENCE}{why}." if mark in DOUBTS else ""
    said = known.get(detector, f"{detector}: {seen}")
    return f"{said}{'' if said.endswith(ENDS) else '.'}{doubt}"


def _score(hit: Mapping[str, Any]) -> float:
    score = hit.get("score")
    return float(score) if isinstance(score, int | float) else 0.0


def leaks_section(rows: Iterable[LeakedRow], data_dir: Path | None, *, more: str) -> ReportSection:
    """Show leaks side by side with their problems, and every finding as a table.

    `more` is added to the caption.
    """
    leaks = list(rows)
    pairs = [(row, *pair) for row in leaks for pair in row.by_problem()][:LEAKS]
    texts, notes = _problems({place for _, place, _ in pairs}, data_dir)
    n_pairs = sum(1 for row in leaks for _ in row.by_problem())
    return ReportSection(
        "leaks",
        "Leaks",
        f"{len(pairs):,} of {n_pairs:,} pairs of a dropped row and the problem that it contains, "
        f"with what both share marked and why it counts; {more}.",
        ReportTable(LEAK_COLUMNS, tuple(line for row in leaks for line in _lines(row))),
        records=tuple(_record(row, place, hits, texts.get(place)) for row, place, hits in pairs),
        notes=tuple(notes),
    )


def _lines(row: LeakedRow) -> Iterator[tuple[Cell, ...]]:
    for hit in row.hits:
        where = f"{hit.get('part', '')} like {hit.get('side', '')}"
        seen = one_line(str(hit.get("seen", "")), SEEN_CHARS)
        head = (str(hit.get(name, "")) for name in ("benchmark", "item", "detector"))
        yield row.name, *head, where, round(_score(hit), 4), seen


def _record(
    row: LeakedRow,
    place: tuple[str, str],
    hits: Sequence[Mapping[str, Any]],
    problem: BenchmarkText | None,
) -> ReportRecord:
    prompt, solution = (problem.prompt, problem.solution) if problem else ("", "")
    texts = [
        _text("task of the row", row.task, prompt),
        _text("the problem", prompt, row.task),
        _text("answer of the row", row.answer, solution),
        _text("the problem's solution", solution, row.answer),
    ]
    facts = (
        ("benchmark", place[0]),
        ("detector", JOINT.join(dict.fromkeys(str(hit.get("detector")) for hit in hits))),
        ("problem", place[1]),
        ("outcome", "dropped"),
    )
    notes = tuple(map(sentence, hits))
    return ReportRecord(row.name, facts, tuple(filter(None, texts)), notes, is_paired=True)


def _text(title: str, body: str, other: str) -> Text | None:
    return shortened(title, body, TEXT_CHARS, shared_with=other or None) if body else None


def _problems(
    wanted: set[tuple[str, str]], data_dir: Path | None
) -> tuple[dict[tuple[str, str], BenchmarkText], list[str]]:
    """Read these problems from files on this machine; also say which cannot be read."""
    found: dict[tuple[str, str], BenchmarkText] = {}
    notes = []
    folder = data_dir or cache_folder() / "benchmarks"  # as the user's folder: no download
    for name in sorted({bench for bench, _ in wanted}):
        own = folder / f"{name}{SUFFIX}"  # certificates name files of the user's own so
        if name not in BENCHES and not own.is_file():
            notes.append(
                f"problems of {name} are not shown: it is no benchmark of this version; if it is a "
                f"file of your own, name the folder with {own.name} with --data-dir"
            )
            continue
        try:
            if name in BENCHES:
                problems = bench_named(name, DataFolder(folder, folder)).problems()
            else:
                problems = custom_bench(own).problems()
                notes.append(f"problems of {name} are those of {own} as it is now")
        except BenchError as error:
            notes.append(f"problems of {name} are not shown: {error}")
            continue
        for text in benchmark_texts(name, problems):
            if (name, text.id) in wanted:
                found[name, text.id] = text
    return found, notes


def certificate_sections(record: Mapping[str, Any]) -> Iterator[ReportSection]:
    """Show what a certificate of a cleaning says: data, hits, detectors, and what is missing."""
    sides = [("in", record["input"]), *(("compared with", one) for one in record["beside"])]
    sides += [("out", record["output"])] if record["output"] else []
    data = tuple(
        (side, str(one["name"]), one["n_rows"], one["sha256"] or "no file") for side, one in sides
    )
    yield ReportSection(
        "certificate",
        "Certificate",
        f"What the cleaning by evolcoder {record['evolcoder']} took and gave, with digests.",
        ReportTable(("side", "name", "rows", "SHA-256"), data, ("side", "name")),
        notes=tuple(f"not looked for: {one}" for one in record["not_looked_for"]),
        is_open=True,
    )
    if not record["detectors"]:
        return
    rows = tuple(
        (one["detector"], one["benchmark"], one["n_rows"], one["n_items"], one["n_faint"])
        for one in record["hits"]
    )
    yield ReportSection(
        "hits",
        "Findings by detector",
        "Rows in which each detector found a problem of a benchmark, dropped by: "
        f"{', '.join(record['drop']) or 'none'}; weak or plain are passes that alone prove "
        "nothing.",
        ReportTable(
            ("detector", "benchmark", "rows", "problems", "weak or plain"),
            rows,
            ("detector", "benchmark"),
        ),
        _hits_chart(record["hits"]),
    )
    measured = {one["name"]: (one["measured"] or {}).get("on") for one in record["detectors"]}
    yield ReportSection(
        "detectors",
        "What the detectors look for",
        "What each detector looks for, the kinds of planted leaks of which it finds most and "
        "fewest, and the share of its findings that are right.",
        ReportTable(
            ("detector", "looks for", "model", "highest recall", "lowest recall", "precision"),
            tuple(_detector(one) for one in record["detectors"]),
            ("detector",),
        ),
        notes=tuple(f"{name} was measured on {on}" for name, on in measured.items() if on),
    )


def _hits_chart(hits: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Draw the rows in which each detector found a problem, of all benchmarks together."""
    rows = {one["detector"]: one["n_rows"] for one in hits if one["benchmark"] == "all"}
    return bars(rows, "rows") if rows else None


def _detector(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    name, measured = str(one["name"]), one["measured"] or {}
    recall = {kind: n / of for kind, (n, of) in (measured.get("recall") or {}).items() if of}
    ends = [end(recall, key=recall.__getitem__) for end in (max, min) if recall]
    shown = [f"{recall[kind]:.3g} ({kind})" for kind in ends]
    true, hits = measured.get("precision") or (0, 0)
    return (
        name,
        DEFINITIONS.get(name, ""),
        str(one["model"] or ""),
        *(shown or (None, None)),
        round(true / hits, 3) if hits else None,
    )
