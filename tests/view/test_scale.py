"""What a page reads does not grow with a run: no table is scanned or sorted, and searches end."""

import re
import sqlite3
import threading
from contextlib import closing
from urllib.parse import urlencode

import pytest

from evolcoder.evaluation.store import EvalStore
from evolcoder.records import (
    SEED_GROUP,
    Check,
    CheckResult,
    Drop,
    Reason,
    Response,
    Stage,
    Task,
    Usage,
)
from evolcoder.view import index, latest
from evolcoder.view.live import LiveCounts
from evolcoder.view.samples import Evaluation
from viewer_client import Shown, ids_of, make_evaluations, make_run

MADE = Usage("scripted#toy", 1, 1, 1)
SMALL = ("json_each", "found", "f", "page", "main.texts_config", "sqlite_master", "texts")
"""Tables with what a page asks for, a line for each round or benchmark, or settings; and words,
which are looked up."""
OF_ONE_ROW = ("ordinal=?", "task=?", "round=? AND ordinal=?")
"""Searches that find what belongs to one row: sorting that is cheap."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(latest, "WAIT_S", 60.0)


@pytest.fixture
def asked(monkeypatch):
    """Collect the statements of pages, by file; those of counting threads are left out."""
    found, real = {}, sqlite3.connect

    def connect(*args, **more):
        connection = real(*args, **more)
        name = threading.current_thread().name
        if "_run" not in name and not name.startswith("index:"):
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            connection.set_trace_callback(lambda sql: found.setdefault(path, set()).add(sql))
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    yield found
    monkeypatch.setattr(sqlite3, "connect", real)


def plans(asked):
    """Yield each statement with its plan."""
    for path, statements in asked.items():
        with closing(sqlite3.connect(path)) as connection:
            for sql in statements:
                if sql.lstrip().upper().startswith(("SELECT", "WITH")):
                    lines = connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
                    yield sql, [line[-1] for line in lines]


def faults(asked):
    """Return what grows with the tables: scans, and sorting of more than one row's records."""
    return [
        (line, sql)
        for sql, plan in plans(asked)
        for line in plan
        if (line.startswith("SCAN") and line.split()[1] not in SMALL and "CONSTANT" not in line)
        or ("TEMP B-TREE" in line and not any(one in str(plan) for one in OF_ONE_ROW))
    ]


def test_no_page_of_a_run_scans_or_sorts_a_table(tmp_path, asked):
    """Every statement of every page, with every kind of filter, is a search in an index."""
    shown = Shown(make_run(tmp_path / "run"), tmp_path / "index")
    asked.clear()
    run = shown.run
    row = re.findall(r"/row/(\w+)", shown.page(f"{run}/rows?round=1"))[0]
    for query in (
        {}, {"after": 5}, {"before": 1 << 40}, {"round": 1}, {"heuristic": SEED_GROUP},
        {"language": "python", "outcome": "kept"}, {"outcome": "dropped"},
        {"verdict": "runs: passed"}, {"verdict": "runs: passed", "heuristic": SEED_GROUP},
        {"query": "the"}, {"query": '"the list" of', "language": "python"},
        {"marked": "flagged"}, {"marked": "not flagged"}, {"query": "list", "verdict": "runs: x"},
    ):  # fmt: skip
        shown.page(f"{run}/rows?{urlencode(query)}")
        shown.page(f"{run}/rows.jsonl?{urlencode(query)}")
    for address in ("/", "/live", run, f"{run}/live", f"{run}/row/{row}", f"{run}/drops",
                    f"{run}/row/{row}/text/task", f"{run}/drops?what=respond:+refusal"):  # fmt: skip
        shown.page(address)
    assert len(asked) == 2
    assert sum(map(len, asked.values())) > 40
    assert faults(asked) == []


def test_no_page_of_an_evaluation_scans_or_sorts_a_table(tmp_path, asked, monkeypatch):
    """Counts come from a thread; while they are made, a list reads the problems of its page."""
    make_evaluations(tmp_path / "evals")
    shown = Shown(tmp_path / "evals", tmp_path / "index")
    asked.clear()
    first, second = shown.viewer.evaluations
    both = f"a={first}&b={second}&bench=humaneval"
    problems = f"/evaluation/{first}/problems?bench=humaneval"
    addresses = (
        "/", f"/evaluation/{first}", f"/evaluation/{first}/live", problems,
        f"{problems}&outcome=some+passed", f"{problems}&kind=wrong", f"{problems}&query=1",
        f"/evaluation/{first}/problem?bench=humaneval&id=HumanEval/1", f"/compare?{both}",
        f"/compare/problem?{both}&id=HumanEval/1",
    )  # fmt: skip
    for address in addresses:
        shown.page(address)
    monkeypatch.setattr(Evaluation, "benches", lambda _, wait_s=None: None)
    for address in addresses:
        shown.page(address)
    assert "being counted" in shown.page(f"{problems}&kind=wrong")
    assert "being counted" in shown.page(f"/compare?{both}")
    assert "1 of 2 samples passed" in shown.page(problems)
    monkeypatch.setattr(Evaluation, "live", lambda _: LiveCounts({}, {}, is_changing=False))
    assert "samples are being counted" in shown.page(f"/evaluation/{first}")
    assert faults(asked) == []


@pytest.mark.parametrize(
    "sql", ["SELECT COUNT(*) FROM samples", "SELECT problem FROM samples ORDER BY text LIMIT 5"]
)
def test_a_scan_would_be_seen(tmp_path, asked, sql):
    """The test above finds statements that read a whole table."""
    make_evaluations(tmp_path / "evals")
    with EvalStore.read(tmp_path / "evals" / "before") as store:
        asked.clear()
        store.db.read(sql)
    assert faults(asked)


N_ROWS = 240


@pytest.fixture
def mixed(tmp_path):
    """A run in which few rows have any two of its values together."""
    records = []
    for n in range(N_ROWS):
        language = ("python", "java")[n % 2]
        task = Task.seed(f"Task {n} {'red' if n % 3 else 'blue'} {'old' if n % 7 else 'new'}.",
                         ordinal=n, language=language)  # fmt: skip
        records.append(task)
        if n % 5 == 0:
            records.append(Drop(Stage.RESPOND, Reason.REFUSAL, task.id, 0, n, None, "no", "", MADE))
            continue
        answer = Response.to(task, f"x {n}", made=MADE)
        kind = "error" if n % 11 == 0 else "passed"
        records += [answer, CheckResult.of(answer, Check.RUNS, kind, detail={})]
    return Shown(make_run(tmp_path / "run", records, rounds=1), tmp_path / "index")


@pytest.mark.parametrize(
    "filters",
    [
        {"query": "blue new"}, {"query": '"blue new"'}, {"query": '"new blue"'},
        {"query": "red", "verdict": "runs: error"}, {"query": "new", "language": "java"},
        {"language": "java", "verdict": "runs: error"}, {"outcome": "dropped"},
        {"language": "python", "outcome": "respond: refusal", "query": "old"},
        {"outcome": "dropped", "verdict": "runs: error"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_back", [False, True])
def test_a_search_ends_in_time_and_is_continued(mixed, monkeypatch, filters, is_back):
    """Whatever is rare together: links lead to all rows that fit, forwards and backwards."""
    wanted = mixed.ids(f"?{urlencode(filters)}")
    for name, value in (("WINDOW", 16), ("FEW", 0), ("WALK_S", -1.0), ("SEARCH_S", -1.0)):
        monkeypatch.setattr(index, name, value)
    again = Shown(next(iter(mixed.viewer.runs.values())).source.folder, mixed.cache / "again")
    found, n_pages, start = [], 0, {"before": 1 << 50} if is_back else {}
    while True:
        page = again.page(f"{again.run}/rows?{urlencode(filters | start)}")
        here = ids_of(page)
        found = here + found if is_back else found + here
        n_pages += 1
        more = re.search(r"(after|before)=(\d+)\">Look further", page)
        if not more:
            break
        start = {more[1]: more[2]}
        assert more[1] == ("before" if is_back else "after")
    assert found == wanted
    assert n_pages > 3
    exported = again.page(f"{again.run}/rows.jsonl?{urlencode(filters)}").splitlines()
    assert len(exported) == len(wanted)
