"""Leaks by a long common run."""

import textwrap
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


VOYAGES = (
    "Given a ledger of barley sacks, return the number of voyages that a small barge needs to carry "
    "all of them across the river. No voyage may exceed the weight which the ferryman allows on "
    "that day, and two sacks of one owner never travel together."
)
REAL = (
    ("p/0", "Write a function to find the perimeter of a square."),
    ("p/1", "Write a python function to swap two numbers."),
    ("p/2", "Write a function to sort the tide tables of a harbour by their second column."),
    ("p/3", VOYAGES),
    ("p/4", "Write a function that takes a list of integers and returns the sum of all of them."),
)


def verbatim(task="", answer="", items=REAL):
    """The problems of a small benchmark that a row repeats."""
    benchmark = [BenchmarkText("p", id, "python", ("f",), text, "", "") for id, text in items]
    runs = SubstringDetector(benchmark)
    return {hit.item for hit in runs.find("row", read(task), read(answer))}


@pytest.mark.parametrize(
    "change",
    [
        str,
        str.upper,
        lambda text: f"Kindly {' '.join(text.split()[3:])}",
        lambda text: " ".join(text.split()[: 2 * len(text.split()) // 3]),
        lambda text: " ".join(text.split()[len(text.split()) // 3 :]),
        lambda text: " ".join([*text.split()[:22], "or", "maybe", "not", *text.split()[25:]]),
        lambda text: textwrap.fill(text, 30, initial_indent="# ", subsequent_indent="# "),
        lambda text: "\n".join(f"* **{word}**" for word in text.split()),
        lambda text: text.replace(" ", "&nbsp;").replace(",", "&#44;"),
        lambda text: f"<p>{text.replace(' of ', ' <b>of</b> ')}<br></p>",
        lambda text: text.replace("e", "e\u200b").replace(" ", "\u00a0 "),
        lambda text: text.replace(" the ", "\\n the\\t "),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in text),
    ],
)
@pytest.mark.parametrize("part", ["task", "answer"])
def test_prose_is_found_whatever_its_form(part, change):
    """Changed at the start, in the middle or cut, in other markup, entities, lines or characters."""
    assert verbatim(**{part: change(VOYAGES)}) == {"p/3"}


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("Find the perimeter of a square.", {"p/0"}),
        ("Please find the perimeter of a square in Rust, given its side.", {"p/0"}),
        ("Hello!\nCreate a C++ program that does this: swap two numbers.\nThanks.", {"p/1"}),
        ("Create a C++ program to swap two numbers", {"p/1"}),
        ("Swap two numbers of a list that are next to each other.", set()),
        ("Find the area of a square.", set()),
        ("Write a function to find the largest square.", set()),
    ],
)
def test_a_short_task_is_found_as_a_whole(task, found):
    """A few words count where they are all of a task, and not amid other words."""
    assert verbatim(task) == found


def test_a_comment_of_code_is_no_short_task():
    """Code says what it does in words that exercises use too."""
    assert verbatim(answer="```python\n# swap two numbers\na, b = b, a\n```") == set()


@pytest.mark.parametrize(
    "task",
    [
        "Write a function that takes a list of integers and returns the largest one.",
        "Write a function that takes a list of integers and returns their mean as a float.",
        "Create a Python function which takes a list of integers and returns the sum of squares.",
        "Write a function to sort the names of a class by length.",
        "Take 1 2 3 4 5 6 7 8 9 10 11 12 and 13 of them.",
    ],
)
def test_what_exercises_share_is_no_leak(task):
    """A request and words of any exercise are in many tasks that leak nothing."""
    assert verbatim(task) == set()


def test_boilerplate_of_a_benchmark_is_no_leak():
    """A licence header or an instruction in every problem is not what they ask."""
    header = (
        "Copyright by the harbour guild: permission is granted to copy this ledger for any voyage "
        "without a fee, provided that this notice stays on every page of it."
    )
    nouns = ("anchor", "beacon", "compass", "dinghy", "estuary", "ferry")
    unlike = (
        "Count each {0} near {0} bay while the {0} keeper of {0} island sleeps beside {0} pier."
    )
    items = [
        (noun, f"{header} {unlike.format(noun)} Nothing about {noun} repeats.") for noun in nouns
    ]
    assert verbatim(f"{header} Sort a list.", items=items) == set()
    assert verbatim(f"{header} {unlike.format('ferry')}", items=items) == {"ferry"}


def test_versions_of_a_problem_do_not_make_it_boilerplate():
    """The same text in eighteen languages, each with another signature, is still found."""
    items = [(f"v/{n}", f"{VOYAGES}\nfn f{n}(kind{n}: Type{n})") for n in range(18)]
    assert verbatim(VOYAGES, items=[*REAL, *items]) == {"p/3", *(id for id, _ in items)}


NOUNS = "anchor beacon compass dinghy estuary ferry galley hawser island jetty keel lagoon".split()
MANY = (
    *REAL,
    (
        "c/0",
        "Write a function to find the first abandoned lighthouse in a given archipelago chart.",
    ),
    ("c/1", "Write a function to print all signals of a given lighthouse including repetitions."),
    ("c/2", "Write a function to multiply two tonnages without using the operator in python."),
    *(
        (f"m/{n}", f"Write a function to {verb} the {one} of a given {other} by its {third}.")
        for n, (verb, one, other, third) in enumerate(
            zip(
                ["weigh", "paint", "sink"] * 40,
                NOUNS * 10,
                NOUNS[5:] * 18,
                NOUNS[7:] * 24,
                strict=False,
            )
        )
    ),
)


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("Write a function to sort the tide tables of a harbour by", {"p/2"}),
        ("Write a function to sort the tide tables of a harbour by their second", {"p/2"}),
        ("write a function to print all signals of a given lighthouse", {"c/1"}),
        ("Kindly do this find the first abandoned lighthouse in a given", {"c/0"}),
        ("Hello. Can you find the first abandoned lighthouse in a given map? Thanks.", {"c/0"}),
        ("Write a C program that finds the first abandoned lighthouse in a given sea.", set()),
        ("Sort the tide tables of a pier.", set()),
        ("Write a function to divide two tonnages without using the operator.", set()),
        ("Print all signals of a given lighthouse, sorted by the hour and the keeper.", set()),
        ("In an archipelago, a function must find the first abandoned lighthouse for me.", set()),
        ("Write a function to find the first lighthouse in a given archipelago.", set()),
        ("Write a function to find the first of all", set()),
    ],
)
def test_a_task_without_its_last_words_is_found(task, found):
    """A sentence that says little else leaks; one with other words in their place is another."""
    assert verbatim(task, items=MANY) == found
