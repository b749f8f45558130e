"""Runs inside the sandbox: one function of a training answer against many problems' examples.

This file is sent as text. Standard library only, and nothing here is trusted once a function has
begun to run: what it says about a pair of function and problem is only a reason to look closer.
"""

import builtins
import io
import itertools
import marshal
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

TICK_S = 0.04
"""A call that is still running at the second tick after its begin is ended."""
HASTY_S = 0.01
"""The tick for a function that was slow several times."""
PATIENCE = 4
"""Slow calls until the tick gets shorter."""
MOST_SLOW = 16
"""Slow calls until the function is given up."""
UNDECIDED = 2
"""So many problems on which a function was slow may still be its own."""
LONGEST = 10_000
"""Members that are taken of an iterator."""


class Slow(BaseException):
    """A call took too long."""


class GiveUp(BaseException):
    """Too many did."""


class Watch:
    """Ends calls that take too long, by processor time."""

    def __init__(self) -> None:
        self.call = 0
        self.is_idle = False
        self.seen = -1
        self.n_slow = 0
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_idle or self.call != self.seen:
            self.seen = self.call
            return
        self.n_slow += 1
        if self.n_slow == PATIENCE:
            signal.setitimer(signal.ITIMER_PROF, HASTY_S, HASTY_S)
        raise GiveUp if self.n_slow > MOST_SLOW else Slow


def adapted(source: str, name: str, view: Sequence[int] | None, *, returns: bool) -> Any:  # noqa: ANN401
    """Make a function that can be called as the benchmark does, and answers by returning.

    Of a function that never returns a value, what it printed last is the answer, or else its first
    argument, which it may have changed in place.
    """
    said: list[object] = []
    space: dict[str, Any] = {"__name__": "candidate", "__builtins__": builtins}
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


def timed(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function whose calls raise when they take too long."""
    watch = Watch()
    watch.is_idle = True

    def limited(*arguments: Any) -> object:  # noqa: ANN401 - whatever it is called with
        watch.call += 1
        watch.is_idle = False
        try:
            return call(*arguments)
        finally:
            watch.is_idle = True

    return limited


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
    watch = Watch()
    try:
        call = adapted(source, name, None, returns=returns)
        for number, view, given, exact, examples in marshal.loads(table):  # noqa: S302 - our own
            if any(a and b and a != b for a, b in zip(kinds, given, strict=False)):
                continue
            outcome = _outcome(call, _same if exact else _alike, examples, watch)
            if outcome is not None:
                (passed if outcome else slow).append([number, view])
    except GiveUp:
        slow = []
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return passed + (slow if len(slow) <= UNDECIDED else [])


def _outcome(
    call: Callable[..., Any],
    agree: Callable[[Any, Any], bool],
    examples: Sequence[tuple[bytes, Any]],
    watch: Watch,
) -> bool | None:
    """Return True where all examples hold, None where one fails or the first one is slow.

    False says that a later one was slow.
    """
    n_right = 0
    try:
        for arguments, expected in examples:
            watch.call += 1
            given = marshal.loads(arguments)  # noqa: S302 - our own
            if not agree(call(*given), expected):
                return None
            n_right += 1
    except Slow:
        return False if n_right else None
    except GiveUp:
        raise
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
