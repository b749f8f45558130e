"""Leaks by the name of a problem's function with some of its words or its tests."""

import pytest

from evolcoder.code.normalize import read
from evolcoder.decontamination.hits import BenchmarkText, RowField, TextSpan
from evolcoder.decontamination.substring import SubstringDetector

TEXT = "Write a function to count the barley sacks of every pilot whose ledger mentions salted herring."
NAME = "count_barley"
TESTS = f"""\
assert {NAME}([3, 4], 'salt') == 7
assert {NAME}([], "rye") == 0
assert {NAME}([9], 'salt') == 9, 'one owner'
"""


def problem(id, name, text=TEXT, tests=TESTS):
    """A problem in the form of MBPP."""
    return BenchmarkText("toy", id, "python", (name,), text, "", tests)


OTHERS = [
    problem(f"toy/{n}", f"other_{n}", f"Write a function to {verb} the {noun}s of a list.", "")
    for n, (verb, noun) in enumerate((a, b) for a in ("sort", "merge", "sum") for b in ("tide", "berth", "fee"))
]  # fmt: skip
FOUND = ("toy/x", RowField.TASK, TextSpan.PROMPT)
SHOWN = ("toy/x", RowField.TASK, TextSpan.TESTS)


def found(task, answer="", items=None):
    """Problem, part and side of the hits."""
    detector = SubstringDetector([*OTHERS, *(items or [problem("toy/x", NAME)])])
    return {
        (hit.item, hit.part, hit.side) for hit in detector.find("row", read(task), read(answer))
    }


CHANGED = "Write a function to count the sacks each skipper has whose book mentions salted herring."
CUT = "Write a function to count sacks of every pilot, ledger, salted herring."
ANSWER = f"```python\ndef {NAME}(sacks, good):\n    return sum(sacks)\n```"


@pytest.mark.parametrize("task", [CHANGED, CUT], ids=["changed", "cut"])
def test_a_name_and_half_of_the_words_are_a_leak(task):
    """Wherever the name is; each alone is none."""
    assert found(task) == set()
    assert found("Solve it.", ANSWER) == set()
    assert found(task, ANSWER) == {FOUND}
    assert found(f"{task} Name it `{NAME}`.") == {FOUND}
    assert found(task, ANSWER.replace(NAME, "count_sacks")) == set()
    assert found("Count the words of a text that is read from a file.", ANSWER) == set()


def test_a_name_of_one_part_tells_nothing():
    """And none that several problems share."""
    short = ANSWER.replace(NAME, "count")
    assert found(CHANGED, short, [problem("toy/x", "count")]) == set()
    many = [problem(f"toy/y{n}", NAME, f"{TEXT} {'abc'[n]}", "") for n in range(3)]
    assert found(CHANGED, ANSWER, many) == set()


@pytest.mark.parametrize(
    ("shown", "hits"),
    [
        (TESTS, {SHOWN}),
        (TESTS.replace(" ", "").replace("assert", "").replace("\n", "; "), {SHOWN}),
        ("\n".join(TESTS.splitlines()[:2]), {SHOWN}),
        ("\n".join(TESTS.splitlines()[:1]), set()),
        (TESTS.replace(NAME, "count_sacks"), set()),
        (TESTS.replace("== 7", "== 8").replace("== 0", "== 1"), set()),
    ],
    ids=["all", "layout", "two", "one", "name", "results"],
)
def test_tests_with_their_results_are_a_leak(shown, hits):
    """Whatever their layout; a single one, another name and other results are none."""
    assert found(f"This holds:\n{shown}") == hits


def test_tests_of_a_candidate_are_read_by_the_name_of_the_function():
    """As in HumanEval; trivial ones do not count."""
    tests = "def check(candidate):\n    " + TESTS.replace(NAME, "candidate").replace("\n", "\n    ")
    assert found(TESTS, items=[problem("toy/x", NAME, tests=tests)]) == {SHOWN}
    trivial = f"assert {NAME}(2) == 4\nassert {NAME}(3) == 9"
    assert found(trivial, items=[problem("toy/x", NAME, tests=trivial)]) == set()
