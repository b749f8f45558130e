"""Builds the verdict from validated generated tests, with its evidence.

All functions are pure: the verdict depends on the generated texts and on the check outcomes only.

>>> build_verdict(response, material, table, tested, {}).kind   # doctest: +SKIP
'passed'
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from evolcoder.code.callables import CallableKind, CallableSubject
from evolcoder.records import JSON, Check, CheckResult, Response
from evolcoder.verification.generated_tests.mutants import Mutant
from evolcoder.verification.generated_tests.runner import (
    AgreementGroup,
    CheckFlaw,
    CheckStrength,
    Outcomes,
    StableOutcome,
    groups,
    measure_strength,
)

MAX_STORED_CHARS = 8000
"""Longest other answer stored with a verdict."""
MAX_STORED_GROUPS = 4
"""Most groups stored with a verdict."""


class GeneratedTestsFinding(StrEnum):
    """Finding of generated tests. Values are stored; never rename one."""

    PASSED = "passed"
    FAILED = "failed"
    """The response fails checks that other answers agree on."""
    DISPUTED = "disputed"
    """No group of agreeing answers stands out."""
    UNSOUND = "unsound"
    """No set of checks is valid."""
    NO_TESTS = "no_tests"
    """The response has no callable code or needs packages that are not installed, or no check was
    generated."""


@dataclass(frozen=True, slots=True)
class GeneratedMaterial:
    """The usable generated answers and checks."""

    answers: tuple[CallableSubject, ...]
    """Callables of the answers; the row's own comes first."""
    texts: tuple[str, ...]
    """Texts of the other answers."""
    checks: tuple[str, ...]
    """All distinct checks."""
    sets: tuple[tuple[int, ...], ...]
    """Indices of the checks of each set."""

    @classmethod
    def of(
        cls,
        own: CallableSubject,
        others: Sequence[tuple[CallableSubject, str]],
        sets: Sequence[Sequence[str]],
    ) -> Self:
        """Assign indices to the distinct checks of all sets."""
        checks = list(dict.fromkeys(check for one in sets for check in one))
        index = {check: number for number, check in enumerate(checks)}
        indexed = [tuple(index[check] for check in one) for one in sets]
        answers, texts = [one for one, _ in others], tuple(text for _, text in others)
        return cls((own, *answers), texts, tuple(checks), tuple(indexed))


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The agreeing answers and the outcomes that validate their checks."""

    group: AgreementGroup
    """The agreeing answers and all checks that they pass."""
    stable: StableOutcome
    """Which of these checks pass in every run."""
    chosen: tuple[int, ...]
    """Indices of the checks that do."""
    stubs: Sequence[Outcomes]
    """Outcomes of the chosen checks for each stub."""
    mutants: Sequence[Outcomes]
    """Outcomes of the chosen checks for each mutant."""
    broken: tuple[Mutant, ...]
    """The mutants."""

    def strength_of(self, numbers: Sequence[int]) -> CheckStrength:
        """Validate the chosen checks among those with these indices."""
        if not numbers:
            return CheckStrength(CheckFlaw.NOTHING, (), len(self.broken))
        agreed = set(numbers) & set(self.group.checks)
        places = [place for place, number in enumerate(self.chosen) if number in agreed]
        if not places:
            flaw = CheckFlaw.UNSTABLE if agreed else CheckFlaw.NOT_AGREED
            return CheckStrength(flaw, (), len(self.broken))
        return measure_strength(places, stubs=self.stubs, mutants=self.mutants)


def build_verdict(
    response: Response,
    material: GeneratedMaterial,
    table: Sequence[Outcomes],
    tested: ValidationResult,
    detail: dict[str, JSON],
) -> CheckResult:
    """Merge the valid sets and judge the row's own response by them; extends `detail`."""
    strengths = [tested.strength_of(numbers) for numbers in material.sets]
    valid = [s for s, found in zip(material.sets, strengths, strict=True) if found.flaw is None]
    # Sets that are too weak one by one may be strong enough together.
    merged = {number for one in valid or material.sets for number in one}
    total = tested.strength_of(sorted(merged))
    kept = [number for number in tested.chosen if number in merged]
    detail |= {
        "checks": [material.checks[number] for number in kept],
        "agreeing": len(tested.group.answers),
        "hash_seeds": tested.stable.n_hash_seeds,
        "mutants": len(tested.broken),
        "missed": [
            mutant.name for number, mutant in enumerate(tested.broken) if number not in total.killed
        ],
        "sets": [
            _set_detail(numbers, found, tested)
            for numbers, found in zip(material.sets, strengths, strict=True)
        ],
    }
    if total.flaw is not None:
        return make_verdict(
            response, GeneratedTestsFinding.UNSOUND, f"no valid set of tests: {total.flaw}", detail
        )
    failed = [material.checks[number] for number in kept if not table[0][number]]
    finding, message = (
        (GeneratedTestsFinding.FAILED, failed[0]) if failed else (GeneratedTestsFinding.PASSED, "")
    )
    if (other := _contrasting_answer(material, table, kept, passes=bool(failed))) is not None:
        detail["better" if failed else "worse"] = other
    if total.killed:
        detail["fault"] = _mutant_detail(material, tested, total.killed[0], kept)
    return make_verdict(response, finding, message, detail, score=total.strength)


def _contrasting_answer(
    material: GeneratedMaterial, table: Sequence[Outcomes], kept: Sequence[int], *, passes: bool
) -> str | None:
    """Return the first other answer that passes all checks (`passes`) or fails one (not)."""
    for text, passed in zip(material.texts, table[1:], strict=True):
        if len(text) <= MAX_STORED_CHARS and all(passed[number] for number in kept) is passes:
            return text
    return None


def _mutant_detail(
    material: GeneratedMaterial, tested: ValidationResult, number: int, kept: Sequence[int]
) -> dict[str, JSON]:
    """Describe a killed mutant: its source, the check it fails, and the original program."""
    passed = dict(zip(tested.chosen, tested.mutants[number], strict=True))
    failing = next(material.checks[check] for check in kept if not passed[check])
    answer, mutant = material.answers[tested.group.answers[0]], tested.broken[number]
    if answer.form is CallableKind.PROGRAM or len(answer.source) > MAX_STORED_CHARS:
        return {}
    return {
        "mutation": mutant.name,
        "broken": mutant.source,
        "failing": failing,
        "mended": answer.source,
    }


def validated_checks(before: Mapping[Check, CheckResult]) -> tuple[str, ...]:
    """Return the validated checks from the verdict of `tests` among a row's earlier verdicts."""
    verdict = before.get(Check.TESTS)
    decided = {GeneratedTestsFinding.PASSED, GeneratedTestsFinding.FAILED}
    if verdict is None or verdict.kind not in decided:
        return ()
    checks = verdict.detail.get("checks")
    return tuple(map(str, checks)) if isinstance(checks, list | tuple) else ()


def agreement_detail(table: Sequence[Outcomes], material: GeneratedMaterial) -> dict[str, JSON]:
    """Summarise how answers and checks agree."""
    shown = groups(table)[:MAX_STORED_GROUPS]
    return {
        "answers": len(material.answers),
        "distinct_answers": len({answer.source for answer in material.answers}),
        "written": len(material.checks),
        "groups": [[list(group.answers), len(group.checks)] for group in shown],
    }


def _set_detail(
    numbers: Sequence[int], found: CheckStrength, tested: ValidationResult
) -> dict[str, JSON]:
    return {
        "written": len(numbers),
        "chosen": len(set(numbers) & set(tested.chosen)),
        "flaw": found.flaw,
        "strength": round(found.strength, 3),
    }


def make_verdict(
    response: Response,
    finding: GeneratedTestsFinding,
    message: str,
    detail: Mapping[str, JSON] | None = None,
    *,
    score: float | None = None,
) -> CheckResult:
    """Make the verdict, with the message first in its detail."""
    detail = {**({"said": message} if message else {}), **(detail or {})}
    return CheckResult.of(response, Check.TESTS, finding, score=score, detail=detail)
