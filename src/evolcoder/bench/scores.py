"""Computes pass@k with confidence intervals, and significance tests between two sets of samples.

Guarantees: pass@k is the unbiased estimator of the Codex paper, computed with exact integers; the
same outcomes and seed give the same interval. One sample per problem gives Wilson's interval and
McNemar's exact test; several give a bootstrap over problems, paired for comparisons. Intervals only
cover resampling such problems; they do not say how well a benchmark represents other tasks.

    score({"a": [True], "b": [False]}, bench="humaneval", k=1)
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Protocol

from evolcoder.bench.base import Problem
from evolcoder.errors import BenchError
from evolcoder.ids import rng_for
from evolcoder.text import natural_key

CONFIDENCE = 0.95
N_RESAMPLES = 10_000
"""Precise to the third digit of an interval; under a second for 500 problems."""

Outcomes = Mapping[str, Sequence[bool]]
"""Problem id -> whether each of its samples passed."""
BASE = "base"
"""Group name of the original benchmark's checks, in benchmarks that extend another one."""


class PairedVerdict(Protocol):
    """The verdict on a sample, with and without the checks that an extended benchmark adds."""

    @property
    def problem(self) -> str:
        """Id of the problem."""

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""

    @property
    def base_passed(self) -> bool | None:
        """Whether the original checks passed; None if none were added or the sample did not run."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""
    method: str
    """`wilson` or `bootstrap`."""


@dataclass(frozen=True, slots=True)
class Score:
    """pass@k over all problems of a benchmark, or of one group of them."""

    bench: str
    """Name of the benchmark."""
    k: int
    """Number of samples of which one must pass."""
    value: float
    """Mean over problems, from 0 to 1."""
    interval: Interval | None
    """Confidence interval over problems; None for one problem, which says nothing of others."""
    n_problems: int
    """Number of problems."""
    n_samples: int
    """Number of samples."""


def by_problem(verdicts: Iterable[PairedVerdict]) -> dict[str, list[bool]]:
    """Group outcomes by problem."""
    found: dict[str, list[bool]] = {}
    for one in verdicts:
        found.setdefault(one.problem, []).append(one.passed)
    return found


def has_base(verdicts: Iterable[PairedVerdict]) -> bool:
    """Whether the verdicts are of a benchmark that extends another one."""
    return any(one.base_passed is not None for one in verdicts)


def base_by_problem(verdicts: Iterable[PairedVerdict]) -> dict[str, list[bool]]:
    """Group outcomes on the original checks by problem, for a benchmark that extends them.

    Where there is no separate base verdict, the full verdict counts: problems without added checks,
    and samples that were never run, which have failed.
    """
    found: dict[str, list[bool]] = {}
    for one in verdicts:
        passed = one.passed if one.base_passed is None else one.base_passed
        found.setdefault(one.problem, []).append(passed)
    return found


@dataclass(frozen=True, slots=True)
class WithheldScore:
    """Why a benchmark has no score."""

    bench: str
    """Name of the benchmark."""
    why: str
    """The reason, in one line."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Comparison of two sets of samples on the same problems."""

    k: int
    """Number of samples of which one must pass."""
    first: float
    """Score of the first set on the shared problems."""
    second: float
    """Score of the second set on the shared problems."""
    interval: Interval
    """Confidence interval of second minus first, by paired bootstrap."""
    p_value: float
    """Two-sided p-value of the difference."""
    test: str
    """`mcnemar exact`, `paired bootstrap`, or `stratified paired bootstrap`."""
    gained: tuple[str, ...]
    """Problems on which the second set is better."""
    lost: tuple[str, ...]
    """Problems on which the second set is worse."""
    n_shared: int
    """Problems compared."""
    n_left_out: int
    """Problems in only one of the two sets."""


def pass_at_k(n: int, n_passed: int, k: int) -> float:
    """Estimate the probability that at least one of k samples passes, or raise BenchError."""
    if not 0 < k <= n:
        raise BenchError(f"pass@{k} needs at least {k} samples per problem; a problem has {n}")
    missed: float = math.comb(n - n_passed, k) / math.comb(n, k)
    return 1 - missed


def wilson(n_passed: int, n: int) -> Interval:
    """Return Wilson's score interval of a proportion."""
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    share, scale = n_passed / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # min and max correct rounding errors: the interval stays in [0, 1] and contains the share
    return Interval(
        min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)), "wilson"
    )


def bootstrap(values: Sequence[float], rng: random.Random) -> Interval:
    """Return the percentile bootstrap interval of a mean."""
    return _percentiles(_resampled_means([values], rng))


def score(outcomes: Outcomes, *, bench: str, k: int, seed: int = 0) -> Score:
    """Compute pass@k of all problems in `outcomes`, or raise BenchError.

    Every problem needs at least k outcomes.
    """
    if not outcomes:
        raise BenchError(f"{bench}: no score, since no sample was graded")
    rates = _rates(outcomes, k)
    n_samples = sum(map(len, outcomes.values()))
    interval = None
    if len(rates) == 1:
        pass
    elif n_samples == len(rates):
        interval = wilson(round(sum(rates)), len(rates))
    else:
        interval = bootstrap(rates, rng_for(seed, "score", bench, k))
    return Score(bench, k, fmean(rates), interval, len(rates), n_samples)


def withhold(
    bench: str, *, wanted: Iterable[str], outcomes: Outcomes, unjudged: Iterable[str]
) -> WithheldScore | None:
    """Return why the outcomes do not cover the whole benchmark, or None if they do.

    `unjudged` are the problems of samples without a verdict.
    """
    failed = sorted(set(unjudged), key=natural_key)
    missing = [problem for problem in wanted if not outcomes.get(problem) and problem not in failed]
    faults = [
        f"{len(problems)} problems {what} ({_some(problems)})"
        for problems, what in ((missing, "have no sample"), (failed, "could not be judged"))
        if problems
    ]
    return WithheldScore(bench, "; ".join(faults)) if faults else None


def grouped(problems: Iterable[Problem], outcomes: Outcomes) -> dict[tuple[str, str], Outcomes]:
    """Split outcomes by the groups of their problems, in the data set's order."""
    parts: dict[tuple[str, str], dict[str, Sequence[bool]]] = {}
    for problem in problems:
        for group in problem.groups:
            if problem.id in outcomes:
                parts.setdefault(group, {})[problem.id] = outcomes[problem.id]
    return dict(parts)


def mcnemar(n_gained: int, n_lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test for discordant pairs."""
    n = n_gained + n_lost
    tail = sum(math.comb(n, i) for i in range(min(n_gained, n_lost) + 1))
    chance: float = 2 * tail / 2**n
    return min(1.0, chance)


def compare(
    first: Outcomes,
    second: Outcomes,
    *,
    k: int,
    seed: int = 0,
    stratum: Callable[[str], str] = lambda _: "",
) -> PairedComparison:
    """Compare two sets of outcomes on the problems that both have.

    Problems of several strata, such as benchmarks, are resampled within each. McNemar's test needs
    no strata: under its hypothesis every discordant problem is a fair coin, whatever its benchmark.
    """
    shared = [problem for problem in first if problem in second]
    if not shared:
        raise BenchError("the two sets of samples have no problem in common")
    pair = [{problem: side[problem] for problem in shared} for side in (first, second)]
    before, after = (_rates(side, k) for side in pair)
    changes = [b - a for a, b in zip(before, after, strict=True)]
    gained = tuple(p for p, change in zip(shared, changes, strict=True) if change > 0)
    lost = tuple(p for p, change in zip(shared, changes, strict=True) if change < 0)
    strata: dict[str, list[float]] = {}
    for problem, change in zip(shared, changes, strict=True):
        strata.setdefault(stratum(problem), []).append(change)
    means = _resampled_means(strata.values(), rng_for(seed, "compare", k))
    is_single = all(len(samples) == 1 for side in pair for samples in side.values())
    return PairedComparison(
        k=k,
        first=fmean(before),
        second=fmean(after),
        interval=_percentiles(means),
        p_value=mcnemar(len(gained), len(lost)) if is_single else _bootstrap_p_value(means),
        test="mcnemar exact" if is_single else f"{_STRATIFIED[len(strata) > 1]}paired bootstrap",
        gained=gained,
        lost=lost,
        n_shared=len(shared),
        n_left_out=len(first) + len(second) - 2 * len(shared),
    )


def _rates(outcomes: Outcomes, k: int) -> list[float]:
    return [pass_at_k(len(samples), sum(samples), k) for samples in outcomes.values()]


_STRATIFIED = {False: "", True: "stratified "}


def _resampled_means(strata: Iterable[Sequence[float]], rng: random.Random) -> list[float]:
    """Return the sorted means of all values, resampled within each stratum."""
    parts = list(strata)
    return sorted(
        fmean([value for part in parts for value in rng.choices(part, k=len(part))])
        for _ in range(N_RESAMPLES)
    )


def _percentiles(means: Sequence[float]) -> Interval:
    outside = round(len(means) * (1 - CONFIDENCE) / 2)
    return Interval(means[outside], means[-outside - 1], "bootstrap")


def _bootstrap_p_value(means: Sequence[float]) -> float:
    """Return twice the share of resampled means on the rarer side of zero; always above 0."""
    rarer = min(sum(mean <= 0 for mean in means), sum(mean >= 0 for mean in means))
    return min(1.0, 2 * (rarer + 1) / (len(means) + 1))


def _some(problems: Sequence[str]) -> str:
    shown = ", ".join(problems[:5])
    return shown if len(problems) <= 5 else f"{shown} and {len(problems) - 5} more"
