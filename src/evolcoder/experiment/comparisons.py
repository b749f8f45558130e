"""What the arms of a loop can answer: which are held against which, and what the paper asked.

Promises: every question follows from the arms that there are; an arm that has no control is in no
question. The order of arms is theirs.

>>> [question.name for question in questions(["seed-reanswered", "merge-0..1"])]
['rounds']
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from evolcoder.experiment.arms import MAIN, REANSWERED, SEED, STUDENT, Arm, Match


@dataclass(frozen=True, slots=True)
class Pair:
    """An arm and what it is held against."""

    arm: str
    """The arm."""
    control: str
    """Its control; the arm itself where it is the control of others."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that arms answer."""

    name: str
    """Short, for files."""
    title: str
    """In words, with what in the paper it stands beside."""
    pairs: tuple[Pair, ...]
    """Arms with their controls, controls first."""


def questions(names: Iterable[str]) -> tuple[Question, ...]:
    """Return the questions that these arms answer."""
    arms = [Arm.read(name) for name in names]
    found = [
        Question("rounds", "Do rounds help? (the paper's Figure 3)", _rounds(arms)),
        Question("untouched", "Is it better than the untouched student?", _untouched(arms)),
        *(_quantity(arms, match) for match in Match),
        Question("evolver", "Who evolves? (the paper's Table 4)", _without(arms, _other_run)),
        Question("heuristics", "Which heuristic helps?", _without(arms, _heuristic)),
        Question("verified", "Does verification help?", _without(arms, _verification)),
    ]
    return tuple(question for question in found if len(question.pairs) > 1)


def _rounds(arms: Sequence[Arm]) -> tuple[Pair, ...]:
    return _against(_plain(arms))


def _untouched(arms: Sequence[Arm]) -> tuple[Pair, ...]:
    """Hold all arms of the first question against the student that learnt nothing."""
    students = [arm for arm in arms if arm.base == STUDENT]
    ordered = [*students, *(arm for arm in _plain(arms) if arm not in students)]
    return tuple(Pair(str(arm), str(students[0])) for arm in ordered) if students else ()


def _plain(arms: Sequence[Arm]) -> list[Arm]:
    """Return those of the main run, whole; not a round alone."""
    plain = [a for a in arms if (a.run, a.match, a.proof, a.without) == (MAIN, None, None, ())]
    return [arm for arm in plain if arm.base in {STUDENT, SEED, REANSWERED} or arm.rounds[1:]]


def _quantity(arms: Sequence[Arm], match: Match) -> Question:
    mine = [arm for arm in arms if arm.match is match and not arm.proof and not arm.without]
    title = f"Complexity or quantity, at equal {match}? (the paper's Table 5)"
    return Question(f"equal-{match}", title, _against(mine))


def _against(arms: Sequence[Arm]) -> tuple[Pair, ...]:
    """Hold all arms against the re-answered seeds, or the seeds where those are not there."""
    controls = [arm for base in (REANSWERED, SEED) for arm in arms if arm.base == base]
    if not controls:
        return ()
    ordered = [controls[0], *(arm for arm in arms if arm != controls[0])]
    return tuple(Pair(str(arm), str(controls[0])) for arm in ordered)


def _other_run(arm: Arm) -> Arm:
    return replace(arm, run=MAIN)


def _heuristic(arm: Arm) -> Arm:
    return replace(arm, without=())


def _verification(arm: Arm) -> Arm:
    return replace(arm, proof=None)


def _without(arms: Sequence[Arm], plainer: Callable[[Arm], Arm]) -> tuple[Pair, ...]:
    """Hold each arm against the one that lacks what is asked about."""
    found: dict[Pair, None] = {}
    for arm in arms:
        control = plainer(arm)
        if control != arm and control in arms:
            found[Pair(str(control), str(control))] = None
            found[Pair(str(arm), str(control))] = None
    return tuple(found)
