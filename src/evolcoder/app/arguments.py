"""Checks the types of a call's arguments, so that a mistake is one line with the argument's name.

Annotations of protocols and those in quotation marks are not checked. Numbers of numpy are numbers,
and a text is no sequence. Values are checked where they are used.

>>> @checked
... def sort(n: int | None = None) -> None: ...
>>> sort("3")
Traceback (most recent call last):
evolcoder.errors.ConfigError: sort: n='3': takes int | None, not str
"""

import functools
import inspect
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from evolcoder.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")
MAX_CHARS = 60
"""Longest value that a message shows."""
_KINDS: dict[Any, type] = {
    str: str,
    os.PathLike: os.PathLike,
    int: Integral,
    float: Real,
    bool: bool,
    NoneType: NoneType,
    Mapping: Mapping,
    Sequence: Sequence,
    Literal: str,
}


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Check the types of a function's arguments; a wrong one raises ConfigError."""
    signature = inspect.signature(function)
    name = function.__name__.removesuffix("_async")
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    hints = {one.name: one.annotation for one in parameters}

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            values = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ConfigError(f"{name}: {error}; it takes {', '.join(map(str, hints))}") from error
        check_types(name, values, hints)
        return function(*args, **kwargs)

    return called


def check_types(name: str, values: Mapping[str, object], hints: Mapping[str, object]) -> None:
    """Check values by the annotations of their names; raises ConfigError."""
    for key, value in values.items():
        kinds = _kinds(hints.get(key))
        if kinds and not any(_is_kind(value, kind) for kind in kinds):
            takes = inspect.formatannotation(hints[key]).replace("collections.abc.", "")
            shown = reprlib.repr(value)[:MAX_CHARS]
            raise ConfigError(f"{name}: {key}={shown}: takes {takes}, not {type(value).__name__}")


def _kinds(hint: object) -> tuple[object, ...]:
    """Return the types of an annotation; nothing if any cannot be checked."""
    members = get_args(hint) if get_origin(hint) in {UnionType, Union} else (hint,)
    kinds = tuple(get_origin(one) or one for one in members)
    return kinds if all(map(_is_checked, kinds)) else ()


def _is_checked(kind: object) -> bool:
    is_open = kind is Any or getattr(kind, "_is_protocol", False)
    return kind is Literal or (isinstance(kind, type) and (kind in _KINDS or not is_open))


def _is_kind(value: object, kind: Any) -> bool:  # noqa: ANN401 - a type, or Literal
    if kind is Sequence and isinstance(value, str | bytes):
        return False
    if kind in {int, float} and isinstance(value, bool):
        return False
    return isinstance(value, _KINDS.get(kind) or kind)
