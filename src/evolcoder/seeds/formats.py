r"""The formats of instruction data: detection, and extraction of instruction and response.

A format is detected from field names only. Reading a row never fails: values that are not text
count as missing. Texts are not judged. No I/O.

| format | instruction | response |
| --- | --- | --- |
| `output` | `instruction` | `output` |
| `response` | `instruction` | `response` |
| `alpaca` | `instruction`, then `input` as a separate paragraph | `output`, or else `response` |
| `messages` | first user turn | first assistant turn after it |
| `sharegpt` | first human turn in `conversations` | first model turn after it |
| `oss-instruct` | `problem` | `solution` |
| `trl` | `prompt`, a text or a list of turns | `completion`, likewise |
| `preference` | `prompt`, likewise | `chosen`, likewise |

A response's thinking is kept apart, whether it stands in the text (`reasoning`) or in a field or
part of its own.

System turns are ignored: a task must be self-contained, and most of them describe the assistant.

>>> read({"instruction": "Add them.", "input": "1 2", "output": "3"}, "alpaca")
SeedPair(instruction='Add them.\n\n1 2', answer='3')
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evolcoder.code.python_ast import tree_of
from evolcoder.reasoning import THINKING_FIELDS, THINKING_PARTS, split
from evolcoder.text import clean

NO_INPUT = frozenset({"noinput", "no input", "n/a", "not applicable"})
"""Values of `input` in published alpaca files that mean none; any case, optionally in <>."""
USERS = frozenset({"user", "human", "prompter"})
ASSISTANTS = frozenset({"assistant", "gpt", "chatgpt", "bing", "bard", "model"})


@dataclass(frozen=True, slots=True)
class SeedPair:
    """An instruction with its response."""

    instruction: str
    """The instruction; empty if missing."""
    answer: str
    """The response without thinking; empty if missing."""
    thoughts: str = ""
    """The response's thinking; empty if there is none."""


def matching_formats(row: object) -> frozenset[str]:
    """Return the formats that read every known field of a row; empty if it has none."""
    fields = row.keys() if isinstance(row, Mapping) else frozenset[str]()
    for field, format in _UNIQUE_FIELDS.items():
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
    """Extract instruction and response from a row."""
    if not isinstance(row, Mapping):
        return SeedPair("", "")
    pair = FORMATS[format](row)
    thoughts, answer = split(pair.answer, opened=not pair.thoughts)
    if answer == pair.answer or tree_of(pair.answer) is not None:
        return pair  # nothing to split, or a program whose strings or comments hold tags
    both = dict.fromkeys(filter(None, (pair.thoughts, thoughts)))
    return SeedPair(pair.instruction, _trimmed(answer), "\n\n".join(both))


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
    """Read a chat with role and content, or from and value."""
    instruction = ""
    for turn in turns if isinstance(turns, list) else []:
        if not isinstance(turn, Mapping):
            continue
        name = turn.get("role") or turn.get("from")
        speaker = name.lower() if isinstance(name, str) else ""
        part = {"text": _joined(turn.get("content") or turn.get("value"))}
        if speaker in USERS:
            instruction = instruction or _task(part, "text")
        elif speaker in ASSISTANTS and instruction:
            return SeedPair(instruction, _answer(part, "text"), _thoughts(turn))
    return SeedPair(instruction, "")


def _joined(content: object) -> object:
    """Join the text parts of a multi-part turn."""
    if not isinstance(content, list):
        return content
    parts = [part for part in content if isinstance(part, Mapping)]
    texts = [part.get("text") for part in parts if str(part.get("type")) not in THINKING_PARTS]
    return "\n".join(text for text in texts if isinstance(text, str))


def _thoughts(turn: Fields) -> str:
    """Return a turn's thinking that stands in a field of its own or in parts of the content."""
    given = next((text for field in THINKING_FIELDS if (text := _task(turn, field))), "")
    content = turn.get("content")
    if given or not isinstance(content, list):
        return given
    parts = [part for part in content if isinstance(part, Mapping)]
    texts = [
        _task(part, field)
        for part in parts
        if str(part.get("type")) in THINKING_PARTS
        for field in ("text", "thinking", "reasoning", "content", "summary")
    ]
    return "\n\n".join(filter(None, texts))


def _task(row: Fields, field: str) -> str:
    value = row.get(field)
    return clean(value).strip() if isinstance(value, str) else ""


def _answer(row: Fields, field: str) -> str:
    value = row.get(field)
    return _trimmed(clean(value)) if isinstance(value, str) else ""


def _trimmed(answer: str) -> str:
    """Remove blank lines around it; blanks on its first line may indent code."""
    return answer.lstrip("\r\n").rstrip()


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
"""Readers by format; if several fit a file, the first is used."""

_UNIQUE_FIELDS = {"messages": "messages", "conversations": "sharegpt", "problem": "oss-instruct"}
