"""`evolcoder clean --against` as a user meets it: real benchmarks, planted rows, hostile texts."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from html import unescape

import pytest

from commands import run_command
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.cli.main import main
from evolcoder.records import Stage
from evolcoder.sandbox.base import STRICT_LAYERS, Layer
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl

HOSTILE = "<script>alert(1)</script><img src=x onerror=y>\"'&</td>"


def shown(capsys, flags):
    main(list(map(str, flags)))
    return capsys.readouterr().out


def clean(capsys, *arguments):
    return run_command(capsys, "clean", *arguments)


@pytest.fixture
def problems(shared, tmp_path):
    """The problems of HumanEval."""
    return bench_named("humaneval", DataFolder(shared, tmp_path)).problems()


@pytest.fixture
def data(tmp_path, problems):
    """Two copies of problems under hostile ids, and a row of our own making."""
    rows = [
        {"id": f"{HOSTILE}{n}", "root": "r", "parent": "", "round": 0}
        | {"instruction": problems[n].prompt, "output": problems[n].reference}
        for n in (0, 10)
    ]
    rows.append({"instruction": "Tell what a beacon is.", "output": "A light by the sea."})
    path = tmp_path / "data.jsonl"
    write_jsonl(path, rows)
    return path


@pytest.fixture
def against(shared):
    """Flags that look for HumanEval by its words."""
    return ["--against", "humaneval", "--data-dir", shared, "--detectors", "ngrams,substring"]


def test_a_report_is_one_page_with_every_hit_and_no_script(capsys, tmp_path, data, against):
    """Before, after and the evidence of each hit; what a row holds is text, whatever it says."""
    page = tmp_path / "leaks.html"
    code, out, _ = clean(capsys, data, *against, "--report", page, "--json")
    found = json.loads(out)["leakage"]
    text = page.read_text()
    assert (code, len(found["dropped"])) == (0, 2)
    assert str(page) in json.loads(out)["paths"]
    assert "<script" not in text
    assert "<img" not in text
    assert "http://" not in text
    assert text.count("HumanEval/10:") == 1
    for hit in found["hits"]:
        cells = [hit[key] for key in ("row", "detector", "part", "side")]
        row = next(line for line in text.splitlines() if all(c in unescape(line) for c in cells))
        assert hit["mark"] in row
    assert text.count("</tr>") >= len(found["hits"]) + len(found["found"]) + len(found["choices"])


def test_a_report_as_json_is_what_is_printed(capsys, tmp_path, data, against):
    """The file's name chooses the form; the content is the same."""
    file = tmp_path / "leaks.json"
    _, out, _ = clean(capsys, data, *against, "--report", file, "--json")
    assert json.loads(file.read_text()) == json.loads(out)["leakage"]


def test_a_certificate_says_what_was_looked_for_and_how_well(capsys, tmp_path, data, against):
    """Detectors with parameters and measurements, hits by benchmark, and the benchmarks left out."""
    out = tmp_path / "clean.jsonl"
    clean(capsys, data, *against, "--out", out)
    found = json.loads((tmp_path / "clean.certificate.json").read_text())
    assert found["rows"] == {"read": 3, "kept": 1, "dropped": {"leak": 2}}
    assert [(one["name"], one["n_problems"]) for one in found["benchmarks"]] == [("humaneval", 164)]
    by_name = {one["name"]: one for one in found["detectors"]}
    assert by_name["substring"]["parameters"]["words"] == 10
    for name in ("ngrams", "substring"):
        measured = by_name[name]["measured"]
        assert 0 < measured["precision"][0] <= measured["precision"][1]
        assert measured["recall"]["verbatim"][0] > 0
    hits = {(one["detector"], one["benchmark"]): one["n_rows"] for one in found["hits"]}
    assert hits["together", "humaneval"] == 2
    gaps = " ".join(found["not_looked_for"])
    for words in ("mbpp", "`neighbours` did not run", "`execution` did not run"):
        assert words in gaps
    page = (tmp_path / "clean.certificate.md").read_text()
    assert "recall, verbatim" in page


def test_all_benchmarks_that_can_be_had_are_compared(capsys, tmp_path, data, shared):
    """The others are named in a note and in the certificate; a benchmark named by itself is not."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "humaneval").symlink_to(shared / "humaneval")
    flags = ["--data-dir", tmp_path / "files", "--detectors", "substring"]
    out = tmp_path / "clean.jsonl"
    code, _, err = clean(capsys, data, "--against", "all", *flags, "--out", out)
    assert (code, "mbpp is not compared: " in err) == (0, True)
    found = json.loads((tmp_path / "clean.certificate.json").read_text())
    assert {"humaneval", "humaneval+"} <= {one["name"] for one in found["benchmarks"]}
    assert "ds1000" in found["not_looked_for"][0]
    assert clean(capsys, data, "--against", "mbpp", *flags)[0] == 2


def test_a_run_drops_what_leaks_the_benchmarks_that_its_config_names(
    capsys, tmp_path, problems, shared
):
    """After the rounds, by words and by running; stored as drops of the stage, kept on resume."""
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "run"
    rows = [("Add up the prices of a ledger.", "Use sum."), (problems[0].prompt, "See below.")]
    rows.append(("Tidy two beacons into one.", f"```python\n{problems[10].reference}```"))
    pairs = ({"instruction": task, "output": answer} for task, answer in rows)
    write_jsonl(seeds, pairs)
    script = tmp_path / "model.json"
    script.write_text('{"rules": [{"match": "", "answer": "I cannot."}]}')
    flags = [
        "run", "--seeds", seeds, "--model", f"scripted:{script}", "--rounds", "0", "--out", out,
        "--set", "clean.against=[humaneval]", "--set", f"clean.data_dir={shared}",
        "--set", "clean.detectors=[ngrams,execution]",
    ]  # fmt: skip
    for _ in range(2):
        assert main([*map(str, flags), "--json"]) == 0
        said = capsys.readouterr().out
        funnel = json.loads(said)["funnel"]
        assert [line["dropped"] for line in funnel if line["stage"] == "clean"] == [{"leak": 2}]
        layers = json.loads(said)["sandbox"]["clean"]["layers"]
    assert f"| clean | {', '.join(layers)} |" in (out / "export/alpaca/README.md").read_text()
    assert f"sandbox clean: {', '.join(layers)}; not active: " in shown(capsys, flags)
    (kept,) = json.loads((out / "export/alpaca/data.json").read_text())
    assert kept["instruction"] == rows[0][0]
    with RunStore.read(out) as store:
        drops = [drop for drop in store.drops() if drop.stage is Stage.CLEAN]
    found = {(h["detector"], h["item"]) for drop in drops for h in json.loads(drop.detail)}
    assert found >= {("ngrams", "HumanEval/0"), ("execution", "HumanEval/10")}
    flags[flags.index("clean.against=[humaneval]")] = "clean.against=[humanevil]"
    assert main(list(map(str, flags))) == 2
    assert "humanevil" in capsys.readouterr().err


def test_what_ran_answers_is_named_with_its_protections(capsys, tmp_path, data, shared):
    """In the table, the JSON and the page, with what was not active; who reads words runs nothing."""
    flags = [data, "--against", "humaneval", "--data-dir", shared]
    looked = [*flags, "--detectors", "execution"]
    page = tmp_path / "leaks.html"
    _, out, _ = clean(capsys, *looked, "--report", page, "--json")
    found = json.loads(out)
    layers, missing = found["layers"], found["missing"]
    assert set(STRICT_LAYERS) <= set(layers)
    assert {*layers, *missing} == set(Layer)
    assert (found["leakage"]["layers"], found["leakage"]["missing"]) == (layers, missing)
    line = f"execution: under {', '.join(layers)}; not active: {', '.join(missing) or 'none'}"
    assert line in clean(capsys, *looked)[1]
    assert f"<p>{line}</p>" in page.read_text()
    found = json.loads(clean(capsys, *flags, "--detectors", "ngrams", "--json")[1])
    assert (found["layers"], found["missing"], found["leakage"]["layers"]) == ([], [], [])


SCRIPT = {
    "rules": [
        {"match": "TWO [^\n]*beacon", "answer": "Well, that depends."},
        {
            "match": "ONE (\\w{8}): [^\n]*closer to each other[^\n]*\n\nTWO [^\n]*closer to each",
            "answer": "\\1 MATCH: both look for near numbers",
        },
        {"match": "ONE (\\w{8}):", "answer": "\\1 NO MATCH: another exercise"},
    ]
}
"""A judge that knows one problem, and cannot say anything about beacons."""


def test_a_judge_is_asked_once_whatever_it_said(capsys, tmp_path, data, shared, real_cache):
    """A second invocation has every answer from the cache, those that cannot be read too.

    Between the two what is remembered is changed: only who looks there answers so.
    """
    if not (real_cache / "models/all-MiniLM-L6-v2").is_dir():
        pytest.skip("the packaged embedder is not here")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/models").symlink_to(real_cache / "models")
    script = tmp_path / "judge.json"
    script.write_text(json.dumps(SCRIPT))
    flags = [
        data, "--against", "humaneval", "--data-dir", shared, "--detectors", "judge", "--json",
        "--judge", f"scripted:{script}", "--embedder", "all-MiniLM-L6-v2", "--drop", "judge",
    ]  # fmt: skip
    command = [sys.executable, "-m", "evolcoder.cli.main", "clean", *map(str, flags)]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(first.stdout)["leakage"]
    said = dict(found["verdicts"])
    hits = [(h["row"], h["item"]) for h in found["hits"] if h["detector"] == "judge"]
    assert hits == [(f"{HOSTILE}0", "HumanEval/0")]
    assert found["dropped"] == [f"{HOSTILE}0"]
    assert said == {"match": 1, "no_match": 2 * 164 - 1, "unreadable": 164}
    with closing(sqlite3.connect(tmp_path / "cache/completions.db")) as db, db:
        stored = db.execute("SELECT COUNT(*) FROM completions").fetchone()
        db.execute("UPDATE completions SET text = replace(text, 'NO MATCH', 'MATCH')")
    _, table, _ = clean(capsys, *[flag for flag in flags if flag != "--json"])
    assert "judge: match 328, unreadable 164" in table
    with closing(sqlite3.connect(tmp_path / "cache/completions.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM completions").fetchone() == stored == (4 * 164,)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--report", "x.html"], "--against"),
        (["--report", "x.txt", "--against", "humaneval"], ".html"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_first(capsys, tmp_path, flags, said):
    """One line, exit code 2, before any benchmark is read."""
    data = tmp_path / "data.jsonl"
    data.write_text('{"instruction": "Tell.", "output": "x"}\n')
    code, _, err = clean(capsys, data, *flags)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
