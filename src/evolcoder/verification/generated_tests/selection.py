"""Choose answers and checks by each other: dual agreement, as CodeT does (arXiv 2207.10397).

Answers that pass the same checks are a group; its score is its answers times the checks that they
pass. Checks that nobody could agree on, wrong ones above all, weigh nothing, since they raise the
score of no group that many answers are in.
Promises: a pure function of the table; the order of answers and checks decides nothing but the
order in which they are told. Does not promise that the group is right: models that make the same
mistake in answers and in tests agree with themselves.

>>> best(((True, True), (True, True), (True, False))).answers
(0, 1)

Judge a set of checks by what it tells apart: the answer from stubs and from mutants of it.

Promises: pure functions of tables of outcomes. The strength is the share of mutants that fail at
least one check. Some mutants behave as the answer does, and these cannot be told from missed ones:
a strength below 1 may be all that there is to reach.

>>> judge((0, 1), stubs=[(False, True)], mutants=[(True, False), (True, True)]).strength
0.5

Programs that do nothing right: what every set of checks that counts has to refuse.

Promises: they can be called as the subject is, with any arguments, and depend on the checks alone.

>>> stubs_for(subject, checks=())[0]   # doctest: +SKIP
'def f(*given, **named): return None'
"""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.code.callables import CallableKind, CallableSubject

Outcomes = tuple[bool, ...]
"""Which checks one program passes, in the checks' order."""


@dataclass(frozen=True, slots=True)
class AgreementGroup:
    """Answers that pass the same checks."""

    answers: tuple[int, ...]
    """Their numbers."""
    checks: tuple[int, ...]
    """Numbers of the checks that they pass."""

    @property
    def score(self) -> int:
        """Answers times checks."""
        return len(self.answers) * len(self.checks)


def groups(table: Sequence[Outcomes]) -> tuple[AgreementGroup, ...]:
    """Return all groups, the best first; of equal scores the one with more answers."""
    members: dict[Outcomes, list[int]] = {}
    for answer, outcomes in enumerate(table):
        members.setdefault(outcomes, []).append(answer)
    found = [
        AgreementGroup(tuple(answers), _passed(outcomes)) for outcomes, answers in members.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, -len(one.answers), one.answers)))


def best(table: Sequence[Outcomes]) -> AgreementGroup | None:
    """Return the group that stands out, or None.

    It has to hold at least two answers that pass something, and a score that no other reaches: one
    answer agrees with nobody, and of two equal groups neither is known to be right.
    """
    found = groups(table)
    if not found or found[0].score == 0 or len(found[0].answers) < 2:
        return None
    return None if len(found) > 1 and found[1].score == found[0].score else found[0]


def contests(table: Sequence[Outcomes], answer: int, group: AgreementGroup) -> bool:
    """Whether an answer outside of a group has as many on its side as are in the group.

    Where a task leaves something open, tests take one side; that the other side is wrong takes
    more answers than it has.
    """
    with_it = sum(outcomes == table[answer] for outcomes in table)
    return answer not in group.answers and with_it >= len(group.answers)


def _passed(outcomes: Outcomes) -> tuple[int, ...]:
    return tuple(number for number, passed in enumerate(outcomes) if passed)


class TestFlaw(StrEnum):
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
class TestStrength:
    """What testing a set of checks found."""

    flaw: TestFlaw | None
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
) -> TestStrength:
    """Judge the checks with these numbers by how stubs and mutants fared."""
    killed = tuple(number for number, outcomes in enumerate(mutants) if fails(outcomes, checks))
    flaw: TestFlaw | None = None
    if not checks:
        flaw = TestFlaw.NOTHING
    elif not all(fails(outcomes, checks) for outcomes in stubs):
        flaw = TestFlaw.PASSES_STUB
    elif not mutants:
        flaw = TestFlaw.NO_MUTANTS
    elif not killed:
        flaw = TestFlaw.KILLS_NOTHING
    return TestStrength(flaw, killed, len(mutants))


def fails(outcomes: Outcomes, checks: Sequence[int]) -> bool:
    """Whether a program fails at least one of the checks with these numbers."""
    return not all(outcomes[number] for number in checks)


MOST = 8
"""Different values that checks expect, each of which gets a stub that returns it."""
_VALUES = ("None", "True", "False")
_ECHO = "given[0] if given else None"
_FUNCTION = "def {name}(*given, **named): return {value}"
_CLASS = """\
class {name}:
    def __init__(self, *given, **named): pass
    def __getattr__(self, name): return lambda *given, **named: {value}"""


def stubs_for(subject: CallableSubject, checks: Sequence[str]) -> tuple[str, ...]:
    """Return stubs that return None, a truth value, what they were given, or what checks expect."""
    wanted = Counter(value for check in checks for value in _expected(check))
    values = [*_VALUES, _ECHO, *(value for value, _ in wanted.most_common(MOST))]
    shape = _CLASS if subject.form is CallableKind.CLASS else _FUNCTION
    name = subject.entry_point
    return tuple(shape.format(name=name, value=value) for value in dict.fromkeys(values))


def _expected(check: str) -> Iterable[str]:
    """Return the plain values that a check compares with."""
    for node in ast.walk(ast.parse(check)):
        match node:
            case ast.Compare(ops=[ast.Eq()], comparators=[value]) if _is_plain(value):
                yield ast.unparse(value)


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
