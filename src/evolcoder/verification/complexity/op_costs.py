"""What calls cost within C: a table of names, and what to look at for the steps they take.

Sent to the sandbox as text beside `counting`, and loaded there under this name; standard library
only. The costs are CPython's: what is amortised is taken as such, what depends on where something
is found is taken from where it is found, and what a sort compares is counted on the spot. A call
that is not here is not known.
"""
# ruff: noqa: ANN401 - values are the candidate's, and may be anything

import functools
import types
from collections import deque
from typing import Any

ROW = "<row>"
"""Name of the module and file that the measured program is loaded as."""
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


class Counted:
    """A key that counts comparisons."""

    n = 0
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "Counted") -> bool:
        Counted.n += 1
        return bool(self.value < other.value)


def comparisons(items: Any, key: Any) -> int:
    """Count what sorting compares, and one step for every item."""
    Counted.n = 0
    keys = items if key is None else [key(item) for item in items]
    sorted(map(Counted, keys))
    return Counted.n + len(items)


def place_of(item: Any, items: Any) -> int:
    """Count what a search looks at."""
    try:
        return int(items.index(item)) + 1
    except ValueError:
        return len(items)


def size(value: Any) -> int:
    """Return the length of a container, 0 for anything else."""
    return len(value) if isinstance(value, SIZED) else 0


def owner_of(function: Any) -> Any:
    """Return what a bound method is bound to."""
    owner = getattr(function, "__self__", None)
    return None if isinstance(owner, types.ModuleType) else owner


ALIASES = {
    "_heapq": "heapq",
    "_bisect": "bisect",
    "_functools": "functools",
    "_operator": "operator",
}


def named_as(function: Any) -> str | None:
    """Return the name by which the table knows a function; None for the row's own."""
    module = getattr(function, "__module__", None)
    if isinstance(function, functools.partial) or module == ROW:
        return None
    owner = owner_of(function)
    if owner is not None and not isinstance(function, type):
        kind = type(owner)
        return None if kind.__module__ == ROW else f"{kind.__name__}.{function.__name__}"
    if hasattr(function, "__objclass__"):
        return f"{function.__objclass__.__name__}.{function.__name__}"
    name = getattr(function, "__name__", type(function).__name__)
    module = ALIASES.get(str(module), module)
    return name if module in {None, "builtins", "collections", "typing"} else f"{module}.{name}"
