"""Renders values and exceptions of unknown origin as short text for verdicts, reports and logs.

Guarantees: never raises; the text has at most `width` characters; time is bounded by the width and
one pass over a long integer. Only plain data is inspected: other types are shown by name, and none
of their code runs. Equal plain values give equal text in every process, except large sets. Standard
library only, since sandboxed processes load this module.

>>> safe_repr([1, {"a": 10**5000}])
"[1, {'a': 0xc78820040d9443c… (16610 bits)}]"
"""

import itertools
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

WIDTH = 300
"""Default maximum length."""
LEVELS = 6
"""Nesting levels that are shown."""
MEMBERS = 20
"""Members per container that are shown."""
TEXT = 120
"""Longest text or bytes that are shown whole."""
DIGITS_BITS = 4096
"""Longer integers are shown by their first hex digits: Python limits decimal conversion, which also
takes quadratic time."""
MOST_SORTED = 1000
"""Sets and dict keys are sorted up to this size; of larger ones the first members are shown in
their own order."""
_HEAD_BITS = 60
_KEY = 40
"""Length of the sort key for keys of mixed types."""
_CUT = "…"

Other = Callable[[object], str]


def safe_repr(value: object, width: int = WIDTH, other: Other | None = None) -> str:
    """Render a value; `other` renders what is not plain data and must give the same guarantees."""
    writer = _Writer(width, other or _type_name)
    writer.write(value, 0)
    return cut("".join(writer.parts), width)


def error_text(error: BaseException, width: int = WIDTH) -> str:
    """Render an exception: its type and, if available, its message."""
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        message = error.msg if type(error.msg) is str else ""
    else:
        # The standard library handles exceptions whose __str__ raises.
        message = traceback.format_exception_only(type(error), error)[0].partition(": ")[2]
    return cut(f"{name}: {message.strip()}" if message.strip() else name, width)


def cut(text: str, width: int) -> str:
    """Shorten a text to at most `width` (at least 1) characters."""
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
            for key in self._shown_members(value, depth):
                self.write(key, depth + 1)
                if kind is dict:
                    self._put(": ")
                    self.write(value[key], depth + 1)
            self._put(",)" if kind is tuple and len(value) == 1 else end)

    def _shown_members(self, value: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401 - a container
        """Yield the shown members or keys, with commas between them."""
        some = itertools.islice(self._ordered(value), MEMBERS if depth < LEVELS else 0)
        n_shown = 0
        for one in some:
            if self._left < 0:
                return
            self._put(", " if n_shown else "")
            n_shown += 1
            yield one
        if n_shown < len(value):
            self._put(", ..." if n_shown else "...")

    def _ordered(self, value: Any) -> Iterable[Any]:  # noqa: ANN401 - a container
        """Order the members of a set or the keys of a dict independently of their hashes."""
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
