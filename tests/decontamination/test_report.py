"""The contamination report."""

import json
import random
from collections import Counter
from html.parser import HTMLParser

import pytest

from decontamination.leaky import ITEMS
from evolcoder.decontamination.certificate import CleanedData, certificate
from evolcoder.decontamination.certificate import page as certificate_page
from evolcoder.decontamination.hits import Detector, DropRule, Hit, RowField, SpanMark, TextSpan
from evolcoder.decontamination.llm_judge import Answer, JudgedPair
from evolcoder.decontamination.nearest import NearPair
from evolcoder.decontamination.report import (
    DropChoice,
    ReportedHit,
    as_dict,
    page,
    report_of,
    search_record,
    section,
    table,
)

HOSTILE = "<script>alert(1)</script><img src=http://x onerror=y>\"'&</section>"


def hit(row, detector, item="toy/0", seen="seen", benchmark="toy", mark=SpanMark.CONCLUSIVE):
    return Hit(row, benchmark, item, detector, RowField.TASK, TextSpan.PROMPT, seen, 1.0, mark)


HITS = [
    hit("a", Detector.NGRAMS),
    hit("a", Detector.SUBSTRING),
    hit("b", Detector.NGRAMS, "toy/1"),
    hit("c", Detector.JUDGE, "toy/1", benchmark="other"),
]
RAN = [Detector.JUDGE, Detector.NGRAMS, Detector.SUBSTRING]


def report(hits=HITS, **changes):
    given = {"n_rows": 10, "ran": RAN, "drops": [DropRule.ANY], **changes}
    return report_of(hits, **given)


def test_each_detector_is_counted_alone_and_together():
    """Rows per detector, rows found by it alone, and problems; then all detectors together."""
    assert [f for f in report().found if f.benchmark == "all"] == [
        ReportedHit("ngrams", "all", 2, 1, 2, 0),
        ReportedHit("substring", "all", 1, 0, 1, 0),
        ReportedHit("judge", "all", 1, 1, 1, 0),
        ReportedHit("together", "all", 3, 3, 3, 0),
    ]


def test_passes_that_do_not_tell_are_counted_and_marked_and_stay():
    """A weak pass is shown in every form of the report and drops no row by default."""
    weak = hit("w", Detector.EXECUTION, "toy/2", seen="weak one", mark=SpanMark.WEAK)
    told = hit("a", Detector.EXECUTION)
    found = report([*HITS, weak, told], ran=[*RAN, Detector.EXECUTION])
    assert ReportedHit("execution", "all", 2, 1, 2, 1) in found.found
    assert ReportedHit("together", "all", 4, 4, 4, 1) in found.found
    assert DropChoice("any", 7, 3, 0) in found.choices
    assert DropChoice("execution", 9, 1, 2) in found.choices
    assert DropChoice("execution-any", 8, 2, 2) in found.choices
    assert "w" not in found.dropped
    assert [h["mark"] for h in as_dict(found)["hits"] if h["row"] == "w"] == ["weak"]
    assert "<td>weak</td><td>weak one</td>" in section(found)


def test_before_and_after_add_up_for_every_choice():
    """Rows before equal rows kept plus rows dropped, for every rule."""
    choices = report(drops=[DropRule.NGRAMS, DropRule.JUDGE]).choices
    assert choices[0] == DropChoice("none", 10, 0, 3)
    assert DropChoice("any", 7, 3, 0) in choices
    assert DropChoice("substring", 9, 1, 2) in choices
    assert choices[-1] == DropChoice("ngrams,judge", 7, 3, 0)
    assert all(choice.n_kept + choice.n_dropped == 10 for choice in choices)


def test_the_order_of_hits_changes_no_byte():
    """JSON, table and section do not depend on the order of hits."""
    shuffled = HITS * 2
    random.Random(1).shuffle(shuffled)
    assert report(shuffled) == report()
    assert section(report(shuffled)) == section(report())


def test_json_holds_the_evidence_of_every_hit():
    """JSON includes row, problem, detector and excerpt."""
    read = json.loads(json.dumps(as_dict(report())))
    assert len(read["hits"]) == len(HITS)
    assert read["hits"][0] == {
        "row": "a", "benchmark": "toy", "item": "toy/0", "detector": "ngrams", "part": "task",
        "side": "prompt", "seen": "seen", "score": 1.0,
        "mark": "tells",
    }  # fmt: skip
    assert read["dropped"] == ["a", "b", "c"]


class Tags(HTMLParser):
    """Gathers tags, attributes and text."""

    def __init__(self, empty=()):
        super().__init__()
        self.empty = empty
        self.tags, self.attributes, self.texts, self.open = set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.empty:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_hostile_rows_are_shown_as_text():
    """No tag, script or URL of a row becomes part of the page, and no text is lost."""
    hostile = [hit(HOSTILE, Detector.JUDGE, item=HOSTILE, seen=HOSTILE, benchmark=HOSTILE)]
    page = Tags()
    page.feed(section(report(hostile, models=[(Detector.JUDGE, HOSTILE)])))
    known = {
        "section",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    assert page.tags <= known
    assert page.attributes == {"id"}
    assert page.open == []
    assert HOSTILE in page.texts


def test_a_page_stands_alone_and_runs_nothing():
    """A single document without external resources; hostile rows and titles are escaped."""
    hostile = hit(f"{HOSTILE}\ud800", Detector.JUDGE, seen=HOSTILE)
    whole = page(report([*HITS, hostile]), title=HOSTILE)
    found = Tags(empty={"meta"})
    found.feed(whole)
    assert whole.startswith("<!DOCTYPE html>")
    assert found.open == []
    assert not found.tags & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert found.attributes <= {"id", "lang", "charset", "http-equiv", "content"}
    assert "default-src 'none'" in whole
    assert found.texts.count(HOSTILE) == 3  # title, head, what was seen
    for one in HITS:
        assert f"<td>{one.row}</td><td>{one.detector}</td>" in whole
    whole.encode()


def test_what_the_judge_could_not_say_is_in_the_report():
    """Unreadable answers are counted, in the table too."""
    pair = NearPair(ITEMS[0], "row", "task", 0.5, 0.5, False, True)
    judged = [JudgedPair(pair, Answer.UNREADABLE, "well"), JudgedPair(pair, Answer.NO_MATCH, "no")]
    found = report([], judged=judged, models=[(Detector.JUDGE, "toy")])
    assert dict(found.verdicts) == {"unreadable": 1, "no_match": 1}
    assert "unreadable 1" in table(found)
    assert "judge: by toy" in table(found)


@pytest.mark.parametrize("answers", [[], [Answer.MATCH, Answer.UNREADABLE, Answer.FAILED]])
def test_a_certificate_says_what_the_judge_said_and_that_it_is_not_measured(answers):
    """Its hits and verdicts in JSON and on the page; what it left open is a gap."""
    pair = NearPair(ITEMS[0], "row", "task", 0.5, 0.5, False, True)
    judged = [JudgedPair(pair, answer, "why") for answer in answers]
    found = report(judged=judged, models=[(Detector.JUDGE, "toy")])
    searched = search_record(found, known=["toy"])
    (judge,) = (one for one in searched["detectors"] if one["name"] == "judge")
    assert (judge["model"], judge["measured"]) == ("toy", None)
    assert judge["verdicts"] == dict(Counter(answer.value for answer in answers))
    assert {one["verdicts"] is None for one in searched["detectors"]} == {True, False}
    assert [h["n_rows"] for h in searched["hits"] if h["detector"] == "judge"] == [1, 1, 0]
    n_open = sum(answer is not Answer.MATCH for answer in answers)
    gaps = " ".join(searched["not_looked_for"])
    assert "nearest to each problem alone" in gaps
    assert f"decided nothing of {n_open or ''}" in gaps or not n_open
    data = CleanedData("a", None, 10)
    text = certificate_page(
        certificate(
            version="1", source=data, kept=None, beside=(), duplicates={}, dropped={"leak": 3},
            searched=searched, gaps=(),
        )
    )  # fmt: skip
    part = text[text.index("### judge by toy") : text.index("### Hits")]
    said = "failed 1, match 1, unreadable 1" if answers else "none was asked for"
    assert f"Verdicts on pairs of a row and a problem: {said}." in part
    assert "Its recall and precision are not measured." in part


def test_the_table_has_a_line_for_every_detector_and_choice():
    """All counts are shown."""
    lines = table(report()).splitlines()
    assert "detector   benchmark  rows  exclusive  problems  weak or plain" in lines
    assert any(line.split() == ["together", "all", "3", "3", "3", "0"] for line in lines)
    assert any(line.split() == ["any", "7", "3", "0"] for line in lines)
