"""Plans and pools comparisons of two models: problems and samples needed, and what is decidable.

Guarantees: a plan's power is that of a two-sided paired test at LEVEL, by the normal
approximation, from the spread of stored differences between two sets of samples; tests compare it
with simulated experiments. The spread has two parts: how much the models differ from problem to
problem, which only more problems reduce, and chance within a problem, which more samples reduce
too. One sample per problem does not tell them apart, so a plan from such samples does not vary
their number.

>>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
{'a': 0.03, 'c': 0.06, 'b': 0.06}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pvariance

from evolcoder.bench.scores import Outcomes
from evolcoder.errors import BenchError

LEVEL = 0.05
"""Two-sided level of the planned test."""
POWER = 0.8
"""Share of comparisons that find a true difference of the planned size."""
N_SAMPLES = (1, 2, 5, 10, 20, 50)
"""Numbers of samples per problem that a plan considers."""
_REACH = NormalDist().inv_cdf(1 - LEVEL / 2) + NormalDist().inv_cdf(POWER)


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance of the difference of pass rates on one problem."""

    between: float
    """Part by which the models' true difference varies from problem to problem."""
    within: float
    """Part that chance adds to one sample of each model; divided by the number of samples."""
    n_problems: int
    """Problems that it was estimated from."""
    n_samples: int
    """Fewest samples per problem that it was estimated from."""

    def variance(self, n_samples: int) -> float:
        """Return the variance of the measured difference on one problem."""
        return self.between + self.within / n_samples

    def smallest_effect(self, n_problems: int, n_samples: int) -> float:
        """Return the smallest true difference that POWER of such comparisons find, from 0 to 1."""
        return min(1.0, _REACH * math.sqrt(self.variance(n_samples) / n_problems))


@dataclass(frozen=True, slots=True)
class PlannedSize:
    """A size of a comparison that finds a difference."""

    n_samples: int
    """Samples per problem."""
    n_problems: int
    """Problems needed."""
    smallest_effect: float
    """Smallest true difference that the present problems find with these samples, from 0 to 1."""


def pooled(benches: Mapping[str, Outcomes]) -> dict[str, Sequence[bool]]:
    """Put the outcomes of several benchmarks together, with ids that name their benchmark."""
    return {
        f"{bench} {problem}": samples
        for bench, outcomes in benches.items()
        for problem, samples in outcomes.items()
    }


def bench_of(id: str) -> str:
    """Return the benchmark in a pooled id; empty for an id of one benchmark."""
    return id.rpartition(" ")[0]


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's adjusted p-values, smallest first: for several comparisons with one control."""
    adjusted, least = {}, 0.0
    for place, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p_values) - place) * p_value))
        adjusted[name] = round(least, 12)
    return adjusted


def spread_of(first: Outcomes, second: Outcomes) -> Spread:
    """Estimate the spread of differences on the problems that both have, or raise BenchError.

    One problem gained and one lost are added: a few equal outcomes promise no certainty.
    """
    shared = [problem for problem in first if second.get(problem)]
    if not shared:
        raise BenchError("the two sets of samples have no problem in common")
    sides = [[side[problem] for problem in shared] for side in (first, second)]
    rates = [[sum(samples) / len(samples) for samples in side] for side in sides]
    changes = [after - before for before, after in zip(*rates, strict=True)]
    total = pvariance([*changes, 1.0, -1.0])
    n_samples = min(len(samples) for side in sides for samples in side)
    if n_samples < 2:
        return Spread(total, 0.0, len(shared), n_samples)
    pairs = list(zip(*sides, strict=True))
    within = fmean(_chance(one) + _chance(other) for one, other in pairs)
    measured = fmean(_chance(a) / len(a) + _chance(b) / len(b) for a, b in pairs)
    return Spread(max(0.0, total - measured), within, len(shared), n_samples)


def plan(first: Outcomes, second: Outcomes, *, effect: float) -> list[PlannedSize]:
    """Return the sizes at which a true difference of `effect` (0 to 1) is found, or BenchError."""
    if not 0 < effect <= 1:
        raise BenchError("--effect must be above 0 and at most 100 points")
    spread = spread_of(first, second)
    counts = N_SAMPLES if spread.n_samples > 1 else (1,)
    return [
        PlannedSize(
            n_samples,
            max(1, math.ceil(spread.variance(n_samples) * (_REACH / effect) ** 2)),
            spread.smallest_effect(spread.n_problems, n_samples),
        )
        for n_samples in counts
    ]


def _chance(samples: Sequence[bool]) -> float:
    """Estimate the variance of one sample without bias, from at least two."""
    n, rate = len(samples), sum(samples) / len(samples)
    return rate * (1 - rate) * n / (n - 1)
