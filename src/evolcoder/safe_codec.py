"""Encodes plain data between processes that do not trust each other, strictly typed and code-free.

Guarantees: `decode(encode(x))` equals `x` with the same exact types for None, bool, int, float
(NaN and infinities included), complex, str, bytes, list, tuple, set, frozenset and dict, nested up
to `DEPTH`. A subclass instance is encoded as its base type's value without running its overrides; a
numpy scalar is encoded as its number. `decode` of arbitrary bytes returns plain data or raises
`NotPlainError`.
Not guaranteed: identity (two references to one list become two lists), and bounded cost for bytes
of unknown origin. Reading is linear in their length, but set members and dict keys can be chosen so
that building takes quadratic time, and decoded data takes up to fifty times the memory. So decode
only short ones, or decode in a process that can be killed; there, a MemoryError is distinguished
from invalid bytes.

The format is JSON in which scalars represent themselves and everything else is a list with a type
tag first. Standard library only, since sandboxed processes load this module.

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
"""Maximum nesting; the JSON reader's own recursion stays far below Python's limit."""
LONG_BITS = 4096
"""Longer integers are written in hex, because Python limits the length of decimal ones."""

SIZE = struct.Struct(">Q")
"""Length prefix of each of several values in one file."""
_to_json = json.JSONEncoder(separators=(",", ":")).encode

Refer = Callable[[object], list[Any]]
Resolve = Callable[[list[Any]], object]


class NotPlainError(ValueError):
    """A value cannot be encoded, or bytes are not an encoded value."""


def encode(value: object, refer: Refer | None = None) -> bytes:
    """Encode a value; `refer` may replace a value that is not plain by a list of plain data."""
    return _to_json(pack(value, refer)).encode("ascii")


def decode(data: bytes, resolve: Resolve | None = None) -> Any:  # noqa: ANN401 - plain data
    """Decode the output of `encode`; `resolve` receives the lists that `refer` returned."""
    try:
        return unpack(json.loads(data), resolve)
    except NotPlainError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise NotPlainError(f"not encoded data: {type(error).__name__}") from error


def encode_trusted(value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Encode plain data for a process that trusts this one and runs the same interpreter.

    Decoding takes a fraction of the time. Values that `encode` refuses are refused here too, and
    identity is lost here too, since version 2 of the format has no references.
    """
    return marshal.dumps(value if _is_plain(value) else decode(encode(value)), 2)


def decode_trusted(data: bytes | memoryview) -> Any:  # noqa: ANN401 - plain data
    """Decode what `encode_trusted` wrote. Never for bytes that a candidate may have written."""
    return marshal.loads(data)  # noqa: S302 - see above


def pack(value: Any, refer: Refer | None = None, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Convert a value to what JSON can represent."""
    if depth > DEPTH:
        raise NotPlainError(f"nested deeper than {DEPTH}")
    packer = _PACKERS.get(type(value))
    if packer is not None:
        return packer(value, refer, depth)
    for kind, base_value in _BASE_VALUES.items():
        if isinstance(value, kind):
            return _PACKERS[kind](base_value(value), refer, depth)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and value.shape == ():
        return pack(value.item(), refer, depth + 1)
    if refer is not None:
        return ["r", *refer(value)]
    raise NotPlainError(f"a {type(value).__name__} is not plain data")


def unpack(packed: Any, resolve: Resolve | None = None, depth: int = 0) -> Any:  # noqa: ANN401
    """Invert `pack`."""
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
    """Whether a value consists of exact plain types at all levels."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind not in _BASE_VALUES or depth > DEPTH:
        return False
    items = [*value, *value.values()] if kind is dict else value
    return set(map(type, items)) <= _SCALARS or all(_is_plain(one, depth + 1) for one in items)


def _pack_unchanged(value: object, _refer: Refer | None, _depth: int) -> object:
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
    return [
        "d",
        *_pack_members(value.keys(), refer, depth),
        *_pack_members(value.values(), refer, depth),
    ]


def _pack_items(tag: str) -> Callable[[Any, Refer | None, int], list[Any]]:
    def packer(value: Any, refer: Refer | None, depth: int) -> list[Any]:  # noqa: ANN401
        return [tag, *_pack_members(value, refer, depth)]

    return packer


def _pack_members(values: Iterable[Any], refer: Refer | None, depth: int) -> Iterable[Any]:
    """Pack the members; lists of short scalars, the bulk of all data, are passed on as a whole."""
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
    str: _pack_unchanged,
    bool: _pack_unchanged,
    type(None): _pack_unchanged,
    float: _pack_float,
    list: _pack_items("l"),
    tuple: _pack_items("t"),
    dict: _pack_dict,
    set: _pack_items("s"),
    frozenset: _pack_items("z"),
    bytes: _pack_bytes,
    complex: _pack_complex,
}
_BASE_VALUES: dict[type, Callable[[Any], Any]] = {
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
"""Reads the base type's value of a subclass instance without calling overrides."""
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
