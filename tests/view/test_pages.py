"""Every kind of page of the viewer in Chromium: accessible, silent, alone, true to the database, with links and keys."""

import json
import re
import signal
import subprocess
import sys

import httpx
import pytest

from browsing import faults_at_every_size
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel
from report import samples

pytestmark = pytest.mark.e2e
MAIN = "import sys; from evolcoder.cli.main import main; sys.exit(main())"
ANSWER = "Here it is.\n\n```python\ndef f(x):\n    return [one for one in x if one > 2]\n```\n"


def evaluation(folder, *, n_passed):
    """Write an evaluation of four problems."""
    with EvalStore.create(folder, {"model": "toy"}) as store:
        for at in range(4):
            store.add_sample("toy", Sample.of(f"toy/{at}", 0, ANSWER, PromptForm.ANSWER), "stop")
            kind = "passed" if at < n_passed else "failed"
            facts = {"kind": kind, "separation": "parent", "layers": [], "got": "[3]"}
            store.add_verdict(
                "toy", StoredVerdict(f"toy/{at}", 0, at < n_passed, None, "fence", facts)
            )
        store.db.flush()
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The viewer of a run and two evaluations: address with token, paths of pages, folder."""
    folder = tmp_path_factory.mktemp("view")
    run = samples.run(folder / "run")
    for name, n_passed in (("before", 1), ("after", 3)):
        evaluation(folder / name, n_passed=n_passed)
    with RunStore.read(run) as store:
        child = next(row.task.id for row in store.rows() if row.task.round == 1)
    command = [sys.executable, "-c", MAIN, "view", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        try:
            yield address, _paths(address, child), folder
        finally:
            process.send_signal(signal.SIGINT)


def _paths(address, child):
    """Return the path of a page of each kind, as the pages' own links name them."""
    with httpx.Client(follow_redirects=True) as client:
        client.get(address)  # leads on to the first page, with a cookie
        home = client.get(address.partition("?")[0]).text
    runs = re.findall(r'href="(/run/[\w-]+)"', home)
    found = sorted(set(re.findall(r'href="(/evaluation/[\w-]+)"', home)))
    keys = [one.rpartition("/")[2] for one in found]
    return [
        "/", runs[0], f"{runs[0]}/rows", f"{runs[0]}/rows?query=dates", f"{runs[0]}/row/{child}",
        f"{runs[0]}/drops", found[0], f"{found[0]}/problems?bench=toy",
        f"{found[0]}/problem?bench=toy&id=toy/3", f"/compare?a={keys[0]}&b={keys[1]}",
    ]  # fmt: skip


def test_every_page_is_accessible_silent_and_asks_its_own_server_only(browser, axe, pages):
    """No serious fault in axe at 1280 and 400 pixels, light and dark; no message."""
    address, paths, _ = pages
    base = address.partition("/?")[0]
    addresses = [f"{base}{path}" for path in paths]
    assert faults_at_every_size(browser, axe, addresses, opens=address) == []


def test_a_search_and_the_keyboard_lead_to_a_row(browser, pages):
    """`/` goes to the search, Enter searches, and the row that is found opens with its parent."""
    address, paths, _ = pages
    page = opened(browser, address, paths[2])
    page.keyboard.press("/")
    page.keyboard.type("dates")
    page.keyboard.press("Enter")
    page.wait_for_url("**query=dates**")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/row/**")
    text = page.locator("main").inner_text()
    assert "round 0: seed" in text
    assert "round 1: deepen" in text
    assert "print(2)" in text
    page.context.close()


def test_the_numbers_of_a_run_are_those_of_the_database(browser, pages):
    """In, kept, dropped and waiting of every stage."""
    address, paths, folder = pages
    with RunStore.read(folder / "run") as store:
        lines = funnel(store)
    page = opened(browser, address, paths[1])
    rows = page.locator("section[aria-labelledby=funnel] tbody tr")
    rows.first.wait_for()
    seen = [row.locator("td").all_inner_texts()[:6] for row in rows.all()]
    assert seen == [
        [str(line.round), line.stage.value, *map(str, (line.entered, line.kept, line.n_dropped, line.waiting))]
        for line in lines
    ]  # fmt: skip
    page.context.close()


def test_a_lineage_leads_to_the_seed_and_a_note_is_stored(browser, pages):
    """The child's page links to its seed; a flag and a note are there after a reload."""
    address, paths, folder = pages
    page = opened(browser, address, paths[4])
    page.locator("#round-0 .facts a").click()
    page.wait_for_url("**/row/**")
    assert page.locator("section.chosen h2").inner_text() == "Round 0"
    assert "Sort a list." in page.locator("section.chosen").inner_text()
    page.locator("textarea[name=note]").fill("look <b>again</b>")
    page.get_by_label("flagged").check()
    page.get_by_role("button", name="Store").click()
    page.wait_for_load_state()
    page.reload()
    assert page.locator("textarea[name=note]").input_value() == "look <b>again</b>"
    assert page.get_by_label("flagged").is_checked()
    stored = (folder / "run/annotations.jsonl").read_text().splitlines()
    assert json.loads(stored[-1])["note"] == "look <b>again</b>"
    page.context.close()


def test_two_evaluations_show_the_problems_that_changed(browser, pages):
    """Those that only the later one passes, with both answers one click away."""
    address, paths, _ = pages
    page = opened(browser, address, paths[-1])
    changed = page.locator("tbody tr[data-item]")
    assert [row.locator("a").inner_text() for row in changed.all()] == ["toy/1", "toy/2"]
    changed.first.locator("a").click()
    page.wait_for_url("**/compare/problem**")
    text = page.locator("main").inner_text()
    assert "failed" in text
    assert "passed" in text
    page.context.close()


def opened(browser, address, path):
    """Open a page of the viewer in a context of its own that has the token."""
    page = browser.new_context().new_page()
    page.goto(address)
    page.locator("main h1").wait_for()  # the first page leads on by itself
    page.goto(f"{address.partition('/?')[0]}{path}")
    return page
