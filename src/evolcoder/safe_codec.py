"""Plain data between processes that do not trust each other: strict, typed, and never code.

Promises: `decode(encode(x))` equals `x` and has the same exact types for None, bool, int, float
(NaN and the infinities too), complex, str, bytes, list, tuple, set, frozenset and dict, nested up
to `DEPTH`. An instance of a subclass of these is encoded as what it holds, so nothing that the
subclass overrides takes part; a numpy scalar is the number it holds. `decode` of any bytes at all
gives plain data or `NotPlainError`.
Does not keep identity: two names for one list become two lists. Does not bound what bytes of
unknown origin cost: reading them is linear in their length, but the members of a set and the keys
of a dict can be chosen so that making it takes time quadratic in their number, and what is decoded
takes up to fifty times the memory. So decode short ones only, or do it where it can be ended; there
a MemoryError is told from bytes that are no data.

The text is JSON in which scalars stand for themselves and everything else is a list whose first
member says what it is. It needs the standard library alone, since sandboxed processes load it too.

>>> decode(encode((1, {2.5: "x"})))
(1, {2.5: 'x'})
"""

import json
import marshal
import math
import struct
from collections.abc import Callable, Iterable
from typing import Any

DEPTH = 150
"""Deepest nesting; the JSON reader's own recursion stays far below Python's limit."""
LONG_BITS = 4096
"""Longer integers are written in hex: Python bounds the length of decimal ones."""

SIZE = struct.Struct(">Q")
"""Stands before each of several things in one file."""
_as_json = json.JSONEncoder(separators=(",", ":")).encode

Refer = Callable[[object], list[Any]]
Resolve = Callable[[list[Any]], object]


class NotPlainError(ValueError):
    """A value cannot be encoded, or bytes are no encoded value."""


def encode(value: object, refer: Refer | None = None) -> bytes:
    """Encode a value; `refer` may stand in for what is not plain, as a list of plain data."""
    return _as_json(pack(value, refer)).encode("ascii")


def decode(data: bytes, resolve: Resolve | None = None) -> Any:  # noqa: ANN401 - plain data
    """Decode what `encode` wrote; `resolve` gets what `refer` had returned."""
    try:
        return unpack(json.loads(data), resolve)
    except NotPlainError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise NotPlainError(f"not encoded data: {type(error).__name__}") from error


def trusted(value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Encode plain data for a process that trusts this one, and runs the same interpreter.

    It is read in a fraction of the time. What `encode` refuses is refused here too; identity is
    not kept here either, since version 2 of the format knows no references.
    """
    return marshal.dumps(value if _is_plain(value) else decode(encode(value)), 2)


def trust(data: bytes | memoryview) -> Any:  # noqa: ANN401 - plain data
    """Decode what `trusted` wrote. Never for bytes that a candidate could have touched."""
    return marshal.loads(data)  # noqa: S302 - see above


def pack(value: Any, refer: Refer | None = None, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Turn a value into what JSON can hold."""
    if depth > DEPTH:
        raise NotPlainError(f"nested deeper than {DEPTH}")
    packer = _PACKERS.get(type(value))
    if packer is not None:
        return packer(value, refer, depth)
    for kind, held in _HELD.items():
        if isinstance(value, kind):
            return _PACKERS[kind](held(value), refer, depth)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and value.shape == ():
        return pack(value.item(), refer, depth + 1)
    if refer is not None:
        return ["r", *refer(value)]
    raise NotPlainError(f"a {type(value).__name__} is not plain data")


def unpack(packed: Any, resolve: Resolve | None = None, depth: int = 0) -> Any:  # noqa: ANN401
    """Undo `pack`."""
    if type(packed) is not list:
        if type(packed) is dict:
            raise NotPlainError("not encoded data: an object")
        return packed
    if depth > DEPTH or not packed or type(packed[0]) is not str:
        raise NotPlainError("not encoded data: a list without a tag")
    tag, *rest = packed
    if tag == "r" and resolve is not None:
        return resolve(rest)
    unpacker = _UNPACKERS.get(tag)
    if unpacker is None:
        raise NotPlainError("not encoded data: an unknown tag")
    return unpacker(rest, resolve, depth + 1)


def _is_plain(value: Any, depth: int = 0) -> bool:  # noqa: ANN401 - anything
    """Whether a value has the exact types of plain data all the way down."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind not in _HELD or depth > DEPTH:
        return False
    items = [*value, *value.values()] if kind is dict else value
    return set(map(type, items)) <= _SCALARS or all(_is_plain(one, depth + 1) for one in items)


def _pack_same(value: object, _refer: Refer | None, _depth: int) -> object:
    return value


def _pack_int(value: int, _refer: Refer | None, _depth: int) -> object:
    return value if value.bit_length() <= LONG_BITS else ["i", hex(value)]


def _pack_float(value: float, _refer: Refer | None, _depth: int) -> object:
    return value if math.isfinite(value) else ["f", repr(value)]


def _pack_complex(value: complex, _refer: Refer | None, _depth: int) -> object:
    return ["c", repr(value.real), repr(value.imag)]


def _pack_bytes(value: bytes, _refer: Refer | None, _depth: int) -> object:
    return ["b", value.hex()]


def _pack_dict(value: dict[Any, Any], refer: Refer | None, depth: int) -> object:
    return ["d", *_packed(value.keys(), refer, depth), *_packed(value.values(), refer, depth)]


def _pack_items(tag: str) -> Callable[[Any, Refer | None, int], list[Any]]:
    def packer(value: Any, refer: Refer | None, depth: int) -> list[Any]:  # noqa: ANN401
        return [tag, *_packed(value, refer, depth)]

    return packer


def _packed(values: Iterable[Any], refer: Refer | None, depth: int) -> Iterable[Any]:
    """Pack the members; lists of short scalars, the bulk of all data, need no look at each."""
    kinds = set(map(type, values))
    if (
        kinds <= _SHORT
        or (kinds == {int} and min(values) > -(2**64) and max(values) < 2**64)
        or (kinds == {float} and math.isfinite(sum(values)))
    ):
        return values
    return [pack(item, refer, depth + 1) for item in values]


def _unpack_items(kind: type) -> Callable[[list[Any], Resolve | None, int], Any]:
    def unpacker(rest: list[Any], resolve: Resolve | None, depth: int) -> Any:  # noqa: ANN401
        if list in set(map(type, rest)) or dict in set(map(type, rest)):
            rest = [unpack(item, resolve, depth) for item in rest]
        return kind(rest)

    return unpacker


def _unpack_dict(rest: list[Any], resolve: Resolve | None, depth: int) -> dict[Any, Any]:
    if len(rest) % 2:
        raise NotPlainError("not encoded data: a dict with a key too many")
    items = [unpack(item, resolve, depth) for item in rest]
    half = len(items) // 2
    return dict(zip(items[:half], items[half:], strict=True))


def _unpack_text(read: Callable[..., Any]) -> Callable[[list[Any], Resolve | None, int], Any]:
    def unpacker(rest: list[Any], _resolve: Resolve | None, _depth: int) -> Any:  # noqa: ANN401
        if not rest or set(map(type, rest)) != {str}:
            raise NotPlainError("not encoded data: text expected")
        return read(*rest)

    return unpacker


_SHORT = frozenset({str, bool, type(None)})
_SCALARS = frozenset({*_SHORT, int, float, complex, bytes})
_PACKERS: dict[type, Callable[[Any, Refer | None, int], Any]] = {
    int: _pack_int,
    str: _pack_same,
    bool: _pack_same,
    type(None): _pack_same,
    float: _pack_float,
    list: _pack_items("l"),
    tuple: _pack_items("t"),
    dict: _pack_dict,
    set: _pack_items("s"),
    frozenset: _pack_items("z"),
    bytes: _pack_bytes,
    complex: _pack_complex,
}
_HELD: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    str: str.__str__,
    float: float.__float__,
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    bytes: lambda value: bytes(memoryview(value)),
    complex: complex.__complex__,
}
"""Reads what an instance of a subclass holds, past anything that it overrides."""
_UNPACKERS: dict[str, Callable[[list[Any], Resolve | None, int], Any]] = {
    "l": _unpack_items(list),
    "t": _unpack_items(tuple),
    "s": _unpack_items(set),
    "z": _unpack_items(frozenset),
    "d": _unpack_dict,
    "i": _unpack_text(lambda text: int(text, 16)),
    "f": _unpack_text(float),
    "b": _unpack_text(bytes.fromhex),
    "c": _unpack_text(lambda real, imaginary: complex(float(real), float(imaginary))),
}
