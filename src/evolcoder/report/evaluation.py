"""Collects the report of an evaluation: scores with intervals, findings, samples by problem.

Everything comes from the stored verdicts; nothing is graded again. Scores cover the problems that
have verdicts, whatever of the benchmark that is, and the caption says so.

>>> with EvalStore.read(folder) as store:   # doctest: +SKIP
...     report = report_of(store)
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from evolcoder.bench.scores import by_problem, score
from evolcoder.credentials import without_logins
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.report.content import (
    Cell,
    Chart,
    ReportContent,
    ReportRecord,
    ReportSection,
    ReportTable,
    Series,
    shortened,
)
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts
from evolcoder.terminal import shell_path
from evolcoder.text import natural_key, one_line

RECORDS = 20
"""Most samples of a benchmark that are shown: those that did not pass first."""
TEXT_CHARS, NOTE_CHARS = 4_000, 300
CUT = "length"
"""Finish reason of an answer that the token limit cut off."""


def report_of(store: EvalStore) -> ReportContent:
    """Collect the report of an evaluation that may still be going on."""
    judged = {bench: list(store.verdicts(bench)) for bench in store.benches()}
    settings = store.meta("settings", FolderFacts) or {}
    source = f"model {settings['model']}" if settings.get("model") else "samples of a file"
    n = sum(map(len, judged.values()))
    origin = store.meta(PROVENANCE_META, FolderFacts) or {}
    versions = origin.get("versions", {})
    facts = (
        ("evaluated", source),
        ("command", without_logins(str(origin.get("command", "")))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("platform", str(origin.get("platform", ""))),
    )
    return ReportContent(
        title=f"Evaluation {store.folder.name}",
        summary=f"Samples with verdicts: {n:,}; benchmarks: {len(judged)} ({source}).",
        facts=facts,
        sections=(
            _scores_section(judged, {bench: store.excluded(bench) for bench in judged}),
            _findings_section(judged, store),
            *(_samples_section(store, bench, found) for bench, found in judged.items()),
        ),
    )


def _scores_section(
    judged: dict[str, list[StoredVerdict]], excluded: Mapping[str, frozenset[str]]
) -> ReportSection:
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for bench, found in judged.items():
        outcomes = by_problem(found)
        if left_out := excluded[bench] & outcomes.keys():
            outcomes = {id: passed for id, passed in outcomes.items() if id not in left_out}
            notes.append(f"{bench}: {len(left_out):,} problems are left out, as eval found them")
        if not outcomes:
            continue
        one = score(outcomes, bench=bench, k=1)
        ends = (one.interval.low, one.interval.high) if one.interval else (one.value, one.value)
        low, high = (round(100 * end, 1) for end in ends)
        rows.append((bench, one.n_problems, one.n_samples, round(100 * one.value, 1), low, high))
    names = tuple(str(row[0]) for row in rows)
    points = Series(
        "pass@1",
        tuple(float(row[3] or 0) for row in rows),
        tuple(float(row[4] or 0) for row in rows),
        tuple(float(row[5] or 0) for row in rows),
    )
    return ReportSection(
        "scores",
        "Scores",
        "pass@1 in per cent with its 95 % interval, over the problems that have verdicts here.",
        ReportTable(("benchmark", "problems", "samples", "pass@1", "from", "to"), tuple(rows)),
        Chart("points", names, (points,), "pass@1, %") if rows else None,
        notes=tuple(notes),
        is_open=True,
    )


def _findings_section(judged: dict[str, list[StoredVerdict]], store: EvalStore) -> ReportSection:
    counts = {
        bench: Counter("passed" if one.passed else str(one.facts["kind"]) for one in found)
        for bench, found in judged.items()
    }
    kinds = [kind for kind, _ in sum(counts.values(), Counter[str]()).most_common()]
    rows = tuple((bench, kind, counts[bench][kind]) for bench in counts for kind in kinds)
    notes = []
    for bench in judged:
        if n_cut := store.finishes(bench).get(CUT, 0):
            notes.append(f"{bench}: {n_cut:,} answers were cut off by the token limit")
        if failures := store.failures(bench):
            notes.append(f"{bench}: {len(failures):,} samples could not be judged")
    series = tuple(
        Series(kind, tuple(float(counts[bench][kind]) for bench in counts)) for kind in kinds[:6]
    )
    return ReportSection(
        "findings",
        "Findings",
        "What became of the samples of each benchmark.",
        ReportTable(("benchmark", "finding", "samples"), tuple(row for row in rows if row[2])),
        Chart("stacked", tuple(counts), series, "samples") if counts else None,
        notes=tuple(notes),
    )


def _samples_section(store: EvalStore, bench: str, found: Sequence[StoredVerdict]) -> ReportSection:
    shown = sorted(found, key=lambda one: (one.passed, natural_key(one.problem), one.number))[
        :RECORDS
    ]
    return ReportSection(
        f"samples-{bench}",
        f"Samples of {bench}",
        f"{len(shown):,} of {len(found):,} samples, those that did not pass first.",
        records=tuple(_records(store, bench, shown)),
        notes=(
            f"evolcoder inspect {shell_path(store.folder)} PROBLEM shows all samples of a problem",
        ),
    )


def _records(
    store: EvalStore, bench: str, shown: Sequence[StoredVerdict]
) -> Iterator[ReportRecord]:
    for one in shown:
        sample = store.samples(bench, one.problem).get(one.number)
        text = "" if sample is None else sample.text
        outcome = "passed" if one.passed else str(one.facts["kind"])
        facts = (("sample", str(one.number)), ("outcome", outcome), ("program", one.found))
        told = {
            name: value
            for name, value in one.facts.items()
            if value and name not in {"layers", "missing", "kind"}
        }
        notes = tuple(f"{name}: {one_line(str(value), NOTE_CHARS)}" for name, value in told.items())
        answer = shortened("answer", text, TEXT_CHARS, is_answer=True)
        yield ReportRecord(one.problem, facts, (answer,), notes)
