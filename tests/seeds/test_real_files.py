"""The published Code Alpaca files are read whole, and as what they are."""

import gzip
import json

import pytest

from evolcoder.records import Response, Task

FILES = {"code_alpaca_2k.json.gz": (2017, 2015), "new_codealpaca.json.gz": (4535, 4535)}


@pytest.fixture
def alpaca(shared):
    return {name: shared / "codealpaca" / name for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_code_alpaca_is_read_whole(read, alpaca, name):
    """Every row is a task, and all but two come with an answer."""
    _, report = read(alpaca[name])
    n_rows, n_answers = FILES[name]
    assert report.format == "alpaca"
    assert (report.n_rows, report.n_tasks, report.n_answers) == (n_rows, n_rows, n_answers)


@pytest.mark.parametrize("name", FILES)
def test_inputs_of_code_alpaca_are_in_the_tasks(read, alpaca, name):
    """A task ends with its row's input, unless that says that there is none."""
    rows = json.loads(gzip.decompress(alpaca[name].read_bytes()))
    records, _ = read(alpaca[name])
    for task in (record for record in records if isinstance(record, Task)):
        row = rows[task.ordinal]
        given = row["input"].strip()
        whole = row["instruction"].strip() + (f"\n\n{given}" if given else "")
        assert task.instruction == whole or given == "No input"


def test_output_and_response_of_new_code_alpaca_are_the_same(read, alpaca):
    """So it does not matter that `output` goes first."""
    path = alpaca["new_codealpaca.json.gz"]
    answers = [r.text for r in read(path)[0] if isinstance(r, Response)]
    forced, report = read(path, format="response")
    assert report.format == "response"
    # Without its input, a task may be the same as another one.
    taken = {r.ordinal: r.text for r in forced if isinstance(r, Response)}
    assert all(answers[ordinal] == text for ordinal, text in taken.items())


def test_the_first_seeds_are_the_first_rows(read, alpaca):
    """A limit takes them from the top."""
    path = alpaca["code_alpaca_2k.json.gz"]
    whole, _ = read(path)
    first, report = read(path, limit=100)
    assert report.n_tasks == report.n_rows == 100
    assert first == whole[: len(first)]
