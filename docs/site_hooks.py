"""Hooks of the documentation site: links out of `docs`, plain Markdown of every page, `llms.txt`.

The address of the repository is not part of the site, so links to its other files become their
names. A picture takes the page's scheme, light or dark. The theme's search gets a name for screen
readers. Every page is also written as Markdown next to its HTML, and `llms.txt` lists the pages
with their first sentence, for programs that read documentation.
"""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]\n]+)\]\((\.\./[^)\s]+)\)")
_PICTURE = re.compile(r"!\[([^\]\n]*)\]\(([^)\s]+)-light\.webp\)")
"""A picture that has a dark version next to it."""
_NO_PROSE = ("#", "|", "-", "!", "Date:")
"""Beginnings of a page's parts that say nothing about it."""
_PAGES: dict[str, tuple[str, str]] = {}
"""Path of a page -> its title and Markdown."""


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:  # noqa: ANN401
    """Turn links to files outside of the documentation into their names."""
    docs = Path(config["docs_dir"]).resolve()
    here = (docs / page.file.src_uri).parent

    def plain(found: re.Match[str]) -> str:
        target = (here / found[2].partition("#")[0]).resolve()
        return found[0] if target.is_relative_to(docs) else f"`{target.relative_to(docs.parent)}`"

    text = _LINK.sub(plain, markdown)
    _PAGES[page.file.src_uri] = (page.title or page.file.name, text)
    return _PICTURE.sub(r"![\1](\2-light.webp#only-light)![\1](\2-dark.webp#only-dark)", text)


_SEARCH = 'data-md-component="search" role="dialog"'


def on_post_page(output: str, **_: Any) -> str:  # noqa: ANN401
    """Name the dialog of the search, which the theme leaves without a name."""
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"')


def on_post_build(*, config: Any, **_: Any) -> None:  # noqa: ANN401
    """Write the Markdown of every page, and `llms.txt`."""
    site = Path(config["site_dir"])
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}", "", "## Pages", ""]
    for uri, (title, text) in _PAGES.items():
        path = site / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        lines.append(f"- [{title}]({uri}): {first_sentence(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _PAGES.clear()


def first_sentence(text: str) -> str:
    """Return the first sentence of a page's prose."""
    plain = re.sub(r"<!--.*?-->|```.*?```", "", text, flags=re.DOTALL)
    parts = (part.strip() for part in plain.split("\n\n"))
    prose = [part for part in parts if part and not part.startswith(_NO_PROSE)]
    found = " ".join(prose[0].split()) if prose else ""
    found = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", found)
    return re.split(r"(?<=[.])\s(?=[A-Z`])", found, maxsplit=1)[0]
