"""The viewer in the system's Chromium: accessible, silent, alone, and its links and keys work."""

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
    """The viewer of a run and two evaluations: its address with the token, and its pages."""
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
            yield address, _paths(address, child)
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
    address, paths = pages
    base = address.partition("/?")[0]
    addresses = [f"{base}{path}" for path in paths]
    assert faults_at_every_size(browser, axe, addresses, opens=address) == []


def test_a_search_and_the_keyboard_lead_to_a_row(browser, pages):
    """`/` goes to the search, Enter searches, and the row that is found opens with its parent."""
    address, paths = pages
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.goto(f"{address.partition('/?')[0]}{paths[2]}")
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
    context.close()
