"""The formats of training data: how a row looks in each, and how trainers are told to read it.

Promises: every row has every column, in one order; text that is missing is empty and a count that
is missing is 0, never null, so that a loader that guesses types from the first rows guesses right.
Field names are those that the trainers document: LLaMA-Factory's `data/README.md`, axolotl's
`docs/dataset-formats`, TRL's "Dataset formats".

>>> FORMATS["messages"].body(row)["messages"][0]["role"]   # doctest: +SKIP
'user'
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evolcoder.config.load import ExportFormat
from evolcoder.records import Check, Response, Row, Task, Usage

Columns = dict[str, object]

_SEED = Task.seed("", ordinal=0, language=None)
_EMPTY = Row(_SEED, Response.to(_SEED, "", made=None), None)

LINEAGE: Mapping[str, str] = {
    "id": "id of the task",
    "round": "round of evolution that made the task; 0 for a seed",
    "root": "id of the seed that it began with",
    "parent": "id of the task that it was evolved from; empty for a seed",
    "heuristic": "how it was made harder; empty for a seed",
    "language": "programming language that the task names; empty if none",
    "evolver": "model that wrote the task; empty for a seed",
    "evolve_prompt_tokens": "tokens sent to write it, all attempts",
    "evolve_completion_tokens": "tokens received",
    "evolve_attempts": "requests that it took",
    "responder": "model that wrote the answer; empty where it came with the seed",
    "respond_prompt_tokens": "tokens sent to answer it, all attempts",
    "respond_completion_tokens": "tokens received",
    "respond_attempts": "requests that it took",
    "runs": "what became of the answer's program when it was run; empty if it was not tried",
    "tests": "what tests that were written for the task found of the answer; empty if none were",
    "tests_strength": "share of broken versions of the answer that these tests refuse",
    "bait": "what became of the wrong code in the task; empty if it was not looked at",
    "bound": "whether the answer keeps the bound that the task asks for; empty if not looked at",
    "difficulty": "whether it was measured how often a model solves the task; empty if not",
    "pass_rate": "share of a model's answers to the task that pass its tests",
}
"""Columns that every format ends with, and what they mean."""

BODY: Mapping[str, str] = {
    "instruction": "the task",
    "input": "always empty: the task is whole in `instruction`",
    "output": "the answer",
    "messages": "the task as the user's turn, the answer as the assistant's",
    "conversations": "the task from `human`, the answer from `gpt`",
    "prompt": "the task, as a list of one user turn",
    "chosen": "an answer that passes the tests of the task, as a list of one assistant turn",
    "rejected": "an answer that fails one of them, likewise",
    "completion": "the answer, as a list of one assistant turn",
    "kind": "how the row was derived: `infill` or `repair`, and what was taken out or changed",
    "prefix": "the program before the piece that is missing",
    "span": "the piece",
    "suffix": "the program behind it",
    "broken": "the program with a fault",
    "failing": "the test that it fails",
    "reasoning": "what a thinking model thought before the answer; else empty",
    "parent_instruction": "the task before it was made harder; empty for a seed",
}
"""Columns that formats begin with, and what they mean."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to lay out a training set."""

    file: str
    """Name of the data file; its suffix says how rows are written."""
    body: Callable[[Row], Columns]
    """The columns before the lineage."""
    used_with: str
    """How a trainer takes it, in one sentence."""
    llamafactory: Columns = field(default_factory=dict)
    """LLaMA-Factory's description of the file; empty if it cannot read this format."""
    axolotl: Columns = field(default_factory=dict)
    """axolotl's description of the file; empty if it cannot read this format."""

    def columns(self, row: Row) -> Columns:
        """Lay out one row, with its lineage."""
        return {**self.body(row), **lineage(row)}

    def shape(self) -> Columns:
        """Show every column and the type of what it holds, on a row without content."""
        return self.columns(_EMPTY)


def lineage(row: Row) -> Columns:
    """Lay out where a row comes from and what it took."""
    task = row.task
    return {
        "id": task.id,
        "round": task.round,
        "root": task.root,
        "parent": task.parent or "",
        "heuristic": task.heuristic or "",
        "language": task.language or "",
        **_made("evolver", "evolve", task.made),
        **_made("responder", "respond", row.response.made),
        **_found(row),
    }


def _found(row: Row) -> Columns:
    """Lay out what checks found of a row."""
    kinds = {verdict.check: verdict.kind for verdict in row.verdicts}
    scores = {verdict.check: verdict.score for verdict in row.verdicts}
    return {
        "runs": kinds.get(Check.RUNS, ""),
        "tests": kinds.get(Check.TESTS, ""),
        "tests_strength": scores.get(Check.TESTS) or 0.0,
        "bait": kinds.get(Check.BAIT, ""),
        "bound": kinds.get(Check.BOUND, ""),
        "difficulty": kinds.get(Check.DIFFICULTY, ""),
        "pass_rate": scores.get(Check.DIFFICULTY) or 0.0,
    }


def _made(who: str, verb: str, made: Usage | None) -> Columns:
    return {
        who: made.model if made else "",
        f"{verb}_prompt_tokens": made.prompt_tokens if made else 0,
        f"{verb}_completion_tokens": made.completion_tokens if made else 0,
        f"{verb}_attempts": made.attempts if made else 0,
    }


def _alpaca(row: Row) -> Columns:
    return {"instruction": row.task.instruction, "input": "", "output": row.response.text}


def _messages(row: Row) -> Columns:
    return {"messages": [_said("user", row.task.instruction), _answer(row)]}


def _sharegpt(row: Row) -> Columns:
    return {
        "conversations": [
            {"from": "human", "value": row.task.instruction},
            {"from": "gpt", "value": row.response.text},
        ]
    }


def _trl(row: Row) -> Columns:
    return {"prompt": [_said("user", row.task.instruction)], "completion": [_answer(row)]}


def _preference(row: Row) -> Columns:
    return {
        "prompt": [_said("user", row.task.instruction)],
        "chosen": [_answer(row)],
        "rejected": [_said("assistant", row.beside.get("rejected", ""))],
    }


def _infill(row: Row) -> Columns:
    return {**_trl(row), **_beside(row, "kind", "prefix", "span", "suffix")}


def _repair(row: Row) -> Columns:
    return {**_trl(row), **_beside(row, "kind", "broken", "failing")}


def _beside(row: Row, *names: str) -> Columns:
    return {name: row.beside.get(name, "") for name in names}


def _parquet(row: Row) -> Columns:
    return {
        "instruction": row.task.instruction,
        "output": row.response.text,
        "reasoning": row.response.reasoning,
        "parent_instruction": row.parent_instruction or "",
    }


def _answer(row: Row) -> Columns:
    return _said("assistant", row.response.text)


def _said(role: str, content: str) -> Columns:
    return {"role": role, "content": content}


_TO_TRAINERS = (
    "LLaMA-Factory: `dataset_dir: <this folder>` and `dataset: evolcoder`; axolotl: take the "
    "entry of `axolotl.yaml` into your config."
)

FORMATS: dict[ExportFormat, Format] = {
    "alpaca": Format(
        "data.json",
        _alpaca,
        _TO_TRAINERS,
        llamafactory={
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
        axolotl={"ds_type": "json", "type": "alpaca"},
    ),
    "messages": Format(
        "data.jsonl",
        _messages,
        f"TRL's SFTTrainer takes it as it is. {_TO_TRAINERS}",
        llamafactory={
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        },
        axolotl={"ds_type": "json", "type": "chat_template", "field_messages": "messages"},
    ),
    "sharegpt": Format(
        "data.json",
        _sharegpt,
        _TO_TRAINERS,
        llamafactory={
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
            },
        },
        axolotl={
            "ds_type": "json",
            "type": "chat_template",
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
        },
    ),
    "trl": Format(
        "data.jsonl",
        _trl,
        "TRL's SFTTrainer takes it as it is and trains on the completion alone. LLaMA-Factory and "
        "axolotl do not read a prompt that is a list of turns: export `messages` for them.",
    ),
    "preference": Format(
        "data.jsonl",
        _preference,
        "Pairs of answers to one task: `chosen` passes tests that were written for the task and "
        "tested themselves, `rejected` fails one of them. TRL's DPOTrainer and RewardTrainer take "
        "it as it is. Only tasks that have both kinds of answers are in it.",
    ),
    "infill": Format(
        "data.jsonl",
        _infill,
        "Verified programs with a piece taken out: as a task in words (TRL's SFTTrainer takes "
        "`prompt` and `completion` as they are), and as `prefix`, `span` and `suffix` for models "
        "that are trained to fill in. The lineage is that of the row that each was derived from.",
    ),
    "repair": Format(
        "data.jsonl",
        _repair,
        "Programs with one fault, with a test that was seen to fail on it, and the program as it "
        "was before. TRL's SFTTrainer takes it as it is. The lineage is that of the row that each "
        "was derived from.",
    ),
    "parquet": Format(
        "data.parquet",
        _parquet,
        _TO_TRAINERS,
        llamafactory={"columns": {"prompt": "instruction", "response": "output"}},
        axolotl={"ds_type": "parquet", "type": "alpaca"},
    ),
}
