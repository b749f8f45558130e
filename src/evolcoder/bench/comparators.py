"""Compares answers with expected values, by the rules of HumanEval+, MBPP+ and assertions.

Guarantees: pure functions of plain values. They implement the rules of EvalPlus 0.3.1, except that
each test is compared independently: in EvalPlus, one float answer loosens all later tests of the
problem. Values must be of exact builtin types; callers exclude objects with a custom `__eq__`.
Does not follow numpy where it broadcasts unequal shapes or rejects uneven nesting.

>>> compare(Comparator.EQUAL, inputs=(), output=0.30000001, expected=0.3, atol=0)
<ComparisonResult.CLOSE: 'close'>
"""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

Plain: TypeAlias = Any
"""A value of builtin types, nested arbitrarily."""

RTOL = 1e-7
"""Relative tolerance, added to any absolute tolerance."""
FLOAT_ATOL = 1e-6
"""Absolute tolerance for float answers of problems that specify none."""


class Comparator(StrEnum):
    """How an answer is compared with the expected value."""

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


class ComparisonResult(StrEnum):
    """Result of a comparison."""

    EXACT = "exact"
    CLOSE = "close"
    SPECIAL = "special"
    DIFFERENT = "different"

    @property
    def passes(self) -> bool:
        """Whether the test counts as passed."""
        return self is not ComparisonResult.DIFFERENT


def compare(
    oracle: Comparator, *, inputs: Sequence[Plain], output: object, expected: object, atol: float
) -> ComparisonResult:
    """Compare one answer with the expected value; `inputs` are the arguments of the call."""
    if oracle is Comparator.SAME:
        return ComparisonResult.EXACT if output == expected else ComparisonResult.DIFFERENT
    if oracle is Comparator.EQUAL:
        return _equal(output, expected, atol)
    try:
        if _SPECIAL[oracle](inputs, output, expected, atol):
            return ComparisonResult.SPECIAL
    except (TypeError, ValueError, OverflowError):
        pass  # the rule does not apply to an answer of this type
    if oracle in _WITHOUT_FALLBACK:
        return ComparisonResult.DIFFERENT
    return _equal(output, expected, atol)


def _equal(output: object, expected: object, atol: float) -> ComparisonResult:
    if output == expected:
        return ComparisonResult.EXACT
    if atol == 0 and _is_floats(expected):
        atol = FLOAT_ATOL
    if atol and type(output) is type(expected) and _close(output, expected, atol):
        return ComparisonResult.CLOSE
    return ComparisonResult.DIFFERENT


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
    """Accept any root of the polynomial (HumanEval/32)."""
    value = sum(factor * math.pow(output, power) for power, factor in enumerate(inputs[0]))
    return bool(abs(value) <= atol)


def _is_same_set(_inputs: Sequence[Plain], output: Plain, expected: Plain, _atol: float) -> bool:
    """Ignore order and duplicates."""
    return set(output) == set(expected)


def _is_as_none(_inputs: Sequence[Plain], output: object, expected: object, _atol: float) -> bool:
    """Accept True or False instead of the reference's match object or None."""
    is_match = output if isinstance(output, bool) else output is not None
    return is_match == (expected is not None)


def _is_pyramid(inputs: Sequence[Plain], output: Plain, _expected: object, atol: float) -> bool:
    """Interpret the second number as the height instead of the slant height (Mbpp/581)."""
    base, height = inputs
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return bool(abs(output - round(base**2 + 4 * (base * slant) / 2)) <= atol)


def _is_padded_digits(
    inputs: Sequence[Plain], output: object, _expected: object, _a: float
) -> bool:
    """Pad the shorter number with leading zeros (Mbpp/558)."""
    first, second = (str(number) for number in inputs)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return output == sum(abs(int(a) - int(b)) for a, b in pairs)


def _is_as_true(_inputs: Sequence[Plain], output: object, expected: Plain, _atol: float) -> bool:
    """Compare truth values, as an assertion without a comparison does."""
    return bool(output) is expected


def _is_the_same(_i: Sequence[Plain], output: object, expected: object, _atol: float) -> bool:
    """Require True, False or None itself, as an assertion with `is` does."""
    return output is expected


def _is_nearer(_inputs: Sequence[Plain], output: Plain, expected: Plain, atol: float) -> bool:
    """Require a difference below the tolerance, as an assertion with `abs` does."""
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
"""Comparators that use the arguments of the call."""
_WITHOUT_FALLBACK = frozenset(
    {Comparator.ROOT, Comparator.NOT_NONE, Comparator.TRUTH, Comparator.IDENTITY, Comparator.NEAR}
)
"""Comparators that do not accept equality as well."""
