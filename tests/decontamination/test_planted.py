"""Execution finds leaks planted in real rows at the benchmark's minimum rates."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.execution.search import ExecutionSearch
from evolcoder.grading.problem_checks import ReferenceChecks

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EVERY = 40
"""One in this many planted rows is tested here; `benchmarks/cleaning.py` tests all."""


@pytest.fixture(scope="module")
def cleaning():
    """The modules of the benchmark, which are not a package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from cleaning import planted, recall, rewrites, running

        yield planted, recall, rewrites, running
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def data_folder(shared, tmp_path_factory):
    return DataFolder(shared, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def search(sandbox, data_folder, tmp_path_factory):
    """HumanEval and MBPP, prepared once."""
    path = tmp_path_factory.mktemp("controls") / "controls.db"
    controls = ReferenceChecks(path, sandbox.sandbox, "test")
    benches = {name: bench_named(name, data_folder).problems() for name in ("humaneval", "mbpp")}
    yield sandbox.runner.run(ExecutionSearch.create(benches, sandbox.sandbox, controls.measurement))
    controls.close()


def test_all_problems_but_one_can_be_looked_for(search):
    """Each has examples and at least the identity view; the exception asks for a class."""
    assert [one.problem.id for one in search._targets if not one.examples] == ["Mbpp/367"]


@pytest.mark.e2e
def test_planted_rows_are_found_and_clean_ones_are_not(cleaning, data_folder, search, sandbox):
    """The benchmark's minimum rates hold on a subset, by execution alone."""
    planted, recall, _, running = cleaning
    rows = planted.corpus(data_folder, n_planted=1000, n_clean=1000, seed=0)[::EVERY]
    rows = [row for row in rows if row.kind != "translated"]
    found = {row.id: sandbox.runner.run(search.passes(row.answer)) for row in rows}
    pairs = running.pairs_of(found)["execution"]
    shares = recall.recall(rows, pairs)
    assert {"verbatim", "renamed", "reordered", "algorithm"} <= shares.keys()
    assert {kind: share for kind, share in shares.items() if share < recall.FLOORS[kind]} == {}


@pytest.mark.e2e
def test_conclusive_hits_among_real_rows_are_true(cleaning, data_folder, search, sandbox):
    """Manual review confirmed most conclusive passes of real rows as solutions."""
    planted, recall, _, running = cleaning
    rows = planted.clean(data_folder, 500, seed=3)
    found = {row.id: sandbox.runner.run(search.passes(row.answer)) for row in rows}
    telling = running.pairs_of(found)["execution, telling"]
    assert telling
    assert recall.precision(rows, telling, recall.natural()) >= 0.85


@pytest.mark.e2e
def test_the_same_seed_plants_the_same_rows(cleaning, data_folder):
    """Another seed plants other rows."""
    planted = cleaning[0]
    first, again, other = (
        [row.id for row in planted.corpus(data_folder, n_planted=60, n_clean=60, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_there_are_as_many_clean_rows_as_asked_for_and_no_two_are_alike(cleaning, tmp_path):
    """Even if few real rows need many variations."""
    planted = cleaning[0]
    (tmp_path / "codealpaca").mkdir()
    for name in ("code_alpaca_2k", "new_codealpaca"):
        row = {"instruction": f"Greet as {name}.", "input": "", "output": "Hello."}
        packed = gzip.compress(json.dumps([row]).encode())
        (tmp_path / "codealpaca" / f"{name}.json.gz").write_bytes(packed)
    rows = planted.clean(DataFolder(tmp_path, tmp_path), 60, seed=0)
    assert len({(row.task, row.answer) for row in rows}) == len({row.id for row in rows}) == 60
    assert len({row.source for row in rows}) == 2


def test_an_aim_is_met_by_what_was_found_and_missed_by_less(cleaning):
    """Other algorithms count by execution alone; unconfirmed hits lower the precision."""
    planted, recall, *_ = cleaning
    rows = [
        planted.Row("a", "", "", "verbatim", "P/1", ""),
        planted.Row("b", "", "", "algorithm", "P/2", ""),
        planted.Row("c", "", "", "clean", "", "real"),
    ]
    all_found, ran = {("a", "P/1"), ("b", "P/2"), ("c", "P/3")}, {("a", "P/1")}
    said = recall.aims(rows, {"x": (all_found, ran)}, frozenset())
    outcome = {
        line.split(" | ")[0][2:]: line.split(" | ")[3][:-2] for line in said.splitlines()[2:]
    }
    assert outcome == {
        "x: verbatim": "met",
        "x: algorithm, by execution": "**missed**",
        "x: precision": "**missed**",
    }
    assert recall.precision(rows, all_found, frozenset({("real", "P/3")})) == 1.0


def test_a_varied_row_computes_what_its_real_row_does(cleaning):
    """Only argument names and the opening change."""
    from evolcoder.ids import rng_for

    planted = cleaning[0]
    task, answer = planted.varied(
        "Add.", "import re\ndef f(a):\n    return re.sub('x', '', a)", rng_for(0, "t")
    )
    assert task.endswith("Add.")
    space = {}
    exec(answer, space)
    assert space["f"]("xox") == "o"
    assert "def f(a)" not in answer


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        (
            "def f(a):\n    x = 1\n    y = a\n    return x - y",
            "def f(a):\n    y = a\n    x = 1\n    return x - y",
        ),
        ("def f(a):\n    x = a\n    y = x\n    return y", ""),
        ("def f(a):\n    x = a.pop()\n    y = a.pop()\n    return x - y", ""),
        ("def f(a):\n    return 1 if a < 2 else 3", "def f(a):\n    return 3 if not 2 > a else 1"),
    ],
)
def test_only_what_can_be_moved_is_moved(cleaning, source, moved):
    """Statements that share a name or call something keep their order."""
    assert cleaning[2].reordered(source) == moved


def test_unlikeness_does_not_look_at_names(cleaning):
    """A renamed program is the same; another algorithm is not."""
    rewrites = cleaning[2]
    loop = "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t"
    assert rewrites.differ(loop, rewrites.renamed(loop)) == 0
    assert rewrites.differ(loop, "def f(n):\n    return n * (n - 1) // 2") > 0.25
