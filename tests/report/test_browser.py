"""Reports in the system's Chromium: accessible, silent, alone, and their filters and sorting work."""

import importlib.resources
import shutil

import pytest

from evolcoder.bench import registry
from evolcoder.cli.main import main
from report import samples

pytestmark = pytest.mark.e2e
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SERIOUS = {"serious", "critical"}


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


@pytest.fixture(scope="module")
def browser(pages):
    """Chromium, driven by Playwright; it starts after the pages, since it occupies the loop."""
    assert all(path.exists() for path in pages)
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core."""
    package = pytest.importorskip("axe_core_python", reason="no axe-core")
    return importlib.resources.files(package).joinpath("axe.min.js").read_text("utf-8")


def test_a_report_is_accessible_silent_and_asks_for_nothing(browser, axe, pages):
    """No serious fault in axe at 1280 and 400 pixels, light and dark; no message, no request."""
    for path in pages:
        for width, scheme in ((1280, "light"), (400, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            messages, asked = [], []
            page.on("console", lambda one, seen=messages: seen.append(one.text))
            page.on("pageerror", lambda one, seen=messages: seen.append(str(one)))
            page.on("request", lambda one, seen=asked: seen.append(one.url))
            page.goto(f"file://{path}")
            page.wait_for_load_state()
            is_image = [url.startswith("data:image/svg+xml") for url in asked]
            assert asked[0] == f"file://{path}"
            assert all(is_image[1:]), asked
            assert messages == []
            width_of_all = page.evaluate("document.documentElement.scrollWidth")
            assert width_of_all <= width, f"{path} scrolls sideways at {width}"
            page.evaluate(axe)
            found = page.evaluate("axe.run().then(found => found.violations)")
            faults = [(one["id"], one["nodes"][0]["html"][:200]) for one in found
                      if one["impact"] in SERIOUS]  # fmt: skip
            assert faults == [], f"{path} at {width}"
            page.close()


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
