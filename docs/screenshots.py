"""Takes pictures of report, viewer and documentation with the system's Chromium, light and dark.

    python docs/screenshots.py                    makes a run of bundled seeds by the 0.5B model first
    python docs/screenshots.py --runs FOLDER      of the runs and evaluations in a folder
    python docs/screenshots.py --keep             also writes parts of pages into docs/images

Pictures go to runs/screenshots/pictures, named PAGE-WIDTH-SCHEME.png. Needs the extras `view`,
`report` and `browser`. Pictures that are kept in the repository show bundled seeds only.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "runs" / "screenshots"
COMMAND = "import sys; from evolcoder.cli.main import main; sys.exit(main())"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHAPES = ((1280, 800), (400, 800))
SCHEMES = ("light", "dark")
KEPT = {"report": "#funnel", "row": "section.chosen"}
"""Page -> the part of it that is kept in docs/images."""
KEPT_WIDTH, MARGIN = 960, 24
MODEL = "qwen2.5-coder-0.5b"


def evolcoder(*words: object) -> None:
    """Run a command line of evolcoder; SystemExit if it fails."""
    done = subprocess.run([sys.executable, "-c", COMMAND, *map(str, words)], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"evolcoder {' '.join(map(str, words))}: exit code {done.returncode}")


def make_data(folder: Path) -> None:
    """Make a run of bundled seeds and an evaluation of a benchmark of two problems."""
    run, score = folder / "demonstration", folder / "score"
    evolcoder("run", "--limit", 8, "--rounds", 2, "--model", MODEL, "--out", run)
    bench = folder / "duration.jsonl"
    page = (ROOT / "docs/tutorials/benchmark.md").read_text(encoding="utf-8")
    found = re.search(r'```python title="make_bench.py"\n(.*?)^```', page, re.DOTALL | re.MULTILINE)
    assert found is not None
    subprocess.run([sys.executable, "-c", found[1]], cwd=folder, check=True)
    evolcoder("eval", "--bench", bench, "--model", MODEL, "--out", score)


@contextmanager
def viewer(folder: Path) -> Iterator[str]:
    """Serve the viewer of a folder; yield its address with the token."""
    words = [sys.executable, "-c", COMMAND, "view", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Build the documentation and serve it; yield its address."""
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(words, cwd=ROOT, check=True, env=quiet)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_: object) -> None:
        """Do nothing."""


def viewer_pages(page: Any, address: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield the name and address of a page of each kind, as its links name them."""
    page.goto(address)
    page.locator("main h1").wait_for()  # the first page leads on to this one
    yield "viewer", page.url
    links = {"run": "a[href^='/run/']", "evaluation": "a[href^='/evaluation/']"}
    found = {name: _first(page, selector) for name, selector in links.items()}
    if run := found["run"]:
        run = re.sub(r"(/run/[^/?]+).*", r"\1", run)
        yield "run", run
        yield "rows", f"{run}/rows"
        page.goto(f"{run}/rows?round=1")
        if row := _first(page, "a[href*='/row/']"):
            yield "row", row
        yield "drops", f"{run}/drops"
    if evaluation := found["evaluation"]:
        yield "evaluation", evaluation
        page.goto(evaluation)
        page.get_by_text("being counted").first.wait_for(state="hidden")
        if problems := _first(page, "a[href*='/problems']"):
            yield "problems", problems
            page.goto(problems)
        if problem := _first(page, "a[href*='/problem?']"):
            yield "problem", problem


def _first(page: Any, selector: str) -> str:  # noqa: ANN401
    """Return the whole address of the first link; empty if there is none."""
    links = page.locator(selector)
    return str(links.first.evaluate("link => link.href")) if links.count() else ""


def reports(folder: Path) -> Iterator[tuple[str, str]]:
    """Write the report of each run, evaluation and loop; yield names and addresses."""
    kinds = {"run.db": "report", "eval.db": "report-of-evaluation", "loop.db": "report-of-loop"}
    for database, name in kinds.items():
        for path in sorted(folder.glob(f"*/{database}"))[:1]:
            evolcoder("report", path.parent, "--out", folder / f"{name}.html")
            yield name, (folder / f"{name}.html").as_uri()


def take(browser: Any, pages: Sequence[tuple[str, str]], out: Path, cookies: Any) -> None:  # noqa: ANN401
    """Take each page at each width and scheme: the first screen, and the whole page."""
    for width, height in SHAPES:
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            context.add_cookies(cookies)
            page = context.new_page()
            for name, address in pages:
                page.goto(address)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=out / f"{name}-{width}-{scheme}.png")
                whole = out / "whole" / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=whole, full_page=True)
                if name in KEPT and width == SHAPES[0][0]:
                    part = out / "parts" / f"{name}-{scheme}.png"
                    page.screenshot(path=part, full_page=True, clip=_around(page, KEPT[name]))
            context.close()


def _around(page: Any, selector: str) -> dict[str, float]:  # noqa: ANN401
    """Return the box of a part of a page with a margin, at the top of the page."""
    box = page.locator(selector).bounding_box()
    width = min(box["width"] + 2 * MARGIN, SHAPES[0][0])
    x, y = max(0, box["x"] - MARGIN), max(0, box["y"] - MARGIN / 2)
    return {"x": x, "y": y, "width": width, "height": box["height"] + MARGIN}


def keep(out: Path) -> None:
    """Write the parts of `KEPT` into docs/images, smaller and compressed."""
    from PIL import Image  # noqa: PLC0415 - of matplotlib

    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    for path in sorted((out / "parts").glob("*.png")):
        with Image.open(path) as picture:
            height = picture.height * KEPT_WIDTH // picture.width
            small = picture.convert("RGB").resize((KEPT_WIDTH, height), Image.Resampling.LANCZOS)
            small.save(images / f"{path.stem}.webp", quality=85, method=6)


def main() -> int:
    """Make data if none is named, and take all pictures."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of runs and evaluations")
    parser.add_argument("--keep", action="store_true", help="write those of docs/images anew")
    args = parser.parse_args()
    if args.keep and args.runs:
        parser.error("--keep is for bundled seeds; leave out --runs")
    from playwright import sync_api  # noqa: PLC0415 - an extra

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        parser.error(f"no browser; looked for {', '.join(BROWSERS)}; apt-get install chromium")
    folder, out = (args.runs or OUT / "data").resolve(), OUT / "pictures"
    for part in ("whole", "parts"):
        (out / part).mkdir(parents=True, exist_ok=True)
    if args.runs is None:
        folder.mkdir(parents=True, exist_ok=True)
        make_data(folder)
    pages = list(reports(folder))
    with viewer(folder) as shown, site(OUT / "site") as docs, sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        first = browser.new_context()
        pages += viewer_pages(first.new_page(), shown)
        pages += [("docs", docs), ("docs-guide", f"{docs}verify/"), ("docs-keys", f"{docs}reference/configuration/")]  # fmt: skip
        take(browser, pages, out, first.cookies())
        browser.close()
    if args.keep:
        keep(out)
    print(json.dumps({"pictures": str(out), "pages": [name for name, _ in pages]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
