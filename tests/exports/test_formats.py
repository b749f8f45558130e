"""Every format has instruction, response and lineage, in columns of one type."""

from dataclasses import replace
from typing import get_args

import pytest

from evolcoder.config.load import ExportFormat
from evolcoder.exports.formats import BODY, FORMATS, LINEAGE, shown_wrong
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
    """Every column is described, and every format has the lineage."""
    shape = FORMATS[name].shape()
    assert set(shape) <= {**BODY, **LINEAGE}.keys()
    assert list(shape)[-len(LINEAGE) :] == list(LINEAGE)


def test_the_lineage_tells_where_a_row_comes_from(child):
    """Round, parent, heuristic, models and token counts."""
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
        "verified": "not checked",
    }


def test_what_checks_found_stands_on_a_row(child):
    """Each check has its column, with its score."""
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
    assert columns["verified"] == "tests passed, strength 0.75"


@pytest.mark.parametrize(
    ("kind", "detail", "level"),
    [
        ("passed", {}, "ran"),
        ("not_run", {"why": "no_code"}, "not run: holds no program"),
        ("wants", {"why": "library"}, "not run: needs a library"),
        ("wants", {"why": "network"}, "not run: needs network"),
        ("error", {"said": "NameError: name 'x'"}, "not run: needs names from its context"),
        ("error", {"said": "AssertionError"}, "failed: ended in an error"),
        ("error", {"why": "unjudged"}, "not run: the check failed"),
        ("timeout", {}, "failed: did not end in time"),
        ("misstated", {}, "failed: printed something else than the response says"),
    ],
)
def test_the_level_says_what_was_shown(child, kind, detail, level):
    """Of the response, in words; only rows that were shown to be wrong are left out of exports."""
    found = (CheckResult.of(child.response, Check.RUNS, kind, detail=detail),)
    row = replace(child, verdicts=found)
    assert FORMATS["trl"].columns(row)["verified"] == level
    assert shown_wrong(row) == (level.startswith(("failed: ended in an error", "failed: printed")))


def test_lineage_that_came_with_a_row_stays(child):
    """But for the columns of a check that was made again."""
    came = {"id": "A", "round": 3, "tests": "passed", "tests_strength": 1, "runs": "error",
            "verified": "tests passed, strength 1"}  # fmt: skip
    columns = FORMATS["trl"].columns(replace(child, lineage=came))
    assert {name: columns[name] for name in came} == came
    ran = (CheckResult.of(child.response, Check.RUNS, "passed"),)
    columns = FORMATS["trl"].columns(replace(child, lineage=came, verdicts=ran))
    assert (columns["id"], columns["tests"], columns["runs"]) == ("A", "passed", "passed")
    assert columns["verified"] == "ran"


def test_task_and_answer_stand_where_each_format_wants_them(child):
    """Layouts follow the trainers' documentation."""
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
    """Columns and tags of `dataset_info.json` exist in the rows."""
    format = FORMATS[name]
    columns, tags = format.llamafactory["columns"], format.llamafactory.get("tags", {})
    body = (format.trainer_body or format.body)(child)
    assert set(columns.values()) <= body.keys()
    assert {one["prompt"] for one in (more["columns"] for more in format.more.values())} <= {"fim"}
    if tags:
        user, assistant = [*body[columns["messages"]], body.get(columns.get("chosen"))][:2]
        assert user[tags["role_tag"]] == tags["user_tag"]
        assert assistant[tags["role_tag"]] == tags["assistant_tag"]
        assert user[tags["content_tag"]] == child.task.instruction


@pytest.mark.parametrize("name", [name for name in ALL if FORMATS[name].axolotl])
def test_axolotl_is_pointed_at_fields_that_exist(child, name):
    """The config names the column of turns, and its keys where they differ from the default."""
    format = FORMATS[name]
    body = (format.trainer_body or format.body)(child)
    if format.axolotl["type"] == "alpaca":
        assert {"instruction", "output"} <= body.keys()
        return
    keys = format.axolotl.get("message_property_mappings", {"role": "role", "content": "content"})
    user = body[format.axolotl["field_messages"]][0]
    assert user[keys["content"]] == child.task.instruction
    assert user[keys["role"]] in {"user", "human"}


def test_lineage_that_no_file_can_hold_is_left_out(child):
    """Of folders of earlier versions; each column keeps its own value then."""
    came = {"id": "\ud800", "round": 1 << 70, "tests_strength": 10**400, "heuristic": "deepen"}
    columns = FORMATS["trl"].columns(replace(child, lineage=came))
    assert columns["heuristic"] == "deepen"
    assert {**columns, "heuristic": child.task.heuristic} == FORMATS["trl"].columns(child)
