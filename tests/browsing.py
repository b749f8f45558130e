"""The system's Chromium, driven by Playwright, and what a page must be in it.

A conftest that imports `browser` and `axe` makes them fixtures of its folder; they skip where there is no browser.
"""

import importlib.resources
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "make browser installs it (Chromium as root, by apt-get)"
SERIOUS = {"serious", "critical"}
SHAPES = ((1280, "light"), (1280, "dark"), (400, "light"), (400, "dark"))


@pytest.fixture(scope="module")
def browser(pages):
    """Chromium; it starts after the `pages` of the file, since it occupies the loop."""
    assert pages
    playwright = pytest.importorskip("playwright.sync_api", reason=f"no playwright: {REMEDY}")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no Chromium: {REMEDY}")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core."""
    package = pytest.importorskip("axe_core_python", reason=f"no axe-core: {REMEDY}")
    return importlib.resources.files(package).joinpath("axe.min.js").read_text("utf-8")


def faults(context, address, axe):
    """Open an address and list what is wrong: messages, foreign requests, width, axe's findings.

    The page may ask its own origin and nothing else.
    """
    page = context.new_page()
    messages, asked = [], []
    page.on("console", lambda one: messages.append(f"console: {one.text}"))
    page.on("pageerror", lambda one: messages.append(f"error: {one}"))
    page.on("request", lambda one: asked.append(one.url))
    page.goto(address)
    page.wait_for_load_state()
    origin = "/".join(address.split("/")[:3])
    own = (address if origin == "file://" else f"{origin}/", "data:image/svg+xml")
    foreign = [f"asks {url}" for url in asked if not url.startswith(own)]
    shown, width = (
        page.viewport_size["width"],
        page.evaluate("document.documentElement.scrollWidth"),
    )
    wide = [f"scrolls sideways: {width} of {shown} pixels"] if width > shown else []
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(found => found.violations)")
    page.close()
    return [*messages, *foreign, *wide] + [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])} times)"
        for one in found if one["impact"] in SERIOUS
    ]  # fmt: skip


def faults_at_every_size(browser, axe, addresses, *, opens=None):
    """List the faults of pages at both widths, light and dark; `opens` is opened first."""
    found = []
    for width, scheme in SHAPES:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        if opens:
            context.new_page().goto(opens)
        for address in addresses:
            found += [f"{address} {width} {scheme}: {one}" for one in faults(context, address, axe)]
        context.close()
    return found


LEGIBLE_PX = 11
"""Smallest size at which names in figures are read on a phone."""
FIGURES = """figures => figures.map(one => {
  let frame = one.parentElement, scrolls = false;
  for (; frame; frame = frame.parentElement) scrolls ||= frame.scrollWidth > frame.clientWidth;
  const box = one.getBoundingClientRect();
  return {right: box.right, scrolls, text: 10 * 4 / 3 * box.width / one.naturalWidth};
})"""
"""Of each figure: its right end, whether something scrolls sideways, and the height of its text."""


def illegible_figures(page):
    """List the figures of a page that need scrolling sideways or have small text."""
    page.evaluate("Promise.all([...document.images].map(one => one.decode()))")
    found = page.locator("main img").evaluate_all(FIGURES)
    assert found, "the page has no figure"
    width = page.viewport_size["width"]
    return [one for one in found
            if one["scrolls"] or one["right"] > width or one["text"] < LEGIBLE_PX]  # fmt: skip


PRINTED_PX = 718
"""Width of a sheet of A4 within usual margins."""
WIDE_PARTS = """parts => parts.filter(one => one.checkVisibility()
  && one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 200))"""


def unprintable(browser, address, *, opens=None):
    """List what is wrong with a page on paper, printed from a dark screen."""
    size = {"width": PRINTED_PX, "height": 1000}
    context = browser.new_context(viewport=size, color_scheme="dark")
    if opens:
        context.new_page().goto(opens)  # a page of its own: this one still leads on to another
    page = context.new_page()
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    found = (
        [] if (ink, paper) == ("rgb(28, 28, 28)", "rgb(255, 255, 255)") else [f"{ink} on {paper}"]
    )
    found += page.locator("main *").evaluate_all(WIDE_PARTS)
    context.close()
    return found
