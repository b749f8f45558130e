"""What the first, cheap look at a pair of function and problem is made of: examples and views.

Promises: a problem's examples are calls of its own test with what its reference answers, the
telling ones first; its views are the ways in which a function of another signature could be meant:
its arguments in any order, without a length that says nothing, or with one. A test that is more
than calls and literals is run once in the sandbox with its reference in place, and the calls noted.

>>> (await examples_of(problem, sandbox))[0].arguments   # doctest: +SKIP
([1, 2, 3],)
"""

import itertools
import json
import marshal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from evolcoder.bench.base import AssertChecks, Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import KINDS
from evolcoder.grading.assert_parser import parse_equality_asserts
from evolcoder.grading.calls import run_calls
from evolcoder.safe_codec import NotPlainError, decode, encode
from evolcoder.sandbox.base import Limits, Sandbox

LIMITS = Limits(cpu_s=20, wall_s=60)
"""For a reference and its own test."""
MOST = 6
"""Examples of a problem: nearly all that is wrong fails on the first."""
LARGEST = 2_000
"""Bytes of an example's arguments, at most."""
MOST_RECORDED = 50
"""Calls of a test that are noted."""
_RECORDED_CHARS = 4 * LARGEST
"""Longest text of one of them."""
LARGE = 5_000
"""From so large a number on, an argument is tried late."""
MOST_PERMUTED = 3
"""Arguments of a problem whose order is permuted, at most."""
_RECORDER = """
import marshal
from evolcoder.safe_codec import encode
def record(reference, test, name, check, most, largest):
    space = {"__name__": "reference"}
    exec(reference, space)
    calls = []
    def spy(*arguments):
        held = marshal.dumps(arguments, 2)
        answer = space[name](*arguments)
        told = marshal.dumps(answer, 2)
        if len(calls) < most:
            calls.append(None)
            if len(held) + len(told) <= largest + 10:
                calls[-1] = encode((marshal.loads(held), marshal.loads(told))).decode()
        return answer
    tester = {"__name__": "test", name: spy}
    exec(test, tester)
    if check:
        tester[check](spy)
    return [call for call in calls if call]
"""

View = tuple[int, ...]
"""For each argument that a function gets, the place of the problem's argument that it is, or the
complement of the place of that whose length it is."""


@dataclass(frozen=True, slots=True)
class ProblemExample:
    """A call of a problem's function."""

    arguments: tuple[Any, ...]
    """Plain values, in the order of the benchmark."""
    expected: Any
    """What the reference answers."""
    exact: bool
    """Whether the test wants this very answer, and not one that is as good."""


async def examples_of(problem: Problem, sandbox: Sandbox) -> tuple[ProblemExample, ...]:
    """Return a problem's examples, the telling ones first; none where there is nothing plain."""
    names = entry_points(problem)
    if len(names) != 1 or not isinstance(problem.checks, AssertChecks):
        return ()
    checks = problem.checks
    found = parse_equality_asserts(checks.test_source, names[0], checks.check)
    exact = found is not None
    if found is None:
        told = [problem.reference, checks.test_source, names[0], checks.check]
        given = [[*told, MOST_RECORDED, LARGEST]]
        lines, _ = await run_calls(sandbox, _RECORDER, "record", given, LIMITS)
        found = list(_recorded(lines))
    small = [pair for pair in found if _is_small(pair)]
    arity = len(small[0][0]) if small else 0
    return _chosen([ProblemExample(*pair, exact) for pair in small if len(pair[0]) == arity])


def _recorded(lines: Sequence[bytes]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Read what was noted: each call is a text of its own, so that none takes long to decode."""
    if not lines or len(lines[0]) > MOST_RECORDED * _RECORDED_CHARS:
        return
    try:
        told = json.loads(lines[0])
    except (ValueError, RecursionError):
        return
    match told:
        case ["l", "value", ["l", *texts]] if len(texts) <= MOST_RECORDED:
            yield from filter(None, map(_call_in, texts))


def _call_in(text: object) -> tuple[tuple[Any, ...], Any] | None:
    if not isinstance(text, str) or len(text) > _RECORDED_CHARS:
        return None
    with suppress(NotPlainError):
        match decode(text.encode("utf-8", "replace")):
            case (tuple(arguments), expected):
                return arguments, expected
    return None


def _is_small(pair: tuple[tuple[Any, ...], Any]) -> bool:
    try:
        return len(marshal.dumps(pair, 2)) <= LARGEST
    except ValueError:
        return False


def _chosen(examples: Sequence[ProblemExample]) -> tuple[ProblemExample, ...]:
    """Take the telling examples first, small ones before large, and unlike answers by turns."""
    ordered = sorted(examples, key=lambda one: (_weight(one), len(as_text(one.arguments))))
    seen: dict[str, int] = {}
    turns = []
    for place, one in enumerate(ordered):
        shown = as_text(one.expected)
        seen[shown] = seen.get(shown, -1) + 1
        turns.append((seen[shown], place, one))
    return tuple(one for _, _, one in sorted(turns, key=lambda turn: turn[:2])[:MOST])


def as_text(value: object) -> str:
    """Write a value as Python does, or in hex where its integers have more digits than that."""
    try:
        return repr(value)
    except ValueError:
        return encode(value).decode("ascii")


def _weight(example: ProblemExample) -> tuple[bool, int]:
    """Put calls last that a function of another problem would count through for long."""
    return any(is_large(one) for one in example.arguments), _dullness(example)


def is_large(value: object) -> bool:
    """Whether a function of another problem would count through a number for long."""
    return isinstance(value, int) and abs(value) > LARGE


def _dullness(example: ProblemExample) -> int:
    """Say how easily an answer is met by chance."""
    expected = example.expected
    if expected is None or isinstance(expected, bool):
        return 3
    if any(expected == one and type(expected) is type(one) for one in example.arguments):
        return 2
    return 2 if not expected or expected in (1, -1) else 1


def views_of(examples: Sequence[ProblemExample]) -> tuple[View, ...]:
    """Return the ways to call a function of any fitting signature, the problem's own first."""
    arity = len(examples[0].arguments)
    if not 1 <= arity <= MOST_PERMUTED:
        return (tuple(range(arity)),)
    found = list(itertools.permutations(range(arity)))
    for _, length in lengths_in(examples):
        found += itertools.permutations([n for n in range(arity) if n != length])
    if arity == 1 and all(_is_sized(one) for one in examples):
        found.append((0, ~0))
    return tuple(dict.fromkeys(found))


def _is_sized(example: ProblemExample) -> bool:
    """Whether the one argument has a length that is not itself the answer."""
    (value,) = example.arguments
    return hasattr(value, "__len__") and example.expected != len(value)


def is_length(arguments: Sequence[Any], place: int, length: int) -> bool:
    """Whether one argument is the length of another."""
    value, count = arguments[place], arguments[length]
    return type(count) is int and hasattr(value, "__len__") and len(value) == count


def is_exact(examples: Iterable[ProblemExample]) -> bool:
    """Whether a test wants the very answers of its reference."""
    return all(one.exact for one in examples)


def lengths_in(examples: Sequence[ProblemExample]) -> list[tuple[int, int]]:
    """Return which arguments have another one for their length, in every example: both places."""
    places = itertools.permutations(range(len(examples[0].arguments)), 2)
    return [two for two in places if all(is_length(one.arguments, *two) for one in examples)]


def with_lengths(arguments: Sequence[Any], lengths: Iterable[tuple[int, int]]) -> tuple[Any, ...]:
    """Set those arguments anew that are lengths of others."""
    made = list(arguments)
    for place, length in lengths:
        if hasattr(made[place], "__len__"):
            made[length] = len(made[place])
    return tuple(made)


def seen_by(view: View, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arguments that a function gets under a view."""
    return tuple(arguments[n] if n >= 0 else len(arguments[~n]) for n in view)


def kinds_of(view: View, examples: Iterable[ProblemExample]) -> tuple[str, ...]:
    """Return the kind of value of every argument under a view; empty where they differ."""
    seen = zip(*(seen_by(view, one.arguments) for one in examples), strict=True)
    kinds = ({KINDS.get(type(value).__name__, "") for value in values} for values in seen)
    return tuple(one.pop() if len(one) == 1 else "" for one in kinds)
