"""Runs in the sandbox with a candidate program: observes what it does on each of many inputs.

It is sent to the sandbox as text, in front of the candidate's source, and is standard library only.
The candidate shares its process and could fake its own observations; nothing but the choice among
answers to one task rests on them.

A probe is `["call", ARGUMENTS]`, which calls the entry point, or `["script", SOURCE]`, which runs
statements that use it. Each is run twice, in namespaces of its own, so that state left
behind does not count and results that change from run to run are recognised. An observation is
plain data `[KIND, VALUE, CHANGED, PRINTED, IS_STABLE]`:

- kind `value`, `failed` for a script whose test did not hold, `refuse` for an exception that the
  candidate itself raises, `raise` for another, both with the nearest built-in class of the
  exception, or `output` for more than `MAX_PRINTED` characters
- what was returned, or for a script the values that its tests compare
- the arguments after the call, if it changed one; what was printed
- whether both runs were the same

Iterators are read up to `MAX_ITEMS`; objects are shown by type and attributes. Long observations
are replaced by a digest, in which floats are rounded.
"""

import builtins
import contextlib
import copy
import hashlib
import itertools
import re
import types
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_PRINTED = 20_000
MAX_FLOODS = 2
MAX_ITEMS, MAX_DIGESTED = 1000, 100_000
MAX_DEPTH = 60
MAX_CHARS = 4000
"""Longest observation that is passed on as it is."""


class TooMuchError(BaseException):
    """The candidate printed too much; not an Exception, so that it is not handled by accident."""


class Printed:
    """A bounded replacement of standard output."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._left = MAX_PRINTED

    def write(self, text: str) -> int:
        """Keep a text, or end the run once there is too much."""
        self.parts.append(text[: self._left])
        self._left -= len(text)
        if self._left < 0:
            raise TooMuchError
        return len(text)

    def flush(self) -> None:
        """Do nothing."""


_flooded: list[list[Any]] = []
"""Observations of inputs on which the candidate printed too much."""


def observe(source: str, code: types.CodeType, name: str, probe: list[Any]) -> list[Any]:
    """Run a probe twice; return the first observation and whether the second was the same.

    A candidate that printed too much on `MAX_FLOODS` inputs counts as doing so on all others.
    """
    if len(_flooded) == MAX_FLOODS:
        return _flooded[0]
    lines = source.splitlines()
    first, second = (_observed(lines, code, name, copy.deepcopy(probe)) for _ in range(2))
    if first[0] == "output":
        _flooded.append([*first, True])
    shown = [_flat(first), _flat(second)]
    if len(shown[0]) > MAX_CHARS:
        digest = hashlib.sha256(shown[0].encode("utf-8", "replace")).hexdigest()
        first = [first[0], ["digest", digest], None, ""]
    return [*first, shown[0] == shown[1]]


def _observed(lines: list[str], code: types.CodeType, name: str, probe: list[Any]) -> list[Any]:
    out, seen = Printed(), _Seen()
    kind, value, changed = "value", None, None
    try:
        with contextlib.redirect_stdout(out):
            space: dict[str, Any] = {"__name__": "candidate", "_seen_": seen, "_lines_": lines}
            exec(code, space)  # noqa: S102 - the candidate, in the sandbox
            if probe[0] == "call":
                value, changed = _call(space[name], probe[1])
            else:
                kind = _run_script(probe[1], space)
                value = plain(seen.values)
    except TooMuchError:
        return ["output", None, None, ""]
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        kind, value, changed = _raised(error), _base_name(error), None
    printed = "".join(out.parts)
    if kind in {"raise", "refuse"} and probe[0] == "call":
        printed = ""  # how far a call came before it failed does not matter
    return [kind, value, changed, printed]


def _run_script(source: str, space: dict[str, Any]) -> str:
    try:
        exec(compile(source, "probe", "exec"), space)  # noqa: S102 - in the sandbox
    except AssertionError:
        return "failed"
    return "value"


def _call(function: Callable[..., object], arguments: list[Any]) -> tuple[Any, Any]:
    before = _flat(plain(arguments))
    returned = function(*arguments)
    value, after = plain(returned), plain(arguments)
    return value, after if _flat(after) != before else None


class _Seen:
    """Collects the values that a script's tests compare."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def __call__(self, value: object) -> object:
        self.values.append(copy.deepcopy(value) if isinstance(value, list | dict | set) else value)
        return value


def _raised(error: BaseException) -> str:
    """Tell an exception that a `raise` of the candidate made from one that befell it."""
    if isinstance(error, EOFError):  # of the input that the program is given
        return "raise"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None or place.tb_frame.f_code.co_filename != "program.py":
        return "raise"
    lines = place.tb_frame.f_globals.get("_lines_", ())
    line = lines[place.tb_lineno - 1] if place.tb_lineno <= len(lines) else ""
    return "refuse" if re.search(r"\braise\b", line) else "raise"


def _base_name(error: BaseException) -> str:
    """Return the name of the nearest built-in class: answers name their own exceptions freely."""
    kinds = type(error).__mro__
    names = (kind.__name__ for kind in kinds if getattr(builtins, kind.__name__, None) is kind)
    return str(next(names))


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - anything
    """Convert what a candidate returned to plain data."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return _scalar(value)
    if depth > MAX_DEPTH:
        return ("deep",)
    for kind, convert in _CONTAINERS.items():
        if isinstance(value, kind):
            return convert(value, depth + 1)
    if hasattr(value, "__next__"):
        return ("iterator", [plain(one, depth + 1) for one in itertools.islice(value, MAX_ITEMS)])
    return _object(value, depth + 1)


def _scalar(value: Any) -> Any:  # noqa: ANN401 - a scalar
    kinds: tuple[Any, ...] = (bool, int, float, complex, str, bytes)
    kind = next((one for one in kinds if isinstance(value, one)), None)
    return value if kind in {type(value), None} else kind(value)


def _items(value: Any, depth: int) -> list[Any]:  # noqa: ANN401 - an iterable
    """Convert the items; of those beyond `MAX_ITEMS` their number and a digest."""
    items = [plain(one, depth) for one in itertools.islice(value, MAX_ITEMS)]
    if len(value) > MAX_ITEMS:
        rest = hashlib.sha256()
        for one in itertools.islice(value, MAX_ITEMS, MAX_DIGESTED):
            rest.update(_flat(plain(one, depth)).encode("utf-8", "replace"))
        items.append(("long", len(value), rest.hexdigest()))
    return items


def _set(value: Any, depth: int) -> Any:  # noqa: ANN401 - a set
    items = [plain(one, depth) for one in itertools.islice(value, MAX_DIGESTED)]
    try:
        return set(items)
    except TypeError:
        return ("set", sorted(items, key=_flat))


def _dict(value: Any, depth: int) -> Any:  # noqa: ANN401 - a mapping
    pairs = [(plain(key, depth), plain(one, depth)) for key, one in value.items()]
    try:
        return dict(pairs)
    except TypeError:
        return ("dict", sorted(pairs, key=_flat))


_CONTAINERS: dict[Any, Callable[[Any, int], Any]] = {
    list: _items,
    tuple: lambda value, depth: tuple(_items(value, depth)),
    (set, frozenset): _set,
    dict: _dict,
    deque: lambda value, depth: ("deque", _items(value, depth)),
    range: lambda value, depth: ("range", _items(value, depth)),
    (type({}.keys()), type({}.values()), type({}.items())): lambda value, depth: (
        "view",
        _items(value, depth),
    ),
}


def _object(value: Any, depth: int) -> Any:  # noqa: ANN401 - anything
    """Show an object by its type and attributes, or as text if it has none."""
    name = type(value).__name__
    if isinstance(value, type) or callable(value):
        return ("odd", name)
    if hasattr(value, "tolist"):
        return ("array", plain(value.tolist(), depth))
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict) and fields and not hasattr(value, "_sort_order_"):
        return ("object", name, plain(fields, depth))
    text = str(value)
    return ("odd", name) if " at 0x" in text else ("text", name, text)


def _flat(value: Any) -> str:  # noqa: ANN401 - plain data
    """Write plain data as text that is the same for equal data, with floats rounded."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list | tuple):
        return f"{'[' if isinstance(value, list) else '('}{','.join(map(_flat, value))}]"
    if isinstance(value, set):
        return f"{{{','.join(sorted(map(_flat, value)))}}}"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{_flat(key)}:{_flat(one)}' for key, one in value.items()))}}}"
    return hex(value) if type(value) is int and value.bit_length() > MAX_CHARS else repr(value)
