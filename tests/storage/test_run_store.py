"""The run database stores records completely and in order, for one writer at a time."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import astuple

import pytest

import toys
from evolcoder.config.load import load
from evolcoder.errors import RunFolderError, StoreError
from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task, Usage
from evolcoder.storage.database import MAX_WAITING, Database
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, MIGRATIONS, RunStore

MADE = Usage("scripted#toy", 10, 20, 2)


def records():
    seed = Task.seed("Sort a list.", ordinal=0, language="python")
    child = seed.child(
        "Sort a list of dates.", round=1, heuristic="deepen", language="python", made=MADE
    )
    drop = Drop(Stage.EVOLVE, Reason.EMPTY, child.id, 2, 0, "constrain", "", "nothing came", MADE)
    answers = [
        Response.to(seed, "print(1)", made=None),
        Response.to(child, "print(2)", reasoning="hm", made=MADE),
    ]
    return seed, child, answers, drop


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path / "run", toys.config()) as opened:
        yield opened


def fill(store):
    seed, child, answers, drop = records()
    store.add_seeds([seed, answers[0]])
    for record in (child, answers[1], drop):
        store.add(record)
    store.db.flush()


def test_records_come_back_as_they_went_in(store):
    """A task, a response and a drop are equal after the round trip."""
    fill(store)
    seed, child, answers, drop = records()
    rows = list(store.rows())
    assert [(row.task, row.response) for row in rows] == [(seed, answers[0]), (child, answers[1])]
    assert rows[1].parent_instruction == seed.instruction
    assert list(store.drops()) == [drop]


def test_verdicts_come_back_with_their_row(store):
    """A row has its own verdicts and no other row's."""
    fill(store)
    _, child, answers, _ = records()
    runs = CheckResult.of(answers[1], Check.RUNS, "passed", detail={"n": [1, None], "s": "ü"})
    tests = CheckResult.of(answers[1], Check.TESTS, "passed", score=0.5)
    for verdict in (runs, tests, runs):
        store.add(verdict)
    store.db.flush()
    assert [row.verdicts for row in store.rows()] == [(), (runs, tests)]
    assert store.verdicts(child) == [runs, tests]


def test_an_unverified_response_is_no_row_until_it_is_kept(store):
    """An unverified response is stored, but not exported."""
    seed, _, answers, _ = records()
    store.add(seed)
    store.add(answers[0], unverified=True)
    store.db.flush()
    assert list(store.rows()) == []
    store.keep(answers[0])
    store.db.flush()
    assert [row.response for row in store.rows()] == [answers[0]]


def test_a_run_of_the_first_version_opens_and_goes_on(tmp_path):
    """Its rows count as kept, and a config section added later does not block resuming."""
    folder = tmp_path / "run"
    folder.mkdir()
    seed, child, answers, _ = records()
    old = toys.config().fingerprinted()
    del old["verify"]
    db = Database(folder / DB_NAME, MIGRATIONS[:1])
    db.write("INSERT INTO meta VALUES ('config', ?)", (json.dumps(old),))
    for task in (seed, child):
        head = (task.id, task.instruction, task.round, task.ordinal, task.root, task.parent)
        made = astuple(task.made)[:4] if task.made else (None,) * 4
        values = (*head, task.heuristic, task.language, *made)
        db.write(f"INSERT INTO tasks VALUES ({','.join('?' * 12)})", values)
    answer = answers[1]
    values = (answer.id, answer.task, 1, 0, answer.text, answer.reasoning, *astuple(MADE)[:4])
    db.write(f"INSERT INTO responses VALUES ({','.join('?' * 10)})", values)
    db.close()
    for when in ("possible", "never"):
        with RunStore.create(folder, toys.config(verify={"when": when})) as store:
            assert [row.response for row in store.rows()] == [answer]
    with pytest.raises(RunFolderError, match=r"different values of seed"):
        RunStore.create(folder, toys.config(seed=1))


def test_adding_a_record_twice_keeps_one(store):
    """Work repeated after a kill adds no second row."""
    fill(store)
    fill(store)
    assert len(list(store.rows())) == 2
    assert len(list(store.drops())) == 1


def test_limit_bounds_evolved_rows_and_keeps_the_seeds(store):
    """The limit counts evolved rows; seeds are not counted."""
    seeds = [Task.seed(text, ordinal=i, language=None) for i, text in enumerate(toys.tasks(3))]
    store.add_seeds(seeds)
    for seed in seeds:
        store.add(Response.to(seed, "a", made=None))
        child = seed.child(
            seed.instruction + " Twice.", round=1, heuristic="deepen", language=None, made=MADE
        )
        store.add(child)
        store.add(Response.to(child, "b", made=MADE))
    store.db.flush()
    assert [row.task.round for row in store.rows(limit=2)] == [0, 0, 0, 1, 1]


def test_a_second_process_is_refused(store):
    """Two writers would mix their rows; the second gets a one-line error."""
    code = (
        "import sys; from pathlib import Path; from evolcoder.storage.run_store import RunStore;"
        "from evolcoder.config.load import Config; RunStore.create(Path(sys.argv[1]), Config())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.folder], capture_output=True, text=True, check=False
    )
    assert "in use by another evolcoder process" in done.stderr


def test_a_changed_config_is_refused_by_key(tmp_path):
    """Resuming with a different fingerprint names the keys that differ."""
    RunStore.create(tmp_path / "run", toys.config(seed=1)).close()
    with pytest.raises(RunFolderError, match=r"different values of evolver\.top_p, seed"):
        RunStore.create(tmp_path / "run", toys.config(seed=2, evolver={"top_p": 0.5}))


EARLIER = {"checks": ["runs"], "drop": ["does_not_parse", "does_not_compile"]}


def test_a_run_keeps_the_checks_and_drops_that_were_defaults_when_it_began(tmp_path):
    """Its folder keeps its name; other checks are added, and other drops are refused, as given."""
    earlier, folder = toys.config(verify=EARLIER), tmp_path / "run"
    assert earlier.fingerprint == toys.config().fingerprint
    RunStore.create(folder, earlier).close()
    with RunStore.create(folder, toys.config()) as store:
        assert {key: store.meta("config")["verify"][key] for key in EARLIER} == EARLIER
        assert load(folder / CONFIG_NAME).verify.drop == tuple(EARLIER["drop"])
    with RunStore.create(folder, toys.config(verify={"checks": ["bait"]})) as store:
        assert store.meta("config")["verify"]["checks"] == ["runs", "bait"]
    with pytest.raises(RunFolderError, match=r"different values of verify\.drop"):
        RunStore.create(folder, toys.config(verify={"drop": ["bait_works"]}))
    RunStore.create(tmp_path / "new", toys.config()).close()
    assert load(tmp_path / "new" / CONFIG_NAME).verify.checks == (Check.RUNS, Check.BAIT)


def test_limits_and_traffic_may_change(tmp_path):
    """A higher limit or another concurrency resumes the run."""
    task = Task.seed("Sort.", ordinal=0, language=None)
    with RunStore.create(tmp_path / "run", toys.config()) as store:
        store.add(task)
    changed = toys.config(budget={"rounds": 3}, traffic={"concurrency": 9}, cache="x.db")
    with RunStore.create(tmp_path / "run", changed) as store:
        assert store.task(task.id) == task
    assert load(tmp_path / "run" / CONFIG_NAME).budget.rounds == 3


def test_a_folder_with_other_files_is_refused(tmp_path):
    """A run is not created among other files."""
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="contains files but no run"):
        RunStore.create(tmp_path, toys.config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_newer_database_is_refused(tmp_path):
    """A run of a newer version is not modified."""
    RunStore.create(tmp_path / "run", toys.config()).close()
    db = sqlite3.connect(tmp_path / "run" / DB_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(RunFolderError, match="newer evolcoder"):
        RunStore.create(tmp_path / "run", toys.config())


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """An invalid database is named and not overwritten."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / DB_NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(RunFolderError, match="not a database"):
        RunStore.create(folder, toys.config())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    """A path under a file cannot be a run folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunStore.create(tmp_path / "file" / "run", toys.config())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    """A read-only folder is the user's to fix."""
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunStore.create(tmp_path / "run", toys.config())


def test_a_full_disk_is_a_one_line_error(tmp_path):
    """When SQLite runs out of disk space, the error says so with advice."""

    class Small(Database):
        def _connect(self):
            connection = super()._connect()
            connection.execute("PRAGMA max_page_count=3")
            return connection

    db = Small(tmp_path / "x.db", ("CREATE TABLE t (v TEXT)",))
    with pytest.raises(RunFolderError, match="free disk space"):
        for _ in range(50):
            db.write("INSERT INTO t VALUES (?)", ("x" * 4000,))
            db.flush()
    with pytest.raises(RunFolderError, match="free disk space"):
        db.close()


def test_rows_reach_the_file_in_order(tmp_path):
    """A reader that sees a row sees all rows queued before it."""
    db = Database(tmp_path / "x.db", ("CREATE TABLE t (v INTEGER)",))
    for n in range(5000):
        db.write("INSERT INTO t VALUES (?)", (n,))
    db.flush()
    assert [row[0] for row in db.read("SELECT v FROM t ORDER BY rowid")] == list(range(5000))
    db.close()


def test_seeds_are_written_all_or_none(store):
    """An error among the seeds leaves no rows."""

    def seeds():
        yield Task.seed("one", ordinal=0, language=None)
        raise ValueError

    with pytest.raises(ValueError):
        store.add_seeds(seeds())
    assert store.db.read("SELECT COUNT(*) FROM tasks") == [(0,)]


def test_a_row_that_cannot_be_stored_is_an_error(tmp_path):
    """A value that SQLite cannot store stops the writer; the next write raises."""
    db = Database(tmp_path / "x.db", ("CREATE TABLE t (v TEXT)",))
    db.write("INSERT INTO t VALUES (?)", ("\ud800",))
    with pytest.raises(StoreError, match="cannot be written"):
        db.flush()
    with pytest.raises(StoreError, match="cannot be written"):
        db.close()


@pytest.mark.parametrize("error", [MemoryError, RuntimeError("a bug"), OSError(5, "no device")])
def test_whatever_stops_the_writer_is_raised(tmp_path, error):
    """No flush reports rows as committed that no thread writes any more."""

    def fail():
        raise error

    db = Database(tmp_path / "x.db", ("CREATE TABLE t (n INTEGER)",), before_commit=fail)
    db.write("INSERT INTO t VALUES (?)", (1,))
    for call in (db.flush, lambda: db.write("INSERT INTO t VALUES (?)", (2,)), db.close):
        with pytest.raises(StoreError, match="cannot be written"):
            call()


def test_the_write_queue_is_bounded(tmp_path):
    """The queue is bounded, and thus memory; no row is lost."""
    db = Database(tmp_path / "x.db", ("CREATE TABLE t (n INTEGER)",))
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, other.execute, ("COMMIT",))
    release.start()
    most = 0
    for n in range(3 * MAX_WAITING):
        db.write("INSERT INTO t VALUES (?)", (n,))
        most = max(most, db._queue.qsize())
    assert not release.is_alive()
    assert most <= MAX_WAITING + 1
    db.flush()
    assert db.read("SELECT COUNT(*), SUM(n) FROM t") == [(12_000, 71_994_000)]
    db.close()
    other.close()
