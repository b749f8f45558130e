"""Validates plain data as a config section; the first error becomes one line for the user.

An unknown key is an error that names the nearest known one. Values that may be keys of a server are
not shown.

>>> validate_as(EvolverConfig, {"temprature": 1}, where="config")   # doctest: +SKIP
evolcoder.errors.ConfigError: config: unknown key temprature; did you mean temperature?
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from evolcoder.config.schema import Section
from evolcoder.credentials import without_logins
from evolcoder.errors import ConfigError
from evolcoder.safe_repr import safe_repr
from evolcoder.value_faults import fault_message

MIN_LIKENESS, MISSPELT_LIKENESS = 0.6, 0.8
"""Likeness of two names from which one may be meant by the other, and from which it is misspelt."""
_INVALID_CHARACTER = re.compile("[\x00\ud800-\udc7f\udd00-\udfff]")
"""NUL, and surrogates that stand for no byte. U+DC80 to U+DCFF are allowed: Python's
surrogateescape uses them for bytes of file names that are not UTF-8."""
S = TypeVar("S", bound=Section)


def validate_as(kind: type[S], data: Mapping[str, Any], *, where: str) -> S:
    """Validate plain data as `kind`; the first error is raised as a one-line ConfigError."""
    _check_strings(data, where)
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_format_error(error, kind)}") from error


def _check_strings(data: object, where: str) -> None:
    """Reject strings that can be no file name and no prompt: NUL and unpaired surrogates."""
    left: list[tuple[object, str]] = [(data, "")]
    seen: set[int] = set()
    while left:
        value, name = left.pop()
        if isinstance(value, str) and (found := _INVALID_CHARACTER.search(value)):
            raise ConfigError(f"{where}: {name}: the character {found[0]!r} is not allowed")
        if id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))  # YAML aliases may repeat one list exponentially often
        if isinstance(value, Mapping):
            left += [(key, f"{name}: a key" if name else "a key") for key in value]
            left += [(part, f"{name}.{key}".lstrip(".")) for key, part in value.items()]
        else:
            left += [(part, name) for part in value]


def _format_error(error: ValidationError, kind: type[Section]) -> str:
    """Describe one error. Unknown keys come first: other errors may follow from them."""
    faults = error.errors(include_url=False)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    dotted = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"unknown key {dotted}{_nearest(fault['loc'], kind)}"
    message = fault_message(fault)
    if not {"servers", "extra_headers", "extra_body"}.isdisjoint(fault["loc"]):
        return f"{without_logins(dotted)}: {message}"  # the value may be an API key: do not show it
    seen = without_logins(safe_repr(fault["input"], 80, repr))
    return f"{dotted}{': ' if dotted else ''}{message} (seen: {seen})"


def _nearest(loc: tuple[str | int, ...], kind: type[Section]) -> str:
    """Name the known key nearest to an unknown one, in its section or another one."""
    section = _section_at(loc[:-1], kind)
    names = list(section.model_fields) if section else []
    place = ".".join(str(part) for part in loc[:-1] if part != "[key]")
    own = {f"{place}.{name}".lstrip("."): name for name in names}
    given = str(loc[-1])
    elsewhere = dict(_keys(kind))
    best = (
        _likest(given, own, MISSPELT_LIKENESS)
        or _likest(given, elsewhere, MISSPELT_LIKENESS)
        or next((dotted for dotted, name in own.items() if given in name), "")
        or _likest(given, own, MIN_LIKENESS)
        or _likest(given, elsewhere, MIN_LIKENESS)
    )
    return f"; did you mean {best}?" if best else f"; known keys: {', '.join(names)}"


def _likest(given: str, known: Mapping[str, str], least: float) -> str:
    """Return the dotted name whose last part is most like a name, if it is so alike; else ''."""
    likeness = {
        dotted: difflib.SequenceMatcher(None, given, name).ratio() for dotted, name in known.items()
    }
    best = max(likeness, key=likeness.__getitem__, default="")
    return best if best and likeness[best] >= least else ""


def _keys(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name of every key and section, and its last part."""
    for name, field in kind.model_fields.items():
        yield f"{prefix}{name}", name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _section_at(loc: tuple[str | int, ...], kind: type[Section]) -> type[Section] | None:
    section = kind
    for part in loc:
        field = section.model_fields.get(str(part))
        if field is None:
            continue
        for part_kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(part_kind, type) and issubclass(part_kind, Section):
                section = part_kind
    return section
