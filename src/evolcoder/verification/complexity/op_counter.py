"""Count what a function does, inside the sandbox: lines, hidden work, depth and memory.

Sent to the sandbox as text and run there as the main program, with the function's source; standard
library only. What it writes is the candidate's word: the candidate runs in this process, and one
that set out to could find this module and change its counts. It is told apart from anything that
a candidate prints by a random token, which is read and closed before the candidate is loaded.

Unit of time: a line begun, a function entered, or one step within C that grows with its operands
(an element copied, compared or moved), by the table below. `"".join` and `s += x` are taken for
what they cost in CPython. What the table does not know is named in `unseen`.
"""

# ruff: noqa: ANN401 - values are the candidate's, and may be anything

import functools
import gc
import json
import marshal
import math
import os
import sys
import tracemalloc
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from evolcoder.verification.complexity.op_costs import (
    CALLS_BACK,
    KIND_OF,
    ROW,
    SIZED,
    VIEWS,
    comparisons,
    named_as,
    owner_of,
    place_of,
    size,
)

HERE = (lambda: 0).__code__.co_filename
BUDGET, BUDGET_OF_ALL = 80_000, 700_000


class Stop(BaseException):
    """The budget is used up."""


class Hooks:
    """Counts, and does what the rewritten program asks for."""

    def __init__(self) -> None:
        self.unseen: set[str] = set()
        self.spent_in_all = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was counted."""
        self.counts: dict[tuple[str, int], float] = {}
        self.spent = self.depth = self.deepest = 0

    def charge(self, line: int, steps: float, what: str = "copies") -> None:
        """Count steps within C at a line."""
        key = (what, -line)
        self.counts[key] = self.counts.get(key, 0) + steps
        self.pay(1 + int(steps) // 64)

    def pay(self, price: int = 1) -> None:
        """Use up the budget."""
        self.spent += price
        if self.spent > BUDGET:
            raise Stop

    def trace(self, frame: types.FrameType, _event: str, _arg: object) -> Any:
        """Follow every function that is not one of these."""
        if frame.f_code.co_filename == HERE:
            return None
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        self.line(frame.f_code, frame.f_code.co_firstlineno)
        return self.follow

    def follow(self, frame: types.FrameType, event: str, _arg: object) -> Any:
        """Count the lines of a function, and its end."""
        if event == "line":
            self.line(frame.f_code, frame.f_lineno)
        elif event == "return":
            self.depth -= 1
        return self.follow

    def line(self, code: types.CodeType, number: int) -> None:
        """Count a line, or a function entered."""
        key = (code.co_name if code.co_filename == ROW else code.co_filename, number)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.pay()

    def call(self, line: int, function: Any, /, *args: Any, **named: Any) -> Any:
        """Call a function; charge what it does in C."""
        name = named_as(function)
        if name is None:
            return function(*args, **named)
        kind = KIND_OF.get(name)
        if kind is None:
            self.unseen.add(name)
            kind = "linear"
        if name in CALLS_BACK:
            args = tuple(self.followed(line, one) for one in args)
            for word in named.keys() & {"key"}:
                named[word] = self.followed(line, named[word])
        if kind in {"linear", "argument", "sort"}:
            args = tuple(self.ticking(line, one) for one in args)
        owner = owner_of(function)
        before = self.before(kind, owner, args, named)
        result = function(*args, **named)
        self.charge(line, self.steps(kind, args, result, before), name)
        return result

    def before(self, kind: str, owner: Any, args: tuple[Any, ...], named: dict[str, Any]) -> float:
        """Note what can only be known before the call."""
        if kind == "sort":
            items = owner if isinstance(owner, list) else args[-1] if args else owner
            items = items if isinstance(items, SIZED) else ()
            return comparisons(items, named.get("key"))
        if kind == "search":
            return place_of(args[0], owner) if args else 0
        if kind == "tail":
            at = args[0] if args else -1
            return max(0, len(owner) - at) if at >= 0 else min(len(owner), -at)
        return size(owner) if kind == "linear" else 0

    def steps(self, kind: str, args: tuple[Any, ...], result: Any, before: float) -> float:
        """Say how many steps a call took."""
        if kind in {"one", "lazy"}:
            return 1
        if kind in {"sort", "search", "tail"}:
            return 1 + before
        if kind == "log":
            return 1 + math.log2(max(2, max(map(size, args), default=2)))
        if kind == "insort":
            return 1 + len(args[0])
        return 1 + before + sum(map(size, args)) + (size(result) if kind == "linear" else 0)

    def followed(self, line: int, function: Any) -> Any:
        """Charge what a builtin does that another builtin calls."""
        if named_as(function) is None or not callable(function):
            return function
        return functools.partial(self.call, line, function)

    def ticking(self, line: int, items: Any) -> Any:
        """Count what C draws from an iterator of C."""
        if not hasattr(items, "__next__") or isinstance(items, types.GeneratorType):
            return items
        return self.ticks(line, items)

    def ticks(self, line: int, items: Any) -> Iterator[Any]:
        """Hand items on, one step for each."""
        for item in items:
            self.charge(line, 1)
            yield item

    def contains(self, line: int, item: Any, items: Any) -> bool:
        """Charge what `in` looks at."""
        if isinstance(items, (list, tuple, deque)):
            self.charge(line, place_of(item, items))
        elif isinstance(items, (str, bytes)):
            found = items.find(item)
            self.charge(line, len(items) if found < 0 else found + 1)
        elif isinstance(items, VIEWS[1]):
            self.charge(line, len(items))
        return item in self.ticking(line, items)

    def against(self, line: int, other: Any) -> Any:
        """Make the other side of == tell how far it was compared."""
        if isinstance(other, (list, tuple, str)) and len(other) > 8:
            return Compared(self, line, other)
        return other

    def value(self, line: int, value: Any) -> Any:
        """Charge a value that was copied together, or what will be drawn from it."""
        if isinstance(value, SIZED):
            self.charge(line, 1 + len(value))
            return value
        return self.ticking(line, value)

    def sets(self, line: int, sign: str, left: Any, right: Any) -> Any:
        """Charge what an operation on sets looks at."""
        if isinstance(left, SIZED):
            self.charge(line, 1 + size(left) + (size(right) if sign in "|^" else 0))
        if sign == "-":
            return left - right
        return left & right if sign == "&" else left | right if sign == "|" else left ^ right

    def grown(self, line: int, old: Any, more: Any) -> Any:
        """Charge what is added to a value in place; a tuple is copied whole."""
        if isinstance(old, SIZED) or isinstance(more, SIZED):
            self.charge(line, 1 + size(more) + (len(old) if isinstance(old, (tuple, bytes)) else 0))
        return self.ticking(line, more)

    def touch(self, line: int, items: Any) -> Any:
        """Charge what moves when a part of a list is put in or taken out."""
        if isinstance(items, list):
            self.charge(line, 1 + len(items))
        return items


class Compared:
    """Stands on the right of == and charges the common beginning."""

    def __init__(self, hooks: Hooks, line: int, other: Any) -> None:
        self.hooks, self.line, self.other = hooks, line, other

    def __eq__(self, left: object) -> bool:
        if isinstance(left, list | tuple | str) and len(left) == len(self.other):
            pairs = enumerate(zip(left, self.other, strict=True))
            same = next((n for n, (a, b) in pairs if a != b), len(left))
            self.hooks.charge(self.line, 1 + same)
        return bool(left == self.other)

    def __ne__(self, left: object) -> bool:
        return not self == left

    __hash__ = None  # type: ignore[assignment]


def load(code: types.CodeType, hooks: Hooks | None = None, name: str = "") -> dict[str, Any]:
    """Load the row anew, so that nothing is remembered from the run before."""
    module = types.ModuleType(ROW)
    sys.modules[ROW] = module
    if hooks is not None:
        module.__dict__[name] = hooks
    exec(code, module.__dict__)  # noqa: S102 - the candidate, in the sandbox
    return module.__dict__


def drained(result: Any) -> Any:
    """Draw everything from a generator, since making one is no work."""
    if isinstance(result, types.GeneratorType):
        for _ in result:
            pass
    return result


def counted(hooks: Hooks, job: dict[str, Any], args: list[Any]) -> dict[str, Any]:
    """Run once under the tracer; return counts and depth, or what stopped it."""
    function = load(job["rewritten"], hooks, job["hooks"])[job["entry"]]
    hooks.begin()
    sys.settrace(hooks.trace)
    own = sys.gettrace()
    try:
        drained(function(*args))
        lost = sys.gettrace() is not own
    except Stop:
        return {"stop": "budget"}
    except Exception as error:  # noqa: BLE001 - a candidate may raise anything
        return {"stop": f"raises {type(error).__name__}"}
    finally:
        sys.settrace(None)
        hooks.spent_in_all += hooks.spent
    if lost:
        return {"stop": "the tracer was taken off"}
    named = {" ".join(map(str, key)): round(value) for key, value in hooks.counts.items()}
    return {"counts": named, "depth": hooks.deepest}


def remembered(job: dict[str, Any], data: bytes) -> int:
    """Run once plainly; return the most bytes held beside arguments and result."""
    function = load(job["plain"])[job["entry"]]
    gc.collect()
    tracemalloc.start()
    args = marshal.loads(data)  # noqa: S302 - made outside of the sandbox
    base = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    result = drained(function(*args))
    held, peak = tracemalloc.get_traced_memory()
    del result
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return max(0, peak - base - (held - left))


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run every shape at growing sizes, each until it takes too long."""
    hooks, runs = Hooks(), []
    stopped: set[str] = set()
    for shape, n, data in job["calls"]:
        if shape in stopped or hooks.spent_in_all > BUDGET_OF_ALL:
            continue
        run = counted(hooks, job, marshal.loads(data))  # noqa: S302 - as above
        if "stop" in run:
            stopped.add(shape)
        else:
            run["bytes"] = remembered(job, data)
        runs.append({"shape": shape, "n": n, **run})
    return {"runs": runs, "unseen": sorted(hooks.unseen)}


def main() -> None:
    """Read the job, shut what it came by, measure, and write what was found."""
    job = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 - made outside of the sandbox
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    sys.setrecursionlimit(5000)
    for which in ("plain", "rewritten"):
        job[which] = compile(job[which], ROW, "exec", dont_inherit=True)
    token = job.pop("token")
    try:
        found = measure(job)
    except Exception as error:  # noqa: BLE001 - a candidate may raise anything
        found = {"failed": f"{type(error).__name__}: {error}"[:200]}
    with open(3, "wb", closefd=False) as answers:
        answers.write(token + json.dumps(found).encode() + token)
    os._exit(0)
