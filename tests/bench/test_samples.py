"""Sample files: four formats, and every kind of error."""

import gzip
import json
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.bench import samples
from evolcoder.bench.base import MAX_CHARS, AssertChecks, Problem, ProgramChecks, PromptForm, Sample
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.bench.sample_rows import ANSWER_FIELDS
from evolcoder.bench.samples import SampleFormat, read_samples, write_samples
from evolcoder.errors import BenchError

PROMPT = 'def f(x):\n    """Add one."""\n'
PROBLEMS = tuple(
    Problem(f"Toy/{i}", PROMPT, AssertChecks("f(1)", ("f",), None), None, "", ()) for i in range(3)
)
BENCH = FunctionBench("toy", PROBLEMS, lambda problem: None)


def lines(path, *rows):
    path.write_bytes(
        b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows)
    )
    return path


def completion(i, text="    return x\n"):
    return {"task_id": f"Toy/{i}", "completion": text}


def read(path):
    return read_samples(path, PROBLEMS)


def told(reading):
    return [(sample.problem, sample.index, sample.text, sample.form) for sample in reading.samples]


def test_completions_and_solutions_are_distinguished(tmp_path):
    """human-eval's continue the prompt, EvalPlus's are complete, and a file may contain both."""
    path = lines(tmp_path / "s.jsonl", completion(1, "a"), {"task_id": "Toy/1", "solution": "b"})
    assert told(read(path)) == [
        ("Toy/1", 0, "a", PromptForm.COMPLETION),
        ("Toy/1", 1, "b", PromptForm.PROGRAM),
    ]


def test_bigcode_lists_follow_the_order_of_the_problems(tmp_path):
    """The third list is the third problem; an extra list is unknown, a non-list unreadable."""
    path = tmp_path / "generations.json"
    path.write_text(json.dumps([["a", "b"], [], ["c"], ["d"], 5]))
    reading = read(path)
    assert told(reading) == [
        ("Toy/0", 0, "a", PromptForm.PROGRAM),
        ("Toy/0", 1, "b", PromptForm.PROGRAM),
        ("Toy/2", 0, "c", PromptForm.PROGRAM),
    ]
    assert reading.missing == ("Toy/1",)
    assert reading.unknown == ("list 3",)
    assert reading.unreadable == ("list 4: not a list of programs",)


def test_multipl_e_has_a_file_per_problem(tmp_path):
    """Compressed or not, in any folder; result files are ignored."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/0.json").write_text(json.dumps({"name": "Toy/0", "completions": ["a", "b"]}))
    packed = gzip.compress(json.dumps({"name": "Toy/1", "completions": ["c"]}).encode())
    (tmp_path / "1.json.gz").write_bytes(packed)
    (tmp_path / "1.results.json").write_text("{")
    assert read(tmp_path).unreadable == ()
    assert sorted(told(read(tmp_path))) == [
        ("Toy/0", 0, "a", PromptForm.COMPLETION),
        ("Toy/0", 1, "b", PromptForm.COMPLETION),
        ("Toy/1", 0, "c", PromptForm.COMPLETION),
    ]


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz", "s.json", "s.txt"])
def test_json_lines_are_read_under_any_name(tmp_path, name):
    """The format is detected from the content."""
    plain = lines(tmp_path / "plain", completion(0), completion(1)).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(plain) if name.endswith("gz") else plain)
    assert len(read(tmp_path / name).samples) == 2


def test_missing_and_unknown_problems_are_named(tmp_path):
    """Samples of known problems are read; missing and unknown ids are listed, once each."""
    path = lines(tmp_path / "s.jsonl", completion(7), completion(7), completion(1))
    reading = read(path)
    assert [sample.problem for sample in reading.samples] == ["Toy/1"]
    assert (reading.missing, reading.unknown) == (("Toy/0", "Toy/2"), ("Toy/7",))
    assert reading.notes == ["1 ids are not in this benchmark (such as Toy/7)"]


def test_repeated_samples_are_kept_and_counted(tmp_path):
    """A model may give the same answer twice; a file written twice shows in the count."""
    reading = read(lines(tmp_path / "s.jsonl", completion(0), completion(0), completion(0, "b")))
    assert [sample.index for sample in reading.samples] == [0, 1, 2]
    assert reading.n_repeated == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{\n", "line 1: not JSON"),
        (b"[1]\n", "line 1: task_id is missing"),
        (b'{"task_id": "Toy/0"}\n', "line 1: has neither completion nor solution"),
        (b'{"task_id": "Toy/0", "completion": 5}\n', "line 1: text is a int, not a string"),
        (b'{"task_id": "Toy/0", "solution": [["a"]]}\n', "line 1: text is a list, not a string"),
        (b"[" * 100_000 + b"\n", "line 1: not JSON"),
        (b"\xff\xfe\n", "line 1: not JSON"),
        (b'{"task_id": "Toy/0", "completion": %s}\n' % (b"9" * 5000), "line 1: not JSON"),
    ],
    ids=range(8),
)
def test_an_invalid_line_is_reported_with_its_number(tmp_path, line, why):
    """The other lines are read."""
    reading = read(lines(tmp_path / "s.jsonl", line, completion(0)))
    assert [fault[: len(why)] for fault in reading.unreadable] == [why]
    assert len(reading.samples) == 1


@pytest.mark.parametrize(
    "id", [b"9" * 4000, b"[" * 150 + b"]" * 150, b'{"a": [1e999, null]}', b'"' + b"x" * 10**6 + b'"'],
    ids=range(4),
)  # fmt: skip
def test_an_id_may_be_anything_and_is_then_unknown(tmp_path, id):
    """It is shown in bounded length."""
    line = b'{"task_id": %s, "completion": ""}\n' % id
    (unknown,) = read(lines(tmp_path / "s.jsonl", line, completion(0))).unknown
    assert len(unknown) <= 60


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"a\\u0000b", "contains a NUL byte"),
        (b"a\xff", "is not valid UTF-8"),
        (b"a\\ud800", "is not valid UTF-8"),
        (b"a" * (MAX_CHARS + 1), f"{MAX_CHARS + 1:,} characters; the limit is {MAX_CHARS:,}"),
    ],
)
def test_a_text_that_no_compiler_could_be_given_is_a_sample_with_a_fault(tmp_path, text, fault):
    """It counts as a sample, its text is dropped, and its candidate has no program."""
    line = b'{"task_id": "Toy/0", "completion": "' + text + b'"}\n'
    reading = read(lines(tmp_path / "s.jsonl", line, completion(1)))
    (faulty, sound) = reading.samples
    assert (faulty.fault, faulty.text, sound.fault) == (fault, "", None)
    candidate = BENCH.candidate(PROBLEMS[0], faulty)
    assert (candidate.program, candidate.fault) == ("", fault)
    assert reading.notes[0].startswith("1 samples cannot be run (such as Toy/0: ")


def test_a_program_of_100_mb_is_read_past(tmp_path):
    """Samples after it are read."""
    path = tmp_path / "s.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"task_id": "Toy/0", "completion": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + json.dumps(completion(1)).encode())
    faulty, sound = read(path).samples
    assert faulty.fault is not None
    assert faulty.fault.startswith("100,000,000 characters")
    assert sound.text == "    return x\n"


def test_an_empty_program_is_a_sample(tmp_path):
    """An empty answer counts against the model."""
    (sample,) = read(lines(tmp_path / "s.jsonl", completion(0, ""))).samples
    candidate = BENCH.candidate(PROBLEMS[0], sample)
    assert (candidate.program, candidate.fault, candidate.found) == ("", None, "nothing")


def test_an_archive_that_ends_early_gives_what_it_has(tmp_path):
    """The samples before the damage are read, and the damage is reported."""
    rows = [completion(0, str(i) * 50) for i in range(2000)]
    whole = gzip.compress(lines(tmp_path / "s", *rows).read_bytes())
    (tmp_path / "s.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    reading = read(tmp_path / "s.jsonl.gz")
    assert 0 < len(reading.samples) < 2000
    assert "damaged" in reading.unreadable[-1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "contains no sample"),
        (b"{", "contains no sample; line 1: not JSON"),
        (
            b'{"task_id": "Other/0", "completion": ""}',
            "no sample is for this benchmark; its ids look",
        ),
    ],
)
def test_a_file_without_any_sample_is_one_line(tmp_path, content, why):
    """A file without samples is the user's mistake, not a score of zero."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(BenchError, match=why) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.jsonl", "bad.jsonl.gz"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name):
    """Missing, or not an archive though named as one."""
    (tmp_path / "bad.jsonl.gz").write_bytes(b"plain")
    with pytest.raises(BenchError, match="cannot be read"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "layout", [SampleFormat.HUMAN_EVAL, SampleFormat.EVALPLUS, SampleFormat.BIGCODE]
)
def test_written_samples_read_back_as_the_same_programs(tmp_path, layout):
    """For every format, reading the file gives the same candidates, including prompts."""
    texts = ["    return x\n", "def f(x):\n    return 'é'\n", ""]
    forms = [PromptForm.COMPLETION, PromptForm.PROGRAM, PromptForm.COMPLETION]
    given = [
        BENCH.candidate(PROBLEMS[i % 2], Sample.of(f"Toy/{i % 2}", i // 2, text, form))
        for i, (text, form) in enumerate(zip(texts, forms, strict=True))
    ]
    path = tmp_path / "new/s.json"
    write_samples(path, layout, PROBLEMS, given)
    back = [BENCH.candidate(PROBLEMS[0], sample) for sample in read(path).samples]
    wanted = [c.program for c in sorted(given, key=lambda c: c.problem)]
    if layout is SampleFormat.HUMAN_EVAL:
        wanted = [p if not p or p.startswith(PROMPT) else PROMPT + p for p in wanted]
    assert [candidate.program for candidate in back] == wanted


def test_multipl_e_is_written_for_its_own_problems(tmp_path):
    """One file per problem with all completions; anything else is a one-line error."""
    problem = Problem("Toy_0", "fn f(", ProgramChecks("rust", "}", "f"), None, "", ())
    bench = FunctionBench("toy", (problem,), lambda problem: None)
    given = [bench.candidate(problem, Sample.of("Toy_0", 0, "x: u8) {", PromptForm.COMPLETION))]
    write_samples(tmp_path / "out", SampleFormat.MULTIPL_E, (problem,), given)
    assert json.loads((tmp_path / "out/Toy_0.json").read_text())["language"] == "rs"
    (sample,) = read_samples(tmp_path / "out", (problem,)).samples
    assert (sample.problem, sample.text) == ("Toy_0", "x: u8) {")
    with pytest.raises(BenchError, match="only MultiPL-E's problems"):
        write_samples(tmp_path / "out", SampleFormat.MULTIPL_E, PROBLEMS, [])
    other = [bench.candidate(problem, Sample.of("Toy_0", 0, "mod a;", PromptForm.PROGRAM))]
    with pytest.raises(BenchError, match="does not continue the prompt"):
        write_samples(tmp_path / "out", SampleFormat.MULTIPL_E, (problem,), other)


def test_an_unwritable_path_is_a_one_line_error(tmp_path):
    """Such as on a full disk; the old file is still there."""
    (tmp_path / "file").write_text("old")
    with pytest.raises(BenchError, match="cannot be written"):
        write_samples(tmp_path / "file/s.jsonl", SampleFormat.EVALPLUS, PROBLEMS, [])
    assert (tmp_path / "file").read_text() == "old"


@settings(deadline=None)
@given(
    content=st.binary(max_size=80) | st.text(alphabet='{}[]",:0 \n', max_size=60).map(str.encode)
)
def test_no_file_makes_reading_fail_in_another_way(tmp_path_factory, content):
    """Any bytes give a SampleFile or a BenchError."""
    for name in ("s.jsonl", "s.json"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        with pytest.raises(BenchError):
            read(path)


OTHER = (PROBLEMS[0], replace(PROBLEMS[1], prompt="Add two."), PROBLEMS[2])
LONG = "Return the sum of two numbers, of which each may be negative or zero."
CHAT = {"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "row",
    [
        {"task_id": "Toy/1", "response": "a"},
        {"task_id": "Toy/1", "generation": "a"},
        {"task_id": "toy/1", "output": ["a"]},
        {"problem_id": 1, "answer": "a"},
        {"id": "1", "generated_text": "a"},
        {"doc_id": 1, "doc": {"task_id": "Toy/1"}, "resps": [["a"]], "filtered_resps": ["a"]},
        {"task_id": "Toy/1", **CHAT},
        {"task_id": "Toy/1", "completion": CHAT},
        {"custom_id": "Toy/1", "response": {"status_code": 200, "body": CHAT}},
        {"task_id": "Toy/1", "messages": [{"role": "user", "content": "q"},
                                          {"role": "assistant", "content": "a"}]},
        {"task_id": "Toy/1", "message": {"content": [{"type": "text", "text": "a"}]}},
        {"task_id": "Toy/1", "conversations": [{"from": "human", "value": "q"},
                                               {"from": "gpt", "value": "a"}]},
        {"task_id": "Toy/1", "response": {"candidates": [{"content": {"role": "model", "parts": [
            {"text": "b", "thought": True}, {"text": "a"}]}}]}},
        {"question_id": "Toy/1", "question_content": "q", "output_list": ["a"]},
        {"task_id": "Toy/1", "predictions": ["a"]},
        {"task_id": "Toy/1", "raw_generation": ["a"], "parsed": "b"},
        {"prompt": "Add two.", "response": "a"},
        {"id": 0, "prompt": "Add two.", "response": "a"},
        {"request_id": "r", "prompt": "Add two.", "outputs": [{"index": 0, "text": "a"}]},
        {"id": "cmpl-7", "prompt": "Add two.", "response": "a"},
        {"custom_id": "toy_1", "result": {"type": "succeeded", "message": {"role": "assistant",
            "content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "a"}]}}},
        {"custom_id": "Toy/1", "response": {"body": {"output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}]},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "a"}]}]}}},
        {"task_id": "Toy/1", "message": {"content": [{"type": "thinking", "thinking": "b"},
            {"type": "text", "text": ""}, {"type": "text", "text": "a"}]}},
        {"key": "Toy/1", "response": {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}},
        {"recordId": "Toy/1", "modelOutput": {"content": [{"type": "text", "text": "a"}]}},
        {"task_id": "Toy/1", "response": "a", "code": "b", "result": "passed"},
        {"prompt": "Add two.", "predict": "a", "label": "b"},
        {"prompt": f"<|im_start|>user\n{LONG}<|im_end|>\n<|im_start|>assistant\n", "predict": "a"},
        {"input_question": "Add two.", "output_prediction_text": ["a"], "is_correct": True},
        {"id": "chatcmpl-7", "metadata": {"task_id": "Toy/1"}, **CHAT},
        {"id": 0, "metadata": {"task_id": "Toy/1"}, **CHAT},
        {"id": "r-7", "inputs": {"task_id": "Toy/1"}, "outputs": {"output": "a"}},
        {"vars": {"task_id": "Toy/1"}, "response": {"output": "a"}, "success": True},
        {"name": "a-model", "problem_id": None, "instance_id": "Toy/1", "generated": "a"},
        {"task_id": "Toy/1", "llm_output": "a"},
        {"task_id": "Toy/1", "user": "q", "assistant": "a"},
        {"task_id": "Toy/1", "model_response": "a"},
        {"task_id": "Toy/1", "reply": "a"},
        {"task_id": "Toy/1-3", "response": "a"},
    ],
    ids=range(39),
)  # fmt: skip
def test_rows_of_other_tools_are_read_as_answers(tmp_path, row):
    """With `--samples-are answers`; without it, they are named as unreadable with that advice."""
    path = lines(tmp_path / "s.jsonl", row)
    problems = (
        OTHER if LONG not in str(row.get("prompt")) else (OTHER[0], replace(OTHER[1], prompt=LONG))
    )
    reading = read_samples(path, problems, form=PromptForm.ANSWER)
    assert told(reading) == [("Toy/1", 0, "a", PromptForm.ANSWER)]
    with pytest.raises(BenchError, match="--samples-are answers"):
        read_samples(path, problems)


@pytest.mark.parametrize("prompt", [f"{LONG} {LONG[::-1]}", LONG[:-1], "Add two. Then more."])
def test_a_prompt_within_another_text_names_one_problem_or_none(tmp_path, prompt):
    """Of several prompts in a text, or of a short one, none is meant."""
    problems = (
        replace(OTHER[0], prompt=LONG[::-1]),
        replace(OTHER[1], prompt=LONG),
        replace(OTHER[2], prompt="Add two."),
    )
    path = lines(tmp_path / "s.jsonl", {"prompt": prompt, "predict": "a"})
    with pytest.raises(BenchError, match="no sample is for this benchmark"):
        read_samples(path, problems, form=PromptForm.ANSWER)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ([{"task_id": "Toy/1", "completion": "a"}], None),
        ([{"task_id": "Toy/1", "solution": "a"}], None),
        ([{"task_id": "Toy/1", "response": "a"}], PromptForm.ANSWER),
        ({"date": "d", "hash": "h", "eval": {"Toy/1": [{"task_id": "Toy/1", "solution": "a"}]}}, None),
        ({"Toy/1": "a"}, PromptForm.PROGRAM),
        ({"Toy/1": ["a"]}, PromptForm.PROGRAM),
        ({"Toy/1": {"response": "a"}}, PromptForm.ANSWER),
        ({"0": {"origin_prompt": [], "prediction": "a", "gold": "Toy/1"}}, PromptForm.ANSWER),
        ({"generations": [[], ["a"]]}, None),
        ({"samples": [{"id": "Toy/1", "output": {"choices": [{"message": {
            "role": "assistant", "content": "a"}}], "completion": "a"}}]}, PromptForm.ANSWER),
        ({"task_id": "Toy/1", "solution": ["a"]}, None),
        ({"results": {}, "samples": {"t": [{"doc": {"task_id": "Toy/1"}, "resps": [["a"]]}]}},
         PromptForm.ANSWER),
        ({"task_id": "Toy/1", "completion": "a", "solution": None}, None),
        ({"id": 1, "code": "a", "metadata": {"problem_id": 1}}, None),
        ({"id": 1, "code": ["a"]}, None),
        ({"task_id": "Toy/1", "program": "a", "test": "b"}, None),
        ({"name": "Toy/1", "prompt": "p(", "tests": "t", "results": [
            {"program": "p(a\nt", "exit_code": 0, "status": "OK"}]}, None),
        ({"task_id": "Toy/1", "resps": [["b"]], "filtered_resps": [["a"]]}, PromptForm.PROGRAM),
        ({"task_id": ["Toy/1"], "solution": ["a"]}, None),
        ({"task_id": {"0": "Toy/1"}, "solution": {"0": "a"}}, None),
        ({"columns": ["task_id", "solution"], "index": [0], "data": [["Toy/1", "a"]]}, None),
        ({"features": [], "rows": [{"row_idx": 0, "row": {"task_id": "Toy/1", "solution": "a"}}]}, None),
        ({"data": [{"task_id": "Toy/1", "solution": "a"}]}, None),
        ({"Toy/1": {"0": "a"}}, PromptForm.PROGRAM),
        ({"model": "m", "results": {"Toy/1": ["a"]}}, PromptForm.PROGRAM),
        ({"pass@1": 1, "details": {"0": {"task_id": "Toy/1", "completion": "a"}}}, None),
        ({"evalId": "e", "results": {"version": 3, "results": [
            {"vars": {"task_id": "Toy/1"}, "response": {"output": "a"}}]}}, PromptForm.ANSWER),
        ({"task_id": "Toy/1", "predictions": ["a"]}, PromptForm.ANSWER),
    ],
    ids=range(28),
)  # fmt: skip
@pytest.mark.parametrize("name", ["s.json", "S.JSON", "utf16.json"])
def test_values_of_other_tools_are_read(tmp_path, value, form, name):
    """Arrays of rows, objects of rows by id, and results; in UTF-16 too."""
    path = tmp_path / name
    path.write_text(json.dumps(value), encoding="utf-16" if "16" in name else "utf-8")
    assert [(one.problem, one.text) for one in read_samples(path, PROBLEMS, form=form).samples] == [
        ("Toy/1", "a")
    ]


def test_the_number_of_a_row_is_no_id_of_a_problem(tmp_path):
    """OpenCompass counts its rows: without the id in `gold` they belong to no problem."""
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"1": {"prediction": "a"}}))
    with pytest.raises(BenchError, match="task_id is missing"):
        read_samples(path, PROBLEMS, form=PromptForm.ANSWER)


def test_a_folder_of_programs_is_read(tmp_path):
    """EvalPlus writes one, with a file for each program."""
    for name, text in (("Toy_1/0.py", "a"), ("Toy_1/1.py", "b"), ("Toy_2/0.py", "c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert told(read(tmp_path)) == [
        ("Toy/1", 0, "a", PromptForm.PROGRAM),
        ("Toy/1", 1, "b", PromptForm.PROGRAM),
        ("Toy/2", 0, "c", PromptForm.PROGRAM),
    ]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"Toy_1.py": "a", "Toy_0.py": "b"}, [("Toy/0", "b"), ("Toy/1", "a")]),
        (
            {"code/run.py": "x", "s.jsonl": '{"task_id": "Toy/1", "solution": "a"}'},
            [("Toy/1", "a")],
        ),
        ({"Toy_1/0.py": "a", "eval_results.json": "{}", "run.py": "x"}, [("Toy/1", "a")]),
        ({"m/t/Toy_1/0.py": "a", "m/t/Toy_1/10.py": "b"}, [("Toy/1", "a"), ("Toy/1", "b")]),
    ],
    ids=range(4),
)
def test_programs_are_found_by_the_names_of_their_problems(tmp_path, files, found):
    """Other programs in a folder are no samples."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    reading = read(tmp_path)
    assert [(one.problem, one.text) for one in reading.samples] == found
    assert (reading.unknown, reading.unreadable) == ((), ())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Toy_1/0.txt", "a folder holds JSON files, or programs by problem"),
        ("x/0.py", "look like x"),
    ],
)
def test_a_folder_without_samples_is_one_line(tmp_path, name, why):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("a")
    with pytest.raises(BenchError, match=why):
        read(tmp_path)


CHAT = [{"role": "user", "content": "task"}, {"role": "assistant", "content": "wrong"}]


@pytest.mark.parametrize(
    "field", [name for name in ANSWER_FIELDS if name not in {"text", "content"}]
)
@pytest.mark.parametrize("said", ["wrong", ["wrong"], [["wrong"]], {"content": "wrong"}, CHAT])
def test_the_reference_of_a_row_is_no_answer(tmp_path, field, said):
    """A `solution` next to an answer would pass whatever the model said."""
    path = lines(tmp_path / "s.jsonl", {"task_id": "Toy/1", "solution": "right", field: said})
    found = read_samples(path, PROBLEMS, form=PromptForm.ANSWER).samples
    assert [sample.text for sample in found] == ["wrong"]


@pytest.mark.parametrize("row", [
    {"text": "task"}, {"content": "task"}, {"messages": CHAT[:1]}, {"response": ""}, {"output": None},
])  # fmt: skip
def test_a_solution_without_an_answer_is_the_answer(tmp_path, row):
    """What a task says, and what is empty, is no answer."""
    path = lines(tmp_path / "s.jsonl", {"task_id": "Toy/1", "solution": "said", **row})
    found = read_samples(path, PROBLEMS, form=PromptForm.ANSWER).samples
    assert [sample.text for sample in found] == ["said"]


@pytest.mark.parametrize(("texts", "is_noted"), [
    (["def f(x):  return x + 1", "    return x + 1", "no"], True),
    (["no", "no", "no"], False),
])  # fmt: skip
def test_samples_that_are_references_are_noted(tmp_path, texts, is_noted):
    """As whole programs or as completions, whatever field they came from."""
    prompt = "def f(x):"
    problems = [
        replace(one, prompt=prompt, reference=f"{prompt}\n    return x + 1\n") for one in PROBLEMS
    ]
    rows = [{"task_id": f"Toy/{i}", "solution": text} for i, text in enumerate(texts)]
    notes = read_samples(lines(tmp_path / "s.jsonl", *rows), problems).notes
    assert any("2 of 3 samples are the" in note for note in notes) is is_noted


@pytest.mark.parametrize(
    ("id", "problem"),
    [
        ("HumanEval_1", "HumanEval/1"),
        ("HumanEval/01", "HumanEval/1"),
        ("humaneval-1", "HumanEval/1"),
        ("openai_humaneval/1", "HumanEval/1"),
        ("HumanEval_1_f", "HumanEval/1"),
        ("HumanEval+/1", "HumanEval/1"),
        ("Python/1", "HumanEval/1"),
        (" HumanEval/1 ", "HumanEval/1"),
        ("CPP/1", None),
        ("test/1", None),
        ("BigCodeBench/1", None),
        ("HumanEval/1/0", None),
        ("mbpp_1", None),
    ],
)
def test_ids_are_found_as_tools_spell_them(tmp_path, id, problem):
    """Ids of other benchmarks and of other languages are unknown."""
    known = (replace(PROBLEMS[0], id="HumanEval/0"), replace(PROBLEMS[1], id="HumanEval/1"))
    path = lines(tmp_path / "s.jsonl", {"task_id": id, "solution": "a"},
                 {"task_id": "HumanEval/0", "solution": "a"})  # fmt: skip
    found = read_samples(path, known)
    assert [one.problem for one in found.samples] == [
        *([problem] if problem else []),
        "HumanEval/0",
    ]
    assert len(found.unknown) == (problem is None)


@pytest.mark.parametrize("name", ["s.csv", "s.parquet", "s.arrow"])
def test_a_table_is_refused_with_what_is_read(tmp_path, name):
    """Rather than as invalid JSON."""
    (tmp_path / name).write_bytes(b"task_id,completion\n")
    with pytest.raises(BenchError, match="is a table; write one JSON object a line"):
        read(tmp_path / name)


def test_numbers_of_problems_are_ids(tmp_path):
    """Google's MBPP has integers, and some files other letter cases."""
    rows = [{"task_id": one, "solution": "a"} for one in (1, "2", "toy/0")]
    found = read(lines(tmp_path / "s.jsonl", *rows)).samples
    assert [sample.problem for sample in found] == ["Toy/1", "Toy/2", "Toy/0"]


def test_samples_in_another_language_are_refused(tmp_path):
    """MultiPL-E's ids are the same in all languages, so its files say theirs."""
    problem = Problem("Toy_0_f", "fn f(", ProgramChecks("rust", "}", "f"), None, "", ())
    row = {"name": "Toy_0_f", "language": "cpp", "completions": ["x"]}
    path = tmp_path / "Toy_0_f.json"
    path.write_text(json.dumps(row))
    with pytest.raises(BenchError, match="in cpp, but this benchmark is in rust"):
        read_samples(tmp_path, (problem,))
    path.write_text(json.dumps(row | {"language": "rs"}))
    assert len(read_samples(tmp_path, (problem,)).samples) == 1


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"solution": "", "completion": "    return 1"}, None),
        ({"solution": " \n", "completions": ["    return 1"]}, None),
        ({"completion": "", "solution": "    return 1"}, None),
        ({"solution": "", "completion": "", "response": "    return 1"}, PromptForm.ANSWER),
        ({"completion": "", "generation": ["    return 1"]}, PromptForm.ANSWER),
    ],
    ids=str,
)
def test_a_blank_text_gives_way_to_that_of_another_field(tmp_path, row, form):
    """What the model wrote is graded; with nothing in any field, it wrote nothing."""
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"task_id": "P/0", **row}))
    checks = AssertChecks("f()", ("f",), None)
    problems = [Problem("P/0", "def f():\n", checks, None, "", ())]
    (sample,) = read_samples(path, problems, form=form).samples
    assert sample.text == "    return 1"
    path.write_text(json.dumps({"task_id": "P/0", **dict.fromkeys(row, "")}))
    assert [one.text for one in read_samples(path, problems, form=form).samples] == [""]


HELM = {"instance": {"id": "id0"}, "request": {"prompt": "Add two."},
        "result": {"success": True, "completions": [{"text": "a", "tokens": []}]}}  # fmt: skip


def test_the_states_of_helm_are_found_by_their_prompts(tmp_path):
    """Its ids count instances, in an order of its own."""
    path = tmp_path / "scenario_state.json"
    path.write_text(json.dumps({"adapter_spec": {}, "request_states": [HELM]}))
    found = read_samples(path, OTHER, form=PromptForm.CONTINUATION).samples
    assert [(one.problem, one.text) for one in found] == [("Toy/1", "a")]


LOG = {
    "header.json": {"eval": {"task": "t", "dataset": {"samples": 1}}},
    "summaries.json": [{"id": "Toy/1", "target": "b"}],
    "_journal/start.json": {"eval": {"task": "t"}},
    "samples/Toy_1_epoch_1.json": {"id": "Toy/1", "epoch": 1, "output": {"completion": "a"}},
    "samples/Toy_1_epoch_2.json": {"id": "Toy/1", "epoch": 2, "output": {"completion": "c"}},
}
"""Files of a log of Inspect."""


@pytest.mark.parametrize("inside", ["", "log/"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_a_log_of_inspect_is_read(tmp_path, inside, is_packed):
    """Its archive, or the unpacked folder: all epochs, and no other file."""
    path = tmp_path / "log.eval"
    if not is_packed:
        path.mkdir()
    for name, value in LOG.items():
        if is_packed:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(inside + name, json.dumps(value))
        else:
            (path / inside / name).parent.mkdir(parents=True, exist_ok=True)
            (path / inside / name).write_text(json.dumps(value))
    found = read_samples(path, PROBLEMS, form=PromptForm.ANSWER)
    assert [(one.problem, one.text) for one in found.samples] == [("Toy/1", "a"), ("Toy/1", "c")]
    assert (found.unknown, found.unreadable) == ((), ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpt/Toy_1/0.py", "a"),
        ("Toy_1/0.py", "a"),
        ("samples.jsonl", json.dumps({"task_id": "Toy/1", "solution": "a"})),
    ],
)
def test_an_archive_of_samples_is_read(tmp_path, name, text):
    """EvalPlus publishes folders of programs as archives."""
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(name, text)
    assert told(read(tmp_path / "s.zip")) == [("Toy/1", 0, "a", PromptForm.PROGRAM)]


def test_a_damaged_or_huge_archive_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("s.jsonl", json.dumps({"task_id": "Toy/1", "solution": "a" * 50}))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"aaaaa", b"bbbbb"))
    with pytest.raises(BenchError, match="cannot be unpacked: Bad CRC"):
        read(path)
    path.write_bytes(whole)
    monkeypatch.setattr(samples, "MOST_FILES", 0)
    with pytest.raises(BenchError, match="more than 2,048 MB or 0 files"):
        read(path)


@pytest.mark.parametrize("other", ["s.raw.jsonl", "s_eval_results.json", "run/s.jsonl"])
def test_a_folder_with_two_files_of_the_same_problems_is_refused(tmp_path, other):
    """Their samples would be mixed: EvalPlus writes raw answers and results next to programs."""
    (tmp_path / other).parent.mkdir(exist_ok=True)
    lines(tmp_path / "s.jsonl", completion(0))
    lines(tmp_path / other, completion(1))
    assert [one.problem for one in sorted(read(tmp_path).samples, key=str)] == ["Toy/0", "Toy/1"]
    lines(tmp_path / other, completion(1), completion(0))
    with pytest.raises(BenchError, match="both hold samples of Toy/0; name one file"):
        read(tmp_path)


def test_results_of_multipl_e_are_read_where_completions_are_missing(tmp_path):
    """A program without its prompt and its tests is the completion."""
    row = {"name": "Toy/1", "language": "py", "prompt": "def f(x):", "tests": "f(1)"}
    result = {"program": "def f(x):\n  pass\nf(1)", "status": "OK"}
    (tmp_path / "1.results.json").write_text(json.dumps({**row, "results": [result]}))
    assert told(read(tmp_path)) == [("Toy/1", 0, "\n  pass", PromptForm.COMPLETION)]
    (tmp_path / "1.json").write_text(json.dumps({**row, "completions": ["b"]}))
    assert told(read(tmp_path)) == [("Toy/1", 0, "b", PromptForm.COMPLETION)]


def test_the_code_of_a_row_of_mbpp_is_no_sample(tmp_path):
    """It is the reference."""
    row = {"task_id": 1, "text": None, "code": "a", "test_list": ["assert f(1)"]}
    with pytest.raises(BenchError, match="has neither completion nor solution"):
        read(lines(tmp_path / "s.jsonl", row))


@pytest.mark.parametrize("name", ["rows", "lines"])
@pytest.mark.parametrize(("given", "is_read"), [("cpp", False), ("rs", True), ("en", True)])
def test_rows_in_another_language_are_refused(tmp_path, name, given, is_read):
    """A language that is no programming language is not the samples'."""
    problem = Problem("Toy_0_f", "fn f(", ProgramChecks("rust", "}", "f"), None, "", ())
    row = {"task_id": "Toy_0_f", "language": given, "solution": "x"}
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps([row] if name == "rows" else row))
    if is_read:
        assert len(read_samples(path, (problem,)).samples) == 1
    else:
        with pytest.raises(BenchError, match="in cpp, but this benchmark is in rust"):
            read_samples(path, (problem,))


NAMES = ("add_up", "reverse", "flatten", "encode")
NAMED = tuple(
    Problem(f"Mbpp/{number}", "", AssertChecks("", (name,), None), None, "", ())
    for number, name in enumerate(NAMES, 11)
)
TEXTS = [f"def {name}(x):\n    return x" for name in NAMES]


@pytest.mark.parametrize(
    "value",
    [
        [[], *([text] for text in TEXTS[:3])],
        [[text] for text in reversed(TEXTS)],
        [{"task_id": number, "solution": text} for number, text in enumerate(TEXTS[:3], 12)],
        {f"Mbpp/{number}": [text] for number, text in enumerate(TEXTS[:3], 12)},
        [[f"I will help.\n```python\n{text}\n```"] for text in reversed(TEXTS)],
    ],
    ids=["lists", "reversed lists", "numbers of rows", "ids", "answers"],
)
def test_samples_of_other_problems_than_they_say_are_refused(tmp_path, value):
    """Lists in another order and numbers of rows would make every sample wrong."""
    path = tmp_path / "s.json"
    path.write_text(json.dumps(value))
    with pytest.raises(BenchError, match="samples define another problem's function, such as"):
        read_samples(path, NAMED, form=PromptForm.ANSWER)


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [f"{TEXTS[0]}\n\n{text}" for text in TEXTS],
        [
            "    return x",
            "    return encode(x)",
            "    return x",
            "def g(x):\n    return reverse(x)",
        ],
        [*TEXTS[:2], TEXTS[3], TEXTS[2]],
        ["", "", "", ""],
    ],
    ids=["own", "helper of another name", "bodies", "half of them", "empty"],
)
def test_samples_that_may_be_of_their_problems_are_read(tmp_path, texts):
    """A helper may have the name of another problem's function, and a model may be mistaken."""
    path = tmp_path / "s.json"
    path.write_text(json.dumps([[text] for text in texts]))
    assert len(read_samples(path, NAMED).samples) == 4


@pytest.mark.parametrize(
    ("row", "finishes"),
    [
        ({"completion": "a", "finish_reason": "length"}, ["length"]),
        ({"completion": "a", "finish_reason": "stop"}, ["stop"]),
        ({"completion": "a"}, [""]),
        ({"completion": "a", "finish_reason": None}, [""]),
        ({"completion": "a", "finish_reason": 7}, [""]),
        ({"completion": ["a", "b"], "finish_reason": ["stop", "length"]}, ["stop", "length"]),
        ({"completion": ["a", "b"], "finish_reason": ["length", "length"]}, ["length", "length"]),
        ({"completion": ["a", "b"], "finish_reason": "length"}, ["length", "length"]),
        ({"completion": ["a", "b", "c"], "finish_reason": ["stop", "length"]}, ["", "", ""]),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}, ["stop"]),
        ({"response": {"content": [{"type": "text", "text": "a"}], "stop_reason": "max_tokens"}},
         ["max_tokens"]),
        ({"response": {"message": {"content": "a"}, "done_reason": "length"}}, ["length"]),
        ({"response": {"candidates": [
            {"content": {"parts": [{"text": "a"}]}, "finishReason": "MAX_TOKENS"}
        ]}}, ["MAX_TOKENS"]),
        ({"generated_text": "a", "details": {"finish_reason": "length", "tokens": []}}, ["length"]),
        ({"response": {"output": [{"content": [{"type": "output_text", "text": "a"}]}],
                       "incomplete_details": {"reason": "max_output_tokens"}}},
         ["max_output_tokens"]),
        # the text that ended a completion, as vLLM gives it, with and without the word
        ({"completion": "a", "stop_reason": "\nclass"}, [""]),
        ({"completion": "a", "finish_reason": "content_filter"}, ["content_filter"]),
        ({"completion": ["a", "b"], "finish_reason": ["content_filter", None]},
         ["content_filter", ""]),
        ({"completion": "a", "finish_reason": "stop", "stop_reason": "\nclass"}, ["stop"]),
        ({"outputs": [{"text": "a", "finish_reason": "length"}, {"text": "b", "finish_reason":
            "stop"}]}, ["length", "stop"]),
    ],
)  # fmt: skip
def test_why_a_model_stopped_is_read_from_the_row(row, finishes, tmp_path):
    """In servers' words, for each text of the row; answers cut off by the limit are counted."""
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"task_id": "Toy/0"} | row) + "\n")
    found = read_samples(path, PROBLEMS, form=PromptForm.ANSWER)
    assert list(found.finishes) == finishes
    assert len(found.samples) == len(finishes)
