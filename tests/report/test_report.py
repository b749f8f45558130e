"""The report of a run or an evaluation: its numbers, its forms, and texts that attack the page."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest

import small_run
from evolcoder.cli.main import main
from evolcoder.config.load import validate
from evolcoder.evaluation.store import EvalStore
from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task, Usage
from evolcoder.report import render
from evolcoder.report.content import (
    ReportContent,
    ReportRecord,
    ReportSection,
    ReportTable,
    Text,
    compared,
)
from evolcoder.report.leaks import sentence
from evolcoder.report.outcome_text import verdict_text
from evolcoder.report.run import report_of
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SECONDS_META, funnel

HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></article><img src=x onerror=alert(1)>",
    "\u202edrow\u202c and \x1b[31mred\x00",
    '"><svg/onload=alert(1)>',
    "{{ 7*7 }} {% raw %}",
    "</script><script>alert(2)</script>",
    "```python\nprint('<b>')\n```\n~~~\nx",
    "\ud800 lone",
)


class Tags(HTMLParser):
    """Collects the tags of a page and the addresses that it asks for."""

    def __init__(self):
        super().__init__()
        self.names, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [
            value for name, value in attrs if name in {"src", "href", "action", "srcset", "data"}
        ]
        self.addresses += [name for name, _ in attrs if name.startswith("on")]


def tags(page):
    found = Tags()
    found.feed(page)
    return found


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as made:
        small_run.fill(made)
        made.db.flush()
        yield made


def plain(report, name):
    return report.as_plain()["sections"][name]["rows"]


def test_the_funnel_is_that_of_the_database(store):
    """The report counts what `funnel` counts, and every line adds up."""
    rows = plain(report_of(store, validate({}, where="test")), "funnel")
    assert [(row["round"], row["stage"], row["in"], row["kept"]) for row in rows] == [
        (line.round, line.stage.value, line.entered, line.kept) for line in funnel(store)
    ]
    assert all(row["in"] == row["kept"] + row["dropped"] + row["waiting"] for row in rows)


def test_a_heuristic_counts_what_was_tried_and_kept(store):
    """One child was made and kept, and an evolution of another heuristic was dropped."""
    rows = {row["heuristic"]: row for row in plain(report_of(store, validate({}, where="t")),
                                                   "heuristics")}  # fmt: skip
    assert (rows["deepen"]["tried"], rows["deepen"]["kept"]) == (1, 1)
    assert (rows["constrain"]["tried"], rows["constrain"]["kept"]) == (1, 0)


def test_leaks_are_listed_with_their_evidence(store):
    """Each finding has its problem and what it rests on; the section says what was looked for."""
    hit = {"benchmark": "mbpp", "item": "Mbpp/1", "detector": "substring", "part": "task",
           "side": "prompt", "score": 12.0, "seen": "ten words in a row"}  # fmt: skip
    child = small_run.CHILD
    drop = Drop(Stage.CLEAN, Reason.LEAK, child.id, 1, 0, "deepen", "x", json.dumps([hit]), None)
    fact = {**small_run.FACTS["clean"], "searched": {"benchmarks": [{"name": "mbpp"}]}}
    store.replace_cleaned([drop], "clean", fact, with_leaks=True)
    report = report_of(store, validate({}, where="test"))
    assert plain(report, "leaks") == [
        {"row": child.id, "benchmark": "mbpp", "problem": "Mbpp/1", "detector": "substring",
         "where": "task like prompt", "score": 12.0, "evidence": "ten words in a row"}
    ]  # fmt: skip
    assert "mbpp" in report.as_plain()["sections"]["cleaning"]["caption"]


def test_sections_that_are_missing_name_their_command(tmp_path):
    """A run without verification or cleaning says what makes them."""
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as made:
        made.add_seeds([small_run.SEED])
        made.open_round(0, 1)
        made.set_meta("seeds", small_run.FACTS["seeds"])
        made.db.flush()
        found = report_of(made, validate({}, where="test")).as_plain()["sections"]
    assert "evolcoder verify" in found["verdicts"]["notes"][0]
    assert "evolcoder clean" in found["cleaning"]["notes"][0]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_models_are_data(text):
    """Whatever a text holds, the page has the tags of the template alone."""
    usual = _page_of("harmless")
    page = _page_of(text)
    assert tags(page).names.count("script") == 1
    known = {"del", "ins", "span", "code"}
    assert set(tags(page).names) <= set(tags(usual).names) | known
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e]", page)


def _page_of(text):
    """Make a page with a text in every place that takes one."""
    texts = (Text("task", text, before="old words"), Text("answer", text, is_answer=True))
    record = ReportRecord(text, (("round", "1"), ("outcome", text)), texts, (text,))
    other = ReportRecord("b", (("round", "2"), ("outcome", "kept")), ())
    table = ReportTable(("reason", "rows"), ((text, 3), (None, 0.5)))
    section = ReportSection("one", "One", text, table, records=(record, other), notes=(text,))
    return render.html(ReportContent(text, text, (("command", text),), (section,)))


def test_a_page_asks_for_nothing(store):
    """No address leads out of the page, and no attribute is a script."""
    page = render.html(report_of(store, validate({}, where="test")))
    assert {re.sub(r"[,#].*", "", one, flags=re.DOTALL) for one in tags(page).addresses} <= {
        "", "data:image/svg+xml;base64"
    }  # fmt: skip
    assert "default-src 'none'" in page


def test_the_same_run_gives_the_same_page(store):
    """Reports are reproducible, figures included."""
    config = validate({}, where="test")
    assert render.html(report_of(store, config)) == render.html(report_of(store, config))


def test_a_page_stays_small(tmp_path):
    """Records of a megabyte each give a page below five."""
    made_by = Usage("scripted#toy", 1, 1, 1)
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as made:
        seeds = [Task.seed(f"{n} " + "say <b> & " * 100_000, ordinal=n, language=None)
                 for n in range(60)]  # fmt: skip
        made.add_seeds(seeds)
        for seed in seeds[:50]:
            made.add(Response.to(seed, "```python\n" + "x = '<'\n" * 100_000 + "```", made=made_by))
        for seed in seeds[50:]:
            made.add(
                Drop(Stage.RESPOND, Reason.EMPTY, seed.id, 0, seed.ordinal, None, "", "", None)
            )
        made.open_round(0, 60)
        made.set_meta("seeds", {"source": "x", "format": "alpaca", "n_rows": 60})
        made.db.flush()
        page = render.html(report_of(made, validate({}, where="test")))
    assert len(page.encode()) < 5_000_000
    assert "more characters are left out" in page


def test_a_verdict_is_one_line_without_what_is_empty():
    """Zero is a fact; empty lists and texts are none, nor are the programs of the agreement."""
    detail = {"passed": 0, "said": "a\nb", "missing": [], "why": "", "fault": "def f(): ..."}
    verdict = CheckResult.of(
        small_run.ANSWERS[0], Check.AGREEMENT, "agrees", score=0.5, detail=detail
    )
    found = verdict_text(verdict, max_chars=30)
    assert found == "agreement: agrees 0.50 (passed 0, said a b)"


def test_changes_are_marked_by_words():
    """Of a task what its parent has not, and of the parent what the task lacks."""
    old, new = "Sort words fast.", "Sort dates fast."
    texts = (Text("its parent", old, after=new), Text("task", new, before=old))
    page = render.html(ReportContent("r", "s", (), (ReportSection("a", "A", "c", records=(
        ReportRecord("x", (("round", "1"),), texts),)),)))  # fmt: skip
    assert "<pre>Sort <del>words</del> fast.</pre>" in page
    assert "<pre>Sort <ins>dates</ins> fast.</pre>" in page


def test_texts_too_long_to_compare_are_shown_each_as_it_is():
    """The parent's text is the parent's, also where nothing is marked."""
    old, new = "old " * 2_000, "new " * 2_000
    assert "".join(render.changes_html(old, new, come=False)) == old
    assert "".join(render.changes_html(old, new, gone=False)) == new


@pytest.mark.parametrize(
    ("hit", "said"),
    [
        ({"detector": "ngrams", "side": "solution", "part": "answer", "score": 0.9,
          "seen": "Assign Name v0 | Return Name v0"},
         "The answer has 90% of the solution's statements, names aside."),
        ({"detector": "ngrams", "side": "prompt", "score": 1, "seen": "sort the list"},
         "The task has 100% of the prompt's runs of words: sort the list."),
        ({"detector": "substring", "side": "prompt", "score": 12, "seen": "Sort the list."},
         "The task and the prompt share a run of 12 words: Sort the list."),
        ({"detector": "judge", "seen": "is it the same?", "mark": "weak"},
         ("A model finds that both ask for the same: is it the same?"
         " Alone that is no evidence: the tests accept programs that are no solutions.")),
        ({"detector": "execution", "seen": "`f` passes the tests; weak: the tests accept programs that are not solutions", "mark": "weak"},
         ("The answer passes the problem's tests: `f` passes the tests; weak: the tests accept programs that are not solutions."
         " Alone that is no evidence.")),
        ({"detector": "execution", "seen": "plain: the reference has 9 symbols", "mark": "plain"},
         ("The answer passes the problem's tests: plain: the reference has 9 symbols."
         " Alone that is no evidence: many write this short program by themselves.")),
        ({"detector": "other", "seen": "long" * 100}, f"other: {'long' * 100}"[:306] + "…"),
    ],
)  # fmt: skip
def test_why_a_leak_counts_is_a_sentence(hit, said):
    """It names no node of a syntax tree, and ends with one mark."""
    assert sentence(hit) == said


def test_markdown_says_what_it_leaves_out(store):
    """Records with their texts are in JSON; a pull request has their number."""
    report = report_of(store, validate({}, where="test"))
    n = len(report.as_plain()["sections"]["records"]["records"])
    assert f"\n{n} with texts: in the page and in `--json`.\n" in render.markdown(report)


def test_a_comparison_joins_rows_by_what_they_are_about():
    """Rows are joined by their keys; a row that one report lacks is empty there."""
    one, other = (
        ReportContent(name, "s", (), (ReportSection("drops", "Drops", "c", ReportTable(("reason", "rows", "evidence"),
               rows, ("reason",))),))
        for name, rows in (("x", (("empty", 1, "e"),)), ("y", (("empty", 2, "f"), ("short", 3, "g"))))
    )  # fmt: skip
    assert plain(compared([one, other]), "drops") == [
        {"reason": "empty", "rows A": 1, "rows B": 2},
        {"reason": "short", "rows A": None, "rows B": 3},
    ]


def test_markdown_has_one_line_for_each_row():
    """Bars, line breaks and marks in a text do not break a table."""
    table = ReportTable(("reason", "rows"), (("a|b\n# c `d`", 1),))
    found = render.markdown(ReportContent("r", "s", (), (ReportSection("a", "A", "c", table),)))
    assert r"| a\|b \# c \`d\` | 1 |" in found.splitlines()


def test_the_verb_writes_a_page_and_prints_the_other_forms(store, capsys):
    """The page is written into the folder; JSON and Markdown go to standard output."""
    folder = str(store.folder)
    store.close()
    assert main(["report", folder]) == 0
    path = capsys.readouterr().out.strip()
    assert path == f"{folder}/report.html"
    assert main(["report", folder, "--json"]) == 0
    assert "funnel" in json.loads(capsys.readouterr().out)["sections"]
    assert main(["report", folder, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Run run")
    assert main(["report", folder, "--compare", folder, "--markdown"]) == 0
    assert "kept B" in capsys.readouterr().out


def test_a_run_is_not_compared_with_an_evaluation(store, tmp_path, capsys):
    """Their sections have nothing in common: one line names both kinds, and no page is written."""
    folder, evaluated = str(store.folder), str(tmp_path / "eval")
    store.close()
    EvalStore.create(tmp_path / "eval", {"model": "scripted:toy"}).close()
    for one, other in ((folder, evaluated), (evaluated, folder)):
        assert main(["report", one, "--compare", one, other]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "is an evaluation" in err
        assert "is a run" in err
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_one_line(store, capsys, monkeypatch, module):
    """Without the extra, the message names it and the forms that need nothing."""
    folder = str(store.folder)
    store.close()
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["report", folder]) == 2
    said = capsys.readouterr().err
    assert "evolcoder[report]" in said
    assert "--markdown" in said
    assert said.count("\n") == 1
    assert main(["report", folder, "--json"]) == 0


@pytest.mark.parametrize("flag", ["--json", "--markdown"])
def test_out_is_for_the_page(store, capsys, flag):
    """`--out` with another form is refused."""
    folder = str(store.folder)
    store.close()
    assert main(["report", folder, "--out", "x.html", flag]) == 2
    assert "redirect" in capsys.readouterr().err


def test_throughput_is_drawn_from_round_to_round(tmp_path):
    """A line for each stage; none where it did not run, and no figure of one round."""
    charts = []
    for seconds in ({"0": {"respond": 2.0}, "1": {"evolve": 2.0, "respond": 4.0}},
                    {"1": {"evolve": 2.0}}):  # fmt: skip
        with RunStore.create(tmp_path / str(len(charts)), validate({}, where="test")) as store:
            small_run.fill(store)
            store.set_meta(SECONDS_META, seconds)
            store.db.flush()
            report = report_of(store, validate({}, where="test"))
        charts.append(next(one.chart for one in report.sections if one.name == "speed"))
    assert charts[0].categories == ("seeds", "round 1")
    values = {one.name: one.values for one in charts[0].series}
    assert values.keys() == {"respond", "evolve"}
    assert values["evolve"][0] is None
    assert values["evolve"][1] > 0
    assert charts[1] is None


def test_names_in_notes_are_code_and_stay_data():
    """What stands in backticks is shown as code; a tag in it, or a lone backtick, is text."""
    note = "`verify.drop` decides, `<b>x</b>` does not; a ` alone"
    section = ReportSection("a", "A", "c", ReportTable(("n",), ((1,),)), notes=(note,))
    page = render.html(ReportContent("r", "s", (), (section,)))
    assert (
        "<code>verify.drop</code> decides, <code>&lt;b&gt;x&lt;/b&gt;</code> does not; a ` alone"
        in page
    )
