"""What a user's files and folders may be: one line, exit 2, and nothing half-written."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import toys
from commands import run_command
from evolcoder.engine.registry import KNOWN
from evolcoder.storage.run_store import DB_NAME, RunStore
from groups import sampled
from loopback import Loopback, in_thread

GOOD = b'{"instruction": "Sort a list.", "output": "sorted(x)"}\n'
RULES = [
    {"match": "Task: ", "answer": "Reject empty ledgers, and group invoices by their zone."},
    {"match": "", "answer": "```python\nprint(1)\n```"},
]
HUGE = b'{"instruction": "' + b"x" * 10_000_000 + b'", "output": ""}\n'


@pytest.fixture(scope="module")
def server():
    with in_thread(Loopback(answer=toys.answer)) as running:
        yield running


@pytest.fixture
def seeds(tmp_path):
    return toys.seeds_file(tmp_path / "seeds.jsonl", 40)


def run(capsys, *arguments):
    return run_command(capsys, "run", "--style", "append", *arguments)


def contents(folder):
    """Return every file of a folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rows"),
        (b"[]", "no rows"),
        (b"instruction;output\n", "not JSON"),
        (GOOD + b"{broken\n", "line 2"),
        (b'{"text": "hello"}\n', ""),
        (b'{"instruction": "", "output": "x"}\n', "none of its 1 rows"),
        (GOOD + b'{"headline": "Sort."}\n', "in 1 of 2 rows, which is less than nine in ten; the first other row has the fields headline"),
        (GOOD + b'{"instruction": "\xff\xfe"}\n', "line 2"),
        (HUGE, "none of its 1 rows"),
    ],
    ids=["empty", "empty array", "CSV", "broken line", "no known field", "no instruction",
         "mixed", "not UTF-8", "10 MB in one row"],
)  # fmt: skip
def test_seeds_that_cannot_be_used(capsys, tmp_path, server, content, said):
    """The file is named with what is wrong in it, before a request is sent."""
    path, before = tmp_path / "mine.jsonl", len(server.calls)
    path.write_bytes(content)
    code, out, err = run(
        capsys, "--seeds", path, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"
    )
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert len(err) < 600
    assert "mine.jsonl" in err
    assert said in err
    assert not (tmp_path / "out").exists()
    assert len(server.calls) == before


@pytest.mark.parametrize("model", [f"{GOOD!r}", *list(KNOWN)[:1]], ids=["a file", "a known name"])
def test_a_model_file_that_is_damaged(capsys, tmp_path, seeds, monkeypatch, model):
    """A GGUF with other bytes than it should have is named, and no run folder is made."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = tmp_path / "cache" / "models" / "damaged.gguf"
    path.parent.mkdir(parents=True)
    if model in KNOWN:
        path = path.with_name(KNOWN[model].file)
    path.write_bytes(b"GGUF" + bytes(1000))
    spec = model if model in KNOWN else path
    code, out, err = run(capsys, "--seeds", seeds, "--model", spec, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert path.name in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_run_of_a_newer_version_is_left_as_it_is(capsys, tmp_path, server, seeds):
    """Not a byte of it changes."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"]
    run(capsys, *arguments)
    db = sqlite3.connect(tmp_path / "out" / DB_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = contents(tmp_path / "out")
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "upgrade evolcoder" in err
    assert len(err.strip().splitlines()) == 1
    assert contents(tmp_path / "out") == before


def test_a_run_in_use_is_left_alone(capsys, tmp_path, server, seeds):
    """The second process is told, and the first one's rows stay."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"]
    run(capsys, *arguments)
    with RunStore.read(tmp_path / "out") as store:
        before = list(store.rows())
    holder = subprocess.Popen(
        ["flock", tmp_path / "out" / "run.lock", "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    code, out, err = run(capsys, *arguments)
    holder.communicate(b"\n")
    assert (code, out) == (2, "")
    assert "in use by another evolcoder process" in err
    assert len(err.strip().splitlines()) == 1
    with RunStore.read(tmp_path / "out") as store:
        assert list(store.rows()) == before


def mounted(folder: Path, options: str, arguments: list[object]) -> subprocess.CompletedProcess:
    """Run evolcoder where `folder` is a file system of its own, which no other process sees."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if shutil.which("unshare") is None or subprocess.call([*namespace, "true"]):
        pytest.skip("no mount namespaces here")
    mount = f'mount -t tmpfs -o {options} tmpfs "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "evolcoder.cli.main", *map(str, arguments)]
    return subprocess.run(
        [*namespace, "sh", "-c", mount, "sh", str(folder), *command],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    sampled(
        [("size=600k", "free disk space"), ("ro", "cannot be written"), ("size=40k", "disk")], 3
    ),
    ids=["full in the middle", "read-only", "full at once"],
)
def test_a_disk_that_takes_no_more(tmp_path, server, seeds, options, said):
    """A read-only or full disk is the user's to fix: the last line says so, without a trace."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = mounted(
        folder, options, ["run", "--style", "append", "--seeds", seeds, "--model", f"{server.base_url}#toy", "--rounds", 9,
                          "--out", folder / "out", "--cache", tmp_path / "cache.db"],
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    sampled([("size=200k", "full"), ("ro", "cannot be written"), ("size=40k", "disk")], 3),
    ids=["full in the middle", "read-only", "full at once"],
)
def test_an_evaluation_on_a_disk_that_takes_no_more(tmp_path, shared, options, said):
    """One line, and no score that only looks like one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = mounted(
        folder, options, ["eval", "--bench", "humaneval", "--data-dir", shared, "--out",
                          folder / "out", "--samples",
                          shared / "samples/wizardcoder-15b-humaneval-greedy.jsonl.gz"],
    )  # fmt: skip
    assert done.returncode in {1, 2}, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "pass@1" not in done.stdout


def test_the_scripted_engine_gives_the_same_bytes_at_any_concurrency(capsys, tmp_path, seeds):
    """The engine that comes with the package, one record at a time and 256 at once."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": RULES}))
    exports = []
    for places in (1, 256):
        out = tmp_path / str(places)
        code, _, err = run(
            capsys, "--seeds", seeds, "--model", f"scripted:{script}", "--rounds", 2, "--out", out,
            "--cache", tmp_path / f"{places}.db", "--set", f"traffic.concurrency={places}",
        )  # fmt: skip
        assert code == 0, err
        exports.append((out / "export" / "alpaca" / "data.json").read_bytes())
    assert {row["round"] for row in json.loads(exports[0])} == {0, 1, 2}
    assert exports[0] == exports[1]
