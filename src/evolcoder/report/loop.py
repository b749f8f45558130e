"""Collects the report of a loop: dev scores and the decision, arms against controls, scores, steps.

Takes a loop's folder or its results folder. Everything is computed from stored verdicts, as in the
loop's own tables; nothing is graded again. Similarity is shown of runs that have it stored.

>>> report_of(Path("results/h200")).title   # doctest: +SKIP
'Loop h200'
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evolcoder.bench.scores import score, wilson
from evolcoder.decontamination.similarity import TaskSimilarity
from evolcoder.experiment import results
from evolcoder.experiment.config import merge
from evolcoder.experiment.results import FACTS, StoredSample
from evolcoder.experiment.store import DB_NAME as LOOP_DB
from evolcoder.experiment.store import LoopStore
from evolcoder.experiment.tables import BySeed, Resampler, Table, TableCell
from evolcoder.report.content import (
    Cell,
    Chart,
    ReportContent,
    ReportSection,
    ReportTable,
    Series,
)
from evolcoder.report.evaluation import KS, language_of
from evolcoder.report.similarity import similarity_sections
from evolcoder.storage.run_store import DB_NAME as RUN_DB
from evolcoder.storage.run_store import RunStore

Samples = Mapping[str, Sequence[StoredSample]]
"""Benchmark -> stored samples."""
SCORED_ARMS = 12
"""Most arms in the figure of scores."""


def is_loop(path: Path) -> bool:
    """Whether a folder is that of a loop, or its results folder."""
    return any(os.path.lexists(path / name) for name in (LOOP_DB, FACTS))


def results_folder(path: Path) -> Path:
    """Return the results folder of a loop, which may be the given one."""
    return path if (path / FACTS).is_file() else path / "results"


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files whose change changes the report of a loop."""
    return results_folder(path) / FACTS, path / LOOP_DB, path / f"{LOOP_DB}-wal"


def report_of(path: Path) -> ReportContent:
    """Collect the report of a loop, of its steps alone while it has no results.

    BenchError if results are damaged, RunFolderError if there is neither.
    """
    folder = results_folder(path)
    if not (folder / FACTS).is_file():
        return _unfinished(path)
    facts = results.facts(folder)
    samples = {bench: list(results.samples(folder, bench)) for bench in results.benches(folder)}
    tests = [bench for bench in facts["config"]["tests"] if bench in samples]
    tables = results.tables_of(folder, {bench: samples[bench] for bench in tests})
    decision = facts.get("decision")
    n_models = len(facts["trainings"])
    return ReportContent(
        title=f"Loop {path.resolve().name}",
        summary=_summary(decision, n_models),
        facts=tuple(_facts(facts)),
        sections=(
            _rounds_section(facts, samples),
            *_forest_sections(tables, path),
            _scores_section(facts, samples, tests),
            _data_section(facts),
            *_steps_section(facts),
            *_similarity_of_runs(path),
        ),
    )


def _unfinished(path: Path) -> ReportContent:
    """Collect the report of a loop whose results are not written yet: its steps."""
    with LoopStore.read(path) as store:
        steps = [asdict(step) for step in store.steps()]
    last = f" The last was {steps[-1]['kind']} {steps[-1]['name']}." if steps else ""
    return ReportContent(
        title=f"Loop {path.resolve().name}",
        summary=f"{len(steps):,} steps are done; there are no results yet.{last}",
        facts=(),
        sections=(*_steps_section({"steps": steps}), *_similarity_of_runs(path)),
    )


def _summary(decision: Mapping[str, Any] | None, n_models: int) -> str:
    models = f"{n_models:,} models were trained or asked."
    if decision is None:
        return f"{models} There is no decision: the loop has no dev set, or nothing was graded."
    ended = "ended evolution" if decision["stop"] else "did not end evolution"
    return f"{models} Evol Stop {ended}: the best round is {decision['best']}."


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config = facts["config"]
    student = config.get("student") or {}
    yield "student", str(student.get("name") or student.get("path") or "")
    yield "tests", ", ".join(config["tests"])
    yield "dev set", str(config["dev"]["bench"] or "none")
    ask = config.get("ask") or {}
    names = ("template", "n", "temperature", "top_p", "max_tokens")
    yield "asked", ", ".join(f"{name} {ask[name]}" for name in names if name in ask)
    versions = facts.get("versions") or {}
    yield "versions", ", ".join(f"{name} {value}" for name, value in versions.items())
    yield "left out", ", ".join(map(str, facts.get("skipped") or ()))


def _rounds_section(facts: Mapping[str, Any], samples: Samples) -> ReportSection:
    """Show the dev score of each round with its interval, and what Evol Stop found."""
    decision = facts.get("decision")
    if not decision:
        return ReportSection(
            "rounds",
            "Rounds on the dev set",
            "No round was scored on a dev set.",
            notes=("evolcoder loop CONFIG with dev.bench scores and decides",),
        )
    intervals = _dev_intervals(facts, samples)
    rows: list[tuple[Cell, ...]] = []
    for one in decision["judgements"]:
        value = 100 * one["score"]
        low, high = intervals.get(one["round"], (None, None))
        rows.append((one["round"], round(value, 1), low, high, one["standing"],
                     round(100 * one["change"], 1), one["beside"], round(one["p_value"], 4),
                     one["test"]))  # fmt: skip
    columns = ("round", "pass@1", "from", "to", "decision", "change", "compared with round",
               "p-value", "test")  # fmt: skip
    best = decision["best"]
    names = tuple(f"round {row[0]}{', best' if row[0] == best else ''}" for row in rows)
    values, low_ends, high_ends = (
        tuple(None if row[at] is None else float(row[at] or 0) for row in rows) for at in (1, 2, 3)
    )
    kept = "stops evolution" if decision["stop"] else "does not stop evolution"
    return ReportSection(
        "rounds",
        "Rounds on the dev set",
        f"pass@1 in per cent on {facts.get('n_dev', 0):,} dev problems of a student trained on the "
        f"seeds and all rounds so far, with its 95 % interval; Evol Stop {kept}.",
        ReportTable(columns, tuple(rows), ("round",)),
        Chart("lines", names, (Series("dev set", values, low_ends, high_ends),), "pass@1, %",
              has_zero=False),
        notes=tuple(str(one["reason"]) for one in decision["judgements"]),
        is_open=True,
    )  # fmt: skip


def _dev_intervals(
    facts: Mapping[str, Any], samples: Samples
) -> dict[int, tuple[float | None, float | None]]:
    """Return the 95 % interval of each round's dev score, in per cent.

    Over problems and training seeds where the samples are those that were decided on. A dev set may
    leave out problems of tests, which results do not name: then Wilson's, over problems alone.
    """
    n_dev = int(facts.get("n_dev") or 0)
    dev = [name.strip() for name in (facts["config"]["dev"]["bench"] or "").split(",")]
    kept = {name: samples[name] for name in dev if name in samples}
    entries = {one.arm: one for one in results.entries(results.trainings(facts), kept)}
    found: dict[int, tuple[float | None, float | None]] = {}
    for one in facts["decision"]["judgements"]:
        round, arm = one["round"], entries.get(str(merge(one["round"])))
        outcomes = arm.outcomes.get(dev[0]) if arm and len(dev) == 1 else None
        problems = sorted(next(iter(outcomes.values()))) if outcomes else []
        if outcomes and len(problems) == n_dev:
            estimate = Resampler(problems, seed=facts["config"]["run"]["seed"]).estimate(
                str(merge(round)), outcomes
            )
            found[round] = _percent(estimate.low), _percent(estimate.high)
        elif n_dev:
            interval = wilson(one["score"] * n_dev, n_dev)
            found[round] = _percent(interval.low), _percent(interval.high)
    return found


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _forest_sections(tables: Sequence[Table], path: Path) -> Iterator[ReportSection]:
    """Show each question's arms against their controls, as paired differences."""
    if not tables:
        yield ReportSection(
            "arms",
            "Arms against controls",
            "No arm has a control, so there is no difference to show.",
            notes=(f"evolcoder loop CONFIG --out {path} with further arms trains them",),
        )
    for table in tables:
        yield _forest(table)


def _forest(table: Table) -> ReportSection:
    rows: list[tuple[Cell, ...]] = []
    for line in table.lines:
        for bench, cell in line.cells.items():
            rows.append((line.arm, line.control, bench, line.n_rows, line.n_tokens, *_cell(cell)))
    compared = [row for row in rows if row[-1] is not None]
    arms = tuple(dict.fromkeys(str(row[0]) for row in compared))
    series = []
    for bench in table.benches:
        by_arm = {row[0]: row for row in compared if row[2] == bench}
        values, lows, highs = (
            tuple(_number(by_arm[arm][at]) if arm in by_arm else None for arm in arms)
            for at in (9, 10, 11)
        )
        series.append(Series(bench, values, lows, highs))
    columns = ("arm", "control", "benchmark", "rows", "tokens", "pass@1", "from", "to", "seeds",
               "difference", "difference from", "difference to", "p-value")  # fmt: skip
    return ReportSection(
        f"arms-{table.question.name}",
        table.question.title,
        "Difference of each arm to its control in points of pass@1, paired by problem, with its "
        "95 % interval over problems and training seeds; an interval that holds 0 proves nothing.",
        ReportTable(columns, tuple(rows), ("arm", "control", "benchmark")),
        Chart("points", arms, tuple(series), "difference to the control, points") if arms else None,
    )


def _cell(cell: TableCell) -> tuple[Cell, ...]:
    estimate, found = cell.estimate, cell.difference
    scores = (_percent(estimate.value), _percent(estimate.low), _percent(estimate.high),
              estimate.n_seeds)  # fmt: skip
    if found is None:
        return (*scores, None, None, None, None)
    ends = (_percent(found.value), _percent(found.low), _percent(found.high))
    return (*scores, *ends, round(found.p_value, 4))


def _scores_section(
    facts: Mapping[str, Any], samples: Samples, tests: Sequence[str]
) -> ReportSection:
    """Show pass@k of every arm by benchmark and language."""
    entries = results.entries(results.trainings(facts), {name: samples[name] for name in tests})
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        for bench, by_seed in entry.outcomes.items():
            outcomes = _pooled(by_seed)
            n_samples = min(map(len, next(iter(by_seed.values())).values()))
            for k in [k for k in KS if k <= n_samples]:
                found = score(outcomes, bench=bench, k=k)
                ends = (found.interval.low, found.interval.high) if found.interval else (None, None)
                low, high = (None if end is None else _percent(end) for end in ends)
                rows.append((entry.arm, bench, language_of(bench), k, found.n_problems,
                             len(by_seed), _percent(found.value), low, high))  # fmt: skip
    first = [row for row in rows if row[3] == 1]
    arms = list(dict.fromkeys(str(row[0]) for row in first))[:SCORED_ARMS]
    series = []
    for bench in dict.fromkeys(str(row[1]) for row in first):
        mine = {row[0]: row for row in first if row[1] == bench}
        values, low_ends, high_ends = (
            tuple(_number(mine[arm][at]) if arm in mine else None for arm in arms)
            for at in (6, 7, 8)
        )
        series.append(Series(bench, values, low_ends, high_ends))
    shown = f"; the figure shows the first {len(arms)} arms" if len(arms) == SCORED_ARMS else ""
    columns = ("arm", "benchmark", "language", "k", "problems", "training seeds", "pass@k", "from",
               "to")  # fmt: skip
    return ReportSection(
        "scores",
        "Scores by benchmark and language",
        "pass@k in per cent with its 95 % interval over problems, samples of all training seeds "
        f"pooled{shown}.",
        ReportTable(columns, tuple(rows), ("arm", "benchmark", "language", "k")),
        Chart("points", tuple(arms), tuple(series), "pass@1, %") if arms else None,
    )


def _number(value: Cell) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _pooled(by_seed: BySeed) -> dict[str, list[bool]]:
    """Join the samples of all training seeds by problem."""
    found: dict[str, list[bool]] = {}
    for outcomes in by_seed.values():
        for problem, passed in outcomes.items():
            found.setdefault(problem, []).extend(passed)
    return found


def _data_section(facts: Mapping[str, Any]) -> ReportSection:
    models = results.trainings(facts)
    rows = tuple(
        (one.arm, one.seed, one.n_rows, one.n_tokens, one.steps, one.key[:12]) for one in models
    )
    return ReportSection(
        "models",
        "Models",
        "What each model was trained on; steps are given where an arm is matched by them.",
        ReportTable(
            ("arm", "training seed", "rows", "answer tokens", "steps", "model"),
            rows,
            ("arm", "training seed"),
        ),
    )


def _steps_section(facts: Mapping[str, Any]) -> Iterator[ReportSection]:
    """Add up the seconds of the loop's steps by kind."""
    spent: dict[str, list[float]] = {}
    for one in facts.get("steps") or ():
        spent.setdefault(str(one["kind"]), []).append(float(one["seconds"]))
    if spent:
        rows = tuple(
            (kind, len(values), round(sum(values), 1), round(max(values), 1))
            for kind, values in spent.items()
        )
        yield ReportSection(
            "steps",
            "Time",
            "Seconds of the loop's steps by kind, over all sessions; steps in the background run "
            "at the same time as others.",
            ReportTable(("step", "times", "seconds", "longest"), rows, ("step",)),
        )


def _with_tasks(run: Path, found: TaskSimilarity) -> list[ReportSection]:
    """Return the sections of a run's similarity, with the texts of tasks if it can be read."""
    if not (run / RUN_DB).is_file():
        return list(similarity_sections(run, found, is_old=False))
    with RunStore.read(run) as store:

        def task_of(id: str) -> str:
            task = store.task(id)
            return task.instruction if task else ""

        return list(similarity_sections(run, found, is_old=False, task_of=task_of))


def _similarity_of_runs(path: Path) -> Iterator[ReportSection]:
    """Show the stored similarity of the loop's runs, or how it is made."""
    runs = sorted(one for one in path.glob("run-*") if one.is_dir())
    stored = [(run, found) for run in runs if (found := TaskSimilarity.read(run)) is not None]
    if not stored:
        run = runs[0] if runs else path / "run-main"
        yield from similarity_sections(run, None, is_old=False)
    for run, found in stored:
        for section in _with_tasks(run, found):
            yield replace(
                section, name=f"{run.name}-{section.name}", title=f"{section.title}: {run.name}"
            )
