"""A file of the user's own is a benchmark."""

import json

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named, is_known
from evolcoder.cli.main import main
from evolcoder.errors import BenchError
from jsonl import write_jsonl

ROW = {
    "task_id": "own/0",
    "prompt": "def double(x):\n",
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}


def write(path, *rows):
    write_jsonl(path, rows)
    return str(path)


def test_a_path_names_a_benchmark(tmp_path):
    """Its name is that of the file; blank lines and other fields do not count."""
    path = write(tmp_path / "own.jsonl", {**ROW, "source": "ours"})
    with open(path, "a") as file:
        file.write("\n")
    bench = bench_named(path, DataFolder(None, tmp_path))
    assert (bench.name, [one.id for one in bench.problems()]) == ("own", ["own/0"])
    assert bench.problems()[0].reference == "def double(x):\n    return 2 * x\n"
    assert "`double`" in bench.prompt(bench.problems()[0]).instruction
    assert is_known(path)
    assert not is_known("own")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no problem in it"),
        ([{**ROW, "test": None}], "own.jsonl line 1: no text in 'test'"),
        ([[1]], "line 1: no text in 'task_id'"),
        ([ROW, ROW], "line 2: the id own/0 is there already"),
        ([{**ROW, "test": "assert double(2) == 4"}], "defines no function check(candidate)"),
    ],
)
def test_what_is_no_problem_is_named(tmp_path, rows, said):
    """With file, line, and what a line needs."""
    path = write(tmp_path / "own.jsonl", *rows)
    with pytest.raises(BenchError) as error:
        bench_named(path, DataFolder(None, tmp_path))
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["absent.jsonl", "mbpp.jsonl", "a b.jsonl", "broken.jsonl"])
def test_a_file_that_cannot_be_one_is_refused(tmp_path, name):
    """One that is missing, has the name of a known benchmark, an odd name, or is no JSON."""
    write(tmp_path / "mbpp.jsonl", ROW)
    write(tmp_path / "a b.jsonl", ROW)
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(BenchError, match=name.partition(".")[0]):
        bench_named(str(tmp_path / name), DataFolder(None, tmp_path))


def test_a_score_belongs_to_one_version_of_the_file(tmp_path, monkeypatch, capsys):
    """The references pass, samples are graded, and a changed file needs another folder."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "own.jsonl", ROW, {**ROW, "task_id": "own/1"})
    write(
        tmp_path / "samples.jsonl",
        {"task_id": "own/0", "solution": "def double(x):\n    return x + x"},
        {"task_id": "own/1", "solution": "def double(x):\n    return x"},
    )
    command = ["eval", "--bench", "own.jsonl", "--samples", "samples.jsonl", "--out", "e"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["results"][0]
    assert (result["bench"], result["scores"][0]["value"]) == ("own", 0.5)
    write(tmp_path / "own.jsonl", ROW)
    assert main(command) == 2
    assert "bench_files" in capsys.readouterr().err
