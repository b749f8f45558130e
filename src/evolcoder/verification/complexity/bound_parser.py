"""Parses the complexity bounds that a task requires from its text.

Only required bounds are returned, not those that are mentioned as current or to be avoided. A bound
in several variables is only recognised as their sum, which counts as one size. A class that is not
in `GrowthClass` is returned without a class and cannot be measured.

>>> bounds = parse_bounds("Sort it in O(n log n) time and O(1) extra space.")
>>> [(bound.resource.value, bound.growth.value) for bound in bounds]
[('time', 'n log n'), ('space', '1')]
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """Bounded resource. Values are stored; never rename one."""

    TIME = "time"
    SPACE = "space"


class GrowthClass(StrEnum):
    """Complexity classes, slowest growth first. Values are stored; never rename one."""

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
        """The next class; the last class is its own successor."""
        classes = list(GrowthClass)
        return classes[min(classes.index(self) + 1, len(classes) - 1)]


_LOGS: dict[GrowthClass, Callable[[float], float]] = {
    GrowthClass.ONE: lambda n: 0.0,  # noqa: ARG005 - same signature as the others
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
    """A required complexity bound."""

    resource: Resource
    """Bounded resource."""
    growth: GrowthClass | None
    """Allowed class; None if unknown, or if each single operation is bounded."""
    average: bool
    """Whether only the average, expected or amortised case is bounded."""
    text: str
    """The bound as written."""


_BIG_O = re.compile(r"\b[OΘ]\s?\(((?:[^()]|\([^()]*\)){1,40})\)")
_WORDS = re.compile(
    r"\b(constant|logarithmic|linear|linearithmic|quadratic|cubic|exponential)[- ]"
    r"(time|space|memory)\b",
    re.IGNORECASE,
)
_BY_NAME = {
    "constant": GrowthClass.ONE,
    "logarithmic": GrowthClass.LOG,
    "linear": GrowthClass.N,
    "linearithmic": GrowthClass.N_LOG_N,
    "quadratic": GrowthClass.SQUARE,
    "cubic": GrowthClass.CUBE,
    "exponential": GrowthClass.EXPONENTIAL,
}
_BY_FORMULA = {
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
_NOT_REQUIRED = re.compile(
    r"\b(?:avoid\w*|instead of|rather than|not|n't|no longer|current\w*|from|was|currently|than"
    r"|naive|reduce|worse)\s+(?:[\w-]+\s+){0,4}$",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\b(?:space|memory|storage)\b", re.IGNORECASE)
_TIME = re.compile(r"\b(?:time|runtime|run|runs|fast|operations|steps)\b", re.IGNORECASE)
_AVERAGE = re.compile(r"\b(?:average|expected|amorti[sz]ed)\b", re.IGNORECASE)
_PER_OPERATION = re.compile(
    r"\b(?:each|every|per|look-?ups?|accesses|access|insert\w*|delet\w*|quer(?:y|ies)|push|pop)\b",
    re.IGNORECASE,
)
"""Words of a bound on a single operation rather than on the whole function."""
_CLAUSE_END = re.compile(r"[,;:.\n]")
_CONTEXT_CHARS = 45
"""Characters around a bound that are searched for its resource."""


def parse_bounds(text: str) -> tuple[Bound, ...]:
    """Return the distinct bounds that a text requires, in order."""
    found = [(match.start(), match.end(), _growth(match[1])) for match in _BIG_O.finditer(text)]
    spans = [(begin, end) for begin, end, _ in found]
    found += [
        (match.start(), match.end(), _BY_NAME[match[1].lower()]) for match in _WORDS.finditer(text)
    ]
    bounds: dict[tuple[Resource, GrowthClass | None], Bound] = {}
    for begin, end, growth in sorted(found, key=lambda one: one[:2]):
        if _NOT_REQUIRED.search(text[max(0, begin - 60) : begin]):
            continue
        next_begin = min((at for at, _ in spans if at >= end), default=len(text))
        previous_end = max((to for _, to in spans if to <= begin), default=0)
        before = text[max(previous_end, begin - _CONTEXT_CHARS) : begin]
        after = _CLAUSE_END.split(text[end : min(next_begin, end + _CONTEXT_CHARS)])[0]
        resource = _resource(text[begin:end] + after, before)
        of_all = None if _PER_OPERATION.search(before + after) else growth
        average = _AVERAGE.search(before + after) is not None
        bounds.setdefault((resource, of_all), Bound(resource, of_all, average, text[begin:end]))
    return tuple(bounds.values())


def _resource(after: str, before: str) -> Resource:
    """Return the resource named after the bound, else before it; time if none is named."""
    for text, nearest in ((after, 0), (before, -1)):
        named = [
            (match.start(), resource)
            for resource, words in ((Resource.SPACE, _SPACE), (Resource.TIME, _TIME))
            for match in words.finditer(text)
        ]
        if named:
            return sorted(named)[nearest][1]
    return Resource.TIME


def _growth(inner: str) -> GrowthClass | None:
    """Return the class for the content of O(...)."""
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
    return _BY_FORMULA.get(text)
