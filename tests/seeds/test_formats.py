"""Formats are detected from fields, and all yield instruction and response."""

import ast
from typing import get_args

import pytest

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.formats import FORMATS, SeedPair, matching_formats, read

TASK, ANSWER = "Sort it.", "    done()"
ROWS = {
    "alpaca": {"instruction": TASK, "input": "", "output": ANSWER},
    "output": {"instruction": TASK, "output": ANSWER},
    "response": {"instruction": TASK, "response": ANSWER},
    "messages": {
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": TASK},
            {"role": "assistant", "content": ANSWER},
            {"role": "user", "content": "Thanks."},
            {"role": "assistant", "content": "Welcome."},
        ]
    },
    "sharegpt": {
        "id": "1",
        "conversations": [{"from": "human", "value": TASK}, {"from": "gpt", "value": ANSWER}],
    },
    "oss-instruct": {"lang": "python", "seed": "x", "problem": TASK, "solution": ANSWER},
    "trl": {
        "prompt": [{"role": "user", "content": TASK}],
        "completion": [{"role": "assistant", "content": ANSWER}],
    },
    "preference": {"prompt": TASK, "chosen": ANSWER, "rejected": "pass"},
}


def test_formats_are_those_that_the_config_offers():
    """Exactly the formats that the config offers."""
    offered = set(get_args(SeedsConfig.model_fields["format"].annotation))
    assert set(FORMATS) | {"auto"} == offered


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_told_by_its_fields(name):
    """A row matches only its own format; alpaca also reads `output` rows, as `input` is optional."""
    assert matching_formats(ROWS[name]) == ({name, "alpaca"} if name == "output" else {name})


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_task_and_the_answer(name):
    """System turns, later turns and other fields are ignored; indentation is kept."""
    assert read(ROWS[name], name) == SeedPair(TASK, ANSWER)


@pytest.mark.parametrize("name", ["trl", "preference"])
@pytest.mark.parametrize("as_turns", [False, True])
def test_prompts_are_texts_or_turns(name, as_turns):
    """As TRL takes both."""
    field = "completion" if name == "trl" else "chosen"
    turns = [{"role": "user", "content": TASK}], [{"role": "assistant", "content": ANSWER}]
    prompt, answer = turns if as_turns else (TASK, ANSWER)
    row = {"prompt": prompt, field: answer}
    assert matching_formats(row) == {name}
    assert read(row, name) == SeedPair(TASK, ANSWER)


def test_a_prompt_alone_is_a_task_without_an_answer():
    """Unless the row has an instruction as well."""
    assert matching_formats({"prompt": TASK}) == {"trl"}
    assert read({"prompt": TASK}, "trl") == SeedPair(TASK, "")
    assert "trl" not in matching_formats({"prompt": TASK, "instruction": TASK, "output": ANSWER})


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
    assert matching_formats(row) == {"alpaca"}
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
    """Text parts are joined; images are ignored."""
    parts = [
        {"type": "text", "text": "Sort"},
        {"type": "image_url"},
        {"type": "text", "text": "it."},
    ]
    assert read({"messages": [{"role": "user", "content": parts}]}, "messages") == SeedPair(
        "Sort\nit.", ""
    )


def test_an_answer_before_the_task_is_no_answer():
    """A chat opened by the model is read from the first user turn."""
    turns = [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": TASK}]
    assert read({"conversations": turns}, "sharegpt") == SeedPair(TASK, "")


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
        {"instruction": ["x"], "input": "alone", "messages": [None, 3], "conversations": [{}]},
        {"messages": [{"role": "user", "content": None}], "conversations": [{"from": 1}]},
        {"messages": [{"role": 10**5000, "content": 10**5000}]},
        {"messages": [{"role": DEEP, "content": DEEP}], "conversations": [{"from": DEEP}]},
    ],
    ids=range(10),
)
def test_what_is_not_text_counts_as_missing(name, row):
    """Reading never fails."""
    assert read(row, name).instruction == ""


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
@pytest.mark.parametrize("name", FORMATS)
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
    assert read(ast.literal_eval(text), name) == SeedPair(TASK, ANSWER)


def test_a_response_of_thinking_alone_is_none():
    """The task has no answer then."""
    pair = read({"instruction": TASK, "output": "<think>hm"}, "output")
    assert (pair.answer, pair.thoughts) == ("", "hm")
