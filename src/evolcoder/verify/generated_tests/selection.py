"""Choose answers and checks by each other: dual agreement, as CodeT does (arXiv 2207.10397).

Answers that pass the same checks are a group; its score is its answers times the checks that they
pass. Checks that nobody could agree on, wrong ones above all, weigh nothing, since they raise the
score of no group that many answers are in.
Promises: a pure function of the table; the order of answers and checks decides nothing but the
order in which they are told. Does not promise that the group is right: models that make the same
mistake in answers and in tests agree with themselves.

>>> best(((True, True), (True, True), (True, False))).answers
(0, 1)
"""

from collections.abc import Sequence
from dataclasses import dataclass

Outcomes = tuple[bool, ...]
"""Which checks one program passes, in the checks' order."""


@dataclass(frozen=True, slots=True)
class Group:
    """Answers that pass the same checks."""

    answers: tuple[int, ...]
    """Their numbers."""
    checks: tuple[int, ...]
    """Numbers of the checks that they pass."""

    @property
    def score(self) -> int:
        """Answers times checks."""
        return len(self.answers) * len(self.checks)


def groups(table: Sequence[Outcomes]) -> tuple[Group, ...]:
    """Return all groups, the best first; of equal scores the one with more answers."""
    members: dict[Outcomes, list[int]] = {}
    for answer, outcomes in enumerate(table):
        members.setdefault(outcomes, []).append(answer)
    found = [Group(tuple(answers), _passed(outcomes)) for outcomes, answers in members.items()]
    return tuple(sorted(found, key=lambda one: (-one.score, -len(one.answers), one.answers)))


def best(table: Sequence[Outcomes]) -> Group | None:
    """Return the group that stands out, or None.

    It has to hold at least two answers that pass something, and a score that no other reaches: one
    answer agrees with nobody, and of two equal groups neither is known to be right.
    """
    found = groups(table)
    if not found or found[0].score == 0 or len(found[0].answers) < 2:
        return None
    return None if len(found) > 1 and found[1].score == found[0].score else found[0]


def contests(table: Sequence[Outcomes], answer: int, group: Group) -> bool:
    """Whether an answer outside of a group has as many on its side as are in the group.

    Where a task leaves something open, tests take one side; that the other side is wrong takes
    more answers than it has.
    """
    with_it = sum(outcomes == table[answer] for outcomes in table)
    return answer not in group.answers and with_it >= len(group.answers)


def _passed(outcomes: Outcomes) -> tuple[int, ...]:
    return tuple(number for number, passed in enumerate(outcomes) if passed)
