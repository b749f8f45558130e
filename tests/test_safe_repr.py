"""Any value and any exception becomes a short text without running its code.

The case: an untrusted value that this process prints. Python's own `repr` raises for long integers
and deep nesting, visits all of the value, and runs its code.
"""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.safe_repr import WIDTH, error_text, safe_repr

PRIME = 2**61 - 1
HUGE = 10**5000
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.complex_numbers() | st.sampled_from(["\ud800", "\x1b[2J"])
    | st.booleans().map(lambda sign: HUGE if sign else -HUGE)
)  # fmt: skip
KEYS = SCALARS | st.lists(SCALARS, max_size=3).map(tuple) | st.frozensets(SCALARS, max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
        | st.sets(KEYS, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.integers(1, 400))
def test_every_plain_value_has_a_text_of_the_width_asked_for(value, width):
    """No value raises, and no text exceeds the width."""
    assert len(safe_repr(value, width)) <= width


@given(st.recursive(st.integers() | st.text(max_size=9), lambda x: st.lists(x, max_size=3)))
def test_what_is_short_is_written_as_python_does(value):
    """Short values look as in Python source."""
    if len(repr(value)) <= WIDTH and repr(value).count("[") <= 6:
        assert safe_repr(value) == repr(value)


@pytest.mark.parametrize(
    "hold",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {value},
        lambda value: frozenset([value]),
        lambda value: {value: 1},
        lambda value: {1: value},
        lambda value: {(1, frozenset([value])): [value]},
        lambda value: [[[[[{"a": (value,)}]]]]],
    ],
    ids=["list", "tuple", "set", "frozenset", "key", "dict value", "in a key", "deep"],
)
@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, 1 << 30_000_000], ids=["long", "negative", "longer"]
)
def test_a_huge_integer_is_shown_wherever_it_stands(hold, value):
    """It is shown by its first hex digits and its number of bits."""
    shown = safe_repr(hold(value))
    assert "bits)" in shown or "..." in shown
    assert "0x" in safe_repr(hold(value)[0] if isinstance(hold(value), list | tuple) else value)


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda: _nested(100_000),
        lambda: [[]] * 9_000_000,
        lambda: list(range(1_000_000)),
        lambda: set(range(1_000_000)),
        lambda: dict.fromkeys(range(1_000_000)),
        lambda: "\x00" * 10_000_000,
        lambda: b"\xff" * 10_000_000,
        lambda: [[[["x" * 1000] * 1000] * 1000] * 1000] * 1000,
    ],
    ids=["deep", "empty lists", "list", "set", "dict", "text", "bytes", "shared"],
)
def test_what_is_shown_does_not_grow_with_the_value(make, monkeypatch):
    """Only the shown part of a value is visited."""
    monkeypatch.setattr("evolcoder.safe_repr._Writer.write", _counted(most=1000))
    assert len(safe_repr(make())) <= WIDTH


def _counted(most):
    from evolcoder.safe_repr import _Writer

    write, left = _Writer.write, [most]

    def counted(self, value, depth):
        left[0] -= 1
        assert left[0] > 0
        return write(self, value, depth)

    return counted


class Hostile:
    """Runs code on any access."""

    def __repr__(self):
        raise SystemExit

    __str__ = __eq__ = __hash__ = __len__ = __iter__ = __repr__


class HostileList(list):
    """A list subclass with overrides."""

    __repr__ = __iter__ = __len__ = Hostile.__repr__


@pytest.mark.parametrize(
    "value", [Hostile(), HostileList([1]), [Hostile()], {1: HostileList()}], ids=range(4)
)
def test_what_is_no_plain_data_is_named_and_not_asked(value):
    """No code of a class that is not builtin runs."""
    assert "<Hostile" in safe_repr(value)


def test_equal_values_have_equal_texts_whatever_the_hashes_are():
    """Sets and dicts are shown in the same order in every process."""
    code = (
        "from evolcoder.safe_repr import safe_repr\n"
        "print(safe_repr([{'b', 'a', 'c'}, {('x', 1), ('y', 2), 'z'}, {'b': 1, 'a': 2}]))"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert shown == {b"[{'a', 'b', 'c'}, {'z', ('x', 1), ('y', 2)}, {'a': 2, 'b': 1}]\n"}


class SilentError(Exception):
    def __str__(self):
        raise SystemError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no\nway"), "ValueError: no\nway"),
        (AssertionError(), "AssertionError"),
        (KeyError("a"), "KeyError: 'a'"),
        (AssertionError(HUGE), "AssertionError: <exception str() failed>"),
        (SilentError(), "SilentError: <exception str() failed>"),
        (OSError(2, "gone", "f"), "FileNotFoundError: [Errno 2] gone: 'f'"),
        (SyntaxError("no", ("f", 1, 1, "x", 1, 1)), "SyntaxError: no"),
        (ValueError("x" * 1000), f"ValueError: {'x' * 287}…"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_every_exception_has_a_text(error, text):
    """An exception whose message fails is shown by its type."""
    assert error_text(error) == text
