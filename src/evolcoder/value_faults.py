"""Describes what is wrong with a value in the words of a config, not in those of pydantic.

Every kind of fault that the sections of a config and the stored records can have is in `_WORDS`;
another kind keeps pydantic's message.

>>> fault_message({"type": "greater_than_equal", "msg": "Input should be …", "ctx": {"ge": 0}})
'must be at least 0'
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_NUMBER, _WHOLE, _TRUE = "must be a number", "must be a whole number", "must be true or false"
_TEXT, _LIST = "must be a text", "must be a list; write it in brackets, as in [a, b]"
_SECTION = "must be a section with keys of its own"
_WORDS = {
    "missing": "is missing",
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
    "dataclass_type": _SECTION,
    "dict_type": _SECTION,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": "must have {min_length} or more entries, not {actual_length}",
    "too_long": "must have {max_length} or fewer entries, not {actual_length}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "bool_type": _TRUE,
    "bool_parsing": _TRUE,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": f"{_WHOLE} of fewer digits",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": f"{_NUMBER}, and not infinite",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_type": f"{_TEXT}; in quotes if it looks like a number, a list or true",
    "string_too_short": f"{_TEXT} of at least {{min_length}} characters",
    "string_too_long": f"{_TEXT} of at most {{max_length}} characters",
    "string_pattern_mismatch": "has characters that may not be there",
}
"""pydantic's name of a fault -> the message; in braces: the bound that pydantic gives."""


def fault_message(fault: Mapping[str, Any]) -> str:
    """Return what is wrong, without the place; `fault` is one of `ValidationError.errors()`."""
    words = _WORDS.get(fault["type"])
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    bounds = (fault.get("ctx") or {}).items()
    return words.format(
        **{name: f"{one:g}" if isinstance(one, float) else one for name, one in bounds}
    )


def first_fault(error: "ValidationError") -> str:
    """Return place and message of the first fault, without the value."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault_message(fault)}" if place else fault_message(fault)
