"""Collects the report of a run: funnel, drops, costs, time, heuristics, measures by round, records.

Counts come from the whole database by SQL. Measures of texts come from at most 4,000 rows,
spread evenly over the run; captions say how many. Nothing is computed by a model or executed.

>>> with RunStore.read(folder) as store:   # doctest: +SKIP
...     report = report_of(store, config)
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolcoder.config.load import Config
from evolcoder.credentials import without_logins
from evolcoder.decontamination.similarity import TaskSimilarity, rows_digest
from evolcoder.records import SEED_GROUP, Drop, Reason, Stage
from evolcoder.report.cleaning import read_certificate
from evolcoder.report.content import (
    JOINT,
    Cell,
    Chart,
    ReportContent,
    ReportRecord,
    ReportSection,
    ReportTable,
    Series,
    bars,
    parts_of,
    quartiles,
    shortened,
)
from evolcoder.report.heuristics import heuristics_sections
from evolcoder.report.leaks import LeakedRow, certificate_sections, leaks_section
from evolcoder.report.money import BookedPrices
from evolcoder.report.outcome_text import drop_text, verdict_text
from evolcoder.report.similarity import similarity_sections
from evolcoder.report.throughput import throughput_section
from evolcoder.storage.database import COUNT, TEXT, Columns
from evolcoder.storage.lineage import lineage
from evolcoder.storage.run_store import STYLE_META, RunStore, StyleFacts
from evolcoder.storage.stats import (
    CLEAN_META,
    SECONDS_META,
    CleanFacts,
    FunnelLine,
    SecondsFacts,
    checks_of,
    funnel,
    protections,
    why_empty,
)
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts
from evolcoder.terminal import shell_path
from evolcoder.text import one_line
from evolcoder.verification.measures import RowMeasures
from evolcoder.verification.measures import measured as measured_rows

MOST_ROUNDS, MOST_REASONS = 8, 3
"""Most rounds whose stages have a bar each, and most reasons of drops with a part of their own."""
RECORDS, DROPPED_RECORDS = 40, 20
"""Most kept and dropped records that are shown."""
TEXT_CHARS = 4_000
"""Most characters of a text that is shown."""
EXAMPLE_CHARS = 160
_VERDICTS = "SELECT check_name, kind, COUNT(*) FROM verdicts GROUP BY check_name, kind"
_KINDS = Columns(check=TEXT, kind=TEXT, n=COUNT)
_EXAMPLE = Columns(subject=TEXT, detail=TEXT)
_IDS = Columns(id=TEXT)
_KEPT_IDS = """
    SELECT t.id FROM kept k JOIN tasks t USING (round, ordinal) ORDER BY t.round = 0, t.id LIMIT ?
"""
_DROPPED_IDS = """
    SELECT DISTINCT t.id FROM drops d JOIN tasks t ON t.id = d.subject
    WHERE d.stage <> 'evolve' ORDER BY t.id LIMIT ?
"""


def report_of(store: RunStore, config: Config, *, data_dir: Path | None = None) -> ReportContent:
    """Collect the report of a run that may still be going on.

    `data_dir` is a folder of benchmark files, for the problems next to leaks.
    """
    if data_dir is None and config.clean.data_dir:
        data_dir = Path(config.clean.data_dir)
    lines = funnel(store)
    measured = measured_rows(store.rows(), store.n_kept())
    n_requests = sum(n for n, _, _ in store.calls_by_model().values())
    sections = [
        _funnel_section(lines),
        _drops_section(store),
        _costs_section(store, config),
        _speed_section(store, lines),
        throughput_section(store.throughput(), n_requests),
        *heuristics_sections(store, config, measured),
        *_rounds_sections(measured, store),
        *_verdicts_section(store),
        *_cleaning_sections(store, data_dir),
        *_similarity_sections(store),
        _records_section(store),
    ]
    return ReportContent(
        title=f"Run {store.folder.name}",
        summary=_summary(store, lines),
        facts=tuple(_facts(store)),
        sections=tuple(sections),
    )


def _summary(store: RunStore, lines: Sequence[FunnelLine]) -> str:
    if nothing := why_empty(store):
        return f"{nothing[0].upper()}{nothing[1:]}."
    seeds = lines[0].kept
    n_evolved = sum(line.kept for line in lines if _is_last(line, lines) and line.round)
    waiting = sum(line.waiting for line in lines)
    rounds = max(line.round for line in lines)
    found = f"Seeds: {seeds:,}; rounds: {rounds:,}; evolved rows kept: {n_evolved:,}."
    if not rounds:
        found = f"{store.n_kept():,} of {seeds:,} seeds have an answer that was kept."
    return f"{found} {waiting:,} records wait for an outcome." if waiting else found


def _is_last(line: FunnelLine, lines: Sequence[FunnelLine]) -> bool:
    """Whether a line is of the last stage that the rows of its round passed."""
    return line is [one for one in lines if one.round == line.round][-1]


def _facts(store: RunStore) -> Iterator[tuple[str, str]]:
    origin = store.meta(PROVENANCE_META, FolderFacts) or {}
    yield "command", without_logins(str(origin.get("command", "")))
    for model in origin.get("models", ()):
        yield str(model.get("role")), str(model.get("identity"))
    if (style := store.meta(STYLE_META, StyleFacts)) is not None:
        yield "style", f"{style['style']}: {style['why']}"
    for asked, model, n in store.answers_by_model():
        if asked != model:
            yield "answered by another model", f"{asked} by {model}: {n:,} records"
    for stage, layers in protections(store).items():
        yield f"sandbox, {stage}", ", ".join(layers)
    versions = origin.get("versions", {})
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())
    yield "platform", str(origin.get("platform", ""))


def _funnel_section(lines: Sequence[FunnelLine]) -> ReportSection:
    rows = tuple(
        (line.round, line.stage.value, line.entered, line.kept, line.n_dropped, line.waiting,
         ", ".join(f"{reason} {n:,}" for reason, n in line.dropped.items()))
        for line in lines
    )  # fmt: skip
    is_long = lines[-1].round > MOST_ROUNDS
    return ReportSection(
        "funnel",
        "Funnel",
        "Records that entered each stage of each round, and what became of them; "
        "in = kept + dropped + waiting"
        f"{'; the figure shows what each stage kept' if is_long else ''}.",
        ReportTable(
            ("round", "stage", "in", "kept", "dropped", "waiting", "why dropped"),
            rows,
            ("round", "stage"),
        ),
        _kept_chart(lines) if is_long else _flow_chart(lines),
        is_open=True,
    )


def _flow_chart(lines: Sequence[FunnelLine]) -> Chart:
    """Draw what became of the records of each stage, with the most frequent reasons of drops."""
    reasons = sum((Counter(line.dropped) for line in lines), Counter[str]())
    first = [reason for reason, _ in reasons.most_common(MOST_REASONS)]
    parts = {
        "kept": [line.kept for line in lines],
        **{reason: [line.dropped.get(reason, 0) for line in lines] for reason in first},
        "other reasons": [
            line.n_dropped - sum(line.dropped.get(reason, 0) for reason in first) for line in lines
        ],
        "waiting": [line.waiting for line in lines],
    }
    names = tuple(f"{line.round} {line.stage.value}" for line in lines)
    return Chart("stacked", names, parts_of(parts), "records")


def _kept_chart(lines: Sequence[FunnelLine]) -> Chart:
    """Draw the records that each stage kept by round, where bars would be too many."""
    kept = {(line.stage.value, line.round): float(line.kept) for line in lines}
    rounds = sorted({line.round for line in lines})
    series = [
        Series(stage, tuple(kept.get((stage, round)) for round in rounds))
        for stage in dict.fromkeys(stage for stage, _ in kept)
    ]
    return Chart("lines", tuple(map(_round_name, rounds)), tuple(series), "records")


def _round_name(round: int) -> str:
    return f"round {round}" if round else "seeds"


def _drops_section(store: RunStore) -> ReportSection:
    counts: Counter[tuple[str, str]] = Counter()
    for line in funnel(store):
        for reason, n in line.dropped.items():
            counts[line.stage.value, reason] += n
    rows = tuple(
        (stage, reason, n, *_example(store, stage, reason))
        for (stage, reason), n in counts.most_common()
    )
    drawn = {f"{stage}: {reason}": n for (stage, reason), n in counts.most_common(15)}
    return ReportSection(
        "drops",
        "Drops by reason",
        "Why records left, the most frequent reason first, with an example of each; a task whose "
        "evolution was dropped is tried again in the next round.",
        ReportTable(
            ("stage", "reason", "records", "example", "evidence"), rows, ("stage", "reason")
        ),
        bars(drawn, "records") if rows else None,
        notes=() if rows else ("nothing was dropped",),
    )


def _example(store: RunStore, stage: str, reason: str) -> tuple[str, str]:
    query = "SELECT subject, detail FROM drops WHERE stage=? AND reason=? ORDER BY round, ordinal"
    for subject, detail in store.db.each(_EXAMPLE.validate, query, (stage, reason)):
        return str(subject), one_line(str(detail), EXAMPLE_CHARS)
    return "", ""


def _costs_section(store: RunStore, config: Config) -> ReportSection:
    details, prices = store.call_details_by_model(), BookedPrices(store, config)
    rows: list[tuple[Cell, ...]] = []
    for model, (n, sent, received) in store.calls_by_model().items():
        cached, writes, reasoning = details.get(model, (0, 0, 0))
        cost = prices.usd(
            model, sent=sent, received=received, cached=cached, cache_writes=writes,
            reasoning=reasoning,
        )  # fmt: skip
        cost = None if cost is None else round(cost, 6)
        rows.append((model, n, sent, cached, received, reasoning, cost))
    notes = [
        f"{model}: {n:,} requests were sent and not answered, and may have been billed: at most "
        f"{sent:,} tokens sent and {received:,} received"
        for model, (n, sent, received) in store.possible_calls_by_model().items()
    ]
    if any(row[-1] is None for row in rows):
        notes.append("a model without a price costs what its server costs; the config can set one")
    if not rows:
        notes.append("no request of this run was answered, or all answers came from the cache")
    columns = ("model", "requests", "sent", "of these cached", "received", "reasoning", "USD")
    caption = "Requests that were answered, their tokens as the servers counted them, and their "
    caption += "price; what came from the cache is not in it."
    return ReportSection(
        "costs",
        "Tokens and money",
        caption,
        ReportTable(columns, tuple(rows), ("model",)),
        notes=tuple(notes),
    )


def _speed_section(store: RunStore, lines: Sequence[FunnelLine]) -> ReportSection:
    seconds = store.meta(SECONDS_META, SecondsFacts) or {}
    by_stage = {(str(line.round), line.stage.value): line for line in lines}
    rows: list[tuple[Cell, ...]] = []
    for round, stages in sorted(seconds.items(), key=lambda one: int(one[0])):
        for stage, spent in stages.items():
            line = by_stage.get((round, stage))
            done = line.kept + line.n_dropped if line else None
            rate = round_to(done / spent, 3) if spent and done is not None else None
            rows.append((int(round), stage, round_to(spent, 1), done, rate))
    chart = _throughput_chart(rows)
    return ReportSection(
        "speed",
        "Time",
        "Seconds during which at least one record was in a stage, over all sessions; stages run "
        "at the same time, so they do not add up"
        f"{'; the figure has the throughput of rounds' if chart else ''}.",
        ReportTable(
            ("round", "stage", "seconds", "records", "records/s"), tuple(rows), ("round", "stage")
        ),
        chart,
        notes=() if rows else ("no time is stored; evolcoder run stores it when a session ends",),
    )


def _throughput_chart(rows: Sequence[Sequence[Cell]]) -> Chart | None:
    """Draw the records per second of each stage by round; None for fewer than two rounds."""
    rounds = sorted({int(row[0] or 0) for row in rows})
    rates = {(int(row[0] or 0), str(row[1])): row[4] for row in rows}
    if len(rounds) < 2:
        return None
    series = [
        Series(stage, tuple(None if (rate := rates.get((round, stage))) is None else float(rate)
                            for round in rounds))
        for stage in dict.fromkeys(str(row[1]) for row in rows)
    ]  # fmt: skip
    return Chart("lines", tuple(map(_round_name, rounds)), tuple(series), "records per second")


def round_to(value: float, digits: int) -> float:
    """Round, under a name that rounds of evolution do not hide."""
    return round(value, digits)


MEASURES = (
    ("task_tokens", "Length of tasks", "tokens of the task"),
    ("answer_tokens", "Length of answers", "tokens of the answer"),
    ("complexity", "Complexity of Python answers", "cyclomatic complexity"),
    ("pass_rate", "Pass rate of the model", "share of samples that pass"),
)
"""Attribute, heading and unit of the measures by round."""


def _rounds_sections(measured: Sequence[RowMeasures], store: RunStore) -> Iterator[ReportSection]:
    rounds = sorted({one.round for one in measured})
    for name, title, unit in MEASURES:
        by_round = {
            round: [getattr(one, name) for one in measured if one.round == round]
            for round in rounds
        }
        found = {
            round: [float(value) for value in values if value is not None]
            for round, values in by_round.items()
        }
        filled = [round for round in rounds if found[round]]
        if not filled:
            continue
        ends = [quartiles(found[round]) for round in filled]
        rows = tuple(
            (round, len(found[round]), *end) for round, end in zip(filled, ends, strict=True)
        )
        low, middle, high = (tuple(part) for part in zip(*ends, strict=True))
        names = tuple(map(_round_name, filled))
        yield ReportSection(
            name,
            title,
            f"Median and quartiles by round, of {len(measured):,} of {store.n_kept():,} kept rows.",
            ReportTable(
                ("round", "rows", "lower quartile", "median", "upper quartile"), rows, ("round",)
            ),
            Chart("lines", names, (Series("median", middle, low, high),), unit)
            if len(names) > 1
            else None,
        )


def _verdicts_section(store: RunStore) -> Iterator[ReportSection]:
    """Count verdicts by check; without checks, name the command that makes them."""
    checks = checks_of(store)
    if not checks:
        yield ReportSection(
            "verdicts",
            "Verification",
            "The answers of this run were not executed.",
            notes=(f"evolcoder verify {shell_path(store.folder)} runs them",),
        )
        return
    counted = store.db.each(_KINDS.validate, _VERDICTS)
    rows = tuple(map(tuple, sorted(counted, key=lambda one: (one[0], -one[2]))))
    drawn = {f"{check}: {kind}": n for check, kind, n in rows}
    yield ReportSection(
        "verdicts",
        "Verification",
        f"What the checks ({', '.join(checks)}) found about answers; only findings "
        "in verify.drop drop a row.",
        ReportTable(("check", "finding", "answers"), rows, ("check", "finding")),
        bars(drawn, "answers") if rows else None,
        notes=() if rows else ("no answer has a verdict yet",),
    )


def _cleaning_sections(store: RunStore, data_dir: Path | None) -> Iterator[ReportSection]:
    facts = store.meta(CLEAN_META, CleanFacts)
    command = f"evolcoder clean {shell_path(store.folder)} --against humaneval,mbpp"
    if facts is None:
        caption = "This run was not cleaned."
        notes = (f"{command} finds duplicates and problems of benchmarks",)
        yield ReportSection("cleaning", "Duplicates and leaks", caption, notes=notes)
        return
    against = _compared_with(facts)
    looked = f"compared with {', '.join(against)}" if against else "not compared with benchmarks"
    yield ReportSection(
        "cleaning",
        "Duplicates and leaks",
        f"Rows that cleaning dropped of {facts['n_rows']:,}; {looked}.",
        ReportTable(("reason", "rows"), tuple(facts["dropped"].items()), ("reason",)),
        bars(facts["dropped"], "rows") if facts["dropped"] else None,
        notes=(
            *(() if facts["dropped"] else ("nothing was dropped",)),
            *(() if against else (f"{command} looks for problems of these benchmarks",)),
        ),
    )
    certificate = store.folder / "certificate.json"
    if certificate.is_file():
        yield from certificate_sections(read_certificate(certificate))
    if leaks := list(_leaks(store)):
        yield leaks_section(
            leaks, data_dir, more=f"evolcoder inspect {shell_path(store.folder)} ID shows more"
        )


def _similarity_sections(store: RunStore) -> Iterator[ReportSection]:
    """Show the stored similarity, and whether the rows are still those that it was measured on."""
    found = TaskSimilarity.read(store.folder)
    is_old = found is not None and found.settings.get("rows") != rows_digest(store.rows())[0]

    def task_of(id: str) -> str:
        task = store.task(id)
        return task.instruction if task else ""

    yield from similarity_sections(store.folder, found, is_old=is_old, task_of=task_of)


def _compared_with(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the benchmarks whose problems were looked for, by the cleaning or by its config."""
    searched = facts.get("searched") or {}
    named = [str(one.get("name")) for one in searched.get("benchmarks", ())]
    return tuple(named or facts.get("config", {}).get("against") or ())


def _leaks(store: RunStore) -> Iterator[LeakedRow]:
    """Yield every leak with its texts."""
    for drop in store.drops():
        if drop.reason is not Reason.LEAK:
            continue
        step = next(
            (one for one in lineage(store, drop.subject) if one.task.id == drop.subject), None
        )
        answer = step.response.text if step and step.response else ""
        task = step.task.instruction if step else drop.seen
        yield LeakedRow(drop.subject, tuple(_hits(drop)), task, answer)


def _hits(drop: Drop) -> list[dict[str, Any]]:
    """Return the findings that a leak's drop stores."""
    try:
        found = json.loads(drop.detail)
    except ValueError:
        return []
    listed = found if isinstance(found, list) else [found]
    return [hit for hit in listed if isinstance(hit, dict)]


def _records_section(store: RunStore) -> ReportSection:
    kept = [id for (id,) in store.db.each(_IDS.validate, _KEPT_IDS, (RECORDS,))]
    dropped = [id for (id,) in store.db.each(_IDS.validate, _DROPPED_IDS, (DROPPED_RECORDS,))]
    found = [_record(store, id) for id in dict.fromkeys([*kept, *dropped])]
    n = store.db.number("SELECT COUNT(*) FROM tasks")
    return ReportSection(
        "records",
        "Records",
        f"{len(found):,} of {n:,} records, drawn by their ids: parent and task with the "
        "words marked in which they differ, the answer, what checks found, and why a record left.",
        records=tuple(found),
        notes=(f"evolcoder inspect {shell_path(store.folder)} ID shows the whole lineage",),
    )


def _record(store: RunStore, id: str) -> ReportRecord:
    step = next(one for one in lineage(store, id) if one.task.id == id)
    task, answer = step.task, step.response
    parent = store.task(task.parent) if task.parent else None
    before = parent.instruction[:TEXT_CHARS] if parent else None
    texts = [shortened("task", task.instruction, TEXT_CHARS, before=before)]
    if parent:
        after = task.instruction[:TEXT_CHARS]
        texts.insert(0, shortened("its parent", parent.instruction, TEXT_CHARS, after=after))
    if answer is not None:
        texts.append(shortened("answer", answer.text, TEXT_CHARS, is_answer=True))
    left = [one for one in step.drops if one.stage is not Stage.EVOLVE]
    outcome = f"{left[-1].stage.value}: {left[-1].reason.value}" if left else "kept"
    verdicts = sorted({f"{one.check.value}: {one.kind}" for one in step.verdicts})
    facts = (
        ("round", str(task.round)),
        ("heuristic", task.heuristic or SEED_GROUP),
        ("language", task.language or "none named"),
        ("outcome", outcome),
        ("verdict", JOINT.join(verdicts) or "none"),
    )
    notes = (
        *(verdict_text(one, max_chars=EXAMPLE_CHARS) for one in step.verdicts),
        *(drop_text(one, max_chars=EXAMPLE_CHARS) for one in step.drops),
    )
    return ReportRecord(task.id, facts, tuple(texts), notes, is_paired=parent is not None)
