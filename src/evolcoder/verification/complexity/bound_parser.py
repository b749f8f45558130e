"""The bounds that a task asks for, read out of its text.

Promises: only a bound that is demanded is read, not one that is told of or to be avoided; a bound
in several sizes counts as one only where it is their sum. Does not promise to know every class:
what is not in `Growth` is `unknown`, and cannot be measured.

>>> [(b.resource, b.growth) for b in asked("Sort it in O(n log n) time and O(1) extra space.")]
[(<Resource.TIME: 'time'>, <Growth.N_LOG_N: 'n log n'>), (<Resource.SPACE: 'space'>, <Growth.ONE: '1'>)]
"""  # noqa: E501 - what an interpreter prints

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What is bounded."""

    TIME = "time"
    SPACE = "space"


class GrowthClass(StrEnum):
    """Classes of growth, slowest first. Values are stored; never rename one."""

    ONE = "1"
    LOG = "log n"
    ROOT = "sqrt n"
    N = "n"
    N_LOG_N = "n log n"
    SQUARE = "n^2"
    CUBE = "n^3"
    EXPONENTIAL = "2^n"
    FACTORIAL = "n!"

    def log_at(self, n: float) -> float:
        """Return the natural logarithm of the class's function."""
        return _LOGS[self](n)

    @property
    def next(self) -> "GrowthClass":
        """The class after it; the last is after itself."""
        classes = list(GrowthClass)
        return classes[min(classes.index(self) + 1, len(classes) - 1)]


_LOGS: dict[GrowthClass, Callable[[float], float]] = {
    GrowthClass.ONE: lambda n: 0.0,  # noqa: ARG005 - as the others
    GrowthClass.LOG: lambda n: math.log(math.log(n)),
    GrowthClass.ROOT: lambda n: math.log(n) / 2,
    GrowthClass.N: math.log,
    GrowthClass.N_LOG_N: lambda n: math.log(n) + math.log(math.log(n)),
    GrowthClass.SQUARE: lambda n: 2 * math.log(n),
    GrowthClass.CUBE: lambda n: 3 * math.log(n),
    GrowthClass.EXPONENTIAL: lambda n: n * math.log(2),
    GrowthClass.FACTORIAL: lambda n: math.lgamma(n + 1),
}


@dataclass(frozen=True, slots=True)
class Bound:
    """One demand."""

    resource: Resource
    """What is bounded."""
    growth: GrowthClass | None
    """The class that it may grow with; None for one that we do not know, and for a bound on each
    step of many."""
    average: bool
    """Whether only the average, expected or amortised case is bounded."""
    text: str
    """The words that say so."""


_SIGNS = re.compile(r"\b[OΘ]\s?\(((?:[^()]|\([^()]*\)){1,40})\)")
_WORDS = re.compile(
    r"\b(constant|logarithmic|linear|linearithmic|quadratic|cubic|exponential)[- ]"
    r"(time|space|memory)\b",
    re.IGNORECASE,
)
_NAMED = {
    "constant": GrowthClass.ONE,
    "logarithmic": GrowthClass.LOG,
    "linear": GrowthClass.N,
    "linearithmic": GrowthClass.N_LOG_N,
    "quadratic": GrowthClass.SQUARE,
    "cubic": GrowthClass.CUBE,
    "exponential": GrowthClass.EXPONENTIAL,
}
_WRITTEN = {
    "1": GrowthClass.ONE,
    "logn": GrowthClass.LOG,
    "sqrtn": GrowthClass.ROOT,
    "n": GrowthClass.N,
    "nlogn": GrowthClass.N_LOG_N,
    "n^2": GrowthClass.SQUARE,
    "n^3": GrowthClass.CUBE,
    "2^n": GrowthClass.EXPONENTIAL,
    "n!": GrowthClass.FACTORIAL,
}
_AVOIDED = re.compile(
    r"\b(?:avoid\w*|instead of|rather than|not|n't|no longer|current\w*|from|was|currently|than"
    r"|naive|reduce|worse)\s+(?:[\w-]+\s+){0,4}$",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\b(?:space|memory|storage)\b", re.IGNORECASE)
_TIME = re.compile(r"\b(?:time|runtime|run|runs|fast|operations|steps)\b", re.IGNORECASE)
_AVERAGE = re.compile(r"\b(?:average|expected|amorti[sz]ed)\b", re.IGNORECASE)
_ONE_STEP = re.compile(
    r"\b(?:each|every|per|look-?ups?|accesses|access|insert\w*|delet\w*|quer(?:y|ies)|push|pop)\b",
    re.IGNORECASE,
)
"""Words of a bound that is one step's of many, and not the whole function's."""
_CLAUSE = re.compile(r"[,;:.\n]")
_NEAR = 45
"""Characters around a bound in which what it bounds is named."""


def asked(text: str) -> tuple[Bound, ...]:
    """Read the bounds that a text demands, in its order, each once."""
    found = [(match.start(), match.end(), _written(match[1])) for match in _SIGNS.finditer(text)]
    spans = [(begin, end) for begin, end, _ in found]
    found += [
        (match.start(), match.end(), _NAMED[match[1].lower()]) for match in _WORDS.finditer(text)
    ]
    bounds: dict[tuple[Resource, GrowthClass | None], Bound] = {}
    for begin, end, growth in sorted(found, key=lambda one: one[:2]):
        if _AVOIDED.search(text[max(0, begin - 60) : begin]):
            continue
        after = min((at for at, _ in spans if at >= end), default=len(text))
        before = max((to for _, to in spans if to <= begin), default=0)
        ahead = text[max(before, begin - _NEAR) : begin]
        behind = _CLAUSE.split(text[begin : min(after, end + _NEAR)][end - begin :])[0]
        resource = _resource(text[begin:end] + behind, ahead)
        of_all = None if _ONE_STEP.search(ahead + behind) else growth
        average = _AVERAGE.search(ahead + behind) is not None
        bounds.setdefault((resource, of_all), Bound(resource, of_all, average, text[begin:end]))
    return tuple(bounds.values())


def _resource(behind: str, ahead: str) -> Resource:
    """Tell what is bounded, first from what stands behind; where nothing tells, time is meant."""
    for text, nearest in ((behind, 0), (ahead, -1)):
        named = [
            (match.start(), resource)
            for resource, words in ((Resource.SPACE, _SPACE), (Resource.TIME, _TIME))
            for match in words.finditer(text)
        ]
        if named:
            return sorted(named)[nearest][1]
    return Resource.TIME


def _written(inner: str) -> GrowthClass | None:
    """Return the class of what stands in the brackets of an O."""
    text = inner.lower().replace("²", "^2").replace("³", "^3").replace("**", "^")
    text = re.sub(r"len\(\w+\)|\|\w+\|", "n", text)
    text = re.sub(r"log_?2\b|log₂|\bln\b|lg", "log", text)
    text = re.sub(r"[\s*·×()\\{}]", "", text.replace("√", "sqrt"))
    letters = set(re.sub(r"log|sqrt", "", text)) & set("abcdefghijklmnopqrstuvwxyz")
    if re.fullmatch(r"[a-z](?:\+[a-z])+", text):
        return GrowthClass.N
    if len(letters) == 1:
        text = text.replace("log", "L").replace("sqrt", "S").replace(letters.pop(), "n")
        text = text.replace("L", "log").replace("S", "sqrt")
    return _WRITTEN.get(text)
