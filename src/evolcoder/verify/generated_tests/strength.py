"""Judge a set of checks by what it tells apart: the answer from stubs and from mutants of it.

Promises: pure functions of tables of outcomes. The strength is the share of mutants that fail at
least one check. Some mutants behave as the answer does, and these cannot be told from missed ones:
a strength below 1 may be all that there is to reach.

>>> judge((0, 1), stubs=[(False, True)], mutants=[(True, False), (True, True)]).strength
0.5
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.verify.generated_tests.selection import Outcomes


class Flaw(StrEnum):
    """Why a set of checks does not count. Values are stored; never rename one."""

    NOTHING = "nothing"
    """It asserts nothing about the entry point."""
    NOT_AGREED = "not_agreed"
    """No check of it is passed by the answers that agree."""
    UNSTABLE = "unstable"
    """Its checks pass at one time, and fail at another or under another hash seed."""
    PASSES_STUB = "passes_stub"
    """A function that returns one thing whatever it is given passes it."""
    KILLS_NOTHING = "kills_nothing"
    """Every mutant of the answer passes it."""
    NO_MUTANTS = "no_mutants"
    """There is nothing in the answer that could be mutated, so it cannot be tested."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What testing a set of checks found."""

    flaw: Flaw | None
    """Why it does not count, or None."""
    killed: tuple[int, ...]
    """Numbers of the mutants that fail it."""
    n_mutants: int
    """Mutants that were tried."""

    @property
    def strength(self) -> float:
        """Share of the mutants that fail it."""
        return len(self.killed) / self.n_mutants if self.n_mutants else 0.0


def judge(
    checks: Sequence[int], *, stubs: Sequence[Outcomes], mutants: Sequence[Outcomes]
) -> Judgement:
    """Judge the checks with these numbers by how stubs and mutants fared."""
    killed = tuple(number for number, outcomes in enumerate(mutants) if fails(outcomes, checks))
    flaw: Flaw | None = None
    if not checks:
        flaw = Flaw.NOTHING
    elif not all(fails(outcomes, checks) for outcomes in stubs):
        flaw = Flaw.PASSES_STUB
    elif not mutants:
        flaw = Flaw.NO_MUTANTS
    elif not killed:
        flaw = Flaw.KILLS_NOTHING
    return Judgement(flaw, killed, len(mutants))


def fails(outcomes: Outcomes, checks: Sequence[int]) -> bool:
    """Whether a program fails at least one of the checks with these numbers."""
    return not all(outcomes[number] for number in checks)
