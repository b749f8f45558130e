"""Confidence intervals over problems and training seeds: a hierarchical bootstrap.

Every resample draws problems, the same for all arms of a benchmark, and training seeds, separately
for each arm; so a difference between two arms is paired by problem. The same outcomes and seed give
the same numbers. With few seeds the seeds' part of the interval is too narrow, since the bootstrap
treats three seeds as the whole population.

>>> one = {0: {"a": [True], "b": [False]}}
>>> Resampler(["a", "b"], seed=0).estimate("arm", one).value
0.5
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean

from evolcoder.bench.scores import CONFIDENCE, Outcomes
from evolcoder.errors import BenchError
from evolcoder.ids import rng_for

N_RESAMPLES = 2000
"""Enough for the first decimal of a percentage."""

BySeed = Mapping[int, Outcomes]
"""Training seed -> outcomes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """pass@1 of an arm."""

    value: float
    """Mean over seeds and problems, from 0 to 1."""
    low: float
    """Lower end at 95 %."""
    high: float
    """Upper end."""
    n_problems: int
    """Problems."""
    n_seeds: int
    """Training seeds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm less its control, on the same problems."""

    value: float
    """Difference of the means."""
    low: float
    """Lower end at 95 %."""
    high: float
    """Upper end."""
    p_value: float
    """Twice the share of resamples on the smaller side of zero."""


class Resampler:
    """Bootstrap of one benchmark, with the same draws of problems for all arms."""

    def __init__(self, problems: Sequence[str], *, seed: int, n: int = N_RESAMPLES) -> None:
        if not problems:
            raise BenchError("a benchmark without problems has no score")
        self._problems = tuple(problems)
        self._seed = seed
        rng, places = rng_for(seed, "problems"), range(len(problems))
        drawn = (rng.choices(places, k=len(problems)) for _ in range(n))
        self._draws = [itemgetter(*draw, draw[0]) for draw in drawn]
        self._n = n
        self._known: dict[tuple[str, tuple[tuple[float, ...], ...]], list[float]] = {}

    def estimate(self, name: str, arm: BySeed) -> Estimate:
        """Return the mean of an arm with its interval."""
        low, high = _interval(self._means(name, arm))
        return Estimate(self._value(name, arm), low, high, len(self._problems), len(arm))

    def difference(self, name: str, arm: BySeed, control_name: str, control: BySeed) -> Difference:
        """Return the difference of an arm to its control."""
        pairs = zip(self._means(name, arm), self._means(control_name, control), strict=True)
        changes = [mine - theirs for mine, theirs in pairs]
        sides = (sum(change <= 0 for change in changes), sum(change >= 0 for change in changes))
        p_value = min(1.0, 2 * (min(sides) + 1) / (self._n + 1))
        value = self._value(name, arm) - self._value(control_name, control)
        return Difference(value, *_interval(changes), p_value)

    def _value(self, name: str, arm: BySeed) -> float:
        """Return the mean of an arm over seeds and problems."""
        return fmean(fmean(self._rates(name, one)) for one in arm.values())

    def _means(self, name: str, arm: BySeed) -> list[float]:
        """Return the arm's mean in every resample, cached for all its pairs."""
        rates = tuple(self._rates(name, one) for _, one in sorted(arm.items()))
        if (name, rates) not in self._known:
            self._known[name, rates] = self._over_seeds(name, rates)
        return self._known[name, rates]

    def _over_seeds(self, name: str, rates: Sequence[Sequence[float]]) -> list[float]:
        """Return the mean of each resample, over training seeds drawn for it."""
        by_seed = list(map(self._resampled, rates))
        rng = rng_for(self._seed, "seeds", name)
        return [
            fmean(means[draw] for means in rng.choices(by_seed, k=len(by_seed)))
            for draw in range(self._n)
        ]

    def _resampled(self, rates: Sequence[float]) -> list[float]:
        """Return the mean of each draw of problems; a draw repeats its first element at the end."""
        n = len(rates)
        return [(sum(found) - found[-1]) / n for found in (draw(rates) for draw in self._draws)]

    def _rates(self, name: str, outcomes: Outcomes) -> tuple[float, ...]:
        missing = [problem for problem in self._problems if not outcomes.get(problem)]
        if missing:
            raise BenchError(f"{name}: {len(missing)} problems have no verdict ({missing[0]} …)")
        return tuple(fmean(outcomes[problem]) for problem in self._problems)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    outside = round(len(ordered) * (1 - CONFIDENCE) / 2)
    return ordered[outside], ordered[-outside - 1]
