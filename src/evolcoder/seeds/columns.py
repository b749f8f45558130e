"""Renames the columns of a row to the names that are read, as the user named them. No I/O.

>>> mapped({"q": "Add 1 and 2.", "a": ["3"]}, {"instruction": "q", "response": "a.-1"})
{'instruction': 'Add 1 and 2.', 'output': '3'}
"""

import re
from collections.abc import Mapping

from evolcoder.seeds.answers import listed
from evolcoder.seeds.chats import parsed_list, turns_in_field
from evolcoder.seeds.fields import ANSWERS
from evolcoder.seeds.formats import answer_turns

_PLACE = re.compile(r"-?\d{1,8}", re.ASCII)
"""Number of an item in a path."""


def mapped(row: object, columns: Mapping[str, str]) -> object:
    """Rename the columns of a row to the names that are read.

    Other columns are left out; if none with a task is named, they are read as without a map, and
    other responses are left out.
    """
    if not isinstance(row, Mapping):
        return row
    found = {name: at(row, column) for name, column in columns.items()}
    if found.keys().isdisjoint({"instruction", "input", "messages", "chosen"}):
        read = {*ANSWERS, *columns.values()} if "response" in found else {*columns.values()}
        found = {**{name: row[name] for name in row if name not in read}, **found}
    if "response" in found:
        found["output"] = found.pop("response")
    instruction = found.get("instruction")
    if isinstance(instruction, list) and len(instruction) == 1 and isinstance(instruction[0], str):
        found["instruction"] = instruction[0]
    elif turns_in_field(instruction):  # turns in place of a text
        del found["instruction"]
        answer = found.pop("output", None)
        asked = parsed_list(instruction)
        turns = [asked] if isinstance(asked, Mapping) else listed(asked)
        found["messages"] = [*turns, *answer_turns(answer)]
    return found


def at(row: Mapping[str, object], column: str, missing: object = None) -> object:
    """Return a column, or a value inside it by a path such as `turns.0.text`, also in JSON."""
    if column in row:
        return row[column]
    value: object = row
    for part in column.split("."):
        value = parsed_list(value)
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and _PLACE.fullmatch(part):
            number = int(part)
            if not -len(value) <= number < len(value):
                return missing
            value = value[number]
        else:
            return missing
    return value
