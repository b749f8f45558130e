"""SIGKILL amid the search for leaks: a data set's files and a run's drops are whole or not there."""

import signal
import subprocess
import sys
import time

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.cli.main import main
from evolcoder.records import Stage
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl

PARTS = (0.5, 0.9)
"""Parts of an undisturbed command's time after which another is killed."""
DETECTORS = "ngrams,execution"


@pytest.fixture
def rows(shared, tmp_path):
    """Copies of every tenth problem, and rows that leak nothing; two are near doubles."""
    problems = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()[::10]
    found = [(f"Solve exercise {n}.", one.reference) for n, one in enumerate(problems)]
    found += [(f"Tell what a beacon is in {n} words.", "A light by the sea.") for n in range(9)]
    found += [(f"{problems[0].prompt} {word}", "See below.") for word in ("Well.", "Now.")]
    return [{"instruction": task, "output": answer} for task, answer in found]


def undisturbed(command):
    """Run a command to its end, and say how long it took."""
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def killed(command, after_s):
    """Kill a command, wherever it is by then."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()


def clean(*arguments):
    return [sys.executable, "-m", "evolcoder.cli.main", "clean", *map(str, arguments)]


@pytest.mark.e2e
def test_a_data_set_is_cleaned_of_leaks_whole_or_not_at_all(rows, shared, tmp_path):
    """Kept rows, drops and report are there as an undisturbed command writes them, or not."""
    data = tmp_path / "data.jsonl"
    write_jsonl(data, rows)

    def command(folder):
        flags = ["--against", "humaneval", "--data-dir", shared, "--detectors", DETECTORS]
        return clean(data, *flags, "--out", folder / "kept.jsonl", "--report", folder / "l.json")

    def files(folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    wall_s = undisturbed(command(whole))
    for part in PARTS:
        killed(command(cut), part * wall_s)
        left = {name: held for name, held in files(cut).items() if name in files(whole)}
        assert left.items() <= files(whole).items()
    undisturbed(command(cut))
    assert files(whole).items() <= files(cut).items()
    assert len(files(whole)["kept.jsonl"].splitlines()) == 9


@pytest.mark.e2e
def test_a_runs_drops_are_those_of_before_or_of_after(rows, shared, tmp_path):
    """A kill leaves the run's rows as they were; the next cleaning drops what one cleaning does."""
    seeds, script = tmp_path / "seeds.jsonl", tmp_path / "model.json"
    write_jsonl(seeds, rows)
    script.write_text('{"rules": [{"match": "", "answer": "I cannot."}]}')
    for name in ("whole", "cut"):
        flags = ["--seeds", seeds, "--model", f"scripted:{script}", "--rounds", 0]
        flags += ["--set", "clean.near=null", "--out", tmp_path / name]
        assert main(["run", *map(str, flags)]) == 0

    def command(name):
        flags = ["--against", "humaneval", "--data-dir", shared, "--detectors", DETECTORS]
        return clean(tmp_path / name, *flags)

    def drops(name):
        with RunStore.read(tmp_path / name) as store:
            return [drop for drop in store.drops() if drop.stage is Stage.CLEAN]

    before = drops("cut")
    wall_s = undisturbed(command("whole"))
    found = drops("whole")
    assert len(found) > len(before)
    for part in PARTS:
        killed(command("cut"), part * wall_s)
        assert drops("cut") in (before, found)
    undisturbed(command("cut"))
    assert drops("cut") == found
