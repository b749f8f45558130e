"""Makes rows with planted duplicates: recombined real texts, so that every duplicate is known.

The same size and seed give the same file. Every row has about 300 words: whole lines of Code
Alpaca's tasks and answers in random order. One row in twenty is followed, at most some hundred rows
later, by a duplicate with up to ten replaced words, which keeps a Jaccard index of at least 0.8 in
runs of three words; one duplicate in ten is an exact copy.
"""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolcoder.deduplication.minhash import fold, jaccard, shingles

FILE = "codealpaca/new_codealpaca.json.gz"
N_WORDS = 300
EVERY = 20
"""One row in so many has a double."""
LATER = 100
"""Rows between a row and its double, at most."""
MOST_CHANGED = 10
LEAST = 0.8
"""Jaccard index of a row and its double, at least."""
LEAST_WORDS = 4
"""Shorter lines are braces and the like."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A file of rows."""

    path: Path
    """JSON lines with one field, `instruction`."""
    n_rows: int
    """Rows in it."""
    pairs: tuple[tuple[int, int], ...]
    """Row numbers of planted doubles."""


def write(data: Path, folder: Path, n_rows: int, *, seed: int = 0) -> Corpus:
    """Write so many rows into a folder."""
    rng = random.Random(seed)
    lines = list(_lines(data))
    path = folder / f"rows-{n_rows}.jsonl"
    pairs: list[tuple[int, int]] = []
    waiting: dict[int, tuple[int, list[str]]] = {}
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_rows):
            if number in waiting:
                first, words = waiting.pop(number)
                pairs.append((first, number))
            else:
                words = _fresh(rng, lines)
                twin = number + rng.randint(1, LATER)
                if rng.random() < 1 / EVERY and twin < n_rows and twin not in waiting:
                    waiting[twin] = number, _changed(rng, words, lines)
            file.write(json.dumps({"instruction": " ".join(words)}) + "\n")
    return Corpus(path, n_rows, tuple(pairs))


def _lines(data: Path) -> Iterator[list[str]]:
    with gzip.open(data / FILE, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    for row in rows:
        texts = (str(row.get(key) or "") for key in ("instruction", "input", "output", "response"))
        for line in "\n".join(texts).splitlines():
            if len(words := line.split()) >= LEAST_WORDS:
                yield words


def _fresh(rng: random.Random, lines: list[list[str]]) -> list[str]:
    words: list[str] = []
    while len(words) < N_WORDS:
        words += rng.choice(lines)
    return words[:N_WORDS]


def _changed(rng: random.Random, words: list[str], lines: list[list[str]]) -> list[str]:
    if rng.random() < 0.1:
        return words
    whole, changed = _runs(words), [*words]
    for at in rng.sample(range(len(words)), rng.randint(1, MOST_CHANGED)):
        before, changed[at] = changed[at], rng.choice(rng.choice(lines))
        if jaccard(whole, _runs(changed)) < LEAST:
            changed[at] = before
    return changed


def _runs(words: list[str]) -> frozenset[str]:
    return shingles(fold(" ".join(words)))
