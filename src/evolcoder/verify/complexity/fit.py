"""Does a count grow faster than a class allows? Slopes in logarithms, with intervals.

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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from evolcoder.verify.complexity.bound_parser import Growth

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
class Fit:
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


def fit(series: Series, growth: Growth, rng: Random, *, beyond: Growth | None = None) -> Fit:
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
    return Fit(kind, excess, low, high, step, exponent)


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
