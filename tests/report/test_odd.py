"""Reports of what is odd: runs and evaluations that go on, are empty, small or long; comparisons."""

from pathlib import Path

import pytest

import small_run
from evolcoder.bench import registry
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.config.load import validate
from evolcoder.decontamination.similarity import MapPoint, RoundSimilarity, TaskSimilarity
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.records import Drop, Reason, Stage, Task
from evolcoder.report import cleaning, evaluation, loop, render, run
from evolcoder.report.charts import svg
from evolcoder.report.content import (
    Chart,
    ReportContent,
    ReportSection,
    ReportTable,
    Series,
    compared,
)
from evolcoder.report.similarity import similarity_sections
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel, why_empty
from report import samples


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(registry.BENCHES, "toy", samples.toy_bench)


def of_run(folder):
    with RunStore.read(samples.run(folder)) as store:
        return run.report_of(store, validate({}, where="test"))


def of_evaluation(folder, *, n_problems=4, n_samples=10, n_judged=None, kinds=("wrong", "error")):
    """An evaluation of a benchmark that extends another; every third sample passes."""
    with EvalStore.create(folder, {"model": "toy"}) as store:
        for at in range(n_problems * n_samples):
            place = f"H/{at // n_samples}", at % n_samples
            store.add_sample("humaneval+", Sample(*place, "x", PromptForm.ANSWER, None), "stop")
            if n_judged is None or at < n_judged:
                facts = {"kind": "passed" if at % 3 == 0 else kinds[at % len(kinds)]}
                store.add_verdict(
                    "humaneval+", StoredVerdict(*place, at % 3 == 0, at % 2 == 0, "fence", facts)
                )
    with EvalStore.read(folder) as store:
        return evaluation.report_of(store)


def of_cleaned(folder):
    folder.mkdir()
    return cleaning.report_of(samples.cleaned(folder), None)


def of_loop(folder):
    return loop.report_of(samples.loop(folder))


KINDS = [of_run, of_evaluation, of_cleaned, of_loop]


def numbers(row, keys):
    return {
        name: value
        for name, value in row.items()
        if name not in keys and isinstance(value, int | float)
    }


@pytest.mark.parametrize("make", KINDS)
def test_a_comparison_has_every_number_of_each_report(tmp_path, make):
    """No row takes the place of another: arms, detectors, outcomes and findings stay apart."""
    report = make(tmp_path / "made")
    joined = {one.name: one.table for one in compared([report, report]).sections}
    tables = {one.name: one.table for one in report.sections if one.table and one.table.keys}
    assert joined.keys() == {name for name, table in tables.items() if table.rows}
    for name, table in joined.items():
        keys = tables[name].keys
        wanted = [
            {key: row[key] for key in keys}
            | {f"{column} {letter}": value for column, value in numbers(row, keys).items()
               for letter in "AB"}
            for row in tables[name].as_plain()
        ]  # fmt: skip
        found = [{column: value for column, value in row.items()
                  if column in keys or value is not None} for row in table.as_plain()]  # fmt: skip
        assert found == wanted


def test_a_comparison_says_what_each_report_says():
    """Captions with numbers are those of both; one that is the same stands once."""

    def report(caption):
        table = ReportTable(("reason", "rows"), (("empty", 1),), ("reason",))
        sections = (ReportSection("x", "X", caption, table), ReportSection("y", "Y", "Why.", table))
        return ReportContent("", "", (), sections)

    joined = compared([report("2 of 3 rows."), report("3 of 4 rows.")])
    assert [one.caption for one in joined.sections] == ["A: 2 of 3 rows. B: 3 of 4 rows.", "Why."]


def test_figures_of_a_comparison_have_all_series_or_are_left_out(tmp_path):
    """Not the first benchmark alone, as if there were no other."""
    report = of_loop(tmp_path / "loop")
    charts = {one.name: one.chart for one in compared([report, report]).sections}
    (name,) = (one.name for one in report.sections if one.name.startswith("arms-"))
    assert [one.name for one in charts[name].series] == [
        f"{letter}: {bench}" for letter in "AB" for bench in ("humaneval+", "humaneval-js")
    ]
    four = compared([report] * 4)
    assert next(one for one in four.sections if one.name == name).chart is None


def test_the_funnel_of_many_rounds_is_drawn_over_rounds(tmp_path):
    """Bars of few rounds have their reasons, of many rounds a line shows what each stage kept."""
    pools = (5, *(5,) * 40)
    with RunStore.read(stored(tmp_path / "run", *SEEDS, FAILED, meta=READ, pools=pools)) as store:
        lines = funnel(store)
        section = run.report_of(store, validate({}, where="test")).sections[0]
    assert section.chart.kind == "lines"
    assert len(section.chart.categories) == 41
    assert {one.name for one in section.chart.series} == {line.stage.value for line in lines}
    assert len(section.table.rows) == len(lines) > 41
    with RunStore.read(stored(tmp_path / "few", *SEEDS, FAILED, meta=READ, pools=(5, 5))) as store:
        section = run.report_of(store, validate({}, where="test")).sections[0]
    parts = {one.name: one.values for one in section.chart.series}
    assert sum(parts["empty"]) == 1.0
    for at, row in enumerate(section.table.rows):
        assert sum(values[at] for values in parts.values()) == row[2]


def test_the_map_of_many_rounds_puts_them_together():
    """Each group has a look of its own, every point is in one, and the table has every round."""
    points = [MapPoint("round 0", "s", 0.0, 0.0), MapPoint("toy", "p", 1.0, 1.0)]
    points += [MapPoint(f"round {n}", f"r{n}", float(n), 0.0) for n in range(1, 41)]
    line = RoundSimilarity("toy", 0, 1, 1, 0.1, 0.1, 0.1, 0.1, None, None, None, 0, 0)
    found = TaskSimilarity({}, (line,), (), (), tuple(points), 0.5)
    *_, section = similarity_sections(Path("run"), found, is_old=False)
    assert section.name == "map"
    assert len(section.table.rows) == 42
    names = [one.name for one in section.chart.series]
    assert names[:3] == ["seeds", "toy", "rounds 1 to 5"]
    assert len(names) == 2 + 8
    assert sum(len(one.values) for one in section.chart.series) == len(points)


def stored(folder, *records, meta=None, pools=()):
    with RunStore.create(folder, validate({}, where="test")) as store:
        for record in records:
            store.add(record)
        for key, value in (meta or {}).items():
            store.set_meta(key, value)
        for round, pool in enumerate(pools):
            store.open_round(round, pool)
    return folder


SEEDS = [Task.seed(f"Sort list {n}.", ordinal=n, language=None) for n in range(5)]
READ = {"seeds": {"source": "x", "format": "alpaca", "n_rows": 5, "n_answers": 0}}
FAILED = Drop(Stage.EVOLVE, Reason.EMPTY, SEEDS[0].id, 1, 0, "deepen", "", "nothing came", None)
CASES = {
    "nothing was read": ((), {}, (), "No row was kept: nothing was dropped, so there"),
    "seeds were read": (SEEDS, READ, (5,), "No row was kept yet, 5 records wait."),
    "a round goes on": ((*SEEDS, FAILED), READ, (5, 5),
                        "No row was kept yet, 9 records wait; dropped: evolve empty 1; most"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_run_without_rows_says_what_waits_and_every_section_says_something(tmp_path, case):
    """A run that goes on has not nothing to do; a section without numbers has a line."""
    records, meta, pools, said = CASES[case]
    with RunStore.read(stored(tmp_path / "run", *records, meta=meta, pools=pools)) as store:
        report = run.report_of(store, validate({}, where="test"))
        assert report.summary.startswith(said)
        assert why_empty(store)[1:] == report.summary[1:-1]
    assert [
        one.name for one in report.sections
        if not (one.table and one.table.rows) and not one.notes and not one.records
    ] == []  # fmt: skip
    assert render.html(report).count("<section") == len(report.sections)


def test_cleaning_and_checks_without_a_result_say_so(tmp_path):
    """A cleaning that dropped nothing, checks before their first verdict."""
    meta = {**READ, "clean": small_run.FACTS["clean"], "verify": small_run.FACTS["verify"]}
    with RunStore.read(stored(tmp_path / "run", *SEEDS, meta=meta, pools=(5,))) as store:
        found = run.report_of(store, validate({}, where="test")).as_plain()["sections"]
    assert found["cleaning"]["notes"][0] == "nothing was dropped"
    assert found["verdicts"]["notes"] == ["no answer has a verdict yet"]


def test_one_problem_has_no_interval(tmp_path):
    """It says nothing of other problems, and the report says that."""
    report = of_evaluation(tmp_path / "one", n_problems=1, n_samples=1)
    scores = report.as_plain()["sections"]["scores"]
    assert [(one["checks"], one["from"], one["to"]) for one in scores["rows"]] == [
        ("all", None, None), ("original", None, None),
    ]  # fmt: skip
    assert "has no interval" in scores["notes"][0]
    assert "<svg" in svg(next(one.chart for one in report.sections if one.name == "scores"))


def test_an_evaluation_has_each_k_that_its_samples_allow(tmp_path):
    """With all checks and with the original ones, as `eval` counts them."""
    found = of_evaluation(tmp_path / "made").as_plain()["sections"]["scores"]["rows"]
    assert [(one["checks"], one["k"]) for one in found] == [
        (checks, k) for checks in ("all", "original") for k in (1, 5, 10)
    ]
    assert {one["language"] for one in found} == {"python"}
    assert found[0]["pass@k"] == 35.0  # 14 of 40
    assert found[3]["pass@k"] == 50.0


@pytest.mark.parametrize(
    ("n_judged", "said"),
    [(0, "40 samples have no verdict"), (15, "25 samples have no verdict"), (None, "")],
)
def test_an_evaluation_that_goes_on_says_what_it_lacks(tmp_path, n_judged, said):
    """Scores are of what was judged so far."""
    report = of_evaluation(tmp_path / "made", n_judged=n_judged)
    notes = report.as_plain()["sections"]["scores"]["notes"]
    assert [one for one in notes if "no verdict" in one] == [
        f"{said}; the same evolcoder eval goes on"
    ] * bool(said)
    assert f"{40 if n_judged is None else n_judged} of 40" in report.summary


def test_bars_of_findings_add_up_to_all_samples(tmp_path):
    """Findings without a colour of their own share a part."""
    report = of_evaluation(tmp_path / "made", kinds="abcdefgh")
    chart = next(one.chart for one in report.sections if one.name == "findings")
    assert sum(one.values[0] for one in chart.series) == 40
    assert len(chart.series) == 6
    assert chart.series[-1].name == "other findings"


@pytest.mark.parametrize("is_narrow", [False, True])
def test_a_long_name_takes_three_lines_of_a_figure(is_narrow):
    """Rows keep a common height; the table has the whole name."""
    name = " ".join(f"word{n}" for n in range(60))
    drawn = svg(
        Chart("stacked", (name, "b"), (Series("n", (1.0, 2.0)),), "rows"), is_narrow=is_narrow
    )
    assert "word0" in drawn
    assert "word59" not in drawn
    assert "…" in drawn
