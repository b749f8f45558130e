"""What lies on a read-only file system can be looked at and exported.

The kind: a run that ended, one whose writer was killed, and one of an earlier version, each where
neither a log nor its index can be made next to the database.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import toys
from evolcoder.storage.run_store import RunStore
from groups import sampled
from small_run import CHILD, contents, fill, without_purposes


def read_only(folder, arguments):
    """Run evolcoder where `folder` is mounted read-only, which no other process sees."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if shutil.which("unshare") is None or subprocess.call([*namespace, "true"]):
        pytest.skip("no mount namespaces here")
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "evolcoder.cli.main", *map(str, arguments)]
    return subprocess.run(
        [*namespace, "sh", "-c", mount, "sh", str(folder), *command],
        capture_output=True,
        text=True,
        check=False,
    )


def ended(folder):
    with RunStore.create(folder, toys.config()) as store:
        fill(store)


def killed(folder):
    """Leave a log that no one wrote into the database, and no index of it."""
    other = folder.with_name("other")
    with RunStore.create(other, toys.config()) as store:
        fill(store)
        store.db.flush()
        folder.mkdir()
        for name in ("run.db", "run.db-wal", "config.yaml"):
            shutil.copy(other / name, folder / name)
    assert (folder / "run.db-wal").stat().st_size > 0


FIRST = ("meta", "tasks", "responses", "drops", "rounds", "calls", "events")
"""Tables of the first version."""


def earlier(folder):
    """Make a run of the first version, whose kept rows were told by nothing."""
    ended(folder)
    with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as db:
        later = "type = 'table' AND name NOT IN (SELECT value FROM json_each(?))"
        rows = db.execute(f"SELECT name FROM sqlite_master WHERE {later}", [json.dumps(FIRST)])
        for (table,) in rows.fetchall():
            db.execute(f"DROP TABLE {table}")
        without_purposes(db, "calls")
        db.execute("PRAGMA user_version=1")


@pytest.mark.parametrize("state", sampled([killed, ended, earlier], 3))
def test_a_run_is_inspected_and_exported_from_a_read_only_file_system(tmp_path, state):
    """All of it is there, also what is in the log alone; what cannot be written is one line."""
    run, out = tmp_path / "run", tmp_path / "out"
    state(run)
    before = contents(run)
    shown = read_only(run, ["inspect", run])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "respond" in shown.stdout
    assert CHILD.id in read_only(run, ["inspect", run, CHILD.id]).stdout
    exported = read_only(run, ["export", run, "--format", "messages", "--out", out])
    assert (exported.returncode, exported.stderr) == (0, "")
    assert len((out / "messages" / "data.jsonl").read_text().splitlines()) == 2
    refused = read_only(run, ["export", run])
    assert refused.returncode == 2
    assert "cannot be written: Read-only file system" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert contents(run) == before
