"""Inputs of growing size for a function, made from its annotations and from calls in the checks.

Promises: equal seeds make equal inputs; every shape holds inputs of the same sizes, smallest first.
A function whose arguments say nothing of a size, or more than one, gets none, with the reason.
Does not promise that the inputs are the worst ones, nor that they are such as the task allows:
elements are taken from the checks' alphabet where they show one.
"""

import ast
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from random import Random
from typing import Any

from evolcoder.code.python_ast import Function

SIZES = tuple(sorted({round(8 * 2 ** (half / 2)) for half in range(19)}))
"""Sizes of sequences: from 8 to 4096, two for every doubling."""
VALUES = SIZES + tuple(2**power for power in range(13, 18))
"""Sizes where the argument is a number."""
SMALL = tuple(range(3, 17))
"""Sizes for what grows too fast for the others."""
N_RANDOM = 3
"""Random inputs of every size."""


class InputShape(StrEnum):
    """How the elements of an input lie."""

    RANDOM = "random"
    SORTED = "sorted"
    REVERSED = "reversed"
    EQUAL = "equal"
    SPREAD = "spread"
    TILED = "tiled"


class ArgumentKind(StrEnum):
    """What an argument is."""

    INTS = "list of numbers"
    TEXTS = "list of texts"
    PAIRS = "list of pairs"
    TEXT = "text"
    TABLE = "table"
    GRAPH = "graph"
    INT = "number"


class UnsizedError(ValueError):
    """There is no input of growing size, for the reason that it tells."""


@dataclass(frozen=True, slots=True)
class SizedArgument:
    """One argument of a function."""

    sort: ArgumentKind
    """What it is."""
    container: type
    """list, tuple or set, for the sorts that are lists."""
    examples: tuple[Any, ...]
    """Values that the checks have for it."""


def arguments_of(function: Function, checks: Sequence[str]) -> tuple[SizedArgument, ...]:
    """Read what a function wants from its annotations and from calls with literals."""
    if isinstance(function, ast.AsyncFunctionDef):
        raise UnsizedError("the function is async")
    calls = list(example_calls(function.name, checks))
    spec = function.args
    given = [*spec.posonlyargs, *spec.args]
    needed = given[: len(given) - len(spec.defaults)] if spec.defaults else given
    wanted = max([len(needed), *map(len, calls)]) if calls else len(needed)
    if not wanted or any(default is None for default in spec.kw_defaults):
        raise UnsizedError("the function takes no argument that could grow")
    return tuple(
        _argument(one, tuple(call[at] for call in calls if at < len(call)))
        for at, one in enumerate(given[:wanted])
    )


def example_calls(name: str, checks: Sequence[str]) -> Iterator[list[Any]]:
    """Find the calls of a function with literals in checks."""
    for check in checks:
        try:
            nodes = list(ast.walk(ast.parse(check)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                try:
                    yield [ast.literal_eval(argument) for argument in node.args]
                except (ValueError, TypeError, RecursionError):
                    continue


@dataclass(frozen=True, slots=True)
class SizedCall:
    """One input of a known size."""

    shape: InputShape
    """How its elements lie."""
    n: int
    """Its size."""
    arguments: list[Any]
    """The arguments."""


def calls(
    arguments: Sequence[SizedArgument], rng: Random, *, small: bool = False
) -> list[SizedCall]:
    """Make inputs of every shape, the smallest first; of the random shape several."""
    scaled = [one for one in arguments if one.sort is not ArgumentKind.INT]
    if not scaled and len(arguments) > 1:
        raise UnsizedError("more than one number could be the size")
    if not scaled:
        numbers = {
            (shape, _number(shape, n)) for shape in InputShape for n in (SMALL if small else VALUES)
        }
        return [SizedCall(shape, n, [n]) for n, shape in sorted((n, shape) for shape, n in numbers)]
    tiles = any(any(one.examples) for one in scaled)
    drawn = [shape for shape in InputShape if shape is not InputShape.TILED or tiles]
    drawn = [InputShape.RANDOM] * (N_RANDOM - 1) + drawn
    return [
        SizedCall(shape, n, [_value(one, shape, n, rng) for one in arguments])
        for n in (SMALL if small else SIZES)
        for shape in drawn
    ]


def _argument(node: ast.arg, examples: tuple[Any, ...]) -> SizedArgument:
    told = ast.unparse(node.annotation).lower() if node.annotation is not None else ""
    for sort, container, fits, written in _KNOWN:
        if examples and all(fits(example) for example in examples if example):
            if any(examples) or sort is ArgumentKind.INT:
                return SizedArgument(sort, _container(examples, container), examples)
        elif not examples and any(told.replace("typing.", "").startswith(one) for one in written):
            return SizedArgument(sort, tuple if told.startswith("tuple") else container, ())
    raise UnsizedError(f"the argument {node.arg} has no size that we know")


def _container(examples: tuple[Any, ...], usual: type) -> type:
    kinds = {type(example) for example in examples}
    return kinds.pop() if len(kinds) == 1 and kinds <= {list, tuple, set} else usual


def _all(kinds: type | tuple[type, ...]) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:  # noqa: ANN401 - any literal
        return isinstance(value, list | tuple | set) and all(
            isinstance(one, kinds) and not isinstance(one, bool) for one in value
        )

    return fits


def _pairs(value: Any) -> bool:  # noqa: ANN401 - any literal
    return isinstance(value, list) and all(
        isinstance(one, list | tuple) and len(one) == 2 and _all(int)(one) for one in value
    )


def _graph(value: Any) -> bool:  # noqa: ANN401 - any literal
    return isinstance(value, dict) and all(isinstance(one, list) for one in value.values())


_KNOWN: tuple[tuple[ArgumentKind, type, Callable[[Any], bool], tuple[str, ...]], ...] = (
    (ArgumentKind.INT, int, lambda v: isinstance(v, int) and not isinstance(v, bool), ("int",)),
    (ArgumentKind.TEXT, str, lambda v: isinstance(v, str), ("str",)),
    (
        ArgumentKind.INTS,
        list,
        _all((int, float)),
        ("list[int", "list[float", "sequence[int", "iterable[int", "tuple[int, ...", "list[t]"),
    ),
    (ArgumentKind.TEXTS, list, _all(str), ("list[str", "sequence[str", "iterable[str")),
    (ArgumentKind.PAIRS, list, _pairs, ("list[tuple[int, int]",)),
    (ArgumentKind.GRAPH, dict, _graph, ("dict[int, list[int", "dict[str, list[str")),
    (
        ArgumentKind.TABLE,
        dict,
        lambda v: isinstance(v, dict) and all(isinstance(one, int) for one in v.values()),
        ("dict[str, int", "dict[int, int"),
    ),
)


def _value(one: SizedArgument, shape: InputShape, n: int, rng: Random) -> Any:  # noqa: ANN401
    if one.sort is ArgumentKind.INT:
        return _companion(one, shape, n)
    if shape is InputShape.TILED and any(one.examples):
        example = max((example for example in one.examples), key=len)
        if not isinstance(example, dict):
            tiled = list(islice(cycle(example), n))
            return "".join(tiled) if one.sort is ArgumentKind.TEXT else one.container(tiled)
    order = list(range(1, n + 1))
    if shape in {InputShape.RANDOM, InputShape.SPREAD}:
        rng.shuffle(order)
    elif shape is InputShape.REVERSED:
        order.reverse()
    elif shape is InputShape.EQUAL:
        order = [n] * n
    if shape is InputShape.SPREAD and one.sort is ArgumentKind.INTS:
        # Far apart, so that a set of them does not come out sorted.
        order = [_scattered(k) for k in order]
    return _MAKERS[one.sort](one, order)


def _scattered(k: int) -> int:
    return int.from_bytes(hashlib.blake2b(b"%d" % k, digest_size=4).digest())


def _companion(one: SizedArgument, shape: InputShape, n: int) -> int:
    """Return a number beside what grows: something to search for or to count with."""
    shown = [example for example in one.examples if isinstance(example, int)]
    usual: Mapping[InputShape, int] = {
        InputShape.RANDOM: n // 2,
        InputShape.SORTED: n,
        InputShape.REVERSED: max(1, n // 3),
        InputShape.EQUAL: n - 1,
        InputShape.SPREAD: n,
        InputShape.TILED: max(shown, default=1),
    }
    return usual[shape]


def _number(shape: InputShape, n: int) -> int:
    """Make a number near n: itself, the power of two below, one less than that, the prime below."""
    power = 1 << (n.bit_length() - 1)
    if shape is InputShape.REVERSED:
        return next((p for p in range(n, 2, -1) if _is_prime(p)), 3)
    return {
        InputShape.RANDOM: n,
        InputShape.SORTED: power,
        InputShape.EQUAL: max(2, power - 1),
    }.get(shape, n)


def _is_prime(n: int) -> bool:
    return all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


def _numbers(one: SizedArgument, order: list[int]) -> Any:  # noqa: ANN401
    return one.container(order)


def _texts(one: SizedArgument, order: list[int]) -> Any:  # noqa: ANN401
    """Make words of equal length, no two of which hold the same letters."""
    counts = [[k // 8**place % 8 for place in range(5)] for k in order]
    words = ["".join(letter * n for letter, n in zip("abcde", c, strict=True)) for c in counts]
    return one.container(word.ljust(35, "z") for word in words)


def _pair_list(one: SizedArgument, order: list[int]) -> list[Any]:
    shown = [pair for example in one.examples for pair in example]
    as_lists = bool(shown) and isinstance(shown[0], list)
    return [[3 * k, 3 * k + 4] if as_lists else (3 * k, 3 * k + 4) for k in order]


def _text(one: SizedArgument, order: list[int]) -> str:
    seen = "".join(sorted({letter for example in one.examples for letter in example}))
    letters = seen or "abcdefghijklmnopqrstuvwxyz"
    return "".join(letters[k * len(letters) // (len(order) + 1)] for k in order)


def _table(one: SizedArgument, order: list[int]) -> dict[Any, int]:
    textual = any(isinstance(key, str) for example in one.examples for key in example)
    return {(f"k{place}" if textual else place): k for place, k in enumerate(order)}


def _graph_of(one: SizedArgument, order: list[int]) -> dict[Any, list[Any]]:
    """Make a chain in the order given, each node with the next two."""
    textual = any(isinstance(key, str) for example in one.examples for key in example)
    nodes = [str(k) if textual else k for k in dict.fromkeys([*range(len(order)), *order])]
    return {node: nodes[at + 1 : at + 3] for at, node in enumerate(nodes)}


_MAKERS: Mapping[ArgumentKind, Callable[[SizedArgument, list[int]], Any]] = {
    ArgumentKind.INTS: _numbers,
    ArgumentKind.TEXTS: _texts,
    ArgumentKind.PAIRS: _pair_list,
    ArgumentKind.TEXT: _text,
    ArgumentKind.TABLE: _table,
    ArgumentKind.GRAPH: _graph_of,
}
