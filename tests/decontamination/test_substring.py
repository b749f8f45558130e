"""Leaks by a long common run."""

import time

import pytest

from decontamination.leaky import CLEAN, ITEMS, TIDE, ZIGZAG
from evolcoder.code.normalize import read
from evolcoder.decontamination.hits import BenchmarkText, RowField, TextSpan
from evolcoder.decontamination.substring import SubstringDetector

LONG = BenchmarkText(
    "toy",
    "toy/long",
    "python",
    ("f",),
    "The harbour master writes every arriving vessel into a ledger before sunrise, and afterwards "
    "the quartermaster subtracts spoiled provisions from whichever column mentions barley.",
    ZIGZAG + TIDE,
    "assert f({'barley': [3, 5]}, depth=2)['salt'][-1] == sorted(f({'rye': (4,)}, depth=9))\n",
)
RUNS = SubstringDetector([*ITEMS[2:], LONG])


def found(task="", answer=""):
    return {(hit.item, hit.part, hit.side) for hit in RUNS.find("row", read(task), read(answer))}


def test_clean_rows_have_no_run():
    """Common phrases are no hit."""
    assert [found(task, answer) for _, task, answer in CLEAN] == [set()] * len(CLEAN)


def test_half_a_prompt_is_found():
    """A copied part is a leak even if the rest is missing."""
    half = LONG.prompt[: len(LONG.prompt) * 2 // 3]
    assert found(task=f"Once. {half} Go!") == {("toy/long", RowField.TASK, TextSpan.PROMPT)}


def test_code_is_found_under_other_names():
    """Identifiers do not matter."""
    code = ZIGZAG + TIDE
    for name in ("shortest", "merged", "surplus", "entry", "depth", "readings", "each", "log"):
        code = code.replace(name, f"q{len(name)}{name[0]}")
    assert found(answer=code) == {("toy/long", RowField.ANSWER, TextSpan.SOLUTION)}


def test_a_single_rich_assertion_is_found():
    """One informative assertion is a leak."""
    assert ("toy/long", RowField.TASK, TextSpan.TESTS) in found(task=LONG.tests)


@pytest.mark.parametrize(
    "literals",
    ["'a', 'e', 'i', 'o', 'u'", "2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59"],
)
def test_a_list_of_literals_is_no_run(literals):
    """Vowels and primes occur in any program and are no leak."""
    item = BenchmarkText("toy", "x", "python", ("f",), f"Say {literals}.", f"f = [{literals}]", "")
    runs = SubstringDetector([item, *ITEMS])
    assert runs.find("row", read(f"Take {literals} now."), read(f"vowels = [{literals}]")) == []


@pytest.mark.e2e
def test_a_million_equal_words_cost_seconds():
    """Repetition in row and benchmark does not multiply the cost."""
    same = BenchmarkText("toy", "same", "python", ("f",), "spam " * 2000, "spam + " * 2000, "")
    runs = SubstringDetector([same, *ITEMS])
    row = read("spam " * 500_000)
    start = time.process_time()
    runs.find("row", row, row)
    assert time.process_time() - start < 20
