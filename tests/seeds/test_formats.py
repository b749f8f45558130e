"""Formats are detected from fields, and all yield instruction and response."""

import ast
import json
from typing import get_args

import pytest

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.columns import mapped
from evolcoder.seeds.formats import FORMATS, SeedPair, format_of, read, read_detected
from evolcoder.seeds.rows import lineage_of

TASK, ANSWER = "Sort it.", "    done()"
CHAT = [{"role": "user", "content": TASK}, {"role": "assistant", "content": ANSWER}]
ROWS = {
    "alpaca": {"instruction": TASK, "input": "", "output": ANSWER},
    "output": {"instruction": TASK, "output": ANSWER},
    "response": {"instruction": TASK, "response": ANSWER},
    "self-instruct": {"instruction": TASK, "instances": [{"input": "", "output": ANSWER}]},
    "messages": {
        "messages": [
            {"role": "system", "content": "You help."},
            *CHAT,
            {"role": "user", "content": "Thanks."},
            {"role": "assistant", "content": "Welcome."},
        ]
    },
    "sharegpt": {
        "id": "1",
        "conversations": [{"from": "human", "value": TASK}, {"from": "gpt", "value": ANSWER}],
    },
    "chat": {"data": [TASK, ANSWER]},
    "oss-instruct": {"lang": "python", "seed": "x", "problem": TASK, "solution": ANSWER},
    "question-answer": {"question": TASK, "answer": ANSWER},
    "trl": {
        "prompt": [{"role": "user", "content": TASK}],
        "completion": [{"role": "assistant", "content": ANSWER}],
    },
    "preference": {"prompt": TASK, "chosen": ANSWER, "rejected": "pass"},
    "benchmark": {"prompt": TASK, "solution": ANSWER, "code": ""},
    "text": {
        "text": f"<|im_start|>user\n{TASK}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"
    },
}


def texts(row):
    """Read a row in the format that is detected: the task and the answer."""
    pair = read_detected(row)[1]
    return pair.instruction, pair.answer


def test_formats_are_those_that_the_config_offers():
    """Exactly the formats that the config offers."""
    offered = set(get_args(SeedsConfig.model_fields["format"].annotation))
    assert set(FORMATS) | {"auto"} == offered


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_told_by_its_fields_and_gives_task_and_answer(name):
    """System turns, later turns and other fields are left out; indentation is kept."""
    assert format_of(ROWS[name]) == name
    pair = read(ROWS[name], name)
    assert (pair.instruction, pair.answer) == (TASK, ANSWER)
    left = {"messages": ("system turns", "later turns"), "preference": ("rejected answers",)}
    assert pair.left_out == left.get(name, ())


TOOL_CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
IMAGE = [{"type": "text", "text": TASK}, {"type": "image_url", "image_url": {"url": "data:"}}]
SHAPES = [
    ("a prompt alone", {"prompt": TASK}, TASK, ""),
    ("texts", {"prompt": TASK, "completion": ANSWER}, TASK, ANSWER),
    ("a prompt and a response", {"prompt": TASK, "response": ANSWER}, TASK, ANSWER),
    ("preferred turns", {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": CHAT[1:]}, TASK, ANSWER),
    ("whole chats", {"prompt": TASK, "chosen": CHAT, "rejected": CHAT}, TASK, ANSWER),
    ("chats without a prompt", {"chosen": CHAT, "rejected": CHAT}, TASK, ANSWER),
    ("a chat as text", {"chosen": f"\n\nHuman: {TASK}\n\nAssistant: x"}, TASK, "x"),
    ("preferred turn", {"conversations": CHAT[:1], "chosen": CHAT[1], "rejected": CHAT[1]}, TASK,
     ANSWER),
    ("instruction and chosen", {"instruction": TASK, "chosen": ANSWER}, TASK, ANSWER),
    ("question and chosen", {"system": "S", "question": TASK, "chosen": ANSWER}, TASK, ANSWER),
    ("query", {"query": TASK, "answer": ANSWER, "resource": "x"}, TASK, ANSWER),
    ("question and context", {"question": "Q?", "context": "C", "answer": ANSWER}, "Q?\n\nC", ANSWER),
    ("apps", {"question": TASK, "solutions": '["a = 1", "b = 2"]'}, TASK,
     "```python\na = 1\n```"),
    ("contests", {"description": TASK, "solutions": {"language": [2, 3], "solution": ["c", "p"]}},
     TASK, "```python\np\n```"),
    ("an empty instruction", {"instruction": "", "input": TASK, "output": ANSWER}, TASK, ANSWER),
    ("no instruction", {"instruction": None, "input": TASK, "output": ANSWER}, TASK, ANSWER),
    ("a number", {"instruction": TASK, "output": 8}, TASK, "8"),
    ("a list", {"instruction": TASK, "output": [1, 2]}, TASK, "[1, 2]"),
    ("a list of texts", {"instruction": TASK, "output": ["a", "b"]}, TASK, '["a", "b"]'),
    ("one text in a list", {"instruction": TASK, "output": ["a"]}, TASK, "a"),
    ("parts", {"instruction": TASK, "output": [{"type": "text", "text": "a"}]}, TASK, "a"),
    ("a truth value", {"instruction": TASK, "output": False}, TASK, "false"),
    ("nothing", {"instruction": TASK, "output": float("nan")}, TASK, ""),
    ("a list in JSON", {"prompt": TASK, "completion": '["a", "b"]'}, TASK, '["a", "b"]'),
    ("pairs in JSON", {"prompt": TASK, "chosen": '[["a", "b"]]'}, TASK, '[["a", "b"]]'),
    ("a task that is a list", {"prompt": '["a", "b"]', "completion": "x"}, '["a", "b"]', "x"),
    ("a chat in a cell of an answer", {"prompt": "?", "chosen": repr(CHAT)}, TASK, ANSWER),
    ("objects", {"instruction": TASK, "output": [{"a": 1, "value": 2}, {"a": 3}]}, TASK,
     '[{"a": 1, "value": 2}, {"a": 3}]'),
    ("an object", {"instruction": TASK, "output": {"text": "a", "n": 1}}, TASK, '{"text": "a", "n": 1}'),
    ("parts of an answer", {"instruction": TASK, "output": [{"type": "text", "text": "a"},
     {"type": "text", "text": "b"}]}, TASK, "a\nb"),
    ("a wrapped answer", {"prompt": TASK, "completion": [{"text": "x"}]}, TASK, "x"),
    ("an odd language", {"description": TASK, "solutions": {"language": [[]], "solution": ["c"]}},
     TASK, "```\nc\n```"),
    ("a fence in a docstring", {"prompt": "def f():\n", "canonical_solution": "    '```'\n"},
     "def f():", "````python\ndef f():\n    '```'\n````"),
    ("code about calls of tools", {"messages": [CHAT[0], {"role": "assistant", "content":
     "Use `<tool_call>`:\n```\n<tool_call>\n```"}]}, TASK, "Use `<tool_call>`:\n```\n<tool_call>\n```"),
    ("a program of a benchmark", {"prompt": "def f():\n", "canonical_solution": "    return 1\n"},
     "def f():", "```python\ndef f():\n    return 1\n```"),
    ("text and code", {"text": TASK, "code": "done(1"}, TASK, "```\ndone(1\n```"),
    ("parts with a value", {"messages": [{"role": "user", "content": [
        {"type": "text", "value": TASK}]}, CHAT[1]]}, TASK, ANSWER),
    ("a chat in a cell", {"messages": repr(CHAT)}, TASK, ANSWER),
    ("pairs", {"conversation": [[TASK, ANSWER]]}, TASK, ANSWER),
    ("items", {"conversation": [{"human": TASK, "assistant": ANSWER}]}, TASK, ANSWER),
    ("a chat program's export", {"chat": {"messages": CHAT}}, TASK, ANSWER),
    ("a chat by nodes", {"mapping": {"a": {"message": None}, "b": {"message": {
        "author": {"role": "user"}, "content": {"parts": [TASK]}}}}}, TASK, ""),
    ("llama 3", {"text": f"<|start_header_id|>user<|end_header_id|>\n\n{TASK}<|eot_id|>"
     f"<|start_header_id|>assistant<|end_header_id|>\n\n{ANSWER}<|eot_id|>"}, TASK, ANSWER.strip()),
    ("llama 2", {"text": f"<s>[INST] <<SYS>>S<</SYS>> {TASK} [/INST] x </s>"}, TASK, "x"),
    ("zephyr", {"text": f"<|user|>\n{TASK}</s>\n<|assistant|>\nx</s>"}, TASK, "x"),
    ("gemma", {"text": f"<start_of_turn>user\n{TASK}<end_of_turn>\n<start_of_turn>model\nx"}, TASK,
     "x"),
    ("alpaca as text", {"text": f"Below.\n\n### Instruction:\n{TASK}\n\n### Response:\nx"}, TASK,
     "x"),
    ("capitals", {"Question": TASK, "Answer": ANSWER}, TASK, ANSWER),
    ("contents", {"contents": [{"role": "user", "parts": [{"text": TASK}]},
     {"role": "model", "parts": [{"text": ANSWER}]}]}, TASK, ANSWER),
    ("guanaco", {"text": f"### Human: {TASK}### Assistant: x### Human: y"}, TASK, "x"),
    ("a chat in a text", {"system": "S", "chat": f"USER: {TASK}\n\nASSISTANT: x <|endoftext|>"}, TASK,
     "x"),
    ("vicuna", {"text": f"A chat. USER: {TASK} ASSISTANT: x</s>"}, TASK, "x"),
    ("questions of a chat", {"question_id": 1, "turns": [TASK, "And?"], "reference": [ANSWER, "x"]},
     TASK, ANSWER),
    ("questions without answers", {"question_id": 1, "turns": [TASK, "And?"]}, TASK, ""),
    ("a ranked answer", {"prompt": f"\n\nHuman: {TASK}\n\nAssistant:", "answers": [
        {"answer": "bad", "rank": 2}, {"answer": ANSWER, "rank": 1}]}, TASK, ANSWER),
    ("the accepted answer", {"question": TASK, "answers": [
        {"text": "bad", "selected": False}, {"text": ANSWER, "selected": True}]}, TASK, ANSWER),
    ("the best answer", {"question": TASK, "answers": [
        {"text": "bad", "pm_score": 0}, {"text": ANSWER, "pm_score": 4}]}, TASK, ANSWER),
    ("answers as columns", {"title": TASK, "answers": {"text": ["bad", ANSWER], "score": [1, 3]}},
     TASK, ANSWER),
    ("scores of answers", {"prompt": TASK, "responses": ["bad", ANSWER], "scores": [0, 1]}, TASK,
     ANSWER),
    ("no scores", {"prompt": TASK, "responses": [ANSWER, "bad"], "scores": ["a", "b"]}, TASK, ANSWER),
    ("completions of models", {"instruction": TASK, "completions": [{"model": "m", "response": ANSWER}]},
     TASK, ANSWER),
    ("steps with labels", {"prompt": TASK, "completions": ["a", "b"], "labels": [True, False]}, TASK,
     ""),
    ("generations", {"instruction": TASK, "generations": [ANSWER, "x"]}, TASK, ANSWER),
    ("an arena", {"prompt": json.dumps([TASK]), "response_a": json.dumps(["bad"]), "response_b":
     json.dumps([ANSWER]), "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0}, TASK, ANSWER),
    ("an arena of chats", {"winner": "model_a", "conversation_a": CHAT, "conversation_b": CHAT[:1]},
     TASK, ANSWER),
    ("an arena in which both are bad", {"prompt": TASK, "winner": "tie (bothbad)", "response_a": "x",
     "response_b": "y"}, TASK, ""),
    ("a query above code", {"prompt": "import random", "completion": "class A: ...", "query": TASK,
     "response": ANSWER}, TASK, ANSWER),
    ("a prompt of Alpaca", {"prompt": f"Below.\n\n### Instruction:\n{TASK}\n\n### Response:",
     "completion": "x"}, TASK, "x"),
    ("a task that ends with a heading", {"prompt": "Continue. Output:", "completion": "x"},
     "Continue. Output:", "x"),
    ("an end of text", {"instruction": TASK, "output": f"{ANSWER}<|EOT|>\n"}, TASK, ANSWER),
    ("an element of HTML", {"instruction": TASK, "output": "<s>a</s>"}, TASK, "<s>a</s>"),
    ("turns and a text", {"input": CHAT[:1], "output": f"<think>x</think>{ANSWER}"}, TASK, ANSWER),
    ("items of responses", {"input": CHAT[:1], "output": [{"type": "reasoning", "summary": []},
     {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}]},
     TASK, "x"),
    ("OpenAI's preference", {"input": {"messages": CHAT[:1]}, "preferred_output": CHAT[1:],
     "non_preferred_output": CHAT[1:]}, TASK, ANSWER),
    ("a log", {"request": {"messages": CHAT[:1]}, "response": {"choices": [{"message": CHAT[1]}]}},
     TASK, ANSWER),
    ("a pair of posts", {"question": TASK, "response_j": ANSWER, "response_k": "bad"}, TASK, ANSWER),
    ("chosen and rejected responses", {"prompt": TASK, "chosen_response": ANSWER,
     "rejected_response": "bad"}, TASK, ANSWER),
    ("a tree", {"prompt": {"text": TASK, "role": "prompter", "replies": [
        {"text": "bad", "role": "assistant", "rank": 1, "replies": []},
        {"text": ANSWER, "role": "assistant", "rank": 0, "replies": []}]}}, TASK, ANSWER),
    ("user and assistant", {"user": TASK, "assistant": ANSWER}, TASK, ANSWER),
    ("human and bot", {"human": TASK, "bot": ANSWER}, TASK, ANSWER),
    ("Q and A", {"Q": TASK, "A": ANSWER}, TASK, ANSWER),
    ("a user's name", {"user": "bob", "prompt": TASK, "response": ANSWER}, TASK, ANSWER),
    ("a statement", {"problem_statement": TASK, "code_solution": ANSWER}, TASK, ANSWER),
    ("a snippet", {"intent": "x", "rewritten_intent": TASK, "snippet": ANSWER}, TASK, ANSWER),
    ("an inner row", {"row_idx": 0, "row": {"instruction": TASK, "output": ANSWER}}, TASK, ANSWER),
    ("fields of an annotation", {"fields": {"instruction": TASK, "response": ANSWER}}, TASK, ANSWER),
    ("another name of a response", {"prompt": TASK, "llm_response": ANSWER}, TASK, ANSWER),
    ("a sign alone", {"question": "-", "solution": ANSWER}, "", ANSWER),
    ("invisible signs", {"instruction": "\u200b \ufeff", "output": ANSWER}, "", ANSWER),
    ("gpt-oss", {"text": f"<|start|>user<|message|>{TASK}<|end|><|start|>assistant<|channel|>analysis"
     f"<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>x<|return|>"}, TASK, "x"),
    ("granite", {"text": f"<|start_of_role|>user<|end_of_role|>{TASK}<|end_of_text|>\n"
     f"<|start_of_role|>assistant<|end_of_role|>x<|end_of_text|>"}, TASK, "x"),
    ("command r", {"text": f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{TASK}"
     "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>x<|END_OF_TURN_TOKEN|>"}, TASK,
     "x"),
    ("deepseek", {"text": f"<｜begin▁of▁sentence｜><｜User｜>{TASK}<｜Assistant｜>x<｜end▁of▁sentence｜>"},
     TASK, "x"),
    ("Q and A as text", {"text": f"Q: {TASK}\nA: x"}, TASK, "x"),
    ("names in angle brackets", {"text": f"<human>: {TASK}\n<bot>: x"}, TASK, "x"),
    ("a templated prompt", {"prompt": f"<|im_start|>user\n{TASK}<|im_end|>\n<|im_start|>assistant\n",
     "completion": "x"}, TASK, "x"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "task", "answer"), [shape[1:] for shape in SHAPES],
                         ids=[shape[0] for shape in SHAPES])  # fmt: skip
def test_published_shapes_are_read(row, task, answer):
    """As they are found in public data sets."""
    assert texts(row) == (task, answer)


@pytest.mark.parametrize(
    ("row", "left_out", "needs"),
    [
        ({"instruction": "Now a list.", "history": [[TASK, "x"]], "output": "y"}, ("history",), ""),
        ({"messages": CHAT, "tools": '[{"name": "f"}]'}, ("tools",), ""),
        ({"messages": CHAT, "tools": "[]"}, (), ""),
        ({"messages": CHAT, "label": False}, ("label",), ""),
        ({"prompt": TASK, "completion": "x", "label": "False"}, ("label",), ""),
        ({"prompt": TASK, "completion": "x", "label": True}, (), ""),
        ({"system_prompt": "S", "question": TASK, "response": "x"}, ("system turns",), ""),
        ({"question": TASK, "solutions": ["a", "b"]}, ("further answers",), ""),
        ({"prompt": TASK, "response": ["a\na", "b"]}, ("further answers",), ""),
        ({"messages": [{"role": "assistant", "content": "Hi."}, *CHAT]}, ("earlier turns",), ""),
        ({"messages": [CHAT[0], {"role": "assistant", "tool_calls": TOOL_CALL}]}, (), "needs tools"),
        ({"conversations": [CHAT[0], {"from": "function_call", "value": "f()"}]}, (), "needs tools"),
        ({"messages": [CHAT[0], {"role": "tool", "content": "1"}, CHAT[1]]}, (), "needs tools"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": "<tool_call>{}</tool_call>"}]}, (),
         "needs tools"),
        ({"messages": [{"role": "user", "content": IMAGE}, CHAT[1]]}, (), "needs an image"),
        ({"messages": [{"role": "user", "content": f"<image>\n{TASK}"}, CHAT[1]]}, (),
         "needs an image"),
        ({"instruction": TASK, "output": "x", "images": ["a.png"]}, (), "needs an image"),
        ({"image": "a.jpg", "instruction": TASK, "output": "x"}, (), "needs an image"),
        ({"image": "python:3.11", "instruction": TASK, "output": "x"}, (), ""),
        ({"messages": [{"role": "user", "content": [{"image": "f"}, {"text": TASK}]}, CHAT[1]]}, (),
         "needs an image"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}]},
         (), "needs tools"),
        ({"instruction": "Write XML with an <image> in it.", "output": "x"}, (), ""),
    ],
)  # fmt: skip
def test_what_a_row_has_besides_is_named(row, left_out, needs):
    """Left out of the pair, or a reason to leave out the row; a bad answer is none."""
    pair = read(row, format_of(row))
    assert (pair.left_out, pair.needs) == (left_out, needs)
    assert (pair.answer == "") == ("label" in left_out or needs == "needs tools")


def test_columns_are_renamed():
    """Other columns are left out; a path leads into a column, and a list of turns is a chat."""
    row = {"q": TASK, "output": "no", "a": {"text": [ANSWER]}}
    named = mapped(row, {"instruction": "q", "response": "a.text.0"})
    assert texts(named) == (TASK, ANSWER)
    assert texts(mapped({"q": CHAT}, {"instruction": "q"})) == (TASK, ANSWER)
    assert format_of(mapped({"x": 1}, {"instruction": "q"})) == "output"


def test_an_input_becomes_a_paragraph_of_the_task():
    """The input is part of the task."""
    row = {"instruction": " Sort it. ", "input": "[2, 1]\n", "output": ""}
    assert read(row, "alpaca") == SeedPair("Sort it.\n\n[2, 1]", "")


@pytest.mark.parametrize("stand_in", ["", " ", "noinput", "<noinput>", "No input", "N/A", None])
def test_a_stand_in_for_no_input_is_no_input(stand_in):
    """Placeholders used in published files do not become part of the task."""
    row = {"instruction": TASK, "input": stand_in, "output": ANSWER}
    assert read(row, "alpaca") == SeedPair(TASK, ANSWER)


def test_output_goes_before_response():
    """If a row has both, `output` is used unless it is empty."""
    row = {"instruction": TASK, "input": "", "output": "out", "response": "resp"}
    assert format_of(row) == "alpaca"
    assert read(row, "alpaca").answer == "out"
    assert read({**row, "output": ""}, "alpaca").answer == "resp"
    assert read(row, "response").answer == "resp"


@pytest.mark.parametrize("speaker", ["gpt", "assistant", "chatgpt", "bing", "bard", "model", "GPT"])
def test_sharegpt_knows_the_names_of_models(speaker):
    """Chat exports use many names for the model."""
    turns = [{"from": "user", "value": TASK}, {"from": speaker, "value": ANSWER}]
    assert read({"conversations": turns}, "sharegpt") == SeedPair(TASK, ANSWER)


def test_conversations_may_be_written_as_roles():
    """Both turn notations are read in both fields."""
    turns = [{"role": "user", "content": TASK}, {"role": "assistant", "content": ANSWER}]
    assert read({"conversations": turns}, "sharegpt") == SeedPair(TASK, ANSWER)


def test_a_turn_may_come_in_parts():
    """Text parts are joined."""
    parts = [{"type": "text", "text": "Sort"}, {"type": "text", "text": "it."}]
    assert texts({"messages": [{"role": "user", "content": parts}]}) == ("Sort\nit.", "")


def test_an_answer_before_the_task_is_no_answer():
    """A chat opened by the model is read from the first user turn."""
    turns = [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": TASK}]
    pair = SeedPair(TASK, "", left_out=("earlier turns",), turns=("Hello.", TASK))
    assert read({"conversations": turns}, "sharegpt") == pair


DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "text",
        [],
        {},
        {"instruction": None, "problem": 5, "messages": "no", "conversations": {}},
        {"instruction": ["x"], "input": [], "messages": [None, 3], "conversations": [{}]},
        {"messages": [{"role": "user", "content": None}], "conversations": [{"from": 1}]},
        {"messages": [{"role": 10**5000, "content": 10**5000}]},
        {"messages": [{"role": DEEP, "content": DEEP}], "conversations": [{"from": DEEP}]},
    ],
    ids=range(10),
)
def test_what_is_not_text_counts_as_missing(name, row):
    """Reading never fails."""
    assert read(row, name).instruction == ""
    assert format_of(row) is None or format_of(row) in FORMATS


def test_nul_and_lone_surrogates_become_replacement_characters():
    """Databases and encoders would reject them."""
    assert read({"instruction": "a\x00b\ud800"}, "output").instruction == "a\ufffdb\ufffd"


THOUGHTS = {
    "tags": "<think>\n```python\nraise SystemExit(1)\n```\n</think>\n\n",
    "brackets": "[THINK]hm[/THINK]",
    "closing tag alone": "hm</think>\n",
    "harmony": "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>",
    "harmony without markers": "analysishm.assistantfinal",
}


@pytest.mark.parametrize("notation", THOUGHTS)
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "text"])
def test_thinking_in_a_response_is_kept_apart(name, notation):
    """In every format; the answer keeps its indentation."""
    text = repr(ROWS[name]).replace(repr(ANSWER), repr(THOUGHTS[notation] + ANSWER))
    pair = read(ast.literal_eval(text), name)
    assert (pair.instruction, pair.answer) == (TASK, ANSWER)
    assert pair.thoughts


@pytest.mark.parametrize(
    "turn",
    [
        {"content": ANSWER, "reasoning_content": "hm"},
        {"content": ANSWER, "thinking": "hm"},
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ANSWER}]},
        {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": ANSWER}]},
    ],
)
def test_thinking_beside_a_response_is_kept_apart(turn):
    """In a field of the turn, or in parts of its content."""
    chat = [{"role": "user", "content": TASK}, {"role": "assistant", **turn}]
    assert read({"messages": chat}, "messages") == SeedPair(TASK, ANSWER, "hm")


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_block_of_thinking_is_removed(name):
    """Models that are told not to think write one."""
    text = repr(ROWS[name]).replace(repr(ANSWER), repr(f"<think>\n\n</think>\n\n{ANSWER}"))
    pair = read(ast.literal_eval(text), name)
    assert (pair.instruction, pair.answer, pair.thoughts) == (TASK, ANSWER, "")


def test_a_response_of_thinking_alone_is_none():
    """The task has no answer then."""
    pair = read({"instruction": TASK, "output": "<think>hm"}, "output")
    assert (pair.answer, pair.thoughts) == ("", "hm")


OURS = {"id": "a", "root": "a", "parent": ""}


@pytest.mark.parametrize(
    ("row", "lineage"),
    [
        ({"id": 17, "parent": 3.5, "round": 2}, {"id": "17", "round": 2}),
        ({"id": "\ud800", "round": False}, {"id": "\ufffd"}),
        ({"id": 1 << 80, "round": -1, "heuristic": 5}, {}),
        (
            {**OURS, "round": 1 << 70, "tests_strength": 10**400, "pass_rate": float("nan")},
            {"id": "a", "root": "a"},
        ),
        ({**OURS, "tests_strength": 1, "runs": 4}, {"id": "a", "root": "a", "tests_strength": 1}),
    ],
)
def test_lineage_is_what_exports_can_hold(row, lineage):
    """Numbers of rows are ids; values that no file can hold are none."""
    assert lineage_of(row) == lineage


BLANK_AND_GIVEN = [
    {"problem": TASK, "solution": "", "completion": "x"},
    {"prompt": TASK, "solution": "", "completion": "x"},
    {"prompt": TASK, "completion": "", "solution": "x"},
    {"prompt": TASK, "completion": [], "response": "x"},
    {"prompt": TASK, "completion": " \n", "output": "x"},
    {"prompt": [CHAT[0]], "completion": "", "response": "x"},
    {"prompt": TASK, "chosen": "", "response": "x"},
    {"instruction": TASK, "output": "", "completion": "x"},
    {"instruction": TASK, "instances": [{"input": "", "output": ""}], "output": "x"},
    {"messages": [CHAT[0]], "response": "x"},
    {"messages": [CHAT[0], {"role": "assistant", "content": ""}], "completion": "x"},
    {"conversations": [{"from": "human", "value": TASK}], "output": "x"},
]


@pytest.mark.parametrize("row", BLANK_AND_GIVEN, ids=str)
def test_a_blank_response_gives_way_to_that_of_another_field(row):
    """Whatever the shape of the row."""
    pair = read_detected(row)[1]
    assert (pair.instruction, pair.answer.strip("`python\n"), pair.left_out) == (TASK, "x", ())


def test_a_later_question_does_not_get_the_response_of_a_field():
    """The chat has an answer to its first question, and a blank one before a second question."""
    later = [CHAT[0], {"role": "assistant", "content": ""}, {"role": "user", "content": "And?"}]
    assert read_detected({"messages": later, "response": "x"})[1].answer == ""
