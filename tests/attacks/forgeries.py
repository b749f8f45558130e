"""Reads the rows of forgeries.txt."""

import re
from dataclasses import dataclass
from pathlib import Path

from attacks import naive

TEST = """
import math, random, string, unittest
for a, b, c in ((1, 2, 3), (2, 2, 4)):
    assert add(a, b) == c
print("ALL TESTS PASSED")
"""
WRONG = "def add(a, b):\n    return None\n"
SECRET = "(1, 2, 3), (2, 2, 4)"
GRADERS = {
    "exit code": (naive.FILES, {}),
    "marker": (naive.FILES, {"good": naive.MARKER}),
    "twice": (naive.FILES, {"twice": True}),
    "environment": (naive.FILES, {"env": {"EXPECTED": SECRET}}),
    "arguments": (naive.FILES, {"argv": [SECRET]}),
    "pickle": (naive.PICKLE, {}),
    "channel": (naive.CHANNEL, {}),
    "inside": (naive.INSIDE, {}),
}
"""Naive graders by the names that the rows use."""


@dataclass(frozen=True)
class Forgery:
    name: str
    grader: str
    source: str
    test: str

    def __str__(self):
        return self.name

    def naively(self, source=None):
        """The program in which the naive grader judges the forgery, or another source."""
        grader, options = GRADERS[self.grader]
        return naive.program(grader, source or self.source, self.test, **options)


def _rows():
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for row in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, body = row.partition("\n")
        name, grader = re.fullmatch(r"(.*) \[(.*)\]", head).groups()
        source, _, test = body.partition("\n---\n")
        yield Forgery(name, grader, source, test or TEST)


FORGERIES = list(_rows())
