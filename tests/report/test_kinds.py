"""Reports of a cleaned file, of a loop, and of a run with its similarity to benchmarks."""

import json

import pytest

from evolcoder.bench import registry
from evolcoder.cli.main import main
from evolcoder.report import render
from evolcoder.report.content import ReportContent, ReportRecord, ReportSection, ReportTable, Text
from report import samples


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    """The toy benchmark is among those that can be named."""
    monkeypatch.setitem(registry.BENCHES, "toy", samples.toy_bench)


def sections(capsys, *args):
    capsys.readouterr()
    assert main(["report", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["sections"]


def test_a_cleaned_file_shows_its_certificate_and_each_leak_next_to_its_problem(tmp_path, capsys):
    """Rows add up; a leak has the row's texts, the problem's, and why it counts."""
    out = samples.cleaned(tmp_path)
    found = sections(capsys, out)
    rows = {one["rows"]: one["number"] for one in found["rows"]["rows"]}
    assert rows == {"read": 4, "kept": 2, "duplicate_exact": 1, "leak": 1}
    assert {one["side"]: one["rows"] for one in found["certificate"]["rows"]} == {"in": 4, "out": 2}
    (leak,) = found["leaks"]["records"]
    assert leak["texts"]["task of the row"] == samples.LEAK.wording
    assert samples.LEAK.wording in leak["texts"]["the problem"]
    assert any(note.startswith("The task and the prompt share a run of") for note in leak["notes"])
    assert found["duplicates"]["rows"][0]["kept row"] == 0
    for one in found["detectors"]["rows"]:
        most, least = (float(one[f"{which} recall"].split()[0]) for which in ("highest", "lowest"))
        assert 0 <= least <= most <= 1
        assert any(note.startswith(f"{one['detector']} was measured on ")
                   for note in found["detectors"]["notes"])  # fmt: skip
    assert main(["report", str(tmp_path / "clean.certificate.json")]) == 0
    page = (tmp_path / "clean.report.html").read_text()
    assert "<mark>Merge two ordered ledgers" in page


def test_rows_that_changed_since_are_not_shown_and_the_report_says_so(tmp_path, capsys):
    """Evidence stays; texts of another file would mislead."""
    out = samples.cleaned(tmp_path)
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write("\n")
    leaks = sections(capsys, out)["leaks"]
    assert "changed since" in leaks["caption"]
    assert "task of the row" not in leaks["records"][0]["texts"]
    assert leaks["rows"][0]["benchmark"] == "toy"


def test_a_leak_of_a_benchmark_of_the_users_own_has_its_evidence(tmp_path, capsys, monkeypatch):
    """The problem's text is in a file that the report does not know, unless its folder is named."""
    out = samples.cleaned(tmp_path)
    monkeypatch.delitem(registry.BENCHES, "toy")
    leaks = sections(capsys, out)["leaks"]
    assert "problems of toy are not shown: it is no benchmark of this version" in str(leaks)
    assert "name the folder with toy.jsonl with --data-dir" in str(leaks)
    assert leaks["records"][0]["texts"]["task of the row"] == samples.LEAK.wording
    assert "the problem" not in leaks["records"][0]["texts"]
    data = tmp_path / "data"
    data.mkdir()
    problem = {"task_id": samples.LEAK.id, "entry_point": "f", "prompt": "def f():\n    pass\n",
               "canonical_solution": "", "test": "def check(f):\n    assert f()\n"}  # fmt: skip
    (data / "toy.jsonl").write_text(json.dumps(problem))
    assert main(["report", str(out), "--json", "--data-dir", str(data)]) == 0
    (record,) = json.loads(capsys.readouterr().out)["sections"]["leaks"]["records"]
    assert record["texts"]["the problem"].startswith("def f():")


def test_a_file_that_was_not_searched_names_the_command(tmp_path, capsys):
    """Without `--against` there are no leaks to show."""
    (tmp_path / "a.jsonl").write_text('{"instruction": "Sort a list.", "output": "x"}\n')
    assert main(["clean", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "b.jsonl")]) == 0
    capsys.readouterr()
    assert "evolcoder clean" in sections(capsys, tmp_path / "b.jsonl")["leaks"]["notes"][0]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.jsonl", "{}", "/x.jsonl writes it"),
        ("x.certificate.json", "{}", "is no certificate"),
        ("x.certificate.json", "{", "is no certificate"),
        ("missing.jsonl", None, "holds no run"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, capsys, name, text, told):
    """Exit code 2, and what to do."""
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main(["report", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_loop_shows_its_rounds_and_differences(tmp_path, capsys):
    """Dev scores have intervals, arms a paired difference, and scores their language."""
    found = sections(capsys, samples.loop(tmp_path / "loop"))
    rounds = found["rounds"]["rows"]
    assert [one["pass@1"] for one in rounds] == [30, 40, 50]
    assert all(one["from"] < one["pass@1"] < one["to"] for one in rounds)
    lines = {(one["arm"], one["benchmark"]): one for one in found["arms-rounds"]["rows"]}
    assert lines["seed", "humaneval+"]["difference"] is None
    assert lines["merge-0..2", "humaneval+"]["difference"] == 20
    assert lines["merge-0..2", "humaneval+"]["difference from"] <= 20
    scores = {(one["arm"], one["benchmark"]): one for one in found["scores"]["rows"]}
    assert scores["merge-0..1", "humaneval-js"]["language"] == "javascript"
    assert scores["merge-0..1", "humaneval+"]["pass@k"] == 40
    assert "--similarity" in found["similarity"]["notes"][0]


def test_a_loop_without_results_is_one_line(tmp_path, capsys):
    """Nothing was graded yet."""
    (tmp_path / "loop.db").write_text("")
    assert main(["report", str(tmp_path)]) == 2
    assert "the command that created it did not start" in capsys.readouterr().err


def test_a_run_shows_stored_similarity_and_whether_it_is_old(tmp_path, capsys):
    """Without it the section names the command; rows that came since are said."""
    folder = samples.run(tmp_path / "run")
    found = sections(capsys, folder)
    assert [one["round"] for one in found["similarity"]["rows"]] == [0, 1]
    assert "similarity to toy" in found["similarity-complexity"]["rows"][0]
    path = folder / "similarity.json"
    old = json.loads(path.read_text())
    path.write_text(json.dumps({**old, "settings": {**old["settings"], "rows": "others"}}))
    assert any(
        "--similarity toy" in note for note in sections(capsys, folder)["similarity"]["notes"]
    )
    path.unlink()
    assert "--similarity" in sections(capsys, folder)["similarity"]["notes"][0]


def test_similarity_needs_a_run(tmp_path, capsys):
    """A folder of another kind is refused in one line."""
    assert main(["report", str(samples.loop(tmp_path / "loop")), "--similarity", "toy"]) == 2
    assert "is no folder of a run" in capsys.readouterr().err


def test_a_page_stays_small_whatever_its_tables_and_records_hold():
    """Long tables of wide characters and many records; the page says what it leaves out."""
    wide = "\u8a9e<" * 400
    table = ReportTable(("a", "b"), tuple((wide, f"{n}") for n in range(3_000)))
    texts = (Text("task", wide * 9), Text("answer", wide * 9, shared_with=wide))
    records = tuple(ReportRecord(f"{n}", (("round", "1"),), texts, (wide,)) for n in range(300))
    sections = tuple(ReportSection(f"s{n}", "S", "c", table, records=records) for n in range(3))
    page = render.html(ReportContent("r", "s", (), sections))
    assert 3_000_000 < len(page.encode()) < 5_000_000
    assert "more records are left out" in page
    assert "more rows are in the JSON form" in page
