"""Whether an answer counts as the expected one: the rules of HumanEval+, MBPP+ and of assertions.

Promises: pure functions of plain values, the rules of EvalPlus 0.3.1 in our words, decided for each
test alone. There, a first float answer loosens all later tests of the same problem; here it does
not. Values must already be exact builtin types: an object with an `__eq__` of its own never gets
here. Does not follow numpy where it broadcasts unequal shapes or gives up on uneven nesting.

>>> compare(Oracle.EQUAL, inputs=(), output=0.30000001, expected=0.3, atol=0)
<Match.CLOSE: 'close'>
"""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

Plain: TypeAlias = Any
"""A value of builtin types, nested at will."""

RTOL = 1e-7
"""Relative tolerance, whenever a tolerance applies at all."""
FLOAT_ATOL = 1e-6
"""Absolute tolerance for float answers of problems that name none."""


class Comparator(StrEnum):
    """How an answer is held against the expected one."""

    SAME = "same"
    EQUAL = "equal"
    ROOT = "root_of_polynomial"
    SAME_SET = "same_members"
    NOT_NONE = "found_or_not"
    PYRAMID = "pyramid_surface"
    PADDED_DIGITS = "digit_distance"
    TRUTH = "truth"
    IDENTITY = "identity"
    NEAR = "nearer_than"


class Comparison(StrEnum):
    """How an answer met the expected one."""

    EXACT = "exact"
    CLOSE = "close"
    SPECIAL = "special"
    DIFFERENT = "different"

    @property
    def passes(self) -> bool:
        """Whether the test counts as passed."""
        return self is not Comparison.DIFFERENT


def compare(
    oracle: Comparator, *, inputs: Sequence[Plain], output: object, expected: object, atol: float
) -> Comparison:
    """Hold one answer against the expected one; `inputs` are the arguments as they were sent."""
    if oracle is Comparator.SAME:
        return Comparison.EXACT if output == expected else Comparison.DIFFERENT
    if oracle is Comparator.EQUAL:
        return _equal(output, expected, atol)
    try:
        if _SPECIAL[oracle](inputs, output, expected, atol):
            return Comparison.SPECIAL
    except (TypeError, ValueError, OverflowError):
        pass  # an answer of a type that the rule cannot read meets no special case
    if oracle in _DECIDE_ALONE:
        return Comparison.DIFFERENT
    return _equal(output, expected, atol)


def _equal(output: object, expected: object, atol: float) -> Comparison:
    if output == expected:
        return Comparison.EXACT
    if atol == 0 and _is_floats(expected):
        atol = FLOAT_ATOL
    if atol and type(output) is type(expected) and _close(output, expected, atol):
        return Comparison.CLOSE
    return Comparison.DIFFERENT


def _is_floats(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _close(output: object, expected: object, atol: float) -> bool:
    if isinstance(output, list | tuple) and isinstance(expected, list | tuple):
        pairs = zip(output, expected, strict=False)
        return len(output) == len(expected) and all(_close(a, b, atol) for a, b in pairs)
    if isinstance(output, int | float | complex) and isinstance(expected, int | float | complex):
        return output == expected or _near(output, expected, atol)
    return False


def _near(output: complex, expected: complex, atol: float) -> bool:
    try:
        gap, size = abs(output - expected), abs(expected)
        return math.isfinite(size) and gap <= atol + RTOL * size
    except OverflowError:
        return False


def _is_root(inputs: Sequence[Plain], output: Plain, _expected: object, atol: float) -> bool:
    """Take any zero of the polynomial (HumanEval/32)."""
    value = sum(factor * math.pow(output, power) for power, factor in enumerate(inputs[0]))
    return bool(abs(value) <= atol)


def _is_same_set(_inputs: Sequence[Plain], output: Plain, expected: Plain, _atol: float) -> bool:
    """Leave order and repetition out."""
    return set(output) == set(expected)


def _is_as_none(_inputs: Sequence[Plain], output: object, expected: object, _atol: float) -> bool:
    """Take True and False for the match object or None that the reference answers."""
    says_yes = output if isinstance(output, bool) else output is not None
    return says_yes == (expected is not None)


def _is_pyramid(inputs: Sequence[Plain], output: Plain, _expected: object, atol: float) -> bool:
    """Read the second number as the height instead of the slant height (Mbpp/581)."""
    base, height = inputs
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return bool(abs(output - round(base**2 + 4 * (base * slant) / 2)) <= atol)


def _is_padded_digits(
    inputs: Sequence[Plain], output: object, _expected: object, _a: float
) -> bool:
    """Read the shorter number as if it began with zeros (Mbpp/558)."""
    first, second = (str(number) for number in inputs)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return output == sum(abs(int(a) - int(b)) for a, b in pairs)


def _is_as_true(_inputs: Sequence[Plain], output: object, expected: Plain, _atol: float) -> bool:
    """Ask for truth alone, as an assertion without a comparison does."""
    return bool(output) is expected


def _is_the_same(_i: Sequence[Plain], output: object, expected: object, _atol: float) -> bool:
    """Ask for True, False or None itself, as an assertion with `is` does."""
    return output is expected


def _is_nearer(_inputs: Sequence[Plain], output: Plain, expected: Plain, atol: float) -> bool:
    """Ask for a distance below the tolerance, as an assertion with `abs` does."""
    return bool(abs(output - expected) < atol)


_SPECIAL: dict[Comparator, Callable[[Sequence[Plain], Plain, Plain, float], bool]] = {
    Comparator.ROOT: _is_root,
    Comparator.SAME_SET: _is_same_set,
    Comparator.NOT_NONE: _is_as_none,
    Comparator.PYRAMID: _is_pyramid,
    Comparator.PADDED_DIGITS: _is_padded_digits,
    Comparator.TRUTH: _is_as_true,
    Comparator.IDENTITY: _is_the_same,
    Comparator.NEAR: _is_nearer,
}
NEED_INPUTS = frozenset({Comparator.ROOT, Comparator.PYRAMID, Comparator.PADDED_DIGITS})
"""Rules that look at the arguments."""
_DECIDE_ALONE = frozenset(
    {Comparator.ROOT, Comparator.NOT_NONE, Comparator.TRUTH, Comparator.IDENTITY, Comparator.NEAR}
)
