"""Finds the fenced blocks of a page of documentation.

>>> [block.info for block in blocks(Path("README.md"))][:1]   # doctest: +SKIP
['bash']
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    """Number of the line that opens it."""
    language: str
    title: str
    """Path of the file that it shows; empty for nearly all."""
    text: str

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    def lines(self):
        """Yield its commands: lines without comment, continued ones joined."""
        for line in self.text.replace("\\\n", " ").splitlines():
            plain = re.split(r"(?:^|\s)#(?:\s|!|SBATCH)", line)[0].strip()
            if plain:
                yield plain


def blocks(path):
    """Yield the blocks of a page."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT / "docs" if path.is_relative_to(ROOT / "docs") else ROOT)
    for found in _FENCE.finditer(text):
        title = _TITLE.search(found[2])
        yield Block(
            str(name), text.count("\n", 0, found.start()) + 1, found[2].split(" ")[0],
            title[1] if title else "", found[3],
        )  # fmt: skip
