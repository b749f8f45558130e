"""Example calls of benchmark problems, further inputs like them, and how to pass their arguments.

Examples are calls from a problem's own tests with the reference's answers, most informative first.
Tests that are not just calls with literals are run once in the sandbox, with a recording reference.
A `View` maps a problem's arguments to those of a function: permuted, without an argument that is
the length of another, or with such an argument added.

On further inputs, a function that passes weak tests is compared with the reference (`agreement`).
`inputs_like` mutates the examples. `inputs_drawn` draws inputs with their types and shapes: numbers
reach twice as far as in the examples, and below zero only if an example does; strings use letters
or digits only if the examples do, but then all of them; lists vary in length and are never empty.
So they cover what tests with small ordered numbers or few letters miss. The same examples and seed
give the same inputs; the reference later decides in the sandbox which are valid.

>>> (await examples_of(problem, sandbox))[0].arguments   # doctest: +SKIP
([1, 2, 3],)
>>> inputs_like([ProblemExample(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([1, 3],)
>>> inputs_drawn([ProblemExample(([3, 1],), [1, 3], True)], seed="Mbpp/54")[0]   # doctest: +SKIP
([9, 3, 4],)
"""

import itertools
import json
import marshal
import random
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from evolcoder.bench.base import AssertChecks, Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import KINDS
from evolcoder.grading.asserts import parse_equality_asserts
from evolcoder.grading.calls import run_calls
from evolcoder.ids import rng_for
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


N_MUTATED = 32
"""Maximum number of inputs."""

Arguments = tuple[Any, ...]


def inputs_like(examples: Sequence[ProblemExample], *, seed: str) -> list[Arguments]:
    """Return distinct mutations of a problem's examples, at most `N_MUTATED`."""
    rng = rng_for(0, "further", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    lengths = find_lengths(examples)
    made = {
        as_text(one): one for one in (_mutated(given, lengths, rng) for _ in range(2 * N_MUTATED))
    }
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_MUTATED]


def _mutated(
    given: Sequence[Arguments], lengths: Sequence[tuple[int, int]], rng: random.Random
) -> Arguments:
    base = list(rng.choice(given))
    other = rng.choice(given)
    for place, value in enumerate(base):
        base[place] = _mutate(other[place] if rng.random() < 0.3 else value, rng)
    return update_lengths(base, lengths)


def _mutate(value: Any, rng: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - plain data
    change = _MUTATIONS.get(type(value))
    return change(value, rng, depth) if change and depth < 4 else value


def _mutate_number(value: Any, rng: random.Random, _depth: int) -> Any:  # noqa: ANN401
    step = rng.choice((-2, -1, 0, 1, 2, 3, value))
    changed = value + step
    return abs(changed) if value >= 0 else changed


def _mutate_text(value: str, rng: random.Random, _depth: int) -> str:
    letters = list(value)
    match rng.randrange(4):
        case 0:
            rng.shuffle(letters)
        case 1:
            del letters[rng.randrange(len(letters) + 1) :]
        case 2:
            letters.insert(rng.randrange(len(letters) + 1), rng.choice(value or " "))
        case _:
            letters = letters[::-1]
    return "".join(letters)


def _mutate_sequence(value: Any, rng: random.Random, depth: int) -> Any:  # noqa: ANN401
    items = list(value)
    match rng.randrange(5):
        case 0:
            rng.shuffle(items)
        case 1 if len(items) > 1:
            del items[rng.randrange(len(items))]
        case 2 if items:
            items.append(rng.choice(items))
        case _ if items:
            place = rng.randrange(len(items))
            items[place] = _mutate(items[place], rng, depth + 1)
    return type(value)(items)


def _mutate_mapping(value: dict[Any, Any], rng: random.Random, depth: int) -> dict[Any, Any]:
    return {key: _mutate(one, rng, depth + 1) for key, one in value.items()}


_MUTATIONS: dict[type, Callable[[Any, random.Random, int], Any]] = {
    bool: lambda value, rng, _depth: value ^ (rng.random() < 0.5),
    int: _mutate_number,
    float: _mutate_number,
    str: _mutate_text,
    list: _mutate_sequence,
    tuple: _mutate_sequence,
    dict: _mutate_mapping,
}


N_DRAWN = 32
"""Maximum number of inputs."""
REUSE_PROBABILITY = 0.4
"""Probability of reusing a number from the examples, so that equal members occur."""
CHARACTER_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
"""Classes of interchangeable characters; other characters are only taken from the examples."""
ALPHABET_SIZES = (3, 6, 20)
"""Numbers of distinct characters in a string, some small so that characters repeat."""
MAX_EXACT = 1 << 53
"""Beyond this, numbers are reused instead of drawn: floats no longer represent every integer."""
MAX_RECORD_LENGTH = 3
"""Tuples of up to this length are records and keep their length."""


@dataclass(slots=True)
class _SeenValues:
    """Values of one argument in the examples."""

    numbers: list[float] = field(default_factory=list)
    """Numbers at any depth."""
    texts: list[str] = field(default_factory=list)
    """Strings at any depth."""
    longest: int = 1
    """Length of the longest list."""

    def add(self, value: Any) -> None:  # noqa: ANN401 - plain data
        """Record a value and its members."""
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers.append(value)
        elif isinstance(value, list | tuple):
            self.longest = max(self.longest, len(value))
            self._all(value)
        elif isinstance(value, dict):
            self._all([*value.keys(), *value.values()])

    def _all(self, values: Iterable[Any]) -> None:
        for value in values:
            self.add(value)


def inputs_drawn(examples: Sequence[ProblemExample], *, seed: str) -> list[Arguments]:
    """Return distinct random inputs, at most `N_DRAWN`."""
    rng = rng_for(0, "drawn", seed)
    small = [one for one in examples if not any(map(is_large, one.arguments))]
    given = [one.arguments for one in small or examples]
    places = [_SeenValues() for _ in given[0]]
    for arguments in given:
        for place, value in zip(places, arguments, strict=True):
            place.add(value)
    lengths = find_lengths(examples)
    made = {}
    for _ in range(2 * N_DRAWN):
        shape = zip(rng.choice(given), places, strict=True)
        one = update_lengths([_drawn(value, seen, rng) for value, seen in shape], lengths)
        made[as_text(one)] = one
    known = {as_text(arguments) for arguments in given}
    return [one for text, one in made.items() if text not in known][:N_DRAWN]


def _drawn(value: Any, seen: _SeenValues, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    match value:
        case bool():
            return rng.random() < 0.5
        case int() | float():
            return _drawn_number(type(value), seen.numbers, rng)
        case str() if any(seen.texts):
            return _drawn_text(seen.texts, rng)
        case list() | tuple() | dict() if value:
            return _drawn_container(value, seen, rng)
    return value


def _drawn_container(value: Any, seen: _SeenValues, rng: random.Random) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return {_drawn(k, seen, rng): _drawn(v, seen, rng) for k, v in value.items()}
    if isinstance(value, tuple) and len(value) <= MAX_RECORD_LENGTH:
        return tuple(_drawn(one, seen, rng) for one in value)
    size = rng.randint(1, seen.longest + 1)
    return type(value)(_drawn(rng.choice(value), seen, rng) for _ in range(size))


def _drawn_number(kind: type, seen: Sequence[float], rng: random.Random) -> Any:  # noqa: ANN401
    same_type = [one for one in seen if type(one) is kind]
    if rng.random() < REUSE_PROBABILITY or not all(-MAX_EXACT < one < MAX_EXACT for one in seen):
        return rng.choice(same_type)
    most = int(2 * max(map(abs, seen))) + 5
    least = -most if min(seen) < 0 else int(min(seen) > 0)
    whole = rng.randint(least, most)
    return whole if kind is int else whole + round(rng.random(), 2)


def _drawn_text(seen: Sequence[str], rng: random.Random) -> str:
    characters = "".join(seen)
    sizes = [len(one) for one in seen]
    met = [kind for kind in CHARACTER_CLASSES if set(kind) & set(characters)]
    letters = "".join(sorted({*characters, *(one for kind in met for one in kind)}))
    if rng.random() < REUSE_PROBABILITY:
        letters = characters
    size = 1 if max(sizes) == 1 else rng.randint(min(1, *sizes), max(sizes) + 3)
    some = rng.sample(letters, min(len(letters), rng.choice(ALPHABET_SIZES)))
    return "".join(rng.choices(some, k=size))
