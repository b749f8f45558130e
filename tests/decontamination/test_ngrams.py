"""Leaks by shared words and statements."""

import random

import pytest

from decontamination.leaky import CLEAN, ITEMS, RENAMED, REORDERED
from evolcoder.code.normalize import read
from evolcoder.decontamination.hits import Detector, RowField, TextSpan, sort_hits
from evolcoder.decontamination.ngrams import NgramDetector
from toys import WORDS

WHOLE = ITEMS[0]


def hits_of(*rows):
    """Return all hits in rows."""
    grams = NgramDetector(ITEMS)
    for row, task, answer in rows:
        grams.add_row(row, read(task), read(answer))
    return sort_hits(grams.hits())


def found(task="", answer=""):
    """Return (item, part, side) of what one row among clean ones leaks."""
    return {(h.item, h.part, h.side) for h in hits_of(*CLEAN, ("bad", task, answer))}


def test_clean_rows_leak_nothing():
    """Boilerplate, and a problem as small as `return a + b`, is no evidence."""
    assert hits_of(*CLEAN) == []


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE.solution,
        RENAMED,
        REORDERED,
        f"Sure!\n\n```python\n{RENAMED}\n```\nDone.",
        "import os\n\n\ndef unlike(q):\n    return os.getcwd() + q\n" + REORDERED,
    ],
    ids=["verbatim", "renamed", "reordered", "fenced", "among other code"],
)
def test_a_solution_is_found_whatever_its_names_and_order(answer):
    """Copies with other names, order and surrounding code are leaks."""
    assert found(answer=answer) == {("toy/0", RowField.ANSWER, TextSpan.SOLUTION)}


def test_a_prompt_is_found_in_a_longer_task():
    """Found within a longer text, in any case and layout."""
    wording = WHOLE.wording.upper().replace(" ", "\n")
    assert found(task=f"Please help me. {wording} Use Python.") == {
        ("toy/0", RowField.TASK, TextSpan.PROMPT)
    }


def test_one_other_word_that_matters_makes_another_problem():
    """Sentences that differ in one informative word are different problems."""
    assert found(task=ITEMS[9].wording) == {("toy/9", RowField.TASK, TextSpan.PROMPT)}
    assert found(task=ITEMS[9].wording.replace(WORDS[6], "turnip")) == set()


def test_tests_are_found_in_a_task():
    """Quoted assertions are found in text that is not Python."""
    task = f"Your code must hold this, please:\n{ITEMS[0].tests}"
    assert ("toy/0", RowField.TASK, TextSpan.TESTS) in found(task=task)


def test_order_and_company_of_rows_decide_nothing():
    """Order does not matter; a thousand copies of a leak are a thousand hits."""
    rows = [*CLEAN, *((f"bad-{n}", "Do it.", RENAMED) for n in range(1000))]
    hits = hits_of(*rows)
    random.Random(5).shuffle(rows)
    assert hits_of(*rows) == hits
    assert len({hit.row for hit in hits if hit.detector is Detector.NGRAMS}) == 1000


def test_what_unlike_rows_say_as_well_counts_less():
    """A statement that many unrelated rows contain is no evidence."""
    common = "out = [x for p in zip(a, b) for x in p]"
    leak = ("bad", "Do it.", f"{common}\nn = min(len(a), len(b))\nrest = a[n:] + b[n:]")
    many = [(f"row-{n}", "Do it.", common) for n in range(4000)]
    alone = next(hit for hit in hits_of(leak) if hit.row == "bad")
    among = [hit for hit in hits_of(leak, *many) if hit.row == "bad"]
    assert not among or among[0].score < alone.score


def test_evidence_shows_what_was_seen():
    """A hit names row and problem and quotes the shared statements."""
    (hit,) = hits_of(*CLEAN, ("bad", "Do it.", RENAMED))
    assert (hit.row, hit.benchmark, hit.item) == ("bad", "toy", "toy/0")
    assert "Call Name zip" in hit.seen
    assert 0.95 < hit.score <= 1
