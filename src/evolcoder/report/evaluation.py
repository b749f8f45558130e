"""Collects the report of an evaluation: scores with intervals, findings, samples by problem.

Everything comes from the stored verdicts; nothing is graded again. Scores cover the problems that
have verdicts, whatever of the benchmark that is, and the caption says so.

>>> with EvalStore.read(folder) as store:   # doctest: +SKIP
...     report = report_of(store)
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from evolcoder.bench.multipl_e import LANGUAGES
from evolcoder.bench.scores import base_by_problem, by_problem, has_base, score
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
    parts_of,
    shortened,
)
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts
from evolcoder.terminal import shell_path
from evolcoder.text import natural_key, one_line

KS = (1, 5, 10, 100)
"""The k of pass@k, as far as there are samples."""
RECORDS = 20
"""Most samples of a benchmark that are shown: those that did not pass first."""
MOST_PARTS = 5
"""Most findings with a part of their own in the figure; the others share one."""
TEXT_CHARS, NOTE_CHARS = 4_000, 300
CUT = "length"
"""Finish reason of an answer that the token limit cut off."""


def report_of(store: EvalStore) -> ReportContent:
    """Collect the report of an evaluation that may still be going on."""
    judged = {bench: list(store.verdicts(bench)) for bench in store.benches()}
    settings = store.meta("settings", FolderFacts) or {}
    source = f"model {settings['model']}" if settings.get("model") else "samples of a file"
    n = sum(map(len, judged.values()))
    n_asked = store.db.number("SELECT COUNT(*) FROM samples")
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
        summary=f"Samples with verdicts: {n:,} of {n_asked:,}; benchmarks: {len(judged)} "
        f"({source}).",
        facts=facts,
        sections=(
            _scores_section(judged, {bench: store.excluded(bench) for bench in judged}, n_asked),
            _findings_section(judged, store),
            *(_samples_section(store, bench, found) for bench, found in judged.items()),
        ),
    )


def _scores_section(
    judged: dict[str, list[StoredVerdict]],
    excluded: Mapping[str, frozenset[str]],
    n_samples: int,
) -> ReportSection:
    """Show pass@k of every benchmark, and of the original checks of one that extends another."""
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for bench, found in judged.items():
        left_out = excluded[bench] & {one.problem for one in found}
        if left_out:
            notes.append(f"{bench}: {len(left_out):,} problems are left out, as eval found them")
        counted = [one for one in found if one.problem not in left_out]
        sets = {"all": by_problem(counted)}
        if has_base(counted):
            sets["original"] = base_by_problem(counted)
        for checks, outcomes in sets.items():
            rows += _score_rows(bench, checks, outcomes)
    if n_samples > (n := sum(map(len, judged.values()))):
        notes.append(f"{n_samples - n:,} samples have no verdict; the same evolcoder eval goes on")
    elif not n:
        notes.append("there are no samples yet; the same evolcoder eval goes on")
    first = [row for row in rows if row[3] == 1]
    if any(row[7] is None for row in first):
        notes.append("one problem says nothing of others, so its score has no interval")
    names = tuple(f"{row[0]}{'' if row[2] == 'all' else ', original checks'}" for row in first)
    value, low, high = (
        tuple(None if row[at] is None else float(row[at] or 0) for row in first) for at in (6, 7, 8)
    )
    columns = ("benchmark", "language", "checks", "k", "problems", "samples", "pass@k", "from",
               "to")  # fmt: skip
    return ReportSection(
        "scores",
        "Scores",
        "pass@k in per cent with its 95 % interval, over the problems that have verdicts here"
        f"{'; the figure shows pass@1' if len(first) < len(rows) else ''}.",
        ReportTable(columns, tuple(rows), columns[:4]),
        Chart("points", names, (Series("pass@1", value, low, high),), "pass@1, %")
        if rows
        else None,
        notes=tuple(notes),
        is_open=True,
    )  # fmt: skip


def _score_rows(
    bench: str, checks: str, outcomes: Mapping[str, Sequence[bool]]
) -> Iterator[tuple[Cell, ...]]:
    """Yield pass@k for each k for which all problems have the samples."""
    least = min(map(len, outcomes.values()), default=0)
    for k in (k for k in KS if k <= least):
        one = score(outcomes, bench=bench, k=k)
        ends = (one.interval.low, one.interval.high) if one.interval else (None, None)
        low, high = (None if end is None else round(100 * end, 1) for end in ends)
        yield (bench, language_of(bench), checks, k, one.n_problems, one.n_samples,
               round(100 * one.value, 1), low, high)  # fmt: skip


def language_of(bench: str) -> str:
    """Return the language of a benchmark's programs, by the end of its name."""
    return LANGUAGES.get(bench.partition(" ")[0].rpartition("-")[2], "python")


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
    parts = {kind: [counts[bench][kind] for bench in counts] for kind in kinds[:MOST_PARTS]}
    parts["other findings"] = [
        sum(counts[bench][kind] for kind in kinds[MOST_PARTS:]) for bench in counts
    ]
    series = parts_of(parts)
    return ReportSection(
        "findings",
        "Findings",
        "What became of the samples of each benchmark.",
        ReportTable(
            ("benchmark", "finding", "samples"),
            tuple(row for row in rows if row[2]),
            ("benchmark", "finding"),
        ),
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
