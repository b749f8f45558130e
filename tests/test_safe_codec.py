"""Encoded values decode to equal values, and invalid bytes cause only NotPlainError."""

import collections
import contextlib
import enum
import json
import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.safe_codec import (
    DEPTH,
    NotPlainError,
    decode,
    decode_trusted,
    encode,
    encode_trusted,
)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
        | st.sets(KEYS, max_size=4) | st.frozensets(KEYS, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip


def same(a, b):
    """Whether two values are equal with the same exact types at all levels."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, dict):
        return all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list | tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return True


@given(VALUES)
def test_plain_data_comes_back_as_it_was(value):
    """decode(encode(x)) equals x, with the same exact types."""
    assert same(decode(encode(value)), value)


@given(VALUES)
def test_trusted_data_comes_back_as_it_was(value):
    """decode_trusted(encode_trusted(x)) equals x, with the same exact types."""
    assert same(decode_trusted(encode_trusted(value)), value)


def test_what_is_not_plain_is_not_trusted_either():
    """The trusted format refuses the same values and converts subclasses the same way."""
    deep = []
    for _ in range(DEPTH + 2):
        deep = [deep]
    for value in ([object()], [bytearray(b"x")], [...], deep):
        with pytest.raises(NotPlainError):
            encode_trusted(value)
    assert same(decode_trusted(encode_trusted([collections.Counter(a=1)])), [{"a": 1}])


def test_trusted_data_keeps_no_identity():
    """Two references to a list become two lists, so calls cannot change each other's arguments."""
    shared = [1]
    first, second = decode_trusted(encode_trusted([shared, shared]))
    assert first == second
    assert first is not second


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_plain_data_or_the_one_error(data):
    """Decoding any bytes raises nothing else."""
    with contextlib.suppress(NotPlainError):
        decode(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from("ltdsziifbcr"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(JSON)
def test_any_json_gives_plain_data_or_the_one_error(value):
    """Decoding any JSON raises nothing else."""
    with contextlib.suppress(NotPlainError):
        decode(json.dumps(value).encode())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, "\ud800"])
def test_odd_scalars_come_back(value):
    """NaN, infinities, negative zero and lone surrogates are encoded."""
    found = decode(encode([value]))[0]
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_integers_longer_than_python_writes_in_decimal_come_back():
    """Python's limit on decimal conversion does not apply."""
    assert decode(encode([10**6000 - 1])) == [10**6000 - 1]


class Lying(list):
    def __eq__(self, other):
        return True

    __hash__ = None

    def __iter__(self):
        return iter(["lie"])

    def __len__(self):
        return 99


class Colour(enum.IntEnum):
    RED = 3


class Point(NamedTuple):
    x: int
    y: int


class Shout(str):
    __slots__ = ()

    def __str__(self):
        return "lie"


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (Lying([1, 2]), [1, 2]),
        (Colour.RED, 3),
        (Shout("truth"), "truth"),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (Point(1, 2), (1, 2)),
    ],
)
def test_a_subclass_is_what_it_holds(value, held):
    """No override of a subclass runs."""
    assert same(decode(encode(value)), held)


@pytest.mark.parametrize("value", [object(), len, range(3), iter([]), [{"x": object()}], type])
def test_what_is_not_plain_is_refused(value):
    """Objects, functions, ranges and iterators cannot be encoded."""
    with pytest.raises(NotPlainError):
        encode(value)


def test_what_contains_itself_is_refused():
    """Endless nesting raises NotPlainError."""
    endless = []
    endless.append(endless)
    with pytest.raises(NotPlainError, match="deeper"):
        encode(endless)


@pytest.mark.parametrize("depth", [DEPTH + 2, 10_000, 1_000_000])
def test_deep_bytes_are_refused(depth):
    """Nesting is bounded below Python's recursion limit."""
    with pytest.raises(NotPlainError):
        decode(b'["l",' * depth + b"1" + b"]" * depth)


def test_keys_with_equal_hashes_come_back():
    """Members with colliding hashes work; powers of two have 61 hashes in all."""
    crowd = {2**n for n in range(3000)}
    assert decode(encode(crowd)) == crowd
    assert decode(encode(dict.fromkeys(crowd))).keys() == crowd


def test_memory_that_is_not_there_is_no_fault_of_the_bytes(monkeypatch):
    """Running out of memory raises MemoryError, not NotPlainError."""

    def full(_data):
        raise MemoryError

    monkeypatch.setattr("evolcoder.safe_codec.json.loads", full)
    with pytest.raises(MemoryError):
        decode(b"1")


def test_references_go_through_the_hooks_only():
    """Other values are encoded by `refer` and decoded by `resolve`."""
    thing = object()
    data = encode([thing, 1], lambda value: [7, type(value).__name__])
    assert decode(data, tuple) == [(7, "object"), 1]
    with pytest.raises(NotPlainError):
        decode(data)
