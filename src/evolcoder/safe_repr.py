"""Values and errors of unknown origin as short text, for verdicts, reports and logs.

Promises: never raises; the text has at most `width` characters; the time is bounded by the width
and by one pass over a long integer, whatever the value is. Only plain data is looked into: of any
other type the name is shown, and none of its code runs. Equal plain values give equal text in every
process, but for large sets. Standard library only, since sandboxed processes load it too.

>>> safe_repr([1, {"a": 10**5000}])
"[1, {'a': 0xc78820040d9443c… (16610 bits)}]"
"""

import itertools
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

WIDTH = 300
"""Longest text, where nothing else is asked for."""
LEVELS = 6
"""Containers within each other that are shown."""
MEMBERS = 20
"""Members of one container that are shown."""
TEXT = 120
"""Longest text or bytes that are shown whole."""
DIGITS_BITS = 4096
"""Longer integers are shown in hex, from their beginning: Python bounds decimal ones, and takes
quadratic time for them."""
MOST_SORTED = 1000
"""Keys and members of sets are sorted up to this number; of more the first are shown as they come.
"""
_HEAD_BITS = 60
_KEY = 40
"""Characters by which keys of several types are ordered."""
_CUT = "…"

Other = Callable[[object], str]


def safe_repr(value: object, width: int = WIDTH, other: Other | None = None) -> str:
    """Show a value; `other` shows what is no plain data, and must keep these promises itself."""
    writer = _Writer(width, other or _type_name)
    writer.write(value, 0)
    return cut("".join(writer.parts), width)


def error_text(error: BaseException, width: int = WIDTH) -> str:
    """Show an exception: its type, and what it says if it can say anything."""
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        said = error.msg if type(error.msg) is str else ""
    else:
        # The standard library's own way to ask an exception that may raise when it is asked.
        said = traceback.format_exception_only(type(error), error)[0].partition(": ")[2]
    return cut(f"{name}: {said.strip()}" if said.strip() else name, width)


def cut(text: str, width: int) -> str:
    """Shorten a text to a width of at least one character."""
    return text if len(text) <= width else text[: width - 1] + _CUT


class _Writer:
    """Writes values until the text is long enough."""

    def __init__(self, width: int, other: Other, *, sorts: bool = True) -> None:
        self.parts: list[str] = []
        self._left = width
        self._other = other
        self._sorts = sorts

    def write(self, value: Any, depth: int) -> None:  # noqa: ANN401 - anything
        """Write one value."""
        kind = type(value)
        if kind in _SCALARS:
            self._put(_SCALARS[kind](value))
        elif kind not in _BRACKETS:
            self._put(self._other(value))
        elif kind in _EMPTY and not value:
            self._put(_EMPTY[kind])
        else:
            begin, end = _BRACKETS[kind]
            self._put(begin)
            for key in self._first(value, depth):
                self.write(key, depth + 1)
                if kind is dict:
                    self._put(": ")
                    self.write(value[key], depth + 1)
            self._put(",)" if kind is tuple and len(value) == 1 else end)

    def _first(self, value: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401 - a container
        """Hand out the members or keys that are shown, with a comma between them."""
        some = itertools.islice(self._in_order(value), MEMBERS if depth < LEVELS else 0)
        n_shown = 0
        for one in some:
            if self._left < 0:
                return
            self._put(", " if n_shown else "")
            n_shown += 1
            yield one
        if n_shown < len(value):
            self._put(", ..." if n_shown else "...")

    def _in_order(self, value: Any) -> Iterable[Any]:  # noqa: ANN401 - a container
        """Put the keys of a set or dict in an order that does not depend on their hashes."""
        if not self._sorts or type(value) in {list, tuple} or len(value) > MOST_SORTED:
            return value  # type: ignore[no-any-return]
        kinds = set(map(type, value))
        if kinds == {str} or kinds <= {int, float, bool}:
            return sorted(value)
        return sorted(value, key=_key) if len(value) <= MEMBERS else value

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._left -= len(text)


def _key(value: object) -> str:
    writer = _Writer(_KEY, _type_name, sorts=False)
    writer.write(value, 0)
    return "".join(writer.parts)


def _int(value: int) -> str:
    bits = value.bit_length()
    if bits <= DIGITS_BITS:
        return repr(value)
    size = abs(value)
    return f"{'-' if value < 0 else ''}{size >> (bits - _HEAD_BITS):#x}{_CUT} ({bits} bits)"


def _text(value: Any) -> str:  # noqa: ANN401 - text or bytes
    if len(value) <= TEXT:
        return repr(value)
    dots = "..." if type(value) is str else b"..."
    return repr(value[: TEXT // 2] + dots + value[-TEXT // 2 :])


def _type_name(value: object) -> str:
    return f"<{type(value).__name__}>"


_SCALARS: dict[type, Callable[[Any], str]] = {
    int: _int,
    str: _text,
    bytes: _text,
    bool: repr,
    float: repr,
    complex: repr,
    type(None): repr,
}
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_EMPTY: dict[type, str] = {set: "set()", frozenset: "frozenset()"}
