"""Compares evolved tasks with their parents: paired differences by heuristic and round.

A measure is compared only over pairs that have it on both sides; each row gives the number of
pairs. The interval is a 95 % percentile bootstrap over pairs. It depends on the pairs and the seed,
not on their order. A difference is not a causal effect of a heuristic: which tasks a heuristic gets
depends on what earlier rounds kept.

>>> pairs = [ChildAndParent("deepen", 1, {"tokens": 3.0}, {"tokens": 5.0})]
>>> rows = compare_with_parents(pairs)
>>> rows[0].heuristic, rows[0].round, rows[0].difference
('all', None, 2.0)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from evolcoder.ids import rng_for

MAX_BOOTSTRAP_DRAWS = 3_000_000
"""Most values drawn for one interval; larger groups get fewer resamples."""
ALL = "all"
"""Group of all heuristics."""


@dataclass(frozen=True, slots=True)
class ChildAndParent:
    """Measures of an evolved task and of its parent."""

    heuristic: str
    """Heuristic that evolved the child."""
    round: int
    """Round of the child."""
    parent: Mapping[str, float]
    """Measures of the parent, by name."""
    child: Mapping[str, float]
    """Measures of the child, by name."""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One measure of one group of pairs."""

    measure: str
    """Name of the measure."""
    heuristic: str
    """The heuristic, or `all`."""
    round: int | None
    """The round; None for all rounds."""
    n: int
    """Pairs with the measure on both sides."""
    parent: float
    """Mean of the parents."""
    child: float
    """Mean of the children."""
    difference: float
    """Mean of child minus parent."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end of the 95 % interval of the difference."""
    share_higher: float
    """Share of pairs whose child exceeds its parent."""


def compare_with_parents(pairs: Iterable[ChildAndParent], *, seed: int = 0) -> list[ComparisonRow]:
    """Compare every measure over all pairs, by heuristic, by round and by both."""
    groups: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for pair in pairs:
        for measure in pair.parent.keys() & pair.child.keys():
            values = (pair.parent[measure], pair.child[measure])
            for heuristic in (ALL, pair.heuristic):
                for round in (0, pair.round):
                    groups.setdefault((measure, heuristic, round), []).append(values)
    order = sorted(groups, key=lambda key: (key[0], key[1] != ALL, *key[1:]))
    return [_comparison(key, sorted(groups[key]), seed) for key in order]


def _comparison(
    key: tuple[str, str, int], values: Sequence[tuple[float, float]], seed: int
) -> ComparisonRow:
    measure, heuristic, round = key
    differences = [child - parent for parent, child in values]
    low, high = bootstrap_interval(differences, rng_for(seed, "harder", *key))
    return ComparisonRow(
        measure=measure,
        heuristic=heuristic,
        round=round or None,
        n=len(values),
        parent=fmean(parent for parent, _ in values),
        child=fmean(child for _, child in values),
        difference=fmean(differences),
        low=low,
        high=high,
        share_higher=sum(value > 0 for value in differences) / len(differences),
    )


def bootstrap_interval(values: Sequence[float], rng: Random) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean."""
    n_resamples = max(200, min(4000, MAX_BOOTSTRAP_DRAWS // len(values)))
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(n_resamples))
    n_outside = n_resamples // 40
    return means[n_outside], means[-n_outside - 1]
