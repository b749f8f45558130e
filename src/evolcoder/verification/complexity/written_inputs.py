"""Makes and measures the inputs of a generator that a model wrote, inside the sandbox.

Sent to the sandbox as text together with `op_counter`; standard library only. The generator is
`make_input(n)`. It runs in the same process as the program, whose classes its inputs may need, with
the module `random` seeded, and is ended after `MAX_LINES` lines. Neither it nor the program is
trusted: what is reported here can only lead to no verdict.

What a value stands for depends on the program: the arguments of a function or method, by position
or by name; constructor arguments, the name of a method and its arguments; or the text that a
program reads. `call_forms` returns the readings of a value, likeliest first.

>>> describe([[1, 2], "ab"])[:2]
(6, 2)
>>> [form(([1, 2], 3)) for form in call_forms({"kind": "function", "parameters": ["xs", "k"],
...     "required": 2})][0]
(([1, 2], 3), {})
"""

import functools
import hashlib
import io
import itertools
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# ruff: noqa: ANN401 - values are the candidate's and have any type

ENTRY = "make_input"
"""Name of the generator."""
MAX_LINES = 1_000_000
"""Most lines that a generator may execute for one input."""
MAX_ELEMENTS = 100_000
"""Most elements of an input."""
N_REPEATED = 2
"""Sizes of which two inputs are made and compared."""
SMALL = 8
"""Below this n, a generator may refuse to make an input."""
LARGE, FEW = 4096, 64
"""From this n on, only inputs of so few elements are made: those that are numbers."""
MAX_NUMBER = 1 << 53
"""Larger numbers count as this one."""


class EndlessError(BaseException):
    """A generator executes too many lines."""


class TooLargeError(Exception):
    """An input has too many elements."""


class FormError(Exception):
    """A value is not in the form that was asked for."""


class _Budget:
    """Ends a generator that does not end by itself."""

    def __init__(self) -> None:
        self.n = 0

    def trace(self, _frame: types.FrameType, _event: str, _arg: object) -> Any:
        self.n += 1
        if self.n > MAX_LINES:
            raise EndlessError
        return self.trace


def make(code: types.CodeType, space: dict[str, Any], n: int, seed: int) -> Any:
    """Return the generator's input of a size; `space` holds the names of the program."""
    own = {**space, "__name__": "inputs"}
    exec(code, own)  # noqa: S102 - in the sandbox
    random.seed(seed)
    value = own[ENTRY](n)
    if isinstance(value, types.GeneratorType):
        value = next(value)
    return tuple(map(_items_of, value)) if type(value) is tuple else _items_of(value)


def _items_of(part: Any) -> Any:
    """Return an iterator's items as a list, whose elements can be counted; others unchanged."""
    is_iterator = hasattr(type(part), "__next__")
    if is_iterator and type(part).__module__ in {"builtins", "itertools"}:
        return list(itertools.islice(part, MAX_ELEMENTS + 1))
    return part


def make_in_time(code: types.CodeType, space: dict[str, Any], n: int, seed: int) -> Any:
    """Do the same as `make`; raises EndlessError if the generator executes too many lines."""
    sys.settrace(_Budget().trace)
    try:
        return make(code, space, n, seed)
    finally:
        sys.settrace(None)


def describe(value: Any) -> tuple[int, int, str]:
    """Return the number of elements in a value at all depths, its largest number, and a digest.

    Letters are elements, and so are the attributes of objects. Raises TooLargeError.
    """
    seen, left, n, largest = set[int](), deque([value]), 0, 0
    digest = hashlib.blake2b(digest_size=16)
    while left:
        one = left.popleft()
        digest.update(type(one).__name__.encode())
        if isinstance(one, (int, float, complex, type(None))):
            largest = max(largest, _magnitude(one))
            digest.update((hex(one) if type(one) is int else repr(one)).encode())
            continue
        if isinstance(one, (str, bytes, bytearray)):
            n += len(one)
            digest.update(one.encode("utf-8", "replace") if isinstance(one, str) else one)
        elif id(one) not in seen:
            seen.add(id(one))
            parts = list(_parts(one))
            n += len(parts)
            digest.update(b"%d" % len(parts))
            left.extend(parts)
        if n > MAX_ELEMENTS:
            raise TooLargeError
    return n, largest, digest.hexdigest()


def _magnitude(number: Any) -> int:
    if isinstance(number, int):
        return min(abs(number), MAX_NUMBER)
    is_finite = isinstance(number, float) and abs(number) < MAX_NUMBER
    return int(abs(number)) if is_finite else 0


def _parts(value: Any) -> Iterable[Any]:
    """Return the parts of a container or an object; none of another value."""
    if isinstance(value, dict):
        return [part for item in value.items() for part in item]
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, (list, tuple, deque, range)):
        return list(value) if len(value) <= MAX_ELEMENTS else range(MAX_ELEMENTS + 1)
    if isinstance(value, (type, types.FunctionType, types.ModuleType)):
        return ()
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    found = [getattr(value, name) for name in slots if hasattr(value, name)]
    return [*found, *vars(value).values()] if hasattr(value, "__dict__") else found


def _slots(kind: type) -> Iterator[str]:
    slots = kind.__dict__.get("__slots__", ())
    yield from (slots,) if isinstance(slots, str) else slots


def inspect(job: dict[str, Any], load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Make one input per size, the smallest ones twice; return what is known of each.

    `made` has (size, elements, largest number); `stop` says why there are no larger inputs,
    `repeats` whether equal seeds gave equal inputs, and `varies` whether other seeds gave others.
    A generator may refuse the smallest sizes.
    """
    made: list[tuple[int, int, int]] = []
    stop, repeats, varies = "", True, False
    for n in job["sizes"]:
        try:
            found = describe(make_in_time(job["generator"], load(), n, 0))
            if len(made) < N_REPEATED:
                again, other = (
                    describe(make_in_time(job["generator"], load(), n, seed)) for seed in (0, 1)
                )
                repeats &= again == found
                varies |= other != found
        except (EndlessError, Exception) as error:  # noqa: BLE001 - it may raise anything
            if n >= SMALL:
                stop = _why(error)[:100]
                break
            continue
        made.append((n, *found[:2]))
        if n >= LARGE and found[0] > FEW:
            break
    return {"made": made, "stop": stop, "repeats": repeats, "varies": varies}


def _why(error: BaseException) -> str:
    if isinstance(error, EndlessError):
        return "does not end"
    if isinstance(error, (TooLargeError, MemoryError)):
        return "makes too large inputs"
    if isinstance(error, ImportError):
        return f"needs {error.name}"
    return f"raises {type(error).__name__}"


Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a call by position and by name."""
Form = Callable[[Any], Arguments]
"""A reading of a value; raises FormError if the value is not in that form."""


def call_forms(job: dict[str, Any]) -> list[Form]:
    """Return the ways in which a value may stand for the arguments of a function or method."""
    by_name = functools.partial(_by_name, job)
    by_position = functools.partial(_by_position, job)
    return [by_name, by_position, _single] if job["required"] != 1 else [by_name, _tuple, _single]


def _by_name(job: dict[str, Any], value: Any) -> Arguments:
    if isinstance(value, dict) and value and set(value) <= set(job["parameters"]):
        return (), dict(value)
    raise FormError


def _by_position(_job: dict[str, Any], value: Any) -> Arguments:
    if isinstance(value, (tuple, list)):
        return tuple(value), {}
    raise FormError


def _tuple(value: Any) -> Arguments:
    if isinstance(value, tuple):
        return value, {}
    raise FormError


def _single(value: Any) -> Arguments:
    return (value,), {}


def _listed(value: Any) -> tuple[Any, ...]:
    """Return arguments that are given as a tuple, or as a single value."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


def thunks(job: dict[str, Any], space: dict[str, Any], value: Any) -> list[Callable[[], Any]]:
    """Return the calls that a value may stand for, likeliest first; objects are made here."""
    kind = job["kind"]
    if kind == "program":
        return [functools.partial(_run_program, job["code"], space, _text(value))]
    if kind == "class":
        return [_method_call(space[job["entry"]], value)]
    function = space[job["entry"]]
    if kind == "method":
        function = getattr(function(), job["method"])
    found: list[Callable[[], Any]] = []
    for form in call_forms(job):
        try:
            given, named = form(value)
        except FormError:
            continue
        found.append(functools.partial(function, *given, **named))
    return found


def _method_call(own: type, value: Any) -> Callable[[], Any]:
    """Make the object of (constructor arguments, method, its arguments); return the call."""
    if not isinstance(value, (tuple, list)) or len(value) not in {2, 3}:
        raise FormError
    *made, name, given = value
    if not isinstance(name, str):
        raise FormError
    owner = own(*_listed(made[0])) if made else own()
    return functools.partial(getattr(owner, name), *_listed(given))


def _text(value: Any) -> str:
    """Return the text that a program reads."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "\n".join(line.removesuffix("\n") for line in value) + "\n"
    if not isinstance(value, str):
        raise FormError
    return value


def _run_program(code: types.CodeType, space: dict[str, Any], typed: str) -> None:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(typed.encode("utf-8", "replace")), "utf-8")
    try:
        exec(code, space)  # noqa: S102 - the candidate, in the sandbox
    except SystemExit:
        pass
    finally:
        sys.stdin = before
