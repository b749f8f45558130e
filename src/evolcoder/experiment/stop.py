"""Evol Stop: decides on a dev set, by a paired test, whether another round of evolution helps.

The decision depends only on the outcomes of the rounds and on the rule. Each round is compared with
the best one so far on the same problems, by McNemar's exact test with one sample per problem and by
a paired bootstrap otherwise. A dev set of several benchmarks is pooled, each problem counting the
same, and resampled within each. A loss within noise is `lower`, not `worse`; a gain within noise is
`higher`, not `better`.

The dev set must not share problems with the reported benchmarks. Problems are equal if their ids
are, or their texts without case, blanks and punctuation. MBPP+ contains problems of all of MBPP's
splits, so it shares 147 of mbpp-dev's 464.

>>> right, wrong = {"a": [True], "b": [True]}, {"a": [True], "b": [False]}
>>> should_stop([DevScore(0, right), DevScore(1, wrong)], StopRule()).reason
'round 1 is lower by 50.0 points than round 0, within noise (p = 1.000): kept'
>>> shared_problems({"Mbpp/601": "Add."}, {"Mbpp/601": "Add two numbers."})
('Mbpp/601',)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.bench.power import bench_of, pooled
from evolcoder.bench.scores import Outcomes, PairedComparison, compare
from evolcoder.errors import BenchError, ConfigError


class StopState(StrEnum):
    """A round compared with the best one before it. Values are stored; never rename one."""

    FIRST = "first"
    BETTER = "better"
    HIGHER = "higher"
    TIE = "tie"
    LOWER = "lower"
    WORSE = "worse"

    @property
    def is_kept(self) -> bool:
        """Whether the round stays in the merge: unless it is proven worse."""
        return self is not StopState.WORSE

    @property
    def is_new_best(self) -> bool:
        """Whether the round is the new best; a tie is not, since it costs more data."""
        return self in {StopState.FIRST, StopState.BETTER, StopState.HIGHER}


@dataclass(frozen=True, slots=True)
class DevScore:
    """The dev set outcomes of one round's model."""

    round: int
    """The last round that the model was trained on."""
    outcomes: Outcomes
    """Problem -> whether each of its samples passed, over all training seeds; ids of a dev set of
    several benchmarks name theirs (`power.pooled`)."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """When to stop."""

    level: float = 0.05
    """Largest p-value at which a difference counts as proven; two-sided."""
    patience: int = 1
    """Rounds in a row without help that end evolution."""
    strict: bool = False
    """Count a tie or a loss within noise as no help, as in the paper; else only a proven loss."""


@dataclass(frozen=True, slots=True)
class RoundDecision:
    """One round compared with the best one before it."""

    round: int
    """The round."""
    standing: StopState
    """Result of the comparison."""
    score: float
    """Its pass@1, from 0 to 1."""
    beside: int
    """The best round before it; itself for the first."""
    change: float
    """Its score minus the best one's."""
    p_value: float
    """Probability of such a difference under the null hypothesis."""
    test: str
    """Name of the test; empty for the first round."""
    reason: str
    """The result in one line."""


@dataclass(frozen=True, slots=True)
class StopDecision:
    """Whether to stop, and which round is kept."""

    stop: bool
    """Whether evolution ends here."""
    best: int
    """The round whose merge is kept: the highest score, the earliest of equals."""
    judgements: tuple[RoundDecision, ...]
    """Every round, in order."""
    reason: str
    """Why, in one line."""


def should_stop(history: Sequence[DevScore], rule: StopRule) -> StopDecision:
    """Compare every round of a history, and decide whether to continue after the last."""
    if not history:
        raise BenchError("evolution cannot be judged before a round was scored")
    best, against, judged = history[0], 0, [_first(history[0])]
    for point in history[1:]:
        found = _judge(best, point, rule)
        judged.append(found)
        if found.standing.is_new_best:
            best = point
        against = against + 1 if _counts_against(found.standing, rule) else 0
        if against >= rule.patience:
            why = _stopping(judged, against, best)
            return StopDecision(stop=True, best=best.round, judgements=tuple(judged), reason=why)
    last = judged[-1].reason
    return StopDecision(stop=False, best=best.round, judgements=tuple(judged), reason=last)


def _counts_against(standing: StopState, rule: StopRule) -> bool:
    return not standing.is_new_best if rule.strict else not standing.is_kept


def _stopping(judged: Sequence[RoundDecision], against: int, best: DevScore) -> str:
    rounds = "1 round" if against == 1 else f"{against} rounds in a row"
    return f"{judged[-1].reason}; {rounds} did not help: stop, and keep round {best.round}"


def _first(point: DevScore) -> RoundDecision:
    score = compare(point.outcomes, point.outcomes, k=1).first
    reason = f"round {point.round} is the first: {100 * score:.1f} %"
    return RoundDecision(point.round, StopState.FIRST, score, point.round, 0.0, 1.0, "", reason)


def _judge(best: DevScore, point: DevScore, rule: StopRule) -> RoundDecision:
    found = compare(best.outcomes, point.outcomes, k=1, stratum=bench_of)
    if found.n_left_out:
        raise BenchError(
            f"rounds {best.round} and {point.round} were not scored on the same problems: "
            f"{found.n_left_out} are in one of them alone"
        )
    standing, change = _standing(found, rule), found.second - found.first
    reason = _reason(point.round, best.round, found, standing)
    return RoundDecision(
        point.round, standing, found.second, best.round, change, found.p_value, found.test, reason
    )


def _standing(found: PairedComparison, rule: StopRule) -> StopState:
    change, proven = found.second - found.first, found.p_value <= rule.level
    if change == 0:
        return StopState.TIE
    if change > 0:
        return StopState.BETTER if proven else StopState.HIGHER
    return StopState.WORSE if proven else StopState.LOWER


def _reason(round: int, best: int, found: PairedComparison, standing: StopState) -> str:
    points = f"by {abs(100 * (found.second - found.first)):.1f} points"
    chance = f"p = {found.p_value:.3f}"
    results = {
        StopState.BETTER: f"is better {points} than round {best} ({chance}): kept, the new best",
        StopState.HIGHER: f"is higher {points} than round {best}, within noise ({chance}): "
        "kept, the new best",
        StopState.TIE: f"ties with round {best}: kept",
        StopState.LOWER: f"is lower {points} than round {best}, within noise ({chance}): kept",
        StopState.WORSE: f"is worse {points} than round {best} ({chance}): not kept",
    }
    return f"round {round} {results[standing]}"


_NON_WORDS = re.compile(r"[\W_]+")


def shared_problems(dev: Mapping[str, str], test: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems of the dev set that a test also contains, by id or by text."""
    ids, texts = set(test), {_normalized(text) for text in test.values()}
    return tuple(id for id, text in dev.items() if id in ids or _normalized(text) in texts)


def dev_problems(
    name: str,
    dev: Mapping[str, str],
    tests: Mapping[str, Mapping[str, str]],
    *,
    leave_out: bool,
) -> frozenset[str]:
    """Return the problems of the dev set that no reported benchmark contains.

    Raises ConfigError if there are shared problems and not `leave_out`, or if none is left.
    """
    found = {test: shared_problems(dev, problems) for test, problems in tests.items()}
    found = {test: problems for test, problems in found.items() if problems}
    left = frozenset(dev).difference(*found.values())
    if found and not leave_out:
        counts = ", ".join(f"{len(problems)} with {test}" for test, problems in found.items())
        raise ConfigError(
            f"dev.bench: {name} shares problems with the reported benchmarks ({counts}); "
            f"dev.leave_out_tests=true decides on the other {len(left)}"
        )
    if not left:
        raise ConfigError(f"dev.bench: all of {name} is among the reported tests; name another")
    return left


def dev_outcomes(benches: Mapping[str, Outcomes]) -> Outcomes:
    """Return the outcomes of a dev set; those of several benchmarks are pooled."""
    return next(iter(benches.values())) if len(benches) == 1 else pooled(benches)


def dev_ids(benches: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the ids of a dev set's problems, as `dev_outcomes` has them."""
    outcomes = {name: dict.fromkeys(problems, ()) for name, problems in benches.items()}
    return frozenset(dev_outcomes(outcomes))


def restrict(outcomes: Outcomes, problems: frozenset[str]) -> Outcomes:
    """Keep the outcomes of these problems."""
    return {problem: found for problem, found in outcomes.items() if problem in problems}


def _normalized(text: str) -> str:
    return _NON_WORDS.sub("", text.lower())
