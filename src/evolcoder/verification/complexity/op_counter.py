"""Counts the work of a function inside the sandbox: lines, steps in C, call depth and memory.

Sent to the sandbox as text and run there as the main program, with the function's source; standard
library only. The counts cannot be trusted: the candidate runs in this process and could find this
module and change them. A random token distinguishes them from the candidate's output; it is read,
and its file closed, before the candidate is loaded.

Unit of time: an executed line, an entered function, or one step in C that depends on the size of
its operands (an element copied, compared or moved), by a table of cost kinds by name. Costs are
CPython's, `"".join` and `s += x` included: amortised costs as such, searches by the position of the
item, sorts by counting their comparisons. Calls that are not in the table have an unknown cost and
are listed in `unseen`.

>>> KIND_OF["list.append"], KIND_OF["sorted"]
('one', 'sort')
"""

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
from collections.abc import Callable, Iterator
from typing import Any

from evolcoder.verification.complexity import written_inputs

# ruff: noqa: ANN401 - values are the candidate's and have any type


ROW = "<row>"
"""Module and file name of the measured program."""
OWN_MODULES = frozenset({ROW, "__main__"})
"""Modules of the measured program; a whole program is the main one."""
VIEWS: Any = (type({}.keys()), type({}.values()), type({}.items()))
SIZED: Any = (list, tuple, str, bytes, bytearray, set, frozenset, dict, deque, *VIEWS)

KINDS = {
    "one": """
        len abs isinstance issubclass id hash ord chr divmod round pow getattr setattr hasattr iter
        next callable type bool int float complex object slice range bin hex oct repr print format
        property staticmethod classmethod super Exception ValueError TypeError IndexError KeyError
        StopIteration RuntimeError ZeroDivisionError NotImplementedError OverflowError
        AssertionError AttributeError LookupError ArithmeticError MemoryError str
        list.append list.pop deque.append deque.appendleft deque.pop deque.popleft list.clear
        dict.get dict.setdefault dict.pop dict.keys dict.values dict.items dict.clear dict.popitem
        defaultdict.get defaultdict.setdefault defaultdict.pop defaultdict.keys defaultdict.values
        defaultdict.items OrderedDict.move_to_end OrderedDict.popitem OrderedDict.pop
        OrderedDict.get OrderedDict.keys OrderedDict.values OrderedDict.items
        Counter.get Counter.keys Counter.values Counter.items Counter.pop
        set.add set.remove set.discard set.pop set.clear set.__contains__ dict.__contains__
        int.bit_length int.bit_count float.is_integer
        defaultdict functools.lru_cache functools.cache functools.wraps functools.partial
        functools.cmp_to_key functools.cached_property functools.total_ordering
        dataclasses.dataclass dataclasses.field collections.namedtuple
        math.sqrt math.floor math.ceil math.log math.log2 math.log10 math.exp math.gcd math.lcm
        math.isqrt math.pow math.sin math.cos math.tan math.atan2 math.hypot math.fabs math.isclose
        math.isnan math.isinf math.trunc math.copysign math.fmod
        random.randint random.random random.randrange random.choice random.uniform random.seed
        time.time time.perf_counter operator.itemgetter operator.attrgetter
        Random.randint Random.random Random.randrange Random.choice Random.uniform Random.seed
        generator.send generator.close generator.throw TypeVar
        sys.exit sys.setrecursionlimit sys.getrecursionlimit TextIOWrapper.flush time.sleep
        operator.add operator.sub operator.mul operator.floordiv operator.mod operator.neg
        math.radians math.degrees math.log1p math.expm1 math.cbrt math.asin math.acos math.atan
        deque.clear set.__len__ list.__len__ dict.__len__ str.__len__ random.gauss
    """,
    "lazy": """
        map filter zip enumerate reversed itertools.chain itertools.from_iterable
        itertools.combinations itertools.permutations itertools.product itertools.accumulate
        itertools.count itertools.cycle itertools.repeat itertools.islice itertools.takewhile
        itertools.dropwhile itertools.groupby itertools.starmap itertools.zip_longest
        itertools.compress itertools.pairwise itertools.combinations_with_replacement
        type.from_iterable
    """,
    "linear": """
        sum min max any all list tuple set frozenset dict bytes bytearray Counter OrderedDict deque
        functools.reduce math.prod math.fsum math.dist copy.copy
        list.copy list.reverse list.count tuple.count dict.copy set.copy set.union set.intersection
        set.difference set.symmetric_difference set.issubset set.issuperset set.isdisjoint
        set.intersection_update set.difference_update deque.rotate deque.insert deque.remove
        deque.copy deque.count deque.reverse deque.index heapq.heapify heapq.merge dict.fromkeys
        type.fromkeys random.shuffle random.sample random.choices statistics.mean
        Random.shuffle Random.sample
        str.join str.split str.rsplit str.splitlines str.replace str.lower str.upper str.title
        str.capitalize str.swapcase str.casefold str.strip str.lstrip str.rstrip str.zfill str.ljust
        str.rjust str.center str.translate str.encode str.count str.find str.rfind str.index
        str.rindex str.isalpha str.isdigit str.isalnum str.isupper str.islower str.isspace
        str.isnumeric str.isdecimal str.partition str.rpartition str.maketrans type.maketrans
        str.format str.isidentifier bytes.decode str.removeprefix str.removesuffix
        input TextIOWrapper.read TextIOWrapper.readline TextIOWrapper.readlines TextIOWrapper.write
        BytesIO.read BytesIO.readline BytesIO.readlines
    """,
    "argument": """
        list.extend set.update dict.update deque.extend deque.extendleft str.startswith
        str.endswith Counter.update defaultdict.update
    """,
    "search": "list.index list.remove tuple.index",
    "tail": "list.insert list.pop",
    "log": """
        heapq.heappush heapq.heappop heapq.heapreplace heapq.heappushpop bisect.bisect
        bisect.bisect_left bisect.bisect_right
    """,
    "insort": "bisect.insort bisect.insort_left bisect.insort_right",
    "sort": "sorted list.sort statistics.median heapq.nlargest heapq.nsmallest Counter.most_common",
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}
CALLS_BACK = set(KINDS["lazy"].split()) | set("sorted list.sort min max functools.reduce".split())


class CountingKey:
    """A sort key that counts comparisons."""

    n = 0
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "CountingKey") -> bool:
        CountingKey.n += 1
        return bool(self.value < other.value)


def comparisons(items: Any, key: Any) -> int:
    """Return the comparisons of sorting items, plus one step per item."""
    CountingKey.n = 0
    keys = items if key is None else [key(item) for item in items]
    sorted(map(CountingKey, keys))
    return CountingKey.n + len(items)


def search_steps(item: Any, items: Any) -> int:
    """Return the number of items that a linear search visits."""
    try:
        return int(items.index(item)) + 1
    except ValueError:
        return len(items)


def size(value: Any) -> int:
    """Return the length of a container, 0 for other values."""
    return len(value) if isinstance(value, SIZED) else 0


def owner_of(function: Any) -> Any:
    """Return the object of a bound method, or None."""
    owner = getattr(function, "__self__", None)
    return None if isinstance(owner, types.ModuleType) else owner


ALIASES = {
    "_heapq": "heapq",
    "_bisect": "bisect",
    "_functools": "functools",
    "_operator": "operator",
}


def table_name(function: Any) -> str | None:
    """Return the name of a function in the cost table; None for the program's own functions."""
    module = getattr(function, "__module__", None)
    if isinstance(function, functools.partial) or module in OWN_MODULES:
        return None
    owner = owner_of(function)
    if owner is not None and not isinstance(function, type):
        kind = type(owner)
        return None if kind.__module__ in OWN_MODULES else f"{kind.__name__}.{function.__name__}"
    if hasattr(function, "__objclass__"):
        return f"{function.__objclass__.__name__}.{function.__name__}"
    name = getattr(function, "__name__", type(function).__name__)
    module = ALIASES.get(str(module), module)
    return name if module in {None, "builtins", "collections", "typing"} else f"{module}.{name}"


OWN_FILE = (lambda: 0).__code__.co_filename
RUN_BUDGET, TOTAL_BUDGET = 80_000, 700_000


class BudgetExceeded(BaseException):
    """The budget of a run is used up."""


class Hooks:
    """The counters, and the functions that the instrumented program calls."""

    def __init__(self) -> None:
        self.unseen: set[str] = set()
        self.total_spent = 0
        self.reset()

    def pause(self) -> None:
        """Let the program run without a budget, while its inputs are made."""
        self.spent = -(1 << 60)

    def reset(self) -> None:
        """Start a new run."""
        self.counts: dict[tuple[str, int], float] = {}
        self.spent = self.depth = self.deepest = 0

    def charge(self, line: int, steps: float, what: str = "copies") -> None:
        """Count steps in C at a line."""
        key = (what, -line)
        self.counts[key] = self.counts.get(key, 0) + steps
        self.spend(1 + int(steps) // 64)

    def spend(self, units: int = 1) -> None:
        """Use the budget; raises BudgetExceeded at its end."""
        self.spent += units
        if self.spent > RUN_BUDGET:
            raise BudgetExceeded

    def trace(self, frame: types.FrameType, _event: str, _arg: object) -> Any:
        """Trace calls of functions outside of this module (global trace function)."""
        if frame.f_code.co_filename == OWN_FILE:
            return None
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        self.line(frame.f_code, frame.f_code.co_firstlineno)
        return self.follow

    def follow(self, frame: types.FrameType, event: str, _arg: object) -> Any:
        """Count the lines and the return of a function (local trace function)."""
        if event == "line":
            self.line(frame.f_code, frame.f_lineno)
        elif event == "return":
            self.depth -= 1
        return self.follow

    def line(self, code: types.CodeType, number: int) -> None:
        """Count an executed line or an entered function."""
        key = (code.co_name if code.co_filename == ROW else code.co_filename, number)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.spend()

    def call(self, line: int, function: Any, /, *args: Any, **named: Any) -> Any:
        """Call a function and charge its steps in C."""
        name = table_name(function)
        if name is None:
            return function(*args, **named)
        kind = KIND_OF.get(name)
        if kind is None:
            self.unseen.add(name)
            kind = "linear"
        if name in CALLS_BACK:
            args = tuple(self.wrap_callback(line, one) for one in args)
            for word in named.keys() & {"key"}:
                named[word] = self.wrap_callback(line, named[word])
        if kind in {"linear", "argument", "sort"}:
            args = tuple(self.wrap_iterator(line, one) for one in args)
        owner = owner_of(function)
        before = self.steps_before(kind, owner, args, named)
        result = function(*args, **named)
        self.charge(line, self.steps(kind, args, result, before), name)
        return result

    def steps_before(
        self, kind: str, owner: Any, args: tuple[Any, ...], named: dict[str, Any]
    ) -> float:
        """Return the part of the cost that must be determined before the call."""
        if kind == "sort":
            items = owner if isinstance(owner, list) else args[-1] if args else owner
            items = items if isinstance(items, SIZED) else ()
            return comparisons(items, named.get("key"))
        if kind == "search":
            return search_steps(args[0], owner) if args else 0
        if kind == "tail":
            at = args[0] if args else -1
            return max(0, len(owner) - at) if at >= 0 else min(len(owner), -at)
        return size(owner) if kind == "linear" else 0

    def steps(self, kind: str, args: tuple[Any, ...], result: Any, before: float) -> float:
        """Return the steps of a call."""
        if kind in {"one", "lazy"}:
            return 1
        if kind in {"sort", "search", "tail"}:
            return 1 + before
        if kind == "log":
            return 1 + math.log2(max(2, max(map(size, args), default=2)))
        if kind == "insort":
            return 1 + len(args[0])
        return 1 + before + sum(map(size, args)) + (size(result) if kind == "linear" else 0)

    def wrap_callback(self, line: int, function: Any) -> Any:
        """Wrap a builtin that another builtin calls, so that its steps are charged."""
        if table_name(function) is None or not callable(function):
            return function
        return functools.partial(self.call, line, function)

    def wrap_iterator(self, line: int, items: Any) -> Any:
        """Wrap an iterator implemented in C, so that every item is charged."""
        if not hasattr(items, "__next__") or isinstance(items, types.GeneratorType):
            return items
        return self.charged_items(line, items)

    def charged_items(self, line: int, items: Any) -> Iterator[Any]:
        """Yield the items and charge a step for each."""
        for item in items:
            self.charge(line, 1)
            yield item

    def contains(self, line: int, item: Any, items: Any) -> bool:
        """Evaluate `in` and charge the items that it visits."""
        if isinstance(items, (list, tuple, deque)):
            self.charge(line, search_steps(item, items))
        elif isinstance(items, (str, bytes)):
            found = items.find(item)
            self.charge(line, len(items) if found < 0 else found + 1)
        elif isinstance(items, VIEWS[1]):
            self.charge(line, len(items))
        return item in self.wrap_iterator(line, items)

    def against(self, line: int, other: Any) -> Any:
        """Wrap the right side of == or != so that the comparison is charged."""
        if isinstance(other, (list, tuple, str)) and len(other) > 8:
            return ChargedComparison(self, line, other)
        return other

    def value(self, line: int, value: Any) -> Any:
        """Charge the length of a new value, or the items that will be taken from an iterator."""
        if isinstance(value, SIZED):
            self.charge(line, 1 + len(value))
            return value
        return self.wrap_iterator(line, value)

    def sets(self, line: int, sign: str, left: Any, right: Any) -> Any:
        """Evaluate a set operator and charge the items that it visits."""
        if isinstance(left, SIZED):
            self.charge(line, 1 + size(left) + (size(right) if sign in "|^" else 0))
        if sign == "-":
            return left - right
        return left & right if sign == "&" else left | right if sign == "|" else left ^ right

    def augmented(self, line: int, old: Any, more: Any) -> Any:
        """Charge the operand of an augmented assignment; tuples and bytes are copied whole."""
        if isinstance(old, SIZED) or isinstance(more, SIZED):
            self.charge(line, 1 + size(more) + (len(old) if isinstance(old, (tuple, bytes)) else 0))
        return self.wrap_iterator(line, more)

    def resized(self, line: int, items: Any) -> Any:
        """Charge the length of a list from which a slice is replaced or deleted."""
        if isinstance(items, list):
            self.charge(line, 1 + len(items))
        return items


class ChargedComparison:
    """Right operand of == that charges the length of the common prefix."""

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


def load(job: dict[str, Any], hooks: Hooks | None = None) -> dict[str, Any]:
    """Load the program afresh, so that no state is left from the previous run.

    A whole program is not run here: that is the call to measure.
    """
    is_program = job.get("kind") == "program"
    name = "__main__" if is_program else ROW
    module = types.ModuleType(name)
    sys.modules[name] = module
    if hooks is not None:
        module.__dict__[job["hooks"]] = hooks
    if not is_program:
        exec(job["plain" if hooks is None else "rewritten"], module.__dict__)  # noqa: S102
    return module.__dict__


def exhaust(result: Any) -> Any:
    """Run a generator to its end, since creating one costs nothing."""
    if isinstance(result, types.GeneratorType):
        for _ in result:
            pass
    return result


Make = Callable[[dict[str, Any]], Callable[[], Any]]
"""Makes the call to measure, with new arguments; gets the names of the loaded program."""


def count_operations(hooks: Hooks, job: dict[str, Any], make: Make) -> dict[str, Any]:
    """Run once under the tracer; return counts and depth, or the reason why it stopped."""
    hooks.pause()
    try:
        call = make(load(job, hooks))
    except Exception as error:  # noqa: BLE001 - a candidate or a generator may raise anything
        return {"stop": f"raises {type(error).__name__}"}
    hooks.reset()
    sys.settrace(hooks.trace)
    own = sys.gettrace()
    try:
        exhaust(call())
        lost = sys.gettrace() is not own
    except BudgetExceeded:
        return {"stop": "budget"}
    except Exception as error:  # noqa: BLE001 - as above
        return {"stop": f"raises {type(error).__name__}"}
    finally:
        sys.settrace(None)
        hooks.total_spent += hooks.spent
    if lost:
        return {"stop": "the program replaced the tracer"}
    named = {" ".join(map(str, key)): round(value) for key, value in hooks.counts.items()}
    return {"counts": named, "depth": hooks.deepest}


def peak_memory(job: dict[str, Any], make: Make) -> int:
    """Run once without hooks; return the peak bytes besides arguments and result."""
    space = load(job)
    gc.collect()
    tracemalloc.start()
    call = make(space)
    base = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    result = exhaust(call())
    with_result, peak = tracemalloc.get_traced_memory()
    del result
    without_result = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return max(0, peak - base - (with_result - without_result))


def made_call(job: dict[str, Any], data: bytes) -> Make:
    """Return what makes a call with arguments that were made outside of the sandbox."""

    def make(space: dict[str, Any]) -> Callable[[], Any]:
        function = space[job["entry"]]
        if job.get("kind") == "method":
            function = getattr(function(), job["method"])
        return functools.partial(function, *marshal.loads(data))  # noqa: S302 - made outside

    return make


def written_call(job: dict[str, Any], n: int, seed: int, form: int) -> Make:
    """Return what makes a call with the generator's input, read in the form of that number."""

    def make(space: dict[str, Any]) -> Callable[[], Any]:
        value = written_inputs.make(job["generator"], space, n, seed)
        code = job["rewritten" if job["hooks"] in space else "plain"]
        return written_inputs.thunks({**job, "code": code}, space, value)[form]

    return make


MAX_FORMS = 3
"""Most ways in which a generator's value may stand for arguments."""


def best_form(hooks: Hooks, job: dict[str, Any]) -> int:
    """Return the number of the first form that the program accepts at the smallest sizes."""
    for form in range(MAX_FORMS):
        found = [
            count_operations(hooks, job, written_call(job, n, 0, form)) for n in job["sizes"][:2]
        ]
        if not any(one.get("stop", "").startswith("raises") for one in found):
            return form
    return 0


def calls_of(hooks: Hooks, job: dict[str, Any]) -> Iterator[tuple[str, int, Make]]:
    """Yield the shape, the size and the call of each run, smallest first."""
    if "generator" not in job:
        for shape, n, data in job["calls"]:
            yield shape, n, made_call(job, data)
        return
    form = best_form(hooks, job)
    hooks.total_spent = 0
    for n in job["sizes"]:
        for seed in job["seeds"]:
            yield job["shape"], n, written_call(job, n, seed, form)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run every shape at growing sizes until its run or the total exceeds its budget."""
    hooks, runs = Hooks(), []
    stopped: set[str] = set()
    for shape, n, make in calls_of(hooks, job):
        if shape in stopped or hooks.total_spent > TOTAL_BUDGET:
            continue
        run = count_operations(hooks, job, make)
        if "stop" in run:
            stopped.add(shape)
        else:
            run["bytes"] = peak_memory(job, make)
        runs.append({"shape": shape, "n": n, **run})
    return {"runs": runs, "unseen": sorted(hooks.unseen)}


def main() -> None:
    """Read the job, close the standard streams, measure, and write the counts to descriptor 3."""
    job = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 - made outside of the sandbox
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    sys.setrecursionlimit(5000)
    for which in ("plain", "rewritten"):
        job[which] = compile(job[which], ROW, "exec", dont_inherit=True)
    if "generator" in job:
        job["generator"] = compile(job["generator"], "inputs", "exec", dont_inherit=True)
    token = job.pop("token")
    try:
        found = written_inputs.inspect(job, lambda: load(job)) if job["inspect"] else measure(job)
    except Exception as error:  # noqa: BLE001 - a candidate may raise anything
        found = {"failed": f"{type(error).__name__}: {error}"[:200]}
    with open(3, "wb", closefd=False) as answers:
        answers.write(token + json.dumps(found).encode() + token)
    os._exit(0)
