"""Doubles in files: what is written, and that order, kills and odd rows change nothing."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time

import pytest

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication import files
from evolcoder.deduplication.files import drops_path
from evolcoder.errors import SeedsError

TASK = "Write a function that takes a list of {} and returns the {} of every second one, rounded to {} digits, or None for an empty list"
KEYS = ("number", "match_number")


def clean_file(*args, **options):
    return asyncio.run(files.in_file(*args, **options))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rows_with_doubles(n):
    """Rows of which a third repeats another, exactly or nearly."""
    rng = random.Random(5)
    rows = [
        {"instruction": " ".join(f"{rng.randrange(10**6)}x" for _ in range(40)), "output": str(at)}
        for at in range(n)
    ]
    for row in rng.sample(rows, n // 3):
        text = row["instruction"].upper() if rng.random() < 0.5 else row["instruction"] + " now"
        rows.append({"instruction": text, "output": "again"})
    return rows


def test_in_is_kept_plus_dropped(tmp_path):
    """Every row is in exactly one of the two files, and kept rows are as they were found."""
    rows = rows_with_doubles(60)
    out = tmp_path / "out.jsonl"
    summary = clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(), seed=0, out=out)
    drops, kept = lines(drops_path(out)), lines(out)
    assert summary.n_rows == len(rows) == len(kept) + len(drops)
    assert sum(summary.dropped.values()) == len(drops) == 20
    gone = {drop["number"] for drop in drops}
    assert kept == [row for at, row in enumerate(rows) if at not in gone]
    assert all(drop["match_number"] not in gone for drop in drops)


def test_another_order_gives_the_same_drops(tmp_path):
    """A shuffled file has the same evidence and keeps the same rows; only row numbers differ."""
    rows, results = rows_with_doubles(60), []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        out = tmp_path / f"{seed}.jsonl"
        clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(), seed=7, out=out)
        drops = [{k: v for k, v in one.items() if k not in KEYS} for one in lines(drops_path(out))]
        results.append((drops, sorted(out.read_text().splitlines())))
    assert results[0] == results[1] == results[2]


def test_rows_of_another_data_set_are_not_repeated(tmp_path):
    """With another file beside, its doubles go from ours, and nothing of it is written."""
    test = write(tmp_path / "test.jsonl", [{"messages": [{"role": "user", "content": "Sort it."}]}])
    rows = [{"instruction": "sort  it.", "output": "x"}, {"instruction": "Other.", "output": ""}]
    out = tmp_path / "out.jsonl"
    config = CleanConfig(beside=(test,))
    summary = clean_file(write(tmp_path / "d.jsonl", rows), config, seed=0, out=out)
    (drop,) = lines(drops_path(out))
    assert (summary.n_rows, lines(out)) == (2, rows[1:])
    assert (drop["number"], drop["match_number"], drop["match_is_beside"]) == (0, 0, True)


def test_answers_count_where_rows_are_compared(tmp_path):
    """Equal tasks with unlike answers are doubles as tasks, and not as rows."""
    rows = [{"instruction": "Sort.", "output": text} for text in ("one " * 9, "def f(): return 2")]
    path = write(tmp_path / "d.jsonl", rows)
    dropped = [
        clean_file(path, CleanConfig(compare=compare), seed=0).dropped
        for compare in ("task", "row")
    ]
    assert dropped == [{"duplicate_exact": 1}, {}]


def test_a_child_of_our_own_export_is_not_a_double_of_its_parent(tmp_path):
    """The lineage columns of an export are known again: parent and child both stay."""
    text = TASK.format("numbers", "square", "two")
    parent = {"instruction": text, "output": "", "id": "p", "root": "p", "parent": "", "round": 0}
    child = {**parent, "instruction": text + " now", "id": "c", "parent": "p", "round": 1}
    stranger = {**child, "id": "s", "parent": "q"}
    path = write(tmp_path / "d.jsonl", [child, parent, stranger])
    out = tmp_path / "out.jsonl"
    clean_file(path, CleanConfig(), seed=0, out=out)
    assert [row["id"] for row in lines(out)] == ["c", "p"]


def test_odd_rows_end_in_a_verdict(tmp_path):
    """No task, wrong types, surrogates, NUL, deep nesting and a megabyte: kept or dropped."""
    deep = {"instruction": "x"}
    for _ in range(200):
        deep = {"instruction": "deep", "inner": deep}
    odd = [
        {}, [], 7, None, "text", {"instruction": None}, {"instruction": 5, "output": [1]},
        {"instruction": "\ud800", "output": "\x00"}, {"messages": [[], {"role": 1}]}, deep,
        {"instruction": "word " * 200_000, "output": "x"}, {"instruction": "a" * 1_000_000},
    ]  # fmt: skip
    out = tmp_path / "out.jsonl"
    summary = clean_file(write(tmp_path / "d.jsonl", odd), CleanConfig(), seed=0, out=out)
    assert len(lines(out)) + len(lines(drops_path(out))) == summary.n_rows == len(odd)
    assert {"instruction": "\ud800", "output": "\x00"} in lines(out)


def test_a_missing_file_leaves_nothing_behind(tmp_path):
    """What cannot be read is one line for the user, and no file is made."""
    with pytest.raises(SeedsError, match="cannot be read"):
        clean_file(str(tmp_path / "no.jsonl"), CleanConfig(), seed=0, out=tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_cleaning_is_as_if_it_had_not_begun(tmp_path):
    """SIGKILL leaves whole files or none, and the same command then gives the same bytes."""
    path = write(tmp_path / "d.jsonl", rows_with_doubles(4000))
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    command = [sys.executable, "-m", "evolcoder.cli.main", "clean", path, "--out"]
    subprocess.run([*command, whole], check=True, stdout=subprocess.DEVNULL)
    for wait_s in (0.3, 0.8, 1.2):
        process = subprocess.Popen([*command, cut], stdout=subprocess.DEVNULL)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for one, other in ((cut, whole), (drops_path(cut), drops_path(whole))):
            assert not one.exists() or one.read_bytes() == other.read_bytes()
    subprocess.run([*command, cut], check=True, stdout=subprocess.DEVNULL)
    assert cut.read_bytes() == whole.read_bytes()
    assert drops_path(cut).read_bytes() == drops_path(whole).read_bytes()
