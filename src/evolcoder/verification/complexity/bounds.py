"""Complexity bounds: parses those that a task requires, and decides from counts whether they hold.

Only required bounds are returned, not those that are mentioned as current or to be avoided. A bound
in several variables is that of one size if all grow together: O(n + m) is O(n), O(n * m) is O(n^2).
A class that is not in `GrowthClass` is returned without a class and cannot be measured.

A series is one count (of a line, of a line's work in C, of call depth, of bytes) at growing sizes.
It is divided by the class's function, and a line is fitted to the rest in log-log scale. Its slope,
the excess, is about 0 if the class is right, negative if the count grows slower, and close to a
known slope (`step`) if it grows like the next class. Every line is fitted separately, so that a
steep line is not hidden by many shallow ones. A count is replaced by its running maximum, since the
worst input of a size may be a smaller one.

One input shape and one series that outgrow the class rule it out. A class holds only for the worst
of all shapes together, up to the largest size that all of them completed. `ruled_out` and `holds`
need the whole bootstrap interval on one side; bytes that cannot be distinguished from noise are
undecided. Classes closer together than those in `GrowthClass` are not distinguished, and nothing is
claimed about sizes beyond the measured ones.

>>> bounds = parse_bounds("Sort it in O(n log n) time and O(1) extra space.")
>>> [(bound.resource.value, bound.growth.value) for bound in bounds]
[('time', 'n log n'), ('space', '1')]
>>> from random import Random
>>> fit({16: 16, 32: 32, 64: 64, 128: 128, 256: 256}, GrowthClass.ONE, Random(0)).kind
'ruled_out'
"""

import heapq
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from random import Random
from statistics import fmean


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
    begins = [*(begin for begin, _, _ in found), len(text)]
    ends = [0, *(end for _, end, _ in found)]
    found += [
        (match.start(), match.end(), _BY_NAME[match[1].lower()]) for match in _WORDS.finditer(text)
    ]
    bounds: dict[tuple[Resource, GrowthClass | None], Bound] = {}
    for begin, end, growth in sorted(found, key=lambda one: one[:2]):
        if _NOT_REQUIRED.search(text[max(0, begin - 60) : begin]):
            continue
        next_begin = begins[bisect_left(begins, end)]
        previous_end = ends[bisect_right(ends, begin) - 1]
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


_PRODUCT = re.compile(r"(?!log|sqrt)[a-z]\w*\s*[*·×]\s*(?!log|sqrt)[a-z]\w*|([a-z])(?!\1)[a-z]")
_LOG_OF_SUM = re.compile(r"log\s*\(\s*[a-z](?:\s*\+\s*[a-z])+\s*\)")
_SEVERAL_SIZES: tuple[tuple[GrowthClass, re.Pattern[str]], ...] = (
    (GrowthClass.N, re.compile(r"[a-z](?:\+[a-z])+")),
    (GrowthClass.N_LOG_N, re.compile(r"[a-z](?:\+[a-z])?log[a-z]")),
)
"""Bounds in several sizes, which grow together in the inputs."""


def _growth(inner: str) -> GrowthClass | None:
    """Return the class for the content of O(...)."""
    text = inner.lower().replace("²", "^2").replace("³", "^3").replace("**", "^")
    text = re.sub(r"len\(\w+\)|\|\w+\|", "n", text)
    if _PRODUCT.fullmatch(text.strip()):
        return GrowthClass.SQUARE
    text = re.sub(r"log_?2\b|log₂|\bln\b|lg", "log", text)
    if _LOG_OF_SUM.fullmatch(text.strip()):  # without brackets it is a logarithm and a size
        return GrowthClass.LOG
    text = re.sub(r"[\s*·×()\\{}]", "", text.replace("√", "sqrt"))
    letters = set(re.sub(r"log|sqrt", "", text)) & set("abcdefghijklmnopqrstuvwxyz")
    for growth, several in _SEVERAL_SIZES:
        if several.fullmatch(text):
            return growth
    if len(letters) == 1:
        text = text.replace("log", "L").replace("sqrt", "S").replace(letters.pop(), "n")
        text = text.replace("L", "log").replace("S", "sqrt")
    return _BY_FORMULA.get(text)


HOLDS, RULED_OUT, UNDECIDED = "holds", "ruled_out", "undecided"
MIN_SIZES = 5
"""Fewest sizes for a decision."""
MAX_SIZES = 9
"""Only the largest sizes are fitted, where lower-order terms matter least."""
N_RESAMPLES = 400
LOW, HIGH = 0.3, 0.5
"""Fractions of `step`: the class holds up to the first and is ruled out from the second."""

Series = Mapping[int, float]
"""Size -> the highest count at that size or a smaller one."""


@dataclass(frozen=True, slots=True)
class GrowthFit:
    """Growth of a series relative to a class."""

    kind: str
    """`holds`, `ruled_out` or `undecided`."""
    excess: float
    """Log-log slope of count / class over size."""
    low: float
    """Lower end of the 95 % bootstrap interval of the excess."""
    high: float
    """Upper end of that interval."""
    step: float
    """The excess if the count grew like the next class."""
    exponent: float
    """Log-log slope of the count."""


def fit(
    series: Series, growth: GrowthClass, rng: Random, *, beyond: GrowthClass | None = None
) -> GrowthFit:
    """Fit a series relative to a class; `beyond` is the next class to distinguish from."""
    sizes = sorted(series)[-MAX_SIZES:]
    points = [(math.log(n), math.log(max(series[n], 1.0)), n) for n in sizes]
    residual = [(x, y - growth.log_at(n)) for x, y, n in points]
    other = beyond or growth.next
    step = slope([(x, other.log_at(n) - growth.log_at(n)) for x, _, n in points])
    excess, exponent = slope(residual), slope([(x, y) for x, y, _ in points])
    low, high = _interval(residual, rng)
    kind = UNDECIDED
    if len(sizes) >= MIN_SIZES:
        if low >= HIGH * step and _is_sustained(residual, HIGH * step):
            kind = RULED_OUT
        elif high <= LOW * step:
            kind = HOLDS
    return GrowthFit(kind, excess, low, high, step, exponent)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least squares slope; 0 if all x are equal."""
    x_mean, y_mean = (fmean(values) for values in zip(*points, strict=True))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def _interval(points: Sequence[tuple[float, float]], rng: Random) -> tuple[float, float]:
    n = len(points)
    slopes = sorted(slope(rng.choices(points, k=n)) for _ in range(N_RESAMPLES))
    n_outside = N_RESAMPLES // 40
    return slopes[n_outside], slopes[-n_outside - 1]


def _is_sustained(points: Sequence[tuple[float, float]], min_slope: float) -> bool:
    """Whether the growth continues in the upper half and in most doublings: no single jump."""
    n_rising = sum(after[1] > before[1] for before, after in zip(points, points[2:], strict=False))
    return slope(points[len(points) // 2 :]) >= min_slope and n_rising >= (len(points) - 2) * 0.7


NOT_MEASURED = "not_measured"
MIN_COUNT = 8
"""Largest count below which a line is not fitted separately."""
MIN_SIZE = 64
"""Size that inputs must reach for a class up to n^2 to hold: constants dominate below it."""
MAX_SERIES = 64
"""Most series fitted per function, steepest first; few functions have that many lines."""
NOISE_BYTES = 128
"""Added to the peak bytes, so that a few more objects do not count as growth."""


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """Result for one bound."""

    kind: str
    """`holds`, `ruled_out`, `undecided` or `not_measured`."""
    bound: Bound
    """The bound."""
    why: str
    """The deciding series, or the reason."""
    shape: str
    """The deciding input shape; empty if there is none."""
    fit: GrowthFit | None
    """The deciding fit."""


@dataclass(frozen=True, slots=True)
class CostRun:
    """Costs of one call."""

    shape: str
    """Input shape."""
    n: int
    """Input size."""
    counts: Mapping[str, float]
    """Executions of each line, and the steps in C by line."""
    depth: int
    """Largest call depth."""
    peak_bytes: float
    """Peak bytes besides arguments and result."""


@dataclass(frozen=True, slots=True)
class CostCounts:
    """Counts returned from the sandbox."""

    runs: tuple[CostRun, ...]
    """Completed runs."""
    stops: tuple[str, ...]
    """Reasons why other runs stopped."""
    unseen: tuple[str, ...]
    """Functions whose cost is unknown."""


_TYPICAL = frozenset({"random", "written"})
"""Shapes of inputs that are an average case."""


def judge_bound(counts: CostCounts, bound: Bound, rng: Random) -> MeasuredCosts:
    """Judge a bound: one shape can rule it out; it holds only for all shapes together."""
    usable = {
        shape: runs
        for shape, runs in by_shape(counts).items()
        if len(runs) >= MIN_SIZES and not (bound.average and shape not in _TYPICAL)
    }
    if not usable:
        return MeasuredCosts(NOT_MEASURED, bound, "no input shape completed enough sizes", "", None)
    for shape, runs in usable.items():
        worst = _worst(runs, bound, rng)
        if worst[1].kind == RULED_OUT:
            return MeasuredCosts(RULED_OUT, bound, worst[0], shape, worst[1])
    why, found = _worst(_merge(list(usable.values())), bound, rng)
    kind = found.kind
    largest = min(runs[-1].n for runs in usable.values())
    if kind == HOLDS and largest < MIN_SIZE and bound.growth in _SLOW_GROWTH:
        kind, why = UNDECIDED, f"no input was larger than {largest}"
    elif kind == HOLDS and counts.unseen and bound.resource is Resource.TIME:
        kind, why = UNDECIDED, f"the cost of {', '.join(counts.unseen[:5])} is unknown"
    return MeasuredCosts(kind, bound, why, "all", found)


def _worst(runs: Sequence[CostRun], bound: Bound, rng: Random) -> tuple[str, GrowthFit]:
    """Fit every series; return the name and fit of the one furthest from holding."""
    assert bound.growth is not None
    fits = []
    for name, series, beyond in _series(runs, bound):
        found = fit(series, bound.growth, rng, beyond=beyond)
        if name == BYTES_SERIES and found.kind == HOLDS and beyond is not None:
            n = max(series)
            above_noise = beyond.log_at(n) >= math.log(8 * NOISE_BYTES)
            found = found if above_noise else replace(found, kind=UNDECIDED)
        fits.append((name, found))
    order = (HOLDS, UNDECIDED, RULED_OUT)
    return max(fits, key=lambda one: (order.index(one[1].kind), one[1].excess))


_SLOW_GROWTH = tuple(GrowthClass)[: tuple(GrowthClass).index(GrowthClass.SQUARE) + 1]
BYTES_SERIES = "peak bytes"
_NEXT_IN_BYTES = {
    GrowthClass.ONE: GrowthClass.N,
    GrowthClass.LOG: GrowthClass.N,
    GrowthClass.ROOT: GrowthClass.N,
    GrowthClass.N: GrowthClass.SQUARE,
    GrowthClass.N_LOG_N: GrowthClass.SQUARE,
}
"""The next class that bytes can distinguish: they vary by whole items."""


def _series(runs: Sequence[CostRun], bound: Bound) -> list[tuple[str, Series, GrowthClass | None]]:
    """Split runs into series to fit separately, each with the class to distinguish from."""
    assert bound.growth is not None
    if bound.resource is Resource.SPACE:
        peak = {run.n: run.peak_bytes + NOISE_BYTES for run in runs}
        depth = {run.n: float(run.depth) for run in runs}
        beyond = _NEXT_IN_BYTES.get(bound.growth, bound.growth.next)
        return [
            (BYTES_SERIES, _running_max(peak), beyond),
            ("depth of calls", _running_max(depth), None),
        ]
    totals = {run.n: sum(run.counts.values()) for run in runs}
    found: dict[tuple[float, ...], tuple[str, Series, GrowthClass | None]] = {}
    for key in ["", *sorted(runs[-1].counts)]:
        counts = {run.n: run.counts.get(key, 0.0) for run in runs} if key else totals
        series = _running_max(counts)
        if len(series) >= MIN_SIZES and max(series.values()) >= MIN_COUNT:
            name = _series_name(key) if key else "all counts"
            found.setdefault(tuple(series.values()), (name, series, None))
    return _steepest(list(found.values())) or [("all counts", _running_max(totals), None)]


def _steepest(
    found: list[tuple[str, Series, GrowthClass | None]],
) -> list[tuple[str, Series, GrowthClass | None]]:
    """Keep at most `MAX_SERIES`, steepest first: a candidate may forge any number of series."""
    if len(found) <= MAX_SERIES:
        return found
    return heapq.nlargest(MAX_SERIES, found, key=lambda one: _steepness(one[1]))


def _steepness(series: Series) -> float:
    first, last = min(series), max(series)
    return math.log(max(series[last], 1.0) / max(series[first], 1.0)) / math.log(last / first)


def _running_max(series: Series) -> Series:
    """Replace every count by the highest up to its size, without leading zeros."""
    highest = accumulate((series[n] for n in sorted(series)), max)
    return {n: count for n, count in zip(sorted(series), highest, strict=True) if count > 0}


def _series_name(key: str) -> str:
    what, _, line = key.rpartition(" ")
    return f"{what} at line {line[1:]}" if line.startswith("-") else f"line {line} of {what}"


def by_shape(counts: CostCounts) -> dict[str, list[CostRun]]:
    """Return the completed runs by shape, smallest first, merged to one per size."""
    found: dict[str, dict[int, list[CostRun]]] = {}
    for run in counts.runs:
        found.setdefault(run.shape, {}).setdefault(run.n, []).append(run)
    return {
        shape: [_highest(sizes[n]) for n in sorted(sizes)] for shape, sizes in sorted(found.items())
    }


def _merge(shapes: Sequence[Sequence[CostRun]]) -> list[CostRun]:
    """Merge all shapes to the worst run per size, up to the largest size that all completed."""
    largest = min(runs[-1].n for runs in shapes)
    by_size: dict[int, list[CostRun]] = {}
    for runs in shapes:
        for run in runs:
            by_size.setdefault(run.n, []).append(run)
    sizes = [n for n in sorted(by_size) if n <= largest]
    return [_highest(by_size[n]) for n in sizes]


def _highest(runs: Sequence[CostRun]) -> CostRun:
    keys = {key for run in runs for key in run.counts}
    counts = {key: max(run.counts.get(key, 0.0) for run in runs) for key in keys}
    depth, peak = max(run.depth for run in runs), max(run.peak_bytes for run in runs)
    return CostRun(runs[0].shape, runs[0].n, counts, depth, peak)
