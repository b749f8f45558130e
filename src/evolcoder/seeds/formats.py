r"""The formats of instruction data: which one a row is in, and what it holds.

Promises: a format is told by the names of a row's fields alone, and reading a row never fails: what
is not text counts as missing. Does not judge texts, and knows nothing of files.

| format | task | answer |
| --- | --- | --- |
| `output` | `instruction` | `output` |
| `response` | `instruction` | `response` |
| `alpaca` | `instruction`, then `input` as a paragraph of its own | `output`, or else `response` |
| `messages` | first user turn | first assistant turn after it |
| `sharegpt` | first turn from a human in `conversations` | first turn after it from a model |
| `oss-instruct` | `problem` | `solution` |
| `trl` | `prompt`, a text or a list of turns | `completion`, likewise |
| `preference` | `prompt`, likewise | `chosen`, likewise |

System turns are left out: a task must make sense alone, and most of them speak of the assistant.

>>> read({"instruction": "Add them.", "input": "1 2", "output": "3"}, "alpaca")
Pair(instruction='Add them.\n\n1 2', answer='3')
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evolcoder.text import clean

NO_INPUT = frozenset({"noinput", "no input", "n/a", "not applicable"})
"""What published alpaca files write, in any case or in <>, where a task has no input."""
USERS = frozenset({"user", "human", "prompter"})
ASSISTANTS = frozenset({"assistant", "gpt", "chatgpt", "bing", "bard", "model"})


@dataclass(frozen=True, slots=True)
class SeedPair:
    """What a row holds."""

    instruction: str
    """The task; empty if the row has none."""
    answer: str
    """The answer that comes with it; empty if there is none."""


def fitting(row: object) -> frozenset[str]:
    """Name the formats that read all that a row holds; none for a row without a known field."""
    fields = row.keys() if isinstance(row, Mapping) else frozenset[str]()
    for field, format in _TELLING.items():
        if field in fields:
            return frozenset({format})
    if "prompt" in fields and not fields.isdisjoint({"completion", "chosen"}):
        return frozenset({"trl" if "completion" in fields else "preference"})
    if "instruction" not in fields:
        return frozenset({"trl"} if "prompt" in fields else ())
    if "input" in fields:
        return frozenset({"alpaca"})
    if "output" in fields:
        return frozenset({"output", "alpaca"})
    return frozenset({"response"} if "response" in fields else {"output", "response", "alpaca"})


def read(row: object, format: str) -> SeedPair:
    """Take the task and its answer out of a row."""
    return FORMATS[format](row) if isinstance(row, Mapping) else SeedPair("", "")


Fields = Mapping[str, object]


def _output(row: Fields) -> SeedPair:
    return SeedPair(_task(row, "instruction"), _answer(row, "output"))


def _response(row: Fields) -> SeedPair:
    return SeedPair(_task(row, "instruction"), _answer(row, "response"))


def _alpaca(row: Fields) -> SeedPair:
    instruction, given = _task(row, "instruction"), _task(row, "input")
    if instruction and given and given.strip("<>").lower() not in NO_INPUT:
        instruction = f"{instruction}\n\n{given}"
    return SeedPair(instruction, _answer(row, "output") or _answer(row, "response"))


def _oss_instruct(row: Fields) -> SeedPair:
    return SeedPair(_task(row, "problem"), _answer(row, "solution"))


def _messages(row: Fields) -> SeedPair:
    return _chat(row.get("messages"))


def _sharegpt(row: Fields) -> SeedPair:
    return _chat(row.get("conversations"))


def _trl(row: Fields) -> SeedPair:
    return _prompted(row.get("prompt"), row.get("completion"))


def _preference(row: Fields) -> SeedPair:
    return _prompted(row.get("prompt"), row.get("chosen"))


def _prompted(prompt: object, answer: object) -> SeedPair:
    """Read a prompt and its answer: two texts, or two lists of turns."""
    if isinstance(prompt, list) and isinstance(answer, list):
        return _chat([*prompt, *answer])
    return _output({"instruction": prompt, "output": answer})


def _chat(turns: object) -> SeedPair:
    """Read a chat in either way of writing it: role and content, or from and value."""
    instruction = ""
    for turn in turns if isinstance(turns, list) else []:
        if not isinstance(turn, Mapping):
            continue
        name = turn.get("role") or turn.get("from")
        speaker = name.lower() if isinstance(name, str) else ""
        said = {"said": _joined(turn.get("content") or turn.get("value"))}
        if speaker in USERS:
            instruction = instruction or _task(said, "said")
        elif speaker in ASSISTANTS and instruction:
            return SeedPair(instruction, _answer(said, "said"))
    return SeedPair(instruction, "")


def _joined(content: object) -> object:
    """Join the text parts of a turn that comes in parts."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))


def _task(row: Fields, field: str) -> str:
    value = row.get(field)
    return clean(value).strip() if isinstance(value, str) else ""


def _answer(row: Fields, field: str) -> str:
    """Read an answer; blanks before its first line stay, for they may indent code."""
    value = row.get(field)
    return clean(value).lstrip("\r\n").rstrip() if isinstance(value, str) else ""


FORMATS: dict[str, Callable[[Fields], SeedPair]] = {
    "output": _output,
    "response": _response,
    "alpaca": _alpaca,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "oss-instruct": _oss_instruct,
    "trl": _trl,
    "preference": _preference,
}
"""Readers by name; where a file fits several, the first of them is its format."""

_TELLING = {"messages": "messages", "conversations": "sharegpt", "problem": "oss-instruct"}
