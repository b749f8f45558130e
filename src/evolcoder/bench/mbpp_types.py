"""The Python types of MBPP+ inputs, which JSON cannot tell: tuples and complex numbers.

MBPP+ stores inputs as JSON; by problem, EvalPlus 0.3.1 turns some lists back into what the function
is called with. The same table, as data. Problems that are not in it take JSON's own types.

>>> shaped(106, [[[5, 6], [9, 10]]])
(([5, 6], (9, 10)),)
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A value of JSON."""
Arguments = tuple[Value, ...]
"""The positional arguments of one call."""


def shaped(number: int, inputs: Iterable[Sequence[Value]]) -> tuple[Arguments, ...]:
    """Give the inputs of the problem with this number their Python types."""
    shape = _SHAPES.get(number, tuple)
    return tuple(shape(arguments) for arguments in inputs)


def _tuples(value: Value) -> list[Value]:
    return [tuple(item) for item in value]


def _each_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return tuple(_tuples(arguments))


def _each_a_list_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return tuple(_tuples(argument) for argument in arguments)


def _each_a_tuple_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return tuple(tuple(_tuples(argument)) for argument in arguments)


def _first_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return (tuple(arguments[0]), *arguments[1:])


def _second_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return (arguments[0], tuple(arguments[1]))


def _first_a_list_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return (_tuples(arguments[0]), *arguments[1:])


def _all_tuples(value: Value) -> Value:
    return tuple(_all_tuples(item) for item in value) if isinstance(value, list) else value


def _values_are_tuples(arguments: Sequence[Value]) -> Arguments:
    return ({key: tuple(value) for key, value in arguments[0].items()}, *arguments[1:])


def _one_level_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return (tuple(tuple(item) if isinstance(item, list) else item for item in arguments[0]),)


_BY_SHAPE: tuple[tuple[Callable[[Sequence[Value]], Arguments], str], ...] = (
    (
        _each_a_tuple,
        "2 116 132 222 261 273 394 421 424 429 470 560 579 596 616 630 726 740 744 809",
    ),
    (_each_a_list_of_tuples, "63 64 70 94 120 237 272 299 409 473 614 780"),
    (_each_a_tuple_of_tuples, "259 445"),
    (_first_a_tuple, "250 405 446 720 763 808"),
    (_second_a_tuple, "106 750"),
    (_first_a_list_of_tuples, "75 413 753"),
    (_one_level_of_tuples, "278"),
    (_all_tuples, "580 615 791"),
    (_values_are_tuples, "722"),
    (lambda arguments: (float(arguments[0]), complex(arguments[1])), "124"),
    (lambda arguments: (complex(arguments[0]),), "252"),
)
_SHAPES = {int(number): shape for shape, numbers in _BY_SHAPE for number in numbers.split()}
"""Task number -> how its arguments are shaped."""
