"""The viewer in the system's Chromium: pages work, say nothing to the console, and ask for nothing else."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import small_run
from browsing import faults_at_every_size, illegible_figures, unprintable
from evolcoder.bench import registry
from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task
from report import samples
from viewer_client import make_evaluations, make_run

pytestmark = pytest.mark.e2e
TESTS = Path(__file__).parents[1]
VIEW = """
import sys
from evolcoder.bench import registry
from evolcoder.cli.main import main
from report import samples
registry.BENCHES["toy"] = samples.toy_bench
sys.exit(main(["view", sys.argv[1]]))
"""
"""The command, with the toy benchmark among those of a name."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A viewer of a run, two evaluations, a loop and a cleaned file; its printed address."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BENCHES, "toy", samples.toy_bench)
        patch.setenv("EVOLCODER_CACHE", str(folder / "cache"))
        samples.run(folder / "run")
        samples.cleaned(folder)
        samples.run(samples.loop(folder / "loop") / "run-main")
        make_evaluations(folder / "evals")
        command = [sys.executable, "-c", VIEW, str(folder)]
        with subprocess.Popen(
            command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server:
            yield server.stdout.readline().strip()
            server.terminate()


@pytest.fixture
def page(browser, pages):
    """A page that was opened by the printed address; what it said and asked is in lists."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.said, opened.asked = [], []
    opened.on("console", lambda one: opened.said.append(one.text))
    opened.on("pageerror", lambda one: opened.said.append(str(one)))
    opened.on("request", lambda one: opened.asked.append(one.url))
    opened.goto(pages)
    yield opened
    host = pages.partition("/?")[0]
    assert opened.said == []
    assert all(url.startswith(f"{host}/") for url in opened.asked), opened.asked
    opened.close()


def links(page, kind):
    return page.locator(f"a[href^='/{kind}/']")


def shot(page, name):
    """Keep a picture, where SHOTS names a folder."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def counted(page):
    """Load a page again, as it says, until what it counts in a thread is there."""
    while page.get_by_text("in a moment").count():
        page.wait_for_timeout(200)
        page.reload()


def go(page, kind):
    """Open the first page of a kind from the list."""
    links(page, kind).first.click()
    page.wait_for_load_state()


def test_a_loop_shows_its_figures_and_leads_to_a_row(page):
    """The figures are drawn, also in the policy of the viewer; a nearest row opens."""
    go(page, "loop")
    figures = page.locator("img.figure")
    figures.first.wait_for()  # the report is made in a thread
    assert figures.count() > 2
    for at in range(figures.count()):
        figures.nth(at).scroll_into_view_if_needed()
        assert figures.nth(at).evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    folded = page.locator("details:not([open]) > summary").first
    folded.click()
    opened = page.locator("details[open]").count()
    figures.first.evaluate("one => { one.dataset.kept = 'yes' }")
    page.evaluate("document.activeElement.blur()")  # nothing is replaced under the keyboard
    with page.expect_response("**/live"):  # the next look: nothing changed, so all stays
        pass
    page.wait_for_timeout(500)
    assert page.locator("details[open]").count() == opened
    assert figures.first.get_attribute("data-kept") == "yes"
    shot(page, "loop")
    page.locator("a[href*='/row/']").first.click()
    assert page.locator("h1").inner_text().startswith("Row ")


@pytest.mark.parametrize("width", [1280, 700, 600, 400, 360])
def test_figures_are_legible_without_scrolling_sideways(page, width):
    """On a phone a figure of its own is shown; its text stays readable at every width."""
    page.set_viewport_size({"width": width, "height": 900})
    go(page, "loop")
    page.locator("img.figure").first.wait_for()
    assert illegible_figures(page) == []


@pytest.mark.parametrize("kind", ["run", "evaluation", "loop", "cleaned"])
def test_pages_are_dark_on_white_on_paper_and_fit(browser, page, pages, kind):
    """Also when they are printed from a dark screen; wide tables are not cut off."""
    address = f"{pages.partition('/?')[0]}{links(page, kind).first.get_attribute('href')}"
    assert unprintable(browser, address, opens=pages) == []


def test_a_cleaned_file_leads_from_a_count_to_a_row_and_its_problem(page):
    """Counts, list, row; what both texts share is marked."""
    go(page, "cleaned")
    page.locator("a[href$='rows?reason=leak']").first.click()
    page.wait_for_url("**/rows?reason=leak")
    counted(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/row/3")
    page.locator("mark").first.wait_for()
    shot(page, "leak")
    assert "share a run of" in page.locator("main").inner_text()
    page.keyboard.press("u")
    page.wait_for_url("**/rows")


def test_a_search_finds_a_row_and_its_note_is_kept(page):
    """The numbers on the page are those of the database; a note comes back."""
    links(page, "run").filter(has_text="run").first.click()
    page.get_by_label("Search in tasks and answers").fill("dates")
    page.get_by_role("button", name="Search").click()
    for _ in range(100):
        if page.locator("[data-item]").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    assert page.locator("[data-item]").count() == 1
    page.locator("[data-item] a").first.click()
    assert small_run.CHILD.id in page.url
    page.get_by_role("textbox", name="note").fill("look <b>again</b>")
    page.get_by_label("flagged").check()
    page.get_by_role("button", name="Store").click()
    page.wait_for_load_state()
    assert page.get_by_role("textbox", name="note").input_value() == "look <b>again</b>"
    assert page.get_by_label("flagged").is_checked()


def test_two_evaluations_lead_to_a_problem_that_changed(page):
    """Two changed, one each way; both answers stand side by side."""
    go(page, "evaluation")
    page.locator("a[href^='/compare?']").first.click()
    page.wait_for_url("**/compare?*")
    counted(page)
    assert "pass more often" in page.locator("main").inner_text()
    page.locator("tr[data-item] a").first.click()
    assert page.locator(".sides > section").count() == 2


@contextmanager
def viewer(folder):
    """A viewer of another folder; its process and its printed address."""
    command = [sys.executable, "-c", VIEW, str(folder)]
    with subprocess.Popen(
        command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        yield server, server.stdout.readline().strip()
        server.terminate()


def test_no_text_makes_a_page_scroll_sideways_or_act(browser, axe, tmp_path):
    """Words without end in every place that takes text, and tags, at both widths."""
    records, made = [], small_run.MADE
    for n, text in enumerate(
        ("W" * 30_000, "a\u0301" * 5_000, "</pre><img src=x onerror=alert(1)>")
    ):
        seed = Task.seed(text, ordinal=n, language=text[:90])
        child = seed.child(f"{text} more", round=1, heuristic=text[:90], language=text, made=made)
        answer = Response.to(child, f"```python\n{text}\n```", reasoning=text, made=made)
        drop = Drop(Stage.EVOLVE, Reason.EMPTY, child.id, 2, n, text[:90], text, text, made)
        verdict = CheckResult.of(answer, Check.RUNS, text[:90], detail={"said": text})
        records += [seed, child, answer, verdict, drop]
    make_run(tmp_path / "runs" / ("w" * 200), records)
    with viewer(tmp_path / "runs") as (_, address):
        page = browser.new_page()
        page.goto(address)
        links(page, "run").first.wait_for()
        run = links(page, "run").first.evaluate("link => link.href")
        page.goto(f"{run}/rows?round=1")
        while not page.locator("[data-item]").count():
            page.wait_for_timeout(200)
            page.reload()
        rows = [one.evaluate("link => link.href") for one in page.locator("[data-item] a").all()]
        page.close()
        assert len(rows) == 3
        pages = [run, f"{run}/rows", f"{run}/drops?what=evolve:+empty", *rows]
        assert faults_at_every_size(browser, axe, pages, opens=address) == []


def test_a_live_page_says_what_it_no_longer_shows(browser, tmp_path):
    """A folder that is deleted, then one that is there again, then a viewer that ended."""
    folder = tmp_path / "runs" / "gone"
    samples.run(folder, measured=False)
    with viewer(tmp_path / "runs") as (server, address):
        page = browser.new_page()
        page.goto(address)
        go(page, "run")
        folder.rename(tmp_path / "away")
        said = page.get_by_role("status")
        said.filter(
            has_text=re.compile(r"Not up to date since \d.*run.db: cannot be read")
        ).wait_for()
        (tmp_path / "away").rename(folder)
        said.filter(has_not_text=re.compile(".")).wait_for(state="attached")
        server.terminate()
        server.wait()
        said.filter(has_text="the viewer does not answer").wait_for()
        page.close()


def test_pages_are_accessible_silent_and_ask_for_nothing(browser, axe, pages):
    """At both widths, light and dark: no serious fault in axe, and no scrolling sideways."""
    start = browser.new_page()
    start.goto(pages)
    first = {one: links(start, one).first.get_attribute("href")
             for one in ("run", "evaluation", "loop", "cleaned")}  # fmt: skip
    start.close()
    paths = ["/", *first.values(), f"{first['run']}/rows", f"{first['run']}/drops",
             f"{first['cleaned']}/rows", f"{first['cleaned']}/row/2", f"{first['cleaned']}/row/3",
             f"{first['evaluation']}/problems?bench=humaneval"]  # fmt: skip
    host = pages.partition("/?")[0]
    addresses = [f"{host}{path}" for path in paths]
    assert faults_at_every_size(browser, axe, addresses, opens=pages) == []
