"""SIGKILL amid tests that a model writes: no verdict is lost, changed or come to again."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from jsonl import read_jsonl, write_jsonl

N_ROWS = 12
KILL_AT = (2, 5, 9)
"""Verdicts of written tests that are there when the process is killed."""
BODIES = ("2 * x", "x * x", "x + x")
"""Own answers by turns: every third row is wrong."""
SCRIPT = {
    "rules": [
        {
            "match": r"double_(\d+)\(.*Do not write the code",
            "answer": "```python\nassert double_\\1(1) == 2\nassert double_\\1(5) == 10\n"
            "assert double_\\1(-3) == -6\n```",
        },
        {
            "match": r"double_(\d+)\(",
            "answer": "```python\ndef double_\\1(x):\n    return x + x + 0 * {seed}\n```",
        },
    ]
}


@pytest.fixture
def command(tmp_path):
    """What verifies a small data set by tests, less the folder that it writes to."""
    data, script = tmp_path / "data.jsonl", tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    rows = [
        {
            "instruction": f"Write a Python function `double_{n}(x)` that returns twice a number.",
            "output": f"```python\ndef double_{n}(x):\n    return {BODIES[n % 3]}\n```",
        }
        for n in range(N_ROWS)
    ]
    write_jsonl(data, rows)
    said = [sys.executable, "-m", "evolcoder.cli.main", "verify", data, "--checks", "runs,tests"]
    said += ["--model", f"scripted:{script}", "--workers", "2", "--cache", tmp_path / "cache.db"]
    said += ["--set", "verify.drop=[does_not_parse,tests_failed]"]
    return [*map(str, said), "--out"]


def verdicts(folder):
    """What is stored of the tests, with the place at which it was put down."""
    with contextlib.suppress(sqlite3.OperationalError):
        uri = f"file:{folder / 'run.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            return set(db.execute("SELECT rowid, * FROM verdicts WHERE check_name = 'tests'"))
    return set()


def killed(command, folder, *, at):
    """Kill the command once so many verdicts are stored, and return these."""
    process = subprocess.Popen([*command, str(folder)], stdout=-1, stderr=-1)
    while process.poll() is None and len(verdicts(folder)) < at:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    return verdicts(folder)


@pytest.mark.e2e
def test_sigkill_amid_written_tests_loses_and_repeats_no_verdict(command, tmp_path):
    """What was found stays as it was put down, and the end is that of an undisturbed command."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([*command, str(whole)], check=True, stdout=-1, stderr=-1)
    found = [killed(command, cut, at=n) for n in KILL_AT]
    subprocess.run([*command, str(cut)], check=True, stdout=-1, stderr=-1)
    assert [len(some) >= n for some, n in zip(found, KILL_AT, strict=True)] == [True] * 3
    assert found[0] <= found[1] <= found[2] < verdicts(cut)
    for name in ("verdicts.jsonl", "export/alpaca/data.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    told = read_jsonl(cut / "verdicts.jsonl")
    assert [line["kept"] for line in told] == [n % 3 != 1 for n in range(N_ROWS)]
    assert {line["reason"] for line in told if not line["kept"]} == {"tests_failed"}
