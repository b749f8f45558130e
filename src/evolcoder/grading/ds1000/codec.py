"""Encodes values of data science libraries as plain data, for exchange with untrusted processes.

Guarantees: `unpack` of a packed value returns exact library types, never subclasses, so a
candidate's overridden methods are never called; `unpack` of anything else raises. Uses no pickle:
an array is encoded as dtype, shape and bytes, and the constructors that rebuild values validate
their arguments. Values of unknown types are replaced by references if `refer` is given, else
rejected.

In a packed value, scalars and lists stand for themselves, and a tuple is a tag followed by its
data; `safe_codec` encodes it as bytes. A library is only imported for its own values.

>>> loads(dumps({(1, 2): {3.5}}))
{(1, 2): {3.5}}
"""

import datetime as dt
import decimal
import fractions
from collections.abc import Callable
from typing import Any

from evolcoder.grading.ds1000.arrays import ARRAY_PACKERS, ARRAY_UNPACKERS
from evolcoder.grading.ds1000.frames import FRAME_PACKERS, FRAME_UNPACKERS
from evolcoder.safe_codec import DEPTH, NotPlainError, decode, encode
from evolcoder.safe_repr import error_text

Refer = Callable[[Any], tuple[Any, ...]]
Resolve = Callable[[tuple[Any, ...]], Any]
_SCALARS = (type(None), bool, int, float, complex, str, bytes)


def dumps(value: Any, refer: Refer | None = None) -> bytes:  # noqa: ANN401 - a candidate's
    """Encode a value, or raise NotPlainError."""
    return encode(pack(value, refer))


def loads(data: bytes, resolve: Resolve | None = None) -> Any:  # noqa: ANN401 - a library's own
    """Decode the output of `dumps`; anything else raises NotPlainError."""
    try:
        return unpack(decode(data), resolve)
    except (NotPlainError, MemoryError):
        raise
    except Exception as error:
        raise NotPlainError(f"not a value: {error_text(error)}") from error


def pack(value: Any, refer: Refer | None = None, depth: int = 0) -> Any:  # noqa: ANN401
    """Convert a value to plain data; `refer` creates references to values of unknown types."""
    if type(value) in _SCALARS:
        return value
    if depth > DEPTH // 3:
        raise NotPlainError("nested too deeply")

    def inner(part: Any) -> Any:  # noqa: ANN401
        return pack(part, refer, depth + 1)

    for kind in type(value).__mro__:
        packer = _PACKERS.get((kind.__module__.partition(".")[0], kind.__name__))
        if packer is not None:
            return packer(value, inner)
    if refer is not None:
        return refer(value)
    raise NotPlainError(f"a {type(value).__name__} is not plain data")


def unpack(packed: Any, resolve: Resolve | None = None) -> Any:  # noqa: ANN401
    """Invert `pack`; `resolve` looks references up."""

    def inner(part: Any) -> Any:  # noqa: ANN401
        return unpack(part, resolve)

    if type(packed) is list:
        return [inner(item) for item in packed]
    if type(packed) is not tuple:
        return packed
    tag, *rest = packed
    if tag == "ref" and resolve is not None:
        return resolve(tuple(rest))
    return _UNPACKERS[tag](rest, inner)


def _pack_list(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    items = list(list.__iter__(value))
    return items if set(map(type, items)) <= set(_SCALARS) else list(map(inner, items))


def _pack_dict(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    pairs = list(dict.items(value))
    return ("dict", [inner(key) for key, _ in pairs], [inner(item) for _, item in pairs])


def _unpack_dict(rest: list[Any], inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    keys, values = map(inner, rest)
    return dict(zip(keys, values, strict=True))


def _items(tag: str, kind: Any) -> Callable[[Any, Callable[[Any], Any]], Any]:  # noqa: ANN401
    """Return a packer for a builtin container that ignores a subclass's own iterator."""
    return lambda value, inner: (tag, [inner(item) for item in kind.__iter__(value)])


def _text(tag: str, write: Callable[[Any], Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, _: (tag, write(value))


def _slice(rest: list[Any], inner: Callable[[Any], Any]) -> slice:
    return slice(*map(inner, rest))


_PACKERS: dict[tuple[str, str], Callable[[Any, Callable[[Any], Any]], Any]] = {
    ("builtins", "bool"): lambda value, _: value,
    ("builtins", "int"): lambda value, _: int.__int__(value),
    ("builtins", "float"): lambda value, _: float.__float__(value),
    ("builtins", "complex"): lambda value, _: complex.__complex__(value),
    ("builtins", "str"): lambda value, _: str.__str__(value),
    ("builtins", "bytes"): lambda value, _: bytes(memoryview(value)),
    ("builtins", "list"): _pack_list,
    ("builtins", "tuple"): _items("tuple", tuple),
    ("builtins", "set"): _items("set", set),
    ("builtins", "frozenset"): _items("frozenset", frozenset),
    ("builtins", "dict"): _pack_dict,
    ("builtins", "range"): lambda value, _: ("range", value.start, value.stop, value.step),
    ("builtins", "slice"): lambda value, inner: (
        "slice",
        *map(inner, (value.start, value.stop, value.step)),
    ),
    ("decimal", "Decimal"): _text("decimal", str),
    ("fractions", "Fraction"): _text("fraction", str),
    ("datetime", "datetime"): _text("datetime", dt.datetime.isoformat),
    ("datetime", "date"): _text("date", dt.date.isoformat),
    ("datetime", "time"): _text("time", dt.time.isoformat),
    ("datetime", "timedelta"): lambda value, _: (
        "timedelta",
        value.days,
        value.seconds,
        value.microseconds,
    ),
    **ARRAY_PACKERS,
    **FRAME_PACKERS,
}
"""(library, class name) -> packer; the first class of an object's MRO with an entry is used."""

_UNPACKERS: dict[str, Callable[[list[Any], Callable[[Any], Any]], Any]] = {
    "tuple": lambda rest, inner: tuple(inner(rest[0])),
    "set": lambda rest, inner: set(inner(rest[0])),
    "frozenset": lambda rest, inner: frozenset(inner(rest[0])),
    "dict": _unpack_dict,
    "range": lambda rest, _: range(*rest),
    "slice": _slice,
    "decimal": lambda rest, _: decimal.Decimal(rest[0]),
    "fraction": lambda rest, _: fractions.Fraction(rest[0]),
    "datetime": lambda rest, _: dt.datetime.fromisoformat(rest[0]),
    "date": lambda rest, _: dt.date.fromisoformat(rest[0]),
    "time": lambda rest, _: dt.time.fromisoformat(rest[0]),
    "timedelta": lambda rest, _: dt.timedelta(*rest),
    **ARRAY_UNPACKERS,
    **FRAME_UNPACKERS,
}
