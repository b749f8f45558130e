"""Arms: training conditions as data, and the rows that each arm is trained on.

An arm's name describes it completely and parses back to the same arm. The selected rows depend on
the available rows, the arm and the seed, not on the order of the rows. Matched arms sample by
lineage: two rounds reduced to one size contain descendants of the same seeds as far as both have
them, and a smaller sample is a subset of every larger one. Trains nothing.

    seed                        the seeds with the answers that they came with
    seed-reanswered             the same tasks, answered by the model that answered the evolved ones
    round-2                     the rows of round 2 alone
    merge-0..3                  seeds and rounds 1 to 3
    reanswered-0..3             re-answered seeds and rounds 1 to 3: all answers by one model
    student                     the untrained student
    round-2@samples             as many rows as the smallest arm with this match
    round-2@tokens              as many tokens, to within a row
    merge-0..3@steps            as many optimiser steps
    merge-0..3+verified         only rows whose answer passed validated tests
    merge-0..3+ran              only rows whose program ran to its end
    merge-0..3~misdirect        without the rows of one heuristic; repeatable
    other/merge-0..1            rows of the run that the config calls `other`

>>> str(Arm.read("merge-0..2@tokens~misdirect"))
'merge-0..2@tokens~misdirect'
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.errors import ConfigError
from evolcoder.ids import content_id
from evolcoder.records import Check, Row

MAIN = "main"
"""The run of an arm whose name has no run."""
STUDENT = "student"
SEED = "seed"
REANSWERED = "seed-reanswered"
PASSED = "passed"
"""Verdict kind of a check that passed."""
FORMS = (
    f"{STUDENT}, {SEED}, {REANSWERED}, round-K, merge-0..K or reanswered-0..K, "
    "then @samples, @tokens or @steps, then +verified or +ran, then ~HEURISTIC; RUN/ before it all "
    "names another run"
)
_NAME = re.compile(
    r"(?:(?P<run>[\w-]+)/)?(?P<base>student|seed|seed-reanswered|round-(?P<only>[1-9]\d*)"
    r"|(merge|reanswered)-0\.\.(?P<upto>[1-9]\d*))(?:@(?P<match>samples|tokens|steps))?"
    r"(?:\+(?P<filter>verified|ran))?"
    r"(?P<without>(?:~\w+)*)"
)


class MatchedOn(StrEnum):
    """The quantity that is made equal between arms. Values are stored; never rename one."""

    SAMPLES = "samples"
    TOKENS = "tokens"
    STEPS = "steps"


class ArmFilter(StrEnum):
    """The check that a row's answer must have passed. Values are stored; never rename one."""

    VERIFIED = "verified"
    RAN = "ran"


_CHECKS = {ArmFilter.VERIFIED: Check.TESTS, ArmFilter.RAN: Check.RUNS}


@dataclass(frozen=True, slots=True)
class Arm:
    """One training condition."""

    base: str
    """`student`, `seed`, `seed-reanswered`, `round-K`, `merge-0..K` or `reanswered-0..K`."""
    rounds: tuple[int, ...]
    """Rounds of its rows; none for the untrained student."""
    run: str
    """Name of the run of its rows."""
    match: MatchedOn | None
    """The quantity that is equal in all arms with the same match."""
    row_filter: ArmFilter | None
    """The check that its rows must have passed."""
    without: tuple[str, ...]
    """Excluded heuristics, sorted."""

    @classmethod
    def read(cls, name: str) -> "Arm":
        """Parse an arm's name; raises ConfigError with the syntax if it is invalid."""
        found = _NAME.fullmatch(name.strip())
        if found is None:
            raise ConfigError(f"arms: {name!r} is no arm; use {FORMS}")
        if found["base"] == STUDENT and name.strip() != STUDENT:
            raise ConfigError(
                f"arms: {name!r}: the student is untrained, so nothing can be matched"
            )
        without = tuple(sorted(set(filter(None, (found["without"] or "").split("~")))))
        match = MatchedOn(found["match"]) if found["match"] else None
        rounds = _rounds(found["base"], found["only"], found["upto"])
        row_filter = ArmFilter(found["filter"]) if found["filter"] else None
        return cls(found["base"], rounds, found["run"] or MAIN, match, row_filter, without)

    def __str__(self) -> str:
        run = "" if self.run == MAIN else f"{self.run}/"
        match = f"@{self.match}" if self.match else ""
        passed = f"+{self.row_filter}" if self.row_filter else ""
        return f"{run}{self.base}{match}{passed}{''.join(f'~{name}' for name in self.without)}"

    @property
    def is_trained(self) -> bool:
        """Whether the arm has rows to train on."""
        return bool(self.rounds)

    @property
    def is_reanswered(self) -> bool:
        """Whether its seeds have the responder's answers."""
        return self.base.startswith((REANSWERED, "reanswered-"))

    @property
    def last_round(self) -> int:
        """The highest round that it needs."""
        return max(self.rounds, default=0)


def _rounds(base: str, only: str | None, upto: str | None) -> tuple[int, ...]:
    if only:
        return (int(only),)
    if upto:
        return tuple(range(int(upto) + 1))
    return () if base == STUDENT else (0,)


@dataclass(frozen=True, slots=True)
class RowSource:
    """A run's rows in memory, and the bound for verified rows."""

    rows: tuple[Row, ...]
    """Rows of all rounds; seeds with the answers that they came with."""
    reanswered: tuple[Row, ...]
    """The seeds answered by the responder; empty if no arm needs them."""
    least_strength: float
    """Minimum share of mutants that the tests of a verified row have killed."""

    def passes(self, row_filter: ArmFilter, row: Row) -> bool:
        """Whether a row passed an arm's check; a seed without a verdict passes."""
        found = [one for one in row.verdicts if one.check is _CHECKS[row_filter]]
        if not found:
            return row.task.round == 0
        least = self.least_strength if row_filter is ArmFilter.VERIFIED else 0.0
        return any(one.kind == PASSED and (one.score or 0.0) >= least for one in found)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of one arm."""

    arm: Arm
    """The arm."""
    rows: tuple[Row, ...]
    """Its rows, by round, then by seed."""
    n_tokens: int
    """Tokens of its answers."""
    steps_of: int | None
    """Number of rows that sets the optimiser steps; None for the arm's own rows."""

    @property
    def digest(self) -> str:
        """Hash of the training texts in their order; lineage does not enter."""
        texts = [[row.task.instruction, row.response.text] for row in self.rows]
        return content_id("data", texts)


def select(
    arms: Iterable[Arm], sources: dict[str, RowSource], *, seed: int, tokens: Callable[[Row], int]
) -> dict[Arm, Selection]:
    """Select the rows of all arms together; matched arms are reduced to the smallest of them."""
    whole = {arm: _all_rows(arm, sources) for arm in arms if arm.is_trained}
    sizes = {arm: sum(map(tokens, rows)) for arm, rows in whole.items()}
    least_rows = _least({arm: len(rows) for arm, rows in whole.items()}, MatchedOn.SAMPLES)
    least_tokens = _least(sizes, MatchedOn.TOKENS)
    least_steps = _least({arm: len(rows) for arm, rows in whole.items()}, MatchedOn.STEPS)
    chosen = {}
    for arm, rows in whole.items():
        kept = rows
        if arm.match is MatchedOn.SAMPLES:
            kept = _in_order(_shuffled(rows, arm, seed)[:least_rows])
        elif arm.match is MatchedOn.TOKENS:
            kept = _in_order(_within(_shuffled(rows, arm, seed), least_tokens, tokens))
        steps_of = least_steps if arm.match is MatchedOn.STEPS else None
        chosen[arm] = Selection(arm, kept, sum(map(tokens, kept)), steps_of)
    return chosen


def _least(sizes: dict[Arm, int], match: MatchedOn) -> int:
    return min((size for arm, size in sizes.items() if arm.match is match), default=0)


def _all_rows(arm: Arm, sources: dict[str, RowSource]) -> tuple[Row, ...]:
    """Return all rows of an arm before matching, in canonical order."""
    if arm.run not in sources:
        raise ConfigError(f"arms: {arm}: there is no run {arm.run!r}; known: {', '.join(sources)}")
    source = sources[arm.run]
    rows = source.rows
    if arm.is_reanswered:
        rows = source.reanswered + tuple(row for row in rows if row.task.round > 0)
    kept = [
        row
        for row in rows
        if row.task.round in arm.rounds
        and row.task.heuristic not in arm.without
        and (arm.row_filter is None or source.passes(arm.row_filter, row))
    ]
    if not kept:
        raise ConfigError(f"arms: {arm} has no rows; see `evolcoder inspect` for what was dropped")
    return _in_order(kept)


def _in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (row.task.round, row.task.ordinal)))


def _shuffled(rows: Sequence[Row], arm: Arm, seed: int) -> list[Row]:
    """Shuffle rows; an arm of one round by lineage, so that rounds share seeds."""
    by_lineage = len(arm.rounds) == 1

    def rank(row: Row) -> str:
        place = [row.task.ordinal] if by_lineage else [row.task.ordinal, row.task.round]
        return content_id("draw", [seed, *place])

    return sorted(rows, key=lambda row: (rank(row), row.task.ordinal, row.task.round))


def _within(rows: Iterable[Row], most: int, tokens: Callable[[Row], int]) -> Iterator[Row]:
    """Take rows from the front while their tokens do not exceed `most`."""
    left = most
    for row in rows:
        left -= tokens(row)
        if left < 0:
            return
        yield row
