"""The stage `clean` of a run: stored drops, counted, left out of exports, and the same again."""

import asyncio
import json

import pytest

from evolcoder.app import clean
from evolcoder.config.load import CleanConfig, Config
from evolcoder.deduplication.summary import LeakCounts
from evolcoder.records import Check, CheckResult, Reason, Response, Stage, Task, Usage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import CLEAN_META, SEEDS_META, funnel

MADE = Usage("toy", 1, 1, 1)
LAYERS = ("no network", "seccomp")
LONG = "Write a function that reads numbers from a file, sorts them, removes what is double, and prints the median and the mean of all that are left"


def clean_run(store, config, **options):
    return asyncio.run(clean.clean_run(store, config, **options))


def leaking(*args):
    """What finds these leaks in any rows."""

    async def leaked(rows):
        return LeakCounts(*args)

    return leaked


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path / "run", Config()) as opened:
        yield opened


def fill(store):
    """Two seeds that are near doubles, a child like its own parent, and one like a stranger."""
    first = Task.seed(LONG, ordinal=0, language=None)
    second = Task.seed(f"{LONG} now", ordinal=1, language=None)
    third = Task.seed("Something else altogether.", ordinal=2, language=None)
    child = third.child(
        "Something else  altogether.", round=1, heuristic="deepen", language=None, made=MADE
    )
    stray = first.child(
        "something ELSE altogether.", round=1, heuristic="deepen", language=None, made=MADE
    )
    tasks = [first, second, third, child, stray]
    for round, pool in ((0, 0), (1, 3)):
        store.open_round(round, pool)
    for task in tasks:
        store.add(task)
        store.add(Response.to(task, "answer", made=MADE if task.round else None))
    store.set_meta(SEEDS_META, {"n_rows": 3, "source": "toys", "format": "output"})
    store.db.flush()
    return tasks


def dropped(store):
    return {drop.subject: drop.reason for drop in store.drops() if drop.stage is Stage.CLEAN}


def test_doubles_are_drops_and_rows_no_more(store):
    """A double is stored with its match and leaves the rows; a child of its own match stays."""
    first, second, third, child, stray = fill(store)
    summary = clean_run(store, CleanConfig(), seed=0)
    assert dropped(store) == {second.id: Reason.DUPLICATE_NEAR, stray.id: Reason.DUPLICATE_EXACT}
    assert [row.task.id for row in store.rows()] == [first.id, third.id, child.id]
    assert (summary.n_rows, summary.n_kept) == (5, 3)
    assert any(first.id in drop.detail for drop in store.drops())


def test_the_funnel_counts_the_stage(store):
    """In = kept + dropped for every round that was cleaned."""
    fill(store)
    clean_run(store, CleanConfig(), seed=0)
    lines = [line for line in funnel(store) if line.stage is Stage.CLEAN]
    assert [(line.round, line.entered, line.kept, line.n_dropped) for line in lines] == [
        (0, 3, 2, 1),
        (1, 2, 1, 1),
    ]


def test_cleaning_again_gives_the_same_and_other_settings_replace_it(store):
    """Drops of a cleaning are those of the last settings alone."""
    fill(store)
    first = clean_run(store, CleanConfig(), seed=0)
    drops = list(store.drops())
    assert clean_run(store, CleanConfig(), seed=0) == first
    clean_run(store, CleanConfig(exact=False, near=None), seed=0)
    assert dropped(store) == {}
    clean_run(store, CleanConfig(), seed=0)
    assert list(store.drops()) == drops


def test_each_set_of_rows_is_hashed_once(store, monkeypatch):
    """All rows, then those that are left; once where nothing was dropped or nothing is to be done."""
    fill(store)
    hashed, digest = [], clean._digest_of_rows
    monkeypatch.setattr(
        clean, "_digest_of_rows", lambda rows: hashed.append(digest(rows).n_rows) or digest(())
    )
    clean_run(store, CleanConfig(exact=False, near=None), seed=0)
    assert hashed == [5]
    clean_run(store, CleanConfig(), seed=0)
    assert hashed == [5, 5, 3]
    clean_run(store, CleanConfig(), seed=0)
    assert hashed == [5, 5, 3, 5]


def test_a_verified_row_outlives_an_earlier_one(store):
    """Whose answer passed tests stays, though its double was there first."""
    first, second, *_ = fill(store)
    answer = Response.to(second, "answer", made=None)
    store.add(CheckResult.of(answer, Check.TESTS, "passed", score=0.9))
    clean_run(store, CleanConfig(), seed=0)
    assert first.id in dropped(store)
    assert second.id not in dropped(store)


def test_leaks_stay_dropped_until_they_are_looked_for_again(store):
    """A cleaning that looks for doubles alone does not bring a leak back; a new look may."""
    _, _, third, child, _ = fill(store)

    async def leaked(rows):
        assert {row.task.id for row in rows} >= {third.id, child.id}
        return LeakCounts({child.id: [{"item": "Toy/1"}]}, LAYERS)

    clean_run(store, CleanConfig(), seed=0, leak_detector=leaked)
    assert dropped(store)[child.id] is Reason.LEAK
    clean_run(store, CleanConfig(near=0.9), seed=0)
    assert dropped(store)[child.id] is Reason.LEAK
    clean_run(store, CleanConfig(), seed=0, leak_detector=leaking({}))
    assert child.id not in dropped(store)


@pytest.mark.parametrize(
    ("detector", "left"), [("substring", "second"), ("execution", "second"), (None, "first")]
)
def test_no_row_of_a_run_is_lost_as_the_duplicate_of_a_leak(store, detector, left):
    """The near duplicate of a leak is searched itself, and stays if it is none."""
    first, second, *_ = fill(store)
    searched = []

    async def leaked(rows):
        searched.extend(row.task.id for row in rows)
        hits = {first.id: [{"row": first.id, "detector": detector}]} if detector else {}
        return LeakCounts(hits)

    summary = clean_run(store, CleanConfig(), seed=0, leak_detector=leaked)
    kept = {row.task.id for row in store.rows()}
    assert kept & {first.id, second.id} == {first.id if left == "first" else second.id}
    assert dropped(store)[second.id if left == "first" else first.id] is (
        Reason.LEAK if detector else Reason.DUPLICATE_NEAR
    )
    assert sorted(searched) == sorted(set(searched))
    assert summary.n_kept == len(kept)


def test_the_task_of_a_leak_that_was_run_leaves_with_it(store):
    """An answer that passes a benchmark's tests shows what its task asks for; the drop says so."""
    _, _, third, _, stray = fill(store)

    async def leaked(rows):
        return LeakCounts({third.id: [{"row": third.id, "detector": "execution"}]})

    clean_run(store, CleanConfig(), seed=0, leak_detector=leaked)
    drops = {drop.subject: drop for drop in store.drops() if drop.stage is Stage.CLEAN}
    assert drops[third.id].reason is Reason.LEAK
    assert drops[stray.id].reason is Reason.DUPLICATE_EXACT
    assert f"like {third.id} (a leak): " in drops[stray.id].detail


def test_the_protections_under_which_leaks_were_found_stay_with_them(store):
    """They are the run's for as long as the drops are, and those of the next look after it."""
    fill(store)
    summary = clean_run(store, CleanConfig(), seed=0, leak_detector=leaking({}, LAYERS))
    assert summary.layers == LAYERS
    assert clean_run(store, CleanConfig(), seed=0).layers == LAYERS
    assert clean_run(store, CleanConfig(near=0.9), seed=0).layers == LAYERS
    assert store.meta(CLEAN_META)["layers"] == list(LAYERS)
    other = clean_run(store, CleanConfig(), seed=0, leak_detector=leaking({}, ("cgroup",)))
    assert (other.layers, store.meta(CLEAN_META)["layers"]) == (("cgroup",), ["cgroup"])


def test_a_run_that_an_earlier_version_cleaned_claims_no_protection(store):
    """What was not written down then is not known."""
    fill(store)
    clean_run(store, CleanConfig(), seed=0)
    known = store.meta(CLEAN_META)
    del known["layers"]
    store.set_meta(CLEAN_META, known)
    store.db.flush()
    assert clean_run(store, CleanConfig(), seed=0).layers == ()


def certificate(store):
    return json.loads(clean.run_certificate_paths(store.folder)[0].read_text())


def test_another_answer_to_the_same_task_is_cleaned_again(store):
    """As many rows as before, one with another response: leaks in it are looked for."""
    _, _, _, child, _ = fill(store)
    seen = []

    async def look(rows):
        seen.append({row.task.id: row.response.text for row in rows})
        return LeakCounts({})

    clean_run(store, CleanConfig(), seed=0, leak_detector=look)
    before = certificate(store)
    clean_run(store, CleanConfig(), seed=0, leak_detector=look)
    assert len(seen) == 1
    store.db.write("DELETE FROM responses WHERE task=?", (child.id,))
    store.add(Response.to(child, "another answer", made=MADE))
    clean_run(store, CleanConfig(), seed=0, leak_detector=look)
    assert seen[1:] == [{**seen[0], child.id: "another answer"}]
    after = certificate(store)
    for data in ("input", "output"):
        assert before[data]["n_rows"] == after[data]["n_rows"]
        assert before[data]["sha256"] != after[data]["sha256"]


def cleaned_by_an_earlier_version(store, child):
    """What is stored has the benchmarks and neither digest nor record; there is no certificate."""
    config = CleanConfig(against=("humaneval",))
    found = leaking({child.id: [{"item": "Toy/1"}]}, LAYERS, {"benchmarks": []})
    clean_run(store, config, seed=0, leak_detector=found)
    known = store.meta(CLEAN_META)
    for key in ("searched", "rows"):
        known.pop(key, None)
    store.set_meta(CLEAN_META, known)
    store.db.flush()
    for path in clean.run_certificate_paths(store.folder):
        path.unlink()
    return config


def test_what_an_earlier_version_searched_is_searched_again(store):
    """It kept no record that a certificate could show."""
    _, _, _, child, _ = fill(store)
    config = cleaned_by_an_earlier_version(store, child)
    record = {"benchmarks": [{"name": "humaneval"}]}
    again = leaking({child.id: [{"item": "Toy/2"}]}, LAYERS, record)
    clean_run(store, config, seed=0, leak_detector=again)
    assert certificate(store)["benchmarks"] == record["benchmarks"]
    assert not any("No benchmark" in line for line in certificate(store)["not_looked_for"])
    (drop,) = [drop for drop in store.drops() if drop.subject == child.id]
    assert "Toy/2" in drop.detail


def test_the_certificate_says_that_an_earlier_version_kept_no_record(store):
    """Leaks that it found stay dropped, so it does not say that none were looked for."""
    _, _, _, child, _ = fill(store)
    cleaned_by_an_earlier_version(store, child)
    clean_run(store, CleanConfig(), seed=0)
    gaps = certificate(store)["not_looked_for"]
    assert dropped(store)[child.id] is Reason.LEAK
    assert any("humaneval and kept no record" in line for line in gaps)
    assert not any("No benchmark was named" in line for line in gaps)
