"""What tests that were tested say of an answer: the verdict, with all that it rests on.

Promises: pure functions of what models wrote and of which checks each program passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from evolcoder.code.callables import CallableKind, CallableSubject
from evolcoder.records import JSON, Check, CheckResult, Response
from evolcoder.verification.generated_tests.mutants import Mutant
from evolcoder.verification.generated_tests.runner import StableOutcome
from evolcoder.verification.generated_tests.selection import (
    AgreementGroup,
    Outcomes,
    TestFlaw,
    TestStrength,
    groups,
    judge,
)

OTHER_CHARS = 8000
"""Longest answer that a verdict keeps, to set beside the row's own."""
SHOWN_GROUPS = 4
"""Groups that a verdict tells of."""


class TestFinding(StrEnum):
    """What tests found of a row. Values are stored; never rename one."""

    PASSED = "passed"
    FAILED = "failed"
    """It fails checks that other answers agree on."""
    DISPUTED = "disputed"
    """No two answers agree more than any others do."""
    UNSOUND = "unsound"
    """No set of checks stood its own test."""
    NO_TESTS = "no_tests"
    """There is nothing to call, or not without packages that are not here; or no check was
    written."""


@dataclass(frozen=True, slots=True)
class TestMaterial:
    """What models wrote, as far as it can be used."""

    answers: tuple[CallableSubject, ...]
    """The row's own answer first."""
    texts: tuple[str, ...]
    """What the other answers' subjects were read out of."""
    checks: tuple[str, ...]
    """All checks, each once."""
    sets: tuple[tuple[int, ...], ...]
    """Numbers of the checks of every set."""

    @classmethod
    def of(
        cls,
        own: CallableSubject,
        others: Sequence[tuple[CallableSubject, str]],
        sets: Sequence[Sequence[str]],
    ) -> Self:
        """Give every check that sets hold a number, each once."""
        checks = list(dict.fromkeys(check for one in sets for check in one))
        place = {check: number for number, check in enumerate(checks)}
        numbered = [tuple(place[check] for check in one) for one in sets]
        answers, texts = [one for one, _ in others], tuple(text for _, text in others)
        return cls((own, *answers), texts, tuple(checks), tuple(numbered))


@dataclass(frozen=True, slots=True)
class TestedAnswer:
    """What testing the checks that a group agrees on brought."""

    group: AgreementGroup
    """The answers that agree, and all checks that they pass."""
    always: StableOutcome
    """Which of these pass every time."""
    chosen: tuple[int, ...]
    """Numbers of those."""
    stubs: Sequence[Outcomes]
    """Which of the chosen each stub passes."""
    mutants: Sequence[Outcomes]
    """Which of the chosen each mutant passes."""
    broken: tuple[Mutant, ...]
    """The mutants."""

    def judge(self, numbers: Sequence[int]) -> TestStrength:
        """Judge those of the chosen checks that have these numbers."""
        if not numbers:
            return TestStrength(TestFlaw.NOTHING, (), len(self.broken))
        agreed = set(numbers) & set(self.group.checks)
        places = [place for place, number in enumerate(self.chosen) if number in agreed]
        if not places:
            flaw = TestFlaw.UNSTABLE if agreed else TestFlaw.NOT_AGREED
            return TestStrength(flaw, (), len(self.broken))
        return judge(places, stubs=self.stubs, mutants=self.mutants)


def judged(
    response: Response,
    material: TestMaterial,
    table: Sequence[Outcomes],
    tested: TestedAnswer,
    told: dict[str, JSON],
) -> CheckResult:
    """Put together the sets that hold, and judge the row's own answer by them."""
    single = [tested.judge(numbers) for numbers in material.sets]
    sound = [s for s, found in zip(material.sets, single, strict=True) if found.flaw is None]
    # Sets of which little is left may each be too weak, and still hold together.
    counted = {number for one in sound or material.sets for number in one}
    together = tested.judge(sorted(counted))
    kept = [number for number in tested.chosen if number in counted]
    told |= {
        "checks": [material.checks[number] for number in kept],
        "agreeing": len(tested.group.answers),
        "hash_seeds": tested.always.n_hash_seeds,
        "mutants": len(tested.broken),
        "missed": [
            mutant.name
            for number, mutant in enumerate(tested.broken)
            if number not in together.killed
        ],
        "sets": [
            _told_of_set(numbers, found, tested)
            for numbers, found in zip(material.sets, single, strict=True)
        ],
    }
    if together.flaw is not None:
        return verdict_of(
            response, TestFinding.UNSOUND, f"tests are unsound: {together.flaw}", told
        )
    failed = [material.checks[number] for number in kept if not table[0][number]]
    finding, said = (TestFinding.FAILED, failed[0]) if failed else (TestFinding.PASSED, "")
    if (other := _other(material, table, kept, passes=bool(failed))) is not None:
        told["better" if failed else "worse"] = other
    if together.killed:
        told["fault"] = _fault(material, tested, together.killed[0], kept)
    return verdict_of(response, finding, said, told, score=together.strength)


def _other(
    material: TestMaterial, table: Sequence[Outcomes], kept: Sequence[int], *, passes: bool
) -> str | None:
    """Return the first of the other answers that passes all checks, or that does not."""
    for text, passed in zip(material.texts, table[1:], strict=True):
        if len(text) <= OTHER_CHARS and all(passed[number] for number in kept) is passes:
            return text
    return None


def _fault(
    material: TestMaterial, tested: TestedAnswer, number: int, kept: Sequence[int]
) -> dict[str, JSON]:
    """Tell of a mutant that the checks refuse, by which of them, and what it was made of."""
    passed = dict(zip(tested.chosen, tested.mutants[number], strict=True))
    failing = next(material.checks[check] for check in kept if not passed[check])
    answer, mutant = material.answers[tested.group.answers[0]], tested.broken[number]
    if answer.form is CallableKind.PROGRAM or len(answer.source) > OTHER_CHARS:
        return {}
    return {
        "mutation": mutant.name,
        "broken": mutant.source,
        "failing": failing,
        "mended": answer.source,
    }


def told_of(table: Sequence[Outcomes], material: TestMaterial) -> dict[str, JSON]:
    """Tell how answers and checks agree."""
    shown = groups(table)[:SHOWN_GROUPS]
    return {
        "answers": len(material.answers),
        "distinct_answers": len({answer.source for answer in material.answers}),
        "written": len(material.checks),
        "groups": [[list(group.answers), len(group.checks)] for group in shown],
    }


def _told_of_set(
    numbers: Sequence[int], found: TestStrength, tested: TestedAnswer
) -> dict[str, JSON]:
    return {
        "written": len(numbers),
        "chosen": len(set(numbers) & set(tested.chosen)),
        "flaw": found.flaw,
        "strength": round(found.strength, 3),
    }


def verdict_of(
    response: Response,
    finding: TestFinding,
    said: str,
    told: Mapping[str, JSON] | None = None,
    *,
    score: float | None = None,
) -> CheckResult:
    """Make the verdict, with what was said first in its detail."""
    detail = {**({"said": said} if said else {}), **(told or {})}
    return CheckResult.of(response, Check.TESTS, finding, score=score, detail=detail)
