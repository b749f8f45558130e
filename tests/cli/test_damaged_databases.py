"""A database that is damaged, hostile or no database ends every verb in one line, and stays as it is.

The kind: whatever a stranger, a broken disk or another program can leave in the place of one of our
SQLite files, next to it, in its schema and in every column that a verb reads.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import astuple

import pytest

import damage
import toys
from evolcoder.cli.main import main
from evolcoder.storage import sqlite_files
from evolcoder.storage.database import Database
from evolcoder.storage.run_store import MIGRATIONS, RunStore
from groups import sampled
from small_run import ANSWERS, CHILD, FACTS, SEED, contents, fill

READS = {
    "inspect": ["inspect", "{run}"],
    "one record": ["inspect", "{run}", CHILD.id],
    "drops": ["inspect", "{run}", "--drops"],
    "export": ["export", "{run}", "--format", "messages", "--format", "preference"],
}
"""Verbs that look at a run without a change to it."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    script = folder / "script.json"
    script.write_text(json.dumps({"rules": [{"match": "", "answer": "```python\nprint(1)\n```"}]}))
    config = toys.config(verify={"when": "never"}, evolver={"model": f"scripted:{script}"})
    with RunStore.create(folder / "run", config) as store:
        fill(store)
    return folder / "run"


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "run")
    return tmp_path / "run"


def said(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    err = capsys.readouterr().err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if "preference: 0 rows" not in line]
    assert len(lines) == (1 if code else 0), err
    return code, err


def read_all(capsys, run):
    """Look at a run in every way; return what was said by verb, for what failed."""
    before = contents(run)
    found = {}
    for verb, arguments in READS.items():
        code, err = said(capsys, *(word.format(run=run) for word in arguments))
        assert code in {0, 2}
        if code:
            found[verb] = err
        shutil.rmtree(run / "export", ignore_errors=True)
    assert contents(run) == before
    return found


def test_a_sound_run_is_read(capsys, run):
    """The damages below are what makes the difference."""
    assert read_all(capsys, run) == {}


@pytest.mark.parametrize("kind", damage.ANY)
def test_a_foreign_or_damaged_file_is_refused(capsys, run, kind):
    """Every verb says so, names the file, and leaves it and what is next to it alone."""
    damage.ANY[kind](run / "run.db")
    found = read_all(capsys, run)
    assert found.keys() == READS.keys()
    assert all("run.db" in line for line in found.values())


@pytest.mark.parametrize("kind", damage.ANY)
def test_a_run_that_is_damaged_is_not_gone_on_with(capsys, run, kind):
    """Who writes looks before the first write."""
    if kind == "zero bytes":
        pytest.skip("a run that never began begins")
    damage.ANY[kind](run / "run.db")
    before = contents(run)
    for arguments in (["run", run / "config.yaml", "--out", run], ["clean", run]):
        code, err = said(capsys, *arguments)
        assert code == 2
        assert "run.db" in err
    assert contents(run).items() - before.items() <= {("run.lock", b"")}


@pytest.mark.parametrize("kind", damage.HARMLESS)
def test_what_sqlite_leaves_aside_is_left_aside(capsys, run, kind):
    """A log or journal that is none of this database's changes nothing."""
    damage.HARMLESS[kind](run / "run.db")
    for arguments in READS.values():
        assert said(capsys, *(word.format(run=run) for word in arguments))[0] == 0


TABLES = {"meta": "value", "tasks": "instruction", "drops": "detail", "kept": "ordinal"}
SCHEMAS = {
    name: change
    for table, column in TABLES.items()
    for name, change in damage.of_table(table, column).items()
}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_of_another_make(capsys, run, kind):
    """Tables that lack, columns that are others, and what would run a stranger's code."""
    SCHEMAS[kind](run / "run.db")
    found = read_all(capsys, run)
    assert found.keys() == READS.keys()
    assert all("damaged" in line for line in found.values())


TEXTS = [
    ("meta", "value"), ("tasks", "instruction"), ("tasks", "root"), ("responses", "text"),
    ("drops", "stage"), ("drops", "reason"), ("verdicts", "check_name"), ("verdicts", "detail"),
]  # fmt: skip
COUNTS = [
    ("tasks", "round"), ("responses", "round"), ("responses", "ordinal"), ("drops", "ordinal"),
    ("rounds", "pool"), ("kept", "round"), ("verdicts", "ordinal"), ("tasks", "attempts"),
]  # fmt: skip
VALUES = {
    **{name: change for one in TEXTS for name, change in damage.of_text(*one).items()},
    **{name: change for one in COUNTS for name, change in damage.of_count(*one).items()},
    **damage.of_json("verdicts", "detail"),
    **{
        f"{name}: {key}": change
        for key in FACTS
        for name, change in damage.of_json("meta", "value", f"key='{key}'").items()
    },
    "a stage that is none": damage.sql("UPDATE drops SET stage='dreams'"),
    "a reason that is none": damage.sql("UPDATE drops SET reason='mood'"),
    "a check that is none": damage.sql("UPDATE verdicts SET check_name='mood'"),
    "a task that is its own parent": damage.sql("UPDATE tasks SET parent=id WHERE round=1"),
    "tasks that are each other's parents": damage.sql(
        "UPDATE tasks SET parent=(SELECT o.id FROM tasks o WHERE o.id<>tasks.id)"
    ),
    "a parent that is not there": damage.sql("UPDATE tasks SET parent='nobody' WHERE round=1"),
    "an answer to no task": damage.sql("UPDATE responses SET task='nobody'"),
    "a row without an answer": damage.sql("DELETE FROM responses WHERE round=1"),
    "two tasks of one id": damage.sql(
        "ALTER TABLE tasks RENAME TO old",
        "CREATE TABLE tasks (id TEXT, instruction TEXT, round INTEGER, ordinal INTEGER, root TEXT,"
        " parent TEXT, heuristic TEXT, language TEXT, model TEXT, prompt_tokens INTEGER,"
        " completion_tokens INTEGER, attempts INTEGER)",
        "INSERT INTO tasks SELECT * FROM old UNION ALL SELECT * FROM old",
    ),
}


@pytest.mark.parametrize("kind", sampled(VALUES, 5))
def test_values_that_no_record_has(capsys, run, kind):
    """Whoever reads such a value says which file is damaged, and what may be done."""
    VALUES[kind](run / "run.db")
    found = read_all(capsys, run)
    assert found
    for line in found.values():
        assert "run.db: damaged: " in line
        assert "restore it from a copy, or delete the folder" in line


def test_a_text_that_is_too_long_is_not_taken_into_memory(capsys, run, monkeypatch):
    """A bound on one value holds also where the file really has it."""
    monkeypatch.setattr(sqlite_files, "MAX_TEXT", 1 << 16)
    damage.sql("UPDATE tasks SET instruction=printf('%.*c', 100000, 'x')")(run / "run.db")
    found = read_all(capsys, run)
    assert "too big" in found["one record"]
    assert "too big" in found["export"]


def test_a_database_in_use_is_reported(capsys, run, monkeypatch):
    """Another program that locks the file is waited for, and not for ever."""
    monkeypatch.setattr(sqlite_files, "READ_BUSY_MS", 50)
    damage.sql("PRAGMA journal_mode=DELETE")(run / "run.db")
    with closing(sqlite3.connect(run / "run.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = {verb: said(capsys, *(w.format(run=run) for w in READS[verb])) for verb in READS}
    assert {code for code, _ in found.values()} == {2}
    assert all("in use by another process" in line for _, line in found.values())


def test_the_log_of_another_database_is_not_written_into_this_one(capsys, run):
    """SQLite takes any log that is valid in itself; to read must not make that last."""
    before = (run / "run.db").read_bytes()
    damage.foreign_log(run / "run.db")
    for arguments in READS.values():
        assert said(capsys, *(word.format(run=run) for word in arguments))[0] == 2
    assert said(capsys, "clean", run)[0] == 2
    assert (run / "run.db").read_bytes() == before


def test_a_journal_cannot_have_another_file_deleted(capsys, run, tmp_path):
    """SQLite deletes the file that a rollback journal names, so such a journal is refused."""
    victim = tmp_path / "thesis.tex"
    journal = run / "run.db-journal"

    def prepare():
        victim.write_text("mine")
        damage.sql("PRAGMA journal_mode=DELETE")(run / "run.db")
        journal.write_bytes(damage.journal_of(victim))

    prepare()
    with closing(sqlite3.connect(run / "run.db")) as naive:
        naive.execute("SELECT COUNT(*) FROM tasks").fetchall()
    assert not victim.exists()
    prepare()
    for arguments in [*READS.values(), ["clean", "{run}"]]:
        code, err = said(capsys, *(word.format(run=run) for word in arguments))
        assert code == 2
        assert "run.db-journal: names another file" in err
    assert victim.read_text() == "mine"


def test_a_database_of_two_names_is_read_and_not_written(capsys, run, tmp_path):
    """What a hard link shares with another place is not changed from here."""
    (tmp_path / "elsewhere.db").hardlink_to(run / "run.db")
    assert read_all(capsys, run) == {}
    code, err = said(capsys, "clean", run)
    assert code == 2
    assert "several hard links" in err


def test_a_run_of_an_earlier_version_is_read_as_it_is(capsys, tmp_path):
    """To inspect or export it brings a copy to the newest version, and not the file."""
    folder = tmp_path / "run"
    with RunStore.create(folder, toys.config()):
        pass
    (folder / "run.db").unlink()
    old = Database(folder / "run.db", MIGRATIONS[:1])
    for task in (SEED, CHILD):
        head = astuple(task)[:8]
        made = astuple(task.made)[:4] if task.made else (None,) * 4
        old.write(f"INSERT INTO tasks VALUES ({','.join('?' * 12)})", (*head, *made))
    for answer in ANSWERS:
        head = astuple(answer)[:6]
        made = astuple(answer.made)[:4] if answer.made else (None,) * 4
        old.write(f"INSERT INTO responses VALUES ({','.join('?' * 10)})", (*head, *made))
    old.close()
    before = contents(folder)
    assert read_all(capsys, folder) == {}
    assert contents(folder) == before
    assert said(capsys, "export", folder, "--format", "messages")[0] == 0
    lines = (folder / "export" / "messages" / "data.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [0, 1]
