"""Deduplication of files: output, and independence of order, kills and odd rows."""

import asyncio
import random
import signal
import subprocess
import sys
import time

import pytest

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication import files
from evolcoder.deduplication.files import drops_path
from evolcoder.deduplication.summary import LeakCounts
from evolcoder.errors import SeedsError
from evolcoder.seeds.rows import ReadCounts
from jsonl import read_jsonl, write_jsonl

TASK = "Write a function that takes a list of {} and returns the {} of every second one, rounded to {} digits, or None for an empty list"
KEYS = ("number", "match_number")


def clean_file(*args, **options):
    return asyncio.run(files.clean_file(*args, **options))


def write(path, rows):
    write_jsonl(path, rows)
    return str(path)


def rows_with_doubles(n):
    """Rows of which a third duplicate another, exactly or nearly."""
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
    """Every row is in exactly one of the two output files, and kept rows are unchanged."""
    rows = rows_with_doubles(60)
    out = tmp_path / "out.jsonl"
    summary = clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(), seed=0, out=out)
    drops, kept = read_jsonl(drops_path(out)), read_jsonl(out)
    assert summary.n_rows == len(rows) == len(kept) + len(drops)
    assert sum(summary.dropped.values()) == len(drops) == 20
    gone = {drop["number"] for drop in drops}
    assert kept == [row for at, row in enumerate(rows) if at not in gone]
    assert all(drop["match_number"] not in gone for drop in drops)


def test_another_order_gives_the_same_drops(tmp_path):
    """A shuffled file gives the same evidence and kept rows; only row numbers differ."""
    rows, results = rows_with_doubles(60), []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        out = tmp_path / f"{seed}.jsonl"
        clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(), seed=7, out=out)
        drops = [
            {k: v for k, v in one.items() if k not in KEYS} for one in read_jsonl(drops_path(out))
        ]
        results.append((drops, sorted(out.read_text().splitlines())))
    assert results[0] == results[1] == results[2]


def test_rows_of_another_data_set_are_not_repeated(tmp_path):
    """Rows that duplicate one of another file are dropped; nothing of that file is written."""
    test = write(tmp_path / "test.jsonl", [{"messages": [{"role": "user", "content": "Sort it."}]}])
    rows = [{"instruction": "sort  it.", "output": "x"}, {"instruction": "Other.", "output": ""}]
    out = tmp_path / "out.jsonl"
    config = CleanConfig(beside=(test,))
    summary = clean_file(write(tmp_path / "d.jsonl", rows), config, seed=0, out=out)
    (drop,) = read_jsonl(drops_path(out))
    assert (summary.n_rows, read_jsonl(out)) == (2, rows[1:])
    assert (drop["number"], drop["match_number"], drop["match_is_beside"]) == (0, 0, True)


def test_answers_count_where_rows_are_compared(tmp_path):
    """Equal tasks with different responses are duplicates as tasks, but not as rows."""
    rows = [{"instruction": "Sort.", "output": text} for text in ("one " * 9, "def f(): return 2")]
    path = write(tmp_path / "d.jsonl", rows)
    dropped = [
        clean_file(path, CleanConfig(compare=compare), seed=0).dropped
        for compare in ("task", "row")
    ]
    assert dropped == [{"duplicate_exact": 1}, {}]


def test_a_child_in_an_export_is_not_a_duplicate_of_its_parent(tmp_path):
    """The lineage columns of an export are recognised: parent and child are kept."""
    text = TASK.format("numbers", "square", "two")
    parent = {"instruction": text, "output": "", "id": "p", "root": "p", "parent": "", "round": 0}
    child = {**parent, "instruction": text + " now", "id": "c", "parent": "p", "round": 1}
    stranger = {**child, "id": "s", "parent": "q"}
    path = write(tmp_path / "d.jsonl", [child, parent, stranger])
    out = tmp_path / "out.jsonl"
    clean_file(path, CleanConfig(), seed=0, out=out)
    assert [row["id"] for row in read_jsonl(out)] == ["c", "p"]


def test_odd_rows_end_in_a_verdict(tmp_path):
    """Missing tasks, wrong types, surrogates, NUL, deep nesting and a megabyte of text."""
    deep = {"instruction": "x"}
    for _ in range(200):
        deep = {"instruction": "deep", "inner": deep}
    odd = [
        {}, [], 7, None, "text", {"instruction": None}, {"instruction": 5, "output": [1]},
        {"instruction": "\ud800", "output": "\x00"}, {"messages": [[], {"role": 1}]}, deep,
        {"instruction": "word " * 200_000, "output": "x"}, {"instruction": "a" * 1_000_000},
    ]  # fmt: skip
    good = [{"instruction": f"Write {n} as a word in {n * n} languages."} for n in range(90)]
    rows, out = [*odd, *good], tmp_path / "out.jsonl"
    summary = clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(near=None), seed=0, out=out)
    assert len(read_jsonl(out)) + len(read_jsonl(drops_path(out))) == summary.n_rows == len(rows)
    assert {"instruction": "\ud800", "output": "\x00"} in read_jsonl(out)


def test_no_row_is_compared_as_empty_text(tmp_path):
    """Rows in which no task is found stay, all of them; a file of such rows is an error."""
    good = [{"instruction": f"Write {n} as a word in {n * n} languages."} for n in range(27)]
    odd = [{"note": "a"}, {"note": "a"}, {"instruction": ""}, {"instruction": ""}, {"note": "b"}]
    out, counts = tmp_path / "out.jsonl", ReadCounts("d")
    path = write(tmp_path / "d.jsonl", [*good, *odd])
    summary = clean_file(path, CleanConfig(near=None), seed=0, out=out, counts=counts)
    assert (summary.dropped, read_jsonl(out)) == ({}, [*good, *odd])
    assert counts.text(whole=True).endswith(
        "not compared: blank 2, no task found 3 (the fields note)"
    )
    with pytest.raises(SeedsError, match="in 0 of 50 rows"):
        clean_file(write(tmp_path / "e.jsonl", [{"note": "a"}] * 50), CleanConfig(), seed=0)


def chat(*texts, **fields):
    names = ("user", "assistant") * len(texts)
    turns = [{"role": name, "content": text} for name, text in zip(names, texts, strict=False)]
    return {"messages": turns, **fields}


def test_chats_are_doubles_in_all_turns_and_tools(tmp_path):
    """A long first turn does not make two chats one, nor do equal turns with other tools."""
    long = TASK.format("numbers", "square", "two") * 3
    rows = [
        chat(long, "Sure.", "Now in Rust.", "fn"),
        chat(long, "Sure.", "Count the words.", "len"),
        chat(long.upper(), "Sure.", "Now in  Rust.", "fn"),
        chat(long, "Sure."),
        chat(long, "Sure.", tools='[{"name": "a"}]'),
        chat(long, "Sure.", tools='[{"name": "b"}]'),
        chat(long, "Sure.", label=False),
    ]
    out = tmp_path / "out.jsonl"
    summary = clean_file(write(tmp_path / "d.jsonl", rows), CleanConfig(), seed=0, out=out)
    assert summary.dropped == {"duplicate_exact": 1}
    assert [row in read_jsonl(out) for row in rows[3:]] == [True] * 4
    assert rows[1] in read_jsonl(out)


def test_a_missing_file_leaves_nothing_behind(tmp_path):
    """An unreadable file is a one-line error, and no file is written."""
    with pytest.raises(SeedsError, match="cannot be read"):
        clean_file(str(tmp_path / "no.jsonl"), CleanConfig(), seed=0, out=tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_cleaning_is_as_if_it_had_not_begun(tmp_path):
    """After SIGKILL output files are complete or missing; a rerun gives the same bytes."""
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


WORDS = (
    TASK.format("ferries", "tonnage", "two") + " and name the harbour of each ferry in the ledger"
)


def finds(n_searched, *, execution=False):
    """A detector that calls rows with `LEAK` in task or answer leaks, and counts what it reads."""

    async def leaked(rows):
        detector = "execution" if execution else "substring"
        for row in rows:
            n_searched.append(row.task.id)
            if "LEAK" in row.task.instruction + row.response.text:
                found[row.task.id] = [{"row": row.task.id, "detector": detector}]
        return LeakCounts(dict(found))

    found = {}
    return leaked


def pairs(**rows):
    """Rows by name, as (task, answer)."""
    return {name: {"instruction": task, "output": answer} for name, (task, answer) in rows.items()}


LEAKY_GROUPS = {
    "near, leaky text": (
        pairs(leak=(f"{WORDS} LEAK", "a"), clean=(WORDS, "b")), {}, {"leak": "leak"}
    ),
    "equal, leaky answer": (
        pairs(leak=(WORDS, "LEAK"), clean=(WORDS, "b")), {}, {"leak": "leak"}
    ),
    "near, an answer that was run": (
        pairs(leak=(f"{WORDS} today", "LEAK"), clean=(WORDS, "b")),
        {"execution": True},
        {"leak": "leak"},
    ),
    "equal, an answer that was run": (
        pairs(leak=(WORDS, "LEAK"), clean=(WORDS, "b")),
        {"execution": True},
        {"leak": "leak", "clean": "duplicate_exact"},
    ),
    "both leak": (
        pairs(leak=(f"{WORDS} LEAK", "a"), clean=(WORDS, "LEAK")),
        {},
        {"leak": "leak", "clean": "leak"},
    ),
    "two clean ones": (
        pairs(leak=(f"{WORDS} LEAK it", "a"), clean=(WORDS, "b"), twin=(f" {WORDS}", "c")),
        {},
        {"leak": "leak", "clean or twin": "duplicate_exact"},
    ),
    "none": (pairs(clean=(WORDS, "a"), twin=(f"{WORDS} now", "b")), {}, {"any": "duplicate_near"}),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rows", "options", "reasons"), LEAKY_GROUPS.values(), ids=LEAKY_GROUPS)
def test_no_row_is_lost_as_the_duplicate_of_a_leak(tmp_path, rows, options, reasons, seed):
    """A row stays if it is no leak and no duplicate of a row that stays; else its drop says why."""
    order = [*rows, "other"]
    random.Random(seed).shuffle(order)
    data = [rows.get(name, {"instruction": "Sort it.", "output": "x"}) for name in order]
    searched, out = [], tmp_path / "out.jsonl"
    path = write(tmp_path / "d.jsonl", data)
    summary = clean_file(path, CleanConfig(), seed=0, out=out, leaked=finds(searched, **options))
    drops = {order[drop["number"]]: drop for drop in read_jsonl(drops_path(out))}
    assert sorted(drop["reason"] for drop in drops.values()) == sorted(reasons.values())
    for name, drop in drops.items():
        assert reasons.get(name, drop["reason"]) == drop["reason"]
        is_of_leak = drop.get("match_is_leak", False)
        assert is_of_leak == (drop["reason"] != "leak" and "execution" in options)
    assert summary.n_kept == len(data) - len(drops) == len(read_jsonl(out))
    assert len(searched) == len(set(searched)), "no row is searched twice"


def test_a_row_left_by_a_leak_is_compared_with_all_others(tmp_path):
    """It may duplicate another row, or have a duplicate of its own."""
    names = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10".split()
    base = " ".join(f"word{n}" for n in range(40))
    chain = [f"{base} LEAK", base, f"{base} now", *names]
    data = [{"instruction": text, "output": text} for text in chain]
    out = tmp_path / "out.jsonl"
    clean_file(write(tmp_path / "d.jsonl", data), CleanConfig(), seed=0, out=out, leaked=finds([]))
    kept = [row["instruction"] for row in read_jsonl(out)]
    assert len([text for text in kept if text.startswith(base)]) == 1
    assert len(kept) == len(data) - 2
