"""Checks a response with model-written tests that are themselves validated.

The tester gets the task and a signature, never a response, and writes several sets of checks; the
responder answers the task several more times. Every check runs against every answer, and dual
agreement selects answers and checks (`selection`). The selected checks of each set are then
validated on an agreeing answer: they must pass again and under other hash seeds, fail every stub,
and fail at least one mutant. The valid sets are merged and judge the row's own response.

All requests of a row are sent at once. The verdict depends on the seed and the completions only,
not on the concurrency. Checks count one by one, so a wrong check does not invalidate its set.
Failures of the sandbox or a server are raised and never become a verdict, nor do requests that the
server rejects, if no answer or no set of checks is left.
A pass is not a proof: a model that makes the same mistake in answers and tests agrees with itself.
Programs that read no input and languages other than Python get no tests.

>>> check = GeneratedTestsCheck(tester, responder, sandbox, config.seed, config.verify)
... # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evolcoder.code.callables import CallableKind, CallableSubject, find_compatible, subject_of
from evolcoder.config.load import VerifyConfig
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import clean, one_line
from evolcoder.verification.generated_tests import prompts
from evolcoder.verification.generated_tests.mutants import mutants
from evolcoder.verification.generated_tests.runner import (
    find_stable_checks,
    missing_modules,
    reduced_limits,
    run_checks,
    run_checks_on_mutant,
)
from evolcoder.verification.generated_tests.selection import (
    AgreementGroup,
    Outcomes,
    best_group,
    is_contested,
    stubs_for,
)
from evolcoder.verification.generated_tests.test_parser import parse_checks
from evolcoder.verification.generated_tests.verdict import (
    GeneratedMaterial,
    GeneratedTestsFinding,
    ValidationResult,
    agreement_detail,
    build_verdict,
    make_verdict,
)

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
        for_answer = prompts.for_answer(task.instruction, subject)
        for_tests = prompts.for_tests(task.instruction, subject)
        writer = _with_token_limit(self.writer)
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
        runs = [
            run_checks_on_mutant(self.sandbox, one, answer.entry_point, checks, self._limits)
            for one in wrong
        ]
        found = await asyncio.gather(*runs) if checks else []
        return ValidationResult(
            group, stable, tuple(chosen), found[: len(stubs)], found[len(stubs) :], broken
        )

    @property
    def _limits(self) -> Limits:
        config = self.config
        return Limits(config.cpu_s, config.wall_s, config.memory_mb, output_kb=64, file_mb=16)


def _with_token_limit(role: Role) -> Role:
    max_tokens = min(MAX_TEST_SET_TOKENS, role.sampling.max_tokens)
    return replace(role, sampling=replace(role.sampling, max_tokens=max_tokens))
