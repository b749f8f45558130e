"""Makes inputs of growing size for a function from its annotations and from calls in the checks.

Without either, the name of an argument may tell its type (`nums`, `text`).

Equal seeds make equal inputs. Every shape has inputs of the same sizes, smallest first. A function
without a sized argument, or with more than one size, raises UnsizedError with the reason.
The inputs are not guaranteed to be the worst ones or to be valid for the task; text is made of the
letters in the checks' calls, if there are any.

>>> sized_calls(infer_arguments(function, checks=()), Random(0))[0].n   # doctest: +SKIP
8
"""

import ast
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from random import Random
from typing import Any

from evolcoder.code.python_ast import Function, literal_of, tree_of

SIZES = tuple(sorted({round(8 * 2 ** (half / 2)) for half in range(19)}))
"""Sizes of sequences: from 8 to 4096, two per doubling."""
NUMBER_SIZES = SIZES + tuple(2**power for power in range(13, 18))
"""Sizes if the argument is a number."""
SMALL_SIZES = tuple(range(3, 17))
"""Sizes for functions that are too slow for the others."""
N_RANDOM = 3
"""Random inputs per size."""


class InputShape(StrEnum):
    """Order and distribution of the elements of an input."""

    RANDOM = "random"
    SORTED = "sorted"
    REVERSED = "reversed"
    EQUAL = "equal"
    SPREAD = "spread"
    TILED = "tiled"
    WRITTEN = "written"
    """Made by a model's generator."""


_OWN_SHAPES: tuple[InputShape, ...] = tuple(
    shape for shape in InputShape if shape is not InputShape.WRITTEN
)


class ArgumentKind(StrEnum):
    """Type of an argument."""

    INTS = "list of numbers"
    TEXTS = "list of texts"
    PAIRS = "list of pairs"
    TEXT = "text"
    TABLE = "table"
    GRAPH = "graph"
    INT = "number"


class UnsizedError(ValueError):
    """No inputs of growing size can be made; the message is the reason."""


@dataclass(frozen=True, slots=True)
class SizedArgument:
    """One argument of a function."""

    kind: ArgumentKind
    """Its type."""
    container: type
    """list, tuple or set, for the kinds that are lists."""
    examples: tuple[Any, ...]
    """Its values in the checks' calls."""


def infer_arguments(
    function: Function, checks: Sequence[str], *, by_name: bool = False
) -> tuple[SizedArgument, ...]:
    """Infer the arguments of a function from calls with literals in checks, and annotations.

    With `by_name`, also from their names. Raises UnsizedError.
    """
    calls = list(example_calls(function.name, checks))
    spec = function.args
    parameters = [*spec.posonlyargs, *spec.args]
    required = parameters[: len(parameters) - len(spec.defaults)] if spec.defaults else parameters
    n_arguments = max([len(required), *map(len, calls)]) if calls else len(required)
    if not n_arguments or any(default is None for default in spec.kw_defaults):
        raise UnsizedError("the function takes no argument of growing size")
    return tuple(
        _argument(one, tuple(call[at] for call in calls if at < len(call)), by_name=by_name)
        for at, one in enumerate(parameters[:n_arguments])
    )


def example_calls(name: str, checks: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the arguments of the calls of a function or method in checks, where they are literals.

    A name stands for the literal that the check assigns to it, if there is only one.
    """
    is_method = not any(hasattr(kind, name) for kind in (list, dict, set, str))
    for check in checks:
        if (tree := tree_of(check)) is None:
            continue
        nodes = list(ast.walk(tree))
        known = _assigned_once(nodes)
        for node in nodes:
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", "") or (is_method and getattr(node.func, "attr", ""))
            if called == name:
                try:
                    yield [_literal(argument, known) for argument in node.args]
                except ValueError:
                    continue


def _assigned_once(nodes: Sequence[ast.AST]) -> dict[str, ast.expr]:
    """Return the values of the names to which something is assigned exactly once."""
    stored = Counter(
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and stored[node.targets[0].id] == 1
    }


def _literal(node: ast.expr, known: Mapping[str, ast.expr]) -> Any:  # noqa: ANN401 - any literal
    return literal_of(known.get(node.id, node) if isinstance(node, ast.Name) else node)


@dataclass(frozen=True, slots=True)
class SizedCall:
    """The arguments of a call of known size."""

    shape: InputShape
    """Order and distribution of its elements."""
    n: int
    """Its size."""
    arguments: list[Any]
    """The arguments."""


def sized_calls(
    arguments: Sequence[SizedArgument], rng: Random, *, small: bool = False
) -> list[SizedCall]:
    """Make calls of every shape and size, smallest first; `N_RANDOM` of the random shape.

    Raises UnsizedError.
    """
    sized = [one for one in arguments if one.kind is not ArgumentKind.INT]
    if not sized and len(arguments) > 1:
        raise UnsizedError("more than one number could be the size")
    if not sized:
        sizes = SMALL_SIZES if small else NUMBER_SIZES
        numbers = {(shape, _number(shape, n)) for shape in _OWN_SHAPES for n in sizes}
        return [SizedCall(shape, n, [n]) for n, shape in sorted((n, shape) for shape, n in numbers)]
    can_tile = any(any(one.examples) for one in sized)
    shapes: list[InputShape] = [
        shape for shape in _OWN_SHAPES if shape is not InputShape.TILED or can_tile
    ]
    shapes = [InputShape.RANDOM] * (N_RANDOM - 1) + shapes
    return [
        SizedCall(shape, n, [_value(one, shape, n, rng) for one in arguments])
        for n in (SMALL_SIZES if small else SIZES)
        for shape in shapes
    ]


_NAMES: tuple[tuple[ArgumentKind, re.Pattern[str]], ...] = (
    (ArgumentKind.TEXTS, re.compile(r"words|strs|strings|names|texts|lines|tokens|word_list")),
    (
        ArgumentKind.INTS,
        re.compile(
            r"(?:my_?|input_?|sorted_?|unsorted_?)?"
            r"(?:arr|array|nums|numbers|lst|list|values|vals|sequence|seq|items|elements"
            r"|integers|ints|prices|heights|scores|xs|ys)\d?"
            r"|(?:arr|array|nums|list|lst)_?[ab12]"
        ),
    ),
    (ArgumentKind.TEXT, re.compile(r"(?:input_?)?(?:s|text|string|str|word|sentence)\d?")),
    (ArgumentKind.GRAPH, re.compile(r"graph|adj|adjacency(?:_list)?")),
    (ArgumentKind.INT, re.compile(r"n|num|number|k|m|target|x|limit|key|value|start|end|length")),
)
"""Usual names of arguments."""


_ODD: Mapping[ArgumentKind, tuple[Any, ...]] = {
    ArgumentKind.INTS: (
        [],
        [0],
        [-1, -1, 2],
        [1.5, 2],
        [1, "a", None],
        None,
        [True, 3],
        [10**9, 1],
    ),
    ArgumentKind.TEXTS: (
        [],
        [""],
        ["a", "A", "a "],
        ["b", 3],
        None,
        ["x y", "é"],
        ["1"],
        ["", "b"],
    ),
    ArgumentKind.PAIRS: (
        [],
        [(1, 1)],
        [(2, 1), (1, 2)],
        [(0, -1)],
        None,
        [(1, 3), (2, 4)],
        [(1,)],
        [()],
    ),
    ArgumentKind.TEXT: ("", " ", "Ab, a!", "a1b2", "éa", None, "A man", "aa\nb"),
    ArgumentKind.TABLE: (
        {},
        {"a": 0},
        {"a": -1, "b": -1},
        None,
        {"A": 1, "a": 2},
        {1: 2},
        {"a": None},
        {"": 1},
    ),
    ArgumentKind.GRAPH: (
        {},
        {0: []},
        {0: [0]},
        {0: [1], 1: [0]},
        None,
        {0: [1]},
        {"a": []},
        {0: [9]},
    ),
    ArgumentKind.INT: (0, 1, -1, 2, 1.5, None, 97, "3"),
}
"""Values of each type that a careless program treats in another way."""


def varied_calls(arguments: Sequence[SizedArgument], rng: Random, n: int) -> list[list[Any]]:
    """Make the arguments of `n` different small calls, the odd ones among them."""
    made = [_varied(one, rng, n) for one in arguments]
    return [list(call) for call in zip(*made, strict=True)]


def _varied(one: SizedArgument, rng: Random, n: int) -> list[Any]:
    odd = list(_ODD[one.kind])
    rng.shuffle(odd)
    odd = [
        one.container(x) if isinstance(x, list) and one.container is not dict else x for x in odd
    ]
    usual = [_usual(one, rng) for _ in range(n - len(odd))]
    return [*one.examples[: n // 4], *usual, *odd][-n:]


def _usual(one: SizedArgument, rng: Random) -> Any:  # noqa: ANN401 - any literal
    """Make a small value of a type, with repeated elements and negative numbers."""
    if one.kind is ArgumentKind.INT:
        return rng.randint(-3, 30)
    if one.kind is ArgumentKind.INTS:
        return one.container(rng.randint(-9, 9) for _ in range(rng.randint(0, 8)))
    if one.kind is ArgumentKind.TEXT:
        return "".join(rng.choice("aabcABz 12,") for _ in range(rng.randint(0, 10)))
    if one.kind is ArgumentKind.TEXTS:
        return one.container(
            rng.choice(("a", "b", "Ab", "ba", "")) for _ in range(rng.randint(0, 6))
        )
    return _value(one, rng.choice(_OWN_SHAPES[:4]), rng.randint(1, 6), rng)


def _argument(node: ast.arg, examples: tuple[Any, ...], *, by_name: bool) -> SizedArgument:
    annotation = ast.unparse(node.annotation).lower() if node.annotation is not None else ""
    bare = annotation.replace("typing.", "")
    for kind, container, fits, prefixes in _KNOWN:
        if examples and all(fits(example) for example in examples if example):
            if any(examples) or kind is ArgumentKind.INT:
                return SizedArgument(kind, _container(examples, container), examples)
        elif not examples and any(bare.startswith(prefix) for prefix in prefixes):
            return SizedArgument(kind, tuple if annotation.startswith("tuple") else container, ())
    if by_name and not examples and not bare:
        for kind, pattern in _NAMES:
            if pattern.fullmatch(node.arg.lower()):
                return SizedArgument(kind, dict if kind is ArgumentKind.GRAPH else list, ())
    raise UnsizedError(f"no size is known for the argument {node.arg}")


def _container(examples: tuple[Any, ...], default: type) -> type:
    kinds = {type(example) for example in examples}
    return kinds.pop() if len(kinds) == 1 and kinds <= {list, tuple, set} else default


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
    if one.kind is ArgumentKind.INT:
        return _secondary_number(one, shape, n)
    if shape is InputShape.TILED and any(one.examples):
        example = max((example for example in one.examples), key=len)
        if not isinstance(example, dict):
            tiled = list(islice(cycle(example), n))
            return "".join(tiled) if one.kind is ArgumentKind.TEXT else one.container(tiled)
    order = list(range(1, n + 1))
    if shape in {InputShape.RANDOM, InputShape.SPREAD}:
        rng.shuffle(order)
    elif shape is InputShape.REVERSED:
        order.reverse()
    elif shape is InputShape.EQUAL:
        order = [n] * n
    if shape is InputShape.SPREAD and one.kind is ArgumentKind.INTS:
        # Small numbers would come out of a set in sorted order.
        order = [_scattered(k) for k in order]
    return _MAKERS[one.kind](one, order)


def _scattered(k: int) -> int:
    return int.from_bytes(hashlib.blake2b(b"%d" % k, digest_size=4).digest())


def _secondary_number(one: SizedArgument, shape: InputShape, n: int) -> int:
    """Return a number argument next to a sized one: a value to search for, or a count."""
    shown = [example for example in one.examples if isinstance(example, int)]
    values: Mapping[InputShape, int] = {
        InputShape.RANDOM: n // 2,
        InputShape.SORTED: n,
        InputShape.REVERSED: max(1, n // 3),
        InputShape.EQUAL: n - 1,
        InputShape.SPREAD: n,
        InputShape.TILED: max(shown, default=1),
    }
    return values[shape]


def _number(shape: InputShape, n: int) -> int:
    """Return n, the power of two below, that minus one, or the prime below, by shape."""
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
    """Make words of equal length, no two of which are anagrams."""
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
    """Make a chain in the given order, each node linked to the next two."""
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
