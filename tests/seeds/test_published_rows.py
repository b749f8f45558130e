"""Rows in the shapes that public data sets, training tools, servers and annotation tools have.

The fields are those of their cards and documentation; all texts are our own.
"""

import json

import pytest

from evolcoder.seeds.formats import read_detected

TASK, ANSWER, BAD, CODE = (
    "Sort the list.",
    "Call `sorted`.",
    "No idea.",
    "def f(x):\n    return sorted(x)",
)
THOUGHT = "It is a list, so sort it."
CALLS = '[{"name": "f", "arguments": {"n": 1}}]'
USER = {"role": "user", "content": TASK}
SAID = {"role": "assistant", "content": ANSWER}
CHAT = [USER, SAID]
PYTHON = f"```python\n{CODE}\n```"
SHAPES = {
    # a column that names where a row is from is no task
    "source": ({"source": "apps", "prompt": TASK, "llm_response": ANSWER}, TASK, ANSWER),
    "source alone": ({"source": "apps", "question": None, "answer": ANSWER}, "", ""),
    "source of a list": ({"prompt": f"\n\nHuman: {TASK}\n\nAssistant: ", "source": ["x y"], "answers": [
        {"answer": BAD, "rank": 2.0}, {"answer": ANSWER, "rank": 1.0}]}, TASK, ANSWER),
    "kind of task": ({"task": "Coding", "query": TASK, "answer": ANSWER}, TASK, ANSWER),
    "task": ({"task": TASK, "answer": ANSWER}, TASK, ANSWER),
    "source and target": ({"source": TASK, "target": ANSWER}, TASK, ANSWER),
    # several answers
    "inputs and outputs of tests": ({"question": TASK, "inputs": '["1"]', "outputs": '["2"]'}, TASK, ""),
    "inputs and outputs": ({"inputs": TASK, "outputs": [ANSWER]}, TASK, ANSWER),
    "scores as texts": ({"instruction": TASK, "generations": [BAD, ANSWER], "ratings": ["1", "5"]},
        TASK, ANSWER),
    "responses of one line": ({"instruction": TASK, "output": [f"{ANSWER} {'It is short. ' * 4}".strip(), f"{BAD} " * 6]},
        TASK, f"{ANSWER} {'It is short. ' * 4}".strip()),
    "a missing score": ({"instruction": TASK, "generations": [BAD, ANSWER], "ratings": [None, 2]}, TASK,
        ANSWER),
    "a missing rank": ({"question": TASK, "answers": [{"text": BAD, "rank": None}, {"text": ANSWER,
        "rank": 3}]}, TASK, ANSWER),
    "scores in objects": ({"instruction": TASK, "responses": [{"model": "a", "response": BAD}, {"model": "b",
        "response": ANSWER}], "annotations": [{"rating": "2"}, {"rating": "4"}]}, TASK, ANSWER),
    "accepted": ({"input": TASK, "accepted": ANSWER, "rejected": BAD, "ID": 1}, TASK, ANSWER),
    "the second is better": ({"domain": "code", "context": [USER], "response1": BAD, "response2": ANSWER,
        "overall_preference": 2}, TASK, ANSWER),
    "the first is better": ({"context": [USER], "response1": ANSWER, "response2": BAD,
        "overall_preference": -1}, TASK, ANSWER),
    "the better by its index": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "better_response_id": 1, "safer_response_id": 0}, TASK, ANSWER),
    "the better by its number": ({"instruction": TASK, "input": "1", "output_1": BAD, "output_2": ANSWER,
        "preference": 2}, f"{TASK}\n\n1", ANSWER),
    "the better by the name of its field": ({"prompt": TASK, "response_a": BAD, "response_b": ANSWER,
        "preferred": "response_b"}, TASK, ANSWER),
    "the better by its letter": ({"prompt": TASK, "response_a": BAD, "response_b": ANSWER,
        "preference": "B"}, TASK, ANSWER),
    "the better by an index that is a number": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "preference": 1.0}, TASK, ANSWER),
    "an unknown better one": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "better_response_id": float("nan")}, TASK, ""),
    "two answers about a context": ({"prompt": TASK, "context": "1 2", "response_a": ANSWER, "response_b": BAD,
        "winner": "a"}, TASK, ANSWER),
    "a request next to the whole chat": ({"request": {"messages": [USER]}, "messages": CHAT}, TASK, ANSWER),
    "whole answer and its code": ({"question": "q?", "r1_generation": ANSWER, "solution": CODE}, "q?",
        ANSWER),
    "a solution with its answer": ({"question": TASK, "solution": f"First. So {ANSWER}", "answer": ANSWER},
        TASK, f"First. So {ANSWER}"),
    "an answer and a solution": ({"question": TASK, "solution": CODE, "answer": ANSWER}, TASK, ANSWER),
    "starter code": ({"problem": TASK, "starter_code": "x = 1", "solution": ANSWER},
        f"{TASK}\n\n```python\nx = 1\n```", ANSWER),
    "starter code of an instruction": ({"instruction": TASK, "starter_code": "x = 1", "output": ANSWER},
        f"{TASK}\n\n```python\nx = 1\n```", ANSWER),
    "starter code in the task": ({"prompt": f"{TASK} x = 1", "starter_code": "x = 1", "response": ANSWER},
        f"{TASK} x = 1", ANSWER),
    "a reference": ({"prompt": TASK, "gold_standard_solution": ANSWER}, TASK, ANSWER),
    # the input of a prompt
    "prompt and input": ({"prompt": TASK, "input": "1 2", "output": ANSWER}, f"{TASK}\n\n1 2", ANSWER),
    "prompt and context": ({"prompt": TASK, "context": "1 2", "completion": ANSWER}, f"{TASK}\n\n1 2",
        ANSWER),
    "prompt with its input": ({"prompt": f"{TASK} 1 2", "input": "1 2", "output": ANSWER}, f"{TASK} 1 2",
        ANSWER),
    "a statement in parts": ({"description": TASK, "input_format": "n", "output_format": "m",
        "answer": ANSWER}, f"{TASK}\n\nInput:\nn\n\nOutput:\nm", ANSWER),
    # other names
    "names with a language": ({"instruction_zh": TASK, "input_zh": "1", "output_zh": ANSWER},
        f"{TASK}\n\n1", ANSWER),
    "input and content": ({"input": TASK, "reasoning_content": THOUGHT, "content": ANSWER}, TASK, ANSWER),
    "text_input": ({"text_input": TASK, "output": ANSWER}, TASK, ANSWER),
    "a contest": ({"question_content": TASK, "starter_code": "", "platform": "x"}, TASK, ""),
    "an issue": ({"problem_statement": TASK, "text": "x", "patch": "-1\n+2", "test_patch": "d"}, TASK,
        "```diff\n-1\n+2\n```"),
    "a docstring": ({"docstring": TASK, "code": CODE}, TASK, PYTHON),
    # edits
    "a commit": ({"old_contents": "x = 1\n", "new_contents": "x = 2\n", "subject": "Set x to 2", "message":
        "Set x to 2\n\nMore.", "lang": "Python"}, "Set x to 2\n\n```python\nx = 1\n```",
        "```python\nx = 2\n```"),
    "a new file": ({"old_contents": "", "new_contents": "x", "subject": TASK, "lang": "Common Lisp"}, TASK,
        "```common-lisp\nx\n```"),
    "an edit": ({"before": "x = 1", "after": "```", "instruction_descriptive": TASK},
        f"{TASK}\n\n```\nx = 1\n```", "````\n```\n````"),
    "an edit with a response": ({"instruction": TASK, "before": "1", "after": "2", "output": ANSWER}, TASK,
        ANSWER),
    "code without a task": ({"buggy": "x", "fixed": "y"}, "", ""),
    # turns
    "columns of turns": ({"messages": {"role": ["user", "assistant"], "content": [TASK, ANSWER]}}, TASK,
        ANSWER),
    "columns of ShareGPT": ({"conversations": {"from": ["human", "gpt"], "value": [TASK, ANSWER]}}, TASK,
        ANSWER),
    "a preferred chat in columns": ({"prompt": TASK, "chosen": {"role": ["user", "assistant"], "content": [
        TASK, ANSWER]}}, TASK, ANSWER),
    "a completion in columns": ({"prompt": {"role": ["user"], "content": [TASK]}, "completion": {"role": [
        "assistant"], "content": [ANSWER]}}, TASK, ANSWER),
    "turns in JSON each": ({"messages": [json.dumps(USER), json.dumps(SAID)]}, TASK, ANSWER),
    "texts that are JSON": ({"conversation": ['{"a": 1}', "x"]}, '{"a": 1}', "x"),
    "turns as numpy prints them": ({"messages": f"[{USER!r}\n {SAID!r}]"}, TASK, ANSWER),
    "turns as an array": ({"messages": f"array([{USER!r},\n       {SAID!r}], dtype=object)"}, TASK, ANSWER),
    "weight 0": ({"messages": [USER, {**SAID, "weight": 0}, USER, SAID]}, TASK, ""),
    "weight 1": ({"messages": [USER, {**SAID, "weight": 1}]}, TASK, ANSWER),
    "not trained": ({"messages": [USER, {**SAID, "training": False}, USER, SAID]}, TASK, ""),
    "a prompt that is not trained": ({"messages": [{**USER, "train": False}, SAID]}, TASK, ANSWER),
    "segments": ({"segments": [{"label": False, "text": f"<s>Q {TASK}\n"}, {"label": True, "text": ANSWER},
        {"label": False, "text": "more"}]}, f"Q {TASK}", ANSWER),
    "segments of a template": ({"segments": [{"label": False, "text": f"<s>[INST] {TASK} [/INST]"},
        {"label": True, "text": f" {ANSWER}</s>"}]}, TASK, ANSWER),
    # tasks of contests, benchmarks and databases
    "a contest's description": ({"title": "x", "description": TASK, "official_tests": ["1"]}, TASK, ""),
    "a description of something": ({"title": "x", "description": TASK}, "", ""),
    "submissions": ({"description": TASK, "test_cases": ["1"], "correct_submissions": [{"code": CODE,
        "language": 2}]}, TASK, PYTHON),
    "code above a solution": ({"prompt": "import random", "completion": CODE, "problem_description": TASK},
        TASK, PYTHON),
    "arguments of a program": ({"code": CODE, "input": "[1], 'a'", "output": "[1]"}, "", ""),
    "a task with its code": ({"code": CODE, "input": TASK, "output": ANSWER}, TASK, ANSWER),
    "a definition": ({"definition": TASK, "inputs": "1 2", "targets": ANSWER}, f"{TASK}\n\n1 2", ANSWER),
    "a title": ({"title": TASK, "body": "More.", "answers": [{"body": ANSWER, "score": 1}]},
        f"{TASK}\n\nMore.", ANSWER),
    "a repair": ({"description": TASK, "wrong_code": "x", "correct_code": "y"}, f"{TASK}\n\n```\nx\n```",
        "```\ny\n```"),
    "SQL": ({"question": TASK, "query": "SELECT a FROM t", "db_id": "d"}, TASK,
        "```sql\nSELECT a FROM t\n```"),
    "SQL with a schema": ({"sql_prompt": TASK, "sql_context": "CREATE TABLE t (a INT)", "sql": "SELECT 1"},
        f"{TASK}\n\nCREATE TABLE t (a INT)", "```sql\nSELECT 1\n```"),
    "a query in words": ({"question": TASK, "query": "Select the best of them."}, TASK, ""),
    "headings without colons": ({"prompt": f"### Instruction\n{TASK}\n\n### Response\n", "response": ANSWER},
        TASK, ANSWER),
    # other names of chats
    "a trajectory and its kind": ({"task": "Coding", "trajectory": [{"from": "user", "value": TASK}],
        "chosen": ANSWER, "rejected": BAD}, TASK, ANSWER),
    "a demonstration": ({"instruction": TASK, "demonstration": ANSWER}, TASK, ANSWER),
    "a body with its title": ({"title": "How?", "question_body": TASK, "answer_body": ANSWER},
        f"How?\n\n{TASK}", ANSWER),
    "developer and final": ({"developer": "S", "user": TASK, "analysis": THOUGHT, "final": ANSWER}, TASK,
        ANSWER),
    "rounds": ({"chat_rounds": [{"role": "human", "content": TASK}, {"role": "bot", "content": ANSWER}]},
        TASK, ANSWER),
    "a command": ({"nl": TASK, "cmd": "ls"}, TASK, "ls"),
    "chats that are preferred": ({"chosen_messages": CHAT, "rejected_messages": CHAT}, TASK, ANSWER),
    "a loss of weight 0": ({"messages": [USER, {**SAID, "loss_weight": 0.0}]}, TASK, ""),
    "a loss of weight 1": ({"messages": [{**USER, "loss_weight": 0.0}, {**SAID, "loss_weight": 1.0}]}, TASK,
        ANSWER),
    "a docstring and its solution": ({"docstring": TASK, "buggy_program": "x", "solution": CODE}, TASK, CODE),
    "sender and text": ({"chat_messages": [{"sender": "human", "text": TASK}, {"sender": "assistant", "text":
        ANSWER}]}, TASK, ANSWER),
    "a trajectory": ({"trajectory": [{"role": "user", "text": TASK}, {"role": "ai", "text": ANSWER}]}, TASK,
        ANSWER),
    "turns of several questions": ({"id": "x", "question": [[USER]]}, TASK, ""),
    "a reply next to turns": ({"messages": [USER], "response": {"choices": [{"message": SAID}]}}, TASK, ANSWER),
    "a reply next to a prompt": ({"prompt": TASK, "response": {"choices": [{"text": ANSWER}]}}, TASK, ANSWER),
    "a reply in the row": ({"request": {"messages": [USER]}, "choices": [{"message": SAID}]}, TASK, ANSWER),
    "bodies": ({"request_body": {"messages": [USER]}, "response_body": {"choices": [{"message": SAID}]}}, TASK,
        ANSWER),
    # requests and replies
    "a batch of OpenAI": ({"custom_id": "1", "url": "/v1", "body": {"messages": [USER]}}, TASK, ""),
    "a batch of Anthropic": ({"custom_id": "1", "params": {"system": "S", "messages": [USER]}}, TASK, ""),
    "a batch of Bedrock": ({"recordId": "1", "modelInput": {"messages": [USER]}, "modelOutput": {"role":
        "assistant", "content": [{"type": "text", "text": ANSWER}]}}, TASK, ANSWER),
    "a batch of Vertex": ({"request": {"contents": [{"role": "user", "parts": [{"text": TASK}]}]},
        "response": {"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}]}}, TASK,
        ANSWER),
    "a request with its answer": ({"body": {"messages": [USER]}, "response": {"status_code": 200, "body": {
        "choices": [{"message": SAID}]}}}, TASK, ANSWER),
    "a trace": ({"inputs": {"messages": [USER]}, "output": {"choices": [{"message": SAID}]}}, TASK, ANSWER),
    "a trace with texts": ({"inputs": {"question": TASK}, "outputs": {"answer": ANSWER}}, TASK, ANSWER),
    "a data set's item": ({"input": {"messages": [USER]}, "expectedOutput": ANSWER}, TASK, ANSWER),
    "a request as text": ({"request": json.dumps({"messages": [USER]}), "response": ANSWER}, TASK, ANSWER),
    "an input that is an object": ({"instruction": TASK, "input": {"text": "x"}, "output": ANSWER},
        f'{TASK}\n\n{{"text": "x"}}', ANSWER),
    # annotations
    "Label Studio": ({"data": {"prompt": TASK}, "annotations": [{"was_cancelled": True, "result": [{"type":
        "textarea", "value": {"text": [BAD]}}]}, {"result": [{"type": "choices", "value": {"choices": [BAD]}},
        {"type": "textarea", "value": {"text": [ANSWER]}}]}]}, TASK, ANSWER),
    "Argilla": ({"fields": {"instruction": TASK, "response": ANSWER}, "responses": {"quality": [{"value":
        "good", "user_id": "u"}]}}, TASK, ANSWER),
    "Argilla without a response": ({"fields": {"instruction": TASK}, "responses": {"response": [{"value":
        BAD, "status": "draft", "user_id": "u"}, {"value": ANSWER, "status": "submitted", "user_id": "u"}]}},
        TASK, ANSWER),
    "Argilla 1": ({"prompt": TASK, "corrected-response": [{"user_id": "u", "value": ANSWER, "status":
        "submitted"}], "rating": [{"user_id": "u", "value": 4, "status": "submitted"}]}, TASK, ANSWER),
    "a viewer": ({"row_idx": 1, "row": {"instruction": TASK, "output": ANSWER}, "truncated_cells": []}, TASK,
        ANSWER),
    "a cut cell": ({"row_idx": 1, "row": {"instruction": TASK, "output": ANSWER}, "truncated_cells":
        ["output"]}, TASK, ""),
    "a row in JSON": ({"json": json.dumps({"instruction": TASK, "output": ANSWER})}, TASK, ANSWER),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_the_task_and_its_response_are_found(name):
    """Of the shapes of the cards; a task or response that is not there is empty."""
    row, task, answer = SHAPES[name]
    pair = read_detected(row)[1]
    assert (pair.instruction, pair.answer) == (task, answer)


COUNTED = [
    ({"question": TASK, "answer": ANSWER, name: value}, ("tests",))
    for name, value in [
        ("test", "def test(): ..."), ("test_list", ["assert f(1) == 1"]), ("unit_tests", '["assert 1"]'), ("testcase", ["assert 1"]), ("official_tests", [{"input": "1"}]),
        ("private_tests", {"input": ["1"], "output": ["2"]}), ("input_output", '{"inputs": ["1"]}'),
        ("verification_info", '{"test_cases": [1]}'), ("test_patch", "diff"),
        ("reward_model", {"style": "rule", "ground_truth": "1"}),
    ]
] + [
    ({"question": TASK, "answer": ANSWER, name: value}, ())
    for name, value in [
        ("tests", "[]"), ("test", ""), ("private_tests", {"input": [], "output": []}), ("test_list", None),
        ("input_output", "{}"), ("unit_tests", []),
    ]
] + [
    ({"question": TASK, "inputs": ["1"], "outputs": ["2"]}, ("tests",)),
    ({"question": TASK, "response": ANSWER, "code": CODE}, ("further answers",)),
    ({"question": TASK, "response": f"{ANSWER}\n{CODE}", "code": CODE}, ()),
    ({"messages": CHAT, "llm_response": f"<think>{THOUGHT}</think>{ANSWER}"}, ()),
    ({"messages": CHAT, "context": "You are Clippy."}, ("context",)),
    ({"messages": CHAT, "system": [{"text": "Be terse."}]}, ("system turns",)),
    ({"messages": [USER, {**SAID, "weight": 0}]}, ("answers that are not to be learnt",)),
    ({"context": [USER], "response1": BAD, "response2": ANSWER, "overall_preference": 1},
     ("rejected answers",)),
    ({"row": {"instruction": TASK, "output": ANSWER}, "truncated_cells": ["output"]},
     ("cells that a viewer cut",)),
    ({"fields": {"instruction": TASK, "response": ANSWER}, "responses": {"q": [{"value": "a", "user_id":
     "u"}]}}, ("annotations",)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "left_out"), COUNTED, ids=str)
def test_what_is_left_out_of_a_row_is_named(row, left_out):
    """Tests, further answers, contexts and annotations; empty columns are nothing."""
    assert read_detected(row)[1].left_out == left_out


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("<img>https://example.org/a.jpeg</img>What is it?", "needs an image"),
        ("Compare <img>a.png</img> and <img>b.png</img>.", "needs an image"),
        ("Picture 1: <audio>a.wav</audio> Who is it?", "needs an image"),
        ("Why is `<img>a.png</img>` wrong in HTML?", ""),
        ("Write HTML with <img src='a.png'> and <video><source></video>.", ""),
    ],
)
def test_an_image_by_its_address_needs_an_image(text, needs):
    """In the notation of Qwen-VL, unless the task is about such an element."""
    assert read_detected({"query": text, "response": ANSWER})[1].needs == needs


def test_a_call_in_the_notation_of_openhands_needs_tools():
    """Although no tools are declared."""
    call = "<function=execute_bash>\n<parameter=command>ls</parameter>\n</function>"
    row = {"messages": [USER, {"role": "assistant", "content": call}]}
    assert read_detected(row)[1].needs == "needs tools"


@pytest.mark.parametrize(
    "name", ["reasoning", "reasoning_content", "cot", "deepseek_reasoning", "Complex_CoT"]
)
@pytest.mark.parametrize(("value", "thoughts"), [(THOUGHT, THOUGHT), ("on", ""), (None, "")])
def test_thinking_in_a_column_is_kept_apart(name, value, thoughts):
    """A column with a switch, such as `reasoning: on`, holds no thinking."""
    keys = ("Question", "Response") if name == "Complex_CoT" else ("question", "response")
    pair = read_detected({keys[0]: TASK, name: value, keys[1]: ANSWER})[1]
    assert (pair.answer, pair.thoughts) == (ANSWER, thoughts)


@pytest.mark.parametrize("field", ["text", "value", "thinking", "content", "reasoning"])
def test_thinking_in_a_part_of_a_turn_is_kept_apart(field):
    """Whatever the part calls its text."""
    parts = [{"type": "reasoning", field: THOUGHT}, {"type": "text", "value": ANSWER}]
    pair = read_detected({"messages": [USER, {"role": "assistant", "content": parts}]})[1]
    assert (pair.answer, pair.thoughts) == (ANSWER, THOUGHT)


def test_thinking_of_the_response_goes_before_that_of_a_column():
    """Which may be that of another answer."""
    row = {
        "question": TASK,
        "reasoning": "Of a judge.",
        "answer": f"<think>{THOUGHT}</think>{ANSWER}",
    }
    assert read_detected(row)[1].thoughts == THOUGHT


@pytest.mark.parametrize(
    "row",
    [
        {"query": TASK, "answers": CALLS},
        {"messages": [USER, {"role": "assistant", "content": CALLS}]},
        {"instruction": TASK, "output": CALLS},
    ],
    ids=str,
)
def test_an_answer_that_is_a_call_in_json_needs_tools(row):
    """If the row declares tools; without them it is a text about such calls."""
    pair = read_detected({**row, "tools": '[{"name": "f"}]'})[1]
    assert (pair.needs, pair.answer) == ("needs tools", "")
    other = {**row, "tools": '[{"name": "f"}]', next(iter(row)): "Other."}
    assert pair.turns != read_detected(other)[1].turns
    assert read_detected(row)[1].needs == ""
    plain = {"query": TASK, "answers": '[{"name": "Ada", "age": 36}]', "tools": '[{"name": "f"}]'}
    assert read_detected(plain)[1].needs == ""


ODD = [
    None,
    "",
    " ",
    "[",
    "{",
    "x",
    0,
    3.5,
    float("nan"),
    float("inf"),
    True,
    b"x",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": None},
    [["a"]],
    "[{}]",
    "[null]",
    {"messages": 3},
    [{"role": 3}],
    {"role": []},
]
ODD += [{"role": ["user"], "content": [[]]}, {"choices": 3}, {"choices": [None]}, {"content": {}}]


@pytest.mark.parametrize("name", SHAPES)
def test_reading_never_fails(name):
    """Whatever stands in one of the fields."""
    row = SHAPES[name][0]
    for field in row:
        for value in ODD:
            pair = read_detected({**row, field: value})[1]
            assert isinstance(pair.instruction, str)
            assert isinstance(pair.answer, str)


def test_further_answers_are_compared():
    """A leak in an answer that is not read is found too."""
    pair = read_detected({"question": TASK, "response": ANSWER, "code": CODE})[1]
    assert CODE in pair.further
