"""`evolcoder clean` as a user meets it."""

import json

import pytest

import toys
from evolcoder.cli.main import main
from loopback import Loopback, in_thread

TASK = "Write a function that reads a file of numbers and returns the median of them, or None if there are none at all"


def clean(capsys, *arguments):
    code = main(["clean", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def data(tmp_path):
    rows = [
        {"instruction": text, "output": "x"} for text in (TASK, f"{TASK}!", f"{TASK} now", "Other.")
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_is_cleaned_into_two_files(capsys, tmp_path, data):
    """The table counts, and the rows that stay and the drops lie beside each other."""
    code, out, _ = clean(capsys, data, "--out", tmp_path / "clean.jsonl")
    assert code == 0
    assert "duplicate_near" in out
    assert len((tmp_path / "clean.jsonl").read_text().splitlines()) == 2
    assert len((tmp_path / "clean.drops.jsonl").read_text().splitlines()) == 2


def test_flags_say_what_a_double_is(capsys, data):
    """A threshold of 1 keeps rows that differ in words; JSON has all counts."""
    code, out, _ = clean(capsys, data, "--near", "1", "--json")
    found = json.loads(out)
    assert (code, found["n_rows"], found["n_kept"], found["paths"]) == (0, 4, 3, [])


def test_without_a_file_to_write_nothing_is_written(capsys, tmp_path, data):
    """No --out, no files."""
    clean(capsys, data)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--near", "1.5"), "clean.near"),
        (("--beside", "no.jsonl"), "no.jsonl"),
        (("--set", "clean.nearr=1"), "did you mean near"),
    ],
)
def test_a_mistake_is_one_line(capsys, data, flags, said):
    """What the user can mend ends with exit code 2 and names the key or file."""
    code, _, err = clean(capsys, data, *flags)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_run_is_cleaned_and_exported_again(capsys, tmp_path):
    """The stage runs after the rounds; the verb does it again with other settings."""
    rows = [{"instruction": text, "output": "x"} for text in (TASK, f"{TASK} now", "Sort a list.")]
    seeds, run = tmp_path / "seeds.jsonl", tmp_path / "run"
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with in_thread(Loopback(answer=toys.answer)) as server:
        model = f"{server.base_url}#toy"
        main(["run", "--seeds", str(seeds), "--model", model, "--rounds", "0", "--out", str(run)])
    exported = run / "export" / "alpaca" / "data.json"
    assert len(json.loads(exported.read_text())) == 2
    capsys.readouterr()
    code, out, _ = clean(capsys, run, "--set", "clean.near=null")
    assert (code, len(json.loads(exported.read_text()))) == (0, 3)
    assert "kept" in out
    assert clean(capsys, run, "--out", tmp_path / "x.jsonl")[0] == 2
