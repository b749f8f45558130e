"""Every format holds the task, its answer and the lineage, in columns of one type."""

from dataclasses import replace
from typing import get_args

import pytest

from evolcoder.config.load import ExportFormat
from evolcoder.exports.formats import BODY, FORMATS, LINEAGE
from evolcoder.records import Check, CheckResult

ALL = list(FORMATS)


@pytest.fixture
def child(rows):
    return list(rows(1))[-1]


def test_formats_are_those_that_the_config_offers():
    """Whatever the config lets a user ask for can be written, and nothing else."""
    assert set(FORMATS) == set(get_args(ExportFormat))


@pytest.mark.parametrize("name", ALL)
def test_every_row_has_every_column_of_one_type(rows, name):
    """Seeds and evolved rows have the same columns in the same order, and no nulls."""
    for row in rows():
        columns = FORMATS[name].columns(row)
        assert list(columns) == list(FORMATS[name].shape())
        assert [type(v) for v in columns.values()] == [
            type(v) for v in FORMATS[name].shape().values()
        ]
        assert all(value is not None for value in columns.values())


@pytest.mark.parametrize("name", ALL)
def test_every_column_has_a_meaning(name):
    """The card can explain every column, and the lineage is in every format."""
    shape = FORMATS[name].shape()
    assert set(shape) <= {**BODY, **LINEAGE}.keys()
    assert list(shape)[-len(LINEAGE) :] == list(LINEAGE)


def test_the_lineage_tells_where_a_row_comes_from(child):
    """Round, parent, heuristic, models and token counts stand on an evolved row."""
    columns = FORMATS["messages"].columns(child)
    del columns["messages"]
    assert columns == {
        "id": child.task.id,
        "round": 1,
        "root": child.task.root,
        "parent": child.task.root,
        "heuristic": "constraints",
        "language": "",
        "evolver": "server#evolver",
        "evolve_prompt_tokens": 10,
        "evolve_completion_tokens": 20,
        "evolve_attempts": 2,
        "responder": "server#responder",
        "respond_prompt_tokens": 5,
        "respond_completion_tokens": 6,
        "respond_attempts": 1,
        "runs": "",
        "tests": "",
        "tests_strength": 0.0,
        "bait": "",
        "bound": "",
        "difficulty": "",
        "pass_rate": 0.0,
    }


def test_what_checks_found_stands_on_a_row(child):
    """Each check has a column of its own, with what it measured beside it."""
    found = [
        CheckResult.of(child.response, Check.RUNS, "passed"),
        CheckResult.of(child.response, Check.TESTS, "passed", score=0.75),
        CheckResult.of(child.response, Check.DIFFICULTY, "measured", score=0.2),
    ]
    columns = FORMATS["trl"].columns(replace(child, verdicts=tuple(found)))
    assert (columns["runs"], columns["tests"], columns["tests_strength"]) == (
        "passed", "passed", 0.75,
    )  # fmt: skip
    assert (columns["difficulty"], columns["pass_rate"], columns["bait"]) == ("measured", 0.2, "")


def test_task_and_answer_stand_where_each_format_wants_them(child):
    """The shapes are those that the trainers document."""
    task, answer = child.task.instruction, child.response.text
    user, assistant = (
        {"role": "user", "content": task},
        {"role": "assistant", "content": answer},
    )
    assert FORMATS["alpaca"].body(child) == {"instruction": task, "input": "", "output": answer}
    assert FORMATS["messages"].body(child) == {"messages": [user, assistant]}
    assert FORMATS["trl"].body(child) == {"prompt": [user], "completion": [assistant]}
    assert FORMATS["sharegpt"].body(child) == {
        "conversations": [{"from": "human", "value": task}, {"from": "gpt", "value": answer}]
    }
    assert FORMATS["parquet"].body(child) == {
        "instruction": task,
        "output": answer,
        "reasoning": "hm",
        "parent_instruction": "Write a Python function 0.",
    }


@pytest.mark.parametrize("name", [name for name in ALL if FORMATS[name].llamafactory])
def test_llamafactory_is_pointed_at_columns_that_exist(child, name):
    """Columns and tags of `dataset_info.json` name what is in the rows."""
    format = FORMATS[name]
    columns, tags = format.llamafactory["columns"], format.llamafactory.get("tags", {})
    assert set(columns.values()) <= format.body(child).keys()
    if tags:
        user, assistant = format.body(child)[columns["messages"]]
        assert user[tags["role_tag"]] == tags["user_tag"]
        assert assistant[tags["role_tag"]] == tags["assistant_tag"]
        assert user[tags["content_tag"]] == child.task.instruction


@pytest.mark.parametrize("name", [name for name in ALL if FORMATS[name].axolotl])
def test_axolotl_is_pointed_at_fields_that_exist(child, name):
    """A chat template gets the column of turns, and the names of its keys where they differ."""
    format = FORMATS[name]
    body = format.body(child)
    if format.axolotl["type"] == "alpaca":
        assert {"instruction", "output"} <= body.keys()
        return
    keys = format.axolotl.get("message_property_mappings", {"role": "role", "content": "content"})
    user = body[format.axolotl["field_messages"]][0]
    assert user[keys["content"]] == child.task.instruction
    assert user[keys["role"]] in {"user", "human"}
