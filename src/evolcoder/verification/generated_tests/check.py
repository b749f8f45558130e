"""Checks a response with model-written tests that are themselves validated, and builds the verdict.

The tester gets the task and a signature (names and parameters, no body), never a response, and
writes several sets of checks; the responder answers the task several more times. Every check runs
against every answer, and dual agreement selects answers and checks (`runner`). The selected checks
of each set are then validated on an agreeing answer: they must pass again and under other hash
seeds, fail every stub, and fail at least one mutant. The valid sets are merged and judge the row's
own response.

All requests of a row are sent at once. The verdict depends on the seed and the completions only,
not on the concurrency. Checks count one by one, so a wrong check does not invalidate its set.
Failures of the sandbox or a server are raised and never become a verdict, nor do requests that the
server rejects, if no answer or no set of checks is left.
A pass is not a proof: a model that makes the same mistake in answers and tests agrees with itself.
Programs that read no input and languages other than Python get no tests.

Small models copy examples rather than follow instructions, so an earlier chat turn shows example
tests. The prompts are written for this project.

>>> check = GeneratedTestsCheck(tester, responder, sandbox, config.seed, config.verify)
... # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from evolcoder.code.callables import CallableKind, CallableSubject, find_compatible, subject_of
from evolcoder.config.load import VerifyConfig
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import clean, one_line
from evolcoder.verification.generated_tests.mutants import Mutant, mutants
from evolcoder.verification.generated_tests.runner import (
    AgreementGroup,
    CheckFlaw,
    CheckStrength,
    Outcomes,
    StableOutcome,
    best_group,
    find_stable_checks,
    groups,
    is_contested,
    measure_strength,
    missing_modules,
    reduced_limits,
    run_checks,
    run_checks_on_mutant,
    stubs_for,
)
from evolcoder.verification.generated_tests.test_parser import parse_checks

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


N_TESTS = 6
"""Tests requested per set; small models start to repeat themselves beyond this."""
_WRITE = (
    "A programming task:\n\n{task}\n\nIt will be solved by code with this signature:\n\n"
    "```python\n{signature}\n```\n\nDo not write the code. Write {n} tests for it, each a line "
    "`assert CALL == EXPECTED`, that tell right code from code that is wrong in a detail. Take "
    "small arguments for which you can work out the right result in your head, ordinary and "
    "unusual ones, and write both as plain values. Test only what the task says for certain."
)
_SHOWS_CODE = (
    " The code that the task itself shows may be wrong: let half of the tests be about what the "
    "task demands and that code misses."
)
"""Appended for a task that shows code, since few tests would otherwise cover its requirements."""
_FUNCTION = "def second_largest(numbers)"
_FUNCTION_TASK = (
    "Write a Python function that returns the second largest of the distinct numbers in a list, or "
    "None if all are equal. An empty list is a ValueError."
)
_FUNCTION_TESTS = """\
assert second_largest([4, 9, 7]) == 7
assert second_largest([5, 5, 3]) == 3
assert second_largest([-1, -6, -2, -8]) == -2
assert second_largest([2, 2]) is None
assert second_largest([8]) is None
try:
    second_largest([])
    assert False
except ValueError:
    pass"""
_CLASS = """\
class Till:
    def __init__(self, coins)
    def pay(self, amount)
    def total(self)"""
_CLASS_TASK = (
    "Create a Python class for a till that begins with some coins, takes payments, and tells how "
    "much is in it. A payment that is not above zero raises a ValueError."
)
_CLASS_TESTS = """\
assert Till([1, 2, 2]).total() == 5
assert Till([]).total() == 0

till = Till([5])
till.pay(3)
assert till.total() == 8

till = Till([])
till.pay(2)
till.pay(4)
assert till.total() == 6

try:
    Till([1]).pay(0)
    assert False
except ValueError:
    pass"""


_PROGRAM = """\
def program(typed):
    ...  # runs the whole program; `typed` is its input, and what it prints is returned"""
_PROGRAM_TASK = "Write a Python program that reads two whole numbers and prints the larger one."
_PROGRAM_TESTS = """\
assert "9" in program("4\\n9\\n")
assert "12" in program("12\\n3\\n")
assert "-2" in program("-2\\n-7\\n")
assert "5" in program("5\\n5\\n")
assert "0" in program("0\\n-1\\n")
assert "4" not in program("4\\n9\\n")"""
_PRINTS = "    ...  # prints its result; here a call gives back what it prints"
_PRINTER_TASK = "Write a Python function that prints the larger of two whole numbers."
_PRINTER_TESTS = """\
assert "9" in show_larger(4, 9)
assert "12" in show_larger(12, 3)
assert "-2" in show_larger(-2, -7)
assert "5" in show_larger(5, 5)
assert "0" in show_larger(0, -1)
assert "4" not in show_larger(4, 9)"""
_SHOWN = {
    CallableKind.PRINTER: (_PRINTER_TASK, f"def show_larger(a, b):\n{_PRINTS}", _PRINTER_TESTS),
    CallableKind.FUNCTION: (_FUNCTION_TASK, _FUNCTION, _FUNCTION_TESTS),
    CallableKind.CLASS: (_CLASS_TASK, _CLASS, _CLASS_TESTS),
    CallableKind.PROGRAM: (_PROGRAM_TASK, _PROGRAM, _PROGRAM_TESTS),
}


def messages_for_tests(instruction: str, subject: CallableSubject) -> tuple[Message, ...]:
    """Return the messages that ask for tests of a signature."""
    task, signature, tests = _SHOWN[subject.form]
    own = {CallableKind.PROGRAM: _PROGRAM, CallableKind.PRINTER: f"{subject.signature}:\n{_PRINTS}"}
    return (
        Message("user", _asked(task, signature)),
        Message("assistant", f"```python\n{tests}\n```"),
        Message("user", _asked(instruction, own.get(subject.form, subject.signature))),
    )


def messages_for_answer(instruction: str, subject: CallableSubject) -> tuple[Message, ...]:
    """Return the messages that ask for another answer with the row's interface."""
    if subject.form is CallableKind.PROGRAM:
        wanted = "Answer with a whole Python program that reads what it needs with input()."
    else:
        how = (
            "that prints its result"
            if subject.form is CallableKind.PRINTER
            else "with this signature"
        )
        wanted = f"Answer in Python, {how}:\n```python\n{subject.signature}\n```"
    return (Message("user", f"{instruction}\n\n{wanted}"),)


def _asked(task: str, signature: str) -> str:
    asked = _WRITE.format(task=task, signature=signature, n=N_TESTS)
    return f"{asked}{_SHOWS_CODE}" if "```" in task else asked


REFUSAL_CHARS = 400
"""Maximum characters of a server's words in a verdict."""
MAX_TEST_SET_TOKENS = 512
"""Most tokens of a set of checks; small models that start to enumerate do not stop."""


@dataclass(frozen=True, slots=True)
class GeneratedTestsCheck:
    """A `RowCheck` that judges a response by generated tests."""

    writer: Role
    """Writes the tests."""
    responder: Role
    """Writes further answers."""
    sandbox: Sandbox
    """Runs answers and tests."""
    seed: int
    """Root of all randomness."""
    config: VerifyConfig
    """Numbers of answers, sets and mutants; resource limits of a program."""

    @property
    def check(self) -> Check:
        """The kind of check."""
        return Check.TESTS

    async def __call__(
        self,
        task: Task,
        response: Response,
        before: Mapping[Check, CheckResult],  # noqa: ARG002 - part of the RowCheck signature
    ) -> CheckResult:
        """Generate tests for a row, validate them, and judge its response by them."""
        subject = subject_of(response.text, task.instruction)
        if subject is None:
            return make_verdict(
                response, GeneratedTestsFinding.NO_TESTS, "the response has no callable Python code"
            )
        if lacking := await missing_modules(
            self.sandbox, subject.body, reduced_limits(self._limits)
        ):
            why = f"needs {', '.join(lacking)}, which the sandbox does not have"
            return make_verdict(response, GeneratedTestsFinding.NO_TESTS, why)
        material, detail = await self._generate(task, subject)
        if not material.checks:
            why = "no check could be parsed from the generated tests"
            if broken := detail.get("incomplete"):
                why += f"; answers were incomplete, with the finish reason {broken}"
            return make_verdict(response, GeneratedTestsFinding.NO_TESTS, why, detail)
        table = await self._run_all(material)
        detail |= agreement_detail(table, material)
        group = best_group(table)
        if group is None or is_contested(table, 0, group):
            why = "no group of agreeing answers stands out"
            return make_verdict(response, GeneratedTestsFinding.DISPUTED, why, detail)
        tested = await self._validate(task, material, group)
        return build_verdict(response, material, table, tested, detail)

    async def _generate(
        self, task: Task, subject: CallableSubject
    ) -> tuple[GeneratedMaterial, dict[str, JSON]]:
        """Send all requests at once and parse the usable answers and checks."""
        n_answers, n_sets = self.config.candidates, self.config.check_sets
        for_answer = messages_for_answer(task.instruction, subject)
        for_tests = messages_for_tests(task.instruction, subject)
        writer = with_token_limit(self.writer)
        completions = await asyncio.gather(
            *(self._ask(self.responder, for_answer, task, "answer", n) for n in range(n_answers)),
            *(self._ask(writer, for_tests, task, "tests", n) for n in range(n_sets)),
        )
        refusals = [one for one in completions if isinstance(one, EngineError)]
        for asked in (completions[:n_answers], completions[n_answers:]):
            if refusals and asked and all(isinstance(one, EngineError) for one in asked):
                raise next(one for one in asked if isinstance(one, EngineError))
        answered = [one if isinstance(one, Completion) else None for one in completions]
        texts = [clean(one.text) if one and not one.broke_off else "" for one in answered]
        broken = sorted({one.finish for one in answered if one and one.broke_off})
        others = [find_compatible(text, subject) for text in texts[:n_answers]]
        sets = [parse_checks(text, subject.entry_point) for text in texts[n_answers:]]
        detail: dict[str, JSON] = {
            "entry_point": subject.entry_point,
            "requests": len(completions),
            "refused": len(refusals),
            "prompt_tokens": sum(one.prompt_tokens for one in answered if one),
            "completion_tokens": sum(one.completion_tokens for one in answered if one),
        }
        if refusals:
            detail["refusal"] = one_line(str(refusals[0]), REFUSAL_CHARS)
        if broken:
            detail["incomplete"] = ", ".join(broken)
        usable = [(one, text) for one, text in zip(others, texts, strict=False) if one]
        return GeneratedMaterial.of(subject, usable, sets), detail

    async def _ask(
        self, role: Role, messages: tuple[Message, ...], task: Task, what: str, number: int
    ) -> Completion | EngineError:
        """Send one request; return its error if it is itself at fault."""
        seed = seed_for(self.seed, "verify", what, task.id, number)
        try:
            return await role.ask(messages, seed=seed)
        except EngineError as error:
            if error.retryable:
                raise
            return error

    async def _run_all(self, material: GeneratedMaterial) -> list[Outcomes]:
        """Run every check against every answer; identical programs run once."""
        entry, limits = material.answers[0].entry_point, reduced_limits(self._limits)
        distinct = list(dict.fromkeys(answer.source for answer in material.answers))
        runs = [run_checks(self.sandbox, one, entry, material.checks, limits) for one in distinct]
        found = dict(zip(distinct, await asyncio.gather(*runs), strict=True))
        return [found[answer.source] for answer in material.answers]

    async def _validate(
        self, task: Task, material: GeneratedMaterial, group: AgreementGroup
    ) -> ValidationResult:
        """Validate the checks that a group agrees on, using the first of its answers."""
        answer = material.answers[group.answers[0]]
        agreed = [material.checks[number] for number in group.checks]
        stable = await find_stable_checks(
            self.sandbox, answer.source, answer.entry_point, agreed, self._limits
        )
        chosen = [n for n, holds in zip(group.checks, stable.outcomes, strict=True) if holds]
        checks = [material.checks[number] for number in chosen]
        rng = rng_for(self.seed, "mutants", task.id)
        entry_point = None if answer.form is CallableKind.PROGRAM else answer.name
        broken = mutants(answer.body, rng, limit=self.config.mutants, entry_point=entry_point)
        stubs = stubs_for(answer, checks)
        wrong = [*stubs, *(answer.around(mutant.source) for mutant in broken)]
        found = await asyncio.gather(
            *(
                run_checks_on_mutant(self.sandbox, one, answer.entry_point, checks, self._limits)
                for one in (wrong if checks else ())
            )
        )
        return ValidationResult(
            group, stable, tuple(chosen), found[: len(stubs)], found[len(stubs) :], broken
        )

    @property
    def _limits(self) -> Limits:
        config = self.config
        return Limits(config.cpu_s, config.wall_s, config.memory_mb, output_kb=64, file_mb=16)


def with_token_limit(role: Role) -> Role:
    """Limit the tokens of a set of checks."""
    max_tokens = min(MAX_TEST_SET_TOKENS, role.sampling.max_tokens)
    return replace(role, sampling=replace(role.sampling, max_tokens=max_tokens))
