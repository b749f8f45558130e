"""Are children harder than their parents? Paired differences, by heuristic and round.

Promises: only pairs are compared of which both sides were measured; each line says how many. The
interval is a percentile bootstrap over pairs at 95 %, equal for equal pairs and seed, in any order.
Does not promise a cause: a heuristic is given to what earlier ones left.

>>> (line,) = harder([Pair("deepen", 1, {"tokens": 3.0}, {"tokens": 5.0})])
>>> line.difference
2.0
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from evolcoder.ids import rng_for

MOST_DRAWS = 3_000_000
"""Values drawn for one interval, at most; large groups need fewer resamples."""
ALL = "all"
"""Stands for every heuristic."""


@dataclass(frozen=True, slots=True)
class ChildAndParent:
    """A task and the one it was evolved from, measured."""

    heuristic: str
    """What made the child."""
    round: int
    """The round that made it."""
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
    """The round; None for all of them."""
    n: int
    """Pairs of which both sides were measured."""
    parent: float
    """Mean of the parents."""
    child: float
    """Mean of the children."""
    difference: float
    """Mean of child minus parent."""
    low: float
    """Lower end of the difference's interval."""
    high: float
    """Upper end of it."""
    share_higher: float
    """Share of pairs whose child is above its parent."""


def harder(pairs: Iterable[ChildAndParent], *, seed: int = 0) -> list[ComparisonRow]:
    """Compare children with parents: each measure, for all and by heuristic and by round."""
    groups: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for pair in pairs:
        for measure in pair.parent.keys() & pair.child.keys():
            values = (pair.parent[measure], pair.child[measure])
            for heuristic in (ALL, pair.heuristic):
                for round in (0, pair.round):
                    groups.setdefault((measure, heuristic, round), []).append(values)
    order = sorted(groups, key=lambda key: (key[0], key[1] != ALL, *key[1:]))
    return [_line(key, sorted(groups[key]), seed) for key in order]


def _line(
    key: tuple[str, str, int], values: Sequence[tuple[float, float]], seed: int
) -> ComparisonRow:
    measure, heuristic, round = key
    differences = [child - parent for parent, child in values]
    low, high = interval(differences, rng_for(seed, "harder", *key))
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
        share_higher=sum(one > 0 for one in differences) / len(differences),
    )


def interval(values: Sequence[float], rng: Random) -> tuple[float, float]:
    """Return the ends of a mean's bootstrap interval at 95 %."""
    n_resamples = max(200, min(4000, MOST_DRAWS // len(values)))
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(n_resamples))
    outside = n_resamples // 40
    return means[outside], means[-outside - 1]
