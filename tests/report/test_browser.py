"""Reports in the system's Chromium: accessible, silent, alone, and their filters and sorting work."""

import pytest

from browsing import faults_at_every_size, illegible_figures, unprintable
from evolcoder.bench import registry
from evolcoder.cli.main import main
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel
from report import samples

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The reports of a run, a cleaned file and a loop."""
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BENCHES, "toy", samples.toy_bench)
        patch.setenv("EVOLCODER_CACHE", str(folder / "cache"))
        paths = [
            samples.run(folder / "run"), samples.cleaned(folder), samples.loop(folder / "loop")
        ]  # fmt: skip
        assert [main(["report", str(path)]) for path in paths] == [0, 0, 0]
    names = ("run/report.html", "clean.report.html", "loop/report.html")
    return [folder / name for name in names]


def test_a_report_is_accessible_silent_and_asks_for_nothing(browser, axe, pages):
    """No serious fault in axe at 1280 and 400 pixels, light and dark; no message, no request."""
    addresses = [path.as_uri() for path in pages]
    assert faults_at_every_size(browser, axe, addresses) == []


def test_a_report_is_dark_on_white_on_paper_and_fits(browser, pages):
    """Also when it is printed from a dark screen; wide tables are not cut off."""
    assert {path.name: unprintable(browser, path.as_uri()) for path in pages} == {
        path.name: [] for path in pages
    }


def test_filters_hide_records_and_headers_sort(browser, pages):
    """A search leaves what holds the word; a click on a header orders numbers as numbers."""
    page = browser.new_page()
    page.goto(f"file://{pages[0]}")
    articles = page.locator("#records article")
    n = articles.count()
    assert n > 1
    page.locator("#records [data-search]").fill("dates")
    shown = [one for one in articles.all() if one.is_visible()]
    assert 0 < len(shown) < n
    assert all("dates" in one.inner_text() for one in shown)
    page.locator("#nearest th button", has_text="cosine").click()
    at = [one.inner_text() for one in page.locator("#nearest th").all()].index("cosine") + 1
    cells = page.locator(f"#nearest td:nth-child({at})").all_inner_texts()
    assert [float(one) for one in cells] == sorted(float(one) for one in cells)
    leaks = page.locator("#leaks article")
    assert leaks.count() == 1
    assert samples.LEAK.wording[:30] in leaks.first.inner_text()
    page.close()


def test_records_are_filtered_by_each_of_several_values_and_sorted(browser, pages):
    """A leak that two detectors found is among those of either; rounds are ordered as numbers."""
    page = browser.new_page()
    page.goto(pages[1].as_uri())
    leak = page.locator("#leaks article")
    choice = page.locator("#leaks [data-fact=detector]")
    offered = choice.locator("option").all_inner_texts()
    assert offered == ["all", "ngrams", "substring"]
    for detector in offered[1:]:
        choice.select_option(detector)
        assert leak.is_visible()
    page.goto(pages[0].as_uri())
    verdict = page.locator("#records [data-fact=verdict]")
    verdict.select_option("runs: passed")
    rows = page.locator("#records article")
    assert [one.get_attribute("data-verdict") for one in rows.all() if one.is_visible()] == [
        "runs: passed"
    ]
    verdict.select_option("all")
    page.locator("#records [data-sort-by]").select_option("round")
    rounds = [int(one.get_attribute("data-round")) for one in rows.all()]
    assert rounds == sorted(rounds)
    page.locator("#records [data-sort-by]").select_option("as listed")
    assert [int(one.get_attribute("data-round")) for one in rows.all()] != rounds
    page.close()


@pytest.mark.parametrize(("width", "n_columns"), [(1280, 2), (400, 1)])
def test_a_parent_is_next_to_its_task(browser, pages, width, n_columns):
    """Side by side where there is room, else above it; the answer has the whole width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(pages[0].as_uri())
    record = page.locator("#records .pairs").first
    texts = {one.locator("h4").inner_text(): one.bounding_box()
             for one in record.locator("> div").all()}  # fmt: skip
    assert list(texts) == ["its parent", "task", "answer"]
    parent, task, answer = texts.values()
    assert len({parent["x"], task["x"]}) == n_columns
    assert (parent["y"] == task["y"]) is (n_columns == 2)
    assert answer["width"] == record.bounding_box()["width"]
    page.close()


def test_the_numbers_of_the_funnel_are_those_of_the_database(browser, pages):
    """Round, in, kept, dropped and waiting of every stage, as a reader sees them."""
    with RunStore.read(pages[0].parent) as store:
        lines = funnel(store)
    page = browser.new_page()
    page.goto(pages[0].as_uri())
    seen = [
        row.locator("td").all_inner_texts()[:6] for row in page.locator("#funnel tbody tr").all()
    ]
    assert seen == [
        [str(line.round), line.stage.value, *map(str, (line.entered, line.kept, line.n_dropped, line.waiting))]
        for line in lines
    ]  # fmt: skip
    assert any(line.n_dropped for line in lines)
    page.close()


@pytest.mark.parametrize("width", [1280, 700, 600, 400, 360])
def test_figures_are_legible_without_scrolling_sideways(browser, pages, width):
    """On a phone a figure of its own is shown; its text stays readable at every width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    for path in pages:
        page.goto(path.as_uri())
        assert illegible_figures(page) == []
    page.close()
