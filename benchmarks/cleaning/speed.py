"""Measures one cleaning of one file by one tool: its cost, and its recall of planted duplicates."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cleaning.corpus import Corpus
from harness import process
from harness.venvs import VenvError, python_of

HERE = Path(__file__).parent
LIMIT_S = 3600.0
"""Longest time of one cleaning: a million rows on a machine that others use."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that drops near doubles."""

    title: str
    """As printed."""
    script: str
    """Takes the rows and a folder, and prints the numbers of the rows that it drops."""
    python: Callable[[], str]
    """Its interpreter; raises VenvError if it has no venv."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """A tool's run over a file."""

    title: str
    """The tool."""
    n_rows: int
    """Rows that went in."""
    cpu_s: float
    """User and system time of all its processes."""
    wall_s: float
    """From start to end."""
    peak_mb: float
    """Largest process at its peak."""
    recall: float
    """Share of planted pairs of which one row was dropped."""
    precision: float
    """Share of dropped rows that are of a planted pair whose other row stays."""
    failure: str
    """Why there are no numbers; else empty."""


def _mine() -> str:
    return sys.executable


def _venv(name: str) -> Callable[[], str]:
    return lambda: str(python_of(name))


TOOLS = {
    "evolcoder": Tool("evolcoder", "dedup_evolcoder.py", _mine),
    "datasketch": Tool("datasketch 2.0.0", "dedup_datasketch.py", _venv("datasketch")),
    "text-dedup": Tool(
        "text-dedup 0.4.0, two processes", "dedup_text_dedup.py", _venv("text-dedup")
    ),
    "semhash": Tool("semhash 0.5.0, vectors of WordLlama", "dedup_semhash.py", _venv("semhash")),
}


def clean(name: str, corpus: Corpus, work: Path) -> Cleaning:
    """Have one tool clean one file."""
    tool, folder = TOOLS[name], work / f"{name}-{corpus.n_rows}"
    folder.mkdir(parents=True)
    try:
        command = [tool.python(), str(HERE / tool.script), str(corpus.path), str(folder)]
    except VenvError as error:
        return Cleaning(tool.title, corpus.n_rows, 0, 0, 0, 0, 0, str(error))
    ended = process.run(command, folder, limit_s=LIMIT_S)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    dropped = {int(line) for line in ended.printed.split()} if not ended.failure else set()
    found = sum((a in dropped) != (b in dropped) for a, b in corpus.pairs)
    return Cleaning(
        tool.title,
        corpus.n_rows,
        ended.cpu_s,
        ended.wall_s,
        ended.peak_mb,
        found / len(corpus.pairs),
        found / len(dropped) if dropped else 0.0,
        ended.failure,
    )
