"""Arms: training conditions as data, and the rows that each of them is made of.

Promises: an arm's name says all that it is, and reads back to the same arm. Its rows depend on the
rows there are, the arm and the seed, in no way on the order in which the rows came. Matched arms
draw by lineage: two rounds cut to one size hold the same seeds' descendants as far as both have
them; a smaller draw is part of every larger one. Trains nothing.

    seed                        the seeds with the answers that they came with
    seed-reanswered             the same tasks, answered by the model that answered the evolved ones
    round-2                     the rows of round 2 alone
    merge-0..3                  seeds and rounds 1 to 3
    reanswered-0..3             re-answered seeds and rounds 1 to 3: all answers are one model's
    student                     the student as it is, untrained
    round-2@samples             as many rows as the smallest arm of this match
    round-2@tokens              as many tokens, to within a row
    merge-0..3@steps            as many optimiser steps
    merge-0..3+verified         rows whose answer passed sound tests alone
    merge-0..3+ran              rows whose program ran to its end alone
    merge-0..3~misdirect        without the rows of one heuristic; more may follow
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
"""Name of the run that an arm's rows are of if its name does not say."""
STUDENT = "student"
SEED = "seed"
REANSWERED = "seed-reanswered"
PASSED = "passed"
"""What the verdict of a check says of a row that passed it."""
FORMS = (
    f"{STUDENT}, {SEED}, {REANSWERED}, round-K, merge-0..K or reanswered-0..K, "
    "then @samples, @tokens or @steps"
)
_NAME = re.compile(
    r"(?:(?P<run>[\w-]+)/)?(?P<base>student|seed|seed-reanswered|round-(?P<only>[1-9]\d*)"
    r"|(merge|reanswered)-0\.\.(?P<upto>[1-9]\d*))(?:@(?P<match>samples|tokens|steps))?"
    r"(?:\+(?P<proof>verified|ran))?"
    r"(?P<without>(?:~\w+)*)"
)


class MatchedOn(StrEnum):
    """What is made equal between arms. Values are stored; never rename one."""

    SAMPLES = "samples"
    TOKENS = "tokens"
    STEPS = "steps"


class ArmFilter(StrEnum):
    """What must have been found of a row's answer. Values are stored; never rename one."""

    VERIFIED = "verified"
    RAN = "ran"


_CHECKS = {ArmFilter.VERIFIED: Check.TESTS, ArmFilter.RAN: Check.RUNS}


@dataclass(frozen=True, slots=True)
class Arm:
    """One training condition."""

    base: str
    """`student`, `seed`, `seed-reanswered`, `round-K`, `merge-0..K` or `reanswered-0..K`."""
    rounds: tuple[int, ...]
    """Rounds that its rows are of; none for the untrained student."""
    run: str
    """Name of the run that its rows are of."""
    match: MatchedOn | None
    """What is made equal to the other arms with the same match."""
    proof: ArmFilter | None
    """What its rows must have passed."""
    without: tuple[str, ...]
    """Heuristics whose rows are left out, sorted."""

    @classmethod
    def read(cls, name: str) -> "Arm":
        """Read an arm's name, or say how one is written."""
        found = _NAME.fullmatch(name.strip())
        if found is None:
            raise ConfigError(f"arms: {name!r} is no arm; write {FORMS}, +verified, ~HEURISTIC")
        if found["base"] == STUDENT and name.strip() != STUDENT:
            raise ConfigError(
                f"arms: {name!r}: the student is untrained, so nothing can be matched"
            )
        without = tuple(sorted(set(filter(None, (found["without"] or "").split("~")))))
        match = MatchedOn(found["match"]) if found["match"] else None
        rounds = _rounds(found["base"], found["only"], found["upto"])
        proof = ArmFilter(found["proof"]) if found["proof"] else None
        return cls(found["base"], rounds, found["run"] or MAIN, match, proof, without)

    def __str__(self) -> str:
        run = "" if self.run == MAIN else f"{self.run}/"
        match = f"@{self.match}" if self.match else ""
        proof = f"+{self.proof}" if self.proof else ""
        return f"{run}{self.base}{match}{proof}{''.join(f'~{name}' for name in self.without)}"

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to train on."""
        return bool(self.rounds)

    @property
    def is_reanswered(self) -> bool:
        """Whether its seeds are those that the responder has answered."""
        return self.base.startswith((REANSWERED, "reanswered-"))

    @property
    def last_round(self) -> int:
        """The newest round that it needs."""
        return max(self.rounds, default=0)


def _rounds(base: str, only: str | None, upto: str | None) -> tuple[int, ...]:
    if only:
        return (int(only),)
    if upto:
        return tuple(range(int(upto) + 1))
    return () if base == STUDENT else (0,)


@dataclass(frozen=True, slots=True)
class RowSource:
    """A run's rows, read into memory, with what selecting them needs to know."""

    rows: tuple[Row, ...]
    """Rows of all rounds, seeds with the answers that they came with."""
    reanswered: tuple[Row, ...]
    """The seeds again, answered by the responder; empty where no arm asks for them."""
    least_strength: float
    """Least share of mutants that the tests of a verified row have killed."""

    def has(self, proof: ArmFilter, row: Row) -> bool:
        """Whether a row has passed what an arm asks for; a seed nobody looked at stays in."""
        found = [one for one in row.verdicts if one.check is _CHECKS[proof]]
        if not found:
            return row.task.round == 0
        least = self.least_strength if proof is ArmFilter.VERIFIED else 0.0
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
    """Rows whose number of optimiser steps is trained for; None for those of its own rows."""

    @property
    def digest(self) -> str:
        """Hash of what a model is trained on: the texts in their order, whatever their lineage."""
        texts = [[row.task.instruction, row.response.text] for row in self.rows]
        return content_id("data", texts)


def select(
    arms: Iterable[Arm], sources: dict[str, RowSource], *, seed: int, tokens: Callable[[Row], int]
) -> dict[Arm, Selection]:
    """Choose the rows of all arms at once: what is matched is matched to the smallest of them."""
    whole = {arm: _whole(arm, sources) for arm in arms if arm.is_trained}
    sizes = {arm: sum(map(tokens, rows)) for arm, rows in whole.items()}
    least_rows = _least({arm: len(rows) for arm, rows in whole.items()}, MatchedOn.SAMPLES)
    least_tokens = _least(sizes, MatchedOn.TOKENS)
    least_steps = _least({arm: len(rows) for arm, rows in whole.items()}, MatchedOn.STEPS)
    chosen = {}
    for arm, rows in whole.items():
        kept = rows
        if arm.match is MatchedOn.SAMPLES:
            kept = _in_order(_drawn(rows, arm, seed)[:least_rows])
        elif arm.match is MatchedOn.TOKENS:
            kept = _in_order(_up_to(_drawn(rows, arm, seed), least_tokens, tokens))
        steps_of = least_steps if arm.match is MatchedOn.STEPS else None
        chosen[arm] = Selection(arm, kept, sum(map(tokens, kept)), steps_of)
    return chosen


def _least(sizes: dict[Arm, int], match: MatchedOn) -> int:
    return min((size for arm, size in sizes.items() if arm.match is match), default=0)


def _whole(arm: Arm, sources: dict[str, RowSource]) -> tuple[Row, ...]:
    """Return all rows of an arm, before matching, in their canonical order."""
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
        and (arm.proof is None or source.has(arm.proof, row))
    ]
    if not kept:
        raise ConfigError(f"arms: {arm} has no rows; see `evolcoder inspect` for what was dropped")
    return _in_order(kept)


def _in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (row.task.round, row.task.ordinal)))


def _drawn(rows: Sequence[Row], arm: Arm, seed: int) -> list[Row]:
    """Order rows at random: by lineage where there is one of each, so that rounds share seeds."""
    by_lineage = len(arm.rounds) == 1

    def rank(row: Row) -> str:
        place = [row.task.ordinal] if by_lineage else [row.task.ordinal, row.task.round]
        return content_id("draw", [seed, *place])

    return sorted(rows, key=lambda row: (rank(row), row.task.ordinal, row.task.round))


def _up_to(rows: Iterable[Row], most: int, tokens: Callable[[Row], int]) -> Iterator[Row]:
    """Take rows from the front until one more would be too much."""
    left = most
    for row in rows:
        left -= tokens(row)
        if left < 0:
            return
        yield row
