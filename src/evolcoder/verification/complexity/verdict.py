"""From counts at growing sizes to what they rule out, and what they do not.

Promises: one shape of inputs on which one count outgrows the class is enough to rule it out; a
class holds only for the worst of all shapes together, at every size that none of them stopped short
of. A count is followed by its highest value so far, since the worst input of a size may be a
smaller one. Where bytes are too few to be told from noise, nothing is said.

Does a count grow faster than a class allows? Slopes in logarithms, with intervals.

A series is one count (of one line, of the hidden work of one line, of depth, of bytes) at growing
sizes; it is divided by the class's function, and what is left is fitted with a line in logarithms:
its slope, the excess, is about 0 where the class is right, below it where the count grows slower,
and near a slope known in advance (`step`) where it grows like the next class. Counts of single
lines are fitted each by itself, so that a steep line does not hide behind many shallow ones.

Promises: `ruled_out` and `holds` are said only where the whole interval lies on one side; classes
nearer to each other than those in `Growth` are not told apart. Does not promise anything about
sizes beyond those that were measured.

>>> fit({16: 16, 32: 32, 64: 64, 128: 128, 256: 256}, Growth.ONE, Random(0)).kind
'ruled_out'
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from statistics import fmean

from evolcoder.verification.complexity.bound_parser import Bound, GrowthClass, Resource

HOLDS, RULED_OUT, UNDECIDED = "holds", "ruled_out", "undecided"
LEAST_SIZES = 5
"""Sizes without which nothing is said."""
MOST_SIZES = 9
"""The largest sizes are fitted, where a count's lower terms weigh least."""
N_RESAMPLES = 400
LOW, HIGH = 0.3, 0.5
"""Parts of the step to the next class: up to the first the class holds, from the second it does
not."""

Series = Mapping[int, float]
"""Size -> the highest count at that size or a smaller one."""


@dataclass(frozen=True, slots=True)
class GrowthFit:
    """How a series grows beside a class."""

    kind: str
    """`holds`, `ruled_out` or `undecided`."""
    excess: float
    """Slope of the logarithm of count / class over the logarithm of the size."""
    low: float
    """Lower end of its bootstrap interval at 95 %."""
    high: float
    """Upper end."""
    step: float
    """What the excess would be if the count grew like the next class."""
    exponent: float
    """Slope of the logarithm of the count itself."""


def fit(
    series: Series, growth: GrowthClass, rng: Random, *, beyond: GrowthClass | None = None
) -> GrowthFit:
    """Fit a series beside a class; `beyond` is the class to tell it from, by default the next."""
    sizes = sorted(series)[-MOST_SIZES:]
    points = [(math.log(n), math.log(max(series[n], 1.0)), n) for n in sizes]
    left = [(x, y - growth.log_at(n)) for x, y, n in points]
    other = beyond or growth.next
    step = slope([(x, other.log_at(n) - growth.log_at(n)) for x, _, n in points])
    excess, exponent = slope(left), slope([(x, y) for x, y, _ in points])
    low, high = _interval(left, rng)
    kind = UNDECIDED
    if len(sizes) >= LEAST_SIZES:
        if low >= HIGH * step and _goes_on(left, HIGH * step):
            kind = RULED_OUT
        elif high <= LOW * step:
            kind = HOLDS
    return GrowthFit(kind, excess, low, high, step, exponent)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least squares slope; 0 where all points stand above one another."""
    x_mean, y_mean = (fmean(values) for values in zip(*points, strict=True))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def _interval(points: Sequence[tuple[float, float]], rng: Random) -> tuple[float, float]:
    n = len(points)
    slopes = sorted(slope(rng.choices(points, k=n)) for _ in range(N_RESAMPLES))
    outside = N_RESAMPLES // 40
    return slopes[outside], slopes[-outside - 1]


def _goes_on(points: Sequence[tuple[float, float]], least: float) -> bool:
    """Tell whether the growth is still there in the upper half, and in most of its doublings."""
    rising = sum(after[1] > before[1] for before, after in zip(points, points[2:], strict=False))
    return slope(points[len(points) // 2 :]) >= least and rising >= (len(points) - 2) * 0.7


NOT_MEASURED = "not_measured"
LEAST_COUNT = 8
"""Count that a line must reach in order to be fitted by itself."""
LEAST_SIZE = 64
"""Size that inputs must reach for a class up to n^2 to hold: below it, constants hide much."""
MOST_SERIES = 64
"""Series of a function that are fitted, the steepest ones; few functions have as many lines."""
NOISE_BYTES = 128
"""Added to what is held: a few objects more or less are no growth."""


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """What was found of one bound."""

    kind: str
    """`holds`, `ruled_out`, `undecided` or `not_measured`."""
    bound: Bound
    """The bound."""
    why: str
    """What decided it, in a line."""
    shape: str
    """The shape of the inputs that decided it; empty where none did."""
    fit: GrowthFit | None
    """The fit that decided it."""


@dataclass(frozen=True, slots=True)
class CostRun:
    """What one input took."""

    shape: str
    """Shape of the input."""
    n: int
    """Its size."""
    counts: Mapping[str, float]
    """How often each line began, and the steps within C at each."""
    depth: int
    """Most calls within each other."""
    held: float
    """Most bytes held beside arguments and result."""


@dataclass(frozen=True, slots=True)
class CostCounts:
    """What came back from the sandbox."""

    runs: tuple[CostRun, ...]
    """Every run that came to its end."""
    stops: tuple[str, ...]
    """What stopped others."""
    unseen: tuple[str, ...]
    """Functions whose work is not known."""


def judged(counts: CostCounts, bound: Bound, rng: Random) -> MeasuredCosts:
    """Judge a bound: one shape that misses it is enough; to hold it takes all of them together."""
    usable = {
        shape: runs
        for shape, runs in by_shape(counts).items()
        if len(runs) >= LEAST_SIZES and not (bound.average and shape != "random")
    }
    if not usable:
        return MeasuredCosts(
            NOT_MEASURED, bound, "no shape of inputs ran at enough sizes", "", None
        )
    for shape, runs in usable.items():
        worst = _worst(runs, bound, rng)
        if worst[1].kind == RULED_OUT:
            return MeasuredCosts(RULED_OUT, bound, worst[0], shape, worst[1])
    why, found = _worst(_together(list(usable.values())), bound, rng)
    kind = found.kind
    largest = min(runs[-1].n for runs in usable.values())
    if kind == HOLDS and largest < LEAST_SIZE and bound.growth in _SMALL:
        kind, why = UNDECIDED, f"no input was larger than {largest}"
    elif kind == HOLDS and counts.unseen and bound.resource is Resource.TIME:
        kind, why = UNDECIDED, f"the work of {', '.join(counts.unseen[:5])} is not known"
    return MeasuredCosts(kind, bound, why, "all", found)


def _worst(runs: Sequence[CostRun], bound: Bound, rng: Random) -> tuple[str, GrowthFit]:
    """Fit every series; return the name and the fit of the one that is furthest from holding."""
    assert bound.growth is not None
    fits = []
    for name, series, beyond in _series(runs, bound):
        found = fit(series, bound.growth, rng, beyond=beyond)
        if name == HELD and found.kind == HOLDS and beyond is not None:
            n = max(series)
            seen = beyond.log_at(n) >= math.log(8 * NOISE_BYTES)
            found = found if seen else replace(found, kind=UNDECIDED)
        fits.append((name, found))
    order = (HOLDS, UNDECIDED, RULED_OUT)
    return max(fits, key=lambda one: (order.index(one[1].kind), one[1].excess))


_SMALL = tuple(GrowthClass)[: tuple(GrowthClass).index(GrowthClass.SQUARE) + 1]
HELD = "bytes held"
_FROM = {
    GrowthClass.ONE: GrowthClass.N,
    GrowthClass.LOG: GrowthClass.N,
    GrowthClass.ROOT: GrowthClass.N,
    GrowthClass.N: GrowthClass.SQUARE,
    GrowthClass.N_LOG_N: GrowthClass.SQUARE,
}
"""What a class is told from by bytes: they come in whole items, a few more or less."""


def _series(runs: Sequence[CostRun], bound: Bound) -> list[tuple[str, Series, GrowthClass | None]]:
    """Split runs into series that are fitted each by itself, with what each can be told from."""
    assert bound.growth is not None
    if bound.resource is Resource.SPACE:
        held = {run.n: run.held + NOISE_BYTES for run in runs}
        depth = {run.n: float(run.depth) for run in runs}
        beyond = _FROM.get(bound.growth, bound.growth.next)
        return [(HELD, _rising(held), beyond), ("depth of calls", _rising(depth), None)]
    totals = {run.n: sum(run.counts.values()) for run in runs}
    found: dict[tuple[float, ...], tuple[str, Series, GrowthClass | None]] = {}
    for key in ["", *sorted(runs[-1].counts)]:
        counts = {run.n: run.counts.get(key, 0.0) for run in runs} if key else totals
        series = _rising(counts)
        if len(series) >= LEAST_SIZES and max(series.values()) >= LEAST_COUNT:
            name = _spoken(key) if key else "all counts"
            found.setdefault(tuple(series.values()), (name, series, None))
    return _steepest(list(found.values())) or [("all counts", _rising(totals), None)]


def _steepest(
    found: list[tuple[str, Series, GrowthClass | None]],
) -> list[tuple[str, Series, GrowthClass | None]]:
    """Leave out the flattest where there are too many to be fitted: who counts may make them up."""
    if len(found) <= MOST_SERIES:
        return found
    return heapq.nlargest(MOST_SERIES, found, key=lambda one: _steepness(one[1]))


def _steepness(series: Series) -> float:
    first, last = min(series), max(series)
    return math.log(max(series[last], 1.0) / max(series[first], 1.0)) / math.log(last / first)


def _rising(series: Series) -> Series:
    """Take the highest count so far for the count, since the worst input may be a smaller one."""
    highest = accumulate((series[n] for n in sorted(series)), max)
    return {n: count for n, count in zip(sorted(series), highest, strict=True) if count > 0}


def _spoken(key: str) -> str:
    what, _, line = key.rpartition(" ")
    return f"{what} at line {line[1:]}" if line.startswith("-") else f"line {line} of {what}"


def by_shape(counts: CostCounts) -> dict[str, list[CostRun]]:
    """Return the runs that came to their end, by shape and smallest first, one for a size."""
    found: dict[str, dict[int, list[CostRun]]] = {}
    for run in counts.runs:
        found.setdefault(run.shape, {}).setdefault(run.n, []).append(run)
    return {
        shape: [_highest(sizes[n]) for n in sorted(sizes)] for shape, sizes in sorted(found.items())
    }


def _together(shapes: Sequence[Sequence[CostRun]]) -> list[CostRun]:
    """Take the worst of all shapes at every size that none of them stopped short of."""
    least = min(runs[-1].n for runs in shapes)
    by_size: dict[int, list[CostRun]] = {}
    for runs in shapes:
        for run in runs:
            by_size.setdefault(run.n, []).append(run)
    sizes = [n for n in sorted(by_size) if n <= least]
    return [_highest(by_size[n]) for n in sizes]


def _highest(runs: Sequence[CostRun]) -> CostRun:
    keys = {key for run in runs for key in run.counts}
    counts = {key: max(run.counts.get(key, 0.0) for run in runs) for key in keys}
    depth, held = max(run.depth for run in runs), max(run.held for run in runs)
    return CostRun(runs[0].shape, runs[0].n, counts, depth, held)
