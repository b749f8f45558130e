"""The documentation site in the system's Chromium: accessible, silent, and alone."""

import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from browsing import faults_at_every_size
from documentation.blocks import ROOT

pytestmark = pytest.mark.e2e
PAGES = (
    "", "verify/", "reference/configuration/", "reference/api/", "tutorials/language/", "results/",
    "comparison/", "experiments/",
)  # fmt: skip
"""One page of each kind: prose, tables, code, long tables, figures."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The address of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder], cwd=ROOT,
        check=False, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_every_kind_of_page_is_accessible_silent_and_asks_its_own_server_only(browser, axe, pages):
    """No serious fault in axe at 1280 and 400 pixels, light and dark; no message."""
    assert "\n".join(faults_at_every_size(browser, axe, [f"{pages}{one}" for one in PAGES])) == ""


def test_the_search_finds_a_page(browser, pages):
    """Typing a reason of a drop leads to the page that explains it."""
    page = browser.new_page()
    page.goto(pages)
    page.keyboard.press("/")
    page.keyboard.type("only_thought")
    page.locator(".md-search-result__link").first.wait_for()
    links = page.locator(".md-search-result__link").all()
    assert any("reference/drops" in link.get_attribute("href") for link in links)
    page.close()
