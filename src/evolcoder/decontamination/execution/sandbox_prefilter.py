"""Runs inside the sandbox: tests one function of a response against the examples of many problems.

This file is sent as text: standard library only. Once a function has run, nothing here can be
trusted, so the result only selects the pairs that are graded.

Calls are ended by counted work (`code.instrument`), never by time: the same function on the same
examples ends at the same point on every machine.
"""

import builtins
import io
import itertools
import marshal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

CALL_WORK = 400_000
"""Maximum units of work per call."""
SLOW_PER_HALVING = 4
"""Number of slow calls after which the work allowed per call halves, repeatedly."""
MAX_SLOW = 32
"""Maximum number of slow calls per function."""
MAX_WORK = 20_000_000
"""Maximum units of work of all calls of the prefilter."""
MAX_UNDECIDED = 2
"""Maximum number of problems on which a slow function is still considered a candidate."""
MAX_MEMBERS = 10_000
"""Maximum members taken from an iterator."""
LIMB_BITS = 1 << 10
"""Bits of a power or shift per unit of work."""
RANGE_MEMBERS = 16
"""Members of a range, iterated in C, per unit of work."""
SQUARE_BITS = 1 << 18
"""Product of the bit lengths of two factors per unit of work."""
COMBINATORIAL = (
    itertools.permutations,
    itertools.combinations,
    itertools.combinations_with_replacement,
    itertools.product,
)
"""Combinatorial iterators, whose every member costs a unit."""


class Slow(BaseException):
    """A call exceeded its work limit."""


class WorkMeter:
    """Counts the work of a program, and ends it after `most` units."""

    def __init__(self, most: int = MAX_WORK) -> None:
        self.n_slow = 0
        self._most = most
        self._left = [most, most]

    def names(self) -> dict[str, Callable[..., Any]]:
        """Return the functions that instrumented code calls."""
        left = self._left

        def spend(units: int = 1) -> bool:
            left[0] -= units
            if left[0] < 0:
                raise Slow
            return True

        def each(members: Iterator[Any]) -> Iterator[Any]:
            for member in members:
                spend()
                yield member

        def ranged(given: Any) -> Any:  # noqa: ANN401 - whatever goes by the name of a range
            if isinstance(given, range):
                spend(max(0, (given.stop - given.start) // given.step) // RANGE_MEMBERS)
            return each(given) if isinstance(given, COMBINATORIAL) else given

        return {"_spend_": spend, "_ranged_": ranged, **_integer_operations(spend)}

    def call(self, target: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """Call a function; raises Slow if it exceeds the limit, even if it catches Slow itself."""
        allowed = CALL_WORK >> self.n_slow // SLOW_PER_HALVING
        self._left[0] = allowed
        try:
            answer = target(*arguments)
            if self._left[0] < 0:
                raise Slow
        except Slow:
            self.n_slow += 1
            raise
        finally:
            self._left[1] -= min(allowed, allowed - self._left[0])
        return answer

    def worked(self) -> int:
        """Return the units of work of a program that does not use `call`."""
        return self._most - self._left[0]

    def is_spent(self) -> bool:
        """Whether a function exceeded its total work or its number of slow calls."""
        return self.n_slow > MAX_SLOW or self._left[1] < 0


def adapted(
    source: str, name: str, view: Sequence[int] | None, *, returns: bool, meter: WorkMeter
) -> Callable[..., Any]:
    """Return a function that is called as by the benchmark and returns its answer.

    `source` is instrumented code. The answer of a function that never returns a value is what it
    printed last, or else its first argument, which it may have modified in place.
    """
    printed: list[object] = []
    space: dict[str, Any] = {
        "__name__": "candidate",
        "__builtins__": builtins,
        **meter.names(),
    }
    if not returns:
        space["print"] = lambda *values, **_options: printed.extend(values[-1:])
    space["input"] = _no_input
    time.sleep = lambda *_seconds: None
    exec(compile(source, "candidate.py", "exec", dont_inherit=True), space)  # noqa: S102 - in its sandbox
    target = resolve(space, name)

    def call(*arguments: Any) -> object:  # noqa: ANN401 - whatever a benchmark calls with
        printed.clear()
        if view is not None:
            arguments = tuple(arguments[n] if n >= 0 else len(arguments[~n]) for n in view)
        answer = target(*arguments)
        if not returns:
            return printed[-1] if printed else arguments[0]
        return (
            list(itertools.islice(answer, MAX_MEMBERS)) if hasattr(answer, "__next__") else answer
        )

    return call


def _integer_operations(spend: Callable[[int], bool]) -> dict[str, Callable[..., Any]]:
    """Return the functions that instrumented code calls to compute large integers."""

    def power(base: Any, exponent: Any) -> Any:  # noqa: ANN401 - whatever is raised
        if _grows(base, exponent):
            spend(base.bit_length() * exponent // LIMB_BITS)
        return base**exponent

    def shift(number: Any, bits: Any) -> Any:  # noqa: ANN401 - whatever is shifted
        if _grows(number, bits):
            spend((number.bit_length() + bits) // LIMB_BITS)
        return number << bits

    def factor(one: Any, other: Any) -> Any:  # noqa: ANN401 - whatever is multiplied
        if isinstance(one, int) and isinstance(other, int):
            spend(one.bit_length() * other.bit_length() // SQUARE_BITS)
        return other

    return {"_power_": power, "_shift_": shift, "_factor_": factor}


def _grows(number: object, by: object) -> bool:
    """Whether the operation makes an integer grow."""
    return isinstance(number, int) and isinstance(by, int) and by > 0


def limited(call: Callable[..., Any], meter: WorkMeter) -> Callable[..., Any]:
    """Return a function whose calls raise Slow above the work limit."""
    return lambda *arguments: meter.call(call, *arguments)


def _no_input(*_prompt: object) -> None:
    raise EOFError


def resolve(space: dict[str, Any], name: str) -> Callable[..., Any]:
    """Return the function or method that a name of `code.functions` refers to."""
    owner, _, method = name.partition(".")
    if not method:
        target: Callable[..., Any] = space[name]
        return target
    if owner.endswith("(*)"):
        made = space[owner[:-3]]
        return lambda *arguments: getattr(made(*arguments), method)()
    made = space[owner[:-2]]
    return lambda *arguments: getattr(made(), method)(*arguments)  # noqa: PLW0108 - a new object


def prefilter(
    source: str,
    name: str,
    returns: bool,  # noqa: FBT001 - calls have positions only
    kinds: Sequence[str],
    table: bytes,
) -> list[list[int]]:
    """Return (problem, view) for the problems that a function may solve."""
    sys.stdout = sys.stderr = io.StringIO()
    passed: list[list[int]] = []
    slow: list[list[int]] = []
    meter = WorkMeter()
    call = adapted(source, name, None, returns=returns, meter=meter)
    for number, view, given, exact, examples in marshal.loads(table):  # noqa: S302 - our own
        if any(a and b and a != b for a, b in zip(kinds, given, strict=False)):
            continue
        outcome = _outcome(call, _is_equal if exact else _is_equivalent, examples, meter)
        if outcome is not None:
            (passed if outcome else slow).append([number, view])
        if meter.is_spent():
            return passed
    return passed + (slow if len(slow) <= MAX_UNDECIDED else [])


def _outcome(
    call: Callable[..., Any],
    agree: Callable[[Any, Any], bool],
    examples: Sequence[tuple[bytes, Any]],
    meter: WorkMeter,
) -> bool | None:
    """Return True if all examples pass, and None if one fails or the first is slow.

    False means that a later one is slow.
    """
    n_right = 0
    try:
        for arguments, expected in examples:
            given = marshal.loads(arguments)  # noqa: S302 - our own
            if not agree(meter.call(call, *given), expected):
                return None
            n_right += 1
    except Slow:
        return False if n_right else None
    except BaseException:  # noqa: BLE001 - a candidate may raise anything
        return None
    return True


def _is_equal(answer: Any, expected: Any) -> bool:  # noqa: ANN401 - any answer
    return bool(answer == expected)


def _is_equivalent(answer: Any, expected: Any, depth: int = 0) -> bool:  # noqa: ANN401 - any answer
    """Compare as loosely as any benchmark does: numbers approximately, members in any order."""
    if answer is expected or answer == expected:
        return True
    if isinstance(expected, (int, float)) and isinstance(answer, (int, float)):
        return abs(answer - expected) <= 1e-4 * max(1, abs(expected))
    several = (list, tuple, set, frozenset)
    if isinstance(expected, several) and isinstance(answer, several) and depth < 5:
        if len(answer) != len(expected):
            return False
        if all(_is_equivalent(a, b, depth + 1) for a, b in zip(answer, expected, strict=True)):
            return True
        return sorted(map(repr, answer)) == sorted(map(repr, expected))
    return False
