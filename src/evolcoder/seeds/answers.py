r"""Finds the response of a row: one text, the best of several, a program, or a value as JSON.

Guarantees: no text is changed but for blank lines around it and the fence around a program without
one. No I/O.

>>> answer_of({"solutions": ["print(1)", "print(2)"]})
'```python\nprint(1)\n```'
"""

import re
from collections.abc import Iterator, Mapping

from evolcoder.code.python_ast import tree_of
from evolcoder.reasoning import split
from evolcoder.seeds.aliases import best_of, is_cut
from evolcoder.seeds.chats import parsed_list, plain_text, turns_in_field, turns_of
from evolcoder.seeds.fields import ANSWERS, PLURALS, PROGRAMS
from evolcoder.text import clean

Fields = Mapping[str, object]

_TEXT_KEYS = ("text", "content", "value", "answer", "response", "completion", "generation")
_WRAPPERS = frozenset(
    """type role from id annotations index thinking reasoning summary signature parts model
    model_name provider usage tokens finish_reason stop_reason created timestamp latency cost
    object score reward rating logprobs refusal metadata tool_calls""".split()
).union(_TEXT_KEYS)
"""Keys of an object that is no more than a response, or a part of one."""
MIN_WORDS = 12
"""Fewest words of each text of a list that holds several responses rather than data."""
MAX_WRAPPERS = 8
"""Most objects and lists that are opened to find a response."""
_NAMES = frozenset({*ANSWERS, "instances"})


def answer_of(row: Fields, first: str = "") -> str:
    """Return the first response of a row, that of field `first` before others."""
    for name in dict.fromkeys(filter(None, (first, *ANSWERS))):
        value = row.get(name)
        if name in PLURALS:
            if name == "completions" and isinstance(row.get("labels"), list):
                continue  # the steps of one answer, each with a label
            if name == "outputs" and has_test_values(row):
                continue
            value = _preferred(parsed_list(value), row)
        if text := answer_in(value, name):
            if name == "answer" and text in (solution := text_of(row.get("solution"))):
                return solution  # which ends with the answer, as in mathematics
            return fenced(text) if name in PROGRAMS else text
    return ""


def _preferred(several: object, row: Fields) -> object:
    """Return the best of several responses, by what the row says about them."""
    if isinstance(several, Mapping) and "solution" not in several:
        columns = {name: one for name, one in several.items() if isinstance(one, list)}
        if "text" in columns and len({len(one) for one in columns.values()}) == 1:
            cells = zip(*columns.values(), strict=True)
            several = [dict(zip(columns, one, strict=True)) for one in cells]
        elif several and all(isinstance(one, str) for one in several.values()):
            several = several if {*_TEXT_KEYS} & several.keys() else [*several.values()]
    if isinstance(several, list) and len(several) > 1:
        return best_of(several, row)
    return several


def fenced(program: str) -> str:
    """Put a program into a fence, so that its comments are not read as prose."""
    is_python = tree_of(program) is not None
    if "```" in program and not is_python:
        return program
    fence = "````" if "```" in program else "```"  # a docstring may have fences
    return f"{fence}{'python' if is_python else ''}\n{program}\n{fence}"


def answer_in(value: object, name: str) -> str:
    """Return the response of a field as text: the first of several, and other values as JSON."""
    for _ in range(MAX_WRAPPERS):
        if isinstance(value, Mapping):
            if name in PLURALS and "solution" in value:
                return _contest_solution(value)
            if (said := turns_in_field(value)) and not said[0].needs:
                thoughts = f"<think>{said[0].thoughts}</think>" if said[0].thoughts else ""
                return trimmed(f"{thoughts}{said[0].text}")
            is_wrapped = name in PLURALS or _WRAPPERS.issuperset(value)
            keys = (key for key in _keys_of(name) if key in value)
            key = next(keys, None) if is_wrapped else None
            if key is None:
                break
            value = value[key]
        elif isinstance(value, list) and name not in PLURALS and (lines := _joined_lines(value)):
            return trimmed(lines)
        elif isinstance(value, list) and value and _holds_several(value, name):
            value = value[0]
        else:
            break
    parts = listed(value)
    if parts and all(isinstance(one, Mapping) and _WRAPPERS.issuperset(one) for one in parts):
        value = turns_of([{"role": "assistant", "content": parts}])[0].text or value
    return "" if value == [] else trimmed(plain_text(value))


def _joined_lines(values: list[object]) -> str:
    """Return the text of which a list holds the lines, as notebooks do; empty if it holds none.

    All lines but the last end with a line break, or one is indented.
    """
    texts = [one for one in values if isinstance(one, str)]
    if len(texts) < max(2, len(values)) or any("\n" in one[:-1] for one in texts):
        return ""
    if all(one.endswith("\n") for one in texts[:-1]):
        return "".join(texts)
    return "\n".join(texts) if any(re.match(r"[ \t]+\S", one) for one in texts[1:]) else ""


def _keys_of(name: str) -> tuple[str, ...]:
    """Return the keys with the text of a response; in a list of several it has other fields."""
    return (*_TEXT_KEYS, "body", "code", "text_markdown") if name in PLURALS else _TEXT_KEYS


def _holds_several(values: list[object], name: str) -> bool:
    """Whether the values of a list are responses each, rather than data or parts of one."""
    if name in PLURALS or name in PROGRAMS:
        return all(isinstance(one, str | Mapping) for one in values)
    is_nested = len(values) == 1 and isinstance(values[0], list) and len(values[0]) == 1
    if is_nested and isinstance(values[0], list) and isinstance(values[0][0], str):
        return len(values[0][0].split()) >= MIN_WORDS
    if all(isinstance(one, str) for one in values):  # short ones are data
        are_long = all(len(str(one).split()) >= MIN_WORDS for one in values)
        return len(values) == 1 or are_long or any("\n" in str(one) for one in values)
    return False


def _contest_solution(several: Fields) -> str:
    """Return one of CodeContests' solutions, a Python one if there is any."""
    codes, languages = several.get("solution"), several.get("language")
    if not isinstance(codes, list) or not codes:
        return trimmed(codes) if isinstance(codes, str) else ""
    names = {1: "python", 2: "cpp", 3: "python", 4: "java"}
    numbers = languages if isinstance(languages, list) and len(languages) == len(codes) else []
    at = numbers.index(3) if 3 in numbers else 0
    number = numbers[at] if numbers else None
    language = names.get(number, "") if isinstance(number, int) else ""
    return f"```{language}\n{plain_text(codes[at]).strip()}\n```"


def has_several(row: Fields) -> bool:
    """Whether a field of a row holds several responses."""
    return any(_is_several(row[name], name) for name in _NAMES.intersection(row))


def _is_several(value: object, name: str) -> bool:
    if name not in PLURALS and name != "instances":
        texts = [one for one in listed(value) if isinstance(one, str)]
        return len(listed(value)) == len(texts) > 1 and _holds_several(listed(value), name)
    several = parsed_list(value)
    if isinstance(several, Mapping):
        texts = [one for one in several.values() if isinstance(one, str)]
        several = next((one for one in several.values() if isinstance(one, list)), texts)
    return isinstance(several, list) and len(several) > 1


def is_cut_at_its_longest(row: Fields) -> bool:
    """Whether a row says that its response, or each of several, was cut at its longest."""
    several = [listed(row[name]) for name in _NAMES.intersection(row)]
    return is_cut(row) or any(one and all(map(is_cut, one)) for one in several)


def has_other(row: Fields, answer: str) -> bool:
    """Whether another field has an answer that is no part of this one.

    With a history, the response of a row is that of a later question than this one.
    """
    names = _NAMES.intersection(row).difference(PLURALS)
    if not answer or len(names) < 2 or row.get("history"):
        return False
    texts = (text for name in names if (text := text_of(row[name])) and text not in answer)
    return any((other := split(text).answer.strip()) and other not in answer for text in texts)


def further_answers(row: Fields) -> Iterator[str]:
    """Yield the texts of a row's rejected and further answers."""
    for name in ("rejected", *ANSWERS, *PLURALS, "instances"):
        value = parsed_list(row.get(name))
        if turns := turns_of(value):
            yield from (f"{turn.text}{turn.extra}" for turn in turns if turn.speaker != "user")
        elif isinstance(value, list):
            for one in value:
                found = answer_of(one) if isinstance(one, Mapping) else plain_text(one)
                yield from filter(None, [found])
        elif name not in PLURALS and name != "instances":
            yield plain_text(value)


def has_test_values(row: Fields) -> bool:
    """Whether `inputs` and `outputs` are those of tests, since the task stands elsewhere."""
    names = ("question", "description", "problem", "prompt", "query", "instruction")
    return bool(row.get("inputs") and row.get("outputs") and any(row.get(one) for one in names))


def text_of(value: object) -> str:
    """Return a text without white space around it; empty for another value."""
    return clean(value).strip() if isinstance(value, str) else ""


def trimmed(answer: str) -> str:
    """Remove blank lines around it; blanks on its first line may indent code."""
    return clean(answer).lstrip("\r\n").rstrip()


def listed(value: object) -> list[object]:
    """Return a list; empty for another value."""
    return list(value) if isinstance(value, list | tuple) else []
