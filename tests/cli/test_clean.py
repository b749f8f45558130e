"""`evolcoder clean` as a user meets it."""

import hashlib
import json

import pytest

import toys
from commands import run_command
from evolcoder.cli.main import main
from jsonl import read_jsonl, write_jsonl
from loopback import Loopback, in_thread

TASK = "Write a function that reads a file of numbers and returns the median of them, or None if there are none at all"


def clean(capsys, *arguments):
    return run_command(capsys, "clean", *arguments)


@pytest.fixture
def data(tmp_path):
    rows = [
        {"instruction": text, "output": "x"} for text in (TASK, f"{TASK}!", f"{TASK} now", "Other.")
    ]
    path = tmp_path / "data.jsonl"
    write_jsonl(path, rows)
    return path


def test_a_file_is_cleaned_into_two_files(capsys, tmp_path, data):
    """The table counts, and the rows that stay and the drops are in the same folder."""
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
        (("--set", "clean.nearr=1"), "did you mean clean.near"),
    ],
)
def test_a_mistake_is_one_line(capsys, data, flags, said):
    """What the user can fix ends with exit code 2 and names the key or file."""
    code, _, err = clean(capsys, data, *flags)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_run_is_cleaned_and_exported_again(capsys, tmp_path):
    """The stage runs after the rounds; the verb does it again with other settings."""
    rows = [{"instruction": text, "output": "x"} for text in (TASK, f"{TASK} now", "Sort a list.")]
    seeds, run = tmp_path / "seeds.jsonl", tmp_path / "run"
    write_jsonl(seeds, rows)
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


HEADER = (
    "Answer as the clerk of a harbour who writes with care and keeps every ledger <b>tidy: " * 6
)


def test_the_summary_says_what_was_taken_as_a_header(capsys, tmp_path):
    """Tasks under one long header all stay, and its words are shown."""
    tasks = ("Sort a list.", "Reverse a string.", "Merge two trees.", "Count the vowels of a text.")
    path = tmp_path / "data.jsonl"
    rows = [{"instruction": f"{HEADER}\n{task}", "output": "x"} for task in tasks]
    write_jsonl(path, rows)
    code, out, _ = clean(capsys, path, "--out", tmp_path / "clean.jsonl")
    page = (tmp_path / "clean.certificate.md").read_text()
    assert "<b>" not in page
    assert "every ledger &lt;b&gt;tidy" in page
    assert (code, "duplicate" in out.split("many rows")[0]) == (0, False)
    assert 'near duplicates are compared without it: "answer as the clerk' in out
    found = json.loads(clean(capsys, path, "--json")[1])
    assert found["shared"][0].startswith("answer as the clerk of a harbour")


def test_a_cleaning_ends_with_a_certificate(capsys, tmp_path, data):
    """Digests of what went in and out, rows that add up, and what was not looked for, twice alike."""
    out = tmp_path / "clean.jsonl"
    pages = []
    for _ in range(2):
        code, said, _ = clean(capsys, data, "--out", out, "--json")
        record, page = (tmp_path / f"clean.certificate.{kind}" for kind in ("json", "md"))
        assert (code, json.loads(said)["certificate"]) == (0, [str(record), str(page)])
        pages.append((record.read_bytes(), page.read_bytes()))
    assert pages[0] == pages[1]
    found = json.loads(record.read_text())
    for side, path in (("input", data), ("output", out)):
        assert found[side]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    rows = found["rows"]
    assert rows == {"read": 4, "kept": 2, "dropped": {"duplicate_near": 2}}
    assert found["not_looked_for"][0] == "No benchmark was named, so leaks were not looked for."
    text = page.read_text()
    for words in ("duplicate_near | 2", "leaks were not looked for", found["input"]["sha256"]):
        assert words in text
    assert f"wrote   {page}" in clean(capsys, data, "--out", out)[1]


def test_a_run_has_its_certificate_in_its_folder(capsys, tmp_path):
    """Written by the run itself, and again by a cleaning with other settings."""
    seeds, run = tmp_path / "seeds.jsonl", tmp_path / "run"
    rows = [{"instruction": text, "output": "x"} for text in (TASK, f"{TASK} now", "Sort a list.")]
    write_jsonl(seeds, rows)
    script = tmp_path / "model.json"
    script.write_text('{"rules": [{"match": "", "answer": "I cannot."}]}')
    flags = ["--seeds", seeds, "--model", f"scripted:{script}", "--rounds", "0", "--out", run]
    assert main(["run", *map(str, flags), "--set", "verify.checks=[]"]) == 0
    path = run / "certificate.json"
    assert json.loads(path.read_text())["rows"]["dropped"] == {"duplicate_near": 1}
    said = clean(capsys, run, "--set", "clean.near=null", "--json")[1]
    assert json.loads(said[said.index("{") :])["certificate"][0] == str(path)
    found = json.loads(path.read_text())
    assert (found["rows"], found["duplicates"]["near"]) == (
        {"read": 3, "kept": 3, "dropped": {}},
        None,
    )
    assert found["input"] == found["output"]
    path.unlink()
    assert clean(capsys, run, "--set", "clean.near=null")[0] == 0
    assert json.loads(path.read_text()) == found


def test_columns_of_bytes_are_written_as_text_or_base_64(capsys, tmp_path):
    """Parquet may hold texts and images as bytes."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"instruction": [b"Sort a list.", "Zähle.".encode()], "thumb": [b"\xff\x00", None]}
    path, out = tmp_path / "data.parquet", tmp_path / "clean.jsonl"
    parquet.write_table(arrow.table({**rows, "output": ["x", "y"]}), path)
    assert clean(capsys, path, "--out", out)[0] == 0
    found = read_jsonl(out)
    assert [row["instruction"] for row in found] == ["Sort a list.", "Zähle."]
    assert [row["thumb"] for row in found] == ["/wA=", None]


def test_a_key_that_stands_twice_is_named(capsys, tmp_path):
    """Neither value wins silently."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a"}\n{"instruction": "b", "instruction": "c"}\n')
    code, _, err = clean(capsys, path)
    assert code == 2
    assert "line 2 " in err
    assert "has the key 'instruction' twice" in err
