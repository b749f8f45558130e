"""Evol Stop: whether another round of evolution still helps, by a dev set and a paired test.

Promises: the decision depends on the outcomes of every round and on the rule alone. Each round is
held against the best one so far on the same problems, by McNemar's exact test where there is one
sample of each and by a paired bootstrap otherwise. A round that is lower but within noise is not
called worse, and one that is higher within noise is not called better: the reason says which.

>>> right, wrong = {"a": [True], "b": [True]}, {"a": [True], "b": [False]}
>>> should_stop([Point(0, right), Point(1, wrong)], Rule()).reason
'round 1 is lower by 50.0 points than round 0, within noise (p = 1.000): kept'

A dev set decides when to stop, so none of its problems may be among those that are reported.

Promises: problems are the same if their ids are, or their words with case, blanks and punctuation
taken away. MBPP+ holds problems of all of MBPP's splits, so it shares 147 of mbpp-dev's 464.

>>> shared({"Mbpp/601": "Add."}, {"Mbpp/601": "Add two numbers."})
('Mbpp/601',)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.bench.scores import Outcomes, PairedComparison, compare
from evolcoder.errors import BenchError, ConfigError


class StopState(StrEnum):
    """How a round stands beside the best before it. Values are stored; never rename one."""

    FIRST = "first"
    BETTER = "better"
    HIGHER = "higher"
    TIE = "tie"
    LOWER = "lower"
    WORSE = "worse"

    @property
    def is_kept(self) -> bool:
        """Whether the round stays in the merge: all do that are not proven worse."""
        return self is not StopState.WORSE

    @property
    def is_new_best(self) -> bool:
        """Whether the round takes the place of the best one; a tie does not, it costs more data."""
        return self in {StopState.FIRST, StopState.BETTER, StopState.HIGHER}


@dataclass(frozen=True, slots=True)
class DevScore:
    """The dev set as the model of one round answered it."""

    round: int
    """The newest round that the model was trained on."""
    outcomes: Outcomes
    """Problem -> whether each of its samples passed, over all training seeds."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """When to stop."""

    level: float = 0.05
    """Largest p-value at which a difference counts as proven; two-sided."""
    patience: int = 1
    """So many rounds in a row that count against it end evolution."""
    strict: bool = False
    """Whether a tie or a dip within noise counts too, as in the paper; else only a proven loss."""


@dataclass(frozen=True, slots=True)
class RoundDecision:
    """One round beside the best one before it."""

    round: int
    """The round."""
    standing: StopState
    """How it stands."""
    score: float
    """Its pass@1, from 0 to 1."""
    beside: int
    """The best round before it; itself if it is the first."""
    change: float
    """Its score less the best one's."""
    p_value: float
    """Chance of so large a difference if there were none."""
    test: str
    """The test that gave it; empty for the first round."""
    reason: str
    """All of it in one line."""


@dataclass(frozen=True, slots=True)
class StopDecision:
    """Whether to stop, and what is kept."""

    stop: bool
    """Whether another round is not worth making."""
    best: int
    """The round whose merge is kept: the highest score, the earliest of equals."""
    judgements: tuple[RoundDecision, ...]
    """Every round, in order."""
    reason: str
    """Why, in one line."""


def should_stop(history: Sequence[DevScore], rule: StopRule) -> StopDecision:
    """Judge every round of a history, and say whether to go on after the last."""
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
    found = compare(best.outcomes, point.outcomes, k=1)
    if found.n_left_out:
        raise BenchError(
            f"rounds {best.round} and {point.round} were not scored on the same problems: "
            f"{found.n_left_out} are in one of them alone"
        )
    standing, change = _standing(found, rule), found.second - found.first
    reason = _said(point.round, best.round, found, standing)
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


def _said(round: int, best: int, found: PairedComparison, standing: StopState) -> str:
    points = f"by {abs(100 * (found.second - found.first)):.1f} points"
    chance = f"p = {found.p_value:.3f}"
    says = {
        StopState.BETTER: f"is better {points} than round {best} ({chance}): kept, the new best",
        StopState.HIGHER: f"is higher {points} than round {best}, within noise ({chance}): "
        "kept, the new best",
        StopState.TIE: f"ties with round {best}: kept",
        StopState.LOWER: f"is lower {points} than round {best}, within noise ({chance}): kept",
        StopState.WORSE: f"is worse {points} than round {best} ({chance}): not kept",
    }
    return f"round {round} {says[standing]}"


_NO_WORDS = re.compile(r"[\W_]+")


def shared(dev: Mapping[str, str], test: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems of the dev set that a test has too, by id or by words."""
    ids, texts = set(test), {_plain(text) for text in test.values()}
    return tuple(id for id, text in dev.items() if id in ids or _plain(text) in texts)


def dev_problems(
    name: str,
    dev: Mapping[str, str],
    tests: Mapping[str, Mapping[str, str]],
    *,
    leave_out: bool,
) -> frozenset[str]:
    """Return the problems that may decide, or refuse: a run is not reported on its dev set."""
    found = {test: shared(dev, problems) for test, problems in tests.items()}
    found = {test: problems for test, problems in found.items() if problems}
    left = frozenset(dev).difference(*found.values())
    if found and not leave_out:
        counts = ", ".join(f"{len(problems)} with {test}" for test, problems in found.items())
        raise ConfigError(
            f"dev.bench: {name} shares problems with what is reported ({counts}); "
            f"dev.leave_out_tests=true decides on the other {len(left)}"
        )
    if not left:
        raise ConfigError(f"dev.bench: all of {name} is among the reported tests; name another")
    return left


def only(outcomes: Outcomes, problems: frozenset[str]) -> Outcomes:
    """Keep the outcomes of some problems."""
    return {problem: found for problem, found in outcomes.items() if problem in problems}


def _plain(text: str) -> str:
    return _NO_WORDS.sub("", text.lower())
