"""From counts at growing sizes to what they rule out, and what they do not.

Promises: one shape of inputs on which one count outgrows the class is enough to rule it out; a
class holds only for the worst of all shapes together, at every size that none of them stopped short
of. A count is followed by its highest value so far, since the worst input of a size may be a
smaller one. Where bytes are too few to be told from noise, nothing is said.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from evolcoder.verify.complexity.bound_parser import Bound, Growth, Resource
from evolcoder.verify.complexity.fit import (
    HOLDS,
    LEAST_SIZES,
    RULED_OUT,
    UNDECIDED,
    Fit,
    Series,
    fit,
)

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
class Measured:
    """What was found of one bound."""

    kind: str
    """`holds`, `ruled_out`, `undecided` or `not_measured`."""
    bound: Bound
    """The bound."""
    why: str
    """What decided it, in a line."""
    shape: str
    """The shape of the inputs that decided it; empty where none did."""
    fit: Fit | None
    """The fit that decided it."""


@dataclass(frozen=True, slots=True)
class Run:
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
class Counts:
    """What came back from the sandbox."""

    runs: tuple[Run, ...]
    """Every run that came to its end."""
    stops: tuple[str, ...]
    """What stopped others."""
    unseen: tuple[str, ...]
    """Functions whose work is not known."""


def judged(counts: Counts, bound: Bound, rng: Random) -> Measured:
    """Judge a bound: one shape that misses it is enough; to hold it takes all of them together."""
    usable = {
        shape: runs
        for shape, runs in by_shape(counts).items()
        if len(runs) >= LEAST_SIZES and not (bound.average and shape != "random")
    }
    if not usable:
        return Measured(NOT_MEASURED, bound, "no shape of inputs ran at enough sizes", "", None)
    for shape, runs in usable.items():
        worst = _worst(runs, bound, rng)
        if worst[1].kind == RULED_OUT:
            return Measured(RULED_OUT, bound, worst[0], shape, worst[1])
    why, found = _worst(_together(list(usable.values())), bound, rng)
    kind = found.kind
    largest = min(runs[-1].n for runs in usable.values())
    if kind == HOLDS and largest < LEAST_SIZE and bound.growth in _SMALL:
        kind, why = UNDECIDED, f"no input was larger than {largest}"
    elif kind == HOLDS and counts.unseen and bound.resource is Resource.TIME:
        kind, why = UNDECIDED, f"the work of {', '.join(counts.unseen[:5])} is not known"
    return Measured(kind, bound, why, "all", found)


def _worst(runs: Sequence[Run], bound: Bound, rng: Random) -> tuple[str, Fit]:
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


_SMALL = tuple(Growth)[: tuple(Growth).index(Growth.SQUARE) + 1]
HELD = "bytes held"
_FROM = {
    Growth.ONE: Growth.N,
    Growth.LOG: Growth.N,
    Growth.ROOT: Growth.N,
    Growth.N: Growth.SQUARE,
    Growth.N_LOG_N: Growth.SQUARE,
}
"""What a class is told from by bytes: they come in whole items, a few more or less."""


def _series(runs: Sequence[Run], bound: Bound) -> list[tuple[str, Series, Growth | None]]:
    """Split runs into series that are fitted each by itself, with what each can be told from."""
    assert bound.growth is not None
    if bound.resource is Resource.SPACE:
        held = {run.n: run.held + NOISE_BYTES for run in runs}
        depth = {run.n: float(run.depth) for run in runs}
        beyond = _FROM.get(bound.growth, bound.growth.next)
        return [(HELD, _rising(held), beyond), ("depth of calls", _rising(depth), None)]
    totals = {run.n: sum(run.counts.values()) for run in runs}
    found: dict[tuple[float, ...], tuple[str, Series, Growth | None]] = {}
    for key in ["", *sorted(runs[-1].counts)]:
        counts = {run.n: run.counts.get(key, 0.0) for run in runs} if key else totals
        series = _rising(counts)
        if len(series) >= LEAST_SIZES and max(series.values()) >= LEAST_COUNT:
            name = _spoken(key) if key else "all counts"
            found.setdefault(tuple(series.values()), (name, series, None))
    return _steepest(list(found.values())) or [("all counts", _rising(totals), None)]


def _steepest(
    found: list[tuple[str, Series, Growth | None]],
) -> list[tuple[str, Series, Growth | None]]:
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


def by_shape(counts: Counts) -> dict[str, list[Run]]:
    """Return the runs that came to their end, by shape and smallest first, one for a size."""
    found: dict[str, dict[int, list[Run]]] = {}
    for run in counts.runs:
        found.setdefault(run.shape, {}).setdefault(run.n, []).append(run)
    return {
        shape: [_highest(sizes[n]) for n in sorted(sizes)] for shape, sizes in sorted(found.items())
    }


def _together(shapes: Sequence[Sequence[Run]]) -> list[Run]:
    """Take the worst of all shapes at every size that none of them stopped short of."""
    least = min(runs[-1].n for runs in shapes)
    by_size: dict[int, list[Run]] = {}
    for runs in shapes:
        for run in runs:
            by_size.setdefault(run.n, []).append(run)
    sizes = [n for n in sorted(by_size) if n <= least]
    return [_highest(by_size[n]) for n in sizes]


def _highest(runs: Sequence[Run]) -> Run:
    keys = {key for run in runs for key in run.counts}
    counts = {key: max(run.counts.get(key, 0.0) for run in runs) for key in keys}
    depth, held = max(run.depth for run in runs), max(run.held for run in runs)
    return Run(runs[0].shape, runs[0].n, counts, depth, held)
