"""The export formats: the columns of a row in each, and how trainers load it.

Every row has every column in the same order. Missing text is empty and missing counts are 0, never
null, so that loaders infer the right types from the first rows. Field names follow the trainers'
documentation: LLaMA-Factory's `data/README.md`, axolotl's `docs/dataset-formats`, TRL's "Dataset
formats".

>>> FORMATS["messages"].body(row)["messages"][0]["role"]   # doctest: +SKIP
'user'
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evolcoder.config.load import ExportFormat
from evolcoder.records import Check, CheckResult, Response, Row, Task, Usage
from evolcoder.text import clean

Columns = dict[str, object]

_SEED = Task.seed("", ordinal=0, language=None)
_EMPTY = Row(_SEED, Response.to(_SEED, "", made=None), None)

LINEAGE: Mapping[str, str] = {
    "id": "id of the task",
    "round": "round of evolution that created the task; 0 for a seed",
    "root": "id of the seed that the task descends from",
    "parent": "id of the task that it was evolved from; empty for a seed",
    "heuristic": "heuristic that evolved the task; empty for a seed",
    "language": "programming language that the task names; empty if none",
    "evolver": "model that wrote the task; empty for a seed",
    "evolve_prompt_tokens": "prompt tokens of the evolution, all attempts",
    "evolve_completion_tokens": "completion tokens of the evolution, all attempts",
    "evolve_attempts": "requests for the evolution",
    "responder": "model that wrote the response; empty if it came with the seed",
    "respond_prompt_tokens": "prompt tokens of the response, all attempts",
    "respond_completion_tokens": "completion tokens of the response, all attempts",
    "respond_attempts": "requests for the response",
    "runs": "result of running the response's program; empty if it was not run",
    "tests": "result of tests generated for the task; empty if there are none",
    "tests_strength": "mutation score of these tests: share of the response's mutants they reject",
    "bait": "result of checking the wrong code in the task; empty if not checked",
    "bound": "whether the response meets the bound that the task asks for; empty if not checked",
    "difficulty": "whether the task's pass rate was measured; empty if not",
    "pass_rate": "share of a model's responses to the task that pass its tests",
    "verified": "what was shown of the response, such as `ran`, `tests passed, strength 0.9` or "
    "`not run: needs a library`",
}
"""Columns at the end of every format, with their descriptions."""

BODY: Mapping[str, str] = {
    "instruction": "the task",
    "input": "always empty: `instruction` is complete",
    "output": "the response",
    "messages": "the task as user turn, the response as assistant turn",
    "conversations": "the task from `human`, the response from `gpt`",
    "prompt": "the task, as a list of one user turn",
    "chosen": "a response that passes the task's tests, or that agreement chose, as a list of one "
    "assistant turn",
    "rejected": "a response that fails a test, or behaves otherwise, as a list of one turn",
    "completion": "the response, as a list of one assistant turn",
    "kind": "how the row was derived: `infill` or `repair`, and the kind of span or mutation, or "
    "`answer` where the broken program is another answer",
    "prefix": "the program before the missing span",
    "span": "the missing span",
    "suffix": "the program after the missing span",
    "fim": "the same as one text with the fill-in-the-middle tokens of a model family",
    "broken": "the broken program",
    "failing": "the test that it fails",
    "reasoning": "reasoning of the responder before the response; empty if there was none, or if "
    "the response came with the seed",
    "parent_instruction": "the task before evolution; empty for a seed",
}
"""Columns at the beginning of formats, with their descriptions."""


@dataclass(frozen=True, slots=True)
class Format:
    """One layout of a training set."""

    file: str
    """Name of the data file; its suffix determines the file format."""
    body: Callable[[Row], Columns]
    """Returns the columns before the lineage."""
    used_with: str
    """How trainers load it, in a sentence."""
    llamafactory: Columns = field(default_factory=dict)
    """LLaMA-Factory's description of the file."""
    axolotl: Columns = field(default_factory=dict)
    """axolotl's description of the file."""
    axolotl_settings: Columns = field(default_factory=dict)
    """Further settings that axolotl needs."""
    trainer_body: Callable[[Row], Columns] | None = None
    """Returns a row of the file for LLaMA-Factory and axolotl, if they need one of their own."""
    more: Mapping[str, Columns] = field(default_factory=dict)
    """LLaMA-Factory's descriptions of further data sets in the data file, by the end of their
    names."""

    def columns(self, row: Row) -> Columns:
        """Return the columns of a row, including its lineage."""
        return {**self.body(row), **lineage(row)}

    def shape(self) -> Columns:
        """Return every column with an empty value of its type."""
        return self.columns(_EMPTY)


def lineage(row: Row) -> Columns:
    """Return the lineage columns."""
    task = row.task
    own: Columns = {
        "id": task.id,
        "round": task.round,
        "root": task.root,
        "parent": task.parent or "",
        "heuristic": task.heuristic or "",
        "language": task.language or "",
        **_usage("evolver", "evolve", task.made),
        **_usage("responder", "respond", row.response.made),
        **_verdicts(row),
        "verified": verified_level(row),
    }
    if not row.lineage:
        return own
    return {**own, **_brought(row, own, {verdict.check.value for verdict in row.verdicts})}


_OF_CHECK = {"tests_strength": "tests", "pass_rate": "difficulty"}
"""Columns of a check that are not named like it."""


def _brought(row: Row, own: Columns, checked: set[str]) -> Columns:
    """Return the columns that a row came with, but those of checks that were made again."""
    return {
        name: float(value) if isinstance(own[name], float) and isinstance(value, int) else value
        for name, value in row.lineage.items()
        if name in own
        and _is_storable(value)
        and _OF_CHECK.get(name, name) not in checked
        and not (name == "verified" and checked)
    }


def _is_storable(value: object) -> bool:
    """Whether a file can hold a value; folders of earlier versions may have others."""
    if isinstance(value, str):
        return clean(value) == value
    return not isinstance(value, int) or abs(value) < 1 << 63


_WHY_NOT_RUN = {
    "library": "needs a library",
    "fragment": "is a fragment",
    "dialect": "may be in another dialect",
    "language": "its language has no tools here",
    "language_unknown": "its language is not known",
    "no_code": "holds no program",
    "among_prose": "has code among prose",
    "shows_output": "shows output",
    "too_long": "is too long",
    "sandbox": "the sandbox failed",
    "to_be_stopped": "runs until it is stopped",
    "file": "needs a file",
}
_FAILED = {
    "parse_error": "does not parse",
    "compile_error": "does not compile",
    "timeout": "did not end in time",
    "memory": "took too much memory",
    "output": "wrote too much",
    "error": "ended in an error",
    "misstated": "printed something else than the response says",
}
_LACKS_NAME = ("NameError", "ReferenceError")


def verified_level(row: Row) -> str:
    """Say what verification showed of a row's response, and how many answers agreed with it."""
    if not row.verdicts:
        return "not checked"
    found = {verdict.check: verdict for verdict in row.verdicts}
    agreement = found.get(Check.AGREEMENT)
    level = _level_of_checks(row, found)
    return level if agreement is None else f"{_level_of_agreement(agreement)}, {level}"


def _level_of_agreement(agreement: CheckResult) -> str:
    facts = agreement.detail
    if agreement.kind != "agreed":
        return f"unverified: {facts.get('said', agreement.kind)}"
    tests = facts.get("tests")
    passed = f", {facts.get('tests_passed')} of {tests} sound tests passed" if tests else ""
    inputs = f"{facts.get('inputs')} input{'' if facts.get('inputs') == 1 else 's'}"
    return f"{facts.get('agreeing')} of {facts.get('asked')} answers agree on {inputs}{passed}"


def _level_of_checks(row: Row, found: Mapping[Check, CheckResult]) -> str:
    tests, runs = found.get(Check.TESTS), found.get(Check.RUNS)
    if tests is not None and tests.kind == "passed":
        return f"tests passed, strength {tests.score or 0.0:.2g}"
    if tests is not None and tests.kind == "failed":
        return "tests failed"
    return "not checked" if runs is None else _level_of_run(row, runs)


def _level_of_run(row: Row, runs: CheckResult) -> str:
    if runs.kind == "passed":
        return "ran"
    why = str(runs.detail.get("why", ""))
    if runs.kind in {"not_run", "wants"}:
        return f"not run: {_WHY_NOT_RUN.get(why) or f'needs {why}'.replace('_', ' ')}"
    if runs.kind == "error" and (why or not shown_wrong(row)):
        return "not run: the check failed" if why else "not run: needs names from its context"
    return f"failed: {_FAILED.get(runs.kind, runs.kind)}"


def shown_wrong(row: Row) -> bool:
    """Whether a row's program ended in an error of its own, or `is_misstated`."""
    runs = next((verdict for verdict in row.verdicts if verdict.check is Check.RUNS), None)
    if runs is None or runs.kind != "error" or runs.detail.get("why"):
        return is_misstated(row)
    return not str(runs.detail.get("said", "")).startswith(_LACKS_NAME)


def is_misstated(row: Row) -> bool:
    """Whether a row's program printed something else than its response says."""
    return any(one.check is Check.RUNS and one.kind == "misstated" for one in row.verdicts)


def _verdicts(row: Row) -> Columns:
    """Return the verification columns, not to be changed."""
    if not row.verdicts:
        return _NO_VERDICTS
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


_NO_VERDICTS: Columns = {
    "runs": "", "tests": "", "tests_strength": 0.0, "bait": "", "bound": "", "difficulty": "",
    "pass_rate": 0.0,
}  # fmt: skip


def _usage(who: str, verb: str, made: Usage | None) -> Columns:
    return {
        who: made.model if made else "",
        f"{verb}_prompt_tokens": made.prompt_tokens if made else 0,
        f"{verb}_completion_tokens": made.completion_tokens if made else 0,
        f"{verb}_attempts": made.attempts if made else 0,
    }


def _alpaca(row: Row) -> Columns:
    return {"instruction": row.task.instruction, "input": "", "output": row.response.text}


def _messages(row: Row) -> Columns:
    return {"messages": [_turn("user", row.task.instruction), _answer(row)]}


def _sharegpt(row: Row) -> Columns:
    return {
        "conversations": [
            {"from": "human", "value": row.task.instruction},
            {"from": "gpt", "value": row.response.text},
        ]
    }


def _trl(row: Row) -> Columns:
    return {"prompt": [_turn("user", row.task.instruction)], "completion": [_answer(row)]}


def _preference(row: Row) -> Columns:
    return {
        "prompt": [_turn("user", row.task.instruction)],
        "chosen": [_answer(row)],
        "rejected": [_turn("assistant", row.beside.get("rejected", ""))],
    }


def _chosen_turn(row: Row) -> Columns:
    """Return a pair with single turns, as LLaMA-Factory wants them."""
    return {
        "messages": [_turn("user", row.task.instruction)],
        "chosen": _answer(row),
        "rejected": _turn("assistant", row.beside.get("rejected", "")),
    }


def _infill(row: Row) -> Columns:
    return {**_trl(row), **_extra(row, "kind", "prefix", "span", "suffix", "fim")}


def _repair(row: Row) -> Columns:
    return {**_trl(row), **_extra(row, "kind", "broken", "failing")}


def _extra(row: Row, *names: str) -> Columns:
    return {name: row.beside.get(name, "") for name in names}


def _parquet(row: Row) -> Columns:
    return {
        "instruction": row.task.instruction,
        "output": row.response.text,
        "reasoning": row.response.reasoning if row.response.made else "",
        "parent_instruction": row.parent_instruction or "",
    }


def _answer(row: Row) -> Columns:
    return _turn("assistant", row.response.text)


def _turn(role: str, content: str) -> Columns:
    return {"role": role, "content": content}


_TRAINERS = (
    "LLaMA-Factory: `dataset_dir: <this folder>` and `dataset: <its name in dataset_info.json>`; "
    "axolotl: copy the entry in `axolotl.yaml` into your config."
)
_ROLES = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_LLAMAFACTORY_CHAT: Columns = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": _ROLES,
}
_AXOLOTL_CHAT: Columns = {
    "ds_type": "json", "type": "chat_template", "field_messages": "messages",
}  # fmt: skip
TRAINER_FILE = "trainers.jsonl"
"""File for LLaMA-Factory and axolotl, if they do not load the data file."""

DERIVED: frozenset[ExportFormat] = frozenset({"preference", "infill", "repair"})
"""Formats whose rows are derived from verification results."""

FORMATS: dict[ExportFormat, Format] = {
    "alpaca": Format(
        "data.json",
        _alpaca,
        _TRAINERS,
        llamafactory={
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
        axolotl={"ds_type": "json", "type": "alpaca"},
    ),
    "messages": Format(
        "data.jsonl",
        _messages,
        f"TRL's SFTTrainer loads it directly. {_TRAINERS}",
        llamafactory=_LLAMAFACTORY_CHAT,
        axolotl=_AXOLOTL_CHAT,
    ),
    "sharegpt": Format(
        "data.json",
        _sharegpt,
        _TRAINERS,
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
        "TRL's SFTTrainer loads it directly and trains on the completion only. LLaMA-Factory and "
        f"axolotl load `{TRAINER_FILE}`, which has the same rows as chats. {_TRAINERS}",
        llamafactory=_LLAMAFACTORY_CHAT,
        axolotl=_AXOLOTL_CHAT,
        trainer_body=_messages,
    ),
    "preference": Format(
        "data.jsonl",
        _preference,
        "Pairs of responses to one task: `chosen` passes validated tests generated for the task, "
        "and `rejected` fails one of them; or agreement among several answers chose `chosen`, and "
        "`rejected` behaves otherwise. TRL's DPOTrainer and RewardTrainer load it directly. Only "
        "tasks with both kinds of responses are included. LLaMA-Factory and axolotl load "
        f"`{TRAINER_FILE}`, with single turns. {_TRAINERS}",
        llamafactory={
            "ranking": True,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "chosen": "chosen", "rejected": "rejected"},
            "tags": _ROLES,
        },
        axolotl={
            "split": "train",
            "ds_type": "json",
            "type": "chat_template.default",
            "field_messages": "messages",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        },
        axolotl_settings={"rl": "dpo"},
        trainer_body=_chosen_turn,
    ),
    "infill": Format(
        "data.jsonl",
        _infill,
        "Verified programs with a span removed: as an instruction (TRL's SFTTrainer loads `prompt` "
        "and `completion` directly), as `prefix`, `span` and `suffix`, and as one text `fim` with "
        "the tokens of a model family, for pre-training (LLaMA-Factory: the data set that ends "
        "with `_fim`, `stage: pt`; axolotl: `type: completion`, `field: fim`). LLaMA-Factory and "
        f"axolotl load the instructions from `{TRAINER_FILE}`. The lineage is that of the row that "
        f"each was derived from. {_TRAINERS}",
        llamafactory=_LLAMAFACTORY_CHAT,
        axolotl=_AXOLOTL_CHAT,
        trainer_body=_messages,
        more={"_fim": {"columns": {"prompt": "fim"}}},
    ),
    "repair": Format(
        "data.jsonl",
        _repair,
        "Programs with a fault, a test that fails on it, and a program without it. TRL's "
        f"SFTTrainer loads it directly, LLaMA-Factory and axolotl load `{TRAINER_FILE}`. The "
        f"lineage is that of the row that each was derived from. {_TRAINERS}",
        llamafactory=_LLAMAFACTORY_CHAT,
        axolotl=_AXOLOTL_CHAT,
        trainer_body=_messages,
    ),
    "parquet": Format(
        "data.parquet",
        _parquet,
        _TRAINERS,
        llamafactory={"columns": {"prompt": "instruction", "response": "output"}},
        axolotl={"ds_type": "parquet", "type": "alpaca"},
    ),
}
