"""Whether an answer is the expected one: the comparisons that benchmarks define, on plain data.

Promises: what comes in has exact builtin types (see `wire`), so nothing of a candidate's runs here.
An answer that cannot be compared is wrong; no comparison raises, and none remembers another.

>>> agrees("equal", ([1],), expected=0.3, got=0.1 + 0.2, atol=0)
True
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

RELATIVE = 1e-7
"""Relative tolerance that goes with an absolute one."""
FLOAT_ATOL = 1e-6
"""Absolute tolerance where floats are expected and the problem names none."""

Oracle = Callable[[Sequence[Any], Any, Any, float], bool]
"""From arguments, expected value, answer and absolute tolerance to whether the answer is right."""


def agrees(name: str, arguments: Sequence[Any], *, expected: Any, got: Any, atol: float) -> bool:  # noqa: ANN401
    """Ask an oracle by name; values that it cannot compare do not agree."""
    try:
        return bool(ORACLES[name](arguments, expected, got, atol))
    except (TypeError, ValueError, ArithmeticError, RecursionError, LookupError):
        return False


def _equal(_arguments: Sequence[Any], expected: Any, got: Any, atol: float) -> bool:  # noqa: ANN401
    """Accept what is equal; with a tolerance or where floats are expected, what is close."""
    if expected == got:
        return True
    if atol == 0 and _made_of_floats(expected):
        atol = FLOAT_ATOL
    return atol != 0 and type(expected) is type(got) and _close(expected, got, atol)


def _same_members(_arguments: Sequence[Any], expected: Any, got: Any, _atol: float) -> bool:  # noqa: ANN401
    """Accept any order and any repetition."""
    return set(expected) == set(got)


def _found_or_not(_arguments: Sequence[Any], expected: Any, got: Any, _atol: float) -> bool:  # noqa: ANN401
    """Accept a truth value, or something for True and None for False: a match or no match."""
    return bool(expected == (got if isinstance(got, bool) else got is not None))


def _anything(_arguments: Sequence[Any], _expected: Any, _got: Any, _atol: float) -> bool:  # noqa: ANN401
    """Accept every answer: a problem whose text does not decide it."""
    return True


def _equal_or_zero(_arguments: Sequence[Any], expected: Any, got: Any, _atol: float) -> bool:  # noqa: ANN401
    """Accept zero too: whether a number divides itself is left open."""
    return bool(got in (expected, 0))


def _root_of_polynomial(
    arguments: Sequence[Any],
    _expected: Any,  # noqa: ANN401
    got: Any,  # noqa: ANN401
    atol: float,
) -> bool:
    """Accept any x at which the polynomial with the given coefficients is close to zero."""
    value = sum(factor * math.pow(got, power) for power, factor in enumerate(arguments[0]))
    return bool(abs(value) <= atol)


def _pyramid_surface(arguments: Sequence[Any], expected: Any, got: Any, atol: float) -> bool:  # noqa: ANN401
    """Accept the surface of a square pyramid by its height too, not by its slant alone."""
    base, height = arguments
    slant = math.hypot(base / 2, height)
    return _equal((), expected, got, atol) or abs(got - round(base * (base + 2 * slant))) <= atol


def _digit_distance(arguments: Sequence[Any], expected: Any, got: Any, atol: float) -> bool:  # noqa: ANN401
    """Accept the distance digit by digit of numbers written at one length too."""
    first, second = map(str, arguments)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return _equal((), expected, got, atol) or got == sum(abs(int(a) - int(b)) for a, b in pairs)


def _same(_arguments: Sequence[Any], expected: Any, got: Any, _atol: float) -> bool:  # noqa: ANN401
    """Accept what Python calls equal, and no tolerance, as an assertion does."""
    return bool(expected == got)


ORACLES: dict[str, Oracle] = {
    "same": _same,
    "equal": _equal,
    "same_members": _same_members,
    "found_or_not": _found_or_not,
    "anything": _anything,
    "equal_or_zero": _equal_or_zero,
    "root_of_polynomial": _root_of_polynomial,
    "pyramid_surface": _pyramid_surface,
    "digit_distance": _digit_distance,
}
"""Every comparison by name."""


def _made_of_floats(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(type(item) is float for item in value)
    return type(value) is float


def _close(expected: Any, got: Any, atol: float) -> bool:  # noqa: ANN401 - plain data
    """Compare nested numbers; equal infinities are close, NaN never is."""
    if isinstance(expected, list | tuple):
        return len(expected) == len(got) and all(
            _close(want, have, atol) for want, have in zip(expected, got, strict=True)
        )
    if expected == got:
        return True
    away = abs(expected - got)
    return bool(math.isfinite(away) and away <= atol + RELATIVE * abs(expected))
