"""Example calls of benchmark problems, and the ways to map their arguments to other signatures.

Examples are calls from a problem's own tests with the reference's answers, most informative first.
Tests that are not just calls with literals are run once in the sandbox, with a recording reference.
A `View` maps a problem's arguments to those of a function: permuted, without an argument that is
the length of another, or with such an argument added.

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
from evolcoder.grading.asserts import parse_equality_asserts
from evolcoder.grading.calls import run_calls
from evolcoder.safe_codec import NotPlainError, decode, encode
from evolcoder.sandbox.base import Limits, Sandbox

LIMITS = Limits(cpu_s=20, wall_s=60)
"""Limits of running a reference with its own tests."""
MAX_EXAMPLES = 6
"""Maximum examples per problem: nearly all wrong functions fail on the first."""
MAX_ARGUMENT_BYTES = 2_000
"""Maximum size of an example's arguments, in bytes."""
MAX_RECORDED = 50
"""Maximum recorded calls per test."""
_RECORDED_CHARS = 4 * MAX_ARGUMENT_BYTES
"""Maximum length of a recorded call."""
LARGE = 5_000
"""Examples with integers above this are tried last."""
MAX_PERMUTED = 3
"""Maximum number of arguments that are permuted."""
_RECORDER = """
import marshal
from evolcoder.safe_codec import encode
def record(reference, test, name, check, most, largest):
    space = {"__name__": "reference"}
    exec(reference, space)
    calls = []
    def spy(*arguments):
        given = marshal.dumps(arguments, 2)
        answer = space[name](*arguments)
        answered = marshal.dumps(answer, 2)
        if len(calls) < most:
            calls.append(None)
            if len(given) + len(answered) <= largest + 10:
                calls[-1] = encode((marshal.loads(given), marshal.loads(answered))).decode()
        return answer
    tester = {"__name__": "test", name: spy}
    exec(test, tester)
    if check:
        tester[check](spy)
    return [call for call in calls if call]
"""

View = tuple[int, ...]
"""For each argument of the function, the index of the problem's argument, or the bitwise complement
of the index of the argument whose length it is."""


@dataclass(frozen=True, slots=True)
class ProblemExample:
    """A call of a problem's function."""

    arguments: tuple[Any, ...]
    """Plain values, in the problem's order."""
    expected: Any
    """The reference's answer."""
    exact: bool
    """Whether the test requires this exact answer."""


async def examples_of(problem: Problem, sandbox: Sandbox) -> tuple[ProblemExample, ...]:
    """Return a problem's examples, most informative first; empty if none has plain values."""
    names = entry_points(problem)
    if len(names) != 1 or not isinstance(problem.checks, AssertChecks):
        return ()
    checks = problem.checks
    found = parse_equality_asserts(checks.test_source, names[0], checks.check)
    exact = found is not None
    if found is None:
        arguments = [problem.reference, checks.test_source, names[0], checks.check]
        given = [[*arguments, MAX_RECORDED, MAX_ARGUMENT_BYTES]]
        lines, _ = await run_calls(sandbox, _RECORDER, "record", given, LIMITS)
        found = list(_parse_recorded(lines))
    small = [pair for pair in found if _is_small(pair)]
    arity = len(small[0][0]) if small else 0
    return _choose([ProblemExample(*pair, exact) for pair in small if len(pair[0]) == arity])


def _parse_recorded(lines: Sequence[bytes]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Parse the recorded calls, each encoded separately to bound decoding time."""
    if not lines or len(lines[0]) > MAX_RECORDED * _RECORDED_CHARS:
        return
    try:
        recorded = json.loads(lines[0])
    except (ValueError, RecursionError):
        return
    match recorded:
        case ["l", "value", ["l", *texts]] if len(texts) <= MAX_RECORDED:
            yield from filter(None, map(_parse_call, texts))


def _parse_call(text: object) -> tuple[tuple[Any, ...], Any] | None:
    if not isinstance(text, str) or len(text) > _RECORDED_CHARS:
        return None
    with suppress(NotPlainError):
        match decode(text.encode("utf-8", "replace")):
            case (tuple(arguments), expected):
                return arguments, expected
    return None


def _is_small(pair: tuple[tuple[Any, ...], Any]) -> bool:
    try:
        return len(marshal.dumps(pair, 2)) <= MAX_ARGUMENT_BYTES
    except ValueError:
        return False


def _choose(examples: Sequence[ProblemExample]) -> tuple[ProblemExample, ...]:
    """Choose examples: informative before uninformative, small before large, answers varied."""
    ordered = sorted(examples, key=lambda one: (_sort_key(one), len(as_text(one.arguments))))
    seen: dict[str, int] = {}
    turns = []
    for place, one in enumerate(ordered):
        shown = as_text(one.expected)
        seen[shown] = seen.get(shown, -1) + 1
        turns.append((seen[shown], place, one))
    return tuple(one for _, _, one in sorted(turns, key=lambda turn: turn[:2])[:MAX_EXAMPLES])


def as_text(value: object) -> str:
    """Return repr(value), or its encoding if an integer exceeds Python's digit limit."""
    try:
        return repr(value)
    except ValueError:
        return encode(value).decode("ascii")


def _sort_key(example: ProblemExample) -> tuple[bool, int]:
    """Sort key: calls with large integers last, on which unrelated functions may loop for long."""
    return any(is_large(one) for one in example.arguments), _chance_rank(example)


def is_large(value: object) -> bool:
    """Whether a value is an integer on which an unrelated function may loop for long."""
    return isinstance(value, int) and abs(value) > LARGE


def _chance_rank(example: ProblemExample) -> int:
    """Rank how easily an answer is matched by chance."""
    expected = example.expected
    if expected is None or isinstance(expected, bool):
        return 3
    if any(expected == one and type(expected) is type(one) for one in example.arguments):
        return 2
    return 2 if not expected or expected in (1, -1) else 1


def argument_views(examples: Sequence[ProblemExample]) -> tuple[View, ...]:
    """Return the views under which functions may be called, the identity first."""
    arity = len(examples[0].arguments)
    if not 1 <= arity <= MAX_PERMUTED:
        return (tuple(range(arity)),)
    found = list(itertools.permutations(range(arity)))
    for _, length in find_lengths(examples):
        found += itertools.permutations([n for n in range(arity) if n != length])
    if arity == 1 and all(_is_sized(one) for one in examples):
        found.append((0, ~0))
    return tuple(dict.fromkeys(found))


def _is_sized(example: ProblemExample) -> bool:
    """Whether the only argument has a length, which is not the answer itself."""
    (value,) = example.arguments
    return hasattr(value, "__len__") and example.expected != len(value)


def is_length(arguments: Sequence[Any], place: int, length: int) -> bool:
    """Whether one argument is the length of another."""
    value, count = arguments[place], arguments[length]
    return type(count) is int and hasattr(value, "__len__") and len(value) == count


def is_exact(examples: Iterable[ProblemExample]) -> bool:
    """Whether the test requires exact answers."""
    return all(one.exact for one in examples)


def find_lengths(examples: Sequence[ProblemExample]) -> list[tuple[int, int]]:
    """Return (index, index of its length) for arguments related so in every example."""
    places = itertools.permutations(range(len(examples[0].arguments)), 2)
    return [two for two in places if all(is_length(one.arguments, *two) for one in examples)]


def update_lengths(arguments: Sequence[Any], lengths: Iterable[tuple[int, int]]) -> tuple[Any, ...]:
    """Recompute the arguments that are lengths of others."""
    made = list(arguments)
    for place, length in lengths:
        if hasattr(made[place], "__len__"):
            made[length] = len(made[place])
    return tuple(made)


def apply_view(view: View, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Map a problem's arguments to a function's."""
    return tuple(arguments[n] if n >= 0 else len(arguments[~n]) for n in view)


def argument_types(view: View, examples: Iterable[ProblemExample]) -> tuple[str, ...]:
    """Return the type of each argument under a view; empty where it varies."""
    seen = zip(*(apply_view(view, one.arguments) for one in examples), strict=True)
    kinds = ({KINDS.get(type(value).__name__, "") for value in values} for values in seen)
    return tuple(one.pop() if len(one) == 1 else "" for one in kinds)
