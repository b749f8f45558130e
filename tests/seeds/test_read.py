"""Rows become tasks, responses and drops; every row is accounted for."""

import json
import random
import tracemalloc

import pytest

import evolcoder
from evolcoder.config.load import Config, SeedsConfig
from evolcoder.errors import SeedsError, StoreError
from evolcoder.records import Drop, Reason, Response, Stage, Task
from evolcoder.seeds.formats import BAD
from evolcoder.seeds.read import _SeenTexts, read_seeds
from evolcoder.seeds.rows import PlacedRow, ReadCounts, read_placed_rows, read_rows
from evolcoder.storage.run_store import RunStore

ROWS = [
    {"instruction": "Write a Python function.", "output": "```python\npass\n```"},
    {"instruction": "Write  a Python\nfunction.", "output": "again"},
    {"instruction": "  ", "output": "nothing asked"},
    {"instruction": "Say hello.", "output": "```rust\nfn main() {}\n```"},
    {"instruction": "Say hello in Lua.", "output": ""},
    {"instruction": "x" * 30_000, "output": "too long"},
]


def of(kind, records):
    return [record for record in records if isinstance(record, kind)]


def test_a_row_is_one_task_or_one_drop(read, seeds_file):
    """Rows read = tasks + drops, and the report counts the same as the records."""
    records, report = read(seeds_file("s.jsonl", ROWS))
    tasks, answers, drops = of(Task, records), of(Response, records), of(Drop, records)
    assert report.n_rows == len(ROWS) == len(tasks) + len(drops)
    assert (report.n_tasks, report.n_answers) == (len(tasks), len(answers)) == (3, 2)
    assert dict(report.dropped) == {"duplicate": 1, "no_instruction": 1, "too_long": 1}
    assert report.format == "output"


@pytest.mark.parametrize("cell", ["{{}}", "[{{}}]", "{{1}}", "[{'a': {{}}}]", "{[1]: 2}"])
@pytest.mark.parametrize("column", ["messages", "conversations", "input", "output"])
def test_a_cell_that_looks_like_a_literal_costs_no_other_row(read, seeds_file, column, cell):
    """Braces in braces, as templates have them, are a set of sets, which Python cannot make."""
    odd = {"instruction": "Fill the template.", "code": "x = 1", "output": "y", column: cell}
    rows = [odd, *({"instruction": f"Write {n}.", "output": str(n)} for n in range(20))]
    records, report = read(seeds_file("s.jsonl", rows))
    assert report.n_rows == 21 == len(of(Task, records)) + len(of(Drop, records))
    assert len(of(Response, records)) >= 20


def test_ordinals_are_row_numbers(read, seeds_file):
    """Tasks and drops share one numbering, which begins at 0; an answer has its task's."""
    records, _ = read(seeds_file("s.jsonl", ROWS))
    assert [record.ordinal for record in records if not isinstance(record, Response)] == [*range(6)]
    tasks = {task.id: task.ordinal for task in of(Task, records)}
    assert [tasks[answer.task] for answer in of(Response, records)] == [0, 3]


def test_a_seed_is_a_task_of_round_0_with_its_answer(read, seeds_file):
    """It is its own root, has no usage, and its response follows it."""
    (task, answer, *_), _ = read(seeds_file("s.jsonl", ROWS))
    assert task == Task.seed("Write a Python function.", ordinal=0, language="python")
    assert answer == Response.to(task, "```python\npass\n```", made=None)


def test_the_language_is_the_tasks_or_else_the_answers(read, seeds_file):
    """If the task names no language, that of the response's code is used."""
    records, _ = read(seeds_file("s.jsonl", ROWS))
    assert [task.language for task in of(Task, records)] == ["python", "rust", "lua"]


def test_a_drop_tells_what_was_seen_and_where(read, seeds_file):
    """Stage, reason, line and text are recorded; there is no parent or usage."""
    records, _ = read(seeds_file("s.jsonl", ROWS))
    duplicate, empty, long = of(Drop, records)
    assert {drop.stage for drop in (duplicate, empty, long)} == {Stage.SEEDS}
    assert {(drop.subject, drop.round, drop.made) for drop in (duplicate, empty, long)} == {
        ("", 0, None)
    }
    assert duplicate.reason is Reason.DUPLICATE
    assert duplicate.detail == "line 2 repeats the instruction of seed 0"
    assert duplicate.seen == "Write  a Python\nfunction."
    assert empty.reason is Reason.NO_INSTRUCTION
    assert empty.detail == "line 3 has no instruction: the fields instruction, output"
    assert "nothing asked" in empty.seen
    assert long.reason is Reason.TOO_LONG
    assert long.detail == "line 6 has a text of 30000 characters; seeds.max_chars is 20000"
    assert len(long.seen) == 4000


def test_the_limit_counts_usable_seeds(read, seeds_file):
    """Dropped rows do not count, and later rows are not read."""
    records, report = read(seeds_file("s.jsonl", ROWS), limit=2)
    assert [task.ordinal for task in of(Task, records)] == [0, 3]
    assert isinstance(records[-1], Response)
    assert (report.n_rows, report.n_tasks) == (4, 2)


def test_a_fault_after_the_limit_is_not_met(read, seeds_file):
    """A limited read stops early."""
    path = seeds_file("s.jsonl", json.dumps(ROWS[0]).encode() + b"\nnot json")
    assert read(path, limit=1)[1].n_tasks == 1
    with pytest.raises(SeedsError):
        read(path)


def test_same_texts_in_other_case_or_with_other_input_are_not_duplicates(read, seeds_file):
    """Only white space is ignored."""
    rows = [
        {"instruction": "Sort.", "input": "a"},
        {"instruction": "sort.", "input": "a"},
        {"instruction": "Sort.", "input": "b"},
    ]
    assert read(seeds_file("s.json", rows))[1].n_tasks == 3


def test_rows_with_and_without_input_are_one_format(read, seeds_file):
    """Files omit empty fields; if any row has an input, the format is alpaca."""
    rows = [
        {"instruction": "One.", "output": "1"},
        {"instruction": "Two."},
        {"instruction": "Three.", "input": "x", "output": "3"},
    ]
    records, report = read(seeds_file("s.jsonl", rows))
    assert report.format == "alpaca"
    assert [task.instruction for task in of(Task, records)] == ["One.", "Two.", "Three.\n\nx"]


def test_rows_of_several_formats_are_read(read, seeds_file):
    """Each in its own; the report names all of them."""
    rows = [{"instruction": "One.", "output": "1"}, {"instruction": "Two.", "response": "2"}]
    records, report = read(seeds_file("s.jsonl", [*rows, {"problem": "Three."}]))
    assert [task.instruction for task in of(Task, records)] == ["One.", "Two.", "Three."]
    assert report.format == "output, response, oss-instruct"


def test_a_forced_format_reads_only_its_rows(read, seeds_file):
    """Rows of other formats are dropped, if they are less than one in ten."""
    rows = [{"instruction": "One.", "output": "1"}]
    rows += [{"problem": f"Two {n}.", "solution": "2"} for n in range(9)]
    _, report = read(seeds_file("s.jsonl", rows), format="oss-instruct")
    assert report.format == "oss-instruct"
    assert (report.n_tasks, dict(report.dropped)) == (9, {"no_instruction": 1})


ODD = [{"note": f"{n}"} for n in range(2)]


def test_a_file_of_which_too_little_is_read_is_an_error(read, seeds_file):
    """Less than nine rows in ten; blank rows do not count, and a hopeless file is given up."""
    good = [{"instruction": f"Do {n}."} for n in range(18)]
    assert read(seeds_file("a.jsonl", [*good, *ODD]))[1].n_tasks == 18
    assert read(seeds_file("b.jsonl", [*good[:1], {"instruction": ""}, {"messages": []}]))
    with pytest.raises(SeedsError) as caught:
        read(seeds_file("c.jsonl", [*good[:17], *ODD]))
    assert str(caught.value).endswith(
        "c.jsonl: a task was found in 17 of 19 rows, which is less than nine in ten; the first "
        "other row has the fields note; name the columns, as in "
        "--columns instruction=NAME,response=NAME"
    )
    with pytest.raises(SeedsError, match="in 0 of 100 rows"):
        read(seeds_file("d.jsonl", ODD * 500))


def test_columns_are_named_by_the_user(read, seeds_file):
    """A file in no known format is read then."""
    path = seeds_file("s.jsonl", [{"note": "One.", "more": {"text": "1"}}])
    records, _ = read(path, columns={"instruction": "note", "response": "more.text"})
    assert (records[0].instruction, records[1].text) == ("One.", "1")


def test_a_column_that_no_row_has_is_an_error(read, seeds_file):
    """Rather than that all responses are missing without a word; a null is a value."""
    path = seeds_file("s.jsonl", [{"q": "One.", "a": None}, {"q": "Two.", "a": "2"}])
    assert read(path, columns={"instruction": "q", "response": "a"})[1].n_answers == 1
    with pytest.raises(SeedsError, match=r"no row has the column of response=b, label=c\.0"):
        read(path, columns={"instruction": "q", "response": "b", "label": "c.0"})
    with pytest.raises(SeedsError, match="no row has the column of response=b"):
        list(read_placed_rows([str(path)], {"instruction": "q", "response": "b"}))


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"instruction": "One.", "program": "1"}, {"response": "program"}),
        ({"question": "One.", "answer": "x", "program": "1"}, {"response": "program"}),
        ({"messages": [{"role": "user", "content": "One."}], "p": "1"}, {"response": "p"}),
        ({"data": '{"q": "One.", "a": "1"}'}, {"instruction": "data.q", "response": "data.a"}),
        ({"t": [{"s": "One."}, {"s": "1"}]}, {"instruction": "t.0.s", "response": "t.-1.s"}),
        ({"q": ["One."], "a": ["1"]}, {"instruction": "q", "response": "a"}),
        ({"log": "User: One.\nAssistant: 1"}, {"messages": "log"}),
        (
            {"q": {"role": "user", "content": "One."}, "a": "1"},
            {"instruction": "q", "response": "a"},
        ),
        ({"x.y": "One.", "x": {"y": "2"}, "a": 1}, {"instruction": "x.y", "response": "a"}),
    ],
    ids=range(9),
)
def test_columns_are_found(read, seeds_file, row, columns):
    """A response alone may be named, and a path may lead into JSON and count from the end."""
    records = read(seeds_file("s.jsonl", [row]), columns=columns)[0]
    assert (records[0].instruction, records[1].text) == ("One.", "1")


def test_a_file_of_blank_rows_is_an_error_in_every_verb(seeds_file):
    """It has no task, whatever its other columns hold."""
    path = str(seeds_file("s.jsonl", [{"question": "-", "answer": "x"}] * 3))
    with pytest.raises(SeedsError, match=r"none of its 3 rows is usable .* question, answer"):
        list(read_placed_rows([path]))


TOOL = {"name": "f", "parameters": {"a": 1}}


def test_tools_and_calls_are_compared_by_what_they_say(read, seeds_file):
    """Not by the order of their keys, or by the random names of calls."""

    def chat(name, arguments, tool):
        call = {"id": name, "type": "function", "function": {"name": "f", "arguments": arguments}}
        turns = [*ASKED, {"role": "assistant", "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": name, "content": "1"}, ASKED[1]]  # fmt: skip
        return {"messages": turns, "tools": [tool]}

    other = dict(reversed(TOOL.items()))
    rows = [chat("1", "{}", TOOL), chat("x9", "{}", other), chat("1", "[]", TOOL)]
    assert read(seeds_file("s.jsonl", rows))[1].dropped == (("duplicate", 1),)


def test_chats_are_doubles_in_all_turns_and_tools(read, shared):
    """Rows that share the first question only are two seeds, with ids of their own."""
    for name in ("same-first-turns", "same-turns-other-tools"):
        records, report = read(shared.parent / "cases" / "rows" / f"{name}.jsonl")
        assert (report.n_tasks, report.dropped) == (2, ())
        assert len({task.id for task in of(Task, records)}) == 2


def test_a_chat_is_no_double_of_its_first_exchange(read, seeds_file):
    """In either order, and the ids differ."""
    chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    rows = [{"messages": chat}, {"messages": [*chat, *chat]}, {"messages": chat, "tools": "[1]"}]
    for order in (rows, rows[::-1], rows[1:] + rows[:1]):
        records, report = read(seeds_file("s.jsonl", order))
        assert report.n_tasks == len({task.id for task in of(Task, records)}) == 3
    assert read(seeds_file("s.jsonl", [*rows, *rows]))[1].n_tasks == 3


ASKED = [
    {"role": "user", "content": "Write add."},
    {"role": "assistant", "content": "def add(a, b): return a + b"},
    {"role": "user", "content": "Run it."},
]
CALLED = {
    "openai": lambda x, y: [
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": x}}]},
        {"role": "tool", "content": y},
    ],
    "parts of a result": lambda x, y: [
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": x}}]},
        {"role": "tool", "content": [{"type": "text", "text": y}]},
    ],
    "anthropic": lambda x, y: [
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"x": x}}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [
            {"type": "text", "text": y}]}]},
    ],
    "gemini": lambda x, y: [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": x}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": y}}}]},
    ],
    "responses": lambda x, y: [
        {"type": "function_call", "name": "f", "arguments": x},
        {"type": "function_call_output", "output": y},
    ],
    "sharegpt": lambda x, y: [
        {"from": "function_call", "value": x},
        {"from": "observation", "value": y},
    ],
    "langchain": lambda x, y: [
        {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"x": x}}]},
        {"type": "tool", "content": y},
    ],
}  # fmt: skip


@pytest.mark.parametrize("notation", CALLED)
def test_chats_that_differ_in_a_call_or_in_its_result_are_two_seeds(read, seeds_file, notation):
    """In whichever notation tools are called; a chat with the same calls is a double."""

    def row(x: str, y: str) -> dict:
        return {"messages": [*ASKED, *CALLED[notation](x, y), ASKED[1]]}

    rows = [row("1", "1"), row("2", "1"), row("1", "2")]
    records, report = read(seeds_file("s.jsonl", [*rows, row("1", "1")]))
    assert report.n_tasks == len({task.id for task in of(Task, records)}) == 3
    assert report.left_out == (("later turns", 4),)
    assert {answer.text for answer in of(Response, records)} == {ASKED[1]["content"]}


@pytest.mark.parametrize("notation", CALLED)
def test_a_question_that_is_answered_by_a_call_needs_tools(read, seeds_file, notation):
    """In whichever notation the tool is called."""
    calls = [ASKED[2], *CALLED[notation]("1", "1"), ASKED[1]]
    rows = [{"messages": calls}, {"messages": ASKED[:2]}]
    _, report = read(seeds_file("s.jsonl", rows))
    assert report.dropped == (("needs_tools", 1),)


def test_every_row_is_a_task_when_asked_for(seeds_file):
    """Rows of one task differ in their ids, of which the first is that of a seed."""
    path = seeds_file("s.jsonl", [ROWS[0], ROWS[1], ROWS[0]])
    records = list(read_seeds(SeedsConfig(path=str(path)), every=True))
    tasks, answers = of(Task, records), of(Response, records)
    assert tasks[0] == Task.seed("Write a Python function.", ordinal=0, language="python")
    assert len({task.id for task in tasks}) == 3
    assert [answer.task for answer in answers] == [task.id for task in tasks]


def test_what_is_left_out_is_said(read, seeds_file):
    """With counts: parts of rows, and rows."""
    chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    image = [{"role": "user", "content": "<image>Who?"}]
    rows = [{"messages": [*chat, *chat]}, {"messages": chat, "label": False}, {"messages": image}]
    path = seeds_file("s.jsonl", [*rows, {"messages": []}])
    seeds = read_seeds(SeedsConfig(path=str(path)))
    assert [drop.reason for drop in of(Drop, list(seeds))] == [
        Reason.NEEDS_IMAGE, Reason.NO_INSTRUCTION,
    ]  # fmt: skip
    assert seeds.read.text() == (
        f"{path}: 3 of 4 rows read as messages, 1 with a response; left out of rows: "
        "later turns 1, label 1; rows left out: an image, audio or video needed 1, blank 1"
    )


def test_why_an_answer_of_weight_0_is_none_is_told(seeds_file):
    """The row has one, so that `no response` would be no reason."""
    said = {"role": "assistant", "content": "Done.", "weight": 0}
    row = {"messages": [{"role": "user", "content": "Sort it."}, said]}
    seeds = read_seeds(SeedsConfig(path=str(seeds_file("s.jsonl", [row]))))
    (task,) = of(Task, list(seeds))
    reason, why = seeds.why_unanswered(task.id)
    assert reason is Reason.EMPTY
    assert "is not to be learnt" in why


SORT = {"role": "user", "content": "Sort it."}
UNUSABLE = [
    ({"messages": [SORT, {"role": "assistant", "content": "x", "weight": 0}]}, "not to be learnt"),
    ({"messages": [SORT, {"role": "assistant", "content": "x", "weight": 1}]}, ""),
    ({"messages": [SORT]}, ""),
    ({"prompt": "Sort it.", "completion": "x", "label": False}, "labelled bad"),
    ({"row": {"prompt": "a", "output": "x"}, "truncated_cells": ["output"]}, "cut by a viewer"),
    ({"prompt": "Sort it.", "completion": "x", "finish_reason": "length"}, "cut at its longest"),
    ({"row": {"prompt": "a", "output": "x", "id": 1}, "truncated_cells": ["id"]}, ""),
    ({"query": "a", "answers": '[{"name": "f", "arguments": {}}]', "tools": "[1]"}, "needs tools"),
]


@pytest.mark.parametrize(("row", "why"), UNUSABLE, ids=str)
def test_why_a_row_cannot_be_used_is_told(seeds_file, row, why):
    """`train` leaves such rows out and counts them; a row without a response is a fault there."""
    (placed,) = read_placed_rows([str(seeds_file("s.jsonl", [row]))])
    assert placed.why == why


def test_thinking_is_counted(read, seeds_file):
    """Since it is neither run nor exported."""
    rows = [
        {"instruction": "Sort it.", "output": "<think>\nIt is a list.\n</think>\nDone."},
        {"instruction": "Add them.", "output": "Done."},
    ]
    counts = ReadCounts("f")
    list(read_rows(str(seeds_file("s.jsonl", rows)), counts=counts))
    assert counts.text() == (
        "f: 2 of 2 rows read as output, 2 with a response, 1 with thinking kept apart"
    )
    assert counts.as_dict()["thoughts"] == 1


def test_a_file_without_any_instruction_is_an_error(read, seeds_file):
    """One line names the fields found, and how to name columns."""
    with pytest.raises(SeedsError) as caught:
        read(seeds_file("s.json", [{"note": "?"}, {"memo": "!"}]))
    assert "s.json: a task was found in 0 of 2 rows" in str(caught.value)
    assert "the fields note; name the columns, as in --columns" in str(caught.value)
    with pytest.raises(SeedsError) as caught:
        read(seeds_file("s.json", [{"instruction": ""}]))
    assert "none of its 1 rows is usable (no_instruction 1)" in str(caught.value)


def test_rows_that_are_no_objects_are_drops(read, seeds_file):
    """A number or a list in place of a row is a row without an instruction."""
    rows = [3, None, ["x"], *({"instruction": f"Do {n}."} for n in range(30))]
    records, report = read(seeds_file("s.json", rows))
    assert (report.n_tasks, report.n_rows) == (30, 33)
    assert (
        of(Drop, records)[0].detail == "row 1 has no instruction: no fields but a value of type int"
    )


def test_ten_megabytes_in_one_row_are_a_drop(read, seeds_file):
    """Its beginning is recorded, and the other rows are read."""
    rows = [{"instruction": "y" * 10_000_000}, {"instruction": "One.", "output": "z" * 10_000_000}]
    records, report = read(seeds_file("s.jsonl", [*rows, {"instruction": "Two."}]))
    assert [drop.reason for drop in of(Drop, records)] == [Reason.TOO_LONG] * 2
    assert report.n_tasks == 1
    assert sum(len(drop.seen) for drop in of(Drop, records)) < 9000


def test_a_row_that_is_nested_as_deep_as_json_allows_is_a_drop(read, seeds_file):
    """Formatting it needs no more stack than parsing it."""
    deep = b'{"odd": ' + b"[" * 900 + b"]" * 900 + b"}\n"
    rows = b"".join(json.dumps({"instruction": f"Do {n}."}).encode() + b"\n" for n in range(9))
    records, report = read(seeds_file("s.jsonl", deep + rows))
    assert report.n_tasks == 9
    assert records[0].reason is Reason.NO_INSTRUCTION
    assert records[0].seen.startswith("{'odd': [[")


def test_reading_twice_gives_the_same_records(read, seeds_file):
    """Ids are content hashes, so a second run begins with the same tasks."""
    path = seeds_file("s.jsonl", ROWS)
    assert read(path) == read(path)


def test_random_files_are_all_accounted_for(read, seeds_file):
    """In = kept + dropped for any contents."""
    rng = random.Random(0)
    texts = [None, "", " ", "One.", "Two.", "Three.", "w" * 50]
    for case in range(30):
        rows = [
            {"instruction": rng.choice(texts), "output": rng.choice(texts)}
            for _ in range(rng.randint(1, 40))
        ]
        rows.append({"instruction": "Certain."})
        records, report = read(seeds_file(f"{case}.jsonl", rows), max_chars=20)
        assert report.n_tasks + len(of(Drop, records)) == report.n_rows == len(rows)


def test_all_records_go_into_the_store(seeds_file, tmp_path):
    """What the reader yields is what a run begins with; nothing collides."""
    path = seeds_file("s.jsonl", ROWS)
    with RunStore.create(tmp_path / "run", Config()) as store:
        store.add_seeds(read_seeds(SeedsConfig(path=str(path))))
        assert [row.task.ordinal for row in store.rows()] == [0, 3]
        assert [drop.reason.value for drop in store.drops()] == [
            "duplicate",
            "no_instruction",
            "too_long",
        ]
        assert store.db.read("SELECT COUNT(*) FROM tasks") == [(3,)]


def test_a_fault_halfway_leaves_nothing_in_the_store(seeds_file, tmp_path):
    """Seeds are written whole or not at all."""
    path = seeds_file("s.jsonl", json.dumps(ROWS[0]).encode() + b"\n{")
    with RunStore.create(tmp_path / "run", Config()) as store:
        with pytest.raises(SeedsError, match="line 2 is not JSON"):
            store.add_seeds(read_seeds(SeedsConfig(path=str(path))))
        assert store.db.read("SELECT COUNT(*) FROM tasks") == [(0,)]


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    """Neither the rows nor the digests of what was seen are kept in memory."""

    def peak(n_rows):
        path = tmp_path / f"{n_rows}.jsonl"
        with path.open("w") as file:
            for n in range(n_rows):
                file.write(json.dumps({"instruction": f"Task {n}.", "output": "y" * 200}) + "\n")
        tracemalloc.start()
        n_records = sum(1 for _ in read_seeds(SeedsConfig(path=str(path))))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_records == 2 * n_rows
        return used

    assert peak(2_000) < peak(400) + 30_000


def test_no_room_for_digests_is_an_error_of_ours(monkeypatch):
    """SQLite's fault does not pass the border of this file."""
    seen = _SeenTexts()
    seen._db.execute("PRAGMA max_page_count=2")
    with pytest.raises(StoreError, match=r"temporary files cannot be used: .* full"):
        for row in range(10_000):
            seen.first(f"text {row}", row)
    seen.close()


def test_a_system_turn_is_no_end_of_a_task(read, seeds_file):
    """Rows of the same words in other turns are no duplicates."""
    turns = [
        {"role": "system", "content": "Use Python."},
        {"role": "user", "content": "Sort it."},
    ]
    rows = [{"instruction": "Sort it. Use Python."}, {"messages": turns}]
    assert read(seeds_file("s.jsonl", rows))[1].n_tasks == 2


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"prompt": "Do it.", "llm_says": "x\ny", "n": 3, "model": "m"}, "llm_says"),
        ({"prompt": "Do it.", "a": "x" * 80, "b": "y\ny"}, "a or b"),
        ({"prompt": "Do it.", "kind": "short"}, ""),
        ({"prompt": "Do it.", "tests": "assert f(1)\nassert f(2)", "a": "x\ny"}, "a"),
        ({"prompt": "Do it.", "text": "x\ny", "completion": "done"}, ""),
        ({"prompt": "Do it.", "completion": "bad", "label": False, "text": "x\ny"}, ""),
    ],
)
def test_columns_that_may_hold_a_response_are_named(seeds_file, row, named):
    """Only if no row has a response, and only those with long texts."""
    counts = ReadCounts("f")
    list(read_rows(str(seeds_file("s.jsonl", [row, row])), counts=counts))
    hint = f"; if a response is in {named}, name it, as in --columns response=NAME"
    assert (hint in counts.text()) == bool(named)
    assert named or "--columns" not in counts.text()


NO_CLASSES = [
    [False],
    [False, True],
    ["false", "True"],
    [0, 1],
    ["0", "1"],
    [0.0, 1.0],
    ["bad"],
    ["bad", "good", None],
    ["rejected", "chosen"],
    ["reject", "accept"],
    ["incorrect", "correct"],
    ["bad", "ok"],
    [1, -1],
    ["-1"],
]
CLASSES = [
    [0, 1, 2],
    ["0", "1", "2"],
    [1, 0, -1],
    [0.0, 0.5, 1.0],
    [0, 0],
    ["no", "maybe", "yes"],
    ["bad", "good", "neutral"],
    ["rejected", "merged"],
    [0, "sorting"],
]


def labelled(labels, name="label"):
    return [
        {"instruction": f"Write a function f{n}.", "output": "x", name: label}
        for n, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    "names", [("instruction", "output", "label"), ("Instruction", "Output", "Label")], ids=str
)
@pytest.mark.parametrize(
    ("labels", "is_class"),
    [*((one, False) for one in NO_CLASSES), *((one, True) for one in CLASSES)],
    ids=str,
)
def test_a_class_is_no_reason_to_leave_a_response_out(seeds_file, labels, is_class, names):
    """`run`, `verify`, `clean`, `train` and the API agree, wherever the deciding row stands."""
    values = [dict(zip(names, row.values(), strict=True)) for row in labelled(labels)]
    path = seeds_file("s.jsonl", values)
    n_bad = sum(str(one).lower() in BAD for one in labels)
    wanted = len(labels) - (0 if is_class else n_bad)
    seeds = read_seeds(SeedsConfig(path=str(path)))
    assert len(of(Response, list(seeds))) == wanted
    for rows in (
        read_placed_rows([str(path)]),
        (PlacedRow("", one) for one in evolcoder.read(values)),
    ):
        assert sum(bool(one.row.response.text) and not one.why for one in rows) == wanted


def test_a_name_that_is_no_class_is_a_label(seeds_file):
    """`kto_tag` and `desirable` judge responses, whatever their numbers."""
    for name in ("kto_tag", "desirable"):
        seeds = read_seeds(SeedsConfig(path=str(seeds_file("s.jsonl", labelled([0, 1, 2], name)))))
        assert len(of(Response, list(seeds))) == 2
