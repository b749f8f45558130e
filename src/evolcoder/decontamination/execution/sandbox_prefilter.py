"""Runs inside the sandbox: one function of a training answer against many problems' examples.

This file is sent as text. Standard library only, and nothing here is trusted once a function has
begun to run: what it says about a pair of function and problem is only a reason to look closer.

What ends a call is work that is counted (`clean.work`), never a clock: the same function on the
same examples ends at the same place on every machine.
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
"""Units of work that a call may do."""
PATIENCE = 4
"""Slow calls until half as much work is allowed, and half of that, and so on."""
MAX_SLOW = 32
"""Slow calls until the function is given up."""
MAX_WORK = 20_000_000
"""Units that all calls of a first look may do."""
UNDECIDED = 2
"""So many problems on which a function was slow may still be its own."""
LONGEST = 10_000
"""Members that are taken of an iterator."""
LIMB_BITS = 1 << 10
"""Bits of a power or a shift that make a unit of work."""
IN_C = 16
"""Members of a range that C walks through in a unit's time."""
SQUARE_BITS = 1 << 18
"""Bits of one factor times bits of the other that make a unit of work."""
COMBINED = (
    itertools.permutations,
    itertools.combinations,
    itertools.combinations_with_replacement,
    itertools.product,
)
"""Iterators of few members' many orders and choices: each takes a unit."""


class Slow(BaseException):
    """A call did too much work."""


class Meter:
    """Counts what a program works, and ends what works more than `most` units."""

    def __init__(self, most: int = MAX_WORK) -> None:
        self.n_slow = 0
        self._most = most
        self._left = [most, most]

    def names(self) -> dict[str, Callable[..., Any]]:
        """Return what a counted program calls."""
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
                spend(max(0, (given.stop - given.start) // given.step) // IN_C)
            return each(given) if isinstance(given, COMBINED) else given

        return {"_spend_": spend, "_ranged_": ranged, **_growing(spend)}

    def call(self, target: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """Call something, and raise Slow if it works too much, also where it goes on after that."""
        allowed = CALL_WORK >> self.n_slow // PATIENCE
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
        """Return the units of work so far, of a program that is called without `call`."""
        return self._most - self._left[0]

    def is_spent(self) -> bool:
        """Whether a function has been slow, or at work, for too long to go on."""
        return self.n_slow > MAX_SLOW or self._left[1] < 0


def adapted(
    source: str, name: str, view: Sequence[int] | None, *, returns: bool, meter: Meter
) -> Callable[..., Any]:
    """Make a function that can be called as the benchmark does, and answers by returning.

    Its source counts on a meter. Of a function that never returns a value, what it printed last is
    the answer, or else its first argument, which it may have changed in place.
    """
    said: list[object] = []
    space: dict[str, Any] = {
        "__name__": "candidate",
        "__builtins__": builtins,
        **meter.names(),
    }
    if not returns:
        space["print"] = lambda *values, **_options: said.extend(values[-1:])
    space["input"] = _asked
    time.sleep = lambda *_seconds: None
    exec(compile(source, "candidate.py", "exec", dont_inherit=True), space)  # noqa: S102 - in its sandbox
    target = found(space, name)

    def call(*arguments: Any) -> object:  # noqa: ANN401 - whatever a benchmark calls with
        said.clear()
        if view is not None:
            arguments = tuple(arguments[n] if n >= 0 else len(arguments[~n]) for n in view)
        answer = target(*arguments)
        if not returns:
            return said[-1] if said else arguments[0]
        return list(itertools.islice(answer, LONGEST)) if hasattr(answer, "__next__") else answer

    return call


def _growing(spend: Callable[[int], bool]) -> dict[str, Callable[..., Any]]:
    """Return what a counted program calls to make numbers that may be very long."""

    def power(base: Any, exponent: Any) -> Any:  # noqa: ANN401 - whatever is raised
        if _are_whole(base, exponent):
            spend(base.bit_length() * exponent // LIMB_BITS)
        return base**exponent

    def shift(number: Any, bits: Any) -> Any:  # noqa: ANN401 - whatever is shifted
        if _are_whole(number, bits):
            spend((number.bit_length() + bits) // LIMB_BITS)
        return number << bits

    def factor(one: Any, other: Any) -> Any:  # noqa: ANN401 - whatever is multiplied
        if isinstance(one, int) and isinstance(other, int):
            spend(one.bit_length() * other.bit_length() // SQUARE_BITS)
        return other

    return {"_power_": power, "_shift_": shift, "_factor_": factor}


def _are_whole(number: object, by: object) -> bool:
    """Whether an integer grows by so much."""
    return isinstance(number, int) and isinstance(by, int) and by > 0


def limited(call: Callable[..., Any], meter: Meter) -> Callable[..., Any]:
    """Make a function whose calls raise when they work too much."""
    return lambda *arguments: meter.call(call, *arguments)


def _asked(*_prompt: object) -> None:
    raise EOFError


def found(space: dict[str, Any], name: str) -> Callable[..., Any]:
    """Find what a name of `signatures` stands for."""
    owner, _, method = name.partition(".")
    if not method:
        target: Callable[..., Any] = space[name]
        return target
    if owner.endswith("(*)"):
        made = space[owner[:-3]]
        return lambda *arguments: getattr(made(*arguments), method)()
    made = space[owner[:-2]]
    return lambda *arguments: getattr(made(), method)(*arguments)  # noqa: PLW0108 - a new object


def trial(
    source: str,
    name: str,
    returns: bool,  # noqa: FBT001 - calls have positions only
    kinds: Sequence[str],
    table: bytes,
) -> list[list[int]]:
    """Say which problems of the table a function may solve."""
    sys.stdout = sys.stderr = io.StringIO()
    passed: list[list[int]] = []
    slow: list[list[int]] = []
    meter = Meter()
    call = adapted(source, name, None, returns=returns, meter=meter)
    for number, view, given, exact, examples in marshal.loads(table):  # noqa: S302 - our own
        if any(a and b and a != b for a, b in zip(kinds, given, strict=False)):
            continue
        outcome = _outcome(call, _same if exact else _alike, examples, meter)
        if outcome is not None:
            (passed if outcome else slow).append([number, view])
        if meter.is_spent():
            return passed
    return passed + (slow if len(slow) <= UNDECIDED else [])


def _outcome(
    call: Callable[..., Any],
    agree: Callable[[Any, Any], bool],
    examples: Sequence[tuple[bytes, Any]],
    meter: Meter,
) -> bool | None:
    """Return True where all examples hold, None where one fails or the first one is slow.

    False says that a later one was slow.
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


def _same(answer: Any, expected: Any) -> bool:  # noqa: ANN401 - any answer
    return bool(answer == expected)


def _alike(answer: Any, expected: Any, depth: int = 0) -> bool:  # noqa: ANN401 - any answer
    """Compare as loosely as any benchmark does: numbers nearly, members in any order."""
    if answer is expected or answer == expected:
        return True
    if isinstance(expected, (int, float)) and isinstance(answer, (int, float)):
        return abs(answer - expected) <= 1e-4 * max(1, abs(expected))
    several = (list, tuple, set, frozenset)
    if isinstance(expected, several) and isinstance(answer, several) and depth < 5:
        if len(answer) != len(expected):
            return False
        if all(_alike(a, b, depth + 1) for a, b in zip(answer, expected, strict=True)):
            return True
        return sorted(map(repr, answer)) == sorted(map(repr, expected))
    return False
