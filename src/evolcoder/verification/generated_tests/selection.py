"""Selects answers and checks by dual agreement, and measures the strength of a set of checks.

Dual agreement is CodeT's (arXiv 2207.10397). Answers that pass the same checks form a group, whose
score is its number of answers times the number of checks they pass. Wrong checks have no weight,
since no large group passes them. The order of answers and checks does not influence the choice. The
best group is not guaranteed to be right: a model can make the same mistake in answers and tests.

A set of checks must fail every stub, which is a trivial program with the subject's interface that
accepts any arguments. Its strength is the share of mutants that fail at least one check. Mutants
equivalent to the answer cannot be recognised, so 1 may be unreachable.
All functions are pure.

>>> best_group(((True, True), (True, True), (True, False))).answers
(0, 1)
>>> stubs, mutants = [(False, True)], [(True, False), (True, True)]
>>> measure_strength((0, 1), stubs=stubs, mutants=mutants).strength
0.5
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
"""Whether one program passes each check, in the order of the checks."""


@dataclass(frozen=True, slots=True)
class AgreementGroup:
    """Answers that pass the same checks."""

    answers: tuple[int, ...]
    """Indices of the answers."""
    checks: tuple[int, ...]
    """Indices of the checks that they pass."""

    @property
    def score(self) -> int:
        """Number of answers times number of checks."""
        return len(self.answers) * len(self.checks)


def groups(table: Sequence[Outcomes]) -> tuple[AgreementGroup, ...]:
    """Return all groups by falling score; ties by falling number of answers."""
    members: dict[Outcomes, list[int]] = {}
    for answer, outcomes in enumerate(table):
        members.setdefault(outcomes, []).append(answer)
    found = [
        AgreementGroup(tuple(answers), tuple(n for n, passed in enumerate(outcomes) if passed))
        for outcomes, answers in members.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, -len(one.answers), one.answers)))


def best_group(table: Sequence[Outcomes]) -> AgreementGroup | None:
    """Return the group with the highest score, or None if none stands out.

    It needs at least two answers, a positive score, and no tie: one answer alone is no agreement,
    and of two equal groups neither is known to be right.
    """
    found = groups(table)
    if not found or found[0].score == 0 or len(found[0].answers) < 2:
        return None
    return None if len(found) > 1 and found[1].score == found[0].score else found[0]


def is_contested(table: Sequence[Outcomes], answer: int, group: AgreementGroup) -> bool:
    """Whether at least as many answers agree with an answer outside the group as are in the group.

    Tests of an ambiguous task favour one reading; an answer is only wrong if its reading has fewer
    answers.
    """
    n_agreeing = sum(outcomes == table[answer] for outcomes in table)
    return answer not in group.answers and n_agreeing >= len(group.answers)


class CheckFlaw(StrEnum):
    """Why a set of checks is invalid. Values are stored; never rename one."""

    NOTHING = "nothing"
    """It asserts nothing about the entry point."""
    NOT_AGREED = "not_agreed"
    """The agreeing answers pass none of its checks."""
    UNSTABLE = "unstable"
    """Its checks fail in a repeated run or under another hash seed."""
    PASSES_STUB = "passes_stub"
    """A stub passes it."""
    KILLS_NOTHING = "kills_nothing"
    """Every mutant of the answer passes it."""
    NO_MUTANTS = "no_mutants"
    """The answer has no mutants, so the set cannot be validated."""


@dataclass(frozen=True, slots=True)
class CheckStrength:
    """Result of validating a set of checks."""

    flaw: CheckFlaw | None
    """Why the set is invalid, or None."""
    killed: tuple[int, ...]
    """Indices of the mutants that fail it."""
    n_mutants: int
    """Number of mutants."""

    @property
    def strength(self) -> float:
        """Share of the mutants that fail it."""
        return len(self.killed) / self.n_mutants if self.n_mutants else 0.0


def measure_strength(
    checks: Sequence[int], *, stubs: Sequence[Outcomes], mutants: Sequence[Outcomes]
) -> CheckStrength:
    """Validate the checks with these indices against the outcomes of stubs and mutants."""
    killed = tuple(number for number, outcomes in enumerate(mutants) if fails(outcomes, checks))
    flaw: CheckFlaw | None = None
    if not checks:
        flaw = CheckFlaw.NOTHING
    elif not all(fails(outcomes, checks) for outcomes in stubs):
        flaw = CheckFlaw.PASSES_STUB
    elif not mutants:
        flaw = CheckFlaw.NO_MUTANTS
    elif not killed:
        flaw = CheckFlaw.KILLS_NOTHING
    return CheckStrength(flaw, killed, len(mutants))


def fails(outcomes: Outcomes, checks: Sequence[int]) -> bool:
    """Whether a program fails at least one of the checks with these indices."""
    return not all(outcomes[number] for number in checks)


MAX_EXPECTED_VALUES = 8
"""Most distinct expected values for which a stub is made that returns the value."""
_VALUES = ("None", "True", "False")
_ECHO = "given[0] if given else None"
_FUNCTION = "def {name}(*given, **named): return {value}"
_CLASS = """\
class {name}:
    def __init__(self, *given, **named): pass
    def __getattr__(self, name): return lambda *given, **named: {value}"""


def stubs_for(subject: CallableSubject, checks: Sequence[str]) -> tuple[str, ...]:
    """Make stubs that return None, True, False, their first argument, or a value checks expect."""
    expected = Counter(value for check in checks for value in _expected_values(check))
    common = (value for value, _ in expected.most_common(MAX_EXPECTED_VALUES))
    values = [*_VALUES, _ECHO, *common]
    template = _CLASS if subject.form is CallableKind.CLASS else _FUNCTION
    name = subject.entry_point
    return tuple(template.format(name=name, value=value) for value in dict.fromkeys(values))


def _expected_values(check: str) -> Iterable[str]:
    """Yield the literals that a check compares with."""
    for node in ast.walk(ast.parse(check)):
        match node:
            case ast.Compare(ops=[ast.Eq()], comparators=[value]) if _is_literal(value):
                yield ast.unparse(value)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
