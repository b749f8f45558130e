"""The bundled seeds are numerous, mixed, complete, and original."""

import ast
import gzip
import json
from collections import Counter
from importlib import resources

import pytest

from evolcoder.programming_language import code_blocks
from evolcoder.records import Response, Task
from evolcoder.text import words
from jsonl import read_jsonl

ROWS = read_jsonl(resources.files("evolcoder") / "data" / "seeds.jsonl")
N_WORDS = 7
"""Words in a row at which an overlap of two texts is no coincidence."""


def test_all_of_them_are_usable(read):
    """None is dropped, every one has a response, and there are at least 64."""
    records, report = read("bundled")
    assert report.n_tasks == report.n_answers == report.n_rows == len(ROWS) >= 64
    assert report.dropped == ()
    assert len(records) == 2 * len(ROWS)


def test_they_are_in_many_languages():
    """At least ten, most of all Python."""
    languages = Counter(row["language"] for row in ROWS)
    assert len(languages) >= 10
    assert languages.most_common(1)[0][0] == "python"


def test_each_names_its_language(read):
    """The detected language equals the row's."""
    tasks = [record for record in read("bundled")[0] if isinstance(record, Task)]
    assert [task.language for task in tasks] == [row["language"] for row in ROWS]


def test_the_first_eight_are_mixed():
    """They are the demo: mostly Python, but not only."""
    languages = Counter(row["language"] for row in ROWS[:8])
    assert languages["python"] >= 4
    assert len(languages) >= 4


def test_instructions_are_short_and_differ():
    """Short enough for a small model, and clearly different."""
    assert all(len(words(row["instruction"])) <= 80 for row in ROWS)
    openings = Counter(tuple(words(row["instruction"])[:9]) for row in ROWS)
    assert openings.most_common(1)[0][1] == 1


def test_answers_are_code_in_the_language_asked_for(read):
    """One fenced block, closed and tagged."""
    for record in read("bundled")[0]:
        if isinstance(record, Response):
            (block,) = code_blocks(record.text)
            assert (block.language, block.closed) == (ROWS[record.ordinal]["language"], True)


def test_python_answers_parse():
    """Every block tagged as Python is valid."""
    for row in ROWS:
        if row["language"] == "python":
            (block,) = code_blocks(row["output"])
            assert ast.parse(block.code).body


@pytest.mark.parametrize("folder", ["codealpaca", "humaneval", "mbpp"])
def test_instructions_are_not_taken_from_known_data(shared, folder):
    """None shares seven words in a row with Code Alpaca, HumanEval or MBPP."""
    ours = {gram for row in ROWS for gram in grams(row["instruction"])}
    theirs = set()
    for path in sorted((shared / folder).glob("*.gz")):
        text = gzip.decompress(path.read_bytes()).decode()
        rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
        for row in rows:
            theirs.update(*(grams(value) for value in row.values() if isinstance(value, str)))
    assert len(theirs) > 1000
    assert ours & theirs == set()


def grams(text):
    found = words(text)
    return {tuple(found[at : at + N_WORDS]) for at in range(len(found) - N_WORDS + 1)}
