"""Throughput over time: what is recorded as answers come, and the section that shows it."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from sqlite3 import connect

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toys
from all_tables import tables_of
from evolcoder.cli.main import main
from evolcoder.records import NO_PURPOSE, TokenCounts
from evolcoder.report import render
from evolcoder.report.content import compared
from evolcoder.report.run import report_of
from evolcoder.report.throughput import MAX_POINTS, throughput_section
from evolcoder.storage.run_store import RunStore, ThroughputSpan
from evolcoder.storage.run_tables import MIGRATIONS, SPAN_S
from evolcoder.storage.sqlite_files import migrate
from loopback import Loopback, in_thread
from report import samples
from small_run import contents


class Clock:
    """The time that is recorded."""

    def __init__(self, monkeypatch):
        self.now = 1_700_000_003.5
        monkeypatch.setattr(time, "time", lambda: self.now)

    def answer(self, store, *tokens, after=0.0):
        self.now += after
        store.add_call("toy", TokenCounts(*tokens), NO_PURPOSE)


def spans_of(store):
    store.db.flush()
    return [(one.session, one.begun, one.requests, one.sent, one.received)
            for one in store.throughput()]  # fmt: skip


def test_answers_are_counted_by_session_and_by_ten_seconds(tmp_path, monkeypatch):
    """Whatever their number; times without an answer have no row, and so has a reader."""
    clock = Clock(monkeypatch)
    with RunStore.create(tmp_path / "run", toys.config()) as store:
        for _ in range(500):
            clock.answer(store, 2, 3)
        clock.answer(store, 10, 20, after=7)
        clock.answer(store, 1, 1, after=30)
        first = [
            (1_700_000_000, 1_700_000_000, 500, 1000, 1500),
            (1_700_000_000, 1_700_000_010, 1, 10, 20),
            (1_700_000_000, 1_700_000_040, 1, 1, 1),
        ]
        assert spans_of(store) == first
    with RunStore.create(tmp_path / "run", toys.config()) as store:
        clock.answer(store, 5, 6, after=3_000)
        clock.answer(store, 5, 6)
    with RunStore.read(tmp_path / "run") as store:
        assert spans_of(store) == [*first, (1_700_003_040, 1_700_003_040, 2, 10, 12)]
        assert store.calls_by_model() == {"toy": (504, 1021, 1533)}


def test_comparisons_of_all_tables_leave_out_when_answers_came(tmp_path, monkeypatch):
    """Two runs that asked for the same have the same sums, and one more answer is a difference."""
    clock, found = Clock(monkeypatch), []
    for name, pauses in (("a", (0, 0, 0)), ("b", (0, 30, 8)), ("c", (0, 0, 0, 0))):
        with RunStore.create(tmp_path / name, toys.config()) as store:
            for after in pauses:
                clock.answer(store, 2, 3, after=after)
            store.db.flush()
            n_rows = len(spans_of(store))
        found.append((n_rows, tables_of(tmp_path / name)["throughput"]))
    assert found == [(1, [(3, 6, 9)]), (3, [(3, 6, 9)]), (1, [(4, 8, 12)])]


def test_a_clock_that_is_set_back_loses_nothing(tmp_path, monkeypatch):
    """What comes in a span that was left is added to it."""
    clock = Clock(monkeypatch)
    with RunStore.create(tmp_path / "run", toys.config()) as store:
        for after in (0, 25, -25, -40):
            clock.answer(store, 1, 1, after=after)
        assert [(begun - 1_700_000_000, n) for _, begun, n, *_ in spans_of(store)] == [
            (-40, 1), (0, 2), (20, 1),
        ]  # fmt: skip
        (section,) = sections(store)
    assert [row[2] for row in section.table.rows] == [1, 0, 0, 0, 2, 0, 1]


def run(folder, url):
    """Run the command in a process of its own."""
    seeds = toys.seeds_file(folder / "seeds.jsonl", 6)
    command = [
        "run",
        "--seeds",
        seeds.name,
        "--model",
        f"{url}#toy",
        "--rounds",
        "1",
        "--style",
        "append",
    ]
    options = ["--out", "run", "--cache", "cache.db"]
    done = subprocess.run(
        [sys.executable, "-m", "evolcoder", *command, *options],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "EVOLCODER_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_run_records_its_requests_and_none_from_the_cache(tmp_path):
    """Its sums are those of the requests; a run of the same from the cache has no throughput."""
    with in_thread(Loopback(answer=toys.answer)) as server:
        run(tmp_path, server.base_url)
        n_asked = len(server.calls)
        with RunStore.read(tmp_path / "run") as store:
            spans, calls = spans_of(store), store.calls_by_model()
        assert tuple(map(sum, zip(*(one[2:] for one in spans), strict=True))) == calls["toy"]
        run(tmp_path, server.base_url)  # it is complete
        with RunStore.read(tmp_path / "run") as store:
            assert spans_of(store) == spans
        (tmp_path / "run").rename(tmp_path / "before")
        run(tmp_path, server.base_url)
        assert len(server.calls) == n_asked
    with RunStore.read(tmp_path / "run") as store:
        assert store.n_kept() > 6
        assert spans_of(store) == []
        assert "all answers came from the cache" in sections(store)[0].notes[0]


def sections(*stores):
    return [
        next(one for one in report_of(store, toys.config()).sections if one.name == "throughput")
        for store in stores
    ]


def section_of(*sessions, more=0):
    """The section of sessions: begin, and numbers of requests by 10 s."""
    spans = [
        ThroughputSpan(begun, begun + SPAN_S * at, n, 300 * n, 200 * n)
        for begun, counts in sessions for at, n in enumerate(counts) if n
    ]  # fmt: skip
    return throughput_section(spans, more + sum(span.requests for span in spans))


def test_rates_are_those_of_the_time_in_which_the_run_was_at_work():
    """An idle time within a session is a zero; a pause between sessions is left out, and named."""
    found = section_of((1_000, [6, 0, 0, 12]), (90_000, [3, 3, 3]))
    assert found.table.as_plain() == [
        {"from s": 10 * at, "to s": 10 * at + 10, "requests": n, "requests/min": 6.0 * n,
         "sent/s": 30.0 * n, "received/s": 20.0 * n}
        for at, n in enumerate([6, 0, 0, 12, 3, 3, 3])
    ]  # fmt: skip
    requests, sent, received = found.chart.series
    assert requests.values == (36.0, 0.0, 0.0, 72.0, 18.0, 18.0, 18.0)
    assert (sent.values[3], received.values[3]) == (360.0, 240.0)
    assert found.chart.categories == ("0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00")
    assert any("a pause between sessions, 1 d in all, left out" in one for one in found.notes)
    assert not any("pause" in one for one in section_of((1_000, [1] * 7)).notes)


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.lists(st.integers(0, 9), min_size=1)), min_size=1),
    st.integers(0, 2**50),
)
def test_points_hold_every_request_and_are_few(sessions, far):
    """For any length, also one that no run has: they follow each other and their last is shorter."""
    spans = [
        ThroughputSpan(1 + at, begun // 10 * 10 + SPAN_S * n, count, 7 * count, count)
        for at, (begun, counts) in enumerate(sessions)
        for n, count in enumerate([1, *counts, 1]) if count
    ]  # fmt: skip
    spans.append(ThroughputSpan(len(sessions), spans[-1].begun + 10 + far // 10 * 10, 1, 7, 1))
    n = sum(one.requests for one in spans)
    found = throughput_section(spans, n)
    if found.table is None:
        assert "too short" in found.notes[-1]
        return
    rows = found.table.as_plain()
    assert 6 <= len(rows) <= MAX_POINTS
    assert sum(row["requests"] for row in rows) == n
    assert rows[0]["from s"] == 0
    ends = [row["to s"] for row in rows]
    assert [row["from s"] for row in rows[1:]] == ends[:-1]
    widths = [row["to s"] - row["from s"] for row in rows]
    assert len(set(widths[:-1])) == 1
    assert 0 < widths[-1] <= widths[0]
    assert len(found.chart.categories) == len(rows)
    for row, width in zip(rows, widths, strict=True):
        assert row["sent/s"] == pytest.approx(7 * row["requests"] / width, abs=0.001)


@pytest.mark.parametrize(
    ("n_spans", "step", "last"),
    [(60, "10 s", "9:50"), (61, "20 s", "10:00"), (360, "1 min", "0:59"), (361, "2 min", "1:00"),
     (6 * 60 * 30, "30 min", "29:30"), (6 * 60 * 24 * 60, "1 d", "1,416:00"),
     (6 * 60 * 24 * 61, "2 d", "1,440:00")],
)  # fmt: skip
def test_the_step_grows_with_the_run_and_is_named(n_spans, step, last):
    """In minutes and seconds, or in hours and minutes where a step has no seconds."""
    found = section_of((0, [1, *([0] * (n_spans - 2)), 1]))
    assert f"over the run's own time in steps of {step}; " in found.caption
    assert found.chart.categories[-1] == last
    unit = "minutes:seconds" if step.endswith(" s") else "hours:minutes"
    assert found.chart.across == f"time of the run, {unit}"


@pytest.mark.parametrize(
    ("sessions", "more", "note"),
    [
        ([], 0, "no request of this run was answered, or all answers came from the cache"),
        ([], 3, "the times of 3 of 3 requests are not stored"),
        ([(0, [4, 0, 1])], 0, "its answers arrived within 30 s, and a figure takes 60 s"),
        ([(0, [4]), (500, [4])], 0, "its answers arrived within 20 s"),
    ],
)
def test_a_run_without_enough_of_it_says_so(sessions, more, note):
    """In a sentence, without a figure."""
    found = section_of(*sessions, more=more)
    assert len(found.notes) == 1
    assert note in found.notes[0]
    assert found.chart is found.table is None


def test_requests_without_a_time_are_counted():
    """A run that an earlier version began shows what it knows, and how much that is."""
    found = section_of((0, [5] * 8), more=160)
    assert found.notes[0].startswith("the times of 160 of 200 requests are not stored")
    assert sum(row["requests"] for row in found.table.as_plain()) == 40


def test_a_run_of_an_earlier_version_is_shown_and_gets_the_table(tmp_path, capsys):
    """Read from a copy it is left as it is; gone on with, it records."""
    folder = tmp_path / "run"
    folder.mkdir()
    with closing(connect(folder / "run.db", isolation_level=None)) as old:
        later = next(n for n, sql in enumerate(MIGRATIONS) if "CREATE TABLE throughput" in sql)
        migrate(old, MIGRATIONS[:later], 0)
        old.execute("INSERT INTO calls VALUES ('toy', 10, 20, '', '')")
        old.execute("INSERT INTO meta VALUES ('seeds', ?)", (json.dumps(
            {"source": "x", "format": "alpaca", "n_rows": 1}),))  # fmt: skip
    before = contents(folder)
    with RunStore.read(folder) as store:
        assert spans_of(store) == []
    assert contents(folder) == before
    with RunStore.create(folder, toys.config()) as store:
        assert "of 1 of 1 requests are not stored" in sections(store)[0].notes[0]
        store.add_call("toy", TokenCounts(1, 1))
        assert [one[2:] for one in spans_of(store)] == [(1, 1, 1)]
        assert sections(store)[0].notes[0].startswith("the times of 1 of 2 requests")
    for form in ("--json", "--markdown"):
        assert main(["report", str(folder), form]) == 0
        assert "the times of 1 of 2 requests are not stored" in capsys.readouterr().out


def test_page_markdown_and_json_have_the_same_numbers(tmp_path, capsys):
    """The page has a figure of each width, and its table one click away."""
    folder = samples.run(tmp_path / "run")
    assert main(["report", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["sections"]["throughput"]["rows"]
    assert [row["requests"] for row in rows] == samples.COUNTS
    assert main(["report", str(folder), "--markdown"]) == 0
    lines = capsys.readouterr().out.split("## Throughput\n")[1].split("\n## ")[0].splitlines()
    assert [line.split(" | ")[2] for line in lines if line.startswith("| ")][2:] == [
        str(n) for n in samples.COUNTS
    ]
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    part = page.split('id="throughput"')[1].split("</section>")[0]
    assert part.count("data:image/svg+xml") == 2
    assert "<details" in part
    assert "<details open" not in part


def test_two_runs_are_drawn_together_where_their_steps_are_the_same(tmp_path):
    """Points of 10 s and of 20 s next to each other would have no scale."""
    config, found = toys.config(), {}
    for name, n in (("a", 30), ("b", 50), ("c", 70)):
        with RunStore.create(tmp_path / name, config) as store:
            samples.add_spans(store, [1] * n)
            found[name] = report_of(store, config)

    def drawn(*names):
        both = compared([found[name] for name in names])
        return next(one for one in both.sections if one.name == "throughput")

    one_scale, two = drawn("a", "b"), drawn("a", "c")
    assert len(one_scale.chart.categories) == 50
    assert one_scale.chart.series[0].values[30:] == (None,) * 20
    assert [one.name for one in one_scale.chart.series][:2] == ["A: requests", "A: tokens sent"]
    assert two.chart is None
    assert {"requests/min A", "requests/min B"} < set(two.table.columns)
    assert render.html(compared([found["a"], found["b"]])).count("<img") >= 1
