r"""The formats of instruction data: detection, and extraction of instruction and response.

A format is detected from field names; a field without a value does not count if another one has a
task. Reading a row never fails: values that are not text count as missing, and numbers and lists
in place of a response are read as JSON. Texts are not judged. No I/O.

| format | instruction | response |
| --- | --- | --- |
| `output` | `instruction` | `output` |
| `response` | `instruction` | `response` |
| `alpaca` | `instruction`, then `input` or `context` as a paragraph, or these alone | `output`, … |
| `self-instruct` | `instruction`, then `input` of the first of `instances` | its `output` |
| `messages` | first user turn | first assistant turn after it |
| `sharegpt` | first human turn in `conversations` | first model turn after it |
| `chat` | likewise in `conversation`, `chat`, `items`, `data`, … | likewise |
| `oss-instruct` | `problem` | `solution` |
| `question-answer` | `question`, `query`, `description`, … | `answer`, `response`, `solutions`, … |
| `trl` | `prompt`, a text or a list of turns | `completion`, likewise, or another response |
| `preference` | `prompt`, `instruction` or `question`, likewise | `chosen`, likewise |
| `benchmark` | `prompt`, `instruct_prompt`, … | the program with `canonical_solution`, `code`, … |
| `text` | first user turn in `text`, a chat in the notation of a template | the answer to it |

Rows in shapes of their own are rewritten first (`aliases`). A row with `history` is a chat. Of a
chat the first question with its answer is read: a task must be self-contained. What is not read is
named in `left_out`. A response's thinking is kept apart, whether it stands in the text
(`reasoning`) or in a field or part of its own.

>>> read({"instruction": "Add them.", "input": "1 2", "output": 3}, "alpaca").instruction
'Add them.\n\n1 2'
"""

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from evolcoder.code.python_ast import is_literal, tree_of
from evolcoder.reasoning import split
from evolcoder.seeds.aliases import INNER, rewritten
from evolcoder.seeds.answers import (
    answer_in,
    answer_of,
    fenced,
    further_answers,
    has_other,
    has_several,
    has_test_values,
    is_cut_at_its_longest,
    listed,
    text_of,
    trimmed,
)
from evolcoder.seeds.chats import (
    NEEDS_IMAGE,
    NEEDS_TOOLS,
    Turn,
    calls_tool,
    canonical,
    digest_of,
    holds_calls,
    media_in,
    parsed_list,
    plain_text,
    rows_of_columns,
    turns_in_field,
    turns_of,
)
from evolcoder.seeds.fields import (
    ANNOTATED,
    ANSWERS,
    BAD,
    BAD_WORDS,
    CHATS,
    CHOICES,
    CUT,
    ENDS,
    INPUTS,
    JUDGED,
    LABELS,
    MEDIA,
    NO_INPUT,
    PLURALS,
    PREFIXES,
    STATEMENT_PARTS,
    SYSTEMS,
    TASKS,
    TESTS,
    THOUGHTS,
    TOOLS,
)
from evolcoder.seeds.templates import is_templated, turns_in_text, without_end
from evolcoder.text import clean

_MEDIA_FILES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".mp4", ".wav", ".mp3", ".webm")
INPUT_OF_CODE = ("inputs", "input")
MAX_ARGUMENTS = 10_000
"""Longest text that may be the arguments of a call."""

SYSTEM_TURNS, LATER_TURNS, HISTORY = "system turns", "later turns", "history"
EARLIER_TURNS = "earlier turns"
DECLARED_TOOLS, LABEL = "tools", "label"
REJECTED, FURTHER = "rejected answers", "further answers"
EXCLUDED = "answers that are not to be learnt"
TEST_COLUMNS, CONTEXT, CUT_CELLS = "tests", "context", "cells that a viewer cut"
CUT_ANSWERS = "answers cut at their longest"
BLANK, UNKNOWN = "blank", "unknown"


@dataclass(frozen=True, slots=True)
class SeedPair:
    """An instruction with its response."""

    instruction: str
    """The instruction; empty if missing."""
    answer: str
    """The response without thinking; empty if missing, or labelled as bad."""
    thoughts: str = ""
    """The response's thinking; empty if there is none."""
    left_out: tuple[str, ...] = ()
    """What else the row has, such as `later turns` or `label`."""
    needs: str = ""
    """`needs tools` or `needs an image`: no response in text answers such a row."""
    turns: tuple[str, ...] = ()
    """All turns of a chat that is more than the instruction and its response."""
    context: str = ""
    """What else makes the row another one than its turns: system turns, tools, images, a label."""
    further: str = ""
    """Its rejected and further answers."""


_BESIDE = frozenset(
    {*MEDIA, *SYSTEMS, *TOOLS, *LABELS, *JUDGED, *ENDS, *PLURALS, *TESTS, CUT, ANNOTATED,
     "instances", "history", "rejected", "context", "A"}
)  # fmt: skip
"""Fields that describe a pair, in addition to its texts."""
_COLUMNS_OF_THOUGHTS, _COLUMNS_OF_TESTS = frozenset(THOUGHTS), frozenset(TESTS)
_COLUMNS_OF_ANSWERS = frozenset(ANSWERS)
Fields = Mapping[str, object]
_NOTHING = SeedPair("", "")


def format_of(row: object) -> str | None:
    """Return the format in which a row has a task, or else the first whose fields it has."""
    return read_detected(row)[0]


def read_detected(row: object) -> tuple[str | None, SeedPair]:
    """Detect the format of a row and read it; None and no texts if it has no known field."""
    if not isinstance(row, Mapping):
        return None, _NOTHING
    row = rewritten(_folded(row), is_known=True)
    found = _first_read(row)
    if found[1].instruction or found[1].needs:
        return found
    other = rewritten(row, is_known=False)
    for one in (other, *(parsed_list(row.get(name)) for name in INNER)):
        if one is not row and (pair := _first_read(one))[1].instruction:
            return pair
    return found


def _folded(row: Fields) -> Fields:
    """Return a row with its names also in lower case; headers of tables are often capitalised."""
    folded = {_lower(name): value for name, value in row.items() if _lower(name) not in row}
    return {**row, **folded} if folded else row


def _lower(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_")


def _first_read(row: object) -> tuple[str | None, SeedPair]:
    """Read a row in the first format in which it has a task, or else in the first of its fields."""
    if not isinstance(row, Mapping):
        return None, _NOTHING
    first: tuple[str | None, SeedPair] | None = None
    for name in _formats_of(row):
        pair = read(row, name)
        if pair.instruction:
            return name, pair
        first = first or (name, pair)
    return first or (None, _NOTHING)


def read(row: object, format: str) -> SeedPair:
    """Extract instruction and response from a row."""
    if not isinstance(row, Mapping):
        return _NOTHING
    pair = _with_fields(_exchange(_with_answer(FORMATS[format](row), row)), row)
    if not any(map(str.isalnum, pair.instruction)):  # "-", or invisible signs
        pair = replace(pair, instruction="")
    pair = replace(pair, answer=without_end(pair.answer))
    thoughts, answer = split(pair.answer, opened=not pair.thoughts)
    if answer != pair.answer and tree_of(pair.answer) is None:  # a program's strings may hold tags
        both = dict.fromkeys(filter(None, (pair.thoughts, thoughts)))
        pair = replace(pair, answer=trimmed(answer), thoughts="\n\n".join(both))
    return _with_thoughts(pair, row)


def _with_answer(turns: list[Turn], row: Fields) -> list[Turn]:
    """Append a response of another field where the turns of a row have none, or a blank one."""
    end = len(turns)
    while end and turns[end - 1].speaker == "assistant" and not _says(turns[end - 1]):
        end -= 1
    asked = [turn for turn in turns[:end] if turn.speaker != "system"]
    if not asked or any(turn.speaker != "user" or turn.needs for turn in asked):
        return turns
    answer = answer_of(row)
    return [*turns[:end], Turn("assistant", answer)] if answer else turns


def why_unread(row: object) -> str:
    """Say why a row without an instruction has none: its fields are `blank` or `unknown`."""
    if not isinstance(row, Mapping):
        return UNKNOWN
    known = {"instruction", "problem", "prompt", "messages", "conversations", *TASKS, "task"}
    values = [value for name, value in row.items() if name in known]
    return BLANK if values and all(map(_is_blank, values)) else UNKNOWN


def _is_blank(value: object) -> bool:
    turns = turns_of(value)
    if not turns:
        return not any(map(str.isalnum, plain_text(value)))
    if any(turn.text.strip() for turn in turns):
        return not _asks(turns)
    items = [one for one in listed(parsed_list(value)) if isinstance(one, Mapping)]
    texts = (text for one in items for text in one.values() if isinstance(text, str))
    return not any(len(text.split()) > 1 for text in texts)  # which stand under another key


def _formats_of(row: Fields) -> tuple[str, ...]:
    """Return the formats whose fields a row has, the most specific first."""
    fields = frozenset(str(name) for name, value in row.items() if value is not None)
    return _matching(fields or frozenset(map(str, row)))


@functools.lru_cache(maxsize=1024)
def _matching(fields: frozenset[str]) -> tuple[str, ...]:
    found = (
        name for name, required in _DETECTED if all(not fields.isdisjoint(one) for one in required)
    )
    return tuple(dict.fromkeys(found))


def _exchange(turns: list[Turn]) -> SeedPair:
    """Take the first question of a chat, and the answer to it."""
    first = next((n for n, one in enumerate(turns) if _begins(one)), None)
    system = [turn.text for turn in turns if turn.speaker == "system" and turn.text.strip()]
    if first is None:
        return SeedPair("", "", context="\n".join(system))
    end = next(
        (n for n, one in enumerate(turns[first:], first) if one.speaker != "user"), len(turns)
    )
    asked = turns[first:end]
    answer, needs, n_used = _answer_of(turns[end:])
    rest = [one for one in turns[end + n_used :] if one.speaker != "system" and _says(one)]
    early = [one for one in turns[:first] if one.speaker != "system" and _says(one)]
    left = [SYSTEM_TURNS] if system else []
    left += [EARLIER_TURNS] if early else []
    left += [LATER_TURNS] if rest and not needs else []
    left += [EXCLUDED] if answer.is_excluded else []
    said = [f"{turn.text}{turn.extra}" for turn in turns if turn.speaker != "system"]
    return SeedPair(
        "\n\n".join(filter(None, (turn.text.strip() for turn in asked))),
        "" if answer.is_excluded else trimmed(answer.text),
        "" if answer.is_excluded else answer.thoughts,
        tuple(left),
        next((turn.needs for turn in asked if turn.needs), needs),
        tuple(said) if early or rest or needs or answer.is_excluded else (),
        "\n".join(system),
    )


def _answer_of(turns: list[Turn]) -> tuple[Turn, str, int]:
    """Return the answer, what it needs, and the number of turns up to it."""
    nothing = Turn("assistant", "")
    for n, turn in enumerate(turns):
        if turn.speaker == "user":
            return nothing, "", n
        if turn.speaker == "tool" or turn.needs:
            return nothing, turn.needs or NEEDS_TOOLS, n + 1
        following = turns[n + 1].speaker if n + 1 < len(turns) else ""
        if turn.speaker == "assistant" == following and not _says(turn) and not turn.thoughts:
            continue
        if turn.speaker == "assistant":
            if following == "tool":  # a call written as a text
                return nothing, NEEDS_TOOLS, n + 1
            return turn, "", n + 1
    return nothing, "", len(turns)


def _begins(turn: Turn) -> bool:
    """Whether a turn may be the first question: a user's, and more than the result of a tool."""
    text = turn.text.strip()
    return turn.speaker == "user" and bool(turn.needs or (text and not _TOKEN.fullmatch(text)))


_TOKEN = re.compile(r"<\|[^|<>]{1,60}\|>")
"""A special token of a chat program, which asks nothing alone."""


def _says(turn: Turn) -> bool:
    return bool(turn.text.strip() or turn.extra or turn.needs)


def _asks(turns: list[Turn]) -> bool:
    return any(turn.speaker == "user" and turn.text.strip() for turn in turns)


def _with_fields(pair: SeedPair, row: Fields) -> SeedPair:
    """Add what other fields of a row tell about the pair."""
    n_answers = len(_COLUMNS_OF_ANSWERS.intersection(row))
    has_lists = any(isinstance(one, list) for one in row.values())
    if n_answers < 2 and not has_lists and _BESIDE.isdisjoint(row):
        return pair
    left, needs, context = list(pair.left_out), pair.needs, [pair.context]
    if any(_is_media(row.get(name)) for name in MEDIA):
        needs = needs or NEEDS_IMAGE
        context += [digest_of(row[name]) for name in MEDIA if _is_media(row.get(name))]
    systems = dict.fromkeys(filter(None, (_system_text(row.get(name)) for name in SYSTEMS)))
    if new := [system for system in systems if system not in context]:
        left = [SYSTEM_TURNS, *left]
        context += new
    if (given := text_of(row.get("context"))) and given not in pair.instruction:
        left.append(CONTEXT)
        context.append(given)
    if declared := _declared_tools(row):
        context.append(declared)
        if not needs and holds_calls(pair.answer):
            needs = NEEDS_TOOLS
            pair = replace(pair, turns=pair.turns or (pair.instruction, pair.answer), answer="")
        left += [] if needs else [DECLARED_TOOLS]
    if row.get("history") and LATER_TURNS in left:
        left[left.index(LATER_TURNS)] = HISTORY
    bad = [name for name in LABELS if name in row and _is_bad(row[name])]
    if bad := bad or [name for name in JUDGED if _word(row.get(name)) in BAD_WORDS]:
        context.append(f"{bad[0]}: false")
    left += _counted_fields(row, pair, is_bad=bool(bad))
    further = "\n\n".join(further_answers(row)) if {REJECTED, FURTHER} & {*left} else ""
    if bad or CUT_ANSWERS in left:
        pair = replace(pair, answer="", thoughts="")
    return replace(
        pair,
        left_out=tuple(dict.fromkeys(left)),
        needs=needs,
        context="\n".join(filter(None, context)),
        further=further,
    )


def _counted_fields(row: Fields, pair: SeedPair, *, is_bad: bool) -> Iterator[str]:
    """Yield what else a row has that is not read, by the names that counts have."""
    if row.get("rejected"):
        yield REJECTED
    if has_several(row) or has_other(row, pair.answer):
        yield FURTHER
    tests = _COLUMNS_OF_TESTS.intersection(row)
    if any(_holds_tests(row[name]) for name in tests) or has_test_values(row):
        yield TEST_COLUMNS
    if is_bad:
        yield LABEL
    if pair.answer and is_cut_at_its_longest(row):
        yield CUT_ANSWERS
    if any(all(row.get(name) for name in names) for names in CHOICES):
        yield "choices"
    if row.get(CUT):
        yield CUT_CELLS
    if row.get(ANNOTATED):
        yield "annotations"


def _with_thoughts(pair: SeedPair, row: Fields) -> SeedPair:
    """Add the thinking of a response that stands in a column; one word is a switch."""
    if not pair.answer or pair.thoughts or _COLUMNS_OF_THOUGHTS.isdisjoint(row):
        return pair
    texts = ("\n\n".join(map(text_of, listed(one) or [one])) for one in map(row.get, THOUGHTS))
    return replace(pair, thoughts=next((text for text in texts if len(text.split()) > 1), ""))


def _holds_tests(value: object) -> bool:
    """Whether a column holds any test; some are empty lists or objects in JSON."""
    if isinstance(value, Mapping):
        return any(map(_holds_tests, value.values()))
    return plain_text(value).strip() not in {"", "[]", "{}", "null", '""', "false"}


def _system_text(value: object) -> str:
    """Return a system prompt, a text or parts of one."""
    if isinstance(value, Mapping | list):
        turns = turns_of([{"role": "system", "content": value}])
        if turns and turns[0].text:
            return turns[0].text.strip()
    return plain_text(value).strip()


def _declared_tools(row: Fields) -> str:
    found = (canonical(parsed_list(row.get(name))).strip() for name in TOOLS)
    return next((text for text in found if text not in {"", "[]", "{}", "null", '""'}), "")


def _is_bad(value: object) -> bool:
    if isinstance(value, int | float):
        return value <= 0
    return isinstance(value, str) and _word(value) in BAD


def _word(value: object) -> str:
    """Return a word in lower case; empty for a list or an object."""
    return str(value)[:20].strip().lower() if isinstance(value, str | int | float) else ""


def _is_media(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_media_item, value))
    if isinstance(value, str):  # a column `image` may name other things, such as a container
        return value.lower().endswith(_MEDIA_FILES) or value.startswith("data:")
    return isinstance(value, Mapping | bytes) and _is_media_item(value)


def _is_media_item(value: object) -> bool:
    """Whether an item of media has a value; objects of `datasets` may hold nulls only."""
    return any(value.values()) if isinstance(value, Mapping) else bool(value)


_OPEN = re.compile(
    r"(?:^|\s)(?:#{2,3} ?)?(?:Response|Assistant|ASSISTANT|Output|Answer|A):\s*\Z"
    r"|(?:^|\n)#{2,3} ?Response\s*\Z"
)
"""The end of a prompt that a model is to complete: the heading of its own turn."""


def _pair(task: str, answer: str, row: Fields) -> list[Turn]:
    """Return a task and its answer as turns, after the turns of the row's history."""
    if (starter := _task(row, "starter_code")) and task and starter not in task:
        task = f"{task}\n\n```python\n{starter}\n```"
    if is_templated(task) or _OPEN.search(task):
        asked = [turn for turn in turns_in_text(task) if _says(turn)]
    else:
        asked = []
    asked = asked or [Turn("user", task, "", NEEDS_IMAGE if media_in(task) else "")]
    needs = NEEDS_TOOLS if calls_tool(answer) and _declared_tools(row) else ""
    return [*turns_of(row.get("history")), *asked, Turn("assistant", answer, "", needs)]


def _output(row: Fields) -> list[Turn]:
    return _pair(_task(row, "instruction"), answer_of(row, "output"), row)


def _response(row: Fields) -> list[Turn]:
    return _pair(_task(row, "instruction"), answer_of(row, "response"), row)


def _alpaca(row: Fields) -> list[Turn]:
    return _pair(_with_input(_task(row, "instruction"), row), answer_of(row), row)


def _with_input(task: str, row: Fields) -> str:
    """Append the input to a task, or return it alone."""
    return "\n\n".join(filter(None, (task, _given(row, INPUTS))))


def _given(row: Fields, names: Collection[str]) -> str:
    """Return the input of a task; empty if there is none, or a word says so."""
    given = next((text for name in names if (text := plain_text(row.get(name)).strip())), "")
    return "" if given.strip("<>").lower() in NO_INPUT else given


def _self_instruct(row: Fields) -> list[Turn]:
    found = parsed_list(row.get("instances"))
    first = found[0] if isinstance(found, list) and found else found
    inner = first if isinstance(first, Mapping) else {}
    return _pair(_with_input(_task(row, "instruction"), inner), answer_of(inner), row)


def _oss_instruct(row: Fields) -> list[Turn]:
    return _pair(_task(row, "problem"), answer_of(row, "solution"), row)


def _question_name(row: Fields) -> str:
    """Return the field with the question; `task` and `source` more often name where it is from."""
    names = [one for one in TASKS if one not in INPUT_OF_CODE or not _is_call_of_code(row, one)]
    if name := next((one for one in names if _task(row, one)), ""):
        return name
    if not {*TASKS, "prompt"}.isdisjoint(row):
        return TASKS[0]
    return "source" if {"target", "targets"} & row.keys() and "task" not in row else "task"


def _is_call_of_code(row: Fields, name: str) -> bool:
    """Whether a field is no task but the arguments, in Python, for the `code` of the row."""
    text = _task(row, name)
    if not isinstance(row.get("code"), str) or len(text) > MAX_ARGUMENTS:
        return False
    return is_literal(f"({text},)")


def _question_answer(row: Fields) -> list[Turn]:
    name = _question_name(row)
    turns = next((row[one] for one in TASKS if turns_in_field(row.get(one))), None)
    if isinstance(turns, list | Mapping) and not _task(row, name):
        said = next((row[one] for one in ANSWERS if row.get(one)), None)
        return _prompted(row, turns, said)
    task = _task(row, name)
    for part, heading in STATEMENT_PARTS:
        if text := _task(row, part):
            task = f"{task}\n\n{heading}:\n{text}"
    given = _given(row, ("context",)) if isinstance(row.get("context"), str) else ""
    return _pair("\n\n".join(filter(None, (task, given))), answer_of(row), row)


def _benchmark(row: Fields) -> list[Turn]:
    names = ("instruction", "instruct_prompt", "prompt", "complete_prompt", "text")
    task = next((text for name in names if (text := _task(row, name))), "")
    solution = row.get("canonical_solution")
    if not isinstance(solution, str) or not solution.strip():
        return _pair(task, answer_of(row), row)
    before = next((str(row[name]) for name in PREFIXES if isinstance(row.get(name), str)), "")
    after = row["suffix"] if isinstance(row.get("suffix"), str) else ""
    return _pair(task, fenced(trimmed(f"{before}{solution}{after}")), row)


def _messages(row: Fields) -> list[Turn]:
    return _answered(_chat(row, ("messages",)), row)


def _sharegpt(row: Fields) -> list[Turn]:
    return _answered(_chat(row, ("conversations",)), row)


def _answered(turns: list[Turn], row: Fields) -> list[Turn]:
    """Append the preferred answer of a row whose chat ends with a question."""
    if turns and turns[-1].speaker == "user":
        return [*turns, *turns_of(answer_turns(row.get("chosen")))]
    return turns


def _chat(row: Fields, names: Collection[str] = CHATS) -> list[Turn]:
    for name in names:
        value = parsed_list(row.get(name))
        if isinstance(value, str) and (turns := turns_in_text(value)):
            return turns
        if name == "mapping" and isinstance(value, Mapping):
            value = [*_branch(value, row.get("current_node"))]
        if turns := turns_of(value):
            return turns
    return []


def _branch(nodes: Mapping[str, object], last: object) -> Iterator[object]:
    """Yield the messages of ChatGPT's exports: those that lead to the last one, or else all."""
    by_id = {key: node for key, node in nodes.items() if isinstance(node, Mapping)}
    ids = list[str]()
    while isinstance(last, str) and last in by_id and len(ids) < len(by_id):
        ids.insert(0, last)
        last = by_id[last].get("parent")
    yield from filter(None, (by_id[one].get("message") for one in ids or by_id))


def _trl(row: Fields) -> list[Turn]:
    answer = row.get("completion")
    return _prompted(row, row.get("prompt"), answer_of(row) if answer is None else answer)


def _preference(row: Fields) -> list[Turn]:
    names = ("prompt", "instruction", "question", "query", "input")
    prompt = next((row[name] for name in names if row.get(name)), None)
    if prompt is not None and prompt is row.get("instruction"):
        prompt = _with_input(_task(row, "instruction"), row)
    return _prompted(row, prompt, row.get("chosen"))


def _prompted(row: Fields, prompt: object, answer: object) -> list[Turn]:
    """Read a prompt and its answer: texts, or lists of turns; an answer may be the whole chat."""
    asked = turns_in_field(prompt)
    said = turns_of(answer_turns(answer, is_asked=bool(asked or plain_text(prompt).strip())))
    if any(turn.speaker == "user" for turn in said):
        return said
    if not asked and isinstance(prompt, str):
        return _pair(clean(prompt).strip(), said[0].text if said else "", row)
    if not asked and isinstance(answer, str):  # a whole chat as text
        return turns_in_text(answer)
    return [*asked, *said]


def answer_turns(answer: object, *, is_asked: bool = True) -> list[object]:
    """Return an answer, a text, a turn or a list of turns, as a list of turns.

    Texts in a list are turns only if nothing `is_asked` before: otherwise they are the answer.
    """
    if isinstance(answer, str):
        answer = parsed_list(answer) if turns_in_field(answer) else answer
    turns = listed(answer)
    if isinstance(answer, Mapping):
        turns = [*rows_of_columns(answer)] or [answer]
    is_named = all(isinstance(one, Mapping) for one in turns)
    if (is_named or not is_asked) and turns_of(turns):
        return turns
    text = answer_in(answer, "completion")
    return [{"role": "assistant", "content": text}] if text else []


def _text(row: Fields) -> list[Turn]:
    text = row.get("text")
    return turns_in_text(text) if isinstance(text, str) else []


def _task(row: Fields, field: str) -> str:
    value = row.get(field)
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        value = "\n".join(str(part.get("text") or "") for part in value)  # content parts
    return clean(value).strip() if isinstance(value, str) else ""


FORMATS: dict[str, Callable[[Fields], list[Turn]]] = {
    "output": _output,
    "response": _response,
    "alpaca": _alpaca,
    "self-instruct": _self_instruct,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "chat": _chat,
    "oss-instruct": _oss_instruct,
    "question-answer": _question_answer,
    "trl": _trl,
    "preference": _preference,
    "benchmark": _benchmark,
    "text": _text,
}
"""Readers by format."""

_DETECTED: tuple[tuple[str, tuple[Collection[str], ...]], ...] = (
    ("messages", ({"messages"},)),
    ("sharegpt", ({"conversations"},)),
    ("benchmark", ({"canonical_solution"},)),
    ("benchmark", ({"prompt"}, {"reference_code"})),
    ("oss-instruct", ({"problem"},)),
    ("trl", ({"prompt"}, {"completion"})),
    ("preference", ({"chosen"},)),
    ("self-instruct", ({"instruction"}, {"instances"})),
    ("alpaca", ({"instruction"}, {*INPUTS, "history"})),
    ("output", ({"instruction"}, {"output"})),
    ("response", ({"instruction"}, {"response"})),
    ("output", ({"instruction"},)),
    ("question-answer", (TASKS, ANSWERS)),
    ("benchmark", ({"text", "prompt"}, {"code"})),
    ("trl", ({"prompt"},)),
    ("chat", (CHATS,)),
    ("question-answer", ({"task"}, ANSWERS)),
    ("question-answer", ({"source"}, {"target", "targets"})),
    ("question-answer", ({"question", "query"},)),
    ("text", ({"text"},)),
)
"""Formats with the fields by which they are detected: one of each group, in order of precedence."""
