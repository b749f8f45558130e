"""Loops and cleaned files in the viewer: the report's facts and figures, with links to rows."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from evolcoder.bench import registry
from evolcoder.cli.main import main
from evolcoder.experiment.store import LoopStore, StoredStep
from evolcoder.report import cleaning, loop, render
from evolcoder.view import cleaned, latest
from jsonl import write_jsonl
from report import samples
from viewer_client import Shown


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Pages wait for what is made in a thread; the toy benchmark is among those of a name."""
    monkeypatch.setattr(latest, "WAIT_S", 60.0)
    monkeypatch.setitem(registry.BENCHES, "toy", samples.toy_bench)


def only(shown):
    return next(iter(shown.viewer.reports.shown.values()))


def facts_of(page):
    """Return all numbers of a page's tables, as text."""
    return [unescape(one) for one in re.findall(r"<td[^>]*>(?:<a [^>]*>)?([^<]*)", page)]


def test_a_cleaned_file_has_the_facts_of_its_report_and_links_to_its_rows(tmp_path):
    """Every table of the report is there; numbers of rows lead to their pages."""
    out = samples.cleaned(tmp_path)
    shown = Shown(out, tmp_path / "index")
    one = only(shown)
    home = shown.page("/")
    assert "2 of 4 rows were kept" in home
    assert f'href="/cleaned/{one.source.key}"' in home
    page = shown.page(f"/cleaned/{one.source.key}")
    report = cleaning.report_of(out, None)
    for section in report.sections:
        assert f">{section.title}</h2>" in page
        for row in section.table.rows if section.table else ():
            assert {render.number(value) for value in row} <= set(facts_of(page))
    links = set(re.findall(r'href="(/cleaned/[^"]+)"', page))
    rows = f"/cleaned/{one.source.key}/row"
    assert {f"{rows}/2", f"{rows}/0", f"{rows}/3", f"{rows}s", f"{rows}s?reason=leak"} <= links
    for link in links:
        shown.page(link.replace("&amp;", "&"))
    figures = re.findall(r'<img class="figure" src="([^"]+)"', page)
    assert len(figures) == sum(section.chart is not None for section in report.sections) > 0
    drawn = shown.client.get(figures[0])
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.text.startswith(("<?xml", "<svg"))


def test_a_dropped_row_stands_next_to_what_it_repeats(tmp_path):
    """A leak has its problem with shared words marked, a duplicate the row that was kept."""
    shown = Shown(samples.cleaned(tmp_path), tmp_path / "index")
    rows = f"/cleaned/{only(shown).source.key}/row"
    leak = shown.page(f"{rows}/3")
    assert "<mark>Merge two ordered ledgers" in leak
    assert "The task and the prompt share a run of" in leak
    double = shown.page(f"{rows}/2")
    assert "repeats row 0 (exact, similarity 1)" in double
    assert "Count the vowels" in double
    assert f'href="{rows}/0">kept row 0' in double
    kept = shown.page(f"{rows}/1")
    assert 'class="outcome good">kept<' in kept
    assert "Count the commas" in kept
    assert "has no row 4" in shown.page(f"{rows}/4", status=404)
    listed = shown.page(f"{rows}s?reason=leak")
    assert re.findall(r">row (\d+)</a>", listed) == ["3"]
    assert re.findall(r">row (\d+)</a>", shown.page(f"{rows}s")) == ["2", "3"]


HOSTILE = (
    "<script>alert(1)</script> sort the list",
    "</pre></section><img src=x onerror=alert(1)> reverse the list",
    "\u202edrow\u202c and \x1b[31mred of a list",
    '"><svg/onload=alert(1)> count the words',
)


def test_texts_of_a_cleaned_file_are_data(tmp_path):
    """Tags of rows, drops and the certificate are escaped, control characters are visible."""
    rows = [{"instruction": text, "output": f"{text}\n```python\n{text}\n```"}
            for text in HOSTILE for _ in range(2)]  # fmt: skip
    data, out = tmp_path / "<b>data.jsonl", tmp_path / "clean.jsonl"
    write_jsonl(data, rows)
    assert main(["clean", str(data), "--out", str(out)]) == 0
    drops = cleaning.drops_path(out)
    more = {"number": 90, "reason": "<script>x", "seen": "<img src=x>", "match_number": "<b>"}
    drops.write_text(f"{drops.read_text()}{json.dumps(more)}\n")
    shown = Shown(out, tmp_path / "index")
    address = f"/cleaned/{only(shown).source.key}"
    numbers = re.findall(r">row (\d+)</a>", rows_page := shown.page(f"{address}/rows"))
    assert len(numbers) == len(HOSTILE) + 1
    pages = [rows_page, shown.page("/"), shown.page(address)]
    pages += [shown.page(f"{address}/row/{number}") for number in numbers[:-1]]
    for page in pages:
        tags = Tags(page)
        assert not {"b", "img", "svg"} & set(tags.names) - ({"img"} if "figure" in page else set())
        assert tags.names.count("script") == 1  # the viewer's own
        assert not any(tag.startswith("on") for tag in tags.attributes)
        assert "\u202e" not in page
        assert "\x1b" not in page
    assert sum("&lt;script&gt;alert(1)" in page for page in pages) >= 2


class Tags(HTMLParser):
    """Collects the tags of a page and the names of their attributes."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_texts_of_a_file_that_changed_are_not_shown(tmp_path):
    """The evidence stays, and the page says why there is no text."""
    shown = Shown(samples.cleaned(tmp_path), tmp_path / "index")
    (tmp_path / "data.jsonl").write_text('{"instruction": "other", "output": "x"}\n')
    page = shown.page(f"/cleaned/{only(shown).source.key}/row/2")
    assert "data.jsonl changed since" in page
    assert "repeats row 0" in page
    assert "other" not in page


def test_dropped_rows_are_paged_by_number_and_filtered_by_reason(tmp_path, monkeypatch):
    """Pages follow each other without a gap; a line that is none of ours is left out."""
    monkeypatch.setattr(cleaned, "PAGE", 7)
    out = samples.cleaned(tmp_path)
    drops = [
        {"stage": "clean", "reason": "leak" if n % 3 else "duplicate_near", "number": n,
         "match_number": 0, "similarity": 0.9, "seen": f"<b>{n}</b>"}
        for n in range(40)
    ]  # fmt: skip
    lines = [json.dumps(one) for one in reversed(drops)]
    lines[5:5] = ["not json", "[]", '{"number": "x"}', '{"number": -1, "reason": "leak"}']
    cleaning.drops_path(out).write_text("".join(f"{line}\n" for line in lines))
    shown = Shown(out, tmp_path / "index")
    rows = f"/cleaned/{only(shown).source.key}/rows"
    for reason, wanted in (("", range(40)), ("duplicate_near", range(0, 40, 3)), ("none", ())):
        found, address = [], f"{rows}?reason={reason}"
        while address:
            page = shown.page(address)
            assert "<b>" not in page
            found += map(int, re.findall(r">row (\d+)</a>", page))
            after = re.search(r'rel="next" href="([^"]+)"', page)
            address = after[1].replace("&amp;", "&") if after else ""
        assert found == list(wanted)


def test_a_loop_has_the_facts_of_its_report_and_links_to_its_runs(tmp_path):
    """Figures, tables and the decision; its runs are linked, and the nearest rows of each."""
    folder = samples.loop(tmp_path / "loop")
    samples.run(folder / "run-main")
    shown = Shown(folder, tmp_path / "index")
    one = only(shown)
    page = shown.page(f"/loop/{one.source.key}")
    report = loop.report_of(folder)
    assert report.summary in page
    assert {one.title for one in report.sections} <= set(
        map(unescape, re.findall(r"<h2 [^>]*>([^<]+)", page))
    )
    run = next(iter(shown.viewer.runs))
    assert f'<a href="/run/{run}">run-main</a>' in page
    near = re.findall(rf'href="(/run/{run}/row/\w+)"', page)
    assert near
    shown.page(near[0])
    figures = re.findall(r'<img class="figure" src="([^"]+)"', page)
    assert len(figures) == sum(section.chart is not None for section in report.sections)
    for figure in figures:
        assert "<svg" in shown.page(figure)
    assert "no such figure" in shown.page(f"/loop/{one.source.key}/figure/none", status=404)
    shown.page(f"/cleaned/{one.source.key}", status=404)
    shown.page(f"/cleaned/{one.source.key}/rows", status=404)


def test_a_loop_that_goes_on_shows_its_steps(tmp_path, capsys):
    """Without results there are the steps; the report says the same."""
    with LoopStore.create(tmp_path / "loop") as store:
        store.add_step(StoredStep("train", "seed/0 <b>", 12.5, ""))
        shown = Shown(tmp_path / "loop", tmp_path / "index")
        address = f"/loop/{only(shown).source.key}"
        assert (
            "1 steps are done; there are no results yet. The last was train seed/0 &lt;b&gt;."
            in (shown.page(address))
        )
    assert main(["report", str(tmp_path / "loop"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"]["steps"]["rows"][0]["seconds"] == 12.5


def test_a_damaged_loop_or_certificate_is_said_on_its_page(tmp_path):
    """The other folders are shown."""
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "loop.json").write_text("{")
    (tmp_path / "x.certificate.json").write_text("{}")
    shown = Shown(tmp_path, tmp_path / "index")
    assert shown.page("/").count("<strong>") == 1  # that of a loop is made when it is opened
    for one in shown.viewer.reports.shown.values():
        assert '<p role="status"><strong>' in shown.page(f"/{one.source.kind}/{one.source.key}")


@pytest.mark.parametrize("name", ["clean.jsonl", "clean.certificate.json", "."])
def test_a_cleaned_file_is_found_by_its_path_its_certificate_and_its_folder(tmp_path, name):
    """It has one address."""
    samples.cleaned(tmp_path)
    keys = {only(Shown(tmp_path / one, tmp_path / "index")).source.key for one in (name, ".")}
    assert len(keys) == 1


def test_a_file_without_a_certificate_is_one_line(tmp_path, capsys):
    """Exit code 2, and what to give."""
    (tmp_path / "a.jsonl").write_text("{}\n")
    assert main(["view", str(tmp_path / "a.jsonl")]) == 2
    assert "a file without a certificate" in capsys.readouterr().err
